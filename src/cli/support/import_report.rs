//! The report of an import.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::text::{grouped, quoted};
use codemint_codes::job::record::Job;
use codemint_codes::wire::document::JobDocument;
use codemint_import::sorted::Counts;
use codemint_worker::runner::job_execution::Share;

/// The report of an import that has ended.
#[derive(Debug, Serialize)]
pub struct Summary {
    #[serde(flatten)]
    job: JobDocument,
    lines_read: u64,
    blank: u64,
    invalid: u64,
    repeats: u64,
    /// The number of codes that were in the store already.
    existing: u64,
    /// The duration of writing, without reading and sorting.
    seconds: f64,
    imported_here: u64,
    codes_per_second: u64,
    store: String,
    reject_file: Option<PathBuf>,
}

impl Summary {
    pub fn new(
        context: &Context,
        job: &Job,
        share: Share,
        writing: Duration,
        counts: &Counts,
        reject_file: Option<&Path>,
    ) -> Self {
        let seconds = writing.as_secs_f64();
        Self {
            job: JobDocument::from(job),
            lines_read: counts.lines_read,
            blank: counts.blank,
            invalid: counts.invalid,
            repeats: counts.repeats,
            existing: job.rejections.total(),
            seconds: (seconds * 1000.0).round() / 1000.0,
            imported_here: share.codes,
            codes_per_second: (share.codes as f64 / seconds.max(0.001)).round() as u64,
            store: context.config.store.to_string(),
            reject_file: reject_file.map(Path::to_owned),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |count: u64| grouped(count.into());
        writeln!(f, "job       {}", self.job.job_id)?;
        writeln!(f, "lines     {}, {} of them blank", count(self.lines_read), count(self.blank))?;
        writeln!(f, "codes     {} imported", count(self.job.minted))?;
        let (existing, repeats, invalid) = (count(self.existing), count(self.repeats), count(self.invalid));
        writeln!(f, "left out  {existing} existing, {repeats} repeated, {invalid} invalid")?;
        writeln!(f, "time      {:.2} s, {} codes/s", self.seconds, count(self.codes_per_second))?;
        write!(f, "store     {}", self.store)?;
        match &self.reject_file {
            Some(file) => write!(f, "\nrejected  {}", quoted(&file.display().to_string())),
            None => Ok(()),
        }
    }
}
