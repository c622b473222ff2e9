//! A job message as it comes from the broker: what is read from it, and why it may be none.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::job::PRIORITY_MAX;

/// Longest message that is looked into, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// What the `type` property of a job message says, if it says anything.
pub const JOB_MESSAGE_TYPE: &str = "codemint.job.v1";
pub const JOB_CONTENT_TYPE: &str = "application/json";
/// What tables can hold.
const COUNT_MAX: u64 = i64::MAX as u64;

/// The ways in which an id may be written.
const UUID_PATTERN: &str = "^(?:(?:[Uu][Rr][Nn]:[Uu][Uu][Ii][Dd]:)?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\
                            |\\{[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\\}|[0-9A-Fa-f]{32})$";
/// Tables cannot hold the character U+0000.
const TEXT_PATTERN: &str = r"^[^\u0000]*$";

/// A request for codes, in at most 64 KiB of JSON.
///
/// Fields that are not named here are ignored. What fits this schema is read as a request; one that cannot be met, such as
/// a count of 0, becomes a failed job. What does not fit goes to the dead queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "Job message")]
pub struct JobMessage {
    /// Names the job, a UUID: the same id with the same request again is the same job. May be left out where the message
    /// has a `message_id`, which then is the id.
    #[schemars(with = "Option<String>", regex(pattern = UUID_PATTERN))]
    pub job_id: Uuid,
    /// What codes look like, such as `MY_LITTLE_PROMO????##`. One of more than 4096 bytes, or of codes with more than 64
    /// characters, cannot be met.
    #[schemars(regex(pattern = TEXT_PATTERN))]
    pub mask: String,
    /// How many codes, written without a point and without an exponent. 0, more than the mask has, and more than the
    /// worker's `limits.count_max` cannot be met.
    #[schemars(range(max = COUNT_MAX))]
    pub count: u64,
    /// Whom or what the codes are for. A name that is empty, longer than 200 characters or with control characters cannot be
    /// met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = TEXT_PATTERN))]
    pub campaign: Option<String>,
    /// Jobs of a higher priority go first.
    #[serde(default)]
    #[schemars(with = "Option<u8>", range(max = PRIORITY_MAX))]
    pub priority: u8,
}

/// The properties of a message that say how to read it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Envelope<'a> {
    pub message_id: Option<&'a str>,
    pub message_type: Option<&'a str>,
    pub content_type: Option<&'a str>,
    pub content_encoding: Option<&'a str>,
    pub reply_to: Option<&'a str>,
    pub correlation_id: Option<&'a str>,
    /// The broker has seen to it that the sender is this user.
    pub user_id: Option<&'a str>,
    /// What the sender says of itself.
    pub app_id: Option<&'a str>,
    /// A header.
    pub traceparent: Option<&'a str>,
}

/// Why a message is no job. Values of fields are not repeated: they may be codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undecodable {
    pub reason: String,
    /// Where: a line and column of the text, a field as `/count`, or a property as `property type`.
    pub position: String,
}

impl Undecodable {
    fn at(position: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { reason: reason.into(), position: position.into() }
    }
}

/// Reads a job message.
///
/// # Errors
/// The first thing that is wrong with it.
pub fn decode(body: &[u8], envelope: &Envelope<'_>) -> Result<JobMessage, Undecodable> {
    check_envelope(envelope)?;
    if body.len() > MESSAGE_BYTES_MAX {
        let reason = format!("the message has {} bytes; at most {MESSAGE_BYTES_MAX} are allowed", body.len());
        return Err(Undecodable::at("body", reason));
    }
    // Nested deeper than 128 levels is an error of the parser.
    let value: Value = serde_json::from_slice(body).map_err(|error| {
        let position = format!("line {} column {}", error.line(), error.column());
        Undecodable::at(position, format!("the message is not JSON: {}", without_position(&error)))
    })?;
    let Value::Object(fields) = value else {
        return Err(Undecodable::at("/", format!("the message is {}, not an object", kind_of(&value))));
    };
    let fields = Fields(fields);
    Ok(JobMessage {
        job_id: fields.job_id(envelope.message_id)?,
        mask: fields.required_text("mask")?,
        count: fields.count()?,
        campaign: fields.text("campaign")?,
        priority: fields.priority()?,
    })
}

