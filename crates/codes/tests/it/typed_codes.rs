//! Codes as customers type them: which spellings may be meant, which are one typing error away, and why none exists.

use codemint_codes::check::CheckKey;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::CODE_LENGTH_MAX;
use codemint_codes::typed::{KnownMask, Missing, SPELLINGS_MAX, TYPED_BYTES_MAX, Typed, TypedError};
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;

use codemint_test_support::small_masks::mask;

const SECRET: &[u8] = b"0123456789abcdef";
const MASKS: [&str; 5] =
    ["SPRING-[:safe:]{4}-##", "A####", "[A-Z0-9]{8}", "VIP_[:safe:]{5}[:check:]{2}", "-#.#/[!-~]{3}[:check:]"];

fn key() -> CheckKey {
    CheckKey::new(SECRET).expect("a secret")
}

fn known(text: &str) -> KnownMask {
    KnownMask::new(mask(text), &[&key().fingerprint()], Some(&key()))
}

fn typed(text: &str) -> Typed {
    text.parse().expect("a text that may be a code")
}

fn keyspace(text: &str) -> Keyspace {
    Keyspace::new(&mask(text)).with_check_key(key())
}

#[test]
fn blanks_case_separators_and_look_alikes_do_not_matter() {
    for (text, mask, meant) in [
        ("  spring-7kx9-42\n", "SPRING-[:safe:]{4}-##", "SPRING-7KX9-42"),
        ("SPRING 7KX9 42", "SPRING-[:safe:]{4}-##", "SPRING-7KX9-42"),
        ("spring7kx942", "SPRING-[:safe:]{4}-##", "SPRING-7KX9-42"),
        ("5PR1NG\u{2013}7KX9\u{2014}4Z", "SPRING-[:safe:]{4}-##", "SPRING-7KX9-42"),
        ("A-O1-I2", "A####", "A0112"),
        ("\u{ff21}\u{ff11}\u{200b}234\u{feff}", "A####", "A1234"),
        ("a1.2/3_4", "A####", "A1234"),
        // Cyrillic and Greek letters.
        ("\u{440}\u{410}\u{420}\u{422}\u{423}20", "PAPTY##", "PAPTY20"),
        ("\u{3a4}\u{391}\u{39a}\u{395}-\u{41e}1", "TAKE-##", "TAKE-01"),
        ("1 2 3 xyz", "-#.#/#???", "-1.2/3XYZ"),
    ] {
        let spellings = typed(text).spellings(&[known(mask)]);
        assert!(spellings.contains(&meant.to_owned()), "{text:?}: {spellings:?}");
    }
}

#[test]
fn the_spelling_as_typed_comes_first_and_the_fewest_exchanged_look_alikes_next() {
    let spellings = typed("ol-8").spellings(&[known("***")]);
    assert_eq!(spellings[..2], ["OL-8", "OL8"]);
    let exchanged = |code: &str| code.bytes().zip("OL8".bytes()).filter(|(a, b)| a != b).count();
    assert!(spellings[1..].is_sorted_by_key(|code| exchanged(code)), "{spellings:?}");
    // O, 0 or Q; L, 1 or I; 8 or B.
    assert_eq!(spellings.len(), 1 + 3 * 3 * 2);
    assert_eq!(typed("ol-8").spellings(&[]), ["OL-8"]);
}

#[test]
fn texts_that_cannot_be_codes_are_refused_without_being_repeated() {
    let refused = |text: &str| text.parse::<Typed>().expect_err("no code");
    assert_eq!(refused(""), TypedError::Empty);
    assert_eq!(refused(" \u{200b}\t\n"), TypedError::Empty);
    assert_eq!(refused("AB\u{e9}C"), TypedError::NotPrintable { position: 3 });
    assert_eq!(refused("AB\u{1b}[2J"), TypedError::NotPrintable { position: 3 });
    assert_eq!(refused(&"A".repeat(TYPED_BYTES_MAX + 1)), TypedError::TooLong);
    assert!("A".repeat(TYPED_BYTES_MAX).parse::<Typed>().is_ok());
    assert!(!format!("{:?}", typed("SECRET")).contains("SECRET"));
}

#[test]
fn a_missing_code_is_judged_by_the_mask_that_explains_it_best() {
    let right = keyspace("VIP_[:safe:]{5}[:check:]{2}").unrank(12_345).expect("a code");
    let (start, last) = right.split_at(right.len() - 1);
    let wrong = format!("{start}{}", if last == "B" { "C" } else { "B" });
    let with_check = known("VIP_[:safe:]{5}[:check:]{2}");
    let other_key = KnownMask::new(mask("VIP_[:safe:]{5}[:check:]{2}"), &["other"], Some(&key()));
    let several_keys =
        KnownMask::new(mask("VIP_[:safe:]{5}[:check:]{2}"), &["other", &key().fingerprint()], Some(&key()));
    let no_key = KnownMask::new(mask("VIP_[:safe:]{5}[:check:]{2}"), &["other"], None);
    for (text, masks, missing) in [
        (&*right, vec![with_check.clone()], Missing::NeverMinted),
        (&wrong, vec![with_check.clone()], Missing::WrongCheck),
        (&wrong, vec![other_key], Missing::CheckNotVerified),
        (&wrong, vec![several_keys], Missing::CheckNotVerified),
        (&wrong, vec![no_key], Missing::CheckNotVerified),
        (&wrong, vec![with_check.clone(), known("VIP_[:safe:]{7}")], Missing::NeverMinted),
        ("VIP_", vec![with_check.clone()], Missing::NoMask),
        ("A1234", vec![with_check], Missing::NoMask),
        ("A1234", vec![], Missing::NoMask),
    ] {
        assert_eq!(typed(text).judge(&masks), missing, "{text} of {masks:?}");
    }
}

