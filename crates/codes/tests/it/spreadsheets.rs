//! What spreadsheets do to codes: each text by itself, and the share of a mask's codes.

use std::sync::LazyLock;

use codemint_codes::batch::CodeBatch;
use codemint_codes::spreadsheet::{Misread, MisreadCounts, Spreadsheet};
use codemint_test_support::small_masks::{codes_of, mask};
use proptest::collection::vec;
use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;

fn spreadsheet() -> &'static Spreadsheet {
    static SPREADSHEET: LazyLock<Spreadsheet> = LazyLock::new(|| Spreadsheet::new().expect("an automaton"));
    &SPREADSHEET
}

#[test]
fn regression_texts_that_a_spreadsheet_changes_or_runs_are_recognized() {
    let spreadsheet = spreadsheet();
    let cases: [(Misread, &[&str]); 6] = [
        (Misread::Formula, &["=1", "+ABC", "-5", "@SUM", "-", "=HYPERLINK(\"X\")", "+0049123"]),
        (Misread::LeadingZeros, &["00", "01", "0123456789", "00000000000000000"]),
        (Misread::LongNumber, &["1234567890123456", "12345678901234567890"]),
        (Misread::Exponent, &["1E5", "12E34", "1E05", "0E0", "00E1", "123456E7", "1E+5", "1E-5", "1.5E3"]),
        (
            Misread::Date,
            &[
                "MAR-07",
                "MAR07",
                "MARCH1",
                "SEPT2",
                "DEC1",
                "MAY2026",
                "JUN/31",
                "JANUARY-1-2026",
                "5MAY",
                "31-DEC",
                "1DEC1999",
                "5.AUG.26",
                "2026-MAR-07",
                "2026MAR07",
                "3-4",
                "1/2",
                "31.12",
                "12/31",
                "12-99",
                "1-2026",
                "2026-11",
                "2026-11-01",
                "01/02/03",
                "31.12.2026",
                "12/31/26",
                "12:30",
                "1:2:3",
                "SEP30",
                "SEPTEMBER9",
                "APR-00",
            ],
        ),
        (Misread::Decimal, &["13.50", "123.4", "1,000", "0.5", "32.13", "40.7"]),
    ];
    for (kind, texts) in cases {
        for text in texts {
            assert_eq!(spreadsheet.misread(text), Some(kind), "{text}");
        }
    }
}

#[test]
fn texts_that_a_spreadsheet_keeps_are_not_recognized() {
    let kept = [
        "",
        "0",
        "7",
        "123456789012345",
        "PROMO",
        "SPRING-07",
        "A=1",
        "1+1",
        "E5",
        "1E",
        "1E5X",
        "X1E5",
        "E",
        "1EE5",
        "MAR",
        "MAY",
        "MAR-",
        "MARS1",
        "MAR-123",
        "MAR-0123",
        "MAR-32-7X",
        "XMAR-07",
        "32MAR",
        "0MAR",
        "32/13",
        "0/0",
        "13-13",
        "1-2-3-4",
        "1/",
        "/1",
        "12:",
        ":12",
        "1.2.3.4",
        "1.",
        ".5",
        "1899-12-01",
        "20AB",
        "1_000",
        "MAR_07",
        "MAR 07",
        "007-A",
    ];
    let spreadsheet = spreadsheet();
    for text in kept {
        assert_eq!(spreadsheet.misread(text), None, "{text:?}");
    }
}

