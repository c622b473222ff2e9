//! The layers: defaults, a file, the environment, flags. They hold only texts; `checks` validates the values.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use config::{ConfigError as SourceError, Environment, File, FileFormat, Source, Value, ValueKind};

use crate::config::environment::{ENVIRONMENT_PREFIX, keys_like, misnamed, variable_of};
use crate::config::settings::SETTINGS;
use codemint_codes::text::printable;
use codemint_worker::files;

/// A limit many times the size of all settings with their meanings.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// The file that is read if it exists in the working directory and `--config` names no other file.
const DEFAULT_FILE: &str = "codemint.toml";

/// The text of every key, each from the last layer that sets it, and the problems found in the layers.
#[derive(Default)]
pub(super) struct Layers {
    pub values: BTreeMap<&'static str, Layered>,
    pub problems: Vec<String>,
    /// What was probably meant as a setting, but is none.
    pub warnings: Vec<String>,
}

pub(super) struct Layered {
    pub text: String,
    /// The number of the layer; the highest one wins.
    pub layer: u8,
    pub origin: String,
}

impl Layers {
    pub(super) fn read(file: Option<&Path>) -> Self {
        let mut layers = Self::default();
        for setting in SETTINGS {
            layers.set(setting.key, Value::new(None, setting.default), 0, "default");
        }
        layers.read_file(file);
        layers.read_environment();
        layers
    }

    pub(super) fn set_flag(&mut self, key: &str, value: &str, flag: &str) {
        self.set(key, Value::new(None, value), 3, flag);
    }

    fn read_file(&mut self, named: Option<&Path>) {
        let path = named.unwrap_or(Path::new(DEFAULT_FILE));
        if named.is_none() && !path.exists() {
            return;
        }
        let shown = printable(&path.display().to_string());
        match files::read_text(path, FILE_BYTES_MAX, "TOML with a few settings") {
            Err(problem) => self.problems.push(format!("{shown}: {problem}")),
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
            Ok(table) => self.set_table(String::new(), table, 2, |key| format!("environment {}", variable_of(key))),
        }
        let names = std::env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned());
        self.warnings.extend(misnamed(names));
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
            self.problems.push(printable(&format!("{key} ({origin}) is not a known key; {}", nearest(key))));
            return;
        };
        match value.into_string() {
            Ok(text) => {
                self.values.insert(setting.key, Layered { text, layer, origin: origin.to_owned() });
            }
            Err(_) => self.problems.push(format!("{key} ({origin}) takes one value, not a list")),
        }
    }
}

fn nearest(key: &str) -> String {
    match keys_like(key).as_slice() {
        [] => format!("the known keys are {}", SETTINGS.map(|setting| setting.key).join(", ")),
        keys => format!("did you mean {}?", keys.join(" or ")),
    }
}

/// Returns the reason of a TOML error without the lines of the file around it, which may hold a password.
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
