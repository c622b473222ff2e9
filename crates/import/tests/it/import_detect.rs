//! What an import decides about an input from its first bytes, and the fix it names for what it refuses.

use std::io::Read;

use codemint_import::detect::{Asked, HEAD_BYTES, Kind, decide, detect};
use codemint_import::error::ImportError;
use codemint_import::looks::{Advice, Looks};
use codemint_import::reader::Format;
use codemint_test_support::import_steps::{Pieces, column};

fn decided(text: &str, asked: &Asked) -> Result<Format, ImportError> {
    decide(text.as_bytes(), true, asked)
}

#[track_caller]
fn refused(text: &[u8], asked: &Asked) -> (Looks, Advice) {
    match decide(text, true, asked) {
        Err(ImportError::Unsuitable(looks)) => {
            let advice = looks.advice().expect("a fix");
            (looks, advice)
        }
        other => panic!("{:?}: {other:?}", String::from_utf8_lossy(text)),
    }
}

fn options(text: &str) -> Advice {
    Advice::Options(text.split(' ').map(str::to_owned).collect())
}

fn of_kind(kind: Kind) -> Asked {
    Asked { kind: Some(kind), ..Asked::default() }
}

fn of_column(name: &str) -> Asked {
    Asked { column: Some(name.to_owned()), ..Asked::default() }
}

#[test]
fn one_code_per_line_is_recognized_whatever_the_codes_look_like() {
    let texts = [
        "",
        "\n\n",
        "A1",
        "A1\nB2\n",
        "A,1\nB2\nC3\n",
        "[A1\nB2\n",
        "{A1}\nB2\n",
        "\"A,1\"\n\"B,2\"\n",
        "sep=A\nB2\n",
        "CODE-1\nCODE-2\n",
        "A1\ncode\n",
        "PK1\nPK2\n",
        "\u{1}\u{2}\n\u{3}\n",
    ];
    for text in texts {
        assert_eq!(decided(text, &Asked::default()).expect("lines"), Format::Lines, "{text:?}");
    }
}

#[test]
fn regression_a_table_is_refused_with_the_column_to_name() {
    let table = [
        ("code,discount\nA1,10\nB2,20\n", "--column code"),
        ("id;Promo Code;note\n1;A1;\n", "--column Promo Code"),
        ("name\tvoucher\nx\tA1\n", "--column voucher"),
        ("number;value\n1;A1\n", "--column number"),
        ("code,discount\nA1\nB2\nC3\n", "--column code"),
        ("A1,10\nB2,20\n", "--no-header --column 1"),
        ("A1;\nB2;\nC3\n", "--no-header --column 1"),
        ("A1\nB2\tx\nC3\tx\n", "--no-header --column 1"),
        ("sep=;\nid;code\n1;A1\n", "--column code"),
    ];
    for (text, fix) in table {
        let (looks, advice) = refused(text.as_bytes(), &Asked::default());
        let Advice::Options(words) = advice else { panic!("{advice:?}") };
        assert_eq!(words.join(" "), fix, "{text:?}: {looks}");
        assert!(!looks.to_string().contains("A1"), "no message contains a code: {looks}");
        assert_eq!(decided(text, &of_kind(Kind::Lines)).expect("lines"), Format::Lines, "{text:?} on request");
    }
    let message = refused(b"code,discount\nA1,10\n", &Asked::default()).0.to_string();
    assert!(
        message.contains("line 1") && message.contains("commas") && message.contains("code, discount"),
        "{message}"
    );
}

#[test]
fn regression_a_lonely_header_is_never_taken_for_a_code() {
    for text in ["code\nA1\n", "\u{feff}code\r\nA1\r\n", "\"code\"\n\"A,1\"\n", "code"] {
        assert_eq!(decided(text, &Asked::default()).expect("own CSV"), column("code"), "{text:?}");
        assert_eq!(decided(text, &of_kind(Kind::Csv)).expect("own CSV"), column("code"), "{text:?}");
    }
    for name in ["Code", "CODE", "coupon_code", "Voucher code"] {
        let (looks, advice) = refused(format!("\n{name}\nA1\n").as_bytes(), &Asked::default());
        assert_eq!(advice, Advice::Options(vec!["--column".to_owned(), name.to_owned()]));
        assert!(looks.to_string().contains("line 2") && looks.to_string().contains("--format txt"), "{looks}");
    }
    assert_eq!(refused(b"coupon\nA1\n", &of_kind(Kind::Csv)).1, options("--column coupon"));
    assert_eq!(refused(b"ABC123\nABC124\n", &of_kind(Kind::Csv)).1, options("--no-header --column 1"));
}

