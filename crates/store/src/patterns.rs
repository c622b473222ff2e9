//! Masks in the words of the databases: a regular expression for PostgreSQL, a glob for SQLite.

use codemint_codes::mask::Mask;
use codemint_codes::symbols::SymbolSet;

/// Matches exactly the codes of the mask.
pub(crate) fn regular_expression(mask: &Mask) -> String {
    let position = |set: &SymbolSet| {
        let symbols: String = set.iter().map(|byte| escaped(char::from(byte))).collect();
        format!("[{symbols}]")
    };
    format!("^{}$", mask.positions().iter().map(position).collect::<String>())
}

fn escaped(symbol: char) -> String {
    if symbol.is_ascii_alphanumeric() { symbol.to_string() } else { format!("\\{symbol}") }
}

/// Matches exactly the codes of the mask. A glob knows no escapes; where a symbol stands in its set decides what it means.
pub(crate) fn glob(mask: &Mask) -> String {
    mask.positions().iter().map(glob_of_position).collect()
}

fn glob_of_position(set: &SymbolSet) -> String {
    let has = |byte| set.contains(byte);
    if *set == SymbolSet::of(b"^") {
        // Alone in a set it would stand for "everything but".
        return "^".to_owned();
    }
    let plain: String = set.iter().filter(|byte| !b"]^-".contains(byte)).map(char::from).collect();
    let (bracket, caret, dash) =
        (if has(b']') { "]" } else { "" }, if has(b'^') { "^" } else { "" }, if has(b'-') { "-" } else { "" });
    if bracket.is_empty() && plain.is_empty() {
        format!("[{dash}{caret}]")
    } else {
        format!("[{bracket}{plain}{caret}{dash}]")
    }
}
