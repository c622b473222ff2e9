//! Reads job messages from the broker, and reports why a message is not a valid job message.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::job::options::PRIORITY_MAX;
use crate::wire::fields::{BOOLEAN, Fields, FieldsError, NULL, NUMBER, Repeated, STRING, kind_of, read_fields};

/// The longest message that is read, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// The `type` property of a job message, if it has one.
pub const JOB_MESSAGE_TYPE: &str = "codemint.job.v1";
pub const JOB_CONTENT_TYPE: &str = "application/json";
/// The longest text that an error or a report repeats from a message, in characters.
const SHOWN_CHARS_MAX: usize = 64;
/// What some programs put before a text, with the encoding that it marks.
const BYTE_ORDER_MARKS: [(&[u8], &str); 3] = [
    (b"\xef\xbb\xbf", "a byte order mark (U+FEFF)"),
    (b"\xff\xfe", "the byte order mark of UTF-16"),
    (b"\xfe\xff", "the byte order mark of UTF-16"),
];
/// The largest count that a table can hold.
const COUNT_MAX: u64 = i64::MAX as u64;

/// The pattern of all forms in which an id may be written.
const UUID_PATTERN: &str = "^(?:(?:[Uu][Rr][Nn]:[Uu][Uu][Ii][Dd]:)?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\
                            |\\{[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}\\}|[0-9A-Fa-f]{32})$";
/// The pattern of text without the character U+0000, which tables cannot hold.
const TEXT_PATTERN: &str = r"^[^\u0000]*$";

/// A request for codes, in at most 64 KiB of JSON.
///
/// Unknown fields are ignored; no object may have two fields of the same name. A message that fits this schema is a request; a request that cannot be met, such as
/// one with a count of 0, becomes a failed job. A message that does not fit is dead-lettered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(title = "Job message")]
pub struct JobMessage {
    /// The job's id, a UUID: the same id with the same request again is the same job. May be left out where the message
    /// has a `message_id`, which then is the id.
    #[schemars(with = "Option<String>", regex(pattern = UUID_PATTERN))]
    pub job_id: Uuid,
    /// The mask, such as `MY_LITTLE_PROMO????##`: what codes look like. A request cannot be met if its mask has more
    /// than 4096 bytes, or codes of more than 64 characters.
    #[schemars(regex(pattern = TEXT_PATTERN))]
    pub mask: String,
    /// The number of codes, written without a point and without an exponent. A request cannot be met if its count is 0,
    /// above the number of codes of the mask, or above the worker's `limits.count_max`.
    #[schemars(range(max = COUNT_MAX))]
    pub count: u64,
    /// The campaign name, shown in reports and events. A request cannot be met if the name is empty, has more than 200
    /// characters, or contains control characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = TEXT_PATTERN))]
    pub campaign: Option<String>,
    /// The priority: jobs with a higher priority go first.
    #[serde(default)]
    #[schemars(with = "Option<u8>", range(max = PRIORITY_MAX))]
    pub priority: u8,
    /// True to accept a change of the key of check characters. Otherwise a request cannot be met if the newest job of the same
    /// mask has check characters of another key.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[schemars(with = "Option<bool>", extend("default" = false))]
    pub new_check_key: bool,
}

/// The properties of a message that are used.
#[derive(Clone, Copy, Debug, Default)]
pub struct Envelope<'a> {
    pub message_id: Option<&'a str>,
    pub message_type: Option<&'a str>,
    pub content_type: Option<&'a str>,
    pub content_encoding: Option<&'a str>,
    pub reply_to: Option<&'a str>,
    pub correlation_id: Option<&'a str>,
    /// The user name of the sender, verified by the broker.
    pub user_id: Option<&'a str>,
    /// The name that the sender gives itself, not verified.
    pub app_id: Option<&'a str>,
    /// The trace of the sender: a header, not a property.
    pub traceparent: Option<&'a str>,
}

/// The reason why a message is not a valid job. It does not repeat the values of fields: they may be codes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Undecodable {
    pub reason: String,
    /// The place: a line and column of the text, a field such as `/count`, or a property such as `property type`.
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
/// The first problem of the message.
pub fn decode(body: &[u8], envelope: &Envelope<'_>) -> Result<JobMessage, Undecodable> {
    let fields = MessageFields(fields_of(body, envelope, JOB_MESSAGE_TYPE)?);
    Ok(JobMessage {
        job_id: fields.job_id(envelope.message_id)?,
        mask: fields.required_text("mask")?,
        count: fields.count()?,
        campaign: fields.text("campaign")?,
        priority: fields.priority()?,
        new_check_key: fields.boolean("new_check_key")?,
    })
}

/// Reads the JSON of a message of another type: an object whose names are distinct.
///
/// # Errors
/// If the properties or the text are not those of such a message.
pub fn decode_document(body: &[u8], envelope: &Envelope<'_>, message_type: &str) -> Result<Value, Undecodable> {
    fields_of(body, envelope, message_type)?;
    serde_json::from_slice(body).map_err(|error| undecodable(FieldsError::NotJson(error)))
}

fn fields_of<'a>(body: &'a [u8], envelope: &Envelope<'_>, message_type: &str) -> Result<Fields<'a>, Undecodable> {
    check_envelope(envelope, message_type)?;
    if body.len() > MESSAGE_BYTES_MAX {
        let reason = format!("the message has {} bytes; at most {MESSAGE_BYTES_MAX} are allowed", body.len());
        return Err(Undecodable::at("body", reason));
    }
    if let Some((_, name)) = BYTE_ORDER_MARKS.iter().find(|(mark, _)| body.starts_with(mark)) {
        let reason = format!("the message is not JSON: it begins with {name}; send UTF-8 without one");
        return Err(Undecodable::at("line 1 column 1", reason));
    }
    read_fields(body).map_err(undecodable)
}

