//! Work that is too long for the threads that serve connections.

/// Runs work on a blocking thread, because it takes longer than a thread that serves connections may be held up.
pub async fn off_the_async_threads<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
