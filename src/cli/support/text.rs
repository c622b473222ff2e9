//! Formatting and printing of numbers and lines for people.

use std::io::{IsTerminal, Write, stderr, stdout};

use serde::Serialize;

use crate::cli::support::exit::Failure;

/// Quotes a word for a shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Escapes an untrusted text for one line of output: any character that could move a cursor or be invisible.
pub fn printable(text: &str) -> String {
    let shown = |c: char| {
        let hidden = c != '\t' && !matches!(c, '"' | '\'' | '\\') && c.escape_debug().len() > 1;
        if hidden { c.escape_debug().to_string() } else { c.to_string() }
    };
    text.chars().map(shown).collect()
}

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

/// Prints one line of data.
///
/// # Errors
/// If standard output cannot be written.
pub fn print_line(line: &str) -> Result<(), Failure> {
    writeln!(stdout(), "{line}").map_err(|error| Failure::stdout(&error))
}

/// Prints a line to standard error, beside the data. If that is closed, the command does not fail.
pub fn say(line: &str) {
    let _unheard = writeln!(stderr(), "{line}");
}

/// Prints a value as one line of JSON.
///
/// # Errors
/// If standard output cannot be written.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print_line(&json(value)?)
}

pub fn json(value: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(Failure::other)
}

/// Returns true if colour is allowed: on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
pub fn color_allowed() -> bool {
    is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Returns true if standard error is a terminal.
pub fn is_terminal() -> bool {
    stderr().is_terminal()
}

/// Formats a text with a caret under one of its bytes.
pub fn with_caret(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text).chars().count();
    format!("  {text}\n  {}^", " ".repeat(before))
}
