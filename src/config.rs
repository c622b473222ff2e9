//! Configuration: defaults, then a file, then the environment, then flags. Every problem is reported at once, secrets
//! are never shown.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use config::{ConfigError as SourceError, Environment, File, FileFormat, Source, Value, ValueKind};
use serde::Serialize;

use crate::code::screening::FilterLimits;
use crate::job::{CHUNK_SIZE_MAX, Limits};
use crate::store::location::Location;

/// Read when it lies in the working directory and `--config` names no other file.
pub const DEFAULT_FILE: &str = "codemint.toml";
const ENVIRONMENT_PREFIX: &str = "CODEMINT";
/// Where the quota arithmetic ends.
const COUNT_MAX_LIMIT: u64 = 1_000_000_000;
const GUESS_ODDS_LIMIT: u64 = 1_000_000_000_000;
const FILTER_BYTES_MAX_LIMIT: u64 = 1 << 30;
/// A file with a URL in it is not longer than this.
const SECRET_FILE_BYTES_MAX: u64 = 64 * 1024;

/// A key that may be set, its default and its meaning.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub key: &'static str,
    pub default: &'static str,
    pub meaning: &'static str,
}

/// Every key, in the order in which `config show` lists them. An empty default means "not set".
pub const SETTINGS: [Setting; 13] = [
    Setting {
        key: "store.url",
        default: "sqlite://codemint.db",
        meaning: "where jobs and codes live: sqlite://FILE or postgres://USER@HOST/DATABASE?sslmode=verify-full&sslrootcert=FILE",
    },
    Setting {
        key: "store.url_file",
        default: "",
        meaning: "a file that holds the store's URL, for URLs with a password; instead of store.url",
    },
    Setting { key: "job.chunk_size", default: "50000", meaning: "codes a transaction, 1 to 1048576" },
    Setting { key: "limits.count_max", default: "1000000000", meaning: "most codes of one job, 1 to 1000000000" },
    Setting {
        key: "limits.guess_odds_min",
        default: "0",
        meaning: "refuse jobs of which fewer random guesses than this hit a code, 0 to 1000000000000; 0 warns below 10000",
    },
    Setting {
        key: "prefilter.false_positive_rate",
        default: "0.001",
        meaning: "how often a new filter takes a new code for an existing one, 0.00001 to 0.5; each such code costs a look-up",
    },
    Setting {
        key: "prefilter.max_bytes",
        default: "67108864",
        meaning: "most bytes of filters that are loaded for a chunk, 1 to 1073741824; beyond, every candidate is looked up",
    },
    Setting {
        key: "prefilter.screening",
        default: "auto",
        meaning: "how new codes are compared with existing ones before they are written: auto, look_up or none; only auto writes and reads filters",
    },
    Setting {
        key: "check.key_file",
        default: "",
        meaning: "a file with the secret of [:check:], 16 to 4096 bytes, for its owner alone (chmod 600)",
    },
    Setting {
        key: "deny.file",
        default: "",
        meaning: "a file with words that no code may contain, one a line; # begins a comment line",
    },
    Setting {
        key: "deny.builtin",
        default: "false",
        meaning: "true to deny well-known vulgar and offensive words of English as well",
    },
    Setting { key: "log.format", default: "text", meaning: "text or json, on standard error" },
    Setting { key: "log.level", default: "warn", meaning: "error, warn, info, debug or trace" },
];

/// The configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    pub store: Location,
    pub chunk_size: u64,
    pub limits: Limits,
    pub filters: FilterLimits,
    /// Holds the secret of check characters; read by the commands that need it.
    pub check_key_file: Option<PathBuf>,
    /// Holds words that no code may contain; read by the commands that need it.
    pub deny_file: Option<PathBuf>,
    pub deny_builtin: bool,
    pub log_format: LogFormat,
    pub log_level: LogLevel,
    /// What `config show` tells: each key with its value, redacted, and where it came from.
    pub resolved: Vec<Resolved>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Resolved {
    pub key: &'static str,
    /// `None` when the key is not set.
    pub value: Option<String>,
    pub origin: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("found {other:?}; write text or json")),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl FromStr for LogLevel {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "error" => Ok(Self::Error),
            "warn" => Ok(Self::Warn),
            "info" => Ok(Self::Info),
            "debug" => Ok(Self::Debug),
            "trace" => Ok(Self::Trace),
            other => Err(format!("found {other:?}; write error, warn, info, debug or trace")),
        }
    }
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
    let mut reader = Reader::default();
    for setting in SETTINGS {
        reader.set(setting.key, Value::new(None, setting.default), 0, "default");
    }
    reader.read_file(sources.file.as_deref());
    reader.read_environment();
    for (key, value, flag) in &sources.flags {
        reader.set(key, Value::new(None, value.as_str()), 3, flag);
    }
    reader.finish()
}

