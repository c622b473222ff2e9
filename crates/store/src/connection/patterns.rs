//! Patterns of the databases: masks as regular expressions for PostgreSQL and globs for SQLite, parts of texts for both.

use codemint_codes::mask::Mask;
use codemint_codes::symbols::SymbolSet;

/// Returns a regular expression for exactly the codes of the mask.
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

/// Returns a glob for exactly the codes of the mask. Globs have no escapes: a symbol's place in its set is its meaning.
pub(crate) fn glob(mask: &Mask) -> String {
    mask.positions().iter().map(glob_of_position).collect()
}

fn glob_of_position(set: &SymbolSet) -> String {
    let has = |byte| set.contains(byte);
    if *set == SymbolSet::of(b"^") {
        // Alone in a set it would negate the set.
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

/// Returns a pattern for `lower(…) like … escape '~'`: texts that contain this one in any case.
pub(crate) fn containing(text: &str) -> String {
    format!("%{}%", text.to_lowercase().replace('~', "~~").replace('%', "~%").replace('_', "~_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_in_a_text_stand_for_themselves() {
        assert_eq!(containing("Ann_100%~"), "%ann~_100~%~~%");
    }
}
