//! The properties of messages: read as an envelope, and copied to a message that is passed on.

use std::borrow::Cow;

use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, ShortString};

use codemint_codes::wire::message::Envelope;
use codemint_codes::wire::trace::TRACEPARENT_HEADER;

/// Maximum size of passed-on headers. Properties travel in one frame, by default of 128 KiB, which must also hold ours.
const HEADER_BYTES_MAX: usize = 64 * 1024;

pub(super) fn envelope_of(properties: &BasicProperties) -> Envelope<'_> {
    let trace = properties.headers().as_ref().and_then(|headers| text_of(headers, TRACEPARENT_HEADER));
    Envelope {
        message_id: text(properties.message_id()),
        message_type: text(properties.kind()),
        content_type: text(properties.content_type()),
        content_encoding: text(properties.content_encoding()),
        reply_to: text(properties.reply_to()),
        correlation_id: text(properties.correlation_id()),
        user_id: text(properties.user_id()),
        app_id: text(properties.app_id()),
        // Text that is not UTF-8 names no trace.
        traceparent: match trace {
            Some(Cow::Borrowed(trace)) => Some(trace),
            _ => None,
        },
    }
}

pub(super) fn text(property: &Option<ShortString>) -> Option<&str> {
    property.as_ref().map(ShortString::as_str)
}

pub(super) fn text_of<'a>(table: &'a FieldTable, name: &str) -> Option<Cow<'a, str>> {
    match table.inner().get(name)? {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes())),
        AMQPValue::ShortString(text) => Some(text.as_str().into()),
        _ => None,
    }
}

/// Copies the properties for a new message, except the user, which the broker would compare with ours; the expiration,
/// after which the message would be gone; and the cluster, which is not used.
pub(super) fn passed_on(from: &BasicProperties, without_headers: &[&str]) -> BasicProperties {
    PassedOn::default()
        .with(from.content_type(), BasicProperties::with_content_type)
        .with(from.content_encoding(), BasicProperties::with_content_encoding)
        .with(&kept_headers(from, without_headers), BasicProperties::with_headers)
        .with(from.priority(), BasicProperties::with_priority)
        .with(from.correlation_id(), BasicProperties::with_correlation_id)
        .with(from.reply_to(), BasicProperties::with_reply_to)
        .with(from.message_id(), BasicProperties::with_message_id)
        .with(from.timestamp(), BasicProperties::with_timestamp)
        .with(from.kind(), BasicProperties::with_type)
        .with(from.app_id(), BasicProperties::with_app_id)
        .0
}

#[derive(Default)]
struct PassedOn(BasicProperties);

impl PassedOn {
    fn with<T: Clone>(self, value: &Option<T>, set: impl FnOnce(BasicProperties, T) -> BasicProperties) -> Self {
        match value {
            Some(value) => Self(set(self.0, value.clone())),
            None => self,
        }
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
