//! Temporary files that are written beside their target, and renamed when they are complete.
//!
//! The process that writes a file holds a lock on it, which ends with the process: a file without a lock was left
//! by a killed process.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::cli::support::file_mode::FileMode;

const PREFIX: &str = ".";
const SUFFIX: &str = ".codemint-tmp";

/// Creates a temporary file in a directory that only its owner can access, and removes the files that killed processes
/// have left there.
pub fn temporary_file(directory: &Path) -> io::Result<NamedTempFile> {
    remove_abandoned(directory);
    loop {
        let file = named(directory)?;
        file.as_file().lock()?;
        // Before it was locked it looked abandoned, and another process may have removed it.
        if file.as_file().metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Creates a file that only its owner can access.
fn named(directory: &Path) -> io::Result<NamedTempFile> {
    let permissions = FileMode::PRIVATE.permissions();
    tempfile::Builder::new().permissions(permissions).prefix(PREFIX).suffix(SUFFIX).tempfile_in(directory)
}

/// A file of codes that only its owner can access until it is complete: a killed process leaves it behind.
#[derive(Debug)]
pub struct Temporary(NamedTempFile);

impl Temporary {
    pub fn create(directory: &Path) -> io::Result<Self> {
        temporary_file(directory).map(Self)
    }

    pub fn as_file(&self) -> &File {
        self.0.as_file()
    }

    /// Gives the file its name. Its permissions are `mode`, or those of the file that it replaces, or private.
    pub fn persist(self, path: &Path, mode: Option<FileMode>) -> io::Result<()> {
        let replaced = || fs::metadata(path).map(|metadata| metadata.permissions()).ok();
        let permissions = mode.map(FileMode::permissions).or_else(replaced);
        let file = self.0.as_file();
        file.set_permissions(permissions.unwrap_or_else(|| FileMode::PRIVATE.permissions()))?;
        file.sync_all()?;
        self.0.persist(path).map_err(|error| error.error)?;
        Ok(())
    }
}

/// Removes abandoned files. A file that cannot be removed stays; it does no harm.
fn remove_abandoned(directory: &Path) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !name.to_string_lossy().ends_with(SUFFIX) {
            continue;
        }
        let path = entry.path();
        let abandoned = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if abandoned && fs::remove_file(&path).is_ok() {
            tracing::info!(file = %path.display(), "removed a file that a killed process had left");
        }
    }
}
