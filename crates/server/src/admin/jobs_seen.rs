//! Jobs in progress and the latest finished jobs, as the page shows them. The store is read only when a page is
//! requested, however many requests there are.

use std::collections::HashMap;
use std::time::Duration;

use chrono::Utc;
use indicatif::{HumanCount, HumanDuration};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use codemint_codes::job::record::Job;
use codemint_codes::text::printable;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::records::reports::JobFilter;

/// Minimum interval between two reads of the store.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Maximum time that a page request waits for the store.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// Maximum age of an earlier read from which the current rate of a job is computed.
const RATE_SPAN_MAX: Duration = Duration::from_secs(60);
const RUNNING_MAX: u32 = 20;
/// Number of latest jobs among which finished ones are searched.
const LATEST_MAX: u32 = 50;
const ENDED_MAX: usize = 10;

/// The jobs as they were read last.
#[derive(Debug, Default)]
pub struct JobsSeen(Mutex<Look>);

#[derive(Debug, Default)]
struct Look {
    at: Option<Instant>,
    lines: JobLines,
    /// A time and the number of codes that the job had then, by job number.
    minted: HashMap<i64, (Instant, u64)>,
}

/// The jobs as the page shows them.
#[derive(Clone, Debug, Default)]
pub struct JobLines {
    pub running: Vec<RunningJob>,
    pub ended: Vec<EndedJob>,
    /// The reason why nothing new could be read.
    pub trouble: Option<String>,
}

#[derive(Clone, Debug)]
pub struct RunningJob {
    pub id: String,
    /// Empty if the job has none.
    pub campaign: String,
    pub minted: u64,
    pub count: u64,
    /// `120,000 of 1,000,000`
    pub progress: String,
    pub percent: u64,
    /// Codes per second; empty while unknown.
    pub rate: String,
    pub remaining: String,
}

#[derive(Clone, Debug)]
pub struct EndedJob {
    pub id: String,
    pub campaign: String,
    pub state: &'static str,
    pub codes: String,
    /// The duration, or the error code of a failed job: not the error message, which may name a mask that is a code.
    pub note: String,
    pub ago: String,
}

impl JobsSeen {
    pub async fn look(&self, store: &Store) -> JobLines {
        let mut look = self.0.lock().await;
        if look.at.is_some_and(|at| at.elapsed() < LOOK_INTERVAL) {
            return look.lines.clone();
        }
        match timeout(ANSWER_TIMEOUT, read(store)).await {
            Ok(Ok((running, ended))) => look.renew(&running, &ended),
            Ok(Err(error)) => look.lines.trouble = Some(printable(&error.to_string())),
            Err(_elapsed) => look.lines.trouble = Some("the store does not answer".to_owned()),
        }
        look.at = Some(Instant::now());
        look.lines.clone()
    }
}

async fn read(store: &Store) -> Result<(Vec<Job>, Vec<Job>), StoreError> {
    let latest = JobFilter { limit: LATEST_MAX, ..JobFilter::default() };
    let (running, latest) = (store.list_running(RUNNING_MAX).await?, store.list_jobs(&latest).await?);
    let mut ended: Vec<Job> = latest.into_iter().filter(|job| job.state.is_final()).collect();
    ended.sort_by_key(|job| std::cmp::Reverse(job.finished_at));
    ended.truncate(ENDED_MAX);
    Ok((running, ended))
}

impl Look {
    fn renew(&mut self, running: &[Job], ended: &[Job]) {
        let now = Instant::now();
        let lines = running.iter().map(|job| running_line(job, self.rate(job, now))).collect();
        self.minted.retain(|no, _| running.iter().any(|job| job.no == *no));
        for job in running {
            let before = self.minted.entry(job.no).or_insert((now, job.minted));
            // A read too close to this one would give no useful rate.
            if now - before.0 >= RATE_SPAN_MAX / 2 {
                *before = (now, job.minted);
            }
        }
        self.lines = JobLines { running: lines, ended: ended.iter().map(ended_line).collect(), trouble: None };
    }

    /// Returns the codes per second since an earlier read or, without one, since the job began.
    fn rate(&self, job: &Job, now: Instant) -> Option<f64> {
        let (since, minted) = match self.minted.get(&job.no) {
            Some((at, minted)) if now - *at <= RATE_SPAN_MAX && now > *at => (now - *at, job.minted - minted),
            _ => ((Utc::now() - job.started_at?).to_std().ok()?, job.minted),
        };
        (since > Duration::ZERO).then(|| minted as f64 / since.as_secs_f64())
    }
}

fn running_line(job: &Job, rate: Option<f64>) -> RunningJob {
    let rate = rate.filter(|rate| *rate > 0.0);
    let remaining = rate.and_then(|rate| Duration::try_from_secs_f64(job.missing() as f64 / rate).ok());
    RunningJob {
        id: job.id.to_string(),
        campaign: job.campaign.as_deref().map(printable).unwrap_or_default(),
        minted: job.minted,
        count: job.count,
        progress: format!("{} of {}", HumanCount(job.minted), HumanCount(job.count)),
        percent: (u128::from(job.minted) * 100 / u128::from(job.count.max(1))) as u64,
        rate: rate.map(|rate| format!("{}/s", HumanCount(rate as u64))).unwrap_or_default(),
        remaining: remaining.map(|remaining| HumanDuration(remaining).to_string()).unwrap_or_default(),
    }
}

fn ended_line(job: &Job) -> EndedJob {
    let run_time = job.started_at.zip(job.finished_at).and_then(|(from, to)| (to - from).to_std().ok());
    let since = job.finished_at.and_then(|finished_at| (Utc::now() - finished_at).to_std().ok()).unwrap_or_default();
    let note = match (&job.error, run_time) {
        (Some(error), _) => printable(&error.code.replace('_', " ")),
        (None, Some(run_time)) => format!("in {:.1} s", run_time.as_secs_f64()),
        (None, None) => String::new(),
    };
    EndedJob {
        id: job.id.to_string(),
        campaign: job.campaign.as_deref().map(printable).unwrap_or_default(),
        state: job.state.into_str(),
        codes: HumanCount(job.minted).to_string(),
        note,
        ago: format!("{} ago", HumanDuration(since)),
    }
}
