//! The masks that the codes of an input seem to have.

use std::cmp::Reverse;

use crate::sorted::{Group, Sorted};
use codemint_codes::mask::Mask;
use codemint_codes::symbols::{ALNUM, ALPHA, DIGIT, SymbolSet};

/// The mask that codes of one length seem to have, and their number.
#[derive(Clone, Debug)]
pub struct Likeness {
    pub mask: Mask,
    pub codes: u64,
}

/// Returns one mask for each length of codes, the one of most codes first.
pub fn likenesses(sorted: &Sorted) -> Vec<Likeness> {
    let of_group = |group: &Group| {
        let positions = group.symbols.iter().map(|&symbols| widened(symbols)).collect();
        Likeness { mask: Mask::of_symbols(positions), codes: group.codes }
    };
    let mut likenesses: Vec<Likeness> = sorted.groups.iter().map(of_group).collect();
    likenesses.sort_by_key(|likeness| Reverse(likeness.codes));
    likenesses
}

/// Returns the set of the placeholder that produces these symbols; sets of one symbol and of signs stay as they are.
fn widened(symbols: SymbolSet) -> SymbolSet {
    if symbols.single().is_some() {
        return symbols;
    }
    let placeholder = [DIGIT, ALPHA, ALNUM].into_iter().find(|&set| symbols.difference(set).is_empty());
    placeholder.unwrap_or(symbols)
}

#[cfg(test)]
mod tests {
    use super::widened;
    use codemint_codes::mask::Mask;
    use codemint_codes::symbols::SymbolSet;

    #[test]
    fn a_position_is_widened_to_its_placeholder() {
        let seen: [&[u8]; 6] = [b"P", b"7", b"03", b"XQ", b"X1", b"X-"];
        let mask = Mask::of_symbols(seen.map(|symbols| widened(SymbolSet::of(symbols))).to_vec());
        assert_eq!(mask.to_string(), r"P7#?*[\-X]");
    }
}
