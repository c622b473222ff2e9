//! Denied words, compared with a naive implementation, and their counts, compared with enumeration.

use std::collections::HashSet;
use std::sync::Arc;

use codemint_codes::denied::{
    DeniedInMask, DeniedWords, DeniedWordsError, FORM_SYMBOLS_MAX, WORD_LENGTH_MAX, WORDS_MAX, WordProblem,
};
use codemint_codes::mask::Mask;
use codemint_codes::symbols::SymbolSet;
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;

fn mask(text: &str) -> Mask {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn words(words: &[&str]) -> Arc<DeniedWords> {
    Arc::new(DeniedWords::new(words.iter().copied()).expect("words"))
}

fn is_denied(list: &[&str], mask_text: &str, code: &str) -> bool {
    DeniedInMask::new(&words(list), &mask(mask_text)).is_denied(code.as_bytes())
}

/// The letters that a character may be read as, as in the table of the documentation.
fn reading(character: char) -> &'static str {
    const LETTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    match character {
        '0' => "O",
        '2' => "Z",
        '3' => "E",
        '4' | '@' => "A",
        '5' | '$' => "S",
        '6' | '9' => "G",
        '7' => "T",
        '8' => "B",
        '1' | '!' => "IL",
        letter => match LETTERS.find(letter.to_ascii_uppercase()) {
            Some(at) => &LETTERS[at..=at],
            None => "",
        },
    }
}

fn reads_alike(a: char, b: char) -> bool {
    reading(a).chars().any(|letter| reading(b).contains(letter))
}

/// Tries every word at every place of the code, character by character.
fn is_denied_naively(list: &[String], mask: &Mask, code: &str) -> bool {
    let is_placeholder = |at: usize| at >= mask.body().len() || mask.positions()[at].len() > 1;
    let read: Vec<(usize, char)> = code.chars().enumerate().filter(|(_, c)| !reading(*c).is_empty()).collect();
    list.iter().any(|word| {
        let symbols: Vec<char> = word.chars().filter(|c| !reading(*c).is_empty()).collect();
        read.windows(symbols.len()).any(|window| {
            let alike = window.iter().zip(&symbols).all(|((_, found), symbol)| reads_alike(*found, *symbol));
            alike && (window[0].0..=window[window.len() - 1].0).any(is_placeholder)
        })
    })
}

/// Every code of a box (one set of symbols a position).
fn all_codes(part: &[SymbolSet]) -> Vec<String> {
    part.iter().fold(vec![String::new()], |begun, set| {
        begun.iter().flat_map(|code| set.iter().map(move |byte| format!("{code}{}", char::from(byte)))).collect()
    })
}

#[test]
fn look_alikes_and_separators_are_read_as_the_word() {
    for (word, codes) in [
        ("boat", &["BOAT", "80A7", "8-0_4.T", "b0@7"][..]),
        ("zesty", &["23S7Y", "Z-3-$-7-Y"]),
        ("gag", &["GAG", "6A9", "9@6"]),
        ("lili", &["LILI", "1111", "L!1I", "L1-!I"]),
        ("d1d", &["DID", "DLD", "D1D", "D!D"]),
        ("b-o.b", &["BOB", "80B"]),
    ] {
        for code in codes {
            let any = format!("[!-~]{{{}}}", code.len());
            assert!(is_denied(&[word], &any, &code.to_uppercase()), "{word} in {code}");
        }
    }
    for (word, code) in [("lili", "LLLI"), ("boat", "BOT-"), ("boat", "BOXAT"), ("d1d", "DED"), ("did", "DLD")] {
        assert!(!is_denied(&[word], &format!("[!-~]{{{}}}", code.len()), code), "{word} in {code}");
    }
}

