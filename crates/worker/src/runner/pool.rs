//! Works on all unfinished jobs of the store: a limited number of chunks at once, shared fairly among the jobs, until a
//! stop is requested.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::mint::error::MintError;
use crate::mint::task::MintSettings;
use crate::runner::backoff::Backoff;
use crate::runner::job_execution::{JobExecution, Share, StepOutcome, job_span, log_end};
use crate::runner::observer::{Observed, Observer};
use crate::runner::schedule::{Schedule, Turn};
use crate::runner::single::OTHERS_AT_WORK_PAUSE;
use codemint_codes::job::record::Job;
use codemint_codes::job::state::JobError;
use codemint_store::connection::error::ErrorClass;
use codemint_store::connection::store::Store;
use codemint_store::minting::closing::CloseJob;
use codemint_telemetry::metrics::chunks;
use codemint_telemetry::metrics::store::store_error_met;

/// Number of slots (worker tasks of the pool) for each chunk that is minted at once.
const SLOTS_PER_CHUNK: usize = 2;
/// Interval between two polls of the store for jobs that came in elsewhere.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum number of jobs that share the slots at once; the rest waits.
const JOBS_KNOWN_MAX: u32 = 1000;
/// Number of permanent failures of a chunk after which its job ends as failed.
const FAILURES_MAX: u32 = 5;
/// Pause after a failure, multiplied by the number of failures.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);
/// Pause of a job that can neither continue nor be ended.
const STUCK_PAUSE: Duration = Duration::from_secs(60);

/// The jobs that this process works on. Cheap to clone: all clones are the same pool.
#[derive(Clone, Debug)]
pub struct Pool {
    store: Store,
    settings: Arc<MintSettings>,
    schedule: Arc<Mutex<Schedule>>,
    has_polled: Arc<AtomicBool>,
    minted: Arc<Mutex<Share>>,
    /// Number of chunks minted at once.
    concurrency: usize,
    chunks: Arc<Semaphore>,
    /// Signals that there may be work for a slot.
    work: Arc<Notify>,
    /// Signals that there may be events to publish.
    outbox_wake: Arc<Notify>,
    observer: Observer,
}

/// The outcome of a turn.
enum TurnOutcome {
    Continues(JobExecution),
    Pauses(Option<JobExecution>, Duration),
    /// The job has ended; has its id, unless the job no longer existed.
    Ended(Option<Uuid>),
    /// This process cannot mint the job; other workers must.
    SetAside(Option<Uuid>, MintError),
}

impl Pool {
    pub fn new(store: Store, settings: MintSettings, concurrency: usize, outbox_wake: Arc<Notify>) -> Self {
        let (schedule, has_polled, minted, work) =
            (Arc::default(), Arc::default(), Arc::default(), Arc::new(Notify::new()));
        let (settings, chunks) = (Arc::new(settings), Arc::new(Semaphore::new(concurrency)));
        Self {
            store,
            settings,
            schedule,
            has_polled,
            minted,
            concurrency,
            chunks,
            work,
            outbox_wake,
            observer: Observer::default(),
        }
    }

    /// Returns the pool with an observer of its progress.
    #[must_use]
    pub fn observed(self, observer: Observer) -> Self {
        Self { observer, ..self }
    }

    /// Adds a job that has just come in, so that it need not wait for the next poll of the store.
    pub fn offer(&self, job: &Job) {
        if !job.state.is_final() {
            self.schedule().add_new(job);
            self.work.notify_one();
        }
    }

    /// Works until `stop` is cancelled, and returns when the current chunks are done.
    pub async fn run(&self, stop: &CancellationToken) {
        let mut slots = self.start_slots(stop);
        self.poll_for_jobs(stop).await;
        while slots.join_next().await.is_some() {}
    }

    /// Like [`Pool::run`], but only on jobs that were offered.
    pub async fn run_offered(&self, stop: &CancellationToken) {
        let mut slots = self.start_slots(stop);
        self.has_polled.store(true, Ordering::Release);
        while slots.join_next().await.is_some() {}
    }

    fn start_slots(&self, stop: &CancellationToken) -> JoinSet<()> {
        chunks::writers_allowed(self.concurrency);
        let mut slots = JoinSet::new();
        // Small jobs take longer to open and close than to mint: other slots mint meanwhile.
        for _ in 0..SLOTS_PER_CHUNK * self.concurrency {
            let (pool, stop) = (self.clone(), stop.clone());
            slots.spawn(async move { pool.work_in_slot(&stop).await });
        }
        slots
    }

