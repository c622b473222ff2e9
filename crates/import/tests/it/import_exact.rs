//! An import takes exactly the codes of its input, or ends with an error that names the line.

use codemint_import::damage::Lines;
use codemint_import::error::ImportError;
use codemint_import::likeness::likenesses;
use codemint_import::looks::Advice;
use codemint_import::reader::Format;
use codemint_import::reason::{Invalid, Reason};
use codemint_test_support::import_steps::{Pieces, codes_of, column, import, refusal, rejects_of};

fn codes(input: &[u8], format: Format) -> Vec<String> {
    let (sorted, _rejects) = import(input, format).expect("codes");
    codes_of(&sorted).into_iter().map(|(code, _)| code).collect()
}

#[test]
fn regression_an_unclosed_quotation_mark_swallows_no_codes() {
    let swallowed = "GOOD2,x\n".repeat(1000);
    for text in [format!("code,note\nGOOD1,x\nBAD,\"5 inch\n{swallowed}"), "code,note\nGOOD1,x\nBAD,\"".to_owned()] {
        for sizes in [&[1][..], &[1 << 20]] {
            let error = import(Pieces::new(text.as_bytes(), sizes), column("code")).expect_err("an unclosed mark");
            assert!(matches!(error, ImportError::UnclosedQuote { line: 3 }), "{error}");
            assert_eq!(error.advice(), Some(Advice::ShowLine(3)));
        }
    }
    // A later mark closes the field by accident.
    let closed = format!("code,note\nBAD,\"5 inch\n{swallowed}BAD,7\"\n");
    assert!(refusal(closed.as_bytes(), column("code")).starts_with("the quotation mark on line 2 is not closed"));
    let header = "code,\"note\nGOOD1,x\n";
    assert!(refusal(header.as_bytes(), column("code")).starts_with("the quotation mark on line 1 is not closed"));
}

#[test]
fn regression_text_after_a_closing_quotation_mark_is_an_error_with_its_line() {
    let table = [
        ("code,note\nA1,x\n\"B2\"C,x\n", "the closed quotation mark on line 3 is followed by text"),
        (
            "code,note\nBAD,\"5 inch\nGOOD1,\"7 inch\n",
            "the quotation mark that opens on line 2 is closed on line 3 and is followed by text",
        ),
    ];
    for (text, message) in table {
        assert!(refusal(text.as_bytes(), column("code")).starts_with(message), "{text:?}");
    }
    assert_eq!(codes(b"code,note\nA1,\"x \"\"y\"\"\"\nB2,5\"\n", column("code")), ["A1", "B2"]);
}

#[test]
fn regression_a_line_with_an_unclear_quotation_mark_is_an_error() {
    let unclosed = refusal(b"A1\n\"B2\n", Format::Lines);
    assert!(unclosed.starts_with("the quotation mark on line 2 is not closed"), "{unclosed}");
    let followed = refusal(b"A1\nB2\n\"C3\"x\n", Format::Lines);
    assert!(followed.starts_with("the closed quotation mark on line 3 is followed by text"), "{followed}");
    let unclosed = refusal(b"code;x\n \"B2;y\n", Format::Column { name: "code".to_owned(), delimiter: b';' });
    assert!(unclosed.starts_with("the quotation mark on line 2 is not closed"), "{unclosed}");
}

#[test]
fn regression_blanks_and_marks_around_codes_are_cut_and_counted() {
    let long = "Z".repeat(64);
    let text = format!(" A1\nB2\t\r\n\"C3\"\n' D4 '\n \n\"\"\n{}\"{long}\"{}\n", " ".repeat(1000), "\t".repeat(1000));
    let (sorted, rejects) = import(text.as_bytes(), Format::Lines).expect("codes");
    let found: Vec<(String, u64)> = codes_of(&sorted);
    let found: Vec<(&str, u64)> = found.iter().map(|(code, line)| (code.as_str(), *line)).collect();
    assert_eq!(found, [("A1", 1), ("B2", 2), ("C3", 3), ("D4", 4), (&long, 7)]);
    let counts = sorted.counts;
    assert_eq!((counts.blanks_cut, counts.quotes_cut, counts.blank, rejects.len()), (4, 3, 2, 0));
    let csv = "name,code\nx, A1 \nx,\" B2\"\nx,'C3'\nx,\"'D4'\"\nx, \"E5\"\n";
    assert_eq!(codes(csv.as_bytes(), column("code")), ["A1", "B2", "C3", "E5", "'D4'"]);
    // More blanks than are kept of a line could hide text.
    let hidden = format!("A1\nB2{}C3\n", " ".repeat(10_000));
    let (sorted, rejects) = import(hidden.as_bytes(), Format::Lines).expect("codes");
    assert_eq!((sorted.codes, rejects_of(rejects)), (1, vec![(2, Reason::Invalid(Invalid::TooLong))]));
}

