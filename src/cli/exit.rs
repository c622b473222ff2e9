//! Exit codes and the last message of a command that did not do what was asked.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use crate::cli::text::say;
use crate::config::ConfigError;
use crate::policy::PolicyError;
use codemint_codes::job::request::RequestError;
use codemint_store::error::{ErrorClass, StoreError};
use codemint_worker::broker::{self, error::BrokerError};
use codemint_worker::mint::MintError;

pub const DONE: u8 = 0;
const FAILURE: u8 = 1;
const USAGE: u8 = 2;
pub const ANSWER_IS_NO: u8 = 3;
const IMPOSSIBLE_REQUEST: u8 = 4;
const UNREACHABLE: u8 = 5;

/// Why a command ends without having done what was asked.
#[derive(Debug)]
pub enum Failure {
    /// Shown with `error:` in front; the code as documented in the help.
    Message { code: u8, message: String },
    /// Whoever read standard output has gone, as `head` does: nothing to say.
    OutputClosed,
    /// The log has it.
    Told { code: u8 },
}

impl Failure {
    pub fn other(message: impl Display) -> Self {
        Self::Message { code: FAILURE, message: message.to_string() }
    }

    pub fn usage(message: impl Display) -> Self {
        Self::Message { code: USAGE, message: message.to_string() }
    }

    pub fn answer_is_no(message: impl Display) -> Self {
        Self::Message { code: ANSWER_IS_NO, message: message.to_string() }
    }

    pub fn impossible(message: impl Display) -> Self {
        Self::Message { code: IMPOSSIBLE_REQUEST, message: message.to_string() }
    }

    /// For writes to standard output.
    pub fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::other(format!("failed to write to standard output: {error}")),
        }
    }

    pub fn unreachable(message: impl Display) -> Self {
        Self::Message { code: UNREACHABLE, message: message.to_string() }
    }

    /// Says below the message what can be done about it.
    pub fn with_hint(self, hint: impl Display) -> Self {
        match self {
            Self::Message { code, message } => Self::Message { code, message: format!("{message}\n{hint}") },
            nothing_to_say => nothing_to_say,
        }
    }

    /// The command was interrupted by this signal.
    pub fn interrupted(signal: u8, message: impl Display) -> Self {
        Self::Message { code: 128 + signal, message: message.to_string() }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::usage(error)
    }
}

impl From<PolicyError> for Failure {
    fn from(error: PolicyError) -> Self {
        Self::usage(error)
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::impossible(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let code = match &error {
            StoreError::Schema(_) | StoreError::NotOpened { .. } | StoreError::IsPgbouncer { .. } => USAGE,
            StoreError::File { .. } | StoreError::Partitions(_) => USAGE,
            error if error.class() == ErrorClass::Away => UNREACHABLE,
            _ => FAILURE,
        };
        Self::Message { code, message: error.to_string() }
    }
}

impl From<MintError> for Failure {
    fn from(error: MintError) -> Self {
        match error {
            MintError::Store(error) => error.into(),
            other @ (MintError::CheckKey { .. } | MintError::DeniedWords { .. } | MintError::Import) => {
                Self::usage(other)
            }
            other => Self::other(other),
        }
    }
}

impl From<BrokerError> for Failure {
    fn from(error: BrokerError) -> Self {
        let code = match error.class() {
            broker::error::ErrorClass::Away => UNREACHABLE,
            broker::error::ErrorClass::Permanent => USAGE,
        };
        Self::Message { code, message: error.to_string() }
    }
}

/// For a worker, whose lines are all of the log. One that was not interrupted and did not end well says why as its last word.
///
/// # Errors
/// `Told` instead of a message.
pub fn tell_in_the_log(result: Result<ExitCode, Failure>) -> Result<ExitCode, Failure> {
    result.map_err(|failure| match failure {
        Failure::Message { code, message } if code <= 128 => {
            tracing::error!(exit_code = code, "the worker has ended with an error: {message}");
            Failure::Told { code }
        }
        other => other,
    })
}

/// Prints what is left to say and turns it into an exit code.
pub fn report(result: Result<ExitCode, Failure>, quiet: bool) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(Failure::OutputClosed) => ExitCode::from(DONE),
        Err(Failure::Told { code }) => ExitCode::from(code),
        Err(Failure::Message { code, message }) => {
            // An interruption is no error, but tells how to go on.
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
