//! Formatting and printing of numbers and lines for people.

use std::io::{Write, stderr};

use codemint_codes::text::printable_lines;

/// Formats 1234567 as 1,234,567.
pub fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Prints a line to standard error, beside the report. Whatever it contains, a terminal does not act on it. If that is closed, the load test does not fail.
pub fn say(line: &str) {
    let _unheard = writeln!(stderr(), "{}", printable_lines(line));
}
