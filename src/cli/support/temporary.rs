//! Temporary files that are written beside their target, and renamed when they are complete.
//!
//! The process that writes a file holds a lock on it, which ends with the process: a file without a lock was left
//! by a killed process.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;

const PREFIX: &str = ".";
const SUFFIX: &str = ".codemint-tmp";

/// Creates a temporary file in a directory that only its owner can access, and removes the files that killed processes
/// have left there.
pub fn temporary_file(directory: &Path) -> io::Result<NamedTempFile> {
    remove_abandoned(directory);
    loop {
        let file = named(directory, 0o600)?;
        file.as_file().lock()?;
        // Before it was locked it looked abandoned, and another process may have removed it.
        if file.as_file().metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Creates a file whose mode the umask and the directory restrict.
fn named(directory: &Path, mode: u32) -> io::Result<NamedTempFile> {
    let permissions = Permissions::from_mode(mode);
    tempfile::Builder::new().permissions(permissions).prefix(PREFIX).suffix(SUFFIX).tempfile_in(directory)
}

/// A file of codes that only its owner can access until it is complete: a killed process leaves it behind.
#[derive(Debug)]
pub struct Temporary {
    file: NamedTempFile,
    permissions_of_new: Permissions,
}

impl Temporary {
    pub fn create(directory: &Path) -> io::Result<Self> {
        let file = temporary_file(directory)?;
        // Only a file shows what the umask and the directory make of a mode.
        let permissions_of_new = named(directory, 0o666)?.as_file().metadata()?.permissions();
        Ok(Self { file, permissions_of_new })
    }

    pub fn as_file(&self) -> &File {
        self.file.as_file()
    }

    /// Gives the file its name, with the permissions of the file that it replaces or of a new one.
    pub fn persist(self, path: &Path) -> io::Result<()> {
        let Self { file, permissions_of_new } = self;
        let replaced = fs::metadata(path).map(|metadata| metadata.permissions());
        file.as_file().set_permissions(replaced.unwrap_or(permissions_of_new))?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|error| error.error)?;
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
