//! The difference between an existing exchange or queue and the wanted one. The broker reports it only as a sentence.

use std::fmt;

/// An exchange or a queue that exists with other arguments than the wanted ones.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Mismatch {
    /// Such as `queue 'codemint.jobs' in vhost '/'`
    pub entity: String,
    /// Such as `x-delivery-limit`, `durable` or `type`
    pub argument: String,
    pub wanted: String,
    pub found: String,
}

impl Mismatch {
    /// Reads "inequivalent arg 'x-delivery-limit' for queue 'codemint.jobs' in vhost '/': received '7' but current is
    /// '100'", where either value may also be "none" or "the value '7' of type 'signedint'".
    pub(super) fn from_broker(text: &str) -> Option<Self> {
        let (_, rest) = text.split_once("inequivalent arg '")?;
        let (argument, rest) = rest.split_once("' for ")?;
        let (entity, values) = rest.split_once(": received ")?;
        let (wanted, found) = values.split_once(" but current is ")?;
        Some(Self {
            entity: entity.to_owned(),
            argument: argument.to_owned(),
            wanted: value(wanted),
            found: value(found),
        })
    }
}

fn value(text: &str) -> String {
    match text.split('\'').nth(1) {
        Some(quoted) => quoted.to_owned(),
        None => text.trim().to_owned(),
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { entity, argument, wanted, found } = self;
        write!(f, "{entity} exists with other arguments: {argument} is {found}, wanted is {wanted}; ")?;
        f.write_str("delete it, configure another name, or set amqp.declare = false to use it unchanged")?;
        if argument == "x-delivery-limit" {
            write!(f, "; amqp.delivery_limit = {found} matches it")?;
        }
        Ok(())
    }
}
