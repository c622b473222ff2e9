//! The states of a job, and the reason for an end without all codes.

use std::fmt;
use std::str::FromStr;

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Queued,
    Running,
    Cancelling,
    Cancelled,
    Completed,
    Failed,
}

impl State {
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Running, Self::Cancelling, Self::Cancelled, Self::Completed, Self::Failed];

    /// Returns the name used in tables, in messages and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Cancelling => "cancelling",
            Self::Cancelled => "cancelled",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Returns true if nothing will change any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Cancelled | Self::Completed | Self::Failed)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or_else(|| format!("unknown state; use one of {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

/// The reason why a job ended without all its codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobError {
    /// The stable code for programs: lower case, with underscores.
    pub code: String,
    pub message: String,
}

impl JobError {
    /// The code of a request for which too few codes of the mask are free.
    pub const INSUFFICIENT_KEYSPACE: &str = "insufficient_keyspace";
}
