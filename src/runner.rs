//! Runs a job to its end: chunk after chunk, with retries, until it is closed or asked to stop.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use crate::job::Job;
use crate::mint::{MintError, MintSettings, Minting, Step};
use crate::store::closing::CloseJob;
use crate::store::error::{ErrorClass, StoreError};
use crate::store::{Store, in_time};

/// How long a stop waits for the chunk at hand, which a healthy store finishes in far less.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Between two looks at a job whose open chunks are all being written by others.
const OTHERS_AT_WORK_PAUSE: Duration = Duration::from_millis(200);

/// How working on a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The job has reached a final state, through us or others.
    Ended,
    /// We were asked to stop between two chunks; the job goes on when somebody resumes it.
    Stopped,
}

/// What this process has done for a job.
#[derive(Clone, Copy, Debug, Default)]
pub struct Share {
    pub chunks: u64,
    pub codes: u64,
}

/// Mints until the job has ended or `stop` is cancelled, which is looked at between chunks and in waits; only a store
/// that does not answer for [`STOP_GRACE`] is left in the middle of a statement. A store that is away, busy or full is waited for without limit.
///
/// # Errors
/// What trying again would not mend. The job stays as it is and can be resumed.
pub async fn run_job(
    store: &Store,
    job: &Job,
    settings: &MintSettings,
    stop: &CancellationToken,
) -> Result<(RunEnd, Share), MintError> {
    let mut run = Run { store, job, settings, minting: None, unknown: None, share: Share::default() };
    let mut patience = Patience::new(stop);
    tracing::info!(job_id = %job.id, count = job.count, "working on the job");
    while !stop.is_cancelled() {
        match step_or_stop(&mut run, stop).await {
            Ok(Progress::Ended) => {
                let Share { chunks, codes } = run.share;
                tracing::info!(job_id = %job.id, chunks, codes, "the job has ended");
                return Ok((RunEnd::Ended, run.share));
            }
            Ok(Progress::Made) => patience.restore(),
            Ok(Progress::OthersAtWork) => patience.wait(OTHERS_AT_WORK_PAUSE).await,
            Err(MintError::Store(error)) if patience.endures(&error) => patience.wait_after(&error).await,
            Err(error) => return Err(error),
        }
    }
    Ok((RunEnd::Stopped, run.share))
}

/// A step is cut off only where a stop has waited in vain; the chunk at hand then stays open, or is done.
async fn step_or_stop(run: &mut Run<'_>, stop: &CancellationToken) -> Result<Progress, MintError> {
    let out_of_patience = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    tokio::select! {
        progress = run.step() => progress,
        () = out_of_patience => Err(StoreError::Silent { seconds: STOP_GRACE.as_secs() }.into()),
    }
}

struct Run<'a> {
    store: &'a Store,
    job: &'a Job,
    settings: &'a MintSettings,
    minting: Option<Minting>,
    unknown: Option<UnknownCommit>,
    share: Share,
}

/// A chunk of which we do not know whether it was committed.
struct UnknownCommit {
    run_no: i64,
    codes: u32,
    /// What COMMIT ended in.
    error: StoreError,
}

enum Progress {
    Made,
    OthersAtWork,
    Ended,
}

impl Run<'_> {
    /// One step: settle an unknown commit, start, mint a chunk, or try to close the job.
    async fn step(&mut self) -> Result<Progress, MintError> {
        if self.unknown.is_some() {
            return self.settle_commit().await;
        }
        let Some(minting) = &mut self.minting else {
            self.minting = Minting::start(self.store, self.job, self.settings).await?;
            if self.minting.is_none() {
                return Ok(Progress::Ended);
            }
            in_time(self.store.mark_job_running(self.job.no)).await?;
            return Ok(Progress::Made);
        };
        match minting.mint_chunk(self.store).await? {
            Step::Minted { run_no, codes } => {
                tracing::debug!(run_no, codes, "minted a chunk");
                self.count_chunk(codes);
                Ok(Progress::Made)
            }
            Step::CommitUnknown { run_no, codes, error } => {
                self.unknown = Some(UnknownCommit { run_no, codes, error });
                self.settle_commit().await
            }
            Step::NothingToClaim => match in_time(self.store.close_job(self.job.no)).await? {
                CloseJob::Ended => Ok(Progress::Ended),
                CloseJob::NextRound => Ok(Progress::Made),
                CloseJob::ChunksOpen => Ok(Progress::OthersAtWork),
            },
        }
    }

    /// Asks what became of an unknown commit. One that was not done is an error like any other.
    async fn settle_commit(&mut self) -> Result<Progress, MintError> {
        let Some(UnknownCommit { run_no, .. }) = self.unknown else { return Ok(Progress::Made) };
        let done = in_time(self.store.is_chunk_done(run_no)).await?;
        tracing::info!(run_no, done, "the unknown commit is settled");
        match self.unknown.take() {
            Some(unknown) if !done => Err(unknown.error.into()),
            Some(unknown) => {
                self.count_chunk(unknown.codes);
                Ok(Progress::Made)
            }
            None => Ok(Progress::Made),
        }
    }

    fn count_chunk(&mut self, codes: u32) {
        self.share.chunks += 1;
        self.share.codes += u64::from(codes);
    }
}

/// Waiting for a store that is away, busy or full: longer and longer, for as long as it takes.
#[derive(Debug)]
pub struct Patience<'a> {
    stop: &'a CancellationToken,
    delays: ExponentialBackoff,
}

impl<'a> Patience<'a> {
    pub fn new(stop: &'a CancellationToken) -> Self {
        Self { stop, delays: delays() }
    }

    /// True for errors that pass; trying again after any other would end the same.
    pub fn endures(&self, error: &StoreError) -> bool {
        error.class() != ErrorClass::Permanent
    }

    /// To be called after a success: the next wait is short again.
    fn restore(&mut self) {
        self.delays = delays();
    }

    /// Says what is waited for, and waits; a stop ends it early.
    pub async fn wait_after(&mut self, error: &StoreError) {
        let delay = self.delays.next().unwrap_or_default();
        let delay_ms = delay.as_millis() as u64;
        match error.class() {
            ErrorClass::Conflict => tracing::info!(%error, delay_ms, "another writer was in the way; trying again"),
            ErrorClass::NoSpace => {
                tracing::warn!(%error, delay_ms, "the store has no room on its disk or in its memory; waiting")
            }
            _ => tracing::warn!(%error, delay_ms, "the store is away; waiting"),
        }
        self.wait(delay).await;
    }

    async fn wait(&self, delay: Duration) {
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = self.stop.cancelled() => {}
        }
    }
}

fn delays() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(3))
        .with_jitter()
        .without_max_times()
        .build()
}