#[test]
fn a_word_that_is_entirely_in_literals_is_not_denied() {
    for (mask_text, code, denied) in [
        ("CAT##", "CAT11", false),
        ("C-A-T##", "C-A-T11", false),
        ("##CAT", "11CAT", false),
        ("CAT##CAT", "CAT11CAT", false),
        ("CA?", "CAT", true),
        ("?AT", "CAT", true),
        ("C?T", "CAT", true),
        ("CA#", "CA7", true),
        ("CAT?AT", "CATCAT", true),
        ("##C-?-T", "11C-A-T", true),
        // The separator inside the word comes from a placeholder, so the literals alone do not make the word.
        ("CA[-X]T", "CA-T", true),
        ("CA[-X]T", "CAXT", false),
        ("CAT[-X]", "CAT-", false),
        ("[-X]CAT", "-CAT", false),
        ("#CA\\TA[TX]", "1CATAT", false),
        ("CA[:check:]", "CAT", true),
        ("CAT[:check:]", "CATT", false),
        ("CAT", "CAT", false),
        // A choice is the mask's, whatever it stands between; a set of one character leaves none.
        ("CA[BTXY]", "CAT", true),
        ("CA[BTXY]", "CAX", false),
        ("C[A4]T", "CAT", true),
        ("C[A4]T", "C4T", true),
        ("CA[T]", "CAT", false),
        ("[C][A]{1}[T]", "CAT", false),
    ] {
        assert_eq!(is_denied(&["cat"], mask_text, code), denied, "{mask_text} {code}");
    }
    assert!(is_denied(&["cat", "catx"], "CAT?", "CATX"), "the longer word reaches the placeholder");
    assert!(is_denied(&["cat", "xcat"], "?CAT", "XCAT"), "the longer word ends where the shorter one does");
    assert!(!is_denied(&["cat", "xcat"], "?CAT", "YCAT"));
}

#[test]
fn words_that_read_alike_count_once_in_any_order_and_case() {
    let list = words(&["Cat", "dog"]);
    assert_eq!(list.len(), 2);
    for same in [&["dog", "cat"][..], &["DOG", "c4t", "CAT"], &["d.o.g", "cat", "dog"], &["d0g", "c@7"]] {
        assert_eq!((words(same).digest(), words(same).len()), (list.digest(), 2), "{same:?}");
    }
    for other in [&["cat"][..], &["cat", "dig"], &["cat", "dog", "cow"], &["catd", "og"], &["cat", "do", "g0g"]] {
        assert_ne!(words(other).digest(), list.digest(), "{other:?}");
    }
    // sha256 of "CAT\nDOG\n", by sha256sum.
    let digest: String = list.digest().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(digest, DIGEST_OF_CAT_AND_DOG);
    assert_eq!(format!("{list:?}"), "DeniedWords { len: 2, .. }");
}

const DIGEST_OF_CAT_AND_DOG: &str = "254ee1cd034706e081c444fcdfb049b4a551814824ba7c4ebfca9fa813c87bf8";

#[test]
fn a_text_has_one_word_a_line_and_errors_name_the_line() {
    let text = DeniedWords::from_text("\u{feff}# comment\r\n\r\n  Cat\t\r\n #dog\ndog").expect("words");
    assert_eq!(text.digest(), words(&["cat", "dog"]).digest());
    let long = "x".repeat(WORD_LENGTH_MAX + 1);
    for (text, line, problem, message) in [
        ("cat\n\n-_-\n", 3, WordProblem::NothingToRead, "no letter and no digit"),
        ("# a\ncaf\u{e9}", 2, WordProblem::NotPrintable('\u{e9}'), "found 'é', which no code can have"),
        ("ca\u{0}t", 1, WordProblem::NotPrintable('\u{0}'), "found '\\0'"),
        ("cat\nx", 2, WordProblem::TooShort, "leave the character out of the mask"),
        (&*long, 1, WordProblem::TooLong, "more than 64 letters and digits"),
    ] {
        let error = DeniedWords::from_text(text).expect_err(text);
        assert_eq!(error, DeniedWordsError::Word { line, problem });
        assert!(error.to_string().contains(message) && error.to_string().starts_with(&format!("line {line}: ")));
    }
    for text in ["", "\n\n", "# only\n  # comments"] {
        assert_eq!(DeniedWords::from_text(text).expect_err(text), DeniedWordsError::NoWords);
    }
    let longest = format!("{}-{}", &long[..32], &long[..32]);
    assert_eq!(words(&[&longest]).len(), 1, "separators are not counted");
}

