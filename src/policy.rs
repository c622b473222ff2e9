//! Which codes may be made, as far as files say so. Reads the files that the configuration names, for the commands that
//! need them; it decides nothing about a code.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use codemint_codes::check::{CheckKey, SECRET_LENGTH_MAX};
use codemint_codes::denied::{DeniedWords, DeniedWordsError};
use codemint_codes::policy::Policy;
use codemint_worker::files::{open, read_at_most, read_text};

/// Far more than all words that are taken.
const DENY_FILE_BYTES_MAX: u64 = 16 << 20;

/// What is wrong with a file that a key names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {path}: {problem}")]
pub struct PolicyError {
    pub key: &'static str,
    pub path: String,
    pub problem: String,
}

/// Reads all files.
///
/// # Errors
/// The first file that cannot be used.
pub fn load(config: &Config) -> Result<Policy, PolicyError> {
    Ok(Policy { check_key: check_key(config)?, denied: denied_words(config)?.map(Arc::new) })
}

/// The secret of check characters alone; `None` if none is configured.
///
/// # Errors
/// If its file cannot be read, others than its owner can, or it holds no secret.
pub fn check_key(config: &Config) -> Result<Option<CheckKey>, PolicyError> {
    let Some(path) = &config.check_key_file else { return Ok(None) };
    let secret = read_secret(path).and_then(|secret| CheckKey::new(&secret).map_err(|error| error.to_string()));
    secret.map(Some).map_err(|problem| problem_of("check.key_file", path, problem))
}

/// The words that no code may contain; `None` if none are configured.
///
/// # Errors
/// If their file cannot be read, or holds other than words.
pub fn denied_words(config: &Config) -> Result<Option<DeniedWords>, PolicyError> {
    let builtin = config.deny_builtin.then(DeniedWords::builtin).transpose();
    let builtin = builtin.map_err(|error| problem_of("deny.builtin", Path::new("the list"), error.to_string()))?;
    let Some(path) = &config.deny_file else { return Ok(builtin) };
    let words = read_text(path, DENY_FILE_BYTES_MAX, "one word a line")
        .and_then(|text| with_builtin(&text, builtin.as_ref()).map_err(|error| error.to_string()));
    words.map(Some).map_err(|problem| problem_of("deny.file", path, problem))
}

fn with_builtin(text: &str, builtin: Option<&DeniedWords>) -> Result<DeniedWords, DeniedWordsError> {
    let words = DeniedWords::from_text(text)?;
    match builtin {
        Some(builtin) => words.union(builtin),
        None => Ok(words),
    }
}

fn problem_of(key: &'static str, path: &Path, problem: String) -> PolicyError {
    PolicyError { key, path: path.display().to_string(), problem }
}

fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    let file = open(path)?;
    // Asked of the open file: the path may mean another one by now.
    let mode = file.metadata().map_err(|error| error.to_string())?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(format!("its mode is {mode:o}, so others than its owner may use it; do chmod 600"));
    }
    // One more than the longest secret and its newline.
    let mut secret = read_at_most(file, SECRET_LENGTH_MAX as u64 + 2)?;
    if secret.last() == Some(&b'\n') {
        secret.pop();
    }
    Ok(secret)
}
