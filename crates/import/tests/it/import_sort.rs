//! The results of an import compared with a sort in memory: runs, groups, repeats and rejects, with bounds so small
//! that everything is spilled and merged in many passes.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;

use codemint_import::error::ImportError;
use codemint_import::reader::{Format, Options, read};
use codemint_import::reason::{Invalid, Reason};
use codemint_import::rejects::Rejects;
use codemint_import::sorted::Sorted;
use codemint_import::workspace::Workspace;
use proptest::collection::vec;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;

use codemint_test_support::import_steps::{
    Pieces, assert_is_sound, codes_of, column, go_on, import, import_with, rejects_of, roomy,
};

/// The expected result of an import, computed in memory.
#[derive(Debug, Default, PartialEq)]
struct Expected {
    codes: Vec<(String, u64)>,
    rejects: Vec<(u64, Reason)>,
    blank: u64,
    lines: u64,
}

/// Computes the expected result; an entry of `None` is a blank line.
fn expected(entries: impl Iterator<Item = (u64, Option<Vec<u8>>)>, of_lines: bool) -> Expected {
    let mut seen: BTreeMap<(usize, String), u64> = BTreeMap::new();
    let mut expected = Expected::default();
    for (line, text) in entries {
        expected.lines += 1;
        let Some(text) = text else {
            expected.blank += 1;
            continue;
        };
        let bad = text.iter().take(66).find(|byte| !(33..127).contains(*byte));
        let problem = match bad {
            None if text.is_empty() => Some(Invalid::EmptyField),
            Some(byte) if !byte.is_ascii() => Some(Invalid::NotAscii),
            _ if text.len() > 64 => Some(Invalid::TooLong),
            None => None,
            Some(byte) => Some(if b" \t".contains(byte) { Invalid::Space } else { Invalid::Control }),
        };
        assert!(!(of_lines && text.is_empty()), "a blank line");
        if let Some(problem) = problem {
            expected.rejects.push((line, Reason::Invalid(problem)));
            continue;
        }
        let code = String::from_utf8(text).expect("ASCII").to_uppercase();
        match seen.get(&(code.len(), code.clone())) {
            Some(&first_line) => expected.rejects.push((line, Reason::Repeat { first_line })),
            None => drop(seen.insert((code.len(), code), line)),
        }
    }
    expected.codes = seen.into_iter().map(|((_, code), line)| (code, line)).collect();
    expected
}

fn without_blanks(text: &[u8]) -> Vec<u8> {
    let is_blank = |byte: &&u8| b" \t".contains(*byte);
    let mut kept: Vec<u8> = text.iter().skip_while(is_blank).copied().collect();
    kept.truncate(kept.len() - kept.iter().rev().take_while(is_blank).count());
    kept
}

/// Returns the text without blanks and a pair of marks around it; `None` if a double mark at its start is unclear.
fn without_marks(text: &[u8]) -> Option<Vec<u8>> {
    let text = without_blanks(text);
    let Some(&mark) = text.first().filter(|mark| b"\"'".contains(mark)) else { return Some(text) };
    let is_pair = text.iter().filter(|&&byte| byte == mark).count() == 2 && text.last() == Some(&mark);
    match mark {
        _ if is_pair => Some(without_blanks(&text[1..text.len() - 1])),
        b'"' => None,
        _ => Some(text),
    }
}

fn expected_of_lines(input: &[u8]) -> Expected {
    let text = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
    if lines.last().is_some_and(|last| last.is_empty()) {
        lines.pop();
    }
    let text_of = |line: &[u8]| {
        let line = without_marks(line.strip_suffix(b"\r").unwrap_or(line)).expect("clear marks");
        if line.is_empty() { None } else { Some(line) }
    };
    expected((1..).zip(lines.into_iter().map(text_of)), true)
}

fn found((sorted, rejects): (Sorted, Rejects), run_codes: u32) -> Expected {
    assert_is_sound(&sorted, run_codes);
    let counts = sorted.counts;
    assert_eq!(counts.invalid + counts.repeats, rejects.len());
    Expected { codes: codes_of(&sorted), rejects: rejects_of(rejects), blank: counts.blank, lines: counts.lines_read }
}

/// Workspaces that range from one record per piece and two pieces per merge to everything in memory.
fn any_workspace() -> impl Strategy<Value = Workspace> {
    let buffer_bytes = prop_oneof![Just(0), 1_usize..500, Just(4000), Just(1 << 20)];
    (buffer_bytes, 0_usize..6).prop_map(|(buffer_bytes, pieces_merged_max)| Workspace {
        buffer_bytes,
        pieces_merged_max,
        ..roomy(&std::env::temp_dir())
    })
}

