//! Writing the codes of jobs, in order or shuffled, in constant memory. Every export is recorded in the audit log.

use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::output::{Sink, Target};
use crate::cli::support::output_format::Encoding;
use crate::cli::support::output_options::{Order, OutputOptions};
use crate::cli::support::shuffle::Shuffle;
use crate::cli::support::spreadsheet_warning::MisreadWatch;
use crate::cli::support::terminal::print_note;
use crate::cli::support::text::counted;
use codemint_codes::batch::CodeBatch;
use codemint_codes::job::record::Job;
use codemint_codes::mask::CODE_LENGTH_MAX;
use codemint_store::connection::store::Store;
use codemint_store::records::audit::{Action, AuditEntry, Outcome};
use codemint_store::records::job_codes::{OtherCodes, pair_with_owners};
use codemint_store::records::rows::Chunk;
use codemint_telemetry::failpoint;

const MERGED_BYTES: usize = 256 * 1024;

/// The codes of jobs on their way to an output, one job after the other.
pub struct JobExport<'a> {
    pub context: &'a Context,
    pub store: &'a Store,
    pub jobs: &'a [Job],
    pub target: &'a Target,
    pub encoding: Encoding,
    pub options: &'a OutputOptions,
}

/// An open output, and the codes in it that spreadsheets change.
struct Written {
    sink: Sink,
    watch: Option<MisreadWatch>,
    /// Identities are written beside the codes.
    has_identities: bool,
}

impl JobExport<'_> {
    /// Writes all codes of the jobs. With `warn`, codes that spreadsheets change are counted and reported.
    ///
    /// # Errors
    /// If the store or the output fails, and on a stop request. An output file is then unchanged.
    pub async fn write(&self, warn: bool) -> Result<(), Failure> {
        let codes = self.codes();
        self.encoding.check_count(codes).map_err(Failure::usage)?;
        let sink = self.target.open(self.encoding, codes, self.options.mode)?;
        let watch = if warn { MisreadWatch::of(self.jobs, self.encoding)? } else { None };
        self.note_open_file();
        let written = Written { sink, watch, has_identities: self.encoding.has_identities() };
        if self.store.is_archive() {
            if !self.context.quiet {
                print_note("note: the store is read-only, so its audit log does not record this export");
            }
            return self.write_codes(written).await;
        }
        self.record(Outcome::Begun).await?;
        let written = self.write_codes(written).await;
        let recorded = self.record(Outcome::of(&written)).await;
        // An error of the export takes precedence over an error of the record.
        written.and(recorded)
    }

    /// Returns the number of codes of all jobs.
    fn codes(&self) -> u64 {
        self.jobs.iter().map(|job| job.minted).sum()
    }

    /// A replaced file keeps its permissions, which may be wider than the user remembers.
    fn note_open_file(&self) {
        if let (None, Some(mode)) = (self.options.mode, self.target.mode_open_to_others()) {
            self.context.note(&format!(
                "note: {} keeps its mode {mode:04o}, so other users can access the codes; --mode 0600 makes it private",
                self.target
            ));
        }
    }

    async fn write_codes(&self, mut written: Written) -> Result<(), Failure> {
        written.sink.show_progress(self.context.progress.bar(self.codes(), 0));
        match self.options.order {
            Order::Code => {
                for job in self.jobs {
                    self.write_in_order(job, &mut written).await?;
                }
            }
            Order::Random => self.write_shuffled(&mut written).await?,
        }
        let Written { sink, watch, .. } = written;
        sink.finish()?;
        if let Some(watch) = watch {
            watch.warnings(self.codes()).for_each(|warning| self.context.note(&warning));
        }
        Ok(())
    }

    /// Records in the audit log that codes leave the store: called before the first code and after the last one.
    async fn record(&self, outcome: Outcome) -> Result<(), Failure> {
        let entries: Vec<AuditEntry> = self.jobs.iter().map(|job| self.entry(outcome, job)).collect();
        let put = async || match self.store.put_audit_entries(&entries).await {
            Err(error) if error.is_read_only() => Ok(Err(error)),
            recorded => recorded.map(Ok),
        };
        self.context.with_retries(put).await?.map_err(|error| {
            Failure::usage(format!(
                "{error}; an export is recorded in the audit log, so use the primary server, not a replica"
            ))
        })
    }

    fn entry(&self, outcome: Outcome, job: &Job) -> AuditEntry {
        let mut entry = AuditEntry::of_job(Action::Export, outcome, job);
        let to = if self.target.is_stdout() { "to standard output" } else { "to a file" };
        (entry.count, entry.detail, entry.digest) = (Some(job.minted), Some(to.to_owned()), job.digest.clone());
        entry
    }

    async fn write_in_order(&self, job: &Job, written: &mut Written) -> Result<(), Failure> {
        let (context, store) = (self.context, self.store);
        let chunks = context.with_retries(async || store.list_done_chunks(job.no).await).await?;
        let mut rounds: Vec<Round> =
            chunks.chunk_by(|a, b| a.planned.round == b.planned.round).map(|round| Round::new(job, round)).collect();
        if let [only] = rounds.as_mut_slice() {
            while let Some(batch) = only.next_batch(context, store).await? {
                written.write_with_owners(context, store, &batch).await?;
                let reached = failpoint::reach(failpoint::EXPORT_HALF_WRITTEN).await;
                reached.map_err(Failure::other)?;
            }
            Ok(())
        } else {
            merge(context, store, &mut rounds, written).await
        }
    }

    async fn write_shuffled(&self, written: &mut Written) -> Result<(), Failure> {
        let mut shuffle = Shuffle::new(self.jobs.iter().map(bytes_at_most).sum(), self.target.directory())?;
        for job in self.jobs {
            let chunks = self.context.with_retries(async || self.store.list_done_chunks(job.no).await).await?;
            let mut all = Round::new(job, &chunks);
            while let Some(batch) = all.next_batch(self.context, self.store).await? {
                shuffle.push(&batch)?;
            }
        }
        shuffle.drain(&mut |batch| {
            self.context.stop.check(stopped)?;
            written.write(&batch)
        })
    }
}

