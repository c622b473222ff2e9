//! The removal of the data of a load test in any case: it waits for an unreachable server and ignores interrupts.

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::upkeep::benches::{BenchJob, JOBS_AT_ONCE};
use codemint_worker::runner::backoff::Backoff;

/// The time after which the removal gives up on an unreachable store.
const PATIENCE: Duration = Duration::from_secs(60);

/// The numbers of removed jobs and codes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Removed {
    pub jobs: usize,
    pub codes: u64,
}

/// Removes all jobs of load tests, of this one and of killed ones: while the lock is held, no other test runs.
///
/// # Errors
/// If the store fails. The next call removes what is left.
pub async fn remove_all(store: &Store) -> Result<Removed, StoreError> {
    let jobs = with_retries(async || store.list_bench_jobs().await).await?;
    let mut removed = Removed { jobs: jobs.len(), codes: 0 };
    for batch in jobs.chunks(JOBS_AT_ONCE) {
        let unfinished: Vec<BenchJob> = batch.iter().filter(|job| !job.has_ended).cloned().collect();
        if !unfinished.is_empty() {
            with_retries(async || store.end_bench_jobs(&unfinished).await).await?;
        }
        while let Some(codes) = with_retries(async || store.remove_bench_chunks(batch).await).await? {
            removed.codes += codes;
        }
        remove_jobs(store, batch).await?;
    }
    Ok(removed)
}

async fn remove_jobs(store: &Store, jobs: &[BenchJob]) -> Result<(), StoreError> {
    with_retries(async || store.remove_bench_jobs(jobs).await).await
}

async fn with_retries<T>(ask: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, StoreError> {
    // This token is never cancelled.
    let never = CancellationToken::new();
    let (mut backoff, begun) = (Backoff::new(&never), Instant::now());
    loop {
        match ask().await {
            Err(error) if error.is_retryable() && begun.elapsed() < PATIENCE => {
                backoff.wait_after(&error).await
            }
            result => return result,
        }
    }
}