#[derive(Default)]
struct Reader {
    values: BTreeMap<&'static str, Layered>,
    problems: Vec<String>,
}

struct Layered {
    text: String,
    layer: u8,
    origin: String,
}

impl Reader {
    fn read_file(&mut self, named: Option<&Path>) {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        if named.is_none() && !path.exists() {
            return;
        }
        let shown = path.display().to_string();
        match std::fs::read_to_string(path) {
            Err(error) => self.problems.push(format!("{shown} cannot be read: {error}")),
            Ok(text) => match File::from_str(&text, FileFormat::Toml).collect() {
                Err(error) => self.problems.push(format!("{shown} is not valid TOML: {}", without_excerpt(&error))),
                Ok(table) => self.set_table(String::new(), table, 1, |_| shown.clone()),
            },
        }
    }

    fn read_environment(&mut self) {
        let environment = Environment::with_prefix(ENVIRONMENT_PREFIX).prefix_separator("__").separator("__");
        match environment.collect() {
            // The source's own message would repeat the value.
            Err(_) => self.problems.push("an environment variable that begins with CODEMINT__ is not text".to_owned()),
            Ok(table) => self.set_table(String::new(), table, 2, |key| {
                format!("environment {ENVIRONMENT_PREFIX}__{}", key.to_uppercase().replace('.', "__"))
            }),
        }
    }

    fn set_table(
        &mut self,
        prefix: String,
        table: config::Map<String, Value>,
        layer: u8,
        origin: impl Fn(&str) -> String + Copy,
    ) {
        let sorted: BTreeMap<String, Value> = table.into_iter().collect();
        for (name, value) in sorted {
            let key = format!("{prefix}{name}");
            match value.kind {
                ValueKind::Table(inner) => self.set_table(format!("{key}."), inner, layer, origin),
                _ => self.set(&key, value, layer, &origin(&key)),
            }
        }
    }

