//! Where a load test works: in the store that is configured, or in a file that goes with it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tempfile::TempDir;

use crate::cli::Context;
use crate::cli::exit::Failure;
use codemint_store::location::Location;
use codemint_store::{Access, Store};

const PREFIX: &str = ".codemint-bench-";

/// The store that is measured.
pub struct Place {
    pub location: Location,
    temporary: Option<TemporaryDirectory>,
}

/// A directory with a lock on it that goes with the process: one without is what a killed process has left.
struct TemporaryDirectory {
    directory: TempDir,
    _lock: File,
}

impl Place {
    /// Nobody who names no store wants codes in the file that `generate` would make: a file of its own beside it is measured.
    ///
    /// # Errors
    /// When no directory can be made.
    pub fn choose(context: &Context) -> Result<Self, Failure> {
        let is_default =
            context.config.resolved.iter().any(|setting| setting.key == "store.url" && setting.origin == "default");
        if !is_default {
            return Ok(Self { location: context.config.store.clone(), temporary: None });
        }
        let temporary = std::env::current_dir()
            .and_then(|parent| TemporaryDirectory::create(&parent))
            .map_err(|error| Failure::other(format!("failed to make a directory for a temporary store: {error}")))?;
        let file = temporary.directory.path().join("codemint.db");
        Ok(Self { location: Location::Sqlite(file), temporary: Some(temporary) })
    }

    pub const fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// # Errors
    /// As those of other commands; a named file has to be there.
    pub async fn open(&self, context: &Context) -> Result<Store, Failure> {
        match self.temporary {
            Some(_) => context.open_store_at(&self.location, Access::CreateFile).await,
            None => context.open_store(Access::Existing).await,
        }
    }

    /// A store of its own for so many workers, so that a server can tell what it does for them.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn open_for(&self, workers: usize) -> Result<Store, Failure> {
        let location = self.location.clone().with_connections(Context::connections_for(workers));
        Ok(Store::open(&location, Access::Existing).await?)
    }
}

impl TemporaryDirectory {
    /// Also removes what killed processes have left beside it.
    fn create(parent: &Path) -> io::Result<Self> {
        remove_abandoned(parent);
        loop {
            let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            let lock = File::open(directory.path())?;
            lock.lock()?;
            // Before it was locked it looked abandoned.
            if lock.metadata()?.nlink() > 0 {
                return Ok(Self { directory, _lock: lock });
            }
        }
    }
}

/// What cannot be removed stays: it is in nobody's way.
fn remove_abandoned(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let path = entry.path();
        let lock = File::open(&path).ok().filter(|directory| directory.try_lock().is_ok());
        if lock.is_some() && fs::remove_dir_all(&path).is_ok() {
            tracing::info!(directory = %path.display(), "removed what a load test that was killed had left");
        }
    }
}