#[test]
fn wrong_check_characters_rule_out_neighbours_only_where_the_key_is_known() {
    let code = keyspace("A####[:check:]").unrank(1_234).expect("a code");
    let mistyped = code.replacen("1", "7", 1);
    let neighbours = typed(&mistyped).neighbours(&[known("A####[:check:]")]);
    assert!(neighbours.contains(&code), "{neighbours:?}");
    assert!(neighbours.iter().all(|code| keyspace("A####[:check:]").contains(code)), "{neighbours:?}");
    let unverified = typed(&mistyped).neighbours(&[KnownMask::new(mask("A####[:check:]"), &["other"], Some(&key()))]);
    assert!(unverified.len() > neighbours.len() && unverified.contains(&code));
}

#[test]
fn the_number_of_spellings_is_bounded() {
    let stars = |count: usize| "*".repeat(count);
    let parts = (0..=18).flat_map(|first| (first..=18).map(move |second| (first, second)));
    let masks =
        parts.map(|(first, second)| format!("{}-{}-{}", stars(first), stars(second - first), stars(18 - second)));
    let masks: Vec<KnownMask> = masks.map(|mask| known(&mask)).collect();
    let text = typed(&"O1".repeat(9));
    assert_eq!(text.spellings(&masks).len(), SPELLINGS_MAX);
    assert_eq!(text.neighbours(&masks).len(), SPELLINGS_MAX);
    let long = typed(&"O1".repeat(CODE_LENGTH_MAX));
    assert_eq!((long.spellings(&masks).len(), long.neighbours(&masks).len()), (1, 0));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn prop_a_code_is_found_in_any_case_with_blanks_anywhere_and_without_its_separators(
        mask_text in select(MASKS.to_vec()),
        rank in any::<u128>(),
        lower in any::<u64>(),
        blanks in any::<u64>(),
        drops_separators in any::<bool>(),
    ) {
        let keyspace = keyspace(mask_text);
        let code = keyspace.unrank(rank % keyspace.size()).expect("a code");
        let mut text = String::new();
        for (at, symbol) in code.chars().enumerate() {
            let is_literal_separator = "-_./".contains(symbol) && mask(mask_text).positions()[at].len() == 1;
            if drops_separators && is_literal_separator {
                continue;
            }
            text.push(if lower >> at & 1 == 1 { symbol.to_ascii_lowercase() } else { symbol });
            if blanks >> at & 1 == 1 {
                text.push(' ');
            }
        }
        // A separator that stands in place of another symbol cannot be distinguished from one between the parts of a code.
        let has_free_separator = code.bytes().zip(mask(mask_text).positions())
            .any(|(symbol, set)| b"-_./".contains(&symbol) && set.len() > 1);
        if !has_free_separator || !drops_separators {
            prop_assert!(typed(&text).spellings(&[known(mask_text)]).contains(&code), "{:?} of {}", text, code);
        }
    }

    #[test]
    fn prop_every_code_at_one_typing_error_is_among_the_neighbours_or_the_spellings(
        mask_text in select(vec!["A####", "SPRING-[:safe:]{4}-##", "VIP_[:safe:]{5}[:check:]{2}"]),
        rank in any::<u128>(),
        place in 0_usize..64,
        symbol in select("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789".chars().collect::<Vec<_>>()),
        swaps in any::<bool>(),
    ) {
        let keyspace = keyspace(mask_text);
        let code = keyspace.unrank(rank % keyspace.size()).expect("a code");
        let mut symbols: Vec<char> = code.chars().filter(|symbol| !"-_".contains(*symbol)).collect();
        let place = place % (symbols.len() - 1);
        if swaps { symbols.swap(place, place + 1) } else { symbols[place] = symbol }
        let text = typed(&symbols.iter().collect::<String>());
        let masks = [known(mask_text)];
        let (spellings, neighbours) = (text.spellings(&masks), text.neighbours(&masks));
        prop_assert!(spellings.contains(&code) || neighbours.contains(&code), "{:?} of {}", symbols, code);
        prop_assert!(neighbours.iter().all(|other| !spellings.contains(other)));
        prop_assert_eq!(neighbours.iter().filter(|other| !keyspace.contains(other)).count(), 0);
    }
}
