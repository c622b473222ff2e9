//! The engine: mints one chunk, from claim to commit. It knows store and code, but no broker, command line or job loop.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::mint::prepared::{Encoded, Prepared};
use crate::mint::times::{ChunkTimes, Stopwatch};
use codemint_codes::batch::CodeBatch;
use codemint_codes::denied::DeniedInMask;
use codemint_codes::draw::GENERATOR_VERSION;
use codemint_codes::job::record::{Job, Origin, Rejections};
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;
use codemint_codes::policy::{Policy, PolicyMarks};
use codemint_codes::random::Key;
use codemint_codes::screening::{FilterLimits, Screening};
use codemint_import::sorted::Sorted;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::connection::time_limit::in_time;
use codemint_store::minting::chunks::{Checkpoint, ClaimedChunk, OpenChunk, PutCodes};
use codemint_store::minting::closing::StartJob;
use codemint_telemetry::metrics::{chunks, jobs};

pub mod times;
mod prepared;
pub mod candidates;
mod screen;

#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the job needs generator version {found}, this program has version {GENERATOR_VERSION}; use the codemint version that created the job"
    )]
    GeneratorVersion { found: u32 },
    #[error(
        "the job needs the check key with the fingerprint {needed}, this process has {found}; set check.key_file to that key"
    )]
    CheckKey { found: String, needed: String },
    #[error(
        "the job needs the denied words with the digest {needed}, this process has {found}; set deny.file and deny.builtin to that list"
    )]
    DeniedWords { found: String, needed: String },
    #[error("the job is an import; run `codemint import` with the same input to resume it")]
    Import,
    #[error("chunk {run_no} met a duplicate code {attempts} times, but the store does not have it")]
    PhantomDuplicate { run_no: i64, attempts: u32 },
}

/// Limit of consecutive duplicates that cannot be found. One is normal (its writer rolled back), this many are a fault.
const PHANTOM_DUPLICATES_MAX: u32 = 5;

/// A quarter of the server's timeout for idle transactions.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The outcome of one attempt to mint a chunk.
#[derive(Debug)]
pub enum ChunkOutcome {
    /// This process committed the chunk. If `seemed_last`, the job may have no open chunk left.
    Minted { minted: MintedChunk, seemed_last: bool, times: ChunkTimes },
    /// No chunk can be claimed: none is open, other processes write the open ones, or the job must not continue.
    NothingToClaim,
    /// COMMIT returned an error; [`Store::is_chunk_done`] reports whether the chunk was committed.
    CommitUnknown { minted: MintedChunk, error: StoreError },
}

/// The figures of a chunk, as its checkpoint records them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MintedChunk {
    pub run_no: i64,
    pub codes: u32,
    pub rejections: Rejections,
}

/// A job that is being minted: the data that all its chunks share, and the chunk that is prepared ahead.
#[derive(Debug)]
pub struct Minting {
    task: Arc<Task>,
    /// The last batch, kept to reuse its memory.
    recycled: CodeBatch,
    /// The chunk that is drawn and screened while the previous one is written.
    ahead: Option<Ahead>,
    /// The way the last chunk was screened; logged when it changes.
    screening: Option<Screening>,
    /// True if no open chunk was found after the current one.
    seems_last: bool,
    /// The current chunk, until it is committed.
    claimed: Option<i64>,
}

/// The policy, the filter limits and the import input with which this process mints.
#[derive(Clone, Debug, Default)]
pub struct MintSettings {
    pub policy: Policy,
    pub filters: FilterLimits,
    /// The input of the import to run.
    pub import: Option<Arc<Sorted>>,
}

/// The data that all chunks of one job share.
#[derive(Debug)]
struct Task {
    store: Store,
    job_no: i64,
    /// Number of codes of the job.
    count: u64,
    source: Source,
    limits: FilterLimits,
}

impl Task {
    /// Returns true if the chunk is its job's only one, so that no other follows.
    fn is_whole(&self, chunk: &OpenChunk) -> bool {
        u64::from(chunk.quota) == self.count
    }
}

/// The source of a job's codes.
#[derive(Debug)]
enum Source {
    Mask(Keyed),
    Import(Arc<Sorted>),
}

/// The inputs that determine every draw.
#[derive(Debug)]
struct Keyed {
    mask: Mask,
    keyspace: Arc<Keyspace>,
    key: Key,
    denied: Option<Arc<DeniedInMask>>,
}

