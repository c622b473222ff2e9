//! Requests that wait for the tasks that carry them out, many at once.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Mutex, mpsc};

/// The maximum number of requests that are carried out at once.
const BATCH_MAX: usize = 1000;
/// The number of requests that a task takes in any case: a transaction for fewer costs nearly as much.
const SHARE_MIN: usize = 64;

/// Requests that wait, for one or more tasks that carry them out.
pub(crate) struct Intake<T> {
    waiting: Mutex<mpsc::Receiver<T>>,
    /// The number of tasks.
    tasks: usize,
    /// The number of requests that they are carrying out.
    in_work: AtomicUsize,
}

impl<T> Intake<T> {
    pub(crate) fn new(waiting: mpsc::Receiver<T>, tasks: usize) -> Self {
        Self { waiting: Mutex::new(waiting), tasks, in_work: AtomicUsize::default() }
    }

    /// Adds what waits to the queue of a task, and waits for the first request if there is none. Returns how many still wait;
    /// `None` when no more will come.
    pub(crate) async fn fill(&self, queue: &mut Vec<T>) -> Option<usize> {
        if queue.is_empty() {
            let mut waiting = self.waiting.lock().await;
            if waiting.recv_many(queue, 1).await == 0 {
                return None;
            }
            return Some(self.take_share(&mut waiting, queue).await);
        }
        match self.waiting.try_lock() {
            Ok(mut waiting) => Some(self.take_share(&mut waiting, queue).await),
            // While another task waits for the first request, there is none to take.
            Err(_) => Some(0),
        }
    }

    /// Says that a task begins to carry out this many requests, until [`Self::end`].
    pub(crate) fn begin(&self, requests: usize) {
        self.in_work.fetch_add(requests, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, requests: usize) {
        self.in_work.fetch_sub(requests, Ordering::Relaxed);
    }

    /// Callers who were answered just now ask again at once: without a chance to do so before the batch begins, it may hold only
    /// the first of them.
    async fn take_share(&self, waiting: &mut mpsc::Receiver<T>, queue: &mut Vec<T>) -> usize {
        let mut before = None;
        while before.replace(waiting.len()) != Some(waiting.len()) {
            tokio::task::yield_now().await;
        }
        let share = share_of(queue.len() + waiting.len(), self.in_work.load(Ordering::Relaxed), self.tasks);
        while queue.len() < share
            && let Ok(request) = waiting.try_recv()
        {
            queue.push(request);
        }
        waiting.len()
    }
}

/// Returns how many of the waiting requests a task takes while others carry out `in_work`: so many that all have equally much to
/// do. A task that took all of them would leave nothing for the others to do at the same time.
fn share_of(waiting: usize, in_work: usize, tasks: usize) -> usize {
    (waiting + in_work).div_ceil(tasks).clamp(SHARE_MIN, BATCH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_share_what_waits() {
        for (waiting, in_work, tasks, share) in [
            (500, 0, 2, 250),
            (490, 10, 2, 250),
            (250, 250, 2, 250),
            (500, 0, 1, 500),
            (3, 0, 2, 64),
            (9000, 0, 2, 1000),
        ] {
            assert_eq!(share_of(waiting, in_work, tasks), share, "{waiting} {in_work} {tasks}");
        }
    }
}
