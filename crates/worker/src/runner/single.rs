//! Runs one job to its end, with retries, until it is closed or a stop is requested.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::mint::error::MintError;
use crate::mint::task::MintSettings;
use crate::runner::backoff::Backoff;
use crate::runner::job_execution::{JobExecution, OTHERS_AT_WORK_PAUSE, Share, StepOutcome, job_span};
use codemint_codes::job::record::Job;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;

/// Maximum time that a stop waits for the current chunk, which a healthy store finishes in far less.
const STOP_GRACE: Duration = Duration::from_secs(10);

/// The way in which work on a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The job has reached a final state, through this process or another one.
    Ended,
    /// A stop was requested between two chunks; the job continues when somebody resumes it.
    Stopped,
}

/// Mints until the job has ended or `stop` is cancelled, which is checked between chunks and in waits; a statement is
/// aborted only if the store does not answer for [`STOP_GRACE`]. There is no limit on waiting for a store that is away,
/// busy or full.
///
/// # Errors
/// Permanent errors. The job stays as it is and can be resumed.
pub async fn run_job(
    store: &Store,
    job: &Job,
    settings: &MintSettings,
    stop: &CancellationToken,
) -> Result<(RunEnd, Share), MintError> {
    run_job_while(store, job, settings, stop, &|_error, _waited| true).await
}

/// Decides whether to wait for the store after an error, given how long it has been waited for.
pub type MayWait<'a> = &'a (dyn Fn(&StoreError, Duration) -> bool + Sync);

/// Does the same as [`run_job`] as long as the caller waits for the store.
///
/// # Errors
/// Permanent errors, and the first error after which the caller does not wait.
pub async fn run_job_while(
    store: &Store,
    job: &Job,
    settings: &MintSettings,
    stop: &CancellationToken,
    may_wait: MayWait<'_>,
) -> Result<(RunEnd, Share), MintError> {
    let mut execution = JobExecution::new(store, job, Arc::new(settings.clone()), job_span(job));
    let mut backoff = Backoff::new(stop);
    while !stop.is_cancelled() {
        match step_or_stop(&mut execution, stop).await {
            Ok(StepOutcome::Ended) => {
                return Ok((RunEnd::Ended, execution.share));
            }
            Ok(StepOutcome::Advanced) => backoff.reset(),
            Ok(StepOutcome::OthersAtWork) => backoff.wait(OTHERS_AT_WORK_PAUSE).await,
            Err(MintError::Store(error)) if error.is_retryable() && may_wait(&error, backoff.waited()) => {
                backoff.wait_after(&error).await;
            }
            Err(error) => return Err(error),
        }
    }
    Ok((RunEnd::Stopped, execution.share))
}

/// Performs one step. It is aborted only if a stop has waited in vain; the current chunk then stays open, or is done.
async fn step_or_stop(execution: &mut JobExecution, stop: &CancellationToken) -> Result<StepOutcome, MintError> {
    let out_of_patience = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    tokio::select! {
        progress = execution.step() => progress,
        () = out_of_patience => Err(StoreError::Silent { seconds: STOP_GRACE.as_secs() }.into()),
    }
}