#[test]
fn regression_json_lines_are_read_and_other_json_is_refused_with_a_filter() {
    for text in ["{\"code\":\"A1\"}\n", "\n { \"code\": \"A1\", \"x\": 1 }\n{\"code\":\"B2\"}"] {
        assert_eq!(decided(text, &Asked::default()).expect("JSON lines"), Format::JsonLines, "{text:?}");
    }
    assert_eq!(decided("A1\n", &of_kind(Kind::JsonLines)).expect("on request"), Format::JsonLines);
    let filters = [
        ("[\"A1\",\"B2\"]", "jq -c '.[] | {code: .}'"),
        ("[\n  \"A1\",\n", "jq -c '.[] | {code: .}'"),
        ("[{\"code\":\"A1\"}]", "jq -c '.[]'"),
        ("[\n{\"code\":\"A1\"}]", "jq -c '.[]'"),
        ("{\"coupon\":\"A1\"}\n", "jq -c '{code: .NAME}'"),
        ("{\n\"code\":\"A1\"}\n", "jq -c '{code: .NAME}'"),
    ];
    for (text, filter) in filters {
        assert_eq!(refused(text.as_bytes(), &Asked::default()).1, Advice::Through(filter), "{text:?}");
    }
    assert_eq!(refused(b"[\"A1\"]", &of_kind(Kind::JsonLines)).0, Looks::JsonArray { line: 1, of_objects: false });
}

#[test]
fn regression_files_that_are_not_text_are_recognized_by_their_first_bytes() {
    let files: [(&[u8], Looks, Advice); 8] = [
        (b"PK\x03\x04\x14\0", Looks::Zip, Advice::SaveAsCsv),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0\0", Looks::OldSpreadsheet, Advice::SaveAsCsv),
        (b"\x1f\x8b\x08\0", Looks::Gzip, Advice::Through("gzip -dc")),
        (b"\xfd7zXZ\0\0\x04", Looks::Xz, Advice::Through("xz -dc")),
        (b"\x28\xb5\x2f\xfd\x04", Looks::Zstandard, Advice::Through("zstd -dc")),
        (b"BZh91AY&SY", Looks::Bzip2, Advice::Through("bzip2 -dc")),
        (
            b"A\x001\0\n\0",
            Looks::Utf16WithoutMark { is_big_endian: false },
            Advice::Through("iconv -f UTF-16LE -t UTF-8"),
        ),
        (
            b"\0A\x001\0\n",
            Looks::Utf16WithoutMark { is_big_endian: true },
            Advice::Through("iconv -f UTF-16BE -t UTF-8"),
        ),
    ];
    for (bytes, looks, advice) in files {
        for asked in [Asked::default(), of_kind(Kind::Lines), of_kind(Kind::JsonLines), of_column("code")] {
            assert_eq!(refused(bytes, &asked), (looks.clone(), advice.clone()));
        }
    }
}

#[test]
fn regression_lines_that_end_with_carriage_returns_alone_are_recognized() {
    let fix = Advice::Through("perl -pe 's/\\r/\\n/g'");
    assert_eq!(refused(b"A1\rB2\rC3\r", &Asked::default()), (Looks::CarriageReturns, fix));
    assert_eq!(decided("A1\r\nB2\r\n", &Asked::default()).expect("lines"), Format::Lines);
}

#[test]
fn regression_the_separator_is_named_detected_or_read_from_the_file() {
    let by = |name: &str, delimiter| Format::Column { name: name.to_owned(), delimiter };
    let table = [
        ("id,code\n", "code", by("code", b',')),
        ("id;code\n", "code", by("code", b';')),
        ("id\tcode\n", "code", by("code", b'\t')),
        ("sep=|\nid|code\n", "code", by("code", b'|')),
        ("code,x;y;z\n", "code", by("code", b',')),
        ("code\n", "code", by("code", b',')),
        ("id;other\n", "code", by("code", b';')),
    ];
    for (text, name, expected) in table {
        assert_eq!(decided(text, &of_column(name)).expect("CSV"), expected, "{text:?}");
    }
    let asked = Asked { delimiter: Some(b'|'), ..of_column("code") };
    assert_eq!(decided("sep=;\nid|code\n", &asked).expect("as requested"), by("code", b'|'));
}

#[test]
fn regression_rows_without_a_header_have_numbered_columns() {
    let numbered = |number: &str| Asked { no_header: true, ..of_column(number) };
    let format = decided("1;A1\n2;B2\n", &numbered("2")).expect("CSV");
    assert_eq!(format, Format::NumberedColumn { number: 2, delimiter: b';' });
    for wrong in ["0", "code", "-1", ""] {
        let error = decided("1;A1\n", &numbered(wrong)).expect_err("not a number");
        assert_eq!(error.advice(), Some(options("--no-header --column 1")), "{error}");
    }
}

#[test]
fn a_decision_needs_only_the_start_of_a_pipe_and_consumes_nothing() {
    let line = "ABCDEFGHIJ\n";
    let text = line.repeat(HEAD_BYTES / line.len() + 100);
    let (format, mut input) = detect(Pieces::new(text.as_bytes(), &[1000, 3]), &Asked::default()).expect("lines");
    let mut read = String::new();
    input.read_to_string(&mut read).expect("text");
    assert_eq!((format, read == text), (Format::Lines, true));
    // The last line of the first bytes may be cut off within a quoted text: it does not count.
    let text = "A1\n\"B,2\"\n".repeat(HEAD_BYTES);
    assert_eq!(decide(&text.as_bytes()[..HEAD_BYTES - 2], false, &Asked::default()).expect("lines"), Format::Lines);
}
