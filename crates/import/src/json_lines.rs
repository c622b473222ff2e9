//! Reads JSON lines, one object with a code per line, as `export --format jsonl` writes them.

use std::borrow::Cow;
use std::io::Read;

use serde::Deserialize;

use crate::error::ImportError;
use crate::lines::{Content, Place, each_raw_line};
use crate::source::Source;

/// The longest line: a code has at most 64 characters, and other members of the object are ignored.
const LINE_BYTES_MAX: usize = 64 * 1024;

#[derive(Deserialize)]
struct CodeLine<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
}

/// Returns the code of a line, or `None` if the line is not a JSON object with a text `code`.
pub(crate) fn code_of(line: &[u8]) -> Option<Cow<'_, str>> {
    // The library would also read an array as the members in their order.
    let object = Some(line).filter(|line| line.trim_ascii_start().starts_with(b"{"))?;
    serde_json::from_slice::<CodeLine<'_>>(object).ok().map(|line| line.code)
}

/// Passes the code of every line to `take` with the number of the line, counted from 1.
pub(crate) fn each_code<R: Read>(
    source: &mut Source<'_, R>,
    mut take: impl FnMut(u64, Content<'_>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    each_raw_line(source, LINE_BYTES_MAX, |line_no, line, is_cut_off| {
        if line.trim_ascii().is_empty() {
            return take(line_no, Content::Blank);
        }
        match code_of(line).filter(|_| !is_cut_off) {
            Some(code) => {
                take(line_no, Content::Text { bytes: code.as_bytes(), is_cut_off: false, place: Place::Marked })
            }
            None => take(line_no, Content::NotJson),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::code_of;

    #[test]
    fn regression_a_json_line_has_a_code_only_as_a_text() {
        let table = [
            (r#"{"code":"A1"}"#, Some("A1")),
            (r#" { "note": [1, {}], "code" : "A\"\u0031" } "#, Some("A\"1")),
            (r#"{"code":12}"#, None),
            (r#"{"code":null}"#, None),
            (r#"{"code":"A1","code":"B2"}"#, None),
            (r#"{"Code":"A1"}"#, None),
            (r#"{"code":"A1"},"#, None),
            (r#""A1""#, None),
            (r#"["A1"]"#, None),
            ("{", None),
        ];
        for (line, expected) in table {
            assert_eq!(code_of(line.as_bytes()).as_deref(), expected, "{line}");
        }
    }
}
