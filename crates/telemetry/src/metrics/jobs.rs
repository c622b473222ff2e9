//! Metrics of jobs: how they come in, begin and end.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::metrics::names;
use crate::metrics::recorder::progress_made;

/// Counts a message by outcome: `accepted`, `repeated`, `refused` or `dead_lettered`.
pub fn message_received(outcome: &'static str) {
    counter!(names::JOBS_RECEIVED, "source" => "broker", "outcome" => outcome).increment(1);
}

/// Counts a job that this process turned from queued to running. One that came by no message is also counted as
/// received: this is the first that a worker learns of it.
pub fn job_opened(waited: Duration, came_by_message: bool) {
    if !came_by_message {
        counter!(names::JOBS_RECEIVED, "source" => "store", "outcome" => "accepted").increment(1);
    }
    counter!(names::JOBS_OPENED).increment(1);
    histogram!(names::JOB_WAIT).record(waited);
}

/// Counts a job that this process ended: `completed`, `failed` or `cancelled`. `run_time` is `None` if it never began.
pub fn job_finished(outcome: &'static str, run_time: Option<Duration>) {
    counter!(names::JOBS_FINISHED, "outcome" => outcome).increment(1);
    if let Some(run_time) = run_time {
        histogram!(names::JOB_RUN, "outcome" => outcome).record(run_time);
    }
    progress_made();
}

/// Records the unfinished jobs of the store by state, how many queued ones wait for room, and how long the oldest queued
/// one has waited.
pub fn backlog_seen(states: &[(&'static str, u64)], waiting_for_room: u64, oldest_waiting: Duration) {
    for (state, jobs) in states {
        gauge!(names::JOBS, "state" => *state).set(*jobs as f64);
    }
    gauge!(names::JOBS_WAITING_FOR_ROOM).set(waiting_for_room as f64);
    gauge!(names::OLDEST_WAITING_JOB_AGE).set(oldest_waiting.as_secs_f64());
}

/// Records the used share of the fullest keyspace in use, 0 to 1.
pub fn keyspace_used(ratio: f64) {
    gauge!(names::KEYSPACE_USED).set(ratio);
}
