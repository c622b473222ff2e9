//! Formatting and printing of numbers and lines for people.

use std::io::{Write, stderr, stdout};

use crate::failure::Failure;

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

/// Prints one line of the report.
///
/// # Errors
/// If standard output cannot be written.
pub fn print_line(line: &str) -> Result<(), Failure> {
    writeln!(stdout(), "{line}").map_err(|error| Failure::stdout(&error))
}

/// Prints a line to standard error, beside the report. If that is closed, the load test does not fail.
pub fn say(line: &str) {
    let _unheard = writeln!(stderr(), "{line}");
}
