//! How an import reads its input: lines, columns, lines without a valid code, and input that cannot be read at all.

use std::cell::Cell;
use std::io::{self, Read};
use std::ops::ControlFlow;
use std::process::Command;

use codemint_import::columns::{RECORD_BYTES_MAX, header};
use codemint_import::error::ImportError;
use codemint_import::reader::{Format, Options, read};
use codemint_import::reason::{Invalid, Reason};
use sha2::{Digest, Sha256};

use codemint_test_support::import_steps::{Pieces, codes_of, column, go_on, import, refusal, rejects_of, roomy};

fn owned(codes: &[(&str, u64)]) -> Vec<(String, u64)> {
    codes.iter().map(|&(code, line)| (code.to_owned(), line)).collect()
}

#[track_caller]
fn assert_codes(input: &[u8], format: Format, expected: &[(&str, u64)]) {
    let (sorted, _rejects) = import(input, format).expect("codes");
    assert_eq!(codes_of(&sorted), owned(expected));
}

#[test]
fn line_ends_byte_order_marks_and_case_make_no_difference() {
    let expected = [("A1", 1), ("B2", 2), ("C3", 3)];
    for text in ["a1\nb2\nc3\n", "A1\nB2\nC3", "A1\r\nB2\r\nC3\r\n", "A1\r\nb2\nC3\r", "\u{feff}A1\nB2\nC3\n"] {
        assert_codes(text.as_bytes(), Format::Lines, &expected);
        let by_bytes = import(Pieces::new(text.as_bytes(), &[1]), Format::Lines).expect("codes").0;
        assert_eq!(codes_of(&by_bytes), owned(&expected), "{text:?}");
    }
}

#[test]
fn only_a_byte_order_mark_at_the_very_start_is_dropped() {
    let (sorted, rejects) = import("A1\n\u{feff}B2\n".as_bytes(), Format::Lines).expect("codes");
    assert_eq!(codes_of(&sorted), owned(&[("A1", 1)]));
    assert_eq!(rejects_of(rejects), [(2, Reason::Invalid(Invalid::NotAscii))]);
}

#[test]
fn blank_lines_are_counted_and_not_rejected() {
    let (sorted, rejects) = import(&b"\n\r\nA1\n\n\nB2\n\r\n"[..], Format::Lines).expect("codes");
    assert_eq!(codes_of(&sorted), owned(&[("A1", 3), ("B2", 6)]));
    assert_eq!((sorted.counts.lines_read, sorted.counts.blank, sorted.counts.invalid), (7, 5, 0));
    assert!(rejects.is_empty());
}

#[test]
fn every_line_without_a_valid_code_is_rejected_with_its_number_and_reason() {
    let (longest, too_long) = ("x".repeat(64), "x".repeat(65));
    let lines: [(&[u8], Option<&str>); 14] = [
        (b"GOOD1", None),
        (b"GO OD2", Some("contains a space or a tab")),
        (b"GO\tOD3", Some("contains a space or a tab")),
        (longest.as_bytes(), None),
        (too_long.as_bytes(), Some("longer than 64 characters")),
        ("CAF\u{c9}".as_bytes(), Some("contains a character that is not ASCII")),
        (b"\xff\xfe", Some("contains a character that is not ASCII")),
        (b"GO\0OD", Some("contains a control character")),
        (b"GO\rOD", Some("contains a control character")),
        (b"GOOD4\r", Some("contains a control character")),
        (b"\x7f", Some("contains a control character")),
        (b"good1", Some("repeat of line 1")),
        (b"!~\"',;", None),
        (b"GOOD1", Some("repeat of line 1")),
    ];
    let input: Vec<u8> = lines.iter().flat_map(|(line, _)| [line, &b"\r\n"[..]].concat()).collect();
    let (sorted, rejects) = import(&input[..], Format::Lines).expect("codes");
    assert_eq!(codes_of(&sorted), owned(&[("GOOD1", 1), ("!~\"',;", 13), (&longest.to_uppercase(), 4)]));
    assert_eq!((sorted.counts.invalid, sorted.counts.repeats, rejects.len()), (9, 2, 11));
    let told: Vec<(u64, String)> =
        rejects_of(rejects).into_iter().map(|(line, reason)| (line, reason.to_string())).collect();
    let expected: Vec<(u64, String)> =
        (1..).zip(&lines).filter_map(|(line, (_, reason))| Some((line, (*reason)?.to_owned()))).collect();
    assert_eq!(told, expected);
}