#[test]
fn lists_that_would_need_too_much_memory_are_refused_at_once() {
    let many: Vec<String> = (0..=WORDS_MAX as u32).map(in_letters).collect();
    let error = DeniedWords::new(many.iter().map(String::as_str)).expect_err("too many");
    assert_eq!(error, DeniedWordsError::TooManyWords);
    let error = DeniedWords::new(["ILLILLILLILLILLILLILLILLILLILL"]).expect_err("too many forms");
    assert_eq!(error, DeniedWordsError::TooManyForms);
    assert!(error.to_string().contains(&FORM_SYMBOLS_MAX.to_string()));
    let every = "1".repeat(WORD_LENGTH_MAX);
    assert_eq!(DeniedWords::new([&*every]).expect_err("3^64 forms"), DeniedWordsError::TooManyForms);
    assert_eq!(words(&["ILLILLILLILLILLI"]).len(), 1, "2^16 forms of 16 symbols");
}

#[test]
fn the_union_of_two_lists_has_the_words_of_both() {
    let both = words(&["cat", "cow"]).union(&words(&["c0w", "dog"])).expect("words");
    assert_eq!(both.digest(), words(&["cat", "cow", "dog"]).digest());
    let denied = DeniedInMask::new(&Arc::new(both), &mask("???"));
    assert!(["CAT", "COW", "DOG"].iter().all(|code| denied.is_denied(code.as_bytes())));
}

#[test]
fn the_builtin_list_is_valid_and_allows_harmless_codes() {
    let builtin = Arc::new(DeniedWords::builtin().expect("words"));
    assert!((80..=150).contains(&builtin.len()));
    let denied = DeniedInMask::new(&builtin, &mask("*{8}"));
    assert!(denied.is_denied(b"XX5H1TXX") && !denied.is_denied(b"BLOSSOM7"));
    let all = 36_u128.pow(8);
    let allowed = denied.count_allowed(mask("*{8}").positions());
    assert!(allowed > all / 100 * 98 && allowed < all, "{allowed} of {all}");
    let safe = DeniedInMask::new(&builtin, &mask("[:safe:]{8}"));
    assert!(safe.count_allowed(mask("[:safe:]{8}").positions()) > 24_u128.pow(8) / 100 * 98);
}

#[test]
fn a_list_that_denies_every_code_leaves_none() {
    let pairs: Vec<String> = ('A'..='Z').flat_map(|a| ('A'..='Z').map(move |b| format!("{a}{b}"))).collect();
    let list = Arc::new(DeniedWords::new(pairs.iter().map(String::as_str)).expect("words"));
    let all = mask("*{18}");
    assert_eq!(DeniedInMask::new(&list, &all).count_allowed(all.positions()), 0);
    let spread = mask("?-?");
    assert_eq!(DeniedInMask::new(&list, &spread).count_allowed(spread.positions()), 0);
    let one = mask("-?-");
    assert_eq!(DeniedInMask::new(&list, &one).count_allowed(one.positions()), 26);
}

#[test]
fn counts_of_large_boxes_are_exact() {
    let denied = DeniedInMask::new(&words(&["aa"]), &mask("[AB]{64}"));
    // The words over two letters without two A in a row are counted by Fibonacci numbers.
    let fibonacci = (0..65).fold((1_u128, 1_u128), |(a, b), _| (b, a + b)).0;
    assert_eq!(denied.count_allowed(mask("[AB]{64}").positions()), fibonacci);
    let large = mask("[A-Z0-5]{19}[A-Z0-4]");
    let none = DeniedInMask::new(&words(&["!!!-ii-ll-oo-ll-ii-88"]), &mask("[XYZ]{2}"));
    assert_eq!(none.count_allowed(mask("[XYZ]{2}").positions()), 9);
    let never = DeniedInMask::new(&words(&["9999"]), &large);
    assert!(never.count_allowed(large.positions()) < 31 << 95, "9 reads as G");
}

#[test]
fn check_characters_are_ignored_in_counts_and_read_in_codes() {
    let with_check = mask("?A[:check:]");
    let denied = DeniedInMask::new(&words(&["cat", "ba"]), &with_check);
    assert_eq!(denied.count_allowed(with_check.positions()), 25, "all but BA");
    assert!(denied.is_denied(b"CAT") && denied.is_denied(b"CA7") && !denied.is_denied(b"CAX"));
    let literal = mask("CAT[:check:]{2}");
    assert_eq!(DeniedInMask::new(&words(&["cat"]), &literal).count_allowed(literal.positions()), 1);
}

