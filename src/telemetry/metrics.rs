//! What a worker counts about itself. Names are a contract with whoever looks at them.

use metrics::{counter, describe_counter};
use metrics_exporter_prometheus::{BuildError, PrometheusBuilder, PrometheusHandle};

/// Chunks whose rows this process has locked, to mint them.
const CHUNKS_CLAIMED: &str = "codemint_chunks_claimed_total";
/// Chunks that this process has committed.
const CHUNKS_MINTED: &str = "codemint_chunks_minted_total";
const CODES_MINTED: &str = "codemint_codes_minted_total";
/// Commits that ended in an error, by what turned out to have become of them.
const COMMITS_AMBIGUOUS: &str = "codemint_commits_ambiguous_total";
/// Statements that the watchdog has given up.
const STATEMENTS_GIVEN_UP: &str = "codemint_store_statements_given_up_total";

/// From now on counts are kept; before, and without it, they go nowhere. Called once.
///
/// # Errors
/// If it was called before.
pub fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = PrometheusBuilder::new().install_recorder()?;
    describe_counter!(CHUNKS_CLAIMED, "Chunks that this process has begun to mint");
    describe_counter!(CHUNKS_MINTED, "Chunks that this process has committed");
    describe_counter!(CODES_MINTED, "Codes that this process has committed");
    describe_counter!(
        COMMITS_AMBIGUOUS,
        "Commits that ended in an error, by what the store says of them: done or not_done"
    );
    describe_counter!(STATEMENTS_GIVEN_UP, "Statements that the store did not answer and does not work on");
    Ok(handle)
}

pub fn chunk_claimed() {
    counter!(CHUNKS_CLAIMED).increment(1);
}

pub fn chunk_minted(codes: u32) {
    counter!(CHUNKS_MINTED).increment(1);
    counter!(CODES_MINTED).increment(codes.into());
}

pub fn ambiguous_commit_settled(done: bool) {
    counter!(COMMITS_AMBIGUOUS, "outcome" => if done { "done" } else { "not_done" }).increment(1);
}

pub fn statement_given_up() {
    counter!(STATEMENTS_GIVEN_UP).increment(1);
}
