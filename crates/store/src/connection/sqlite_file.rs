//! The file of an SQLite store: where it may lie, who may read it, whether it may change, and whether it is still there.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Access, access};

use crate::connection::error::StoreError;

/// The permissions of everybody but the owner.
const OTHERS: u32 = 0o077;
const PRIVATE: u32 = 0o600;

/// An open file. Cheap to clone: all clones are the same file.
#[derive(Clone, Debug)]
pub(crate) struct StoreFile(Arc<Opened>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    /// The device and the number of the file: a path alone would also name a file that replaced it.
    identity: (u64, u64),
    /// True if this process has begun to write.
    is_written: AtomicBool,
}

impl StoreFile {
    /// Remembers which file lies at the path, after it was opened.
    pub(crate) fn opened(path: &Path) -> Result<Self, StoreError> {
        let identity = identity_of(path).map_err(|error| cannot_open(path, error.to_string()))?;
        Ok(Self(Arc::new(Opened { path: path.to_owned(), identity, is_written: AtomicBool::new(false) })))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }

    /// Records that this process writes.
    ///
    /// # Errors
    /// `Moved`
    pub(crate) fn begin_writing(&self) -> Result<(), StoreError> {
        self.require_in_place()?;
        self.0.is_written.store(true, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn is_written(&self) -> bool {
        self.0.is_written.load(Ordering::Relaxed)
    }

    /// Checks that the path still names this file. SQLite itself would go on in a file that nobody finds again.
    ///
    /// # Errors
    /// `Moved`
    pub(crate) fn require_in_place(&self) -> Result<(), StoreError> {
        let is_in_place = identity_of(self.path()).is_ok_and(|identity| identity == self.0.identity);
        if is_in_place { Ok(()) } else { Err(StoreError::Moved { file: self.path().display().to_string() }) }
    }
}

fn identity_of(path: &Path) -> Result<(u64, u64), Error> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}

fn cannot_open(file: &Path, problem: String) -> StoreError {
    StoreError::File { file: file.display().to_string(), problem }
}

/// Checks the path, because SQLite would only report "unable to open database file".
pub(crate) fn check_place(file: &Path) -> Result<(), StoreError> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    match directory {
        _ if file.is_dir() => Err(cannot_open(file, "it is a directory; name a file in it".to_owned())),
        Some(directory) if !directory.is_dir() => {
            let problem = format!("there is no directory {}; create it or name another file", directory.display());
            Err(cannot_open(file, problem))
        }
        _ => Ok(()),
    }
}

/// Returns true for an existing file that must not change: nobody may write it, or this process may not write it or its
/// directory, where SQLite keeps its log.
pub(crate) fn is_archive(file: &Path) -> bool {
    let Ok(metadata) = fs::metadata(file) else { return false };
    let directory = fs::canonicalize(file).ok().and_then(|file| file.parent().map(Path::to_owned));
    let is_writable = |path: &Path| access(path, Access::WRITE_OK).is_ok();
    metadata.permissions().readonly() || !is_writable(file) || !directory.is_some_and(|place| is_writable(&place))
}

/// Checks that a file that must not change is complete: it is read without the log beside it.
pub(crate) fn require_complete(file: &Path) -> Result<(), StoreError> {
    let log = log_of(file);
    if !fs::metadata(&log).is_ok_and(|metadata| metadata.len() > 0) {
        return Ok(());
    }
    let log = log.display();
    let problem = format!(
        "it is read-only, and its latest changes are still in {log}; copy both files to a directory where they may be written"
    );
    Err(cannot_open(file, problem))
}

fn log_of(file: &Path) -> PathBuf {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// Creates a missing file, and lets only its owner access a new or an empty one: codes are worth money, and the key of an
/// unfinished job reveals all of its codes. SQLite gives its logs the same permissions.
pub(crate) fn make_private(file: &Path) -> Result<(), StoreError> {
    let failed = |error: Error| cannot_open(file, error.to_string());
    match OpenOptions::new().write(true).create_new(true).mode(PRIVATE).open(file) {
        Ok(_empty) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    // It may be a symbolic link to a file that is missing.
    let opened = OpenOptions::new().append(true).create(true).mode(PRIVATE).open(file);
    let existing = match opened {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => return Ok(()),
        opened => opened.map_err(failed)?,
    };
    restrict(&existing).map_err(|error| {
        let shown = file.display();
        cannot_open(file, format!("others may read it, and that cannot be changed ({error}); run `chmod 600 {shown}`"))
    })
}

fn restrict(file: &File) -> Result<(), Error> {
    let metadata = file.metadata()?;
    if metadata.len() > 0 || metadata.permissions().mode() & OTHERS == 0 {
        return Ok(());
    }
    file.set_permissions(Permissions::from_mode(PRIVATE))
}
