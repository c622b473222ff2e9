//! Decides which job is next: higher priority first; jobs of equal priority take turns, chunk by chunk. Pure: no I/O,
//! the caller passes the time.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tokio::sync::OnceCell;
use tokio::time::Instant;
use tracing::Span;

use crate::mint::task::{JobMask, SharedMask};
use crate::runner::job_execution::{JobExecution, Share};
use codemint_codes::job::record::Job;

/// Executions that are kept between two turns of a job, with the chunk that they prepared ahead: some megabytes each.
const IDLE_EXECUTIONS_MAX: usize = 4;

/// The unfinished jobs that a process knows, by number.
#[derive(Debug, Default)]
pub struct Schedule {
    jobs: BTreeMap<i64, ScheduledJob>,
    /// Number of turns so far.
    turns: u64,
}

#[derive(Debug)]
struct ScheduledJob {
    priority: u8,
    /// Number of slots of this process that work on it.
    slots: usize,
    /// The number of its last turn, or of the turn at which it came in: the lowest is next.
    served: u64,
    /// There is nothing to do for it before this time.
    paused_until: Option<Instant>,
    /// True if this process cannot work on it.
    set_aside: bool,
    /// Failures in a row that cannot be attributed to a chunk.
    failures: u32,
    /// The job as it came in, until its first turn.
    job: Option<Job>,
    /// The span of all work on it here.
    span: Option<Span>,
    /// The mask that its executions share; it is freed with the last one.
    mask: Weak<OnceCell<Arc<JobMask>>>,
    /// The work done for it here.
    share: Share,
    idle: Vec<JobExecution>,
}

/// A job whose turn it is, and the execution that worked on it before.
#[derive(Debug)]
pub struct Turn {
    pub job_no: i64,
    /// The job as it was offered to the pool; `None` if it came from a poll or has had a turn.
    pub job: Option<Job>,
    pub execution: Option<JobExecution>,
}

impl Schedule {
    /// Adds a job; it waits for its turn behind the others.
    pub fn add(&mut self, job_no: i64, priority: u8) {
        self.insert(job_no, priority, None);
    }

    /// Like [`Schedule::add`], for a job that was just stored.
    pub fn add_new(&mut self, job: &Job) {
        self.insert(job.no, job.options.priority, Some(job.clone()));
    }

    fn insert(&mut self, job_no: i64, priority: u8, job: Option<Job>) {
        let served = self.turns;
        self.jobs.entry(job_no).or_insert_with(|| ScheduledJob {
            priority,
            slots: 0,
            served,
            paused_until: None,
            set_aside: false,
            failures: 0,
            job,
            span: None,
            mask: Weak::new(),
            share: Share::default(),
            idle: Vec::new(),
        });
    }

    /// Returns the number of turns so far.
    pub const fn turns(&self) -> u64 {
        self.turns
    }

    /// Counts a turn without work. A process that compares the number of turns notices it.
    pub const fn pass_turn(&mut self) {
        self.turns += 1;
    }

    /// Forgets jobs that others have ended: all but these, and those that slots of this process work on.
    pub fn keep(&mut self, unfinished: &[(i64, u8)]) {
        self.jobs.retain(|job_no, entry| entry.slots > 0 || unfinished.iter().any(|(no, _)| no == job_no));
    }

    /// Returns the next job. Slots are spread over the jobs before two of them work on the same one. While jobs of higher priority have
    /// as many slots as chunks are minted at once, a job waits: it would take chunks from them.
    pub fn take_turn(&mut self, now: Instant, chunks_at_once: usize) -> Option<Turn> {
        let ready = self.jobs.iter().filter(|(_, entry)| entry.is_ready(now) && entry.slots < chunks_at_once);
        let (&job_no, next) = ready.min_by_key(|(job_no, entry)| entry.rank(**job_no))?;
        let above = self.jobs.values().filter(|entry| entry.priority > next.priority);
        if above.map(|entry| entry.slots).sum::<usize>() >= chunks_at_once {
            return None;
        }
        let entry = self.jobs.get_mut(&job_no)?;
        self.turns += 1;
        entry.slots += 1;
        entry.served = self.turns;
        // Clear the expired pause so that `next_wakeup` does not return it.
        entry.paused_until = None;
        Some(Turn { job_no, job: entry.job.take(), execution: entry.idle.pop() })
    }

