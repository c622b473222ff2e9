//! Runs a job to its end: chunk after chunk, with retries, until it is closed or asked to stop.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio_util::sync::CancellationToken;

use crate::job::Job;
use crate::mint::{MintError, Minting, Step};
use crate::store::Store;
use crate::store::closing::CloseJob;
use crate::store::error::{ErrorClass, StoreError};

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

/// Mints until the job has ended or `stop` is cancelled; looks at `stop` between chunks and in waits only, so that no
/// statement is ever cut off. A store that is away, busy or full is waited for without limit.
///
/// # Errors
/// What trying again would not mend. The job stays as it is and can be resumed.
pub async fn run_job(store: &Store, job: &Job, stop: &CancellationToken) -> Result<(RunEnd, Share), MintError> {
    let mut run = Run { store, job, minting: None, unknown: None, share: Share::default() };
    let mut patience = Patience::new(stop);
    tracing::info!(job_id = %job.id, count = job.count, "working on the job");
    while !stop.is_cancelled() {
        match run.step().await {
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

struct Run<'a> {
    store: &'a Store,
    job: &'a Job,
    minting: Option<Minting>,
    /// A chunk of which we do not know whether it was committed, with its codes.
    unknown: Option<(i64, u32)>,
    share: Share,
}

enum Progress {
    Made,
    OthersAtWork,
    Ended,
}

impl Run<'_> {
    /// One step: settle an unknown commit, start, mint a chunk, or try to close the job.
    async fn step(&mut self) -> Result<Progress, MintError> {
        if let Some((run_no, codes)) = self.unknown {
            let done = self.store.is_chunk_done(run_no).await?;
            tracing::info!(run_no, done, "the unknown commit is settled");
            self.unknown = None;
            if done {
                self.count_chunk(codes);
            }
        }
        let Some(minting) = &mut self.minting else {
            self.store.mark_job_running(self.job.no).await?;
            self.minting = Minting::start(self.store, self.job).await?;
            return if self.minting.is_none() { Ok(Progress::Ended) } else { Ok(Progress::Made) };
        };
        match minting.mint_chunk(self.store).await? {
            Step::Minted { run_no, codes } => {
                tracing::debug!(run_no, codes, "minted a chunk");
                self.count_chunk(codes);
                Ok(Progress::Made)
            }
            Step::CommitUnknown { run_no, codes } => {
                self.unknown = Some((run_no, codes));
                Ok(Progress::Made)
            }
            Step::NothingToClaim => match self.store.close_job(self.job.no).await? {
                CloseJob::Ended => Ok(Progress::Ended),
                CloseJob::NextRound => Ok(Progress::Made),
                CloseJob::ChunksOpen => Ok(Progress::OthersAtWork),
            },
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
            ErrorClass::NoSpace => tracing::warn!(%error, delay_ms, "the store is full; waiting until there is room"),
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
