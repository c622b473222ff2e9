//! Lines that differ in kind from the others of a text that seems to hold one code per line: rows of a table, JSON objects
//! or names of columns. An input that begins like codes may go on as something else.

use crate::looks::{Looks, OddKind, is_name_and_no_code};
use crate::separator::SEPARATORS;

/// A kind of odd lines, with the first of them.
#[derive(Clone, Copy, Debug)]
struct Found {
    kind: OddKind,
    first: u64,
    lines: u64,
}

/// A check that receives every line that gives a code.
#[derive(Debug, Default)]
pub(crate) struct OddLines {
    lines: u64,
    found: Vec<Found>,
}

impl OddLines {
    pub fn take(&mut self, line: u64, text: &[u8]) {
        self.lines += 1;
        if text.starts_with(b"{\"") {
            self.count(OddKind::Json, line);
        } else if self.lines > 1 && is_name_and_no_code(text) {
            self.count(OddKind::Header, line);
        } else if let Some(&separator) = SEPARATORS.iter().find(|separator| text.contains(separator)) {
            self.count(OddKind::Row { separator }, line);
        }
    }

    /// Returns what the input looks like if some lines are odd; a kind that all lines have is no exception.
    pub fn looks(&self) -> Option<Looks> {
        let odd = self.found.iter().filter(|found| found.lines < self.lines).min_by_key(|found| found.first)?;
        Some(Looks::Mixed { line: odd.first, kind: odd.kind, odd: odd.lines, lines: self.lines })
    }

    fn count(&mut self, kind: OddKind, line: u64) {
        match self.found.iter_mut().find(|found| found.kind == kind) {
            Some(found) => found.lines += 1,
            None => self.found.push(Found { kind, first: line, lines: 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::OddLines;

    #[test]
    fn regression_a_line_of_another_kind_is_found_wherever_it_is() {
        let table = [
            ("A1\nB2\nC3", None),
            ("A1,x\nB2,y", None),
            ("A1\nB2,y\nC3", Some("1 of 3 lines has commas, unlike the others; the first is line 2")),
            ("A1\nB2;y\nC3;z", Some("2 of 3 lines have semicolons, unlike the others; the first is line 2")),
            ("A1\n{\"code\":\"B2\"}", Some("1 of 2 lines is JSON, unlike the others; the first is line 2")),
            ("code\nA1\nCode\nB2", Some("1 of 4 lines is the name of a column; the first is line 3")),
            ("A1,\nB2", Some("1 of 2 lines has commas, unlike the others; the first is line 1")),
        ];
        for (text, expected) in table {
            let mut odd = OddLines::default();
            (1..).zip(text.lines()).for_each(|(line, text)| odd.take(line, text.as_bytes()));
            let looks = odd.looks().map(|looks| looks.to_string());
            match expected {
                None => assert_eq!(looks, None, "{text}"),
                Some(start) => assert!(looks.as_deref().is_some_and(|looks| looks.starts_with(start)), "{looks:?}"),
            }
        }
    }
}
