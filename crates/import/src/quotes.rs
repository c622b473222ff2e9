//! Checks the quotation marks of a CSV text. The parser itself accepts everything: it reads to the end of the input for a
//! mark that is never closed, and joins text that follows a closed one.

use codemint_codes::symbols::is_printable;

use crate::error::ImportError;

/// The maximum number of line breaks in a quoted field. A mark that is never closed would swallow the lines after it
/// until the next mark closes it by accident.
pub const FIELD_LINES_MAX: u64 = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    FieldStart,
    Plain,
    Quoted,
    /// After a mark within a quoted field: it closes the field or is the first one of a doubled mark.
    AfterMark,
}

/// The shape of the rows of a CSV text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub fields: usize,
    /// The position of the field that holds the code, counted from 0.
    pub wanted: usize,
}

/// A line that began within a quoted field, as far as it has been read.
#[derive(Clone, Copy, Debug, Default)]
struct InnerLine {
    /// False on the line of the opening mark.
    has_begun: bool,
    delimiters: usize,
    /// The length of what would be the code.
    code_length: usize,
    /// True if that contains a blank or another character that no code has.
    is_no_code: bool,
}

/// A check that receives every byte of a CSV text once.
#[derive(Debug)]
pub(crate) struct QuoteCheck {
    delimiter: u8,
    state: State,
    /// The line of the mark that opened the current field.
    opened: u64,
    is_quoted: bool,
    inner: InnerLine,
    /// The shape of the rows, once it is known.
    pub shape: Option<Shape>,
}

impl QuoteCheck {
    pub fn new(delimiter: u8) -> Self {
        let inner = InnerLine::default();
        Self { delimiter, state: State::FieldStart, opened: 1, is_quoted: false, inner, shape: None }
    }

    /// Returns true if the last field that began was quoted.
    pub fn is_quoted(&self) -> bool {
        self.is_quoted
    }

    /// Checks the next bytes, which begin on this line.
    pub fn check(&mut self, bytes: &[u8], mut line: u64) -> Result<(), ImportError> {
        for &byte in bytes {
            self.watch_inner_line(byte)?;
            self.state = match (self.state, byte) {
                (State::FieldStart, b'"') => {
                    (self.opened, self.is_quoted, self.inner) = (line, true, InnerLine::default());
                    State::Quoted
                }
                (State::Quoted, b'"') => State::AfterMark,
                (State::Quoted, _) => State::Quoted,
                (State::AfterMark, b'"') => State::Quoted,
                (_, b'\r' | b'\n') => State::FieldStart,
                (_, byte) if byte == self.delimiter => State::FieldStart,
                (State::AfterMark, _) => return Err(ImportError::TextAfterQuote { opened: self.opened, line }),
                (State::FieldStart, _) => {
                    self.is_quoted = false;
                    State::Plain
                }
                (State::Plain, _) => State::Plain,
            };
            if byte == b'\n' {
                line += 1;
                if self.state == State::Quoted && line - self.opened > FIELD_LINES_MAX {
                    return Err(ImportError::UnclosedQuote { line: self.opened });
                }
            }
        }
        Ok(())
    }

    /// Refuses a line within a quoted field that looks like a row: a mark that is not closed has probably swallowed it, and
    /// a later mark closes the field by accident.
    fn watch_inner_line(&mut self, byte: u8) -> Result<(), ImportError> {
        let Some(shape) = self.shape.filter(|_| matches!(self.state, State::Quoted | State::AfterMark)) else {
            return Ok(());
        };
        // A carriage return after a mark ends the field, and the row.
        let is_end = byte == b'\n' || byte == b'\r' && self.state == State::AfterMark;
        match byte {
            _ if is_end && self.inner.looks_like_row(shape) => {
                return Err(ImportError::UnclosedQuote { line: self.opened });
            }
            b'\n' => self.inner = InnerLine { has_begun: true, ..InnerLine::default() },
            b'\r' => {}
            byte if byte == self.delimiter => self.inner.delimiters += 1,
            byte if self.inner.delimiters == shape.wanted && byte != b'"' => {
                self.inner.code_length += 1;
                self.inner.is_no_code |= !is_printable(byte);
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks that the input may end here.
    pub fn end(&self) -> Result<(), ImportError> {
        match self.state {
            State::Quoted => Err(ImportError::UnclosedQuote { line: self.opened }),
            State::AfterMark if self.shape.is_some_and(|shape| self.inner.looks_like_row(shape)) => {
                Err(ImportError::UnclosedQuote { line: self.opened })
            }
            State::FieldStart | State::Plain | State::AfterMark => Ok(()),
        }
    }
}

impl InnerLine {
    const fn looks_like_row(self, shape: Shape) -> bool {
        self.has_begun && self.delimiters + 1 == shape.fields && self.code_length > 0 && !self.is_no_code
    }
}

#[cfg(test)]
mod tests {
    use super::{QuoteCheck, Shape};

    #[test]
    fn regression_a_mark_that_encloses_rows_is_not_closed() {
        let table = [
            ("BAD,\"5 inch\nGOOD,x\nLAST,5\"\n", Err("1")),
            ("BAD,\"5 inch\r\nGOOD,5\"\r\nNEXT,x\r\n", Err("1")),
            ("A1,\"a note\nof two lines\"\nB2,x\n", Ok(())),
            ("A1,\"Dear customer,\nuse this code, please\n\"\nB2,x\n", Ok(())),
        ];
        for (text, expected) in table {
            for size in [1, 3, 100] {
                let (mut check, mut line) = (QuoteCheck::new(b','), 1);
                check.shape = Some(Shape { fields: 2, wanted: 0 });
                let fed = text.as_bytes().chunks(size).try_for_each(|piece| {
                    let checked = check.check(piece, line);
                    line += piece.iter().filter(|&&byte| byte == b'\n').count() as u64;
                    checked
                });
                let lines = |message: String| {
                    let lines = message.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty());
                    lines.collect::<Vec<_>>().join(" ")
                };
                assert_eq!(fed.map_err(|error| lines(error.to_string())), expected.map_err(str::to_owned), "{text:?}");
            }
        }
    }

    #[test]
    fn every_misplaced_quotation_mark_is_found_with_its_line() {
        let table = [
            ("A1,x\nB2,y\n", Ok(())),
            ("A1,\"x\"\r\n\"B2\",\"y\"", Ok(())),
            ("A1,\"x\"\"y\"\"\"\nB2,\"a\nb\"", Ok(())),
            ("A1,5\"\nB\"2\n", Ok(())),
            ("A1\nB2,\"5 inch\nC3\n", Err("2")),
            ("A1\n\"", Err("2")),
            ("A1\n\"B2\" ,x", Err("2")),
            ("A1\nB2,\"5 inch\nC3,\"x", Err("2 3")),
        ];
        for (text, expected) in table {
            for size in [1, 3, 100] {
                let (mut check, mut line) = (QuoteCheck::new(b','), 1);
                let fed = text.as_bytes().chunks(size).try_for_each(|piece| {
                    let checked = check.check(piece, line);
                    line += piece.iter().filter(|&&byte| byte == b'\n').count() as u64;
                    checked
                });
                let found = fed.and_then(|()| check.end()).map_err(|error| error.to_string());
                match expected {
                    Ok(()) => assert_eq!(found, Ok(()), "{text:?}"),
                    Err(lines) => {
                        let message = found.expect_err(text);
                        let found: Vec<&str> =
                            message.split(|c: char| !c.is_ascii_digit()).filter(|n| !n.is_empty()).collect();
                        assert_eq!(found.join(" "), lines, "{text:?}: {message}");
                    }
                }
            }
        }
    }
}
