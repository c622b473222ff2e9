//! The mask grammar: what each text means, what is refused and where, and how a mask is written back.

use std::collections::HashSet;
use std::mem::discriminant;

use codemint_codes::mask::{CODE_LENGTH_MAX, KEYSPACE_SIZE_LIMIT, MASK_TEXT_MAX, Mask, MaskProblem};
use codemint_codes::symbols::{ALNUM, ALPHA, DIGIT, SAFE, SymbolSet};

const PRINTABLE: &[u8] = b"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`{|}~";

fn mask(text: &str) -> Mask {
    text.parse().unwrap_or_else(|error| panic!("{text:?}: {error}"))
}

fn assert_positions(text: &str, expected: &[SymbolSet]) {
    assert_eq!(mask(text).positions(), expected, "{text:?}");
}

fn set(symbols: &str) -> SymbolSet {
    SymbolSet::of(symbols.as_bytes())
}

fn problem(text: &str) -> (usize, MaskProblem) {
    let error = text.parse::<Mask>().expect_err(text);
    (error.offset, error.problem)
}

fn size(mask: &Mask) -> u128 {
    mask.positions().iter().map(|set| u128::from(set.len())).product()
}

#[test]
fn every_problem_names_its_position_and_the_fix() {
    let too_long = "A".repeat(MASK_TEXT_MAX + 1);
    let too_many = "A".repeat(CODE_LENGTH_MAX + 1);
    let table = [
        ("", "mask, byte 1: the mask is empty; write at least one character, such as PROMO-####"),
        (&*too_long, "mask, byte 4097: the text is 4097 bytes long; at most 4096 are read"),
        (&*too_many, "mask, byte 65: codes would have more than 64 characters; shorten the mask"),
        ("A*{19}#", "mask, byte 7: from here on the mask has 2^100 codes or more; use fewer placeholders"),
        ("A #", "mask, byte 2: found a space; codes consist of printable ASCII characters without the space"),
        ("#\u{e9}", "mask, byte 2: found '\u{e9}'; codes consist of printable ASCII characters without the space"),
        ("A]", "mask, byte 2: found ']' without a '[' before it; write \\] for the character itself"),
        (
            "AB{2}",
            "mask, byte 3: found { after a literal; a repeat such as {3} follows a placeholder (# ? * or a set); \
             write \\{ for the character itself",
        ),
        ("#{0}", "mask, byte 3: found 0 in a repeat; write a number from 1 to 64 and a closing brace, such as {3}"),
        (
            "A\\",
            "mask, byte 2: found the end of the mask after a backslash; write \\\\ for a backslash, or the character to \
             make literal",
        ),
        ("A[BC", "mask, byte 2: the set that opens here is not closed; write ] after its last character"),
        ("A[]", "mask, byte 2: the set is empty; write the characters that may stand here, such as [A-F0-9]"),
        ("[AB[]", "mask, byte 4: found '[' inside a set; write \\[ for the character itself"),
        ("[0Z-A]", "mask, byte 3: the range Z-A runs backwards; write A-Z"),
        (
            "#[:hex:]",
            "mask, byte 2: unknown named set; the named sets are [:digit:] [:alpha:] [:alnum:] [:safe:] and, at the end of \
             a mask, [:check:]; write \\: for a colon",
        ),
        (
            "#[:check:]A",
            "mask, byte 2: something follows [:check:]; check characters are computed from all before them and must \
             end the mask",
        ),
        (
            "#[A[:check:]]",
            "mask, byte 4: found [:check:] inside a set; check characters stand alone at the end of the mask, such as \
             ####[:check:]",
        ),
        (
            "#[:check:]{5}",
            "mask, byte 12: found 5 in the repeat of [:check:]; write a number from 1 to 4 and a closing brace, such as \
             {2}",
        ),
        (
            "[:check:]",
            "mask, byte 1: the mask has nothing but check characters; write at least one other character before them",
        ),
    ];
    let mut problems = HashSet::new();
    for (text, message) in table {
        let error = text.parse::<Mask>().expect_err(text);
        assert_eq!(error.to_string(), message, "{text:?}");
        assert!(problems.insert(discriminant(&error.problem)), "{text:?} has the same problem as an earlier row");
    }
    assert_eq!(problems.len(), 19, "every problem has a row");
}

