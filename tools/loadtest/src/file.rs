//! A temporary SQLite file in a directory of its own below the working directory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

const PREFIX: &str = ".codemint-loadtest-";

/// A directory with a lock that ends with the process: one without a lock was left by a killed process.
#[derive(Debug)]
pub struct TemporaryFile {
    directory: TempDir,
    _lock: File,
}

impl TemporaryFile {
    /// Creates a locked directory, and removes the directories that killed processes have left beside it.
    pub fn create(parent: &Path) -> io::Result<Self> {
        remove_abandoned(parent);
        loop {
            let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            let lock = File::open(directory.path())?;
            lock.lock()?;
            // Before it was locked it looked abandoned, and another process may have removed it.
            if lock.metadata()?.nlink() > 0 {
                return Ok(Self { directory, _lock: lock });
            }
        }
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join("codemint.db")
    }

    /// Removes the directory with everything in it.
    pub fn remove(self) -> io::Result<()> {
        self.directory.close()
    }
}

/// Removes abandoned directories. A directory that cannot be removed stays; it does no harm.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        let lock = File::open(&path).ok().filter(|directory| directory.try_lock().is_ok());
        if lock.is_some() && fs::remove_dir_all(&path).is_ok() {
            tracing::info!(directory = %path.display(), "removed a directory that a killed load test had left");
        }
    }
}
