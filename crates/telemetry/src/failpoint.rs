//! Failpoints: named places where a test makes the program fail, panic, abort or stall. Without the feature
//! `failpoints`, which no release has, they do nothing.
//!
//! The actions are read from the environment when the program starts, `FAILPOINTS=name=action;...`, in the syntax of
//! the crate `fail`. They are `return(error)`, `return(panic)`, `return(abort)` and `return(stall)`.

use std::io;

/// A job is committed; its message is not yet acknowledged.
pub const JOB_COMMITTED: &str = "job-committed";
/// A chunk's row is locked; nothing else is done yet.
pub const CHUNK_CLAIMED: &str = "chunk-claimed";
/// The filters of runs are about to be loaded.
pub const FILTERS_LOADING: &str = "filters-loading";
/// The server has some of a chunk's codes. SQLite takes all of them in one statement; there this point follows it.
pub const CODES_HALF_WRITTEN: &str = "codes-half-written";
/// Some of the owners of a chunk's codes are written: the assignments, or the rows of the pool.
pub const OWNERS_HALF_WRITTEN: &str = "owners-half-written";
/// All codes of a chunk are written; its checkpoint is not.
pub const BEFORE_CHECKPOINT: &str = "before-checkpoint";
/// Codes and checkpoint are written but not committed.
pub const BEFORE_COMMIT: &str = "before-commit";
/// The store has committed a chunk; this process does not know it yet.
pub const AFTER_COMMIT: &str = "after-commit";
/// All chunks of a job are done; the job is not closed.
pub const BEFORE_CLOSE: &str = "before-close";
/// The broker has events that are still in the outbox.
pub const EVENTS_PUBLISHED: &str = "events-published";
/// A part of an export is written.
pub const EXPORT_HALF_WRITTEN: &str = "export-half-written";
/// Redemptions are inserted; nothing is taken of the limits yet.
pub const REDEMPTIONS_INSERTED: &str = "redemptions-inserted";
/// The allowances of a batch are locked; nothing is decided yet.
pub const ALLOWANCES_LOCKED: &str = "allowances-locked";
/// Limits are taken; sums and events are not written.
pub const ALLOWANCES_CHANGED: &str = "allowances-changed";
/// A batch of redemptions is written but not committed.
pub const REDEMPTIONS_WRITTEN: &str = "redemptions-written";
/// The store has committed a batch of redemptions; this process does not know it yet.
pub const REDEMPTIONS_COMMITTED: &str = "redemptions-committed";
/// One page of a list of identities is written but not committed.
pub const LIST_HALF_LOADED: &str = "list-half-loaded";
/// A list of identities is committed; its job is not.
pub const LIST_LOADED: &str = "list-loaded";
/// The job of a list is committed; this process does not know it yet.
pub const LIST_JOB_COMMITTED: &str = "list-job-committed";
/// Codes are removed from a pool, and nobody has them yet.
pub const POOL_TAKEN: &str = "pool-taken";
/// Codes are issued but not committed.
pub const BEFORE_ISSUE_COMMIT: &str = "before-issue-commit";
/// The store has committed issued codes; this process does not know it yet.
pub const AFTER_ISSUE_COMMIT: &str = "after-issue-commit";

pub const ALL: [&str; 22] = [
    JOB_COMMITTED,
    CHUNK_CLAIMED,
    FILTERS_LOADING,
    CODES_HALF_WRITTEN,
    OWNERS_HALF_WRITTEN,
    BEFORE_CHECKPOINT,
    BEFORE_COMMIT,
    AFTER_COMMIT,
    BEFORE_CLOSE,
    EVENTS_PUBLISHED,
    EXPORT_HALF_WRITTEN,
    REDEMPTIONS_INSERTED,
    ALLOWANCES_LOCKED,
    ALLOWANCES_CHANGED,
    REDEMPTIONS_WRITTEN,
    REDEMPTIONS_COMMITTED,
    LIST_HALF_LOADED,
    LIST_LOADED,
    LIST_JOB_COMMITTED,
    POOL_TAKEN,
    BEFORE_ISSUE_COMMIT,
    AFTER_ISSUE_COMMIT,
];

/// Reads the actions from the environment. Called once, before anything else.
#[cfg(feature = "failpoints")]
pub fn read_environment() {
    // Dropping the scenario would remove the actions.
    std::mem::forget(fail::FailScenario::setup());
}

#[cfg(not(feature = "failpoints"))]
pub const fn read_environment() {}

/// Returns the time after which a command reports that it waits, where a test has set one:
/// `wait-noted=return(MILLISECONDS)`.
#[cfg(feature = "failpoints")]
pub fn wait_noted_after() -> Option<std::time::Duration> {
    let number = fail::eval("wait-noted", |number| number.unwrap_or_default())?;
    number.parse().ok().map(std::time::Duration::from_millis)
}

/// Returns `None`: this build has no failpoints.
#[cfg(not(feature = "failpoints"))]
pub const fn wait_noted_after() -> Option<std::time::Duration> {
    None
}

/// Marks that the program has reached this point, and performs the action that a test has set for it.
///
/// # Errors
/// If the action is `return(error)`.
#[cfg(feature = "failpoints")]
pub async fn reach(point: &'static str) -> io::Result<()> {
    let Some(action) = fail::eval(point, |action| action.unwrap_or_default()) else { return Ok(()) };
    tracing::warn!(failpoint = point, action, "a failpoint was reached");
    match action.as_str() {
        "stall" => tokio::time::sleep(std::time::Duration::from_secs(5)).await,
        "abort" => std::process::abort(),
        "panic" => panic!("injected by failpoint {point}"),
        _ => return Err(io::Error::other(format!("injected by failpoint {point}"))),
    }
    Ok(())
}

/// Does nothing: this build has no failpoints.
#[cfg(not(feature = "failpoints"))]
#[expect(clippy::unused_async, reason = "with failpoints it waits")]
pub async fn reach(_point: &'static str) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::ALL;

    #[test]
    fn failpoints_have_distinct_names_that_the_environment_can_hold() {
        assert_eq!(BTreeSet::from(ALL).len(), ALL.len());
        assert!(ALL.iter().all(|name| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')));
    }
}
