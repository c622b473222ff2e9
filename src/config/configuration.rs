//! The checked configuration, and the problems that keep one from being made.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use codemint_codes::job::request::Limits;
use codemint_codes::screening::FilterLimits;
use codemint_offers::access::client_address::TrustedProxies;
use codemint_offers::link::target::LinkSettings;
use codemint_server::api::limits::LimitSettings;
use codemint_server::api::service::HeaderName;
use codemint_store::connection::location::Location;
use codemint_telemetry::logs::{LogFormat, LogLevel};
use codemint_worker::broker::settings::BrokerSettings;

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    pub store: Location,
    /// True to refuse a superuser of the database instead of logging a warning.
    pub require_least_privilege: bool,
    /// `None` if jobs come from the command line alone.
    pub broker: Option<BrokerSettings>,
    pub worker: WorkerSettings,
    /// The address of a worker's admin listener; `None` if it is off.
    pub admin: Option<SocketAddr>,
    pub server: ServerSettings,
    pub links: LinkSettings,
    pub chunk_size: u64,
    pub limits: Limits,
    pub filters: FilterLimits,
    /// The file with the secret of check characters; read by the commands that need it.
    pub check_key_file: Option<PathBuf>,
    /// The file with the words that no code may contain; read by the commands that need it.
    pub deny_file: Option<PathBuf>,
    pub deny_builtin: bool,
    /// `None` to choose by the destination of the log.
    pub log_format: Option<LogFormat>,
    /// `None` to choose by the command.
    pub log_level: Option<LogLevel>,
    /// The content of `config show`: each key with its redacted value and its source.
    pub resolved: Vec<Resolved>,
    /// What was probably meant as a setting, but is none.
    pub warnings: Vec<String>,
}

/// The settings of a worker.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// The number of chunks minted at once.
    pub concurrency: usize,
    /// The time limit of a graceful shutdown.
    pub shutdown: Duration,
}

/// The settings of the HTTP API.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    pub address: SocketAddr,
    /// The files of the certificate chain and of its key; `None` for connections without TLS.
    pub tls: Option<(PathBuf, PathBuf)>,
    pub connections_max: usize,
    pub limits: LimitSettings,
    /// The proxies whose word about the client is believed.
    pub proxies: TrustedProxies,
    /// The header in which such a proxy names the person who has signed in there.
    pub sign_in_header: Option<HeaderName>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Resolved {
    pub key: &'static str,
    /// `None` when the key is not set.
    pub value: Option<String>,
    pub origin: String,
}

/// All problems of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigError {
    pub problems: Vec<String>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.problems.as_slice() {
            [only] => write!(f, "configuration: {only}"),
            problems => {
                write!(f, "configuration: {} problems", problems.len())?;
                problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
        }
    }
}
