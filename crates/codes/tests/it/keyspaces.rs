//! Keyspaces: ranks and codes are a bijection, and the order of ranks is the order of bytes.

use codemint_codes::batch::CodeBatch;
use codemint_codes::keyspace::{Keyspace, Rank};
use codemint_codes::mask::Mask;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;

/// Masks with even and odd numbers of placeholders, literals between them, and sizes around the arithmetic's widths.
const MASKS: [&str; 20] = [
    "A",
    "#",
    "A#",
    "##-#",
    "[!-~]",
    "X[!-~]{3}Y",
    "#{9}",
    "[A-P]{8}",
    "[A-P]{8}#",
    "#{19}",
    "#{20}",
    "[01]{63}",
    "[01]{64}",
    "[A-P]{16}#",
    "A#B[01]C?D*E[:safe:]_",
    "-?{3}_*{5}!#{4}[AB]Z",
    "[:safe:]{21}",
    "[!-~]{15}#{2}",
    "*{19}",
    "A#{15}-#{15}",
];

fn mask(text: &str) -> Mask {
    text.parse().expect(text)
}

fn keyspace(text: &str) -> Keyspace {
    Keyspace::new(&mask(text))
}

/// Converts a rank to a code as by hand: the last position is the last digit.
fn code_on_paper(mask: &Mask, mut rank: Rank) -> String {
    let mut code: Vec<char> = Vec::new();
    for set in mask.positions().iter().rev() {
        let symbols: Vec<u8> = set.iter().collect();
        code.push(char::from(symbols[(rank % symbols.len() as u128) as usize]));
        rank /= symbols.len() as u128;
    }
    code.into_iter().rev().collect()
}

fn assert_is_bijection(text: &str) {
    let mask = mask(text);
    let keyspace = Keyspace::new(&mask);
    let ranks: Vec<Rank> = (0..keyspace.size()).collect();
    let batch = keyspace.batch(&ranks);
    let codes: Vec<&str> = batch.iter().collect();
    assert_eq!((batch.len() as u128, codes.len() as u128), (keyspace.size(), keyspace.size()), "{text}");
    assert!(codes.is_sorted_by(|a, b| a.as_bytes() < b.as_bytes()), "{text}");
    for (&rank, &code) in ranks.iter().zip(&codes) {
        assert_eq!(code, code_on_paper(&mask, rank), "{text} {rank}");
        assert_eq!(keyspace.rank(code), Some(rank), "{text}");
        assert_eq!(keyspace.unrank(rank).as_deref(), Some(code), "{text}");
        assert!(keyspace.contains(code));
    }
    assert_eq!(keyspace.unrank(keyspace.size()), None, "{text}");
}

#[test]
fn every_rank_of_a_small_keyspace_has_its_own_code_in_byte_order() {
    for text in [
        "PROMO",
        "#",
        "A#",
        "#A",
        "##",
        "#-?",
        "[A-C]X[0-9_]Y[!~]",
        "[ABC]{7}",
        "[01]{11}",
        "X[!-~]Y[!-~]",
        "[AZ][-+][:safe:]",
    ] {
        assert_is_bijection(text);
    }
}

#[test]
fn the_size_of_a_keyspace_is_the_product_of_its_set_sizes() {
    for (text, size) in [
        ("PROMO", 1),
        ("[A]{64}", 1),
        ("A?##", 2600),
        ("#{19}", 10_u128.pow(19)),
        ("[01]{64}", 1 << 64),
        ("[:safe:]{21}", 24_u128.pow(21)),
        ("*{19}", 36_u128.pow(19)),
        ("[!-~]{16}", 68_u128.pow(16)),
        ("[A-Z0-5]{19}[A-Z0-4]", 31 << 95),
    ] {
        assert_eq!(keyspace(text).size(), size, "{text}");
    }
}

#[test]
fn the_first_and_the_last_rank_are_the_lowest_and_the_highest_code() {
    for (text, first, last) in [
        ("A?##", "AA00", "AZ99"),
        ("[:safe:]{21}", "333333333333333333333", "ZZZZZZZZZZZZZZZZZZZZZ"),
        ("*{19}", "0000000000000000000", "ZZZZZZZZZZZZZZZZZZZ"),
        ("[!-~]{16}", "!!!!!!!!!!!!!!!!", "~~~~~~~~~~~~~~~~"),
        ("[A-Z0-5]{19}-[A-Z0-4]", "0000000000000000000-0", "ZZZZZZZZZZZZZZZZZZZ-Z"),
    ] {
        let keyspace = keyspace(text);
        assert_eq!(keyspace.unrank(0).as_deref(), Some(first));
        assert_eq!(keyspace.unrank(keyspace.size() - 1).as_deref(), Some(last));
        assert_eq!((keyspace.rank(first), keyspace.rank(last)), (Some(0), Some(keyspace.size() - 1)));
    }
}

