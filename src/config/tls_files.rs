//! Reads the files with the certificate of the HTTP API and its private key.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config::policy_files::{PolicyError, open_secret, problem_of};
use codemint_worker::files::{open, read_at_most};

const FILE_BYTES_MAX: u64 = 1 << 20;

/// A certificate chain and its key, both in PEM.
pub struct TlsFiles {
    pub certificates: Vec<u8>,
    pub key: Vec<u8>,
}

/// Does not show the key.
impl fmt::Debug for TlsFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsFiles(secret)")
    }
}

/// Reads both files.
///
/// # Errors
/// If a file cannot be read, or if the one with the key gives access to others than its owner.
pub fn load((certificates, key): &(PathBuf, PathBuf)) -> Result<TlsFiles, PolicyError> {
    let read_certificates = open(certificates).and_then(|file| read_at_most(file, FILE_BYTES_MAX));
    let read_key = open_secret(key).and_then(|file| read_at_most(file, FILE_BYTES_MAX));
    Ok(TlsFiles {
        certificates: read_certificates.map_err(|problem| problem_of_certificate(certificates, problem))?,
        key: read_key.map_err(|problem| problem_of_key(key, problem))?,
    })
}

pub fn problem_of_certificate(path: &Path, problem: String) -> PolicyError {
    problem_of("server.tls_cert_file", path, problem)
}

pub fn problem_of_key(path: &Path, problem: String) -> PolicyError {
    problem_of("server.tls_key_file", path, problem)
}
