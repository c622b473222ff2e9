//! Some columns of a CSV text with a header.

use std::ops::ControlFlow;

use codemint_import::rows::{InvalidRow, RowsError, each_row_of};

type Row = (u64, Result<[String; 3], InvalidRow>);

fn read(text: &[u8]) -> Result<Vec<Row>, RowsError> {
    let mut found = Vec::new();
    let proceed = |_bytes| ControlFlow::Continue(());
    each_row_of(text, ["reference", "affiliate", "note"], &proceed, |line, row| {
        found.push((line, row.map(|fields| fields.map(str::to_owned))));
    })?;
    Ok(found)
}

fn row(line: u64, fields: [&str; 3]) -> Row {
    (line, Ok(fields.map(str::to_owned)))
}

#[test]
fn columns_stand_in_any_order_and_may_be_missing() {
    let expected = vec![row(2, ["01", "Rose", "x"]), row(3, ["02", "", ""])];
    for text in [
        "reference,affiliate,note\n01,Rose,x\n02,,\n",
        "\u{feff}Note; REFERENCE ;Affiliate\r\nx;01;Rose\r\n;02;\r\n",
        "affiliate\tnote\treference\nRose\tx\t 01 \n\t\t02",
        "\"reference\",\"note\",\"affiliate\"\n\"01\",\"x\",\"Rose\"\n02\n",
    ] {
        assert_eq!(read(text.as_bytes()).expect("rows"), expected, "{text:?}");
    }
    assert_eq!(read(b"sep=;\nreference;note\n01;a\n").expect("rows"), [row(3, ["01", "", "a"])]);
    assert_eq!(
        read(b"reference,note\n01,\"a\nb\"\n02,c\n").expect("rows"),
        [row(2, ["01", "", "a\nb"]), row(4, ["02", "", "c"])]
    );
    assert_eq!(read(b"reference\n").expect("rows"), []);
}

#[test]
fn rows_that_cannot_be_read_are_named_by_their_lines() {
    let long = "x".repeat(5000);
    let text =
        [b"note,reference\nx\n\na,01,b\n\xff,02\n".to_vec(), format!("{long},03\nfine,04\n").into_bytes()].concat();
    let expected = vec![
        (2, Err(InvalidRow::NoField)),
        (3, Err(InvalidRow::Empty)),
        (4, Err(InvalidRow::ExtraFields)),
        (5, Err(InvalidRow::NotUtf8)),
        (6, Err(InvalidRow::TooLong)),
        row(7, ["04", "", "fine"]),
    ];
    assert_eq!(read(&text).expect("rows"), expected);
}

#[test]
fn a_text_without_these_columns_is_refused() {
    for (text, expected) in [
        ("", "no column reference"),
        ("\n \n", "no column reference"),
        ("01\n02\n", "no column reference"),
        ("affiliate,note\n", "no column reference"),
        ("reference,promo,x\n", "2 unknown columns; its columns are reference, affiliate, note"),
        ("reference,note,NOTE\n", "the column note more than once"),
        ("reference\n\"01\n", "quotation mark on line 2 is not closed"),
    ] {
        let error = read(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}
