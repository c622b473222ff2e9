//! The engine: mints the chunks of a job, each from claim to commit, and prepares one chunk ahead.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::mint::error::MintError;
use crate::mint::prepared::{Encoded, Prepared};
use crate::mint::task::{MintSettings, SharedMask, Task};
use crate::mint::times::{ChunkTimes, Stopwatch};
use codemint_codes::batch::CodeBatch;
use codemint_codes::job::record::{Job, Rejections};
use codemint_codes::screening::Screening;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::minting::chunks::{ClaimedChunk, OpenChunk, PutCodes};
use codemint_telemetry::metrics::chunks;

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

/// A chunk being prepared. Draws depend only on the chunk's row and the key, so they may begin before it is claimed.
#[derive(Debug)]
struct Ahead {
    run_no: i64,
    preparing: JoinHandle<Result<Prepared, StoreError>>,
}

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

/// Limit of consecutive duplicates that cannot be found. One is normal (its writer rolled back), this many are a fault.
const PHANTOM_DUPLICATES_MAX: u32 = 5;

/// A quarter of the server's timeout for idle transactions.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

impl Minting {
    /// Starts minting a job; `mask` is shared by all executions of the job in this process. Returns `None` if the job
    /// has ended meanwhile and its key is erased.
    ///
    /// # Errors
    /// `GeneratorVersion`, `CheckKey`, `DeniedWords`, `Import`: this process would make codes other than the job's.
    pub async fn start(
        store: &Store,
        job: &Job,
        settings: &MintSettings,
        mask: &SharedMask,
    ) -> Result<Option<Self>, MintError> {
        let task = Task::of_job(store, job, settings, mask).await?;
        Ok(task.map(|task| Self {
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
        let claimed = store.claim_chunk(self.task.job_no).await?;
        let Some(mut claimed) = claimed else { return Ok(ChunkOutcome::NothingToClaim) };
        let run_no = claimed.chunk.run_no;
        self.claimed = Some(run_no);
        chunks::chunk_claimed();
        times.claim = stopwatch.lap();

        let prepared = self.prepare(&mut claimed).await?;
        times.prepare = stopwatch.lap();
        times.preparation = prepared.times;
        self.log_screening(prepared.screening);

        let Prepared { owners, encoded, .. } = put_codes(&self.task, &mut claimed, prepared).await?;
        let Encoded { batch, checkpoint, .. } = encoded;
        if let Some(owners) = owners {
            claimed.put_owners(&batch, &owners).await?;
        }
        times.put_codes = stopwatch.lap();
        self.recycled = batch;

        claimed.write_checkpoint(&checkpoint).await?;
        times.checkpoint = stopwatch.lap();
        self.claimed = None;

        let minted = MintedChunk { run_no, codes: checkpoint.minted, rejections: checkpoint.rejections };
        if let Err(error) = claimed.commit().await {
            tracing::warn!(run_no, %error, "commit returned an error; asking the store whether the chunk is done");
            return Ok(ChunkOutcome::CommitUnknown { minted, error });
        }
        times.commit = stopwatch.lap();
        store.yield_writer().await;
        times.yield_writer = stopwatch.lap();
        Ok(ChunkOutcome::Minted { minted, seemed_last: self.seems_last, times })
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
                false => claimed.find_next_open().await?,
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
            tracing::debug!(screening = screening.into_str(), reason, "chose how to screen candidates");
        }
    }
}

/// Writes the codes. As long as some of them turn out to exist already, looks these up exactly and draws others. Each
/// iteration uses up at least one rank of the slice, so the loop ends.
async fn put_codes(task: &Task, claimed: &mut ClaimedChunk, mut prepared: Prepared) -> Result<Prepared, MintError> {
    let mut phantoms = 0;
    loop {
        let unclear = match claimed.put_codes(&prepared.encoded.codes).await? {
            PutCodes::Stored => return Ok(prepared),
            PutCodes::DuplicateMet => None,
            PutCodes::Unclear(error) => Some(error),
        };
        let run_no = claimed.chunk.run_no;
        let (replaced, conflicts) = while_claimed(claimed, Box::pin(prepared.replace_conflicting(task))).await??;
        if let Some(error) = unclear.filter(|_| conflicts == 0) {
            return Err(error.into());
        }
        chunks::chunk_conflicted();
        tracing::debug!(run_no, conflicts, "another process has just stored some of these codes; others were drawn");
        phantoms = if conflicts == 0 { phantoms + 1 } else { 0 };
        if phantoms == PHANTOM_DUPLICATES_MAX {
            return Err(MintError::PhantomDuplicate { run_no, attempts: phantoms });
        }
        prepared = replaced;
    }
}

/// Waits for work on a claimed chunk without a time limit: a crowded slice of many millions of ranks takes minutes.
async fn while_claimed<T>(claimed: &mut ClaimedChunk, work: impl Future<Output = T>) -> Result<T, StoreError> {
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            () = tokio::time::sleep(KEEP_ALIVE_INTERVAL) => claimed.keep_alive().await?,
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