/// Lines of few different characters, so that codes repeat; some lines are not valid codes.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let one_of = |bytes: &'static [u8], lengths| vec(select(bytes), lengths);
    let line = prop_oneof![
        8 => one_of(b"AaB1", 1_usize..4),
        4 => one_of(b"XY", 5_usize..9),
        2 => one_of(b"~!Z\"'", 1_usize..6),
        2 => one_of(b"Qq", 62_usize..70),
        1 => one_of(b"A ", 1_usize..4),
        1 => one_of(b"A\0\r\x1f\x7f\x80\xff\t", 1_usize..70),
        1 => Just(Vec::new()),
    ];
    line.prop_filter("clear marks", |text| without_marks(text).is_some())
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let line_end = || select(vec![&b"\n"[..], b"\r\n"]);
    let mark = select(vec![&b""[..], b"\xef\xbb\xbf", b"\xef\xbb"]);
    let ends_with_a_line_end = any::<bool>();
    (mark, vec((any_line(), line_end()), 0..120), ends_with_a_line_end).prop_map(|(mark, lines, whole)| {
        let mut text = mark.to_vec();
        lines.into_iter().for_each(|(line, end)| text.extend([&line[..], end].concat()));
        if !whole {
            text.pop();
        }
        text
    })
}

/// The number of columns of a table's header.
const COLUMNS: usize = 4;

/// A field as it is written in CSV, and its value.
fn any_field() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let plain = any_line().prop_filter("no marks", |text| !text.iter().any(|byte| b"\r\n\",".contains(byte)));
    // The import refuses a quoted line of as many fields as a row has: an unclosed mark has probably swallowed that row.
    let is_like_row = |meaning: &[u8]| meaning.iter().filter(|&&byte| byte == b',').count() + 1 >= COLUMNS;
    let meaning = vec(select(&b"aB1,\"\n\r \xff"[..]), 0..6);
    let meaning = meaning.prop_filter("no row in a field", move |meaning| !is_like_row(meaning));
    let quoted = meaning.prop_map(|meaning| {
        let doubled = meaning.iter().flat_map(|&byte| if byte == b'"' { vec![b'"', b'"'] } else { vec![byte] });
        let written = [b'"'].into_iter().chain(doubled).chain([b'"']).collect();
        (written, without_blanks(&meaning))
    });
    prop_oneof![4 => plain.prop_map(|text| (text.clone(), without_marks(&text).expect("clear marks"))), 1 => quoted]
}

/// Rows of fields, each with the number of blank lines before it.
type Table = Vec<(usize, Vec<(Vec<u8>, Vec<u8>)>)>;

