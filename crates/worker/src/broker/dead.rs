//! Dead letters, that is, invalid messages and those the broker gave up: how they are built, read and sent back. Pure.

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};

use crate::broker::properties::{passed_on, text_of};
use crate::broker::publish::Outgoing;
use crate::broker::settings::BrokerNames;
use codemint_codes::wire::message::Undecodable;

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
const REASON_CHARS_MAX: usize = 1000;

/// Builds the dead letter of a message that waited in this queue: the message as it arrived, with the reason in headers.
pub fn dead_letter(
    names: &BrokerNames,
    queue: &str,
    properties: &BasicProperties,
    body: &[u8],
    why: &Undecodable,
    now: DateTime<Utc>,
) -> Outgoing {
    let cut = |text: &str| text.chars().take(REASON_CHARS_MAX).collect::<String>();
    let mut headers = vec![
        (REASON_HEADER, cut(&why.reason)),
        (POSITION_HEADER, cut(&why.position)),
        (TIME_HEADER, now.to_rfc3339_opts(SecondsFormat::Millis, true)),
        (FROM_HEADER, queue.to_owned()),
    ];
    headers.extend(properties.user_id().as_ref().map(|user| (USER_HEADER, user.to_string())));
    headers.extend(properties.expiration().as_ref().map(|time| (EXPIRATION_HEADER, time.to_string())));
    Outgoing {
        exchange: names.dead_exchange.clone(),
        routing_key: queue.to_owned(),
        mandatory: true,
        headers,
        passed_on: passed_on(properties, &[]),
        body: body.to_vec(),
        ..Outgoing::default()
    }
}

/// Builds the original message again, addressed to the queue of triggers if it comes from there, else to the job queue.
pub fn back_to_queue(names: &BrokerNames, properties: &BasicProperties, body: &[u8]) -> Outgoing {
    let is_trigger = Death::of(properties).from.as_ref() == Some(&names.triggers_queue);
    let (exchange, queue) = match is_trigger {
        true => (&names.triggers_exchange, &names.triggers_queue),
        false => (&names.jobs_exchange, &names.jobs_queue),
    };
    Outgoing {
        exchange: exchange.clone(),
        routing_key: queue.clone(),
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
        let text = |name| text_of(headers, name).map(Cow::into_owned);
        let time = text(TIME_HEADER).and_then(|text| DateTime::parse_from_rfc3339(&text).ok());
        Self {
            reason: text(REASON_HEADER).or(by_broker.reason),
            position: text(POSITION_HEADER).filter(|position| !position.is_empty()),
            time: time.map(|time| time.to_utc()).or(by_broker.time),
            from: text(FROM_HEADER).or(by_broker.from),
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
        let reason = text_of(latest, "reason").map(|reason| match &*reason {
            "delivery_limit" => "it was returned to its queue too often (delivery_limit)".to_owned(),
            "rejected" => "a consumer rejected it (rejected)".to_owned(),
            "expired" => "it expired while it waited (expired)".to_owned(),
            "maxlen" => "its queue was full (maxlen)".to_owned(),
            _ => reason.into_owned(),
        });
        Self { reason, position: None, time, from: text_of(latest, "queue").map(Cow::into_owned) }
    }
}