#[test]
fn the_share_of_a_mask_is_exact_and_named_by_kind() {
    let spreadsheet = spreadsheet();
    let of = |text: &str| {
        let exposure = spreadsheet.exposure(&mask(text));
        let kinds: Vec<(Misread, f64)> = exposure.kinds().collect();
        assert_eq!(exposure.is_none(), kinds.is_empty(), "{text}");
        (exposure.share(), kinds)
    };
    for none in ["PROMO-####", "SPRING-[:safe:]{8}", "MY_LITTLE_PROMO????##", "#", "[1-9]###", "V", "?{3}", "[1-9]{15}"]
    {
        assert_eq!(of(none), (0.0, Vec::new()), "{none}");
    }
    assert_eq!(of("####"), (0.1, vec![(Misread::LeadingZeros, 0.1)]));
    assert_eq!(of("#{16}"), (1.0, vec![(Misread::LeadingZeros, 0.1), (Misread::LongNumber, 0.9)]));
    assert_eq!(of("-*{8}"), (1.0, vec![(Misread::Formula, 1.0)]));
    assert_eq!(of("[AB=+]??"), (0.5, vec![(Misread::Formula, 0.5)]));
    assert_eq!(of("[1-9]E#{4}"), (1.0, vec![(Misread::Exponent, 1.0)]));
    assert_eq!(of("[1-9][EF]##"), (0.5, vec![(Misread::Exponent, 0.5)]));
    assert_eq!(of("MAR-##"), (1.0, vec![(Misread::Date, 1.0)]));
    assert_eq!(of("M[AB]R-##").0, 0.5);
    assert_eq!(
        of("*{19}").1.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(),
        [Misread::LeadingZeros, Misread::LongNumber, Misread::Exponent,]
    );
}

#[test]
fn the_share_of_a_mask_with_check_characters_is_an_estimate() {
    let spreadsheet = spreadsheet();
    let plain = spreadsheet.exposure(&mask("####"));
    assert!(plain.is_exact());
    // Four of the 24 check characters are digits.
    let checked = spreadsheet.exposure(&mask("0###[:check:]"));
    assert!(!checked.is_exact());
    assert_eq!(checked.share(), 4.0 / 24.0);
}

#[test]
fn codes_are_counted_by_kind_over_batches() {
    let (spreadsheet, mut counts) = (spreadsheet(), MisreadCounts::default());
    assert_eq!((counts.total(), counts.kinds().count()), (0, 0));
    for lines in ["01\n1E\n11\n", "1E5\n-AB\nABC\n", "007\n", ""] {
        counts.add(spreadsheet, &CodeBatch::from_lines(lines.to_owned()));
    }
    assert_eq!(counts.total(), 4);
    let kinds: Vec<(Misread, u64)> = counts.kinds().collect();
    assert_eq!(kinds, [(Misread::Formula, 1), (Misread::LeadingZeros, 2), (Misread::Exponent, 1)]);
}

/// Masks whose codes often are numbers, powers of ten, dates and formulas.
fn risky_mask() -> impl Strategy<Value = String> {
    let piece = select(vec![
        "[01]", "[139]", "[0-3]", "[E1]", "[EM1]", "[-/]", "[-.1]", "[,:.]", "[=A1]", "MA[RY]", "SEPT", "[JN]AN", "19",
        "20", "-", "E", "0",
    ]);
    vec(piece, 1..7).prop_map(|pieces| pieces.concat().replace("[-", "[\\-").replace(",:", ",\\:"))
}

proptest! {
    #[test]
    fn prop_the_share_of_a_mask_is_that_of_its_listed_codes(text in risky_mask()) {
        let (mask, spreadsheet) = (mask(&text), spreadsheet());
        let codes = codes_of(mask.positions());
        let mut counts = MisreadCounts::default();
        counts.add(spreadsheet, &CodeBatch::from_lines(codes.iter().map(|code| format!("{code}\n")).collect()));
        let exposure = spreadsheet.exposure(&mask);
        let shares: Vec<(Misread, f64)> =
            counts.kinds().map(|(kind, number)| (kind, number as f64 / codes.len() as f64)).collect();
        prop_assert_eq!(exposure.kinds().collect::<Vec<_>>(), shares, "{}", text);
        prop_assert_eq!(exposure.is_none(), counts.total() == 0);
        prop_assert!((0.0..=1.0).contains(&exposure.share()));
    }
}
