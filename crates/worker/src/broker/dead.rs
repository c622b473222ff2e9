//! Dead letters, that is, invalid messages and those the broker gave up: how they are built, read and sent back. Pure.

use chrono::{DateTime, SecondsFormat, Utc};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use crate::broker::publish::Outgoing;
use crate::broker::settings::BrokerNames;

pub const REASON_HEADER: &str = "x-codemint-reason";
pub const POSITION_HEADER: &str = "x-codemint-position";
pub const TIME_HEADER: &str = "x-codemint-time";
pub const FROM_HEADER: &str = "x-codemint-from";
/// Headers for properties that a dead letter cannot have itself: the broker refuses a user other than ours, and an
/// expiration would delete the letter.
pub const USER_HEADER: &str = "x-codemint-user-id";
pub const EXPIRATION_HEADER: &str = "x-codemint-expiration";
/// The header in which the broker records why it dead-lettered a message itself, the latest time first.
const DEATHS_HEADER: &str = "x-death";

/// Headers to remove from a message that goes back: ours, the broker's, and those that would also send it elsewhere.
const NOT_PASSED_BACK: [&str; 18] = [
    USER_HEADER,
    EXPIRATION_HEADER,
    REASON_HEADER,
    POSITION_HEADER,
    TIME_HEADER,
    FROM_HEADER,
    DEATHS_HEADER,
    "x-first-death-reason",
    "x-first-death-queue",
    "x-first-death-exchange",
    "x-last-death-reason",
    "x-last-death-queue",
    "x-last-death-exchange",
    "x-delivery-count",
    "x-acquired-count",
    "x-opt-deaths",
    "CC",
    "BCC",
];
/// Maximum size of passed-on headers. Properties travel in one frame, by default of 128 KiB, which must also hold ours.
const HEADER_BYTES_MAX: usize = 64 * 1024;
const REASON_CHARS_MAX: usize = 1000;

/// Builds the dead letter of a message: the message as it arrived, with the reason in headers.
pub fn dead_letter(
    names: &BrokerNames,
    properties: &BasicProperties,
    body: &[u8],
    reason: &str,
    position: &str,
    now: DateTime<Utc>,
) -> Outgoing {
    let cut = |text: &str| text.chars().take(REASON_CHARS_MAX).collect::<String>();
    let mut headers = vec![
        (REASON_HEADER, cut(reason)),
        (POSITION_HEADER, cut(position)),
        (TIME_HEADER, now.to_rfc3339_opts(SecondsFormat::Millis, true)),
        (FROM_HEADER, names.jobs_queue.clone()),
    ];
    headers.extend(properties.user_id().as_ref().map(|user| (USER_HEADER, user.to_string())));
    headers.extend(properties.expiration().as_ref().map(|time| (EXPIRATION_HEADER, time.to_string())));
    Outgoing {
        exchange: names.dead_exchange.clone(),
        routing_key: names.jobs_queue.clone(),
        mandatory: true,
        headers,
        passed_on: passed_on(properties, &[]),
        body: body.to_vec(),
        ..Outgoing::default()
    }
}

/// Builds the original message again, addressed to the job queue.
pub fn back_to_jobs(names: &BrokerNames, properties: &BasicProperties, body: &[u8]) -> Outgoing {
    Outgoing {
        exchange: names.jobs_exchange.clone(),
        routing_key: names.jobs_queue.clone(),
        mandatory: true,
        passed_on: passed_on(properties, &NOT_PASSED_BACK),
        body: body.to_vec(),
        ..Outgoing::default()
    }
}

/// The recorded reason why a message was dead-lettered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Death {
    pub reason: Option<String>,
    /// The position in the message: a line and a column, a field, or a property.
    pub position: Option<String>,
    pub time: Option<DateTime<Utc>>,
    /// The queue in which it waited before.
    pub from: Option<String>,
}

impl Death {
    /// Reads our headers or, where they are missing, the broker's.
    pub fn of(properties: &BasicProperties) -> Self {
        let Some(headers) = properties.headers() else { return Self::default() };
        let by_broker = Self::by_broker(headers);
        let time = text_of(headers, TIME_HEADER).and_then(|text| DateTime::parse_from_rfc3339(&text).ok());
        Self {
            reason: text_of(headers, REASON_HEADER).or(by_broker.reason),
            position: text_of(headers, POSITION_HEADER).filter(|position| !position.is_empty()),
            time: time.map(|time| time.to_utc()).or(by_broker.time),
            from: text_of(headers, FROM_HEADER).or(by_broker.from),
        }
    }

