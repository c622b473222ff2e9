//! The failure of a command: its message and its exit code.

use std::fmt::Display;
use std::io;

use crate::config::configuration::ConfigError;
use crate::config::policy_files::PolicyError;
use codemint_campaigns::answers::RedeemError;
use codemint_campaigns::people::PeopleError;
use codemint_codes::job::request::RequestError;
use codemint_import::error::ImportError;
use codemint_store::connection::error::{ErrorClass, StoreError};
use codemint_worker::broker::{self, error::BrokerError};
use codemint_worker::mint::error::MintError;

const FAILURE: u8 = 1;
const USAGE: u8 = 2;
const NEGATIVE_RESULT: u8 = 3;
const IMPOSSIBLE_REQUEST: u8 = 4;
const UNREACHABLE: u8 = 5;

/// The reason why a command failed.
#[derive(Debug)]
pub enum Failure {
    /// A message, shown after `error:`, with an exit code that the help documents.
    Message { code: u8, message: String },
    /// The reader of standard output closed it, as `head` does: nothing is reported.
    OutputClosed,
    /// The failure has been reported already, in the log or as the result of a check.
    Reported { code: u8 },
}

impl Failure {
    pub fn other(message: impl Display) -> Self {
        Self::Message { code: FAILURE, message: message.to_string() }
    }

    pub fn usage(message: impl Display) -> Self {
        Self::Message { code: USAGE, message: message.to_string() }
    }

    pub fn negative_result(message: impl Display) -> Self {
        Self::Message { code: NEGATIVE_RESULT, message: message.to_string() }
    }

    /// The result of a check that found something wrong, after its report was printed.
    pub fn unless(holds: bool) -> Result<(), Self> {
        if holds { Ok(()) } else { Err(Self::Reported { code: NEGATIVE_RESULT }) }
    }

    pub fn impossible(message: impl Display) -> Self {
        Self::Message { code: IMPOSSIBLE_REQUEST, message: message.to_string() }
    }

    /// The codes of a job are complete, but not all of them are visible yet.
    pub fn recovering() -> Self {
        let message = "codes are still being recovered at a node of the cluster after a crash; nothing is lost; try again in a minute";
        Self::Message { code: UNREACHABLE, message: message.to_owned() }
    }

    /// The failure of a write to standard output.
    pub fn stdout(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::other(format!("failed to write to standard output: {error}")),
        }
    }

    pub fn unreachable(message: impl Display) -> Self {
        Self::Message { code: UNREACHABLE, message: message.to_string() }
    }

    /// Adds a line with the fix below the message.
    pub fn with_hint(self, hint: impl Display) -> Self {
        match self {
            Self::Message { code, message } => Self::Message { code, message: format!("{message}\n{hint}") },
            nothing_to_say => nothing_to_say,
        }
    }

    /// The failure of a command that was interrupted by this signal.
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

impl From<ImportError> for Failure {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Temporary { .. } | ImportError::Read { .. } | ImportError::RejectFile(_) => Self::other(error),
            ImportError::Unsuitable(_) | ImportError::ColumnNotNumbered { .. } => Self::usage(error),
            _ => Self::impossible(error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::from(&error)
    }
}

/// An error that several callers share.
impl From<&StoreError> for Failure {
    fn from(error: &StoreError) -> Self {
        let code = match error {
            StoreError::Schema(_) | StoreError::NotOpened { .. } | StoreError::IsPgbouncer { .. } => USAGE,
            StoreError::Tls { .. } | StoreError::RoleWithoutLogin { .. } => USAGE,
            StoreError::File { .. } | StoreError::ReadOnly { .. } => USAGE,
            error if matches!(error.class(), ErrorClass::Away | ErrorClass::NoSpace) => UNREACHABLE,
            _ => FAILURE,
        };
        Self::Message { code, message: error.to_string() }
    }
}

impl From<RedeemError> for Failure {
    fn from(error: RedeemError) -> Self {
        match error {
            RedeemError::Identity(error) => Self::impossible(error),
            RedeemError::Busy => Self::other(RedeemError::Busy),
            RedeemError::Store(error) => Self::from(&*error),
        }
    }
}

impl From<PeopleError> for Failure {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Busy => Self::other(PeopleError::Busy),
            PeopleError::Store(error) => Self::from(error),
        }
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
            broker::error::BrokerErrorClass::Away => UNREACHABLE,
            broker::error::BrokerErrorClass::Permanent => USAGE,
        };
        Self::Message { code, message: error.to_string() }
    }
}