#[test]
fn characters_that_no_code_can_have_are_refused_at_any_position() {
    for (character, expected) in [
        (' ', MaskProblem::Space),
        ('\t', MaskProblem::NotPrintable('\t')),
        ('\n', MaskProblem::NotPrintable('\n')),
        ('\0', MaskProblem::NotPrintable('\0')),
        ('\u{7f}', MaskProblem::NotPrintable('\u{7f}')),
        ('\u{a0}', MaskProblem::NotPrintable('\u{a0}')),
        ('\u{1f600}', MaskProblem::NotPrintable('\u{1f600}')),
    ] {
        for (before, after) in [("", "#"), ("A#", ""), ("A\\", ""), ("[A", "B]"), ("[A-", "]"), ("[\\", "]")] {
            assert_eq!(problem(&format!("{before}{character}{after}")), (before.len(), expected.clone()), "{before:?}");
        }
    }
}

#[test]
fn an_unmatched_closing_brace_or_bracket_is_refused() {
    let not_opened = |found, opening| MaskProblem::NotOpened { found, opening };
    assert_eq!(problem("]"), (0, not_opened(']', '[')));
    assert_eq!(problem("[AB]]"), (4, not_opened(']', '[')));
    assert_eq!(problem("AB}"), (2, not_opened('}', '{')));
    assert_eq!(problem("#{2}}"), (4, not_opened('}', '{')));
}

#[test]
fn a_repeat_follows_a_placeholder_only() {
    let nothing = |after| MaskProblem::NothingToRepeat { after };
    assert_eq!(problem("{2}"), (0, nothing("nothing")));
    assert_eq!(problem("A{2}"), (1, nothing("a literal")));
    assert_eq!(problem("\\#{2}"), (2, nothing("a literal")));
    assert_eq!(problem("#A{2}"), (2, nothing("a literal")));
    assert_eq!(problem("#{2}{2}"), (4, nothing("a repeat")));
}

#[test]
fn a_repeat_is_a_number_from_1_to_64_in_braces() {
    let bad = |found: &str| MaskProblem::BadRepeat { found: found.to_owned() };
    let huge = "9".repeat(50);
    for (repeat, offset, found) in [
        ("{0}", 2, "0"),
        ("{65}", 2, "65"),
        (&*format!("{{{huge}}}"), 2, &*huge),
        ("{}", 2, "'}'"),
        ("{x}", 2, "'x'"),
        ("{-1}", 2, "'-'"),
        ("{3x}", 3, "'x'"),
        ("{3 }", 3, "' '"),
        ("{3,4}", 3, "','"),
        ("{3\u{e9}}", 3, "'\u{e9}'"),
        ("{", 2, "the end of the mask"),
        ("{3", 3, "the end of the mask"),
        ("{99", 4, "the end of the mask"),
    ] {
        assert_eq!(problem(&format!("#{repeat}")), (offset, bad(found)), "{repeat:?}");
    }
    assert_positions("#{1}", &[DIGIT]);
    assert_positions("#{03}", &[DIGIT; 3]);
    assert_positions("[A]{64}", &[set("A"); 64]);
}

#[test]
fn unclosed_empty_and_nested_sets_are_refused_where_they_open() {
    for text in ["A[", "A[B", "A[B-", "A[[:digit:]", "A[B\\]"] {
        assert_eq!(problem(text), (1, MaskProblem::SetNotClosed), "{text:?}");
    }
    assert_eq!(problem("[]A]"), (0, MaskProblem::SetEmpty));
    assert_eq!(problem("[A\\"), (2, MaskProblem::NothingEscaped));
    assert_eq!(problem("[A-\\"), (3, MaskProblem::NothingEscaped));
    let opens = MaskProblem::SetNeedsEscape { found: '[' };
    assert_eq!(problem("[["), (1, opens.clone()));
    assert_eq!(problem("[[digit]]"), (1, opens.clone()));
    assert_eq!(problem("[A-[:digit:]]"), (3, opens));
    for (text, offset) in [("[:", 0), ("A[:digit]", 1), ("[:digits:]", 0), ("[0[:]", 2), ("[:\u{e9}:]", 0)] {
        assert_eq!(problem(text), (offset, MaskProblem::UnknownName), "{text:?}");
    }
}