#[test]
fn regression_json_lines_are_read_exactly() {
    let text =
        "{\"code\":\"a1\"}\r\n\n{\"code\":\"\\\"B,2\\u0041\\\"\",\"x\":[1]}\n{\"code\":12}\n[]\nA3\n{\"code\":\"\"}\n";
    let (sorted, rejects) = import(text.as_bytes(), Format::JsonLines).expect("codes");
    assert_eq!(codes_of(&sorted), [("A1".to_owned(), 1), ("\"B,2A\"".to_owned(), 3)]);
    let rejected: Vec<(u64, String)> =
        rejects_of(rejects).into_iter().map(|(line, reason)| (line, reason.to_string())).collect();
    let not_json = "is not a JSON object with a text \"code\"";
    let expected = [(4, not_json), (5, not_json), (6, not_json), (7, "the column is empty")];
    assert_eq!(rejected, expected.map(|(line, reason)| (line, reason.to_owned())));
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

#[test]
fn regression_utf16_is_read_by_its_byte_order_mark() {
    let text = format!("\u{feff}A1\r\n\u{1f600}\r\nB2\r\n{}", "C3\r\n".repeat(10_000));
    for to_bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let bytes = utf16(&text, to_bytes);
        for sizes in [&[1][..], &[3, 7], &[1 << 20]] {
            let (sorted, rejects) = import(Pieces::new(&bytes, sizes), Format::Lines).expect("codes");
            assert_eq!(codes_of(&sorted), [("A1".to_owned(), 1), ("B2".to_owned(), 3), ("C3".to_owned(), 4)]);
            let invalid = rejects_of(rejects).into_iter().find(|(line, _)| *line == 2);
            assert_eq!(invalid, Some((2, Reason::Invalid(Invalid::NotAscii))));
            assert_eq!(sorted.counts.bytes_read, bytes.len() as u64);
        }
    }
    let sheet = utf16("\u{feff}sep=;\r\nid;code\r\n1;A1\r\n", u16::to_le_bytes);
    assert_eq!(codes(&sheet, Format::Column { name: "code".to_owned(), delimiter: b';' }), ["A1"]);
    let mut torn = utf16("\u{feff}A1\nB2", u16::to_le_bytes);
    torn.pop();
    let (sorted, rejects) = import(&torn[..], Format::Lines).expect("codes");
    assert_eq!((sorted.codes, rejects_of(rejects)[0].0), (1, 2));
}

#[test]
fn regression_numbered_columns_and_separator_lines_keep_line_numbers() {
    let numbered = |number| Format::NumberedColumn { number, delimiter: b';' };
    let (sorted, rejects) = import(&b"sep=;\r\n1;A1\r\n2;\"B;2\"\r\n3\r\n"[..], numbered(2)).expect("codes");
    assert_eq!(codes_of(&sorted), [("A1".to_owned(), 2), ("B;2".to_owned(), 3)]);
    assert_eq!(rejects_of(rejects), [(4, Reason::Invalid(Invalid::NoField))]);
    let digest = |format| import(&b"1;A1\nx;B2\n"[..], format).expect("codes").0.counts.digest;
    let formats = [
        numbered(1),
        numbered(2),
        Format::NumberedColumn { number: 1, delimiter: b',' },
        Format::Column { name: "1".to_owned(), delimiter: b';' },
    ];
    let digests = formats.map(digest);
    assert!((1..digests.len()).all(|at| !digests[..at].contains(&digests[at])), "each choice is another import");
}

