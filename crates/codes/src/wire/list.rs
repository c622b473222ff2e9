//! Lists of identities in JSON: what was read of them, and what came of it.

use schemars::JsonSchema;
use serde::Serialize;

/// What was read of a list of identities that get codes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ListDocument {
    pub rows: u64,
    /// Rows whose identity was in an earlier row.
    pub repeated: u64,
    /// Rows without a valid identity.
    pub invalid: u64,
    /// Identities that have a code of the campaign already.
    pub already_bound: u64,
}

/// The members of a segment after they were replaced.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct MembersDocument {
    /// The name of the segment.
    pub name: String,
    /// The number of members before.
    pub before: u64,
    /// The number of members now.
    pub now: u64,
    /// Rows whose identity was in an earlier row.
    pub repeated: u64,
}
