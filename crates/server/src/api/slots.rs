//! What only a few callers may do at once, because it takes memory, disk space or a connection for long.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::api::problem::Problem;

/// The maximum number of downloads: each has a chunk of codes in memory.
const DOWNLOADS_MAX: usize = 16;
/// The maximum number of listeners to jobs.
const LISTENERS_MAX: usize = 100;
/// The maximum number of lists that are received or read: each takes disk space, and memory while it is read.
pub(super) const LISTS_MAX: usize = 4;

#[derive(Debug)]
pub(super) struct Slots {
    pub(super) downloads: Slot,
    pub(super) listeners: Slot,
    pub(super) lists: Slot,
}

/// Room for a number of callers.
#[derive(Debug)]
pub(super) struct Slot(Arc<Semaphore>);

impl Slots {
    pub(super) fn new() -> Self {
        Self {
            downloads: Slot::for_callers(DOWNLOADS_MAX),
            listeners: Slot::for_callers(LISTENERS_MAX),
            lists: Slot::for_callers(LISTS_MAX),
        }
    }
}

impl Slot {
    fn for_callers(most: usize) -> Self {
        Self(Arc::new(Semaphore::new(most)))
    }

    /// Takes the place of a caller until the permit is dropped.
    ///
    /// # Errors
    /// `busy` if all places are taken.
    pub(super) fn take(&self) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&self.0).try_acquire_owned().map_err(|_all_are_taken| Problem::busy())
    }
}
