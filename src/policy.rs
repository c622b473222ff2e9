//! Which codes may be made, as far as files say so. Reads the files that the configuration names, for the commands that
//! need them; it decides nothing about a code.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::code::check::{CheckKey, SECRET_LENGTH_MAX};
use crate::config::Config;

/// What the files say.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    pub check_key: Option<CheckKey>,
}

/// What is wrong with a file that a key names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {path}: {problem}")]
pub struct PolicyError {
    pub key: &'static str,
    pub path: String,
    pub problem: String,
}

impl Policy {
    /// Reads all files.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(config: &Config) -> Result<Self, PolicyError> {
        Ok(Self { check_key: check_key(config)? })
    }
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

fn open(path: &Path) -> Result<File, String> {
    File::open(path).map_err(|error| format!("it cannot be read: {error}"))
}

/// Counted while reading: a device or a pipe has no size, and may never end.
fn read_at_most(file: File, length_max: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.take(length_max).read_to_end(&mut bytes).map_err(|error| format!("it cannot be read: {error}"))?;
    Ok(bytes)
}
