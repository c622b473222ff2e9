//! Removing what a load test wrote, come what may: a server that is away is waited for, an interrupt is not heard.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use codemint_store::benches::{BenchJob, JOBS_AT_ONCE};
use codemint_store::error::StoreError;
use codemint_store::{Store, in_time};
use codemint_worker::runner::patience::Patience;

/// A store that is away for longer is left as it is.
const PATIENCE: Duration = Duration::from_secs(60);

/// What was removed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Removed {
    pub jobs: usize,
    pub codes: u64,
}

/// Removes all jobs of load tests, this one's and those of others that were killed: while the lock is held nobody else
/// has any.
///
/// # Errors
/// Those of the store. What is left is removed by the next call.
pub async fn remove_all(store: &Store) -> Result<Removed, StoreError> {
    let jobs = patiently(async || store.list_bench_jobs().await).await?;
    let mut removed = Removed { jobs: jobs.len(), codes: 0 };
    for batch in jobs.chunks(JOBS_AT_ONCE) {
        let unfinished: Vec<BenchJob> = batch.iter().filter(|job| !job.has_ended).cloned().collect();
        if !unfinished.is_empty() {
            patiently(async || store.end_bench_jobs(&unfinished).await).await?;
        }
        while let Some(codes) = patiently(async || store.remove_bench_chunks(batch).await).await? {
            removed.codes += codes;
        }
        remove_jobs(store, batch).await?;
    }
    Ok(removed)
}

async fn remove_jobs(store: &Store, jobs: &[BenchJob]) -> Result<(), StoreError> {
    patiently(async || store.remove_bench_jobs(jobs).await).await
}

async fn patiently<T>(ask: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    // Nobody cancels it.
    let never = CancellationToken::new();
    let (mut patience, begun) = (Patience::new(&never), Instant::now());
    loop {
        match in_time(ask()).await {
            Err(error) if patience.endures(&error) && begun.elapsed() < PATIENCE => patience.wait_after(&error).await,
            result => return result,
        }
    }
}