impl Source {
    async fn of_job(store: &Store, job: &Job, settings: &MintSettings) -> Result<Option<Self>, MintError> {
        if job.state.is_final() {
            return Ok(None);
        }
        let mask = match &job.origin {
            Origin::Minted { mask, .. } => mask,
            Origin::Refused { .. } => return Ok(None),
            Origin::Imported { source_digest } => {
                let same = settings.import.as_ref().filter(|sorted| sorted.counts.digest[..] == source_digest[..]);
                let sorted = same.ok_or(MintError::Import)?;
                start(store, job).await?;
                return Ok(Some(Self::Import(Arc::clone(sorted))));
            }
        };
        if job.generator_version != GENERATOR_VERSION {
            return Err(MintError::GeneratorVersion { found: job.generator_version });
        }
        check_policy(settings.policy.marks(mask), &job.policy_marks)?;
        let Some(key) = start(store, job).await? else { return Ok(None) };
        let keyspace = Arc::new(settings.policy.keyspace(mask));
        let denied = settings.policy.denied_in(mask).map(Arc::new);
        Ok(Some(Self::Mask(Keyed { mask: mask.clone(), keyspace, key, denied })))
    }
}

/// Opens the job and returns its key, unless the job has ended or has none.
async fn start(store: &Store, job: &Job) -> Result<Option<Key>, StoreError> {
    let StartJob { key, waited } = in_time(store.start_job(job.no)).await?;
    if let Some(waited) = waited {
        jobs::job_opened(waited, job.options.emits_events);
        tracing::info!(waited_seconds = waited.as_secs_f64(), "a job is opened");
    }
    Ok(key)
}

/// A chunk being prepared. Draws depend only on the chunk's row and the key, so they may begin before it is claimed.
#[derive(Debug)]
struct Ahead {
    run_no: i64,
    preparing: JoinHandle<Result<Prepared, StoreError>>,
}

impl Minting {
    /// Starts minting a job. Returns `None` if the job has ended meanwhile and its key is erased.
    ///
    /// # Errors
    /// `GeneratorVersion`, `CheckKey`, `DeniedWords`, `Import`: this process would make codes other than the job's.
    pub async fn start(store: &Store, job: &Job, settings: &MintSettings) -> Result<Option<Self>, MintError> {
        let Some(source) = Source::of_job(store, job, settings).await? else { return Ok(None) };
        let task = Task { store: store.clone(), job_no: job.no, count: job.count, source, limits: settings.filters };
        Ok(Some(Self {
            task: Arc::new(task),
            recycled: CodeBatch::default(),
            ahead: None,
            screening: None,
            seems_last: false,
            claimed: None,
        }))
    }

    /// Returns the chunk that the last call of [`Minting::mint_chunk`] claimed and could not commit.
    pub fn claimed(&self) -> Option<i64> {
        self.claimed
    }

    /// Claims a chunk, draws its codes and commits them with the checkpoint.
    ///
    /// # Errors
    /// Any error before COMMIT: the chunk stays open and may be retried.
    pub async fn mint_chunk(&mut self, store: &Store) -> Result<ChunkOutcome, MintError> {
        self.claimed = None;
        let (mut times, mut stopwatch) = (ChunkTimes::default(), Stopwatch::start());
        let claimed = in_time(store.claim_chunk(self.task.job_no)).await?;
        let Some(mut claimed) = claimed else { return Ok(ChunkOutcome::NothingToClaim) };
        self.claimed = Some(claimed.chunk.run_no);
        chunks::chunk_claimed();
        times.claim = stopwatch.lap();
        let prepared = self.prepare(&mut claimed).await?;
        times.prepare = stopwatch.lap();
        self.log_screening(prepared.screening);
        times.preparation = prepared.times;
        let Prepared { encoded, .. } = put_codes(&self.task, &mut claimed, prepared).await?;
        times.put_codes = stopwatch.lap();
        let Encoded { batch, checkpoint, .. } = encoded;
        let Checkpoint { minted: codes, rejections, .. } = checkpoint;
        let minted = MintedChunk { run_no: claimed.chunk.run_no, codes, rejections };
        self.recycled = batch;
        in_time(claimed.write_checkpoint(&checkpoint)).await?;
        times.checkpoint = stopwatch.lap();
        self.claimed = None;
        match in_time(claimed.commit()).await {
            Ok(()) => {
                times.commit = stopwatch.lap();
                store.give_way().await;
                times.give_way = stopwatch.lap();
                Ok(ChunkOutcome::Minted { minted, seemed_last: self.seems_last, times })
            }
            Err(error) => {
                tracing::warn!(run_no = minted.run_no, %error, "commit returned an error; asking the store whether the chunk is done");
                Ok(ChunkOutcome::CommitUnknown { minted, error })
            }
        }
    }

