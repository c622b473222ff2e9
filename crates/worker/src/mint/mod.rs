//! The engine: one chunk from claim to commit. It knows store and code; no broker, no command line, no loop over jobs.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::mint::prepared::{Encoded, Prepared};
use crate::mint::times::{ChunkTimes, Stopwatch};
use codemint_codes::batch::CodeBatch;
use codemint_codes::denied::DeniedInMask;
use codemint_codes::job::{Job, Origin, Rejections};
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;
use codemint_codes::policy::{Policy, PolicyMarks};
use codemint_codes::random::Key;
use codemint_codes::screening::{FilterLimits, Screening};
use codemint_codes::slice::GENERATOR_VERSION;
use codemint_import::sorted::Sorted;
use codemint_store::chunks::{Checkpoint, ClaimedChunk, OpenChunk, PutCodes};
use codemint_store::closing::StartJob;
use codemint_store::error::StoreError;
use codemint_store::{Store, in_time};
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
        "the job was made for generator version {found}, this program draws version {GENERATOR_VERSION}; use the codemint that made it"
    )]
    GeneratorVersion { found: u32 },
    #[error(
        "the job was begun under the check key with the fingerprint {needed}, this process has {found}; set check.key_file to that key"
    )]
    CheckKey { found: String, needed: String },
    #[error(
        "the job was begun under the denied words with the digest {needed}, this process has {found}; set deny.file and deny.builtin to that list"
    )]
    DeniedWords { found: String, needed: String },
    #[error("the job is an import; `codemint import` with the same input goes on with it")]
    Import,
    #[error("chunk {run_no} met a duplicate {attempts} times without finding it in the store")]
    PhantomDuplicate { run_no: i64, attempts: u32 },
}

/// A duplicate that cannot be found was rolled back by its writer in between; so often in a row it is something else.
const PHANTOM_DUPLICATES_MAX: u32 = 5;

/// A quarter of the server's patience with an idle transaction.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// What one attempt to mint a chunk came to.
#[derive(Debug)]
pub enum Step {
    /// The chunk is committed, by us. If it seemed the last one, the job may be at its end.
    Minted { minted: MintedChunk, seemed_last: bool, times: ChunkTimes },
    /// No chunk can be claimed: none is open, others write those that are, or the job is not to go on.
    NothingToClaim,
    /// COMMIT ended in an error; [`Store::is_chunk_done`] tells what became of the chunk.
    CommitUnknown { minted: MintedChunk, error: StoreError },
}

/// What a chunk's checkpoint says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MintedChunk {
    pub run_no: i64,
    pub codes: u32,
    pub rejections: Rejections,
}

/// A job that is being minted: what every chunk of it needs, and the chunk that is prepared ahead.
#[derive(Debug)]
pub struct Minting {
    task: Arc<Task>,
    /// The last batch, for its memory.
    recycled: CodeBatch,
    /// The chunk that is drawn and screened while the one before it is written.
    ahead: Option<Ahead>,
    /// How the last chunk was screened: said when it changes.
    screening: Option<Screening>,
    /// No open chunk was seen behind the one at hand.
    seems_last: bool,
    /// The chunk at hand, until it is committed.
    claimed: Option<i64>,
}

/// What this process mints under, and from.
#[derive(Clone, Debug, Default)]
pub struct MintSettings {
    pub policy: Policy,
    pub filters: FilterLimits,
    /// The input of the import that is to be done.
    pub import: Option<Arc<Sorted>>,
}

/// What the chunks of one job have in common.
#[derive(Debug)]
struct Task {
    store: Store,
    job_no: i64,
    /// Codes of the job.
    count: u64,
    source: Source,
    limits: FilterLimits,
}

impl Task {
    /// Of a chunk that is all of its job nothing is behind it.
    fn is_whole(&self, chunk: &OpenChunk) -> bool {
        u64::from(chunk.quota) == self.count
    }
}

/// Where the codes of a job come from.
#[derive(Debug)]
enum Source {
    Mask(Keyed),
    Import(Arc<Sorted>),
}

/// What draws follow from.
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

