//! Failpoints: named places where a test makes the program fail, panic, die or stand still. Without the feature
//! `failpoints`, which no release has, they are nothing at all.
//!
//! What is to happen is read from the environment when the program starts, `FAILPOINTS=name=action;...`, in the language of
//! the crate `fail`, with `return(error)`, `return(panic)`, `return(abort)` and `return(stall)` as actions.

use std::io;

/// A job is committed, its message not yet acknowledged.
pub const JOB_COMMITTED: &str = "job-committed";
/// A chunk's row is locked, nothing else is done.
pub const CHUNK_CLAIMED: &str = "chunk-claimed";
/// The filters of runs are about to be loaded.
pub const FILTERS_LOADING: &str = "filters-loading";
/// The server has some of a chunk's codes. SQLite takes them in one statement, behind which this is.
pub const CODES_HALF_WRITTEN: &str = "codes-half-written";
/// All codes of a chunk are written, its checkpoint is not.
pub const BEFORE_CHECKPOINT: &str = "before-checkpoint";
/// Codes and checkpoint are written, not committed.
pub const BEFORE_COMMIT: &str = "before-commit";
/// The store has committed a chunk, and we have not heard of it.
pub const AFTER_COMMIT: &str = "after-commit";
/// All chunks of a job are done, the job is not closed.
pub const BEFORE_CLOSE: &str = "before-close";
/// The broker has events that the outbox holds still.
pub const EVENTS_PUBLISHED: &str = "events-published";
/// Some of an export is written.
pub const EXPORT_HALF_WRITTEN: &str = "export-half-written";

pub const ALL: [&str; 10] = [
    JOB_COMMITTED,
    CHUNK_CLAIMED,
    FILTERS_LOADING,
    CODES_HALF_WRITTEN,
    BEFORE_CHECKPOINT,
    BEFORE_COMMIT,
    AFTER_COMMIT,
    BEFORE_CLOSE,
    EVENTS_PUBLISHED,
    EXPORT_HALF_WRITTEN,
];

/// Reads what is to happen. Called once, before anything else.
#[cfg(feature = "failpoints")]
pub fn read_environment() {
    // Dropped, it would forget them.
    std::mem::forget(fail::FailScenario::setup());
}

#[cfg(not(feature = "failpoints"))]
pub const fn read_environment() {}

/// The program is at this point.
///
/// # Errors
/// If a test wants one.
#[cfg(feature = "failpoints")]
pub async fn reach(point: &'static str) -> io::Result<()> {
    let Some(action) = fail::eval(point, |action| action.unwrap_or_default()) else { return Ok(()) };
    tracing::warn!(failpoint = point, action, "a failpoint was reached");
    match action.as_str() {
        "stall" => tokio::time::sleep(std::time::Duration::from_secs(5)).await,
        "abort" => std::process::abort(),
        "panic" => panic!("the failpoint {point}"),
        _ => return Err(io::Error::other(format!("the failpoint {point}"))),
    }
    Ok(())
}

/// The program is at this point, of which it knows nothing.
///
/// # Errors
/// None.
#[cfg(not(feature = "failpoints"))]
#[expect(clippy::unused_async, reason = "with failpoints it waits")]
pub async fn reach(_point: &'static str) -> io::Result<()> {
    Ok(())
}
