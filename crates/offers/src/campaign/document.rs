//! A campaign as programs read it: its definition, and what has become of it.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::campaign::definition::Definition;
use crate::campaign::status::{Counts, Status};

/// The fields that only answers have.
pub const ANSWERED: [&str; 4] = ["version", "status", "counts", "created_at"];

/// The document of a campaign.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CampaignDocument {
    #[serde(flatten)]
    pub definition: Definition,
    /// The version of the definition, from 1.
    pub version: u32,
    pub status: Status,
    pub counts: Counts,
    pub created_at: DateTime<Utc>,
}
