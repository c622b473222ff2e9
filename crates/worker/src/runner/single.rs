//! One job to its end, with retries, until it is closed or asked to stop.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::mint::{MintError, MintSettings};
use crate::runner::job_run::{JobRun, Progress, Share, job_span};
use crate::runner::patience::Patience;
use codemint_codes::job::Job;
use codemint_store::Store;
use codemint_store::error::StoreError;

/// How long a stop waits for the chunk at hand, which a healthy store finishes in far less.
const STOP_GRACE: Duration = Duration::from_secs(10);
/// Between two looks at a job whose open chunks are all being written by others.
pub(super) const OTHERS_AT_WORK_PAUSE: Duration = Duration::from_millis(200);

/// How working on a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunEnd {
    /// The job has reached a final state, through us or others.
    Ended,
    /// We were asked to stop between two chunks; the job goes on when somebody resumes it.
    Stopped,
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
    let mut run = JobRun::new(store, job, Arc::new(settings.clone()), job_span(job));
    let mut patience = Patience::new(stop);
    while !stop.is_cancelled() {
        match step_or_stop(&mut run, stop).await {
            Ok(Progress::Ended) => {
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
async fn step_or_stop(run: &mut JobRun, stop: &CancellationToken) -> Result<Progress, MintError> {
    let out_of_patience = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    tokio::select! {
        progress = run.step() => progress,
        () = out_of_patience => Err(StoreError::Silent { seconds: STOP_GRACE.as_secs() }.into()),
    }
}
