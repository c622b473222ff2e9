//! One turn of a job: a step of its execution, and what follows from the result.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;
use tracing::{Instrument, Span};
use uuid::Uuid;

use crate::mint::error::MintError;
use crate::mint::task::MintSettings;
use crate::runner::backoff::Backoff;
use crate::runner::job_execution::{JobExecution, OTHERS_AT_WORK_PAUSE, Share, StepOutcome, job_span};
use crate::runner::observer::{Observed, Observer};
use crate::runner::pool_keeper::PoolKeeper;
use crate::runner::schedule::{Schedule, Turn};
use codemint_codes::job::record::Job;
use codemint_codes::job::state::JobError;
use codemint_store::admission::waiting::DecidedWaiting;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::minting::closing::CloseJob;
use codemint_store::minting::lifecycle::log_end;
use codemint_telemetry::metrics::chunks;
use codemint_telemetry::metrics::store::store_error_met;

/// Number of permanent failures of a chunk after which its job ends as failed.
const FAILURES_MAX: u32 = 5;
/// Pause after a failure, multiplied by the number of failures.
const FAILURE_PAUSE: Duration = Duration::from_millis(500);
/// Pause of a job that can neither continue nor be ended.
const STUCK_PAUSE: Duration = Duration::from_secs(60);

/// What all turns of a pool share.
#[derive(Clone, Debug)]
pub(crate) struct Turns {
    pub store: Store,
    settings: Arc<MintSettings>,
    schedule: Arc<Mutex<Schedule>>,
    minted: Arc<Mutex<Share>>,
    /// Limits how many chunks are minted at once.
    chunks: Arc<Semaphore>,
    /// Signals that there may be events to publish.
    outbox_wake: Arc<Notify>,
    pub observer: Observer,
}

/// The result of a step, and the execution that made it, unless the job has ended or no longer exists.
struct Stepped {
    execution: Option<JobExecution>,
    result: Result<StepOutcome, MintError>,
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

impl Turns {
    pub fn new(store: Store, settings: MintSettings, concurrency: usize, outbox_wake: Arc<Notify>) -> Self {
        Self {
            store,
            settings: Arc::new(settings),
            schedule: Arc::default(),
            minted: Arc::default(),
            chunks: Arc::new(Semaphore::new(concurrency)),
            outbox_wake,
            observer: Observer::default(),
        }
    }

    /// Gives a job its turn.
    pub async fn take(&self, turn: Turn, backoff: &mut Backoff<'_>) {
        let job_no = turn.job_no;
        // In a task of its own: a panic only ends this turn.
        let turns = self.clone();
        let outcome = match tokio::spawn(async move { turns.step(turn).await }).await {
            Ok(Stepped { execution, result: Ok(outcome) }) => {
                backoff.reset();
                self.after_step(execution, outcome)
            }
            Ok(Stepped { execution, result: Err(error) }) => {
                let span = self.span(job_no);
                self.after_error(job_no, execution, error, backoff).instrument(span).await
            }
            Err(panic) => {
                let (span, reason) = (self.span(job_no), format!("a fault in the program: {panic}"));
                self.after_failure(job_no, None, &reason).instrument(span).await
            }
        };
        self.finish_turn(job_no, outcome);
    }

    /// Locks the schedule, which is consistent after each of its calls, even if another thread panicked.
    pub fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the total of all work.
    pub fn minted(&self) -> MutexGuard<'_, Share> {
        self.minted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Decides about the jobs that wait for room, and schedules those that may start. Returns how many no longer wait.
    pub async fn decide_waiting(&self) -> Result<usize, StoreError> {
        let decided = self.store.decide_waiting(&self.settings.policy).await?;
        for DecidedWaiting { job_no, end } in &decided {
            let Some(job) = self.store.find_job_by_no(*job_no).await? else { continue };
            match end {
                Some(end) => job_span(&job).in_scope(|| log_end(Some(*end))),
                None => self.schedule().add_new(&job),
            }
        }
        if !decided.is_empty() {
            self.outbox_wake.notify_one();
        }
        Ok(decided.len())
    }

    /// Orders codes for pools that are low, and returns the new jobs.
    pub async fn keep_pools(&self, keeper: &mut PoolKeeper) -> Result<Vec<Job>, StoreError> {
        keeper.look(&self.store, &self.settings.policy).await
    }

