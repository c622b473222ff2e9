//! Optional channel on which a pool reports its progress, for load tests and metrics.

use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::mint::times::ChunkTimes;

/// One event in the progress of a pool.
#[derive(Clone, Copy, Debug)]
pub enum Observed {
    /// A slot has its first turn on a job; other slots may report the same job.
    JobBegun { job_no: i64, at: Instant },
    /// A chunk was committed.
    ChunkMinted { job_no: i64, codes: u64, times: ChunkTimes },
    /// The job has reached a final state.
    JobEnded { job_no: i64, at: Instant },
}

/// The sender of the channel; empty if there is no listener.
#[derive(Clone, Debug, Default)]
pub struct Observer(Option<UnboundedSender<Observed>>);

impl Observer {
    pub fn new(listener: UnboundedSender<Observed>) -> Self {
        Self(Some(listener))
    }

    pub fn report(&self, observed: Observed) {
        if let Some(listener) = &self.0 {
            // A listener that is gone needs no reports.
            let _unheard = listener.send(observed);
        }
    }
}
