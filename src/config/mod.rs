//! Configuration: defaults, then a file, then the environment, then flags. Every problem is reported at once, secrets
//! are never shown.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::config::layers::Layers;
use codemint_codes::job::request::Limits;
use codemint_codes::screening::FilterLimits;
use codemint_store::location::Location;
use codemint_telemetry::logs::{LogFormat, LogLevel};
use codemint_worker::broker::settings::BrokerSettings;

pub mod settings;
mod layers;
mod values;
mod checks;

/// Read when it lies in the working directory and `--config` names no other file.
pub const DEFAULT_FILE: &str = "codemint.toml";

/// The configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub store: Location,
    /// A superuser of the database is refused rather than warned.
    pub require_least_privilege: bool,
    /// `None` where jobs come from the command line alone.
    pub broker: Option<BrokerSettings>,
    pub worker: WorkerSettings,
    /// Where a worker answers about itself; `None` is nowhere.
    pub admin: Option<SocketAddr>,
    pub chunk_size: u64,
    pub limits: Limits,
    pub filters: FilterLimits,
    /// Holds the secret of check characters; read by the commands that need it.
    pub check_key_file: Option<PathBuf>,
    /// Holds words that no code may contain; read by the commands that need it.
    pub deny_file: Option<PathBuf>,
    pub deny_builtin: bool,
    /// `None` goes by where the log is written to.
    pub log_format: Option<LogFormat>,
    /// `None` goes by the command.
    pub log_level: Option<LogLevel>,
    /// What `config show` tells: each key with its value, redacted, and where it came from.
    pub resolved: Vec<Resolved>,
}

/// How a worker works.
#[derive(Clone, Copy, Debug)]
pub struct WorkerSettings {
    /// Chunks at once.
    pub concurrency: usize,
    /// How long it may take to stop.
    pub shutdown: Duration,
}

#[derive(Clone, Debug, Serialize)]
pub struct Resolved {
    pub key: &'static str,
    /// `None` when the key is not set.
    pub value: Option<String>,
    pub origin: String,
}

/// Everything that is wrong with the configuration.
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

/// Where the layers come from; the last one wins.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// Named on the command line; must exist.
    pub file: Option<PathBuf>,
    /// Keys set by flags, with the flag's name.
    pub flags: Vec<(&'static str, String, &'static str)>,
}

/// Reads all layers.
///
/// # Errors
/// All problems of all layers together.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let mut layers = Layers::read(sources.file.as_deref());
    for (key, value, flag) in &sources.flags {
        layers.set_flag(key, value, flag);
    }
    checks::finish(layers)
}