#[test]
fn ranks_from_the_size_on_have_no_code() {
    for text in MASKS {
        let keyspace = keyspace(text);
        assert!(keyspace.unrank(keyspace.size() - 1).is_some(), "{text}");
        for rank in [keyspace.size(), keyspace.size() + 1, 1 << 100, Rank::MAX] {
            assert_eq!(keyspace.unrank(rank), None, "{text} {rank}");
        }
    }
}

#[test]
fn a_foreign_code_has_no_rank() {
    let keyspace = keyspace("A?-##");
    assert_eq!(keyspace.rank("AB-07"), Some(107));
    for code in [
        "",
        "A",
        "AB-0",
        "AB-077",
        "BB-07",
        "AB_07",
        "A0-07",
        "AB-0A",
        "ab-07",
        "Ab-07",
        "AB-07\n",
        " AB-07",
        "AB-0\u{e9}",
        "AB-\u{660}",
        "A\u{e9}07",
    ] {
        assert_eq!((keyspace.rank(code), keyspace.contains(code)), (None, false), "{code:?}");
    }
}

#[test]
fn a_recycled_batch_keeps_none_of_its_old_codes() {
    let (long, short) = (keyspace("LONGER-####"), keyspace("#A#"));
    let mut batch = long.batch(&[1, 2, 3, 4]);
    batch = short.batch_into(batch, &[42, 7, 42]);
    assert_eq!(batch.as_lines(), "4A2\n0A7\n4A2\n", "in the requested order");
    assert_eq!(batch, short.batch(&[42, 7, 42]));
    batch = long.batch_into(batch, &[]);
    assert_eq!((batch.len(), batch.is_empty(), batch), (0, true, CodeBatch::default()));
}

/// A mask from the table and ranks of its keyspace.
fn mask_and_ranks() -> impl Strategy<Value = (&'static str, Vec<Rank>)> {
    (select(&MASKS[..]), vec((any::<u128>(), 0_u32..110), 1..8)).prop_map(|(text, seeds)| {
        let size = keyspace(text).size();
        // Ranks of every magnitude, from both ends.
        let ranks = seeds.into_iter().map(|(seed, shift)| {
            let rank = (seed >> 18 >> shift) % size;
            if seed & 1 == 0 { rank } else { size - 1 - rank }
        });
        (text, ranks.collect())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_rank_and_unrank_are_inverse((text, ranks) in mask_and_ranks()) {
        let mask = mask(text);
        let keyspace = Keyspace::new(&mask);
        for rank in ranks {
            let code = keyspace.unrank(rank).expect("a code");
            prop_assert_eq!(&code, &code_on_paper(&mask, rank));
            prop_assert_eq!(code.len(), keyspace.code_length());
            prop_assert!(keyspace.contains(&code));
            prop_assert_eq!(keyspace.rank(&code), Some(rank));
        }
    }

    #[test]
    fn prop_rank_order_is_byte_order((text, ranks) in mask_and_ranks()) {
        let keyspace = keyspace(text);
        for pair in ranks.windows(2) {
            let codes = [0, 1].map(|at| keyspace.unrank(pair[at]).expect("a code"));
            prop_assert_eq!(pair[0].cmp(&pair[1]), codes[0].as_bytes().cmp(codes[1].as_bytes()));
        }
        let neighbours = [0, 1].map(|step| keyspace.unrank(ranks[0] + step));
        if let [Some(code), Some(next)] = neighbours {
            prop_assert!(code.as_bytes() < next.as_bytes());
        }
    }

    #[test]
    fn prop_a_batch_equals_its_codes_one_by_one((text, ranks) in mask_and_ranks()) {
        let keyspace = keyspace(text);
        let batch = keyspace.batch(&ranks);
        let one_by_one: Vec<String> = ranks.iter().map(|&rank| keyspace.unrank(rank).expect("a code")).collect();
        prop_assert_eq!(batch.iter().collect::<Vec<_>>(), one_by_one);
        prop_assert_eq!(batch.len(), ranks.len());
        prop_assert_eq!(batch.as_lines().len(), ranks.len() * (keyspace.code_length() + 1));
    }
}