/// Returns the CSV text, and the result expected for the wanted column.
fn written_table(table: &Table, wanted: usize, line_end: &str) -> (Vec<u8>, Expected) {
    let header: String = (0..COLUMNS).map(|at| if at == wanted { ",code" } else { ",\"other\"\"\n\"" }).collect();
    let mut text = format!("{}{line_end}", &header[1..]).into_bytes();
    let (mut line, mut entries, mut without_field) = (5, Vec::new(), Vec::new());
    for (blank_lines, fields) in table {
        for _ in 0..*blank_lines {
            text.extend(line_end.as_bytes());
            entries.push((line, None));
            line += 1;
        }
        let row = fields.iter().map(|(written, _)| written.clone()).collect::<Vec<_>>().join(&b","[..]);
        // An empty row would be a blank line.
        let row = if row.is_empty() { b"\"\"".to_vec() } else { row };
        match fields.get(wanted) {
            Some((_, meaning)) => entries.push((line, Some(meaning.clone()))),
            None => without_field.push((line, Reason::Invalid(Invalid::NoField))),
        }
        line += 1 + row.iter().filter(|&&byte| byte == b'\n').count() as u64;
        text.extend(row);
        text.extend(line_end.as_bytes());
    }
    let mut expected = expected(entries.into_iter(), false);
    expected.lines += without_field.len() as u64;
    expected.rejects.extend(without_field);
    expected.rejects.sort_by_key(|(line, _)| *line);
    (text, expected)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_lines_are_sorted_as_in_memory(
        text in any_text(),
        workspace in any_workspace(),
        run_codes in 1_u32..20,
        sizes in vec(1_usize..50, 1..5),
    ) {
        let expected = expected_of_lines(&text);
        match import_with(Pieces::new(&text, &sizes), Format::Lines, run_codes, workspace) {
            Ok(imported) => prop_assert_eq!(found(imported, run_codes), expected),
            Err(ImportError::Empty) => prop_assert_eq!((expected.codes.len(), expected.rejects.len()), (0, 0)),
            Err(ImportError::NoValidCode { invalid, line, reason }) => {
                prop_assert_eq!((expected.codes.len(), expected.rejects.len() as u64), (0, invalid));
                prop_assert_eq!(expected.rejects[0], (line, Reason::Invalid(reason)));
            }
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn prop_columns_are_sorted_as_in_memory(
        table in vec((select(&[0_usize, 0, 0, 1, 2][..]), vec(any_field(), 1..5)), 0..60),
        wanted in 0..COLUMNS,
        workspace in any_workspace(),
        line_end in select(&["\n", "\r\n"][..]),
        sizes in vec(1_usize..50, 1..5),
    ) {
        let (text, expected) = written_table(&table, wanted, line_end);
        match import_with(Pieces::new(&text, &sizes), column("code"), 7, workspace) {
            Ok(imported) => prop_assert_eq!(found(imported, 7), expected),
            Err(ImportError::Empty | ImportError::NoValidCode { .. }) => prop_assert_eq!(expected.codes, []),
            Err(other) => panic!("{other}"),
        }
    }
}

/// Returns ten thousand lines, among them a few hundred repeats and a few hundred that are not valid codes.
fn many_lines() -> String {
    let line = |number: u64| match number % 31 {
        0 => format!("not a code {number}"),
        1 => format!("AGAIN-{}", number % 7),
        2 => format!("SHORT{}", number * 7919 % 10_007),
        _ => format!("CODE-{:010}", number * 48_271 % 2_147_483_647),
    };
    (0..10_000).map(|number| line(number) + "\n").collect()
}

#[test]
fn many_merge_passes_give_the_same_result_as_one() {
    let text = many_lines();
    let in_memory =
        found(import_with(text.as_bytes(), Format::Lines, 100, roomy(&std::env::temp_dir())).expect("codes"), 100);
    assert_eq!(in_memory, expected_of_lines(text.as_bytes()));
    for (buffer_bytes, pieces_merged_max) in [(0, 2), (100, 3), (3000, 2), (3000, 500), (1 << 20, 2)] {
        let workspace = Workspace { buffer_bytes, pieces_merged_max, ..roomy(&std::env::temp_dir()) };
        let imported = import_with(text.as_bytes(), Format::Lines, 100, workspace).expect("codes");
        assert_eq!(found(imported, 100), in_memory, "{buffer_bytes}, {pieces_merged_max}");
    }
}

#[test]
fn the_same_input_gives_the_same_digest_and_the_same_runs() {
    let text = many_lines();
    let (first, _) = import(text.as_bytes(), Format::Lines).expect("codes");
    let small = Workspace { buffer_bytes: 5000, ..roomy(&std::env::temp_dir()) };
    let (second, _) = import_with(Pieces::new(text.as_bytes(), &[1, 4096]), Format::Lines, 1000, small).expect("codes");
    assert_eq!((&first.counts, &first.runs, &first.groups), (&second.counts, &second.runs, &second.groups));
    let (other, _) = import(&text.as_bytes()[1..], Format::Lines).expect("codes");
    assert_ne!(other.counts.digest, first.counts.digest);
}

#[test]
fn runs_can_be_read_in_any_order_and_from_several_threads() {
    let (sorted, _) = import(many_lines().as_bytes(), Format::Lines).expect("codes");
    let forward: Vec<_> = (0..sorted.runs.len()).map(|index| sorted.read_run(index).expect("a run")).collect();
    assert!(forward.len() > 8);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for index in (0..forward.len()).rev() {
                    assert!(sorted.read_run(index).expect("a run") == forward[index], "run {index}");
                }
            });
        }
    });
    assert!(sorted.read_run(forward.len()).is_err());
}

