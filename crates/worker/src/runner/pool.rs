//! Works on all unfinished jobs of the store: a limited number of chunks at once, shared fairly among the jobs, until a
//! stop is requested.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::mint::task::MintSettings;
use crate::runner::backoff::Backoff;
use crate::runner::job_execution::Share;
use crate::runner::observer::Observer;
use crate::runner::pool_keeper::PoolKeeper;
use crate::runner::turns::Turns;
use codemint_codes::job::record::Job;
use codemint_store::admission::waiting::pause_after_deciding;
use codemint_store::connection::store::Store;
use codemint_telemetry::metrics::chunks;

/// Number of slots (worker tasks of the pool) for each chunk that is minted at once.
const SLOTS_PER_CHUNK: usize = 2;
/// Interval between two polls of the store for jobs that came in elsewhere.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Interval between two looks at the pools of campaigns.
const POOLS_INTERVAL: Duration = Duration::from_secs(2);
/// Maximum number of jobs that share the slots at once; the rest waits.
const JOBS_KNOWN_MAX: u32 = 1000;

/// The jobs that this process works on. Cheap to clone: all clones are the same pool.
#[derive(Clone, Debug)]
pub struct Pool {
    turns: Turns,
    has_polled: Arc<AtomicBool>,
    /// The number of turns before the last look at the waiting jobs that decided about none.
    no_room_at_turn: Arc<AtomicU64>,
    /// Number of chunks minted at once.
    concurrency: usize,
    /// Signals that there may be work for a slot.
    work: Arc<Notify>,
}

impl Pool {
    pub fn new(store: Store, settings: MintSettings, concurrency: usize, outbox_wake: Arc<Notify>) -> Self {
        let turns = Turns::new(store, settings, concurrency, outbox_wake);
        let no_room_at_turn = Arc::new(AtomicU64::new(u64::MAX));
        Self { turns, has_polled: Arc::default(), no_room_at_turn, concurrency, work: Arc::default() }
    }

    /// Returns the pool with an observer of its progress.
    #[must_use]
    pub fn observed(mut self, observer: Observer) -> Self {
        self.turns.observer = observer;
        self
    }

    /// Adds a job that has just come in, so that it need not wait for the next poll of the store.
    pub fn offer(&self, job: &Job) {
        if job.waits_for.is_some() {
            self.turns.schedule().pass_turn();
        } else if !job.state.is_final() {
            self.turns.schedule().add_new(job);
            self.work.notify_one();
        }
    }

    /// Works until `stop` is cancelled, and returns when the current chunks are done.
    pub async fn run(&self, stop: &CancellationToken) {
        chunks::writers_allowed(self.concurrency);
        let mut slots = JoinSet::new();
        // Small jobs take longer to open and close than to mint: other slots mint meanwhile.
        for _ in 0..SLOTS_PER_CHUNK * self.concurrency {
            let (pool, stop) = (self.clone(), stop.clone());
            slots.spawn(async move { pool.work_in_slot(&stop).await });
        }
        tokio::join!(self.poll_for_jobs(stop), self.decide_waiting(stop), Box::pin(self.keep_pools(stop)));
        while slots.join_next().await.is_some() {}
    }

    /// Returns true if the last poll of the store found no work for this process, and no waiting job that may start.
    pub fn is_idle(&self) -> bool {
        let schedule = self.turns.schedule();
        let is_polled = self.has_polled.load(Ordering::Acquire);
        is_polled && schedule.is_empty() && self.no_room_at_turn.load(Ordering::Acquire) == schedule.turns()
    }

    /// Returns all work that this process has done so far.
    pub fn minted(&self) -> Share {
        *self.turns.minted()
    }

    /// Polls the store for jobs that came in elsewhere.
    async fn poll_for_jobs(&self, stop: &CancellationToken) {
        let mut backoff = Backoff::new(stop);
        while !stop.is_cancelled() {
            match self.turns.store.list_unfinished(JOBS_KNOWN_MAX).await {
                Ok(unfinished) => {
                    backoff.reset();
                    self.update(&unfinished);
                    backoff.wait(POLL_INTERVAL).await;
                }
                Err(error) => backoff.wait_after(&error).await,
            }
        }
    }

    /// Decides about the jobs that wait for room, as often as the time that it takes allows.
    async fn decide_waiting(&self, stop: &CancellationToken) {
        let mut backoff = Backoff::new(stop);
        while !stop.is_cancelled() {
            let (started, turn) = (Instant::now(), self.turns.schedule().turns());
            match self.turns.decide_waiting().await {
                Ok(decided) => {
                    backoff.reset();
                    if decided == 0 {
                        self.no_room_at_turn.store(turn, Ordering::Release);
                    } else {
                        self.work.notify_waiters();
                    }
                    backoff.wait(pause_after_deciding(started.elapsed())).await;
                }
                Err(error) => backoff.wait_after(&error).await,
            }
        }
    }

    /// Orders codes for pools that are low.
    async fn keep_pools(&self, stop: &CancellationToken) {
        let (mut backoff, mut keeper) = (Backoff::new(stop), PoolKeeper::default());
        while !stop.is_cancelled() {
            match self.turns.keep_pools(&mut keeper).await {
                Ok(ordered) => {
                    backoff.reset();
                    ordered.iter().for_each(|job| self.offer(job));
                    backoff.wait(POOLS_INTERVAL).await;
                }
                Err(error) => backoff.wait_after(&error).await,
            }
        }
    }

    fn update(&self, unfinished: &[(i64, u8)]) {
        let mut schedule = self.turns.schedule();
        schedule.keep(unfinished);
        unfinished.iter().for_each(|(job_no, priority)| schedule.add(*job_no, *priority));
        self.has_polled.store(true, Ordering::Release);
        self.work.notify_waiters();
    }

    async fn work_in_slot(&self, stop: &CancellationToken) {
        let mut backoff = Backoff::new(stop);
        while !stop.is_cancelled() {
            let turn = self.turns.schedule().take_turn(Instant::now(), self.concurrency);
            match turn {
                Some(turn) => self.turns.take(turn, &mut backoff).await,
                None => self.wait_for_work(stop).await,
            }
        }
    }

    async fn wait_for_work(&self, stop: &CancellationToken) {
        let longest = Instant::now() + POLL_INTERVAL;
        let until = self.turns.schedule().next_wakeup().map_or(longest, |end| end.min(longest));
        tokio::select! {
            () = self.work.notified() => {}
            () = sleep_until(until) => {}
            () = stop.cancelled() => {}
        }
    }
}
