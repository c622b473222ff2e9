//! What can go wrong with the broker, and what may be tried again.

use std::error::Error as _;
use std::io;

use lapin::ErrorKind;

use crate::broker::mismatch::Mismatch;

/// An error of the broker. Holds no password: URLs are shown without theirs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokerError {
    #[error("the broker at {place} cannot be reached: {problem}")]
    Unreachable { place: String, problem: String },
    #[error("the broker at {place} has not answered for {seconds} s")]
    Silent { place: String, seconds: u64 },
    #[error("the broker at {place} refuses the user or the password; amqp.url or amqp.url_file names both")]
    Credentials { place: String },
    #[error("the broker at {place} does not open the virtual host: {problem}; it is what follows the / in amqp.url")]
    VirtualHost { place: String, problem: String },
    #[error("no encrypted connection to the broker at {place}: {problem}; amqp.ca_file names certificates to trust")]
    Tls { place: String, problem: String },
    #[error("amqp.ca_file: {path}: {problem}")]
    CaFile { path: String, problem: String },
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    #[error(
        "the broker does not have {}; amqp.declare = true makes what is missing, as does deploy/rabbitmq/definitions.json",
        .entities.join(", ")
    )]
    Missing { entities: Vec<String> },
    #[error("the broker does not permit: {problem}")]
    NotPermitted { problem: String },
    #[error("the broker refuses: {problem}")]
    Refused { problem: String },
    /// The connection or the channel is gone, and with it everything that was not confirmed or acknowledged.
    #[error("the connection to the broker is lost: {problem}")]
    Lost { problem: String },
    /// The library cannot read what the broker sent, a message with broken text for instance; the connection is gone.
    #[error("the broker sent what cannot be read: {problem}")]
    Unreadable { problem: String },
    /// Short of memory or disk, the broker reads nothing from those who publish. Passes.
    #[error("the broker accepts no messages for now")]
    Blocked,
    /// The message may have arrived, or may still arrive.
    #[error("the broker has not confirmed a message within {seconds} s")]
    NotConfirmed { seconds: u64 },
    #[error("the broker could not take a message")]
    NotTaken,
    #[error("no queue is bound to exchange {exchange:?} with routing key {routing_key:?}")]
    Unroutable { exchange: String, routing_key: String },
    #[error("the {field} of a message has {bytes} bytes, the broker takes 255")]
    TooLong { field: &'static str, bytes: usize },
}

/// What to do about an error of the broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Wait and do it again.
    Away,
    /// Doing it again would end the same until somebody changes the broker or the configuration.
    Permanent,
}

impl BrokerError {
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable { .. }
            | Self::Silent { .. }
            | Self::Lost { .. }
            | Self::Unreadable { .. }
            | Self::Blocked
            | Self::NotConfirmed { .. }
            | Self::NotTaken => ErrorClass::Away,
            Self::Credentials { .. }
            | Self::VirtualHost { .. }
            | Self::Tls { .. }
            | Self::CaFile { .. }
            | Self::Mismatch(_)
            | Self::Missing { .. }
            | Self::NotPermitted { .. }
            | Self::Refused { .. }
            | Self::Unroutable { .. }
            | Self::TooLong { .. } => ErrorClass::Permanent,
        }
    }

    /// True while the connection is as it should be, and the broker takes a message later on.
    pub const fn passes_by_itself(&self) -> bool {
        matches!(self, Self::Blocked | Self::NotTaken | Self::NotConfirmed { .. })
    }

    /// Of opening a connection.
    pub(super) fn of_connecting(error: &lapin::Error, place: &str) -> Self {
        let (place, problem) = (place.to_owned(), reason(error));
        match (reply_code(error), error.kind()) {
            (Some(ACCESS_REFUSED), _) => Self::Credentials { place },
            // The same code stands for "not found" and "not for you", which are for somebody to mend, and for limits
            // and virtual hosts that are not up yet, which pass.
            (Some(NOT_ALLOWED), _) if problem.contains("limit") || problem.contains("is down") => {
                Self::Unreachable { place, problem }
            }
            (Some(NOT_ALLOWED), _) => Self::VirtualHost { place, problem },
            // A certificate that is not accepted arrives as this kind.
            (_, ErrorKind::IOError(io)) if io.kind() == io::ErrorKind::InvalidData => Self::Tls { place, problem },
            _ => Self::Unreachable { place, problem },
        }
    }

    /// Of an operation on a channel that was open.
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

/// The number that the broker gave, <https://www.rabbitmq.com/amqp-0-9-1-reference.html#constants>.
fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}

/// The broker's own words, or the system's, without what the library puts around them.
fn reason(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(error) => {
            let text = error.get_message().as_str();
            let words = text.split_once(" - ").map_or(text, |(_, words)| words);
            // The first line says it; what may follow is the broker's inner life.
            words.lines().next().unwrap_or(words).to_owned()
        }
        ErrorKind::IOError(_) => error.source().map_or_else(|| error.to_string(), ToString::to_string),
        _ => error.to_string(),
    }
}