#[test]
fn a_code_of_maximum_length_may_have_any_line_ending() {
    let code = "Z".repeat(64);
    for end in ["", "\r", "\n", "\r\n"] {
        assert_codes(format!("{code}{end}").as_bytes(), Format::Lines, &[(&code, 1)]);
    }
    for text in [format!("{code}\r\r\n"), format!("{code}Z\r\n"), format!("{code}Z\rZZZ\n")] {
        assert_eq!(refusal(text.as_bytes(), Format::Lines), no_valid_code(1, 1, "longer than 64 characters"));
    }
}

fn no_valid_code(invalid: u64, line: u64, reason: &str) -> String {
    format!("the input holds no valid code (lines with text: {invalid}); line {line}: {reason}")
}

#[test]
fn an_input_without_codes_is_an_error_that_names_the_reason() {
    for nothing in ["", "\n", "\r\n\n", "\u{feff}", "\u{feff}\n"] {
        assert_eq!(refusal(nothing.as_bytes(), Format::Lines), "the input holds no codes; write one code per line");
    }
    let spaced = "\nTWO WORDS\n\u{e9}\n".repeat(1000);
    assert_eq!(refusal(spaced.as_bytes(), Format::Lines), no_valid_code(2000, 2, "contains a space or a tab"));
    let binary: Vec<u8> = (0..100_000_u32).map(|at| if at % 100 == 99 { b'\n' } else { (at % 7) as u8 }).collect();
    assert_eq!(refusal(&binary, Format::Lines), no_valid_code(1000, 1, "longer than 64 characters"));
    assert_codes(
        "spa ce\n".repeat(5000).as_bytes().iter().chain(b"OK").copied().collect::<Vec<_>>().as_slice(),
        Format::Lines,
        &[("OK", 5001)],
    );
}

#[test]
fn a_column_is_found_by_its_name_in_the_header() {
    let text = "name,Code,\"note, or so\"\nAnn,a1,x\n\"B\nob\",\"b2\",\"\"\"y\"\"\"\nCy,C3,z\n";
    assert_eq!(header(text.as_bytes(), b',').expect("a header"), ["name", "Code", "note, or so"]);
    for bytes in [text.to_owned(), format!("\u{feff}{text}"), text.trim_end().to_owned()] {
        assert_codes(bytes.as_bytes(), column("Code"), &[("A1", 2), ("B2", 3), ("C3", 5)]);
    }
    let with_tabs = Format::Column { name: "b".to_owned(), delimiter: b'\t' };
    assert_codes(b"a\tb\n1,1\tX,1\n", with_tabs, &[("X,1", 2)]);
}

#[test]
fn rows_are_numbered_by_line_with_any_line_ending() {
    let expected = [("A1", 2), ("B2", 5), ("C3", 7), ("D4", 8)];
    let text = "code,note\nA1,\n\n\nB2,\"x\ny\"\nC3,\nD4\n\n";
    for line_end in ["\n", "\r\n"] {
        let text = text.replace('\n', line_end);
        for sizes in [&[1][..], &[2, 3], &[1 << 20]] {
            let (sorted, rejects) = import(Pieces::new(text.as_bytes(), sizes), column("code")).expect("codes");
            assert_eq!(codes_of(&sorted), owned(&expected), "{line_end:?}");
            assert_eq!((sorted.counts.lines_read, sorted.counts.blank, rejects.len()), (7, 3, 0), "{line_end:?}");
        }
    }
    // Line ends of the classic Mac OS, which the parser supports.
    assert_codes(b"code,note\rA1,\r\rB2,\r", column("code"), &[("A1", 2), ("B2", 4)]);
}

