//! Masks written back: the canonical form, and properties of arbitrary texts.

use codemint_codes::mask::{Mask, MaskProblem};
use codemint_codes::symbols::SymbolSet;
use proptest::collection::{btree_set, vec};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;

#[test]
fn a_mask_is_written_in_its_shortest_form() {
    for (text, canonical) in [
        ("my_little_promo[A-Z]{4}##", "MY_LITTLE_PROMO????##"),
        ("#{4}", "####"),
        ("#####", "#{5}"),
        ("##[0-9]{3}[[:digit:]]", "#{6}"),
        ("?*", "?*"),
        ("?{5}*{7}", "?{5}*{7}"),
        ("[0-9A-Z]", "*"),
        ("[:safe:]", "[:safe:]"),
        ("[:safe:][:safe:]", "[:safe:]{2}"),
        ("[BCDFGHJKLMNPQRSTVWXZ3479]{3}", "[:safe:]{3}"),
        ("[FEDCBA]", "[A-F]"),
        ("[AB]", "[AB]"),
        ("[ABC]", "[A-C]"),
        ("[AC-E]{2}", "[AC-E]{2}"),
        ("[AB][AB][CD]", "[AB]{2}[CD]"),
        ("[[:digit:]A-F]", "[0-9A-F]"),
        ("[A]{5}", "AAAAA"),
        ("[#][*]", "\\#\\*"),
        ("\\#\\?\\*\\[\\]\\{\\}\\\\", "\\#\\?\\*\\[\\]\\{\\}\\\\"),
        ("\\-\\:\\A", "-:A"),
        ("[#?*{}]", "[#*?{}]"),
        ("[\\:A]", "[\\:A]"),
        ("[A:]", "[\\:A]"),
        ("[-A]", "[\\-A]"),
        ("[+--]", "[+-\\-]"),
        ("[+\\-]", "[+\\-]"),
        ("[--/]", "[\\--/]"),
        ("[\\[-_]", "[\\[-_]"),
        ("[\\\\A]", "[A\\\\]"),
        ("[\\]^]", "[\\]^]"),
        ("[9-;]", "[9-;]"),
        ("[!-~]", "[!-`{-~]"),
    ] {
        let mask: Mask = text.parse().expect(text);
        assert_eq!(mask.to_string(), canonical, "{text:?}");
        assert_eq!(canonical.parse::<Mask>().expect(canonical), mask, "{canonical:?}");
    }
}

/// A piece of a mask as a user might write it, with its repeat.
fn piece() -> impl Strategy<Value = String> {
    let graphic = || (b'!'..=b'~').prop_map(char::from);
    let member = prop_oneof![
        graphic().prop_map(|symbol| format!("\\{symbol}")),
        (graphic(), graphic()).prop_filter_map("runs backwards", |(first, last)| {
            (first.to_ascii_uppercase() <= last.to_ascii_uppercase() && first <= last)
                .then(|| format!("\\{first}-\\{last}"))
        }),
        select(vec!["[:digit:]", "[:Alpha:]", "[:ALNUM:]", "[:safe:]"]).prop_map(str::to_owned),
    ];
    let placeholder = prop_oneof![
        select(vec!["#", "?", "*", "[:safe:]", "[:alnum:]"]).prop_map(str::to_owned),
        vec(member, 1..4).prop_map(|members| format!("[{}]", members.concat())),
    ];
    prop_oneof![
        graphic().prop_map(|symbol| format!("\\{symbol}")),
        select(vec!["a", "Z", "0", "-", "_", ":", "promo"]).prop_map(str::to_owned),
        (placeholder, 0_usize..5).prop_map(|(set, times)| if times == 0 { set } else { format!("{set}{{{times}}}") }),
    ]
}

/// Symbol sets of any size, each with the number of times it is repeated in a row.
fn symbol_sets() -> impl Strategy<Value = Vec<(Vec<u8>, usize)>> {
    let symbols = prop_oneof![btree_set(b'!'..=b'~', 1..5), btree_set(b'!'..=b'~', 1..60)];
    vec((symbols.prop_map(|set| set.into_iter().collect()), 1_usize..6), 1..6)
}

fn assert_reads_back(mask: &Mask) -> Result<(), proptest::test_runner::TestCaseError> {
    let canonical = mask.to_string();
    let again: Mask = canonical.parse()?;
    prop_assert_eq!(&again, mask, "{}", canonical);
    prop_assert_eq!(again.to_string(), canonical);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_roundtrip_display_parses_to_an_equal_mask(pieces in vec(piece(), 1..9)) {
        let text = pieces.concat();
        match text.parse::<Mask>() {
            Ok(mask) => assert_reads_back(&mask)?,
            Err(error) => {
                let limit = matches!(error.problem, MaskProblem::KeyspaceTooLarge | MaskProblem::TooManyCharacters);
                prop_assert!(limit, "{}: {}", text, error);
            }
        }
    }

    #[test]
    fn prop_roundtrip_display_parses_to_equal_symbol_sets(sets in symbol_sets()) {
        let mut text = String::new();
        let mut expected = Vec::new();
        let mut size = 1_u128;
        for (symbols, times) in sets {
            let set = SymbolSet::of(&symbols);
            size *= u128::from(set.len()).pow(times as u32);
            if size >= 1 << 100 {
                break;
            }
            let escaped: String = symbols.iter().map(|&symbol| format!("\\{}", char::from(symbol))).collect();
            text.push_str(&format!("[{escaped}]").repeat(times));
            expected.extend(std::iter::repeat_n(set, times));
        }
        let mask: Mask = text.parse()?;
        prop_assert_eq!(mask.positions(), &expected[..]);
        assert_reads_back(&mask)?;
    }

    #[test]
    fn prop_any_text_is_a_mask_or_has_a_problem_inside_it(
        text in vec(prop_oneof![
            6 => select("#?*[]{}\\-:A0z1 []:".chars().collect::<Vec<_>>()).prop_map(String::from),
            1 => any::<char>().prop_map(String::from),
            1 => select(vec!["[:digit:]", "[:safe:", "[:check:]", "{2}", "{64}", "[A-F]"]).prop_map(str::to_owned),
            1 => Just("\u{e9}\u{1f600}".to_owned()),
        ], 0..30).prop_map(|parts| parts.concat()),
    ) {
        match text.parse::<Mask>() {
            Ok(mask) => assert_reads_back(&mask)?,
            Err(error) => {
                // What is missing at the end of a text is reported after its last character.
                let missing = matches!(error.problem, MaskProblem::BadRepeat { .. } | MaskProblem::BadCheckRepeat { .. });
                let behind = missing || error.problem == MaskProblem::Empty;
                prop_assert!(error.offset < text.len() + usize::from(behind), "{:?}: {}", text, error);
                prop_assert!(text.is_char_boundary(error.offset), "{:?}: {}", text, error);
            }
        }
    }
}
