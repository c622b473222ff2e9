//! Events about jobs, as CloudEvents 1.0 in structured mode.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use strum::{IntoStaticStr, VariantArray};
use uuid::Uuid;

use crate::job::record::Job;
use crate::job::state::State;
use crate::wire::document::JobDocument;

pub const EVENT_CONTENT_TYPE: &str = "application/cloudevents+json";
/// The same source for every process, because an event's id is unique by itself.
const SOURCE: &str = "/codemint";
const SPEC_VERSION: &str = "1.0";
const DATA_CONTENT_TYPE: &str = "application/json";

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum EventKind {
    Accepted,
    Progress,
    Completed,
    Failed,
    Cancelled,
}

/// An event about a job: a CloudEvent 1.0 in structured JSON. It never contains a code.
///
/// Fields may be added; ignore fields that you do not know.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Event")]
pub struct EventDocument {
    /// The CloudEvents version.
    #[schemars(extend("const" = SPEC_VERSION))]
    pub specversion: &'static str,
    /// The event's id: the same each time the event is delivered.
    pub id: String,
    /// The program that publishes the event.
    #[schemars(extend("const" = SOURCE))]
    pub source: &'static str,
    /// The event's type: what happened. The last three are final: no new event follows.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = EventKind::VARIANTS.iter().map(|kind| kind.event_type()).collect::<Vec<_>>()))]
    pub event_type: String,
    /// The job's id.
    pub subject: Uuid,
    /// The time when it happened.
    pub time: DateTime<Utc>,
    /// The media type of `data`.
    #[schemars(extend("const" = DATA_CONTENT_TYPE))]
    pub datacontenttype: &'static str,
    /// The job as it was when the event was written.
    pub data: JobDocument,
}

impl EventKind {
    /// Returns the event that reports this final state; `None` for a state that is not final.
    pub const fn of_end(state: State) -> Option<Self> {
        match state {
            State::Completed => Some(Self::Completed),
            State::Failed => Some(Self::Failed),
            State::Cancelled => Some(Self::Cancelled),
            State::Queued | State::Running | State::Cancelling => None,
        }
    }

    /// Returns the event's type, which is also the `type` property of the message.
    pub fn event_type(self) -> String {
        format!("codemint.job.{}.v1", self.into_str())
    }

    pub fn routing_key(self) -> String {
        format!("job.{}", self.into_str())
    }

    /// Returns the event about a job in its current state; `time` is when it happened.
    pub fn of(self, job: &Job, time: DateTime<Utc>) -> EventDocument {
        let id = match self {
            // Two progress events of a job have the same number of codes only if they report the same.
            Self::Progress => format!("{}/progress/{}", job.id, job.minted),
            other => format!("{}/{}", job.id, other.into_str()),
        };
        EventDocument {
            specversion: SPEC_VERSION,
            id,
            source: SOURCE,
            event_type: self.event_type(),
            subject: job.id,
            time,
            datacontenttype: DATA_CONTENT_TYPE,
            data: JobDocument::from(job),
        }
    }
}