#[test]
fn rejects_pushed_later_are_sorted_among_the_others() {
    let text = "A1\nA1\nB 2\nC3\n";
    let (sorted, mut rejects) = import(text.as_bytes(), Format::Lines).expect("codes");
    let run = sorted.read_run(0).expect("a run");
    assert_eq!(run.lines, [1, 4]);
    run.lines.iter().rev().for_each(|&line| rejects.push(line, Reason::Present).expect("disk space"));
    let mut file = Vec::new();
    assert_eq!(rejects.write_csv(&mut file, &go_on).expect("rejects"), 4);
    let expected = "line,reason\n1,exists already\n2,repeat of line 1\n3,contains a space or a tab\n4,exists already\n";
    assert_eq!(String::from_utf8_lossy(&file), expected);
}

#[test]
fn rejects_that_exceed_the_memory_buffer_come_back_in_order() {
    let workspace = Workspace { buffer_bytes: 8 * 1000, pieces_merged_max: 3, ..roomy(&std::env::temp_dir()) };
    let mut rejects = Rejects::new(&workspace);
    let mut expected = BTreeMap::new();
    for number in 0..5000_u64 {
        let line = number * 48_271 % 2_147_483_647 * 3;
        let reason = match number % 3 {
            0 => Reason::Present,
            1 => Reason::Repeat { first_line: u64::MAX - number },
            _ => Reason::Invalid(Invalid::NoField),
        };
        rejects.push(line, reason).expect("disk space");
        expected.insert(line, reason);
    }
    assert_eq!(rejects.len(), 5000);
    assert_eq!(rejects_of(rejects), expected.into_iter().collect::<Vec<_>>());
}

#[test]
fn a_full_disk_under_the_reject_file_is_an_error() {
    let mut rejects = Rejects::new(&roomy(&std::env::temp_dir()));
    rejects.push(1, Reason::Present).expect("disk space");
    let error = rejects.write_csv(fs::File::options().write(true).open("/dev/full").expect("a device"), &go_on);
    let error = error.expect_err("a full disk");
    assert!(matches!(&error, ImportError::RejectFile(io) if io.kind() == std::io::ErrorKind::StorageFull), "{error}");
}

#[test]
fn results_can_be_sent_to_other_threads() {
    fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<Sorted>();
    assert_send_and_sync::<Rejects>();
    assert_send_and_sync::<Options>();
    assert_send_and_sync::<ImportError>();
}

fn files_in(directory: &Path) -> usize {
    fs::read_dir(directory).expect("a directory").count()
}

#[test]
fn an_interrupt_at_any_check_leaves_no_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let text: String = many_lines().lines().take(2000).map(|line| line.to_owned() + "\n").collect();
    let workspace = Workspace { buffer_bytes: 1000, pieces_merged_max: 2, ..roomy(directory.path()) };
    let options = Options { format: Format::Lines, is_detected: false, run_codes: 100, workspace };
    let questions = Cell::new(0_u32);
    for last_question in 0.. {
        questions.set(0);
        let listen = |_bytes| {
            assert_eq!(files_in(directory.path()), 0, "temporary files have no names");
            questions.set(questions.get() + 1);
            if questions.get() > last_question { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let imported = read(Pieces::new(text.as_bytes(), &[4096]), &options, &listen);
        assert_eq!(files_in(directory.path()), 0);
        let Err(error) = imported else { break };
        assert!(matches!(error, ImportError::Interrupted), "{error}");
    }
    // It checks once per piece of the input, and at the start of each merge of two pieces of about 25 codes.
    assert!(questions.get() as usize > text.len() / 4096 + 2000 / 25, "only {} checks", questions.get());
}

#[test]
fn writing_rejects_can_be_interrupted() {
    let mut rejects = Rejects::new(&roomy(&std::env::temp_dir()));
    (0..50_000).for_each(|line| rejects.push(line, Reason::Present).expect("disk space"));
    let stop = |count| if count < 20_000 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) };
    let error = rejects.write_csv(std::io::sink(), &stop).expect_err("an interrupt");
    assert!(matches!(error, ImportError::Interrupted), "{error}");
}

#[test]
fn an_unwritable_temporary_directory_is_named_with_advice() {
    let nowhere = Path::new("/nowhere/at/all");
    let error = import_with(&b"A1\n"[..], Format::Lines, 10, roomy(nowhere)).expect_err("no directory");
    let expected = "a temporary file in /nowhere/at/all failed: No such file or directory (os error 2); set TMPDIR to a directory that can be written to";
    assert_eq!(error.to_string(), expected);
    let full = std::io::Error::from_raw_os_error(28);
    let message = ImportError::Temporary { directory: nowhere.to_owned(), source: full }.to_string();
    assert!(message.ends_with("(os error 28); set TMPDIR to a directory with more space"), "{message}");
}