/// Returns the job id that the body of a message names, whatever else is wrong with it, without what is too long for one.
pub fn named_job_id(body: &[u8]) -> Option<String> {
    let body = BYTE_ORDER_MARKS.iter().find_map(|(mark, _)| body.strip_prefix(*mark)).unwrap_or(body);
    let fields: Fields<'_> = serde_json::from_slice(body).ok()?;
    let id: String = serde_json::from_str(fields.get("job_id")?.get()).ok()?;
    Some(id.chars().take(SHOWN_CHARS_MAX).collect())
}

fn undecodable(error: FieldsError) -> Undecodable {
    let position = |error: &serde_json::Error| format!("line {} column {}", error.line(), error.column());
    match error {
        FieldsError::NotJson(error) => {
            let reason = format!("the message is not JSON: {}", without_position(&error));
            Undecodable::at(position(&error), reason)
        }
        FieldsError::NotObject(kind) => Undecodable::at("/", format!("the message is {kind}, not an object")),
        FieldsError::Repeated(Repeated { path, line, column }) => match &path[..] {
            [name] if FIELDS.contains(&name.as_str()) => {
                MessageFields::wrong(name, format!("{name} occurs twice; send each field once"))
            }
            // The name of any other field is not repeated: it may be a code.
            _ => Undecodable::at(
                format!("line {line} column {column}"),
                "an object has two fields of the same name; send each field once",
            ),
        },
    }
}

fn check_envelope(envelope: &Envelope<'_>, expected: &str) -> Result<(), Undecodable> {
    let Envelope { message_type, content_type, content_encoding, .. } = *envelope;
    if let Some(found) = message_type.filter(|found| !["", expected].contains(found)) {
        let reason = format!("the type {} is not known; leave it out or use {expected}", shown(found));
        return Err(Undecodable::at("property type", reason));
    }
    let essence = |found: &str| found.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if let Some(found) = content_type.filter(|found| !["", JOB_CONTENT_TYPE].contains(&essence(found).as_str())) {
        let reason = format!("the content type {} is not known; use {JOB_CONTENT_TYPE}", shown(found));
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

/// Quotes foreign text for an error message: short, and without anything that a terminal would act on.
fn shown(text: &str) -> String {
    let start: String = text.chars().take(SHOWN_CHARS_MAX).collect();
    format!("{start:?}")
}

/// Returns the parser's message without the place at its end, which is reported separately.
fn without_position(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// The fields that are read.
const FIELDS: [&str; 6] = ["job_id", "mask", "count", "campaign", "priority", "new_check_key"];

/// The fields of a message, read one by one, so that an error names its field.
struct MessageFields<'a>(Fields<'a>);

impl MessageFields<'_> {
    fn wrong(name: &str, reason: impl Into<String>) -> Undecodable {
        Undecodable::at(format!("/{name}"), reason)
    }

    /// Returns a field; `None` if it is missing or null.
    fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.get(name).copied().filter(|value| kind_of(value) != NULL)
    }

    fn text(&self, name: &str) -> Result<Option<String>, Undecodable> {
        let Some(value) = self.get(name) else { return Ok(None) };
        if kind_of(value) != STRING {
            return Err(Self::wrong(name, format!("{name} is {}; a string is expected", kind_of(value))));
        }
        let text: String = serde_json::from_str(value.get())
            .map_err(|error| Self::wrong(name, format!("{name} is not text: {}", without_position(&error))))?;
        // The only character that PostgreSQL cannot store.
        if text.contains('\0') {
            return Err(Self::wrong(name, format!("{name} contains the character U+0000")));
        }
        Ok(Some(text))
    }

    fn required_text(&self, name: &str) -> Result<String, Undecodable> {
        self.text(name)?.ok_or_else(|| Self::wrong(name, format!("{name} is missing")))
    }

    fn whole_number(&self, name: &str, max: u64) -> Result<Option<u64>, Undecodable> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let number = value.get().parse().ok().filter(|number| *number <= max);
        let found = match kind_of(value) {
            // A number may be shown as it was written: it is never a code.
            NUMBER if value.get().len() > SHOWN_CHARS_MAX => format!("{}...", &value.get()[..SHOWN_CHARS_MAX]),
            NUMBER => value.get().to_owned(),
            other => other.to_owned(),
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

    /// Returns false if the field is missing or null.
    fn boolean(&self, name: &str) -> Result<bool, Undecodable> {
        let Some(value) = self.get(name) else { return Ok(false) };
        match kind_of(value) {
            BOOLEAN => Ok(value.get() == "true"),
            other => Err(Self::wrong(name, format!("{name} is {other}; true or false is expected"))),
        }
    }

    fn job_id(&self, message_id: Option<&str>) -> Result<Uuid, Undecodable> {
        let (text, place) = match (self.text("job_id")?, message_id) {
            (Some(text), _) => (text, "/job_id"),
            (None, Some(id)) => (id.to_owned(), "property message_id"),
            (None, None) => return Err(Self::wrong("job_id", "job_id is missing, and there is no message_id")),
        };
        text.parse().map_err(|_| Undecodable::at(place, "the job's id is not a UUID"))
    }
}