    /// Returns true if the last poll of the store found no work for this process.
    pub fn is_idle(&self) -> bool {
        self.has_polled.load(Ordering::Acquire) && self.schedule().is_empty()
    }

    /// Returns all work that this process has done so far.
    pub fn minted(&self) -> Share {
        *self.minted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Polls the store for jobs that came in elsewhere.
    async fn poll_for_jobs(&self, stop: &CancellationToken) {
        let mut backoff = Backoff::new(stop);
        while !stop.is_cancelled() {
            match self.store.list_unfinished(JOBS_KNOWN_MAX).await {
                Ok(unfinished) => {
                    backoff.reset();
                    self.update(&unfinished);
                    backoff.wait(POLL_INTERVAL).await;
                }
                Err(error) => backoff.wait_after(&error).await,
            }
        }
    }

    fn update(&self, unfinished: &[(i64, u8)]) {
        let mut schedule = self.schedule();
        schedule.keep(unfinished);
        unfinished.iter().for_each(|(job_no, priority)| schedule.add(*job_no, *priority));
        self.has_polled.store(true, Ordering::Release);
        self.work.notify_waiters();
    }

    async fn work_in_slot(&self, stop: &CancellationToken) {
        let mut backoff = Backoff::new(stop);
        while !stop.is_cancelled() {
            let turn = self.schedule().take_turn(Instant::now(), self.concurrency);
            match turn {
                Some(turn) => self.take_turn_in_task(turn, &mut backoff).await,
                None => self.wait_for_work(stop).await,
            }
        }
    }

    async fn wait_for_work(&self, stop: &CancellationToken) {
        let longest = Instant::now() + POLL_INTERVAL;
        let until = self.schedule().next_wakeup().map_or(longest, |end| end.min(longest));
        tokio::select! {
            () = self.work.notified() => {}
            () = sleep_until(until) => {}
            () = stop.cancelled() => {}
        }
    }

    async fn take_turn_in_task(&self, turn: Turn, backoff: &mut Backoff<'_>) {
        let job_no = turn.job_no;
        // In a task of its own: a panic only ends this turn.
        let pool = self.clone();
        let stepped = tokio::spawn(async move { pool.step(turn).await }).await;
        let turned = match stepped {
            Ok(Ok((execution, progress))) => {
                backoff.reset();
                self.after_step(execution, progress)
            }
            Ok(Err((execution, error))) => {
                let span = self.span(job_no);
                self.after_error(job_no, execution, error, backoff).instrument(span).await
            }
            Err(panic) => {
                let (span, reason) = (self.span(job_no), format!("a fault in the program: {panic}"));
                self.after_failure(job_no, None, &reason).instrument(span).await
            }
        };
        self.finish_turn(job_no, turned);
    }

    /// Performs one step of a job. Returns no execution if the job has ended or no longer exists.
    async fn step(&self, turn: Turn) -> Result<(Option<JobExecution>, StepOutcome), (Option<JobExecution>, MintError)> {
        let mut execution = match (turn.execution, turn.job) {
            (Some(execution), _) => execution,
            (None, Some(job)) => self.new_execution(&job),
            (None, None) => match self.store.find_job_by_no(turn.job_no).await {
                Ok(Some(job)) if !job.state.is_final() => self.new_execution(&job),
                Ok(_) => return Ok((None, StepOutcome::Ended)),
                Err(error) => return Err((None, error.into())),
            },
        };
        let stepped = execution.step().await;
        // A failed step may have minted a chunk before it failed.
        let share = std::mem::take(&mut execution.share);
        self.schedule().count_share(turn.job_no, share);
        self.minted.lock().unwrap_or_else(PoisonError::into_inner).add(share);
        if let Some(times) = execution.times.take() {
            self.observer.tell(Observed::ChunkMinted { job_no: turn.job_no, codes: share.codes, times });
        }
        match stepped {
            Ok(progress) => Ok((Some(execution), progress)),
            Err(error) => Err((Some(execution), error)),
        }
    }

    /// Returns the span of a job; a disabled one before the job's first turn.
    fn span(&self, job_no: i64) -> Span {
        self.schedule().span(job_no, Span::none)
    }

    fn new_execution(&self, job: &Job) -> JobExecution {
        self.observer.tell(Observed::JobBegun { job_no: job.no, at: Instant::now() });
        let (span, mask) = {
            let mut schedule = self.schedule();
            (schedule.span(job.no, || job_span(job)), schedule.shared_mask(job.no))
        };
        let execution = JobExecution::new(&self.store, job, Arc::clone(&self.settings), span);
        execution.sharing(mask).limited(Arc::clone(&self.chunks))
    }

    fn after_step(&self, execution: Option<JobExecution>, progress: StepOutcome) -> TurnOutcome {
        if execution.as_ref().is_some_and(|execution| execution.job.options.emits_events) {
            self.outbox_wake.notify_one();
        }
        match (progress, execution) {
            (StepOutcome::Made, Some(execution)) => TurnOutcome::Continues(execution),
            (StepOutcome::OthersAtWork, execution) => TurnOutcome::Pauses(execution, OTHERS_AT_WORK_PAUSE),
            (StepOutcome::Ended | StepOutcome::Made, execution) => {
                TurnOutcome::Ended(execution.map(|execution| execution.job.id))
            }
        }
    }

    async fn after_error(
        &self,
        job_no: i64,
        execution: Option<JobExecution>,
        error: MintError,
        backoff: &mut Backoff<'_>,
    ) -> TurnOutcome {
        match error {
            MintError::Store(error) if error.class() != ErrorClass::Permanent => {
                if execution.as_ref().and_then(JobExecution::claimed).is_some() {
                    chunks::chunk_retried(error.class().as_str());
                }
                backoff.wait_after(&error).await;
                TurnOutcome::Pauses(execution, Duration::ZERO)
            }
            MintError::GeneratorVersion { .. }
            | MintError::CheckKey { .. }
            | MintError::DeniedWords { .. }
            | MintError::Import => TurnOutcome::SetAside(execution.map(|execution| execution.job.id), error),
            error => {
                if let MintError::Store(error) = &error {
                    store_error_met(error.class().as_str());
                }
                self.after_failure(job_no, execution.as_ref().and_then(JobExecution::claimed), &error.to_string()).await
            }
        }
    }

    /// Handles an error that a retry will probably not fix: after [`FAILURES_MAX`] failures the job ends.
    async fn after_failure(&self, job_no: i64, chunk: Option<i64>, reason: &str) -> TurnOutcome {
        let failures = match chunk {
            Some(run_no) => self.store.count_chunk_failure(run_no, FAILURES_MAX).await,
            None => Ok(self.schedule().count_failure(job_no)),
        };
        // If the store is away, the failure was not counted.
        let failures = failures.unwrap_or_default();
        if failures < FAILURES_MAX {
            tracing::warn!(job_no, run_no = chunk, failures, reason, "a chunk failed; retrying");
            chunks::chunk_retried("failed");
            return TurnOutcome::Pauses(None, FAILURE_PAUSE * failures.max(1));
        }
        tracing::error!(
            job_no,
            run_no = chunk,
            failures,
            reason,
            "a chunk failed too often; its job ends as failed with the codes that it has; fix the reason, then request the \
             job again under another id"
        );
        let message = format!("a chunk failed {failures} times: {reason}");
        match self.store.fail_job(job_no, JobError { code: "chunk_failed".to_owned(), message }).await {
            Ok(closed) => {
                if let CloseJob::Ended(end) = closed {
                    log_end(end);
                }
                self.outbox_wake.notify_one();
                TurnOutcome::Pauses(None, Duration::ZERO)
            }
            Err(error) => {
                tracing::error!(job_no, %error, "the job cannot be ended either; retrying every minute");
                TurnOutcome::Pauses(None, STUCK_PAUSE)
            }
        }
    }

    fn finish_turn(&self, job_no: i64, turned: TurnOutcome) {
        let mut schedule = self.schedule();
        match turned {
            TurnOutcome::Continues(execution) => {
                schedule.forget_failures(job_no);
                schedule.give_back(job_no, Some(execution), None);
            }
            TurnOutcome::Pauses(execution, pause) => {
                schedule.give_back(job_no, execution, Some(Instant::now() + pause))
            }
            // Other slots may find the same end: it is logged once.
            TurnOutcome::Ended(job_id) => {
                let share = schedule.remove(job_no);
                if share.is_some() {
                    self.observer.tell(Observed::JobEnded { job_no, at: Instant::now() });
                }
                if let (Some(job_id), Some(Share { chunks, codes })) = (job_id, share) {
                    tracing::debug!(%job_id, chunks, codes, "this process's share of an ended job");
                }
            }
            TurnOutcome::SetAside(job_id, error) => {
                if schedule.set_aside(job_no) {
                    let job_id = job_id.map(|id| id.to_string()).unwrap_or_default();
                    tracing::warn!(job_id, %error, "the job is left to other workers; it needs the settings it was created with");
                }
            }
        }
    }

    /// Locks the schedule, which is consistent after each of its calls, even if another thread panicked.
    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
