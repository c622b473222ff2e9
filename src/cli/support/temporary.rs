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

/// Creates a temporary file in a directory, and removes the files that killed processes have left there.
pub fn temporary_file(directory: &Path, permissions: &Permissions) -> io::Result<NamedTempFile> {
    remove_abandoned(directory);
    loop {
        let file = tempfile::Builder::new()
            .permissions(permissions.clone())
            .prefix(PREFIX)
            .suffix(SUFFIX)
            .tempfile_in(directory)?;
        file.as_file().lock()?;
        // Before it was locked it looked abandoned, and another process may have removed it.
        if file.as_file().metadata()?.nlink() > 0 {
            return Ok(file);
        }
    }
}

/// Returns the permissions of an output file: those of the file that it replaces, or 0666, which the umask restricts.
pub fn permissions_of(path: &Path) -> Permissions {
    fs::metadata(path).map_or_else(|_| Permissions::from_mode(0o666), |metadata| metadata.permissions())
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