    /// Performs one step of a job.
    async fn step(&self, turn: Turn) -> Stepped {
        let job_no = turn.job_no;
        let mut execution = match self.execution_for(turn).await {
            Ok(Some(execution)) => execution,
            Ok(None) => return Stepped { execution: None, result: Ok(StepOutcome::Ended) },
            Err(error) => return Stepped { execution: None, result: Err(error.into()) },
        };
        let result = execution.step().await;
        self.count_work(job_no, &mut execution);
        Stepped { execution: Some(execution), result }
    }

    /// Returns the execution that worked on the job before, or a new one; `None` if the job has ended.
    async fn execution_for(&self, turn: Turn) -> Result<Option<JobExecution>, StoreError> {
        if turn.execution.is_some() {
            return Ok(turn.execution);
        }
        let job = match turn.job {
            Some(job) => Some(job),
            None => self.store.find_job_by_no(turn.job_no).await?.filter(|job| !job.state.is_final()),
        };
        Ok(job.map(|job| self.new_execution(&job)))
    }

    fn new_execution(&self, job: &Job) -> JobExecution {
        self.observer.report(Observed::JobBegun { job_no: job.no, at: Instant::now() });
        let (span, mask) = {
            let mut schedule = self.schedule();
            (schedule.span(job.no, || job_span(job)), schedule.shared_mask(job.no))
        };
        let execution = JobExecution::new(&self.store, job, Arc::clone(&self.settings), span);
        execution.sharing(mask).limited(Arc::clone(&self.chunks))
    }

    /// Counts what a step has minted; a failed step may have minted a chunk before it failed.
    fn count_work(&self, job_no: i64, execution: &mut JobExecution) {
        let share = std::mem::take(&mut execution.share);
        self.schedule().count_share(job_no, share);
        self.minted().add(share);
        if let Some(times) = execution.times.take() {
            self.observer.report(Observed::ChunkMinted { job_no, codes: share.codes, times });
        }
    }

    /// Returns the span of a job; a disabled one before the job's first turn.
    fn span(&self, job_no: i64) -> Span {
        self.schedule().span(job_no, Span::none)
    }

    fn after_step(&self, execution: Option<JobExecution>, outcome: StepOutcome) -> TurnOutcome {
        if execution.as_ref().is_some_and(|execution| execution.job.options.emits_events) {
            self.outbox_wake.notify_one();
        }
        match (outcome, execution) {
            (StepOutcome::Advanced, Some(execution)) => TurnOutcome::Continues(execution),
            (StepOutcome::OthersAtWork, execution) => TurnOutcome::Pauses(execution, OTHERS_AT_WORK_PAUSE),
            (StepOutcome::Ended | StepOutcome::Advanced, execution) => {
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
            MintError::Store(error) if error.is_retryable() => {
                if execution.as_ref().and_then(JobExecution::claimed).is_some() {
                    chunks::chunk_retried(error.class().into_str());
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
                    store_error_met(error.class().into_str());
                }
                self.after_failure(job_no, execution.as_ref().and_then(JobExecution::claimed), &error.to_string()).await
            }
        }
    }

    /// Handles an error that a retry will probably not fix: after [`FAILURES_MAX`] failures the job ends.
    async fn after_failure(&self, job_no: i64, chunk: Option<i64>, reason: &str) -> TurnOutcome {
        let failures = self.count_failure(job_no, chunk).await;
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
        self.fail_job(job_no, format!("a chunk failed {failures} times: {reason}")).await
    }

    /// Returns the failures so far. If the store is away, the failure is not counted.
    async fn count_failure(&self, job_no: i64, chunk: Option<i64>) -> u32 {
        match chunk {
            Some(run_no) => self.store.count_chunk_failure(run_no, FAILURES_MAX).await.unwrap_or_default(),
            None => self.schedule().count_failure(job_no),
        }
    }

    async fn fail_job(&self, job_no: i64, message: String) -> TurnOutcome {
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

    fn finish_turn(&self, job_no: i64, outcome: TurnOutcome) {
        let mut schedule = self.schedule();
        match outcome {
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
                    self.observer.report(Observed::JobEnded { job_no, at: Instant::now() });
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
}
