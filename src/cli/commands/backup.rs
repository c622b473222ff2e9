//! `codemint backup`: copies an SQLite store while it is in use.

use std::fmt;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use codemint_codes::text::grouped;
use serde::Serialize;
use tempfile::NamedTempFile;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::output::{cannot_write, directory_of};
use crate::cli::support::temporary::temporary_file;
use crate::cli::support::terminal::print_report;
use crate::cli::support::text::quoted;
use codemint_store::connection::store::Access;

/// Copy an SQLite store into a new file, complete and consistent, while others may be using it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint backup /var/backups/codemint-2026-11-27.db
  codemint --store sqlite:///var/lib/codemint/codemint.db backup backup.db

Only the owner can read the copy: it holds every code, and the keys of unfinished jobs. To restore it, \
stop all processes of the store, remove the old file with its -wal and -shm, and put the copy in its \
place. Codes that were minted after the backup are then unknown to the store, which may mint them \
again: import them first, or reserve their mask. A PostgreSQL store is backed up with pg_dump.")]
pub struct Backup {
    /// New file for the copy
    file: PathBuf,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    file: PathBuf,
    bytes: u64,
}

impl Backup {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        if self.file == Path::new("-") {
            return Err(Failure::usage("a backup is written to a file, not to standard output; name a new file"));
        }
        if self.file.symlink_metadata().is_ok() {
            let file = self.file.display();
            return Err(Failure::usage(format!("{file} exists already; name a new file, so that no backup is lost")));
        }
        let store = context.open_store(Access::Existing).await?;
        let failed = |error: &io::Error| cannot_write(&self.file, error);
        let copy = temporary_file(&directory_of(&self.file)).map_err(|error| failed(&error))?;
        let place = copy.path().to_str().ok_or_else(|| Failure::usage("the name of the file is not valid UTF-8"))?;
        let copied = tokio::select! {
            // An error may be about the copy as well as about the store.
            copied = store.copy_into(place) => copied.map_err(|error| {
                Failure::from(error).with_hint(format!("this happened while the copy was written to {}", self.file.display()))
            })?,
            () = context.stop.token().cancelled() => {
                return Err(context.stop.interrupted("stopped before the copy was complete; nothing was written"));
            }
        };
        if !copied {
            return Err(of_server(&self.file));
        }
        let bytes = publish(copy, &self.file).map_err(|error| failed(&error))?;
        print_report(self.json, &Report { file: self.file, bytes })
    }
}

/// Gives the complete copy its name, and returns its size in bytes.
fn publish(copy: NamedTempFile, file: &Path) -> io::Result<u64> {
    copy.as_file().sync_all()?;
    let bytes = copy.as_file().metadata()?.len();
    copy.persist_noclobber(file).map_err(|error| error.error)?;
    // The new name survives a power cut only once its directory is synced.
    File::open(directory_of(file))?.sync_all()?;
    Ok(bytes)
}

fn of_server(file: &Path) -> Failure {
    let file = quoted(&file.display().to_string());
    Failure::usage(format!(
        "the store is a PostgreSQL database, which its own tools back up: \
         `pg_dump --format custom --file {file} --dbname URL`; pg_restore restores it"
    ))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "backup    {}\nsize      {} bytes", self.file.display(), grouped(self.bytes.into()))
    }
}