    /// Ends the turn of a job that continues, at once or after a pause.
    pub fn give_back(&mut self, job_no: i64, execution: Option<JobExecution>, paused_until: Option<Instant>) {
        let kept: usize = self.jobs.values().map(|entry| entry.idle.len()).sum();
        if let Some(entry) = self.jobs.get_mut(&job_no) {
            entry.slots = entry.slots.saturating_sub(1);
            entry.paused_until = paused_until;
            entry.idle.extend(execution.filter(|_| kept < IDLE_EXECUTIONS_MAX));
        }
    }

    /// Returns the span of a job, which is made on first use. A disabled span is not kept.
    pub fn span(&mut self, job_no: i64, make: impl FnOnce() -> Span) -> Span {
        let Some(entry) = self.jobs.get_mut(&job_no) else { return make() };
        let span = entry.span.take().unwrap_or_else(make);
        entry.span = Some(span.clone()).filter(|span| !span.is_none());
        span
    }

    /// Returns the mask of a job for its next execution.
    pub fn shared_mask(&mut self, job_no: i64) -> SharedMask {
        let Some(entry) = self.jobs.get_mut(&job_no) else { return SharedMask::default() };
        let mask = entry.mask.upgrade().unwrap_or_default();
        entry.mask = Arc::downgrade(&mask);
        mask
    }

    /// Adds to the work done for a job.
    pub fn count_share(&mut self, job_no: i64, share: Share) {
        if let Some(entry) = self.jobs.get_mut(&job_no) {
            entry.share.add(share);
        }
    }

    /// Removes a job that has ended. Several slots may find that out; the first one gets the work done for it here.
    pub fn remove(&mut self, job_no: i64) -> Option<Share> {
        self.jobs.remove(&job_no).map(|entry| entry.share)
    }

    /// Marks a job that this process cannot work on. Returns true the first time.
    pub fn set_aside(&mut self, job_no: i64) -> bool {
        let Some(entry) = self.jobs.get_mut(&job_no) else { return false };
        entry.slots = entry.slots.saturating_sub(1);
        entry.idle.clear();
        !std::mem::replace(&mut entry.set_aside, true)
    }

    /// Counts one more failure in a row that cannot be attributed to a chunk, and returns the count.
    pub fn count_failure(&mut self, job_no: i64) -> u32 {
        self.jobs.get_mut(&job_no).map_or(0, |entry| {
            entry.failures += 1;
            entry.failures
        })
    }

    pub fn forget_failures(&mut self, job_no: i64) {
        if let Some(entry) = self.jobs.get_mut(&job_no) {
            entry.failures = 0;
        }
    }

    /// Returns the earliest end of a pause.
    pub fn next_wakeup(&self) -> Option<Instant> {
        self.jobs.values().filter(|entry| !entry.set_aside).filter_map(|entry| entry.paused_until).min()
    }

    /// Returns true if no job is left that this process can work on.
    pub fn is_empty(&self) -> bool {
        self.jobs.values().all(|entry| entry.set_aside)
    }

    /// Returns the number of slots at work.
    pub fn slots_busy(&self) -> usize {
        self.jobs.values().map(|entry| entry.slots).sum()
    }
}

impl ScheduledJob {
    fn is_ready(&self, now: Instant) -> bool {
        !self.set_aside && self.paused_until.is_none_or(|until| until <= now)
    }

    /// Returns the sort key of a job: the lowest is next.
    fn rank(&self, job_no: i64) -> (u8, usize, u64, i64) {
        (u8::MAX - self.priority, self.slots, self.served, job_no)
    }
}