#[test]
fn a_backward_range_is_refused_with_its_ends_in_upper_case() {
    for (text, offset, first, last) in
        [("[B-A]", 1, 'B', 'A'), ("[z-a]", 1, 'Z', 'A'), ("[_z-A]", 2, 'Z', 'A'), ("[9-0]", 1, '9', '0')]
    {
        assert_eq!(problem(text), (offset, MaskProblem::RangeBackwards { first, last }), "{text:?}");
    }
}

#[test]
fn letters_fold_to_upper_case() {
    assert_eq!(mask("my_Promo\\x[a-f]"), mask("MY_PROMO\\X[A-F]"));
    assert_eq!(mask("[a-Z]"), mask("?"), "the case of letters does not matter");
    assert_eq!(mask("[A-z]"), mask("?"));
    assert_eq!(mask("[aAbB]"), mask("[AB]"));
    assert_eq!(mask("[:Digit:][[:SAFE:]]"), mask("[:digit:][:safe:]"));
    assert_positions("[^-c]", &[set("^_`ABC")]);
}

#[test]
fn named_sets_may_stand_alone_inside_sets_and_before_repeats() {
    assert_positions("#?*", &[DIGIT, ALPHA, ALNUM]);
    assert_positions("[:digit:][:alpha:][:alnum:][:safe:]", &[DIGIT, ALPHA, ALNUM, SAFE]);
    assert_positions("[[:digit:]][[:safe:]]", &[DIGIT, SAFE]);
    assert_positions("[[:digit:]A-F]", &[set("0123456789ABCDEF")]);
    assert_positions("[X[:digit:][:alpha:]_]", &[ALNUM.union(set("_"))]);
    assert_positions(
        "[:safe:]{3}#{2}[[:digit:]A]{2}",
        &[SAFE, SAFE, SAFE, DIGIT, DIGIT, set("A0123456789"), set("A0123456789")],
    );
    assert_eq!((DIGIT.len(), ALPHA.len(), ALNUM.len(), SAFE.len()), (10, 26, 36, 24));
}

#[test]
fn an_escaped_character_stands_for_itself() {
    for &byte in PRINTABLE {
        let character = char::from(byte);
        assert_positions(&format!("\\{character}"), &[SymbolSet::of(&[byte])]);
        assert_positions(&format!("[\\{character}]"), &[SymbolSet::of(&[byte])]);
    }
    assert_positions("\\[A\\]\\{2\\}\\\\", &["[", "A", "]", "{", "2", "}", "\\"].map(set));
}

#[test]
fn a_character_without_a_meaning_stands_for_itself() {
    for &byte in PRINTABLE.iter().filter(|byte| !b"#?*[]{}\\".contains(byte)) {
        assert_positions(&char::from(byte).to_string(), &[SymbolSet::of(&[byte])]);
    }
    for &byte in PRINTABLE.iter().filter(|byte| !b"[]\\:".contains(byte)) {
        assert_positions(&format!("[{}]", char::from(byte)), &[SymbolSet::of(&[byte])]);
    }
    assert_positions("[A:]", &[set("A:")]);
}

#[test]
fn a_range_includes_both_of_its_ends_and_everything_between() {
    assert_positions("[A-HJ-NP-Z2-9]", &[set("ABCDEFGHJKLMNPQRSTUVWXYZ23456789")]);
    assert_positions("[B-B]", &[set("B")]);
    assert_positions("[!-~]", &[SymbolSet::of(PRINTABLE)]);
    assert_positions("[-A]", &[set("-A")]);
    assert_positions("[A-]", &[set("A-")]);
    assert_positions("[A-C-]", &[set("ABC-")]);
    assert_positions("[A-C-E]", &[set("ABC-E")]);
    assert_positions("[A\\-C]", &[set("A-C")]);
    assert_positions("[--/]", &[set("-./")]);
    assert_positions("[\\[-\\]]", &[set("[\\]")]);
}