    /// Reads the broker's own record, see <https://www.rabbitmq.com/docs/dlx#effects>.
    fn by_broker(headers: &FieldTable) -> Self {
        let Some(AMQPValue::FieldArray(deaths)) = headers.inner().get(DEATHS_HEADER) else { return Self::default() };
        let Some(AMQPValue::FieldTable(latest)) = deaths.as_slice().first() else { return Self::default() };
        let time = match latest.inner().get("time") {
            Some(AMQPValue::Timestamp(seconds)) => {
                i64::try_from(*seconds).ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0))
            }
            _ => None,
        };
        let reason = text_of(latest, "reason").map(|reason| match reason.as_str() {
            "delivery_limit" => "it was returned to its queue too often (delivery_limit)".to_owned(),
            "rejected" => "a consumer rejected it (rejected)".to_owned(),
            "expired" => "it expired while it waited (expired)".to_owned(),
            "maxlen" => "its queue was full (maxlen)".to_owned(),
            _ => reason,
        });
        Self { reason, position: None, time, from: text_of(latest, "queue") }
    }
}

pub fn text_of(table: &FieldTable, name: &str) -> Option<String> {
    match table.inner().get(name)? {
        AMQPValue::LongString(text) => Some(text.to_string()),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        _ => None,
    }
}

/// Copies the properties for a new message, except the user, which the broker would compare with ours; the expiration,
/// after which the message would be gone; and the cluster, which is not used.
fn passed_on(properties: &BasicProperties, without: &[&str]) -> BasicProperties {
    let from = properties;
    let to = BasicProperties::default();
    let to = with(to, from.content_type(), BasicProperties::with_content_type);
    let to = with(to, from.content_encoding(), BasicProperties::with_content_encoding);
    let to = with(to, &kept_headers(properties, without), BasicProperties::with_headers);
    let to = with(to, from.priority(), BasicProperties::with_priority);
    let to = with(to, from.correlation_id(), BasicProperties::with_correlation_id);
    let to = with(to, from.reply_to(), BasicProperties::with_reply_to);
    let to = with(to, from.message_id(), BasicProperties::with_message_id);
    let to = with(to, from.timestamp(), BasicProperties::with_timestamp);
    let to = with(to, from.kind(), BasicProperties::with_type);
    with(to, from.app_id(), BasicProperties::with_app_id)
}

fn with<T: Clone>(
    properties: BasicProperties,
    value: &Option<T>,
    set: impl FnOnce(BasicProperties, T) -> BasicProperties,
) -> BasicProperties {
    match value {
        Some(value) => set(properties, value.clone()),
        None => properties,
    }
}

/// Returns the headers that are passed on; `None` if there are none, or they are too long to be sent with ours.
fn kept_headers(properties: &BasicProperties, without: &[&str]) -> Option<FieldTable> {
    let headers = properties.headers().as_ref()?;
    let mut kept = FieldTable::default();
    for (name, value) in headers.into_iter().filter(|(name, _)| !without.contains(&name.as_str())) {
        kept.insert(ShortString::clone(name), value.clone());
    }
    let empty = kept.inner().is_empty();
    (!empty && table_bytes(&kept) <= HEADER_BYTES_MAX).then_some(kept)
}

fn table_bytes(table: &FieldTable) -> usize {
    table.into_iter().map(|(name, value)| name.as_str().len() + value_bytes(value)).sum()
}

/// Returns an upper bound of the size in a frame.
fn value_bytes(value: &AMQPValue) -> usize {
    const FRAMING: usize = 10;
    FRAMING
        + match value {
            AMQPValue::LongString(text) => text.len(),
            AMQPValue::ShortString(text) => text.as_str().len(),
            AMQPValue::ByteArray(bytes) => bytes.len(),
            AMQPValue::FieldArray(values) => values.as_slice().iter().map(value_bytes).sum(),
            AMQPValue::FieldTable(table) => table_bytes(table),
            _ => 0,
        }
}