#[test]
fn regression_more_than_one_invalid_line_in_a_hundred_is_too_many() {
    let text = |valid: u64, invalid: u64| {
        let codes: String = (0..valid).map(|number| format!("A{number}\n")).collect();
        "\n\n".to_owned() + &codes + &"b c\n".repeat(invalid as usize)
    };
    for (valid, invalid, accepted) in [(5, 0, true), (99, 1, true), (98, 1, false), (1, 5, false), (198, 2, true)] {
        let (sorted, _) = import(text(valid, invalid).as_bytes(), Format::Lines).expect("codes");
        let checked = sorted.counts.check_invalid();
        assert_eq!(checked.is_ok(), accepted, "{valid} valid, {invalid} invalid");
        if let Err(error) = checked {
            let (lines, first) = (valid + invalid, valid + 3);
            let expected = format!("{invalid} of {lines} lines hold no valid code");
            assert!(error.to_string().starts_with(&expected), "{error}");
            assert!(error.to_string().contains(&format!("line {first}: contains a space or a tab")), "{error}");
        }
    }
}

#[test]
fn regression_a_preview_shows_the_first_codes_their_masks_and_damage() {
    let codes: String = (0..500).map(|number| format!("promo-{:04}x\n", number * 7919 % 10_000)).collect();
    let text = format!("zz-1\n{codes}1.00E+10\n#N/A\n");
    let (sorted, _) = import(text.as_bytes(), Format::Lines).expect("codes");
    assert_eq!(sorted.preview.first_codes.len(), 10);
    assert_eq!(sorted.preview.first_codes[..2], ["ZZ-1", "PROMO-0000X"]);
    let found: Vec<(String, u64)> =
        likenesses(&sorted).iter().map(|likeness| (likeness.mask.to_string(), likeness.codes)).collect();
    assert_eq!(found[0], ("PROMO-####X".to_owned(), 500), "{found:?}");
    assert_eq!(sorted.preview.damage.rounded, Lines { count: 1, first: 502 });
    assert_eq!(sorted.preview.damage.failed_formulas, Lines { count: 1, first: 503 });
    assert!(!format!("{sorted:?}").contains("PROMO"), "debug output shows no code");
}

#[test]
fn regression_more_damage_by_spreadsheets_is_found() {
    let damage = |text: &str| import(text.as_bytes(), Format::Lines).expect("codes").0.preview.damage;
    let dates = damage("GIFT-AAA\nGIFT-BBB\nGIFT-CCC\nGIFT-DDD\nGIFT-EEE\n1-Mar\n07.03.2026\n2026-03-07\n12-34\n");
    assert_eq!(dates.dates, Lines { count: 3, first: 6 });
    // Here they are the codes.
    assert_eq!(damage("MAR-01\nMAR-02\nX-1\n").dates, Lines::default());
    assert_eq!(damage("A1\n########\n").hidden, Lines { count: 1, first: 2 });
    let cut = damage("1234567890123450\n9876543210987650\n5555555555555550\n");
    assert_eq!(cut.cut_digits, Lines { count: 3, first: 1 });
    let whole = damage("1234567890123450\n9876543210987650\n5555555555555551\n");
    assert_eq!(whole.cut_digits, Lines::default());
}

#[test]
fn regression_a_row_that_a_quotation_mark_swallows_is_not_lost() {
    // The mark of the third row closes that of the first one, and all rows have as many fields as the header.
    let text = "code,size\nBAD,\"5 inch\nGOOD,x\nLAST,5\"\n";
    assert!(refusal(text.as_bytes(), column("code")).starts_with("the quotation mark on line 2 is not closed"));
    let by_number = Format::NumberedColumn { number: 1, delimiter: b',' };
    let text = "FIRST,x\nBAD,\"5 inch\nLAST,5\"\n";
    assert!(refusal(text.as_bytes(), by_number).starts_with("the quotation mark on line 2 is not closed"));
    let notes = "code,note\nA1,\"for you\nand for all, gladly\"\nB2,\n";
    assert_eq!(codes(notes.as_bytes(), column("code")), ["A1", "B2"]);
}

#[test]
fn regression_a_row_with_more_fields_than_the_header_is_no_code() {
    let text = "note,code\nx,A1\nDear all, welcome,B2\ny,C3,,\n";
    let (sorted, rejects) = import(text.as_bytes(), column("code")).expect("codes");
    assert_eq!(codes_of(&sorted).into_iter().map(|(code, _)| code).collect::<Vec<_>>(), ["A1", "C3"]);
    assert_eq!(rejects_of(rejects), [(3, Reason::Invalid(Invalid::ExtraFields))]);
}