#[test]
fn a_long_list_is_searched_without_a_table_and_finds_the_same() {
    let many: Vec<String> = (0..80_000).map(|number| in_letters(number * 7919)).collect();
    let list = Arc::new(DeniedWords::new(many.iter().map(String::as_str)).expect("words"));
    let all = mask("B[A-H][0-4]-[A-H][5-9][A-H]");
    let denied = DeniedInMask::new(&list, &all);
    let known: HashSet<&str> = many.iter().map(String::as_str).collect();
    let (mut allowed, mut found) = (0, 0);
    for code in all_codes(all.positions()) {
        let read: String = code.chars().map(reading).collect();
        let expected = read.as_bytes().windows(5).any(|five| known.contains(std::str::from_utf8(five).expect("text")));
        assert_eq!(denied.is_denied(code.as_bytes()), expected, "{code}");
        allowed += u128::from(!expected);
        found += u32::from(expected);
    }
    assert!(found > 0 && allowed > 0);
    assert_eq!(denied.count_allowed(all.positions()), allowed);
}

/// A word of five letters for each number below 16^5; each word has one form.
fn in_letters(number: u32) -> String {
    (0..5).map(|place| char::from(b"ABCDEFGHKMNOPQRS"[(number >> (4 * place) & 15) as usize])).collect()
}

/// Words over few letters, so that codes contain them, with look-alikes and separators.
fn word() -> impl Strategy<Value = String> {
    vec(select("AIL14B-".chars().collect::<Vec<_>>()), 2..5)
        .prop_map(|symbols| symbols.into_iter().collect::<String>())
        .prop_filter("too short", |word| word.chars().filter(|c| *c != '-').count() >= 2)
}

/// Masks of few codes over the same letters, with literals and separators.
fn small_mask() -> impl Strategy<Value = String> {
    let literal = select(vec!["A", "I", "L", "1", "4", "-", "B", "_", "AL", "!A"]);
    let placeholder = select(vec!["[AI1]", "[A-]", "[L1\\-]", "[4BL]", "[IL]", "[_\\-]", "[XA]"]);
    (vec(prop_oneof![literal, placeholder], 1..8), select(vec!["", "", "[:check:]"]))
        .prop_map(|(pieces, check)| format!("{}{check}", pieces.concat()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_codes_are_denied_exactly_as_by_a_naive_implementation(list in vec(word(), 1..6), text in small_mask()) {
        let mask = mask(&text);
        let words = Arc::new(DeniedWords::new(list.iter().map(String::as_str))?);
        let denied = DeniedInMask::new(&words, &mask);
        let mut allowed = 0;
        for code in all_codes(mask.positions()) {
            let expected = is_denied_naively(&list, &mask, &code);
            prop_assert_eq!(denied.is_denied(code.as_bytes()), expected, "{} in {}", code, text);
            allowed += u128::from(!expected);
        }
        if mask.check_length() == 0 {
            prop_assert_eq!(denied.count_allowed(mask.positions()), allowed, "{} {:?}", text, list);
        } else {
            // Counts leave check characters out, as if the mask ended before them.
            let body = all_codes(mask.body());
            let allowed = body.iter().filter(|code| !is_denied_naively(&list, &mask, code)).count();
            prop_assert_eq!(denied.count_allowed(mask.positions()), allowed as u128);
        }
    }

    #[test]
    fn prop_the_count_of_a_part_is_the_number_of_its_allowed_codes(
        list in vec(word(), 1..6), text in small_mask(), choices in any::<[u64; 16]>()
    ) {
        let mask = mask(&text);
        let words = Arc::new(DeniedWords::new(list.iter().map(String::as_str))?);
        // A random subset at each position, seldom an empty one.
        let subset = |(set, choice): (&SymbolSet, u64)| {
            let kept: Vec<u8> = set.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 1).map(|(_, byte)| byte).collect();
            if kept.is_empty() && choice % 8 > 0 { *set } else { SymbolSet::of(&kept) }
        };
        let part: Vec<SymbolSet> = mask.positions().iter().zip(choices).map(subset).collect();
        let allowed = all_codes(&part[..mask.body().len()]).iter().filter(|code| !is_denied_naively(&list, &mask, code)).count();
        prop_assert_eq!(DeniedInMask::new(&words, &mask).count_allowed(&part), allowed as u128, "{} {:?} {:?}", text, list, part);
    }
}
