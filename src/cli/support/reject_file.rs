//! The list of the lines that an import left out.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::file_mode::FileMode;
use crate::cli::support::output::{cannot_write, is_of_store, temporary_beside};
use crate::cli::support::temporary::Temporary;
use crate::cli::support::text::shown_path;
use codemint_codes::job::record::Job;
use codemint_import::reason::Reason;
use codemint_import::rejects::Rejects;
use codemint_import::sorted::Sorted;
use codemint_store::connection::location::Location;
use codemint_store::connection::store::Store;

/// A list of rejected lines, which appears whole or not at all.
#[derive(Debug)]
pub struct RejectFile {
    path: PathBuf,
    temporary: Temporary,
    mode: Option<FileMode>,
}

impl RejectFile {
    /// Creates the temporary file before any work is done, to find out early whether the list can be written. A new list
    /// gets `mode`, or is private.
    ///
    /// # Errors
    /// `usage` if the path is not a file, or is the store or the input.
    pub fn beside(path: &Path, mode: Option<FileMode>, store: &Location, input: &str) -> Result<Self, Failure> {
        let refuse =
            |problem: &str| Failure::usage(format!("--reject-file {} is {problem}; name a file", shown_path(path)));
        if path.exists() && !path.is_file() {
            return Err(refuse("a directory or a device"));
        }
        if store.file().is_some_and(|file| is_of_store(path, file)) {
            return Err(refuse("the store itself"));
        }
        if fs::canonicalize(path).is_ok_and(|path| fs::canonicalize(input).is_ok_and(|input| input == path)) {
            return Err(refuse("the input"));
        }
        Ok(Self { path: path.to_owned(), temporary: temporary_beside(path)?, mode })
    }

    /// Returns the path, and the file that is to get this name.
    pub fn into_parts(self) -> (PathBuf, Temporary) {
        (self.path, self.temporary)
    }

    /// Lists the rejected lines of the input, and the lines of codes that existed before.
    ///
    /// # Errors
    /// If the store or the file fails, and on a stop request. The file is then unchanged.
    pub async fn write(
        self,
        context: &Context,
        store: &Store,
        job: &Job,
        sorted: &Arc<Sorted>,
        rejects: Rejects,
    ) -> Result<(), Failure> {
        let rejects = add_present(context, store, job, sorted, rejects).await?;
        self.write_list(context, rejects).await
    }

    /// Lists the rejected lines of the input only.
    ///
    /// # Errors
    /// If the file fails, and on a stop request. The file is then unchanged.
    pub async fn write_list(self, context: &Context, rejects: Rejects) -> Result<(), Failure> {
        let stop = context.stop.token().clone();
        let written = tokio::task::spawn_blocking(move || {
            let progress = |_| if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            let written = rejects.write_csv(self.temporary.as_file(), &progress).map_err(Failure::from);
            let persist =
                || self.temporary.persist(&self.path, self.mode).map_err(|error| cannot_write(&self.path, &error));
            written.and_then(|_| persist())
        });
        context.stop.check(|| {
            "stopped before the rejected lines were written; repeat the same command to write them".to_owned()
        })?;
        written.await.map_err(Failure::other)?
    }
}

/// Adds the input's codes that the store holds under another run: they existed before, whichever attempt found them.
async fn add_present(
    context: &Context,
    store: &Store,
    job: &Job,
    sorted: &Arc<Sorted>,
    mut rejects: Rejects,
) -> Result<Rejects, Failure> {
    for chunk in context.with_retries(async || store.list_chunks(job.no).await).await? {
        context.stop.check(|| {
            "stopped before the rejected lines were written; repeat the same command to write them".to_owned()
        })?;
        if chunk.minted == chunk.planned.quota {
            continue;
        }
        let ours = context.with_retries(async || store.read_codes(&chunk).await).await?;
        let sorted = Arc::clone(sorted);
        let added = tokio::task::spawn_blocking(move || {
            let run = sorted.read_run(chunk.planned.chunk_no as usize).map_err(Failure::other)?;
            let mut ours = ours.iter().peekable();
            for (code, &line) in run.codes.iter().zip(&run.lines) {
                if ours.next_if_eq(&code).is_none() {
                    rejects.push(line, Reason::Present)?;
                }
            }
            Ok::<Rejects, Failure>(rejects)
        });
        rejects = added.await.map_err(Failure::other)??;
    }
    Ok(rejects)
}
