//! The work of this process on one job, step by step: the loop is elsewhere.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tracing::{Instrument, Span};

use crate::mint::engine::{ChunkOutcome, MintedChunk, Minting};
use crate::mint::error::MintError;
use crate::mint::task::{MintSettings, SharedMask};
use crate::mint::times::ChunkTimes;
use codemint_codes::job::record::{Job, Rejections};
use codemint_codes::job::state::State;
use codemint_store::connection::error::{ErrorClass, StoreError};
use codemint_store::connection::store::Store;
use codemint_store::minting::closing::CloseJob;
use codemint_store::minting::lifecycle::log_end;
use codemint_telemetry::metrics::chunks;
use codemint_telemetry::traces;

/// Minimum interval between two progress events of a job.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Interval between two checks of a job whose open chunks are all being written by other processes.
pub(crate) const OTHERS_AT_WORK_PAUSE: Duration = Duration::from_millis(200);

/// The number of errors without a cause in a row after which a job's work counts as failed.
const UNCLEAR_ERRORS_MAX: u32 = 10;

/// A job that this process works on.
#[derive(Debug)]
pub struct JobExecution {
    store: Store,
    pub job: Job,
    settings: Arc<MintSettings>,
    mask: SharedMask,
    /// Limits how many chunks this process mints at once; opening and closing jobs is not limited.
    chunks: Option<Arc<Semaphore>>,
    minting: Option<Minting>,
    unknown: Option<UnknownCommit>,
    /// The number of errors without a cause since the last success.
    unclear_errors: u32,
    progress_stored_at: Option<Instant>,
    pub share: Share,
    /// Adds the job's id to log lines and traces.
    span: Span,
    /// The times of the chunk that the last step minted.
    pub times: Option<ChunkTimes>,
}

/// The work that this process has done, for one job or in total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    pub chunks: u64,
    pub codes: u64,
}

impl Share {
    pub const fn add(&mut self, more: Self) {
        self.chunks += more.chunks;
        self.codes += more.codes;
    }
}

/// A chunk that may or may not have been committed.
#[derive(Debug)]
struct UnknownCommit {
    minted: MintedChunk,
    /// The error that COMMIT returned.
    error: StoreError,
}

/// The outcome of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepOutcome {
    Advanced,
    /// Other processes are writing the open chunks.
    OthersAtWork,
    Ended,
}

impl JobExecution {
    /// Prepares to work on a job. `span` is that of [`job_span`]: all executions of a job in a process share one.
    pub fn new(store: &Store, job: &Job, settings: Arc<MintSettings>, span: Span) -> Self {
        let (store, job, share) = (store.clone(), job.clone(), Share::default());
        Self {
            store,
            job,
            settings,
            mask: SharedMask::default(),
            chunks: None,
            minting: None,
            unknown: None,
            unclear_errors: 0,
            progress_stored_at: None,
            share,
            span,
            times: None,
        }
    }

    /// Limits the minting: each chunk needs a permit of this semaphore.
    pub fn limited(self, chunks: Arc<Semaphore>) -> Self {
        Self { chunks: Some(chunks), ..self }
    }

    /// Shares the mask with other executions of the job.
    pub fn sharing(self, mask: SharedMask) -> Self {
        Self { mask, ..self }
    }

    /// Returns the chunk that the last step had claimed, if that step failed.
    pub fn claimed(&self) -> Option<i64> {
        self.minting.as_ref().and_then(Minting::claimed)
    }

    /// Performs one step: resolves an unknown commit, or mints a chunk and tries to close the job after the last one.
    ///
    /// # Errors
    /// Errors of the store, and permanent errors. The next step continues where this one failed.
    pub async fn step(&mut self) -> Result<StepOutcome, MintError> {
        let span = self.span.clone();
        // Inside both spans: if debug spans are off, the span of the step is disabled and leads to no job.
        let step = tracing::debug_span!(parent: &span, "step");
        let result = self.step_in_span().instrument(step).instrument(span).await;
        self.bound_unclear_errors(result)
    }

    /// Lets errors without a cause be retried [`UNCLEAR_ERRORS_MAX`] times in a row: a node that is gone or a duplicate is
    /// clear by then, and what fails even so would fail forever.
    fn bound_unclear_errors(&mut self, result: Result<StepOutcome, MintError>) -> Result<StepOutcome, MintError> {
        match result {
            Err(MintError::Store(source)) if source.class() == ErrorClass::Unclear => {
                self.unclear_errors += 1;
                match self.unclear_errors {
                    attempts if attempts > UNCLEAR_ERRORS_MAX => Err(MintError::Unclear { attempts, source }),
                    _ => Err(source.into()),
                }
            }
            Ok(outcome) => {
                self.unclear_errors = 0;
                Ok(outcome)
            }
            Err(error) => Err(error),
        }
    }

