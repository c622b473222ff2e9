//! Events about triggers, as CloudEvents 1.0 in structured mode. They hold neither codes nor identities.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;

use crate::trigger::document::{SkippedFor, TriggerDocument, WaitingFor};
use crate::trigger::result::HandledTrigger;

/// The type of the event.
pub const TRIGGER_HANDLED: &str = "codemint.trigger.handled.v1";
/// The routing key of the event.
pub const TRIGGER_HANDLED_KEY: &str = "trigger.handled";

/// An event: a trigger was handled, or what it waited for was decided.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TriggerEvent {
    #[schemars(extend("const" = "1.0"))]
    specversion: &'static str,
    /// The same each time the event is delivered.
    pub id: String,
    #[schemars(extend("const" = "/codemint"))]
    source: &'static str,
    #[serde(rename = "type")]
    #[schemars(extend("const" = TRIGGER_HANDLED))]
    event_type: &'static str,
    /// The id of the trigger.
    subject: String,
    time: DateTime<Utc>,
    #[schemars(extend("const" = "application/json"))]
    datacontenttype: &'static str,
    data: TriggerHandled,
}

/// What became of a trigger so far.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TriggerHandled {
    id: String,
    /// The names of the campaigns that issued a code.
    issued: Vec<String>,
    skipped: Vec<SkippedFor>,
    waiting: Vec<WaitingFor>,
}

impl TriggerEvent {
    /// Returns the event about a trigger with its current results, written at this time.
    pub fn of(trigger: &HandledTrigger, time: DateTime<Utc>) -> Self {
        let TriggerDocument { id, issued, skipped, waiting } = trigger.into();
        let issued = issued.into_iter().map(|issued| issued.campaign).collect();
        Self {
            specversion: "1.0",
            // What waits is decided later, in an event of its own.
            id: format!("{id}/handled/{}", time.timestamp_micros()),
            source: "/codemint",
            event_type: TRIGGER_HANDLED,
            subject: id.clone(),
            time,
            datacontenttype: "application/json",
            data: TriggerHandled { id, issued, skipped, waiting },
        }
    }
}
