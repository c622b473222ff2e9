//! Events: what is told about a job, as CloudEvents 1.0 in structured mode.
//! <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md>

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::job::{Job, State};
use crate::wire::document::JobDocument;

pub const EVENT_CONTENT_TYPE: &str = "application/cloudevents+json";
/// Events of one program, wherever it runs: an event's id is unique by itself.
const SOURCE: &str = "/codemint";
const SPEC_VERSION: &str = "1.0";
const DATA_CONTENT_TYPE: &str = "application/json";

/// What an event says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Accepted,
    Progress,
    Completed,
    Failed,
    Cancelled,
}

/// What is told about a job: a CloudEvent 1.0 in structured JSON. Never holds a code.
///
/// Further fields may be added; ignore those that you do not know.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(title = "Event")]
pub struct EventDocument {
    /// The version of CloudEvents.
    #[schemars(extend("const" = SPEC_VERSION))]
    pub specversion: &'static str,
    /// The same event has the same id, however often it arrives.
    pub id: String,
    /// Who says so.
    #[schemars(extend("const" = SOURCE))]
    pub source: &'static str,
    /// What happened. The last three are ends: nothing new follows.
    #[serde(rename = "type")]
    #[schemars(extend("enum" = EventKind::ALL.map(EventKind::event_type)))]
    pub event_type: String,
    /// The job's id.
    pub subject: Uuid,
    /// When it came true.
    pub time: DateTime<Utc>,
    /// The media type of `data`.
    #[schemars(extend("const" = DATA_CONTENT_TYPE))]
    pub datacontenttype: &'static str,
    /// The job as it was when the event was written.
    pub data: JobDocument,
}

impl EventKind {
    pub const ALL: [Self; 5] = [Self::Accepted, Self::Progress, Self::Completed, Self::Failed, Self::Cancelled];

    /// The event that tells of this end; `None` for a state that is none.
    pub const fn of_end(state: State) -> Option<Self> {
        match state {
            State::Completed => Some(Self::Completed),
            State::Failed => Some(Self::Failed),
            State::Cancelled => Some(Self::Cancelled),
            State::Queued | State::Running | State::Cancelling => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Progress => "progress",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Also the `type` property of the message.
    pub fn event_type(self) -> String {
        format!("codemint.job.{}.v1", self.name())
    }

    pub fn routing_key(self) -> String {
        format!("job.{}", self.name())
    }

    /// The event about a job as it is; `time` is when it came true.
    pub fn of(self, job: &Job, time: DateTime<Utc>) -> EventDocument {
        let id = match self {
            // No two of a job have the same number of codes, unless they say the same.
            Self::Progress => format!("{}/progress/{}", job.id, job.minted),
            other => format!("{}/{}", job.id, other.name()),
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
