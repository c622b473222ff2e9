//! The wrong lines of a list, all counted, the first ones kept.

use std::fmt::Display;

use codemint_codes::text::grouped;
use serde::Serialize;

use crate::cli::support::failure::Failure;
use crate::cli::support::terminal::print_json;

/// The maximum number of wrong lines that are reported.
const SHOWN_MAX: usize = 100;

/// Lines with what is wrong with them.
#[derive(Debug)]
pub struct WrongLines<P> {
    pub count: u64,
    first: Vec<(u64, P)>,
}

#[derive(Serialize)]
struct Errors {
    errors: Vec<LineError>,
}

#[derive(Serialize)]
struct LineError {
    line: u64,
    message: String,
}

impl<P> Default for WrongLines<P> {
    fn default() -> Self {
        Self { count: 0, first: Vec::new() }
    }
}

impl<P: Display> WrongLines<P> {
    pub fn add(&mut self, line: u64, problem: P) {
        self.count += 1;
        if self.first.len() < SHOWN_MAX {
            self.first.push((line, problem));
        }
    }

    /// Returns the first lines, each with its number and its problem.
    pub fn iter(&self) -> impl Iterator<Item = &(u64, P)> {
        self.first.iter()
    }

    /// Returns the failure of a list with wrong lines, and reports them for programs if that was requested. `head` says what became of
    /// the list.
    pub fn refuse(&self, head: String, as_json: bool) -> Failure {
        if as_json {
            let error = |(line, problem): &(u64, P)| LineError { line: *line, message: problem.to_string() };
            let errors = self.iter().map(error).collect();
            return print_json(&Errors { errors }).err().unwrap_or_else(|| Failure::impossible(head));
        }
        let mut message =
            self.iter().fold(head, |message, (line, problem)| format!("{message}\n  line {line}: {problem}"));
        let more = self.count.saturating_sub(self.first.len() as u64);
        if more > 0 {
            message.push_str(&format!("\n  and {} more", grouped(more.into())));
        }
        Failure::impossible(message)
    }
}
