//! Whoever wants to know what a pool does, as it does it: a load test, metrics.

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::mint::times::ChunkTimes;

/// What a pool has done just now.
#[derive(Clone, Copy, Debug)]
pub enum Observed {
    /// A lane has its first turn on a job; other lanes may tell the same.
    JobBegun { job_no: i64, at: Instant },
    /// A chunk was committed.
    ChunkMinted { job_no: i64, codes: u64, times: ChunkTimes },
    /// The job has reached a final state, whichever.
    JobEnded { job_no: i64, at: Instant },
}

/// Nobody, or somebody who listens.
#[derive(Clone, Debug, Default)]
pub struct Observer(Option<UnboundedSender<Observed>>);

impl Observer {
    pub fn new(listener: UnboundedSender<Observed>) -> Self {
        Self(Some(listener))
    }

    pub fn tell(&self, observed: Observed) {
        if let Some(listener) = &self.0 {
            // Whoever has stopped listening wants to know no more.
            let _unheard = listener.send(observed);
        }
    }
}
