//! Settings of the broker: how to reach it, and what to use there. Broker URLs are shown without their secrets.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use lapin::uri::AMQPUri;
use url::Url;

/// Heartbeat interval. RabbitMQ may need three of them to notice that a peer is dead, which has to take less than 30 s;
/// with the library's 60 s that would be three minutes.
const HEARTBEAT_SECONDS: u16 = 8;

/// All settings of the broker.
#[derive(Clone, Debug)]
pub struct BrokerSettings {
    pub url: BrokerUrl,
    /// Certificates of authorities to trust, in addition to those of the system.
    pub ca_file: Option<PathBuf>,
    pub names: BrokerNames,
    /// True if exchanges and queues are declared, false if they are only checked.
    pub declare: bool,
    /// Maximum number of job messages that are held unacknowledged; of triggers it is a multiple.
    pub prefetch: u16,
    /// Maximum number of times that a message may return to its queue.
    pub delivery_limit: u32,
    /// Maximum time that a message waits for a store that is away before it returns to its queue.
    pub delivery_timeout: Duration,
}

/// The names of exchanges and queues. While the configuration is read, each of them may be invalid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerNames<T = String> {
    pub jobs_exchange: T,
    /// The name of the queue, and its routing key.
    pub jobs_queue: T,
    pub triggers_exchange: T,
    /// The name of the queue, and its routing key.
    pub triggers_queue: T,
    pub dead_exchange: T,
    pub dead_queue: T,
    pub events_exchange: T,
}

impl BrokerNames<Option<String>> {
    /// Returns the names if all of them are valid.
    pub fn all_there(self) -> Option<BrokerNames> {
        Some(BrokerNames {
            jobs_exchange: self.jobs_exchange?,
            jobs_queue: self.jobs_queue?,
            triggers_exchange: self.triggers_exchange?,
            triggers_queue: self.triggers_queue?,
            dead_exchange: self.dead_exchange?,
            dead_queue: self.dead_queue?,
            events_exchange: self.events_exchange?,
        })
    }
}

/// The address of the broker. `Display` shows no password.
#[derive(Clone)]
pub struct BrokerUrl {
    pub(crate) uri: AMQPUri,
    shown: String,
}

/// The reason why a broker URL is invalid. The URL itself is not repeated: it may hold a password.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BrokerUrlError {
    #[error("the scheme is not amqp or amqps; write amqp://USER@HOST/VHOST or amqps://USER@HOST/VHOST")]
    Scheme,
    #[error("holds a line break or another control character; write the URL alone, on one line")]
    ControlCharacter,
    #[error("found @ or # after the host; in a password write %40 for @, %23 for #, %2F for / and %3F for ?")]
    NotEncoded,
    #[error("names no host; write amqp://USER@HOST/VHOST")]
    NoHost,
    #[error("names more than one virtual host; write %2F for a / in its name")]
    VirtualHost,
    #[error("the parameter {0:?} is not known; known parameters are {known}", known = PARAMETERS.join(", "))]
    Parameter(String),
    #[error("the parameter {0} takes a number; auth_mechanism takes plain, amqplain or external")]
    ParameterValue(String),
    #[error("not a URL: {0}")]
    NotUrl(String),
}

const PARAMETERS: [&str; 4] = ["heartbeat", "frame_max", "channel_max", "auth_mechanism"];

impl FromStr for BrokerUrl {
    type Err = BrokerUrlError;

    fn from_str(text: &str) -> Result<Self, BrokerUrlError> {
        let rest = text.strip_prefix("amqp://").or_else(|| text.strip_prefix("amqps://"));
        let rest = rest.ok_or(BrokerUrlError::Scheme)?;
        if text.contains(char::is_control) {
            return Err(BrokerUrlError::ControlCharacter);
        }
        // An unencoded password ends the host at its first / ? or #, and the rest of the password would be shown.
        let after_host = rest.find(['/', '?', '#']).map_or("", |at| &rest[at..]);
        if after_host.contains(['@', '#']) {
            return Err(BrokerUrlError::NotEncoded);
        }
        let mut url = Url::parse(text).map_err(|error| BrokerUrlError::NotUrl(error.to_string()))?;
        if url.host_str().is_none_or(str::is_empty) {
            return Err(BrokerUrlError::NoHost);
        }
        if url.path().trim_start_matches('/').contains('/') {
            return Err(BrokerUrlError::VirtualHost);
        }
        url.query_pairs().try_for_each(|(name, value)| check_parameter(&name, &value))?;
        // The library's own message repeats the URL.
        let parsed = text.parse::<AMQPUri>();
        let mut uri = parsed.map_err(|_| BrokerUrlError::NotUrl("the broker's library rejects it".to_owned()))?;
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        // By the standard this is the virtual host with the empty name. Nobody has one, and many end a URL with a slash.
        if uri.vhost.is_empty() {
            "/".clone_into(&mut uri.vhost);
        }
        if url.password().is_some() {
            // Fails only for URLs that cannot have a password.
            let _unchanged = url.set_password(Some("***"));
        }
        Ok(Self { uri, shown: url.to_string() })
    }
}

fn check_parameter(name: &str, value: &str) -> Result<(), BrokerUrlError> {
    if !PARAMETERS.contains(&name) {
        return Err(BrokerUrlError::Parameter(name.to_owned()));
    }
    let fits = match name {
        "auth_mechanism" => ["plain", "amqplain", "external"].contains(&value.to_lowercase().as_str()),
        "frame_max" => value.parse::<u32>().is_ok(),
        _ => value.parse::<u16>().is_ok(),
    };
    if fits { Ok(()) } else { Err(BrokerUrlError::ParameterValue(name.to_owned())) }
}

impl fmt::Display for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for BrokerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BrokerUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn regression_a_url_without_a_virtual_host_names_the_usual_one() {
        for (url, vhost) in
            [("amqp://h", "/"), ("amqp://h/", "/"), ("amqp://h/?heartbeat=5", "/"), ("amqp://h/shop", "shop")]
        {
            assert_eq!(url.parse::<BrokerUrl>().expect(url).uri.vhost, vhost, "{url}");
        }
    }
}