#[test]
fn rows_without_a_valid_field_are_rejected() {
    let text =
        format!("name,code\nAnn,A1\nBob\nCy,\n,\"two words\"\nDee,{}\nEve,a1,\nFay,B2,more\n \n", "x".repeat(1000));
    let (sorted, rejects) = import(text.as_bytes(), column("code")).expect("codes");
    assert_eq!(codes_of(&sorted), owned(&[("A1", 2)]));
    let told: Vec<(u64, String)> =
        rejects_of(rejects).into_iter().map(|(line, reason)| (line, reason.to_string())).collect();
    let expected = [
        (3, "the row has no such column"),
        (4, "the column is empty"),
        (5, "contains a space or a tab"),
        (6, "longer than 64 characters"),
        (7, "repeat of line 2"),
        (8, "the row has more fields than the header; put quotation marks around a text with separators"),
        (9, "the row has no such column"),
    ];
    assert_eq!(told, expected.map(|(line, reason)| (line, reason.to_owned())));
}

#[test]
fn a_missing_column_is_an_error_that_lists_the_existing_columns() {
    assert_eq!(
        refusal(b"id,Code,\nA,B,C\n", column("code")),
        r#"the header has no column "code"; its columns are "id", "Code", """#
    );
    assert_eq!(
        refusal(b"code,a,code\nA,B,C\n", column("code")),
        r#"the header has 2 columns "code"; give each column a name of its own"#
    );
    let wide = (0..1000).map(|number| format!("c{number}")).collect::<Vec<_>>().join(",");
    assert!(refusal(wide.as_bytes(), column("code")).ends_with(r#""c18", "c19" and 980 more"#));
    for nothing in ["", "\n\r\n", "code\n", "code\n\n\n"] {
        assert!(refusal(nothing.as_bytes(), column("code")).contains("the input holds no codes"), "{nothing:?}");
    }
}

#[test]
fn an_unclosed_quotation_mark_is_an_error_that_names_its_line() {
    let text = format!("code\nA1\n\"B2\n{}", "C3 ".repeat(RECORD_BYTES_MAX));
    let message = refusal(text.as_bytes(), column("code"));
    assert!(message.starts_with("the row that begins on line 3 is longer than 1048576 bytes"), "{message}");
    let message = refusal(format!("\n\"{text}").replace("\"B2", "B2").as_bytes(), column("code"));
    assert!(message.starts_with("the row that begins on line 2 is longer than"), "{message}");
    let error = header(io::repeat(b'x'), b',').expect_err("a header without an end");
    assert!(matches!(error, ImportError::RowTooLong { line: 1, .. }), "{error}");
    // Each row just short enough.
    let long = "x".repeat(RECORD_BYTES_MAX - 100);
    let text = format!("code,note\nA1,{long}\nB2,\"{long}\n\"\nC3,\n");
    assert_codes(text.as_bytes(), column("code"), &[("A1", 2), ("B2", 3), ("C3", 5)]);
}

#[test]
fn the_digest_covers_the_raw_bytes_and_the_chosen_column() {
    let digest_of = |text: &str, format| import(text.as_bytes(), format).expect("codes").0.counts.digest;
    for text in ["code\nA1\n", "\u{feff}code\r\na1"] {
        assert_eq!(digest_of(text, Format::Lines), <[u8; 32]>::from(Sha256::digest(text)));
    }
    let text = "code,other\nA1,A1\n";
    let by_semicolons = |name: &str| Format::Column { name: name.to_owned(), delimiter: b';' };
    let digests = [
        digest_of(text, Format::Lines),
        digest_of(text, column("code")),
        digest_of(text, column("other")),
        digest_of(text, by_semicolons("code,other")),
        digest_of("code,other\nA1,A1", column("code")),
    ];
    assert!((1..digests.len()).all(|at| !digests[..at].contains(&digests[at])));
    assert_eq!(digest_of(text, column("code")), digests[1]);
    assert_ne!(digest_of("code\nA1\n", column("code")), digest_of("code\nA1\n", by_semicolons("code")));
    let (sorted, _) = import(Pieces::new(text.as_bytes(), &[3, 1]), column("code")).expect("codes");
    assert_eq!((sorted.counts.digest, sorted.counts.bytes_read), (digests[1], text.len() as u64));
}

#[test]
fn an_endless_line_is_one_reject_and_is_not_kept_in_memory() {
    // Other tests use memory too, so this one needs a process of its own.
    let program = std::env::current_exe().expect("this program");
    let args = ["--exact", "import_input::an_endless_line_in_a_process_of_its_own", "--include-ignored"];
    let ran = Command::new(program).args(args).output().expect("a run");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
    assert!(String::from_utf8_lossy(&ran.stdout).contains("1 passed"));
}

#[test]
#[ignore = "the test above runs it"]
fn an_endless_line_in_a_process_of_its_own() {
    const LENGTH: u64 = 256 << 20;
    let around = |text: &'static str| text.as_bytes().chain(io::repeat(b'A').take(LENGTH)).chain(&b"\nB2\n"[..]);
    let (sorted, rejects) = import(around("A1\n"), Format::Lines).expect("codes");
    assert_eq!(codes_of(&sorted), owned(&[("A1", 1), ("B2", 3)]));
    assert_eq!(rejects_of(rejects), [(2, Reason::Invalid(Invalid::TooLong))]);
    let error = import(around("code\nA1\n"), column("code")).expect_err("a row without an end");
    assert!(matches!(error, ImportError::RowTooLong { line: 3, .. }), "{error}");
    let status = std::fs::read_to_string("/proc/self/status").expect("a status");
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let peak_kib: u64 = peak.expect("a peak").parse().expect("a number");
    assert!(peak_kib * 1024 < LENGTH / 4, "{peak_kib} KiB");
}

/// An input that fails after this many bytes.
struct Broken(u64);

impl Read for Broken {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::Error::other("the cable was pulled"));
        }
        buffer[0] = b'\n';
        self.0 -= 1;
        Ok(1)
    }
}