    /// Returns the codes of the claimed chunk, and starts to prepare the next one. If other workers took the chunk that
    /// was prepared ahead, they would take the next one too: then none is prepared ahead this time.
    async fn prepare(&mut self, claimed: &mut ClaimedChunk) -> Result<Prepared, StoreError> {
        let (preparing, guess_was_wrong) = match self.ahead.take() {
            Some(ahead) if ahead.run_no == claimed.chunk.run_no => (ahead.preparing, false),
            other => (self.start_preparing(claimed.chunk.clone()), other.is_some()),
        };
        self.seems_last = false;
        if !guess_was_wrong {
            let next = match self.task.is_whole(&claimed.chunk) {
                true => None,
                false => in_time(claimed.find_next_open()).await?,
            };
            self.seems_last = next.is_none();
            self.ahead = next.map(|next| Ahead { run_no: next.run_no, preparing: self.start_preparing(next) });
        }
        while_claimed(claimed, finished(preparing)).await?
    }

    fn start_preparing(&mut self, chunk: OpenChunk) -> JoinHandle<Result<Prepared, StoreError>> {
        let recycled = std::mem::take(&mut self.recycled);
        tokio::spawn(Prepared::new(Arc::clone(&self.task), chunk, recycled))
    }

    fn log_screening(&mut self, screening: Screening) {
        if self.screening.replace(screening) != Some(screening) {
            let reason = screening.reason();
            tracing::debug!(screening = screening.as_str(), reason, "chose how to screen candidates");
        }
    }
}

/// Checks that this process has the policy that the job began with: all codes of a job are made under one policy.
fn check_policy(ours: PolicyMarks, of_job: &PolicyMarks) -> Result<(), MintError> {
    if ours.check_fingerprint != of_job.check_fingerprint {
        let shown = |fingerprint: &Option<String>| fingerprint.clone().unwrap_or_else(|| "none".to_owned());
        let (found, needed) = (shown(&ours.check_fingerprint), shown(&of_job.check_fingerprint));
        return Err(MintError::CheckKey { found, needed });
    }
    if ours.deny_digest != of_job.deny_digest {
        let shown = |digest: &Option<Vec<u8>>| digest.as_deref().map_or("none".to_owned(), short_digest);
        let (found, needed) = (shown(&ours.deny_digest), shown(&of_job.deny_digest));
        return Err(MintError::DeniedWords { found, needed });
    }
    Ok(())
}

/// Returns the first 8 bytes of a digest in hexadecimal: enough to tell lists apart.
fn short_digest(digest: &[u8]) -> String {
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Writes the codes. As long as some of them turn out to exist already, looks these up exactly and draws others. Each
/// iteration uses up at least one rank of the slice, so the loop ends.
async fn put_codes(task: &Task, claimed: &mut ClaimedChunk, mut prepared: Prepared) -> Result<Prepared, MintError> {
    let mut phantoms = 0;
    while in_time(claimed.put_codes(&prepared.encoded.codes)).await? == PutCodes::DuplicateMet {
        let run_no = claimed.chunk.run_no;
        let (replaced, conflicts) = while_claimed(claimed, Box::pin(prepared.replace_conflicting(task))).await??;
        chunks::chunk_conflicted();
        tracing::debug!(run_no, conflicts, "another process has just stored some of these codes; others were drawn");
        phantoms = if conflicts == 0 { phantoms + 1 } else { 0 };
        if phantoms == PHANTOM_DUPLICATES_MAX {
            return Err(MintError::PhantomDuplicate { run_no, attempts: phantoms });
        }
        prepared = replaced;
    }
    Ok(prepared)
}

/// Waits for work on a claimed chunk without a time limit: a crowded slice of many millions of ranks takes minutes.
async fn while_claimed<T>(claimed: &mut ClaimedChunk, work: impl Future<Output = T>) -> Result<T, StoreError> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            () = tokio::time::sleep(KEEP_ALIVE_INTERVAL) => in_time(claimed.keep_alive()).await?,
        }
    }
}

/// Waits for a spawned task. Drawing a chunk takes milliseconds, too long for a thread that serves connections.
async fn finished<T>(work: JoinHandle<T>) -> T {
    match work.await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
