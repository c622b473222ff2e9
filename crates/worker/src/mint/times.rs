//! Where a chunk's time went, phase by phase, as the worker that minted it waited for it.

use std::time::{Duration, Instant};

/// The phases of one chunk that was committed. They add up to the time that it held its place among the chunks at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkTimes {
    /// Beginning the transaction and claiming the chunk's row; in SQLite waiting for other writers too.
    pub claim: Duration,
    /// Drawing, comparing with what exists and encoding, as far as it was waited for: most of it goes on while the chunk
    /// before is written.
    pub prepare: Duration,
    /// Writing the codes: `COPY`, or SQLite's insert; again after each conflict.
    pub put_codes: Duration,
    /// The row that turns done, with the filter.
    pub checkpoint: Duration,
    pub commit: Duration,
    /// In SQLite, letting other processes have the file.
    pub give_way: Duration,
    /// Done while the chunk before was written, as far as that took as long: no part of the sum.
    pub preparation: PreparationTimes,
}

/// What preparing a chunk took, whether somebody waited for it or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PreparationTimes {
    /// Drawing the codes, or reading them from an import's file, and applying rules.
    pub draw: Duration,
    /// Comparing them with what exists, and replacing what does.
    pub filter: Duration,
    /// Encoding them as they are written, and building their own filter and digest.
    pub encode: Duration,
}

impl PreparationTimes {
    /// Each phase with its name, as metrics call it.
    pub const fn phases(&self) -> [(&'static str, Duration); 3] {
        [("draw", self.draw), ("filter", self.filter), ("encode", self.encode)]
    }
}

impl ChunkTimes {
    /// Each phase with its name, as reports and metrics call it.
    pub const fn phases(&self) -> [(&'static str, Duration); 6] {
        [
            ("claim", self.claim),
            ("prepare", self.prepare),
            ("copy", self.put_codes),
            ("checkpoint", self.checkpoint),
            ("commit", self.commit),
            ("give_way", self.give_way),
        ]
    }

    pub fn total(&self) -> Duration {
        self.phases().iter().map(|(_, time)| *time).sum()
    }

    pub fn add(&mut self, more: &Self) {
        self.claim += more.claim;
        self.prepare += more.prepare;
        self.put_codes += more.put_codes;
        self.checkpoint += more.checkpoint;
        self.commit += more.commit;
        self.give_way += more.give_way;
        self.preparation.draw += more.preparation.draw;
        self.preparation.filter += more.preparation.filter;
        self.preparation.encode += more.preparation.encode;
    }
}

/// Tells how long each step took.
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// Since the last lap, or the start.
    pub fn lap(&mut self) -> Duration {
        let begun = std::mem::replace(&mut self.0, Instant::now());
        self.0 - begun
    }
}
