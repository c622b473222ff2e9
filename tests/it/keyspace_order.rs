//! Where texts stand in the order of a keyspace, compared with all its codes written down.

use codemint::code::check::CheckKey;
use codemint::code::keyspace::Keyspace;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;

use crate::small_masks::{codes_of, mask, small_mask};

/// Texts near codes: of the same symbols, of others, shorter, longer, and not in ASCII.
fn text() -> impl Strategy<Value = String> {
    let near = vec(select(vec!['A', 'B', 'C', '1', '2', ']', '^', '-', '?', '*', '\\', '[']), 0..7);
    let far = vec(prop_oneof![any::<char>(), select(vec!['A', '1', 'é', '\u{7f}', '\0'])], 0..7);
    prop_oneof![near, far].prop_map(String::from_iter)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_codes_below_a_text_are_those_that_sort_before_it(mask in small_mask(4), text in text()) {
        let keyspace = Keyspace::new(&mask);
        let below = codes_of(mask.positions()).into_iter().filter(|code| **code < *text).count() as u128;
        prop_assert_eq!(keyspace.codes_below(&text), below, "{} below {:?}", mask, text);
    }

    #[test]
    fn prop_a_code_has_as_many_below_as_its_rank_says(mask in small_mask(4)) {
        let keyspace = Keyspace::new(&mask);
        for (rank, code) in (0_u128..).zip(codes_of(mask.positions())) {
            prop_assert_eq!(keyspace.rank(&code), Some(rank));
            prop_assert_eq!(keyspace.codes_below(&code), rank);
            prop_assert_eq!(keyspace.codes_below(&format!("{code}!")), rank + 1);
            prop_assert_eq!(keyspace.codes_below(&code[..code.len() - 1]), keyspace.codes_below(&format!("{}\0", &code[..code.len() - 1])));
        }
    }
}

#[test]
fn ranks_are_told_for_the_codes_of_the_mask_and_for_no_other_text() {
    let keyspace = Keyspace::new(&mask("A[\\]^\\-]#"));
    let codes: Vec<String> = codes_of(mask("A[\\]^\\-]#").positions()).into_iter().collect();
    assert_eq!(codes.iter().map(|code| keyspace.rank(code)).collect::<Vec<_>>(), (0..30).map(Some).collect::<Vec<_>>());
    for other in ["", "A", "A]", "A]00", "B]0", "A[0", "A]a", "a]0", "A]\u{660}", "A]é"] {
        assert_eq!(keyspace.rank(other), None, "{other:?}");
    }
}

#[test]
fn regression_codes_before_a_letter_that_no_code_can_have_are_counted_in() {
    let keyspace = Keyspace::new(&mask("A#?"));
    assert_eq!(["é", "Aé", "A1é", "A1Zé"].map(|text| keyspace.codes_below(text)), [260, 260, 52, 52]);
}

#[test]
fn check_characters_do_not_change_where_a_code_stands() {
    let keyspace = Keyspace::new(&mask("A##[:check:]{2}"));
    let keyed = keyspace.clone().with_check_key(CheckKey::new(b"0123456789abcdef").expect("a secret"));
    for rank in 0..100 {
        let code = keyed.unrank(rank).expect("a code");
        assert_eq!((keyed.rank(&code), keyed.codes_below(&code)), (Some(rank), rank));
        for bound in [keyspace.first_code(rank), keyspace.last_code(rank)] {
            assert_eq!(keyspace.codes_below(&bound.expect("a text")), rank);
        }
    }
    assert_eq!(keyspace.codes_below("B"), 100);
}
