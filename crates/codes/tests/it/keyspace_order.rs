//! The rank of a text in a keyspace, compared with the list of all its codes.

use codemint_codes::check::CheckKey;
use codemint_codes::keyspace::Keyspace;
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

use codemint_test_support::small_masks::{codes_of, mask, small_mask};

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_the_rank_of_a_code_is_its_position_in_byte_order(mask in small_mask(4)) {
        let keyspace = Keyspace::new(&mask);
        for (rank, code) in (0_u128..).zip(codes_of(mask.positions())) {
            prop_assert_eq!(keyspace.rank(&code), Some(rank));
        }
    }
}

#[test]
fn only_the_codes_of_a_mask_have_a_rank() {
    let keyspace = Keyspace::new(&mask("A[\\]^\\-]#"));
    let codes: Vec<String> = codes_of(mask("A[\\]^\\-]#").positions()).into_iter().collect();
    assert_eq!(codes.iter().map(|code| keyspace.rank(code)).collect::<Vec<_>>(), (0..30).map(Some).collect::<Vec<_>>());
    for other in ["", "A", "A]", "A]00", "B]0", "A[0", "A]a", "a]0", "A]\u{660}", "A]é"] {
        assert_eq!(keyspace.rank(other), None, "{other:?}");
    }
}

#[test]
fn check_characters_do_not_change_the_rank_of_a_code() {
    let keyspace = Keyspace::new(&mask("A##[:check:]{2}"));
    let keyed = keyspace.clone().with_check_key(CheckKey::new(b"0123456789abcdef").expect("a secret"));
    for rank in 0..100 {
        let code = keyed.unrank(rank).expect("a code");
        assert_eq!(keyed.rank(&code), Some(rank));
        for bound in [keyspace.first_code(rank), keyspace.last_code(rank)] {
            assert_eq!(keyspace.body_rank(&bound.expect("a text")), Some(rank));
        }
    }
}