/// The key, unless the job has ended or has none.
async fn start(store: &Store, job: &Job) -> Result<Option<Key>, StoreError> {
    let StartJob { key, waited } = in_time(store.start_job(job.no)).await?;
    if let Some(waited) = waited {
        jobs::job_opened(waited, job.handling.announced);
        tracing::info!(waited_seconds = waited.as_secs_f64(), "a job is opened");
    }
    Ok(key)
}

/// Draws are a function of the chunk's row and the key, so they may begin before the chunk is claimed.
#[derive(Debug)]
struct Ahead {
    run_no: i64,
    preparing: JoinHandle<Result<Prepared, StoreError>>,
}

impl Minting {
    /// `None` if the job has ended meanwhile and its key is erased.
    ///
    /// # Errors
    /// If the job's codes would be others than it began with, and those of the store.
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

    /// The chunk that the last call of [`Minting::mint_chunk`] could not commit.
    pub fn claimed(&self) -> Option<i64> {
        self.claimed
    }

    /// Claims a chunk, draws its codes and commits them with the checkpoint.
    ///
    /// # Errors
    /// Those of the store before COMMIT: the chunk stays open and may be tried again.
    pub async fn mint_chunk(&mut self, store: &Store) -> Result<Step, MintError> {
        self.claimed = None;
        let (mut times, mut stopwatch) = (ChunkTimes::default(), Stopwatch::start());
        let claimed = in_time(store.claim_chunk(self.task.job_no)).await?;
        let Some(mut claimed) = claimed else { return Ok(Step::NothingToClaim) };
        self.claimed = Some(claimed.chunk.run_no);
        chunks::chunk_claimed();
        times.claim = stopwatch.lap();
        let prepared = self.prepare(&mut claimed).await?;
        times.prepare = stopwatch.lap();
        self.say_screening(prepared.screening);
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
                Ok(Step::Minted { minted, seemed_last: self.seems_last, times })
            }
            Err(error) => {
                tracing::warn!(run_no = minted.run_no, %error, "commit ended in an error; asking the store what became of the chunk");
                Ok(Step::CommitUnknown { minted, error })
            }
        }
    }

    /// The codes of the claimed chunk; those of the chunk behind it are then being prepared. Where others took the chunk
    /// that was prepared ahead, they would take the next one too: then none is prepared ahead once.
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

    fn say_screening(&mut self, screening: Screening) {
        if self.screening.replace(screening) != Some(screening) {
            let reason = screening.reason();
            tracing::debug!(screening = screening.as_str(), reason, "how candidates are compared with what exists");
        }
    }
}

/// A job's codes are all made under the policy that it began with.
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

/// Enough of a digest to tell lists apart.
fn short_digest(digest: &[u8]) -> String {
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Puts the codes in; as long as it meets codes that exist already, these are looked up exactly and others drawn. Each time
/// round at least one rank of the slice is done with, so it ends.
async fn put_codes(task: &Task, claimed: &mut ClaimedChunk, mut prepared: Prepared) -> Result<Prepared, MintError> {
    let mut phantoms = 0;
    while in_time(claimed.put_codes(&prepared.encoded.codes)).await? == PutCodes::DuplicateMet {
        let run_no = claimed.chunk.run_no;
        let (replaced, conflicts) = while_claimed(claimed, Box::pin(prepared.replace_conflicting(task))).await??;
        chunks::chunk_conflicted();
        tracing::debug!(run_no, conflicts, "somebody else has just put codes in; others were drawn");
        phantoms = if conflicts == 0 { phantoms + 1 } else { 0 };
        if phantoms == PHANTOM_DUPLICATES_MAX {
            return Err(MintError::PhantomDuplicate { run_no, attempts: phantoms });
        }
        prepared = replaced;
    }
    Ok(prepared)
}

/// Waits for work on a claimed chunk, however long it takes: a crowded slice of many millions of ranks takes minutes.
async fn while_claimed<T>(claimed: &mut ClaimedChunk, work: impl Future<Output = T>) -> Result<T, StoreError> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            () = tokio::time::sleep(KEEP_ALIVE_INTERVAL) => in_time(claimed.keep_alive()).await?,
        }
    }
}

/// Drawing a chunk takes milliseconds, too long for a thread that serves connections.
async fn finished<T>(work: JoinHandle<T>) -> T {
    match work.await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
