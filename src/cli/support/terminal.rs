//! Printing: data to standard output, everything else to standard error.

use std::fmt::Display;
use std::io::{IsTerminal, Write, stderr, stdout};

use serde::Serialize;

use crate::cli::support::failure::Failure;
use codemint_codes::text::printable_lines;

/// Prints lines for people. Whatever they contain, a terminal does not act on it; texts from outside are also escaped
/// where they are formatted, so that they add no lines.
pub fn print_line(line: &str) -> Result<(), Failure> {
    print_raw(&printable_lines(line))
}

/// Prints a line to standard error, beside the data. If that is closed, the command does not fail.
pub fn print_note(line: &str) {
    let _unheard = writeln!(stderr(), "{}", printable_lines(line));
}

/// Prints a value as one line of JSON, for programs.
pub fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    print_raw(&json(value)?)
}

fn print_raw(line: &str) -> Result<(), Failure> {
    writeln!(stdout(), "{line}").map_err(|error| Failure::stdout(&error))
}

/// Prints a report: as one line of JSON, or for people.
pub fn print_report(as_json: bool, report: &(impl Serialize + Display)) -> Result<(), Failure> {
    if as_json { print_json(report) } else { print_line(&report.to_string()) }
}

/// Prints a report to standard error, where standard output holds codes.
pub fn print_report_beside(as_json: bool, report: &(impl Serialize + Display)) -> Result<(), Failure> {
    let lines = if as_json { json(report)? } else { printable_lines(&report.to_string()) };
    let _unheard = writeln!(stderr(), "{lines}");
    Ok(())
}

fn json(value: &impl Serialize) -> Result<String, Failure> {
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
