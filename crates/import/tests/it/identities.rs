//! Lists of identities: what is read, and what is refused with its line.

use codemint_codes::identity::IDENTITY_LENGTH_MAX;
use codemint_import::error::ImportError;
use codemint_import::identities::{InvalidIdentity, ListFormat, each_identity};
use codemint_import::looks::Looks;
use codemint_test_support::import_steps::go_on;

type Found = Vec<(u64, Result<String, InvalidIdentity>)>;

fn read(input: &[u8], is_csv: bool) -> Result<(ListFormat, Found), ImportError> {
    let mut found = Vec::new();
    let take = |line, identity: Result<&str, InvalidIdentity>| found.push((line, identity.map(str::to_owned)));
    let format = each_identity(input, is_csv, &go_on, take)?;
    Ok((format, found))
}

fn found(input: &[u8]) -> Found {
    read(input, false).expect("a list").1
}

fn ok(line: u64, identity: &str) -> (u64, Result<String, InvalidIdentity>) {
    (line, Ok(identity.to_owned()))
}

#[test]
fn a_line_is_one_identity_without_the_blanks_around_it() {
    assert_eq!(found(b" ann \r\nbob, jr.\nd\xc3\xa9"), [ok(1, "ann"), ok(2, "bob, jr."), ok(3, "dé")]);
    assert_eq!(found(b"\xef\xbb\xbfann\n"), [ok(1, "ann")]);
    assert_eq!(found(b"\xff\xfea\0\n\0"), [ok(1, "a")]);
    assert_eq!(read(b"", true).expect("a list"), (ListFormat::Lines, Vec::new()));
}

#[test]
fn a_header_with_the_column_makes_it_a_csv_file_whatever_its_name() {
    for (input, delimiter) in [
        (&b"name,identity\nAnn,a1\n\"Bob, jr.\",\" b2 \"\n"[..], b','),
        (b"identity;name\na1;Ann\nb2;Bob\n", b';'),
        (b"identity\tname\r\na1\tAnn\r\nb2\tBob\r\n", b'\t'),
        (b"identity\na1\nb2\n", b','),
        (b"sep=|\nname|identity\nAnn|a1\nBob|b2\n", b'|'),
    ] {
        let (format, found) = read(input, false).expect("a list");
        assert_eq!(format, ListFormat::Csv { delimiter });
        assert_eq!(found.iter().map(|(_, found)| found.clone()).collect::<Vec<_>>(), [ok(0, "a1").1, ok(0, "b2").1]);
    }
    assert_eq!(read(b"identity\n", false).expect("a list").0, ListFormat::Csv { delimiter: b',' });
}

#[test]
fn lines_without_an_identity_are_passed_with_their_numbers() {
    let long = |length: usize| "x".repeat(length).into_bytes();
    let input = [b"\n \t\nann\n\xff\na\tb\n".to_vec(), long(IDENTITY_LENGTH_MAX), b"\n".to_vec()].concat();
    let wrong = |line, problem| (line, Err(problem));
    assert_eq!(
        found(&[input, long(IDENTITY_LENGTH_MAX + 1), b"\n".to_vec(), long(5000)].concat()),
        [
            wrong(1, InvalidIdentity::Empty),
            wrong(2, InvalidIdentity::Empty),
            ok(3, "ann"),
            wrong(4, InvalidIdentity::NotUtf8),
            wrong(5, InvalidIdentity::NotText),
            ok(6, &"x".repeat(IDENTITY_LENGTH_MAX)),
            wrong(7, InvalidIdentity::TooLong),
            wrong(8, InvalidIdentity::TooLong),
        ]
    );
    assert_eq!(
        found(b"name,identity\nAnn\n\nBob,b2,x\nEve,\n"),
        [
            wrong(2, InvalidIdentity::NoField),
            wrong(3, InvalidIdentity::Empty),
            wrong(4, InvalidIdentity::ExtraFields),
            wrong(5, InvalidIdentity::Empty)
        ]
    );
}

