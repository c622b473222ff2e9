//! Formatting and printing of numbers and lines for people.

use std::io::{Write, stderr};

use codemint_codes::text::printable_lines;

/// Prints a line to standard error, beside the report. Whatever it contains, a terminal does not act on it. If that is closed, the load test does not fail.
pub fn say(line: &str) {
    let _unheard = writeln!(stderr(), "{}", printable_lines(line));
}