    async fn step_in_span(&mut self) -> Result<StepOutcome, MintError> {
        if self.unknown.is_some() {
            return self.resolve_commit().await;
        }
        if self.minting.is_none() && !self.start().await? {
            return Ok(StepOutcome::Ended);
        }
        let Some(minting) = &mut self.minting else { return Ok(StepOutcome::Ended) };
        let turn = acquire(self.chunks.as_deref()).await;
        let busy = chunks::WriterBusy::begin();
        let minted = minting.mint_chunk(&self.store).await;
        drop((busy, turn));
        match minted? {
            ChunkOutcome::Minted { minted, seemed_last, times } => {
                self.report_chunk(&minted, times);
                self.store_progress_event().await?;
                match seemed_last && self.close().await? == StepOutcome::Ended {
                    true => Ok(StepOutcome::Ended),
                    false => Ok(StepOutcome::Advanced),
                }
            }
            ChunkOutcome::CommitUnknown { minted, error } => {
                self.unknown = Some(UnknownCommit { minted, error });
                self.resolve_commit().await
            }
            ChunkOutcome::NothingToClaim => self.close().await,
        }
    }

    /// Starts minting. Returns false if the job has ended.
    async fn start(&mut self) -> Result<bool, MintError> {
        self.minting = Minting::start(&self.store, &self.job, &self.settings, &self.mask).await?;
        self.keep_trace().await?;
        Ok(self.minting.is_some())
    }

    /// Stores this process's trace for a job that came without one, so that later workers continue it.
    async fn keep_trace(&self) -> Result<(), StoreError> {
        if self.job.options.traceparent.is_none()
            && let Some(traceparent) = traces::traceparent_of(&self.span)
        {
            self.store.keep_trace(self.job.no, &traceparent).await?;
        }
        Ok(())
    }

    async fn close(&self) -> Result<StepOutcome, MintError> {
        Ok(match self.store.close_job(self.job.no).await? {
            CloseJob::Ended(end) => {
                log_end(end);
                StepOutcome::Ended
            }
            CloseJob::NextRound => StepOutcome::Advanced,
            CloseJob::ChunksOpen => StepOutcome::OthersAtWork,
        })
    }

    /// Asks the store about an unknown commit. If the chunk is not done, that is an error like any other.
    async fn resolve_commit(&mut self) -> Result<StepOutcome, MintError> {
        let Some(UnknownCommit { minted: MintedChunk { run_no, .. }, .. }) = self.unknown else {
            return Ok(StepOutcome::Advanced);
        };
        let done = self.store.is_chunk_done(run_no).await?;
        chunks::ambiguous_commit_settled(done);
        tracing::info!(run_no, done, "resolved an unknown commit");
        match self.unknown.take() {
            Some(unknown) if !done => {
                chunks::chunk_retried(unknown.error.class().into_str());
                Err(unknown.error.into())
            }
            Some(unknown) => {
                self.count_chunk(&unknown.minted);
                Ok(StepOutcome::Advanced)
            }
            None => Ok(StepOutcome::Advanced),
        }
    }

    /// Logs a chunk, and counts it and its times.
    fn report_chunk(&mut self, minted: &MintedChunk, times: ChunkTimes) {
        let (rejected, seconds) = (minted.rejections.total(), times.total().as_secs_f64());
        tracing::debug!(run_no = minted.run_no, codes = minted.codes, rejected, seconds, "minted a chunk");
        self.count_chunk(minted);
        chunks::chunk_timed(times.phases().into_iter().chain(times.preparation.phases()));
        self.times = Some(times);
    }

    fn count_chunk(&mut self, minted: &MintedChunk) {
        let Rejections { existing, conflicts, reserved, denied, false_positives } = minted.rejections;
        let rejected = [("existing", existing), ("conflict", conflicts), ("reserved", reserved), ("denied", denied)];
        chunks::chunk_minted(minted.codes, rejected, false_positives);
        self.share.chunks += 1;
        self.share.codes += u64::from(minted.codes);
    }

    /// Writes a progress event, at most once a second for each job; other processes may have written one already. A job
    /// of one chunk needs none: its end is event enough.
    async fn store_progress_event(&mut self) -> Result<(), StoreError> {
        let is_due =
            self.progress_stored_at.is_none_or(|progress_stored_at| progress_stored_at.elapsed() >= PROGRESS_INTERVAL);
        if self.job.options.emits_events && self.job.count > u64::from(self.job.chunk_size) && is_due {
            self.progress_stored_at = Some(Instant::now());
            self.store.announce_progress(self.job.no).await?;
        }
        Ok(())
    }
}

/// Returns the span of a process's work on a job. It is enabled at every log level, so that errors name their job too.
pub fn job_span(job: &Job) -> Span {
    let span = tracing::error_span!("job", job_id = %job.id);
    let is_resumed = job.state != State::Queued;
    traces::continue_trace(&span, job.options.traceparent.as_deref(), is_resumed);
    span
}

/// Waits for a permit, if there is a limit. The semaphore is never closed.
async fn acquire(chunks: Option<&Semaphore>) -> Option<SemaphorePermit<'_>> {
    chunks?.acquire().await.ok()
}