#[test]
fn a_csv_file_of_several_columns_names_one_of_them_identity() {
    let refusal = |input: &[u8]| read(input, true).expect_err("a refusal").to_string();
    assert!(refusal(b"id;name\n1;Ann\n").contains("several columns, and none is called identity"));
    assert!(refusal(b"identity,identity\na,b\n").contains("2 columns \"identity\""));
    assert!(refusal(b"identity\n\"a\n").contains("line 2 is not closed"));
    assert_eq!(read(b"a1\nb2\n", true).expect("a list").1, [ok(1, "a1"), ok(2, "b2")]);
}

#[test]
fn regression_the_header_is_recognized_in_any_case_with_blanks_and_with_a_mark() {
    for input in [
        &b"Identity\na1\n"[..],
        b"IDENTITY\na1\n",
        b"\xef\xbb\xbfidentity\na1\n",
        b"\xef\xbb\xbf Identity \r\na1\r\n",
        b"\"Identity\"\na1\n",
        b"name; Identity\nAnn;a1\n",
    ] {
        let (format, found) = read(input, false).expect("a list");
        assert!(matches!(format, ListFormat::Csv { .. }), "{input:?}");
        assert_eq!(found, [ok(2, "a1")], "{input:?}");
    }
    let twice = read(b"identity,Identity\na,b\n", false).expect_err("a refusal").to_string();
    assert!(twice.contains("2 columns"), "{twice}");
}

#[test]
fn regression_lines_that_are_no_identities_as_they_stand_are_refused_with_what_would_be_right() {
    let refusal = |input: &[u8]| read(input, false).expect_err("a refusal").to_string();
    for name in ["customer_id", "Customer-ID", "EMAIL", "user_id", "id", "\"Customer\"", "Kundennummer"] {
        let refused = refusal(format!("\n{name}\na1\n").as_bytes());
        assert!(refused.contains("line 2 is the usual name of a column"), "{name}: {refused}");
        assert!(refused.contains("call the column identity, or remove the line"), "{refused}");
    }
    for json in ["{\"id\": \"a1\"}\n", "[\"a1\",\n\"b2\"]\n", "{\"identity\":\"a1\",\"x\":1}\n"] {
        assert!(refusal(json.as_bytes()).contains("line 1 is JSON; write one identity per line"), "{json}");
    }
    assert!(refusal(b"\"a1\"\n\"b2\"\n").contains("line 1 is in quotation marks"));
    // A header makes any of them identities.
    for line in ["customer_id", "{1}", "[x]"] {
        assert_eq!(found(format!("identity\n{line}\n").as_bytes()), [ok(2, line)]);
    }
    assert_eq!(found(b"identity\n\"a1\"\n"), [ok(2, "a1")]);
}

#[test]
fn regression_inputs_that_are_not_lines_of_text_are_refused_by_name() {
    let looks = |input: &[u8]| match read(input, false) {
        Err(ImportError::Unsuitable(looks)) => looks,
        other => panic!("{other:?}"),
    };
    let utf16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    assert_eq!(looks(b"\x1f\x8b\x08\0\0\0\0\0"), Looks::Gzip);
    assert_eq!(looks(b"\xfd7zXZ\0\0\x04"), Looks::Xz);
    assert_eq!(looks(b"PK\x03\x04\x14\0"), Looks::Zip);
    assert_eq!(looks(&utf16("ann\nbob\n")), Looks::Utf16WithoutMark { is_big_endian: false });
    assert_eq!(looks(b"ann\rbob\r"), Looks::CarriageReturns);
    assert_eq!(found(b"identity\rann\rbob\r"), [ok(2, "ann"), ok(3, "bob")]);
}

#[test]
fn regression_identities_with_invisible_characters_are_rejected() {
    for text in ["a\u{200b}1", "\u{202e}a1", "a\u{2066}1", "a\u{feff}1", "\u{feff}a1", "a\u{ad}1"] {
        assert_eq!(found(format!("b\n{text}\n").as_bytes())[1], (2, Err(InvalidIdentity::Invisible)), "{text:?}");
    }
    for text in ["a\u{7}1", "a\u{9b}1", "a\u{7f}1"] {
        assert_eq!(found(format!("b\n{text}\n").as_bytes())[1], (2, Err(InvalidIdentity::NotText)), "{text:?}");
    }
    assert_eq!(found("Zoë Großmüller 東京".as_bytes()), [ok(1, "Zoë Großmüller 東京")]);
}
