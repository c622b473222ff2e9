//! Reads the configured files that restrict which codes may be made, for the commands that need them: the file of the
//! check key and the file of denied words. It decides nothing about a code.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use crate::config::configuration::Config;
use codemint_codes::check::{CheckKey, SECRET_LENGTH_MAX};
use codemint_codes::denied::{DeniedWords, DeniedWordsError};
use codemint_codes::policy::Policy;
use codemint_codes::text::printable;
use codemint_worker::files::{open, read_at_most, read_text};

/// Far more than the largest accepted list of words.
const DENY_FILE_BYTES_MAX: u64 = 16 << 20;

/// A problem with a file that a configuration key names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {path}: {problem}")]
pub struct PolicyError {
    pub key: &'static str,
    pub path: String,
    pub problem: String,
}

/// Reads all files; the error names the first one that cannot be used.
pub fn load(config: &Config) -> Result<Policy, PolicyError> {
    Ok(Policy { check_key: check_key(config)?, denied: denied_words(config)?.map(Arc::new) })
}

/// Reads only the secret of check characters; `None` if none is configured.
///
/// # Errors
/// If its file cannot be read, gives access to others than its owner, or contains no valid secret.
pub(crate) fn check_key(config: &Config) -> Result<Option<CheckKey>, PolicyError> {
    let Some(path) = &config.check_key_file else { return Ok(None) };
    let secret = read_secret(path).and_then(|secret| CheckKey::new(&secret).map_err(|error| error.to_string()));
    secret.map(Some).map_err(|problem| problem_of("check.key_file", path, problem))
}

/// Reads the words that no code may contain; `None` if none are configured.
///
/// # Errors
/// If their file cannot be read, or contains anything but words.
pub(crate) fn denied_words(config: &Config) -> Result<Option<DeniedWords>, PolicyError> {
    let builtin = config.deny_builtin.then(DeniedWords::builtin).transpose();
    let builtin = builtin.map_err(|error| problem_of("deny.builtin", Path::new("the list"), error.to_string()))?;
    let Some(path) = &config.deny_file else { return Ok(builtin) };
    let words = read_text(path, DENY_FILE_BYTES_MAX, "one word per line")
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

pub(super) fn problem_of(key: &'static str, path: &Path, problem: String) -> PolicyError {
    PolicyError { key, path: printable(&path.display().to_string()), problem }
}

/// Opens a file that only its owner may have access to.
pub(super) fn open_secret(path: &Path) -> Result<File, String> {
    let file = open(path)?;
    // Checked on the open file: the path may lead to another file by now.
    let mode = file.metadata().map_err(|error| error.to_string())?.permissions().mode() & 0o7777;
    match mode & 0o077 {
        0 => Ok(file),
        _ => Err(format!("its mode is {mode:o}, which gives access to others than its owner; run chmod 600")),
    }
}

fn read_secret(path: &Path) -> Result<Vec<u8>, String> {
    let file = open_secret(path)?;
    // One byte more than the longest secret and its newline.
    let mut secret = read_at_most(file, SECRET_LENGTH_MAX as u64 + 2)?;
    if secret.last() == Some(&b'\n') {
        secret.pop();
    }
    Ok(secret)
}
