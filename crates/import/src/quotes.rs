//! Checks the quotation marks of a CSV text. The parser itself accepts everything: it reads to the end of the input for a
//! mark that is never closed, and joins text that follows a closed one.

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

/// A check that receives every byte of a CSV text once.
#[derive(Debug)]
pub(crate) struct QuoteCheck {
    delimiter: u8,
    state: State,
    /// The line of the mark that opened the current field.
    opened: u64,
    is_quoted: bool,
}

impl QuoteCheck {
    pub fn new(delimiter: u8) -> Self {
        Self { delimiter, state: State::FieldStart, opened: 1, is_quoted: false }
    }

    /// Returns true if the last field that began was quoted.
    pub fn is_quoted(&self) -> bool {
        self.is_quoted
    }

    /// Checks the next bytes, which begin on this line.
    pub fn check(&mut self, bytes: &[u8], mut line: u64) -> Result<(), ImportError> {
        for &byte in bytes {
            self.state = match (self.state, byte) {
                (State::FieldStart, b'"') => {
                    (self.opened, self.is_quoted) = (line, true);
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

    /// Checks that the input may end here.
    pub fn end(&self) -> Result<(), ImportError> {
        match self.state {
            State::Quoted => Err(ImportError::UnclosedQuote { line: self.opened }),
            State::FieldStart | State::Plain | State::AfterMark => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::QuoteCheck;

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
