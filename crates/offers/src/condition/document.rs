//! A segment as programs read it.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

/// The document of a segment.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SegmentDocument {
    pub name: String,
    /// The condition as it was written; null if there is none.
    pub condition: Value,
    /// The number of listed members.
    pub members: u64,
    pub changed_at: DateTime<Utc>,
}
