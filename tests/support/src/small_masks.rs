//! Masks so small that all their codes can be listed, to compare computed sets and counts with them.

use std::collections::BTreeSet;

use codemint_codes::mask::Mask;
use codemint_codes::symbols::SymbolSet;
use proptest::collection::vec;
use proptest::prelude::Strategy;
use proptest::sample::select;

pub fn mask(text: &str) -> Mask {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

/// Returns every code of these symbol sets.
pub fn codes_of(positions: &[SymbolSet]) -> BTreeSet<String> {
    let codes = positions.iter().fold(vec![String::new()], |begun, set| {
        begun.iter().flat_map(|code| set.iter().map(move |byte| format!("{code}{}", char::from(byte)))).collect()
    });
    codes.into_iter().collect()
}

/// Positions that often have symbols in common: literals, escapes and sets of a few symbols.
fn position() -> impl Strategy<Value = &'static str> {
    select(vec![
        "A",
        "1",
        "\\?",
        "\\*",
        "]",
        "[A1]",
        "[A\\-\\]]",
        "[A1\\]^\\-]",
        "[?*A]",
        "[1^]",
        "[\\\\\\[A]",
        "[A-C1-3]",
    ])
    .prop_map(|text| if text == "]" { "\\]" } else { text })
}

/// Masks of this number of characters, with at most 6 symbols at each position.
pub fn small_mask(length: usize) -> impl Strategy<Value = Mask> {
    vec(position(), length).prop_map(|positions| mask(&positions.concat()))
}
