//! Metrics of chunks: their results, their times and their failures.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::metrics::names;
use crate::metrics::recorder::progress_made;

pub fn chunk_claimed() {
    counter!(names::CHUNKS_CLAIMED).increment(1);
}

/// Counts a committed chunk. `rejected` has its candidates that did not become codes, by reason.
pub fn chunk_minted(codes: u32, rejected: [(&'static str, u64); 4], false_positives: u64) {
    counter!(names::CHUNKS_MINTED).increment(1);
    counter!(names::CODES_MINTED).increment(codes.into());
    for (reason, candidates) in rejected.into_iter().filter(|(_, candidates)| *candidates > 0) {
        counter!(names::CANDIDATES_REJECTED, "reason" => reason).increment(candidates);
    }
    counter!(names::FALSE_POSITIVES).increment(false_positives);
    progress_made();
}

/// Records the times of a committed chunk, by phase.
pub fn chunk_timed(phases: impl IntoIterator<Item = (&'static str, Duration)>) {
    for (phase, time) in phases {
        histogram!(names::CHUNK_DURATION, "phase" => phase).record(time);
    }
}

/// Counts a chunk that met a code which another process had just stored.
pub fn chunk_conflicted() {
    counter!(names::CHUNK_CONFLICTS).increment(1);
}

/// Counts a chunk that is begun again, by reason: `away`, `conflict`, `unclear`, `no_space` or `failed`.
pub fn chunk_retried(reason: &'static str) {
    counter!(names::CHUNK_RETRIES, "reason" => reason).increment(1);
}

pub fn ambiguous_commit_settled(done: bool) {
    counter!(names::COMMITS_AMBIGUOUS, "outcome" => if done { "done" } else { "not_done" }).increment(1);
}

/// Records how many chunks may be minted at once.
pub fn writers_allowed(writers: usize) {
    gauge!(names::WRITERS_ALLOWED).set(writers as f64);
}

/// Counts a chunk as being minted for as long as this value lives.
#[derive(Debug)]
pub struct WriterBusy(());

impl WriterBusy {
    pub fn begin() -> Self {
        gauge!(names::WRITERS_BUSY).increment(1.0);
        Self(())
    }
}

impl Drop for WriterBusy {
    fn drop(&mut self) {
        gauge!(names::WRITERS_BUSY).decrement(1.0);
    }
}

/// Counts the filters that a chunk needs for as long as this value lives.
#[derive(Debug)]
pub struct FiltersHeld {
    bytes: u64,
}

impl FiltersHeld {
    /// Records loaded filters. `fill` is the share of bits that are set.
    pub fn begin(bytes: u64, fill: f64, load_time: Duration) -> Self {
        gauge!(names::PREFILTER_BYTES).increment(bytes as f64);
        gauge!(names::PREFILTER_FILL).set(fill);
        histogram!(names::PREFILTER_LOAD).record(load_time);
        Self { bytes }
    }
}

impl Drop for FiltersHeld {
    fn drop(&mut self) {
        gauge!(names::PREFILTER_BYTES).decrement(self.bytes as f64);
    }
}
