//! The display of dead-lettered messages. They may hold anything, so their text is escaped before it reaches a terminal.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::terminal::print_line;
use codemint_codes::text::printable;
use codemint_codes::text::{grouped, hexadecimal};
use codemint_codes::wire::message::named_job_id;
use codemint_worker::broker::dead_queue::DeadMessage;

/// The maximum length of the part of a body that is shown.
const SHOWN_BYTES_MAX: usize = 64 * 1024;

/// A message without its body.
#[derive(Debug, Serialize)]
pub struct DeadDocument {
    number: usize,
    message_id: Option<String>,
    /// The id that the body names, if it can be read.
    job_id: Option<String>,
    reason: Option<String>,
    position: Option<String>,
    dead_at: Option<DateTime<Utc>>,
    from: Option<String>,
    #[serde(rename = "type")]
    message_type: Option<String>,
    content_type: Option<String>,
    bytes: usize,
}

impl DeadDocument {
    pub fn new(number: usize, message: &DeadMessage) -> Self {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        let death = message.death.clone();
        Self {
            number,
            message_id: owned(message.message_id()),
            job_id: named_job_id(message.body()),
            reason: death.reason,
            position: death.position,
            dead_at: death.time,
            from: death.from,
            message_type: owned(message.message_type()),
            content_type: owned(message.content_type()),
            bytes: message.body().len(),
        }
    }

    pub fn list_line(&self) -> String {
        let position = self.position.as_deref().map(|position| format!(" ({})", printable(position)));
        format!(
            "{:>5}  {:<20}  {:<36}  {}{}",
            self.number,
            self.dead_at.map_or("-".to_owned(), |time| time.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
            or_dash(self.message_id.as_deref().or(self.job_id.as_deref())),
            or_dash(self.reason.as_deref()),
            position.unwrap_or_default(),
        )
    }
}

/// Returns the id under which a message is listed: its own or, without one, the job id in its body.
pub fn shown_id(message: &DeadMessage) -> Option<String> {
    message.message_id().map(str::to_owned).or_else(|| named_job_id(message.body()))
}

fn or_dash(text: Option<&str>) -> String {
    text.map_or_else(|| "-".to_owned(), printable)
}

/// A message with its body.
#[derive(Debug, Serialize)]
pub struct ShownDocument {
    #[serde(flatten)]
    message: DeadDocument,
    /// The part of the body that is shown; none if the body is not text.
    body: Option<String>,
    /// The same part in hexadecimal digits, if `body` is none.
    body_hex: Option<String>,
    /// True if the body is longer than the part that is shown.
    cut: bool,
}

impl ShownDocument {
    pub fn new(number: usize, message: &DeadMessage) -> Self {
        let whole = message.body();
        let cut = whole.len() > SHOWN_BYTES_MAX;
        let body = match std::str::from_utf8(whole) {
            Ok(text) => Some(text[..text.floor_char_boundary(SHOWN_BYTES_MAX)].to_owned()),
            Err(_) => None,
        };
        let body_hex = body.is_none().then(|| hexadecimal(&whole[..whole.len().min(SHOWN_BYTES_MAX)]));
        Self { message: DeadDocument::new(number, message), body, body_hex, cut }
    }

    /// Prints the message for people.
    pub fn print(&self, context: &Context) -> Result<(), Failure> {
        let DeadDocument { reason, position, dead_at, from, message_type, content_type, bytes, number, .. } =
            &self.message;
        let time = dead_at.map(|time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string());
        let rows = [
            ("no", number.to_string()),
            ("message", or_dash(self.message.message_id.as_deref())),
            ("job", or_dash(self.message.job_id.as_deref())),
            ("reason", or_dash(reason.as_deref())),
            ("position", or_dash(position.as_deref())),
            ("dead", or_dash(time.as_deref())),
            ("from", or_dash(from.as_deref())),
            ("type", or_dash(message_type.as_deref())),
            ("content", or_dash(content_type.as_deref())),
            ("bytes", grouped(*bytes as u128)),
        ];
        rows.iter().try_for_each(|(name, value)| print_line(&format!("{name:<10}{value}")))?;
        print_line("")?;
        match (&self.body, &self.body_hex) {
            (Some(text), _) => text.lines().try_for_each(|line| print_line(&printable(line)))?,
            (None, digits) => {
                context.note("the body is not text; its hexadecimal digits follow, --raw writes the bytes");
                print_line(digits.as_deref().unwrap_or_default())?;
            }
        }
        if self.cut {
            context.note(&format!("cut after {} bytes; --raw writes the whole body", grouped(SHOWN_BYTES_MAX as u128)));
        }
        Ok(())
    }
}
