//! Whose turn it is: higher priority first; among equals chunks go round the jobs. Pure: no I/O, the clock is handed in.

use std::collections::BTreeMap;

use tokio::time::Instant;
use tracing::Span;

use crate::runner::job_run::{JobRun, Share};
use codemint_codes::job::Job;

/// Runs that are kept between two turns of a job, with the chunk that they prepared ahead: each takes some megabytes.
const IDLE_RUNS_MAX: usize = 4;

/// The unfinished jobs that a process knows, by number.
#[derive(Debug, Default)]
pub struct Schedule {
    jobs: BTreeMap<i64, Entry>,
    /// Counts turns.
    turns: u64,
}

#[derive(Debug)]
struct Entry {
    priority: u8,
    /// How many work on it here.
    lanes: usize,
    /// When it last had its turn, or came in: the lowest is next.
    served: u64,
    /// Nothing to do for it before.
    rests_until: Option<Instant>,
    /// Not to be worked on by this process.
    set_aside: bool,
    /// Failures in a row that no chunk can be blamed for.
    failures: u32,
    /// As it came in.
    job: Option<Job>,
    /// Of all that is done for it here.
    span: Option<Span>,
    /// What was done for it here.
    share: Share,
    idle: Vec<JobRun>,
}

/// A job whose turn it is, and the run that worked on it before.
#[derive(Debug)]
pub struct Turn {
    pub job_no: i64,
    /// The job as it came in, at its first turn.
    pub job: Option<Job>,
    pub run: Option<JobRun>,
}

impl Schedule {
    /// A job that is to be worked on; it waits for its turn behind the others.
    pub fn add(&mut self, job_no: i64, priority: u8) {
        self.insert(job_no, priority, None);
    }

    /// As [`Schedule::add`], of a job that was just stored.
    pub fn add_new(&mut self, job: &Job) {
        self.insert(job.no, job.handling.priority, Some(job.clone()));
    }

    fn insert(&mut self, job_no: i64, priority: u8, job: Option<Job>) {
        let served = self.turns;
        self.jobs.entry(job_no).or_insert_with(|| Entry {
            priority,
            lanes: 0,
            served,
            rests_until: None,
            set_aside: false,
            failures: 0,
            job,
            span: None,
            share: Share::default(),
            idle: Vec::new(),
        });
    }

    /// Forgets what others have ended: all but these, and those that are worked on here.
    pub fn keep(&mut self, unfinished: &[(i64, u8)]) {
        self.jobs.retain(|job_no, entry| entry.lanes > 0 || unfinished.iter().any(|(no, _)| no == job_no));
    }

    /// The next job. Work is shared among jobs before two lanes work on the same one.
    pub fn take_turn(&mut self, now: Instant, lanes_a_job: usize) -> Option<Turn> {
        let ready = self.jobs.iter_mut().filter(|(_, entry)| entry.is_ready(now) && entry.lanes < lanes_a_job);
        let (job_no, entry) = ready.min_by_key(|(job_no, entry)| entry.rank(**job_no))?;
        self.turns += 1;
        entry.lanes += 1;
        entry.served = self.turns;
        // A rest that is over is no end of one that lanes could wait for.
        entry.rests_until = None;
        Some(Turn { job_no: *job_no, job: entry.job.take(), run: entry.idle.pop() })
    }

    /// Its turn is over and the job goes on, at once or after a rest.
    pub fn give_back(&mut self, job_no: i64, run: Option<JobRun>, rests_until: Option<Instant>) {
        let kept: usize = self.jobs.values().map(|entry| entry.idle.len()).sum();
        if let Some(entry) = self.jobs.get_mut(&job_no) {
            entry.lanes = entry.lanes.saturating_sub(1);
            entry.rests_until = rests_until;
            entry.idle.extend(run.filter(|_| kept < IDLE_RUNS_MAX));
        }
    }

    /// The span of a job, made when it is first asked for. One that is none is not kept.
    pub fn span(&mut self, job_no: i64, make: impl FnOnce() -> Span) -> Span {
        let Some(entry) = self.jobs.get_mut(&job_no) else { return make() };
        let span = entry.span.take().unwrap_or_else(make);
        entry.span = Some(span.clone()).filter(|span| !span.is_none());
        span
    }

    /// Counts what was done for a job.
    pub fn count_share(&mut self, job_no: i64, share: Share) {
        if let Some(entry) = self.jobs.get_mut(&job_no) {
            entry.share.add(share);
        }
    }

    /// The job has ended. Others may still find that out: the first one learns what was done for it here.
    pub fn remove(&mut self, job_no: i64) -> Option<Share> {
        self.jobs.remove(&job_no).map(|entry| entry.share)
    }

    /// This process cannot work on the job. True if that is news.
    pub fn set_aside(&mut self, job_no: i64) -> bool {
        let Some(entry) = self.jobs.get_mut(&job_no) else { return false };
        entry.lanes = entry.lanes.saturating_sub(1);
        entry.idle.clear();
        !std::mem::replace(&mut entry.set_aside, true)
    }

    /// One more failure in a row that no chunk can be blamed for.
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

    /// When the first job has rested enough.
    pub fn next_end_of_rest(&self) -> Option<Instant> {
        self.jobs.values().filter(|entry| !entry.set_aside).filter_map(|entry| entry.rests_until).min()
    }

    /// True if nothing is left that this process could do.
    pub fn is_empty(&self) -> bool {
        self.jobs.values().all(|entry| entry.set_aside)
    }

    /// How many lanes are at work.
    pub fn lanes_busy(&self) -> usize {
        self.jobs.values().map(|entry| entry.lanes).sum()
    }
}

impl Entry {
    fn is_ready(&self, now: Instant) -> bool {
        !self.set_aside && self.rests_until.is_none_or(|until| until <= now)
    }

    /// The lowest is next.
    fn rank(&self, job_no: i64) -> (u8, usize, u64, i64) {
        (u8::MAX - self.priority, self.lanes, self.served, job_no)
    }
}
