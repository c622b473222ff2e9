//! The time of each phase of a chunk, as the worker that minted it waited for it.

use std::time::{Duration, Instant};

/// The phases of one committed chunk. They add up to the time for which it occupied its place in the concurrency limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkTimes {
    /// Beginning the transaction and claiming the chunk's row; in SQLite also waiting for other writers.
    pub claim: Duration,
    /// Waiting for the codes to be drawn, compared with existing codes and encoded; most of that happens while the
    /// previous chunk is written.
    pub prepare: Duration,
    /// Writing the codes with `COPY` or SQLite's insert, including repeats after conflicts.
    pub put_codes: Duration,
    /// Marking the chunk's row as done, and storing its filter.
    pub checkpoint: Duration,
    pub commit: Duration,
    /// In SQLite, yielding the file to other processes.
    pub yield_writer: Duration,
    /// The phases of the preparation. They overlap the writing of the previous chunk, so they are not part of the sum.
    pub preparation: PreparationTimes,
}

/// The time that preparing a chunk took, whether or not the worker waited for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreparationTimes {
    /// Drawing the codes, or reading them from an import's file, and applying rules.
    pub draw: Duration,
    /// Comparing them with existing codes, and replacing those that exist.
    pub filter: Duration,
    /// Encoding them for writing, and building their own filter and digest.
    pub encode: Duration,
}

impl PreparationTimes {
    /// Returns each phase with its name in metrics.
    pub const fn phases(&self) -> [(&'static str, Duration); 3] {
        [("draw", self.draw), ("filter", self.filter), ("encode", self.encode)]
    }
}

impl ChunkTimes {
    /// Returns each phase with its name in reports and metrics.
    pub const fn phases(&self) -> [(&'static str, Duration); 6] {
        [
            ("claim", self.claim),
            ("prepare", self.prepare),
            ("copy", self.put_codes),
            ("checkpoint", self.checkpoint),
            ("commit", self.commit),
            ("give_way", self.yield_writer),
        ]
    }

    pub fn total(&self) -> Duration {
        self.phases().iter().map(|(_, time)| *time).sum()
    }
}

/// Measures how long each step took.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Returns the time since the last lap, or since the start.
    pub fn lap(&mut self) -> Duration {
        let begun = std::mem::replace(&mut self.0, Instant::now());
        self.0 - begun
    }
}