fn check_envelope(envelope: &Envelope<'_>) -> Result<(), Undecodable> {
    let Envelope { message_type, content_type, content_encoding, .. } = *envelope;
    if let Some(found) = message_type.filter(|found| !["", JOB_MESSAGE_TYPE].contains(found)) {
        let reason = format!("the type {} is not known; leave it out or say {JOB_MESSAGE_TYPE}", shown(found));
        return Err(Undecodable::at("property type", reason));
    }
    let essence = |found: &str| found.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if let Some(found) = content_type.filter(|found| !["", JOB_CONTENT_TYPE].contains(&essence(found).as_str())) {
        let reason = format!("the content type {} is not known; {JOB_CONTENT_TYPE} is", shown(found));
        return Err(Undecodable::at("property content_type", reason));
    }
    let plain = ["", "utf-8", "utf8", "identity"];
    if let Some(found) = content_encoding.filter(|found| !plain.contains(&found.to_ascii_lowercase().as_str())) {
        let reason = format!("the content encoding {} is not known; send plain UTF-8", shown(found));
        return Err(Undecodable::at("property content_encoding", reason));
    }
    for (name, text) in [("reply_to", envelope.reply_to), ("correlation_id", envelope.correlation_id)] {
        if text.is_some_and(|text| text.contains('\0')) {
            return Err(Undecodable::at(format!("property {name}"), format!("{name} contains the character U+0000")));
        }
    }
    Ok(())
}

/// Text of others in a message of ours: short, and nothing that a terminal would act on.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(64).collect();
    format!("{start:?}")
}

/// The parser's message ends with the place, which is told apart.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

const fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// The fields of a message, read one by one, so that an error names its field.
struct Fields(Map<String, Value>);

impl Fields {
    fn wrong(name: &str, reason: impl Into<String>) -> Undecodable {
        Undecodable::at(format!("/{name}"), reason)
    }

    /// `None` for a field that is missing or null.
    fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| !value.is_null())
    }

    fn text(&self, name: &str) -> Result<Option<String>, Undecodable> {
        match self.get(name) {
            None => Ok(None),
            // The one character that PostgreSQL cannot hold.
            Some(Value::String(text)) if text.contains('\0') => {
                Err(Self::wrong(name, format!("{name} contains the character U+0000")))
            }
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(Self::wrong(name, format!("{name} is {}; a text is expected", kind_of(other)))),
        }
    }

    fn required_text(&self, name: &str) -> Result<String, Undecodable> {
        self.text(name)?.ok_or_else(|| Self::wrong(name, format!("{name} is missing")))
    }

    fn whole_number(&self, name: &str, max: u64) -> Result<Option<u64>, Undecodable> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.as_u64().filter(|number| *number <= max);
        let found = match value {
            // A number is no code.
            Value::Number(number) => number.to_string(),
            other => kind_of(other).to_owned(),
        };
        let wrong = || Self::wrong(name, format!("{name} is {found}; a whole number from 0 to {max} is expected"));
        number.map(Some).ok_or_else(wrong)
    }

    fn count(&self) -> Result<u64, Undecodable> {
        self.whole_number("count", COUNT_MAX)?.ok_or_else(|| Self::wrong("count", "count is missing"))
    }

    fn priority(&self) -> Result<u8, Undecodable> {
        // At most 9.
        Ok(self.whole_number("priority", u64::from(PRIORITY_MAX))?.unwrap_or_default() as u8)
    }

    fn job_id(&self, message_id: Option<&str>) -> Result<Uuid, Undecodable> {
        let (text, place) = match (self.text("job_id")?, message_id) {
            (Some(text), _) => (text, "/job_id"),
            (None, Some(id)) => (id.to_owned(), "property message_id"),
            (None, None) => return Err(Self::wrong("job_id", "job_id is missing, and there is no message_id")),
        };
        text.parse().map_err(|_| Undecodable::at(place, "the job's id is no UUID"))
    }
}
