//! Writing the codes of a job, in order or shuffled, in constant memory. Every export is recorded in the audit log.

use clap::ValueEnum;
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::output::{Sink, Target};
use crate::cli::support::shuffle::Shuffle;
use crate::cli::support::terminal::print_note;
use crate::cli::support::text::counted;
use codemint_codes::batch::CodeBatch;
use codemint_codes::job::record::Job;
use codemint_store::connection::store::Store;
use codemint_store::records::audit::{Action, AuditEntry, Outcome};
use codemint_store::records::rows::Chunk;
use codemint_telemetry::failpoint;

const MERGED_BYTES: usize = 256 * 1024;

/// The order of exported codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Ascending byte order
    Code,
    /// Random order, all orders equally likely
    Random,
}

/// The codes of a job on their way to an output.
pub struct JobExport<'a> {
    pub context: &'a Context,
    pub store: &'a Store,
    pub job: &'a Job,
    pub target: &'a Target,
}

impl JobExport<'_> {
    /// Writes all codes of the job.
    ///
    /// # Errors
    /// If the store or the output fails, and on a stop request. An output file is then unchanged.
    pub async fn write(&self, sink: Sink, order: Order) -> Result<(), Failure> {
        if self.store.is_archive() {
            if !self.context.quiet {
                print_note("note: the store is read-only, so its audit log does not record this export");
            }
            return self.write_codes(sink, order).await;
        }
        self.record(Outcome::Begun).await?;
        let written = self.write_codes(sink, order).await;
        let recorded = self.record(Outcome::of(&written)).await;
        // An error of the export takes precedence over an error of the record.
        written.and(recorded)
    }

    async fn write_codes(&self, sink: Sink, order: Order) -> Result<(), Failure> {
        match order {
            Order::Code => self.write_in_order(sink).await,
            Order::Random => self.write_shuffled(sink).await,
        }
    }

    /// Records in the audit log that codes leave the store: called before the first code and after the last one.
    async fn record(&self, outcome: Outcome) -> Result<(), Failure> {
        let mut entry = AuditEntry::of_job(Action::Export, outcome, self.job);
        let to = if self.target.is_stdout() { "to standard output" } else { "to a file" };
        (entry.count, entry.detail, entry.digest) =
            (Some(self.job.minted), Some(to.to_owned()), self.job.digest.clone());
        let put = async || match self.store.put_audit(&entry).await {
            Err(error) if error.is_read_only() => Ok(Err(error)),
            recorded => recorded.map(Ok),
        };
        self.context.with_retries(put).await?.map_err(|error| {
            Failure::usage(format!(
                "{error}; an export is recorded in the audit log, so use the primary server, not a replica"
            ))
        })
    }

    async fn write_in_order(&self, mut sink: Sink) -> Result<(), Failure> {
        let (context, store) = (self.context, self.store);
        sink.show_progress(context.progress.bar(self.job.minted, 0));
        let chunks = self.done_chunks().await?;
        let mut rounds: Vec<Round> = chunks
            .chunk_by(|a, b| a.planned.round == b.planned.round)
            .map(|round| Round::new(self.job, round))
            .collect();
        if let [only] = rounds.as_mut_slice() {
            while let Some(batch) = only.next_batch(context, store).await? {
                sink.write(&batch)?;
                let reached = failpoint::reach(failpoint::EXPORT_HALF_WRITTEN).await;
                reached.map_err(Failure::other)?;
            }
        } else {
            merge(context, store, &mut rounds, &mut sink).await?;
        }
        sink.finish()
    }

    async fn write_shuffled(&self, mut sink: Sink) -> Result<(), Failure> {
        sink.show_progress(self.context.progress.bar(self.job.minted, 0));
        let chunks = self.done_chunks().await?;
        let bytes =
            chunks.iter().map(|chunk| u64::from(chunk.minted) * (chunk.planned.range_first.len() as u64 + 1)).sum();
        let mut shuffle = Shuffle::new(bytes, self.target.directory())?;
        let mut all = Round::new(self.job, &chunks);
        while let Some(batch) = all.next_batch(self.context, self.store).await? {
            shuffle.push(&batch)?;
        }
        shuffle.drain(&mut |batch| {
            self.context.stop.check(stopped)?;
            sink.write(&batch)
        })?;
        sink.finish()
    }

    /// Returns the chunks whose codes are in the store, in order.
    async fn done_chunks(&self) -> Result<Vec<Chunk>, Failure> {
        let mut chunks = self.context.with_retries(async || self.store.list_chunks(self.job.no).await).await?;
        chunks.retain(|chunk| chunk.state == "done");
        Ok(chunks)
    }
}

fn stopped() -> String {
    "stopped before everything was written; an output file is unchanged".to_owned()
}

/// Merges the rounds: each one is ascending, but further rounds span the range of the first one. There are only a few.
async fn merge(context: &Context, store: &Store, rounds: &mut [Round<'_>], sink: &mut Sink) -> Result<(), Failure> {
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
            sink.write(&CodeBatch::from_lines(std::mem::take(&mut merged)))?;
        }
    }
    sink.write(&CodeBatch::from_lines(merged))
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
        let batch = context.with_retries(async || store.read_codes(chunk).await).await?;
        if batch.len() as u64 != u64::from(chunk.minted) {
            return Err(Failure::negative_result(format!(
                "chunk {} has {} in the store, but its checkpoint records {}; run {} for details",
                chunk.planned.run_no,
                counted(batch.len() as u128, "code"),
                chunk.minted,
                context.command(format_args!("verify {}", self.job_id))
            )));
        }
        Ok(Some(batch))
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
