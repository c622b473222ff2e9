//! Errors of the broker, and which of them may be retried.

use std::error::Error as _;
use std::io;

use lapin::ErrorKind;

use crate::broker::mismatch::Mismatch;

/// An error of the broker. It holds no password: URLs are shown without theirs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    #[error("the broker at {place} cannot be reached: {problem}; check that it runs, and amqp.url")]
    Unreachable { place: String, problem: String },
    #[error("the broker at {place} has not answered for {seconds} s")]
    Silent { place: String, seconds: u64 },
    #[error("the broker at {place} refuses the user or the password; check amqp.url or amqp.url_file")]
    Credentials { place: String },
    #[error("the broker at {place} does not open the virtual host: {problem}; check what follows the / in amqp.url")]
    VirtualHost { place: String, problem: String },
    #[error("no encrypted connection to the broker at {place}: {problem}; set amqp.ca_file to trusted certificates")]
    Tls { place: String, problem: String },
    #[error("amqp.ca_file: {path}: {problem}")]
    CaFile { path: String, problem: String },
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    #[error(
        "the broker does not have {}; a worker creates what is missing when it starts, unless amqp.declare = false, and so does the import \
         of deploy/rabbitmq/definitions.json",
        .entities.join(", ")
    )]
    Missing { entities: Vec<String> },
    #[error("the broker does not permit the operation: {problem}")]
    NotPermitted { problem: String },
    #[error("the broker refuses the operation: {problem}")]
    Refused { problem: String },
    /// The connection or the channel is gone, and with it everything that was not confirmed or acknowledged.
    #[error("the connection to the broker is lost: {problem}")]
    Lost { problem: String },
    /// The library cannot decode what the broker sent, such as a message with invalid text; the connection is gone.
    #[error("the broker sent data that cannot be decoded: {problem}")]
    Unreadable { problem: String },
    /// The broker is short of memory or disk, and reads nothing from publishers. This is temporary.
    #[error("the broker accepts no messages at the moment")]
    Blocked,
    /// The message may have arrived, or may still arrive.
    #[error("the broker has not confirmed a message within {seconds} s")]
    NotConfirmed { seconds: u64 },
    #[error("the broker did not accept a message: a queue is full, or cannot be written at the moment")]
    NotTaken,
    #[error("no queue is bound to exchange {exchange:?} with routing key {routing_key:?}")]
    Unroutable { exchange: String, routing_key: String },
    #[error("the {field} must have at most 255 bytes, got {bytes}")]
    TooLong { field: &'static str, bytes: usize },
}

/// The way to handle an error of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BrokerErrorClass {
    /// Wait and retry.
    Away,
    /// A retry fails again until somebody changes the broker or the configuration.
    Permanent,
}

impl BrokerError {
    pub fn class(&self) -> BrokerErrorClass {
        match self {
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Lost { .. }
            | Self::Unreadable { .. }
            | Self::Blocked
            | Self::NotConfirmed { .. }
            | Self::NotTaken => BrokerErrorClass::Away,
            Self::Credentials { .. }
            | Self::VirtualHost { .. }
            | Self::Tls { .. }
            | Self::CaFile { .. }
            | Self::Mismatch(_)
            | Self::Missing { .. }
            | Self::NotPermitted { .. }
            | Self::Refused { .. }
            | Self::Unroutable { .. }
            | Self::TooLong { .. } => BrokerErrorClass::Permanent,
        }
    }

    /// Returns true if the connection is still usable, and the broker will accept the message later.
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::Blocked | Self::NotTaken | Self::NotConfirmed { .. })
    }

    /// Converts an error from opening a connection.
    pub(super) fn of_connecting(error: &lapin::Error, place: &str) -> Self {
        let (place, problem) = (place.to_owned(), reason(error));
        match (reply_code(error), error.kind()) {
            (Some(ACCESS_REFUSED), _) => Self::Credentials { place },
            // The same code stands for "not found" and "access refused", which somebody has to fix, and for limits and
            // virtual hosts that are still down, which are temporary.
            (Some(NOT_ALLOWED), _) if problem.contains("limit") || problem.contains("is down") => {
                Self::Unreachable { place, problem }
            }
            (Some(NOT_ALLOWED), _) => Self::VirtualHost { place, problem },
            // A rejected certificate arrives as this kind.
            (_, ErrorKind::IOError(io)) if io.kind() == io::ErrorKind::InvalidData => Self::Tls { place, problem },
            _ => Self::Unreachable { place, problem },
        }
    }

    /// Converts an error from an operation on an open channel.
    pub(super) fn of_channel(error: &lapin::Error) -> Self {
        let problem = reason(error);
        match (reply_code(error), error.kind()) {
            (Some(ACCESS_REFUSED), _) => Self::NotPermitted { problem },
            (Some(NOT_FOUND), _) => {
                Self::Missing { entities: vec![problem.strip_prefix("no ").unwrap_or(&problem).to_owned()] }
            }
            (Some(PRECONDITION_FAILED), _) => {
                Mismatch::from_broker(&problem).map_or(Self::Refused { problem }, Self::Mismatch)
            }
            (Some(RESOURCE_LOCKED), _) => Self::Refused { problem },
            (_, ErrorKind::ParsingError(_)) => Self::Unreadable { problem },
            _ => Self::Lost { problem },
        }
    }
}

const ACCESS_REFUSED: u16 = 403;
const NOT_FOUND: u16 = 404;
const RESOURCE_LOCKED: u16 = 405;
const PRECONDITION_FAILED: u16 = 406;
const NOT_ALLOWED: u16 = 530;

/// Returns the broker's reply code, see <https://www.rabbitmq.com/amqp-0-9-1-reference.html#constants>.
fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

/// Returns the text of the broker, or of the system, without what the library puts around it.
fn reason(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(error) => {
            let text = error.get_message().as_str();
            let words = text.split_once(" - ").map_or(text, |(_, words)| words);
            // The first line has the reason; more lines may follow with internals of the broker.
            words.lines().next().unwrap_or(words).to_owned()
        }
        ErrorKind::IOError(_) => error.source().map_or_else(|| error.to_string(), ToString::to_string),
        _ => error.to_string(),
    }
}