#[test]
fn a_read_error_is_reported_with_its_byte_offset() {
    for bytes in [0, 1, 2, 3, 4, 1000] {
        for format in [Format::Lines, column("code")] {
            let error = import(Broken(bytes), format).expect_err("a broken input");
            assert_eq!(error.to_string(), format!("the input cannot be read after byte {bytes}: the cable was pulled"));
        }
    }
}

#[test]
fn the_progress_callback_is_called_for_every_piece_and_can_stop_the_reading() {
    let text = "code\nA1\nB2\n".repeat(100);
    for format in [Format::Lines, column("code")] {
        let options = Options { format, is_detected: false, run_codes: 10, workspace: roomy(&std::env::temp_dir()) };
        let heard = Cell::new(0);
        let listen = |bytes| {
            assert!(bytes >= heard.get(), "bytes only grow");
            heard.set(bytes);
            if bytes < 500 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let error = read(Pieces::new(text.as_bytes(), &[7]), &options, &listen).expect_err("an interrupt");
        assert!(matches!(error, ImportError::Interrupted), "{error}");
        assert!((500..507).contains(&heard.get()), "stopped at the first piece after byte 500: {}", heard.get());
        // At the end of the input, the last call reported all of its bytes.
        let heard = Cell::new(0);
        let listen = |bytes| {
            heard.set(bytes);
            go_on(bytes)
        };
        drop(read(text.as_bytes(), &options, &listen).expect("codes"));
        assert_eq!(heard.get(), text.len() as u64);
    }
}

#[test]
fn errors_and_debug_output_show_no_code() {
    let text = "SECRET1\nSECRET2\nSECRET2\nSECRET 3\n";
    let (sorted, rejects) = import(text.as_bytes(), Format::Lines).expect("codes");
    let run = sorted.read_run(0).expect("a run");
    let shown = format!("{sorted:?} {run:?} {rejects:?}");
    assert!(!shown.contains("SECRET") && !shown.contains("SymbolSet"), "{shown}");
    let mut file = Vec::new();
    assert_eq!(rejects.write_csv(&mut file, &go_on).expect("rejects"), 2);
    assert_eq!(String::from_utf8_lossy(&file), "line,reason\n3,repeat of line 2\n4,contains a space or a tab\n");
    assert!(!refusal(b"SECRET 3\n", Format::Lines).contains("SECRET"));
}
