//! `codemint export`: writes the codes of a job, in order or shuffled, in constant memory.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::output::{Format, Sink, Target};
use crate::cli::support::shuffle::Shuffle;
use codemint_codes::batch::CodeBatch;
use codemint_codes::job::record::Job;
use codemint_store::connection::store::{Access, Store};
use codemint_store::records::audit::{Action, AuditEntry, Outcome};
use codemint_store::records::rows::Chunk;
use codemint_telemetry::failpoint;

/// Write the codes of a job to a file or to standard output
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint export 01890a5d-ac96-774b-bcce-b302099a8057 --output codes.csv
  codemint export 01890a5d-ac96-774b-bcce-b302099a8057 --order random --format txt | head

Use random order to hand out codes line by line: in a sorted list, each code hints at its neighbours.")]
pub struct Export {
    /// Job id from `codemint jobs list`
    #[arg(value_parser = find::job_id)]
    job: Uuid,
    /// Output file, replaced atomically; - for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: String,
    /// Format of the codes [default: by the file name extension, else csv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Order of the codes
    #[arg(long, value_enum, default_value_t = Order::Code)]
    order: Order,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Order {
    /// Ascending byte order
    Code,
    /// Random order, all orders equally likely
    Random,
}

impl Export {
    pub async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let target = Target::from(self.output.as_str());
        target.check_writable(&context.config.store)?;
        let store = context.open_store(Access::Existing).await?;
        let job = find::job(context, &store, self.job).await?;
        if !job.state.is_final() {
            find::require_completed(context, &job)?;
        }
        let sink = target.open(self.format)?;
        match self.order {
            Order::Code => write_in_order(context, &store, &job, sink, &target).await?,
            Order::Random => {
                tell(context, &store, &job, &target, Outcome::Begun).await?;
                let written = write_shuffled(context, &store, &job, sink, &target).await;
                tell_after(context, &store, &job, &target, written).await?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Records in the audit log that codes leave the store: called before the first code and after the last one.
async fn tell(context: &Context, store: &Store, job: &Job, target: &Target, outcome: Outcome) -> Result<(), Failure> {
    let mut entry = AuditEntry::of_job(Action::Export, outcome, job);
    let to = if target.is_stdout() { "to standard output" } else { "to a file" };
    (entry.count, entry.detail, entry.digest) = (Some(job.minted), Some(to.to_owned()), job.digest.clone());
    let put = async || match store.put_audit(&entry).await {
        Err(error) if error.is_read_only() => Ok(Err(error)),
        told => told.map(Ok),
    };
    context.patiently(put).await?.map_err(|error| {
        Failure::usage(format!(
            "{error}; an export is recorded in the audit log, so use the primary server, not a replica"
        ))
    })
}

/// Records the outcome of an export; an error of the export takes precedence over an error of the record.
async fn tell_after(
    context: &Context,
    store: &Store,
    job: &Job,
    target: &Target,
    written: Result<(), Failure>,
) -> Result<(), Failure> {
    let told = tell(context, store, job, target, Outcome::of(&written)).await;
    written.and(told)
}

/// Writes all codes of a job in ascending order.
///
/// # Errors
/// If the store or the output fails, and on a stop request. An output file is then unchanged.
pub async fn write_in_order(
    context: &Context,
    store: &Store,
    job: &Job,
    sink: Sink,
    target: &Target,
) -> Result<(), Failure> {
    tell(context, store, job, target, Outcome::Begun).await?;
    let written = write_rounds(context, store, job, sink).await;
    tell_after(context, store, job, target, written).await
}

async fn write_rounds(context: &Context, store: &Store, job: &Job, mut sink: Sink) -> Result<(), Failure> {
    sink.show_progress(context.progress.bar(job.minted, 0));
    let chunks = done_chunks(context, store, job).await?;
    let mut rounds: Vec<Round> =
        chunks.chunk_by(|a, b| a.round == b.round).map(|round| Round::new(job, round)).collect();
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

const MERGED_BYTES: usize = 256 * 1024;

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
        context.stop.check(|| "stopped before everything was written; an output file is unchanged".to_owned())?;
        let Some(chunk) = self.chunks.next() else { return Ok(None) };
        let batch = context.patiently(async || store.read_codes(chunk).await).await?;
        if batch.len() as u64 != u64::from(chunk.minted) {
            return Err(Failure::answer_is_no(format!(
                "chunk {} has {} codes in the store, but its checkpoint records {}; run {} for details",
                chunk.run_no,
                batch.len(),
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

async fn write_shuffled(
    context: &Context,
    store: &Store,
    job: &Job,
    mut sink: Sink,
    target: &Target,
) -> Result<(), Failure> {
    sink.show_progress(context.progress.bar(job.minted, 0));
    let chunks = done_chunks(context, store, job).await?;
    let bytes = chunks.iter().map(|chunk| u64::from(chunk.minted) * (chunk.range_first.len() as u64 + 1)).sum();
    let mut shuffle = Shuffle::new(bytes, target.directory())?;
    let mut all = Round::new(job, &chunks);
    while let Some(batch) = all.next_batch(context, store).await? {
        shuffle.push(&batch)?;
    }
    shuffle.drain(&mut |batch| {
        context.stop.check(|| "stopped before everything was written; an output file is unchanged".to_owned())?;
        sink.write(&batch)
    })?;
    sink.finish()
}

/// Returns the chunks of a job whose codes are in the store, in order.
async fn done_chunks(context: &Context, store: &Store, job: &Job) -> Result<Vec<Chunk>, Failure> {
    let mut chunks = context.patiently(async || store.list_chunks(job.no).await).await?;
    chunks.retain(|chunk| chunk.state == "done");
    Ok(chunks)
}
