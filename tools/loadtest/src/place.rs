//! The store of a load test: the configured one, or a temporary file.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::TempDir;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use codemint_store::connection::location::Location;
use codemint_store::connection::store::{Access, Store};

const PREFIX: &str = ".codemint-bench-";

/// The store that is measured.
pub struct Place {
    pub location: Location,
    temporary: Option<TemporaryDirectory>,
}

/// A directory with a lock that ends with the process: one without a lock was left by a killed process.
struct TemporaryDirectory {
    directory: TempDir,
    _lock: File,
}

impl Place {
    /// Chooses the configured store, or else a temporary file: test codes do not belong in the file of `generate`.
    ///
    /// # Errors
    /// If the temporary directory cannot be created.
    pub fn choose(context: &Context) -> Result<Self, Failure> {
        let is_default =
            context.config.resolved.iter().any(|setting| setting.key == "store.url" && setting.origin == "default");
        if !is_default {
            return Ok(Self { location: context.config.store.clone(), temporary: None });
        }
        let temporary = std::env::current_dir()
            .and_then(|parent| TemporaryDirectory::create(&parent))
            .map_err(|error| Failure::other(format!("failed to create a directory for a temporary store: {error}")))?;
        let file = temporary.directory.path().join("codemint.db");
        Ok(Self { location: Location::Sqlite(file), temporary: Some(temporary) })
    }

    pub const fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// Opens the store; a configured file must exist.
    pub async fn open(&self, context: &Context) -> Result<Store, Failure> {
        match self.temporary {
            Some(_) => context.open_store_at(&self.location, Access::CreateFile).await,
            None => context.open_store(Access::Existing).await,
        }
    }

    /// Opens a separate store for this many workers, so that a server can identify its work for them.
    pub async fn open_for(&self, workers: usize) -> Result<Store, Failure> {
        let location = self.location.clone().with_connections(Context::connections_for(workers));
        Ok(Store::open(&location, Access::Existing).await?)
    }
}

impl TemporaryDirectory {
    /// Creates a locked directory, and removes the directories that killed processes have left beside it.
    fn create(parent: &Path) -> io::Result<Self> {
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