impl Written {
    /// Writes codes, with their identities where these are written.
    async fn write_with_owners(&mut self, context: &Context, store: &Store, batch: &CodeBatch) -> Result<(), Failure> {
        let (true, Some(first), Some(last)) = (self.has_identities, batch.first(), batch.last()) else {
            return self.write(batch);
        };
        if let Some(watch) = &mut self.watch {
            watch.add(batch);
        }
        let owners = context.with_retries(async || store.read_owners(first, last).await).await?;
        let rows = pair_with_owners(batch.iter(), &owners);
        if let Some(watch) = &mut self.watch {
            watch.add_identities(rows.iter().map(|(_, identity)| *identity));
        }
        self.sink.write_with_identities(&rows)
    }

    fn write(&mut self, batch: &CodeBatch) -> Result<(), Failure> {
        if let Some(watch) = &mut self.watch {
            watch.add(batch);
        }
        self.sink.write(batch)
    }
}

/// Returns the size of a job's codes as lines; an upper bound for an import, whose codes may have any length.
fn bytes_at_most(job: &Job) -> u64 {
    let length = job.mask().map_or(CODE_LENGTH_MAX, |mask| mask.code_length());
    job.minted * (length as u64 + 1)
}

fn stopped() -> String {
    "stopped before everything was written; an output file is unchanged".to_owned()
}

/// Merges the rounds: each one is ascending, but further rounds span the range of the first one. There are only a few.
async fn merge(
    context: &Context,
    store: &Store,
    rounds: &mut [Round<'_>],
    written: &mut Written,
) -> Result<(), Failure> {
    for round in rounds.iter_mut() {
        round.advance(context, store).await?;
    }
    let mut merged = String::new();
    while let Some(least) =
        rounds.iter_mut().filter(|round| round.head().is_some()).min_by(|a, b| a.head().cmp(&b.head()))
    {
        merged.extend(least.head());
        merged.push('\n');
        least.advance(context, store).await?;
        if merged.len() >= MERGED_BYTES {
            let batch = CodeBatch::from_lines(std::mem::take(&mut merged));
            written.write_with_owners(context, store, &batch).await?;
        }
    }
    written.write_with_owners(context, store, &CodeBatch::from_lines(merged)).await
}

/// The chunks of one round, read one after the other.
struct Round<'a> {
    job_id: Uuid,
    chunks: std::slice::Iter<'a, Chunk>,
    batch: CodeBatch,
    /// The byte offset of the next code in the batch.
    at: usize,
}

impl<'a> Round<'a> {
    fn new(job: &Job, chunks: &'a [Chunk]) -> Self {
        Self { job_id: job.id, chunks: chunks.iter(), batch: CodeBatch::default(), at: 0 }
    }

    async fn next_batch(&mut self, context: &Context, store: &Store) -> Result<Option<CodeBatch>, Failure> {
        context.stop.check(stopped)?;
        let Some(chunk) = self.chunks.next() else { return Ok(None) };
        let read = context.with_retries(async || store.read_recorded_codes(chunk).await).await?;
        let Err(other) = read else { return Ok(read.ok()) };
        context.require_recovered(store).await?;
        let (run_no, verify) = (chunk.planned.run_no, context.command(format_args!("verify {}", self.job_id)));
        Err(Failure::negative_result(match other {
            OtherCodes::Count(found) => format!(
                "chunk {run_no} has {} in the store, but its checkpoint records {}; run {verify} for details",
                counted(found as u128, "code"),
                chunk.minted
            ),
            OtherCodes::Digest => format!(
                "the codes of chunk {run_no} differ from those that its checkpoint records; run {verify} for details"
            ),
        }))
    }

    fn head(&self) -> Option<&str> {
        self.batch.as_lines().get(self.at..)?.lines().next()
    }

    /// Advances to the next code; initially to the first one.
    async fn advance(&mut self, context: &Context, store: &Store) -> Result<(), Failure> {
        self.at += self.head().map_or(0, |code| code.len() + 1);
        while self.head().is_none() {
            let Some(batch) = self.next_batch(context, store).await? else { return Ok(()) };
            (self.batch, self.at) = (batch, 0);
        }
        Ok(())
    }
}
