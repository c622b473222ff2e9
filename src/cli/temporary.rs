//! Files that are written beside the place where they belong, and renamed when they are whole.
//!
//! Whoever writes one holds a lock on it, which goes with the process: one without is what a killed process has left.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::NamedTempFile;

const PREFIX: &str = ".";
const SUFFIX: &str = ".codemint-tmp";

/// Makes a temporary file in a directory, with the permissions that a file at `path` has or would have, and removes what
/// killed processes have left there.
///
/// # Errors
/// When nothing can be made there.
pub fn temporary_file(directory: &Path, path: &Path) -> io::Result<NamedTempFile> {
    remove_abandoned(directory);
    loop {
        let file = tempfile::Builder::new()
            .permissions(permissions_of(path))
            .prefix(PREFIX)
            .suffix(SUFFIX)
            .tempfile_in(directory)?;
        file.as_file().lock()?;
        // Before it was locked it looked abandoned.
        if file.as_file().metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// A file that is replaced keeps its permissions; a new one gets what the process's umask leaves of these.
pub fn permissions_of(path: &Path) -> fs::Permissions {
    fs::metadata(path).map_or_else(|_| fs::Permissions::from_mode(0o666), |metadata| metadata.permissions())
}

/// What cannot be removed stays: it is in nobody's way.
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
            tracing::info!(file = %path.display(), "removed what a process that was killed had left");
        }
    }
}
