//! The invariant of reading configurations, for a property test and for a fuzz target, which includes this file.

use std::io::Write;

use codemint::config::load::{Sources, load};

/// Asserts that a configuration file is either accepted and complete, or refused with its problems.
pub fn of_configurations(file: &[u8]) {
    let mut written = tempfile::NamedTempFile::new().expect("a file");
    written.write_all(file).expect("a configuration");
    let sources = Sources { file: Some(written.path().to_owned()), flags: Vec::new() };
    match load(&sources) {
        Ok(config) => assert!(config.chunk_size > 0 && !config.resolved.is_empty()),
        Err(error) => assert!(!error.problems.is_empty() && error.problems.iter().all(|problem| !problem.is_empty())),
    }
}