#[test]
fn a_code_has_at_most_64_characters() {
    assert_eq!(mask(&"A".repeat(64)).code_length(), 64);
    assert_eq!(mask("[01]{64}").code_length(), 64);
    assert_eq!(problem("[01]{64}A"), (8, MaskProblem::TooManyCharacters));
    assert_eq!(problem("A[01]{64}"), (5, MaskProblem::TooManyCharacters), "the repeat exceeds the limit");
    assert_eq!(problem(&"\\A".repeat(65)), (128, MaskProblem::TooManyCharacters));
}

/// Returns a mask with one set of each of these sizes, and the product of the sizes.
fn of_sizes(sizes: &[usize]) -> (String, u128) {
    let sets = sizes.iter().map(|&size| {
        let symbols: String = PRINTABLE[..size].iter().map(|&byte| format!("\\{}", char::from(byte))).collect();
        format!("[{symbols}]")
    });
    (sets.collect(), sizes.iter().map(|&size| size as u128).product())
}

#[test]
fn a_keyspace_is_smaller_than_2_to_the_100() {
    assert_eq!(problem("[A-Z0-5]{20}"), (8, MaskProblem::KeyspaceTooLarge), "exactly 2^100");
    assert_eq!(size(&mask("[A-Z0-5]{19}[A-Z0-4]")), 31 << 95);
    assert_eq!(problem("[A-Z0-5]{19}[A-Z0-5]").0, 12);
    assert_eq!(problem("[A-P]{25}").1, MaskProblem::KeyspaceTooLarge);
    assert_eq!(size(&mask("[A-P]{24}[A-O]")), 15 << 96);

    // The products nearest to the limit on both sides that a search found.
    let (text, product) = of_sizes(&[15, 21, 21, 23, 23, 26, 27, 38, 40, 42, 44, 48, 56, 59, 63, 64, 64, 67, 67]);
    assert!(product < KEYSPACE_SIZE_LIMIT && KEYSPACE_SIZE_LIMIT - product < KEYSPACE_SIZE_LIMIT >> 33);
    assert_eq!(size(&mask(&text)), product);
    let (text, product) = of_sizes(&[21, 36, 38, 40, 41, 41, 41, 41, 43, 46, 52, 53, 61, 62, 63, 65, 68, 68]);
    assert!(product > KEYSPACE_SIZE_LIMIT && product - KEYSPACE_SIZE_LIMIT < KEYSPACE_SIZE_LIMIT >> 29);
    assert_eq!(problem(&text), (text.len() - "[]".len() - 2 * 68, MaskProblem::KeyspaceTooLarge), "the last set");
}

#[test]
fn literals_do_not_enlarge_the_keyspace() {
    assert_eq!(size(&mask("A[B]{20}[A-Z0-5]{19}-\\*")), 1 << 95);
}

#[test]
fn a_text_of_4096_bytes_is_accepted_and_a_longer_one_is_refused() {
    let longest = format!("[{}]", "A".repeat(MASK_TEXT_MAX - 2));
    assert_eq!((longest.len(), mask(&longest)), (4096, mask("A")));
    let longer = format!("[{}]", "A".repeat(MASK_TEXT_MAX - 1));
    assert_eq!(problem(&longer), (4096, MaskProblem::TextTooLong { length: 4097 }));
}

#[test]
fn a_mask_without_placeholders_has_one_code() {
    let only = mask("promo-2026");
    assert_eq!((size(&only), only.code_length(), &*only.to_string()), (1, 10, "PROMO-2026"));
}

#[test]
fn regression_a_text_that_is_too_long_is_refused_at_a_character_boundary() {
    let long = "\u{e9}".repeat(MASK_TEXT_MAX);
    assert_eq!(problem(&long), (4096, MaskProblem::TextTooLong { length: 8192 }));
    let odd = format!("A{long}");
    assert_eq!(problem(&odd), (4095, MaskProblem::TextTooLong { length: 8193 }));
    assert!(odd.is_char_boundary(4095) && !odd.is_char_boundary(4096));
}
