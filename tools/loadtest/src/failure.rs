//! The failures of a load test, with their exit codes, which are those of `codemint`.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use codemint_codes::text::printable;
use codemint_store::connection::error::{ErrorClass, StoreError};

use crate::text::say;

const DONE: u8 = 0;
const FAILURE: u8 = 1;
const USAGE: u8 = 2;
const IMPOSSIBLE_REQUEST: u8 = 4;
const UNREACHABLE: u8 = 5;

/// The reason why a load test ended without a report.
#[derive(Debug)]
pub enum Failure {
    Message {
        code: u8,
        message: String,
    },
    /// The reader of standard output has closed it: there is nobody left to report to.
    OutputClosed,
}

impl Failure {
    pub fn other(message: impl Display) -> Self {
        Self::Message { code: FAILURE, message: message.to_string() }
    }

    pub fn usage(message: impl Display) -> Self {
        Self::Message { code: USAGE, message: message.to_string() }
    }

    pub fn impossible(message: impl Display) -> Self {
        Self::Message { code: IMPOSSIBLE_REQUEST, message: message.to_string() }
    }

    pub fn unreachable(message: impl Display) -> Self {
        Self::Message { code: UNREACHABLE, message: message.to_string() }
    }

    /// The failure of a load test that was interrupted by this signal.
    pub fn interrupted(signal: u8) -> Self {
        Self::Message { code: 128 + signal, message: "stopped; all test data is removed".to_owned() }
    }

    /// The failure of a write to standard output.
    pub fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::other(format!("failed to write to standard output: {error}")),
        }
    }

    /// Adds a line with the fix below the message.
    pub fn with_hint(self, hint: impl Display) -> Self {
        match self {
            Self::Message { code, message } => Self::Message { code, message: format!("{message}\n{hint}") },
            Self::OutputClosed => Self::OutputClosed,
        }
    }

    /// Prints the message and returns the exit code.
    pub fn report(self, quiet: bool) -> ExitCode {
        match self {
            Self::OutputClosed => ExitCode::from(DONE),
            Self::Message { code, message } => {
                // An interruption is not an error.
                let interrupted = code > 128;
                if interrupted && !quiet {
                    say(&message);
                } else if !interrupted {
                    say(&format!("error: {message}"));
                }
                ExitCode::from(code)
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        // The server's message may have several lines.
        let message = printable(&error.to_string());
        match &error {
            StoreError::IsPgbouncer { place } => {
                Self::usage(format!("the server at {place} is a pgbouncer; a load test needs a direct connection"))
            }
            StoreError::Schema(_) | StoreError::NotOpened { .. } | StoreError::File { .. } | StoreError::Tls { .. } => {
                Self::usage(message)
            }
            _ if error.class() == ErrorClass::Away => Self::unreachable(message),
            _ => Self::other(message),
        }
    }
}
