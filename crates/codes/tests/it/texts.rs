//! Texts for people: what comes from outside cannot act on a terminal, and numbers agree with their nouns.

use codemint_codes::text::{one_or_many, plural, printable, printable_lines};
use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

#[test]
fn regression_texts_from_outside_cannot_act_on_a_terminal() {
    let cases = [
        ("", ""),
        ("MY_LITTLE_PROMO????##", "MY_LITTLE_PROMO????##"),
        ("a\tb \"c\" 'd' \\e", "a\tb \"c\" 'd' \\e"),
        ("\x1b[31mred\x1b]0;title\x07", r"\u{1b}[31mred\u{1b}]0;title\u{7}"),
        ("one\ntwo\r\nthree", r"one\ntwo\r\nthree"),
        ("a\u{8}\u{c}\u{7f}\0b", r"a\u{8}\u{c}\u{7f}\0b"),
        // C1 controls: 0x9b alone begins a sequence on some terminals, 0x85 ends a line.
        ("\u{9b}31m \u{85} \u{80}", r"\u{9b}31m \u{85} \u{80}"),
        ("a\u{2028}b\u{2029}c", r"a\u{2028}b\u{2029}c"),
        ("\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}", r"\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}"),
        ("\u{2066}\u{2067}\u{2068}\u{2069}", r"\u{2066}\u{2067}\u{2068}\u{2069}"),
        ("\u{200e}\u{200f}\u{61c}", r"\u{200e}\u{200f}\u{61c}"),
        ("a\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}b", r"a\u{200b}\u{200d}\u{2060}\u{feff}\u{ad}b"),
        ("\u{e0041}\u{e000}", r"\u{e0041}\u{e000}"),
        // Letters of any language stay, with their marks; a mark without a letter would change the text before it.
        ("Frühling für Ärzte, 春, весна", "Frühling für Ärzte, 春, весна"),
        ("e\u{301}te\u{301} दिवाली ❤\u{fe0f}", "e\u{301}te\u{301} दिवाली ❤\u{fe0f}"),
        ("\u{301}a", r"\u{301}a"),
    ];
    for (text, shown) in cases {
        assert_eq!(printable(text), shown, "{text:?}");
    }
    assert_eq!(printable_lines("a\x1b\nb\r\n"), "a\\u{1b}\nb\\r\n");
}

#[test]
fn regression_numbers_agree_with_their_nouns() {
    for (noun, many) in [("code", "codes"), ("guess", "guesses"), ("match", "matches"), ("dead letter", "dead letters")]
    {
        assert_eq!(
            (plural(1_u64, noun), plural(0_u128, noun), plural(2_usize, noun)),
            (noun.into(), many.into(), many.into())
        );
    }
    assert_eq!((one_or_many(1_u8, "is", "are"), one_or_many(21_u8, "is", "are")), ("is", "are"));
}

proptest! {
    #[test]
    fn prop_a_printable_text_is_one_line_and_printed_unchanged_the_second_time(text in "\\PC{0,20}|.{0,20}|[\\x00-\\x1f\\u{80}-\\u{9f}\\u{2020}-\\u{2070}a]{0,20}") {
        let shown = printable(&text);
        prop_assert!(!shown.contains(|c: char| c.is_control() && c != '\t'), "{:?}", shown);
        prop_assert!(!shown.contains(['\u{2028}', '\u{2029}', '\u{202e}', '\u{2066}']), "{:?}", shown);
        prop_assert_eq!(printable(&shown), shown);
    }
}
