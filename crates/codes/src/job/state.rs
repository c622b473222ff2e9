//! The states of a job, and the reason for an end without all codes.

use strum::{Display, EnumString, IntoStaticStr, VariantNames};

use crate::text::{one_or_many, plural};

/// The state of a job. Its name in tables, in messages and on the command line is in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case", const_into_str, parse_err_ty = String, parse_err_fn = unknown_state)]
pub enum State {
    Queued,
    Running,
    Cancelling,
    Cancelled,
    Completed,
    Failed,
}

impl State {
    /// Returns true if nothing will change any more.
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Cancelled | Self::Completed | Self::Failed)
    }
}

fn unknown_state(_text: &str) -> String {
    format!("unknown state; use one of {}", State::VARIANTS.join(", "))
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
    /// The code of a request under another check key than that of the newest job of its mask.
    pub const OTHER_CHECK_KEY: &str = "other_check_key";
    /// The code of an import whose codes were withdrawn, or are being withdrawn.
    pub const WITHDRAWN: &str = "withdrawn";

    /// Returns the reason of a job that requests `count` codes where `free` are free; `exact` is false for an estimate.
    pub fn insufficient_keyspace(free: u128, exact: bool, count: u64) -> Self {
        let about = if exact { "" } else { "about " };
        let (codes, were) = (plural(free, "code"), one_or_many(count, "was", "were"));
        let message = format!("the mask has {about}{free} free {codes}, {count} {were} requested");
        Self { code: Self::INSUFFICIENT_KEYSPACE.to_owned(), message }
    }
}