    fn set(&mut self, key: &str, value: Value, layer: u8, origin: &str) {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.key == key) else {
            self.problems.push(format!("{key} ({origin}) is not a key; {}", nearest(key)));
            return;
        };
        match value.into_string() {
            Ok(text) => {
                self.values.insert(setting.key, Layered { text, layer, origin: origin.to_owned() });
            }
            Err(_) => self.problems.push(format!("{key} ({origin}) takes one value, not a list")),
        }
    }

    fn parse<T>(&mut self, key: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let value = self.values.get(key)?;
        match parse(value.text.trim()) {
            Ok(parsed) => Some(parsed),
            Err(problem) => {
                self.problems.push(format!("{key} ({}): {problem}", value.origin));
                None
            }
        }
    }

    fn finish(mut self) -> Result<Config, ConfigError> {
        let store = self.store();
        let chunk_size = self.parse("job.chunk_size", |text| whole_number(text, u64::from(CHUNK_SIZE_MAX)));
        let count_max = self.parse("limits.count_max", |text| whole_number(text, COUNT_MAX_LIMIT));
        let guess_odds_min = self.parse("limits.guess_odds_min", |text| number_up_to(text, GUESS_ODDS_LIMIT));
        let filters = self.filters();
        let deny_builtin = self.parse("deny.builtin", true_or_false);
        let log_format = self.parse("log.format", str::parse);
        let log_level = self.parse("log.level", str::parse);
        match (store, chunk_size, count_max, guess_odds_min, filters, deny_builtin, log_format, log_level) {
            (
                Some(store),
                Some(chunk_size),
                Some(count_max),
                Some(guess_odds_min),
                Some(filters),
                Some(deny_builtin),
                Some(log_format),
                Some(log_level),
            ) if self.problems.is_empty() => Ok(Config {
                resolved: self.resolved(&store),
                store,
                chunk_size,
                limits: Limits { count_max, guess_odds_min },
                filters,
                check_key_file: self.path("check.key_file"),
                deny_file: self.path("deny.file"),
                deny_builtin,
                log_format,
                log_level,
            }),
            _ => Err(ConfigError { problems: self.problems }),
        }
    }

    fn filters(&mut self) -> Option<FilterLimits> {
        let false_positive_rate = self.parse("prefilter.false_positive_rate", |text| {
            let rate = text.parse().ok().filter(|rate| (0.00001..=0.5).contains(rate));
            rate.ok_or_else(|| format!("found {text:?}; write a number from 0.00001 to 0.5"))
        });
        let bytes_max = self.parse("prefilter.max_bytes", |text| whole_number(text, FILTER_BYTES_MAX_LIMIT));
        let mode = self.parse("prefilter.screening", str::parse);
        Some(FilterLimits { mode: mode?, false_positive_rate: false_positive_rate?, bytes_max: bytes_max? })
    }

    fn path(&self, key: &str) -> Option<PathBuf> {
        self.values.get(key).map(|value| value.text.trim()).filter(|text| !text.is_empty()).map(PathBuf::from)
    }

    /// The URL itself or the file that holds it, whichever was set in the later layer.
    fn store(&mut self) -> Option<Location> {
        let (url, file) = (self.values.get("store.url")?, self.values.get("store.url_file")?);
        if file.text.is_empty() || file.layer < url.layer {
            return self.parse("store.url", |text| text.parse::<Location>().map_err(|error| error.to_string()));
        }
        if file.layer == url.layer {
            self.problems.push(format!("store.url and store.url_file are both set ({}); set one of them", file.origin));
            return None;
        }
        self.parse("store.url_file", |path| {
            let url = read_secret(Path::new(path)).map_err(|problem| format!("{path}: {problem}"))?;
            url.trim().parse::<Location>().map_err(|error| format!("{path}: {error}"))
        })
    }

    fn resolved(&self, store: &Location) -> Vec<Resolved> {
        let shown = |setting: &Setting| {
            let value = self.values.get(setting.key)?;
            let from_file = self.values.get("store.url_file").filter(|file| !file.text.is_empty());
            let (text, origin) = match (setting.key, from_file) {
                ("store.url", Some(file)) if file.layer > value.layer => {
                    (store.to_string(), format!("store.url_file, {}", file.origin))
                }
                ("store.url", _) => (store.to_string(), value.origin.clone()),
                _ => (value.text.clone(), value.origin.clone()),
            };
            Some(Resolved { key: setting.key, value: Some(text).filter(|text| !text.is_empty()), origin })
        };
        SETTINGS.iter().filter_map(shown).collect()
    }
}

fn read_secret(path: &Path) -> Result<String, String> {
    // Counted while reading: a device or a pipe has no size, and may never end.
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > SECRET_FILE_BYTES_MAX {
        return Err(format!("the file has more than {SECRET_FILE_BYTES_MAX} bytes; one line with the URL is expected"));
    }
    Ok(text)
}

fn whole_number(text: &str, max: u64) -> Result<u64, String> {
    let number = text.parse::<u64>().ok().filter(|number| (1..=max).contains(number));
    number.ok_or_else(|| format!("found {text:?}; write a whole number from 1 to {max}"))
}

fn true_or_false(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("found {text:?}; write true or false"))
}

fn number_up_to(text: &str, max: u64) -> Result<u64, String> {
    let number = text.parse::<u64>().ok().filter(|number| *number <= max);
    number.ok_or_else(|| format!("found {text:?}; write a whole number from 0 to {max}"))
}

fn nearest(key: &str) -> String {
    let name = key.rsplit('.').next().unwrap_or(key);
    let similar = SETTINGS.iter().find(|setting| setting.key.rsplit('.').next() == Some(name));
    match similar {
        Some(setting) => format!("did you mean {}?", setting.key),
        None => format!("there are {}", SETTINGS.map(|setting| setting.key).join(", ")),
    }
}

/// The reason of a TOML error without the lines of the file around it, which may hold a password.
fn without_excerpt(error: &SourceError) -> String {
    let message = match error {
        SourceError::FileParse { cause, .. } => cause.to_string(),
        other => other.to_string(),
    };
    let mut reason = String::new();
    for line in message.lines().map(str::trim).filter(|line| !line.is_empty() && !line.contains('|')) {
        let separator = if reason.is_empty() { "" } else { ": " };
        // Writing to a String cannot fail.
        let _written = write!(reason, "{separator}{line}");
    }
    reason
}
