//! Minting and following jobs until they end, with a progress bar and a final report.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::output::Target;
use crate::cli::support::text::counted;
use crate::config::policy_files;
use codemint_codes::job::record::Job;
use codemint_codes::job::state::State;
use codemint_codes::policy::Policy;
use codemint_codes::text::{grouped, printable};
use codemint_codes::wire::document::JobDocument;
use codemint_store::admission::waiting::pause_after_deciding;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_worker::mint::error::MintError;
use codemint_worker::mint::task::MintSettings;
use codemint_worker::runner::job_execution::Share;
use codemint_worker::runner::single::{RunEnd, run_job_while};

const WATCH_INTERVAL: Duration = Duration::from_millis(250);
/// A worker that is free takes a job within this time.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// Works on a job until it has ended; returns the ended job and the share of this process.
///
/// # Errors
/// `interrupted`, with the command that resumes the job.
pub async fn mint(context: &Context, store: &Store, job: &Job) -> Result<(Job, Share), Failure> {
    let settings =
        MintSettings { policy: policy_files::load(&context.config)?, filters: context.config.filters, import: None };
    let resume = format!("{} resumes the job", context.command(format_args!("jobs resume {}", job.id)));
    wait_for_room(context, store, job, &settings.policy).await.map_err(|failure| failure.with_hint(&resume))?;
    run_to_end(context, store, job, &settings, &resume).await
}

/// Returns false if the database user may only order codes, as members of codemint_marketer.
pub async fn may_mint(context: &Context, store: &Store) -> Result<bool, Failure> {
    context.with_retries(async || store.may_mint().await).await
}

/// Notes that codes are only ordered; `what` is the beginning of the sentence, such as "the codes are".
pub fn note_order(context: &Context, what: &str, job: Option<Uuid>) {
    let show = context.command(match job {
        Some(id) => format!("jobs show {id}"),
        None => "jobs show ID".to_owned(),
    });
    context.note(&format!(
        "note: the database user may not mint, so {what} only ordered, and a worker mints; {show} shows whether it has"
    ));
}

/// Waits until a job that waits for room may start or has ended.
///
/// # Errors
/// `interrupted` on a stop request; the job still waits.
async fn wait_for_room(context: &Context, store: &Store, job: &Job, policy: &Policy) -> Result<(), Failure> {
    let Some(reason) = &job.waits_for else { return Ok(()) };
    let cancel = context.command(format_args!("jobs cancel {}", job.id));
    context.note(&format!("note: job {} waits for room: {reason}; Ctrl-C stops waiting, {cancel} gives it up", job.id));
    loop {
        let started = Instant::now();
        context.with_retries(async || store.decide_waiting(policy).await).await?;
        let found = context.with_retries(async || store.find_job(job.id).await).await?;
        if found.is_none_or(|job| job.waits_for.is_none()) {
            return Ok(());
        }
        context.stop.check(|| format!("stopped; job {} still waits for room", job.id))?;
        tokio::select! {
            () = tokio::time::sleep(pause_after_deciding(started.elapsed())) => {}
            () = context.stop.token().cancelled() => {}
        }
    }
}

/// Works on a job until it has ended; `resume` describes how to resume it.
pub async fn run_to_end(
    context: &Context,
    store: &Store,
    job: &Job,
    settings: &MintSettings,
    resume: &str,
) -> Result<(Job, Share), Failure> {
    let (end, share) = {
        let _bar = context.progress.follow(store, job);
        let may_wait = |error: &StoreError, waited| context.may_wait(error, waited);
        let run = run_job_while(store, job, settings, context.stop.token(), &may_wait);
        run.await.map_err(|error| match error {
            // Only a process with another input or policy can resume it.
            MintError::Import | MintError::CheckKey { .. } | MintError::DeniedWords { .. } => Failure::from(error),
            _ => Failure::from(error).with_hint(resume),
        })?
    };
    if end == RunEnd::Stopped {
        context.stop.check(|| format!("stopped; {resume}"))?;
    }
    let job = context.with_retries(async || store.find_job(job.id).await).await?;
    let job = job.ok_or_else(|| Failure::other("the job is gone from the store"))?;
    Ok((job, share))
}

/// Follows a job with a progress bar. Waits for a job that does not exist yet: its message may be in a queue.
///
/// # Errors
/// `interrupted` on a stop request; the job continues.
pub async fn watch_to_the_end(context: &Context, store: &Store, id: Uuid) -> Result<Job, Failure> {
    let (mut bar, asked_at, mut is_noted) = (None, Instant::now(), false);
    loop {
        let found = context.with_retries(async || store.find_job(id).await).await?;
        if let Some(job) = found.as_ref().filter(|job| job.state.is_final()) {
            return Ok(job.clone());
        }
        let is_begun = found.as_ref().is_some_and(|job| job.state != State::Queued);
        if !is_begun && !is_noted && asked_at.elapsed() >= TAKEN_WITHIN {
            let worker = context.command("worker");
            context
                .note(&format!("note: no worker has taken job {id} yet; if none is running, start one with {worker}"));
            is_noted = true;
        }
        if let (Some(job), None) = (&found, &bar) {
            bar = Some(context.progress.follow(store, job));
        }
        context.stop.check(|| format!("stopped watching; job {id} continues"))?;
        tokio::select! {
            () = tokio::time::sleep(WATCH_INTERVAL) => {}
            () = context.stop.token().cancelled() => {}
        }
    }
}

/// The final report of `generate` and `jobs resume`.
#[derive(Debug, Serialize)]
pub struct Summary {
    #[serde(flatten)]
    job: JobDocument,
    /// The duration of minting, without writing an output.
    seconds: f64,
    /// The number of codes that this process minted.
    minted_here: u64,
    codes_per_second: u64,
    store: String,
    output: Option<String>,
}

impl Summary {
    pub fn new(context: &Context, job: &Job, share: Share, minting: Duration, target: Option<&Target>) -> Self {
        let seconds = minting.as_secs_f64();
        Self {
            job: JobDocument::from(job),
            seconds: (seconds * 1000.0).round() / 1000.0,
            minted_here: share.codes,
            codes_per_second: (share.codes as f64 / seconds.max(0.001)).round() as u64,
            store: context.config.store.to_string(),
            output: target.map(ToString::to_string),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "job       {}", self.job.job_id)?;
        write!(f, "codes     {}", grouped(self.job.minted.into()))?;
        if self.minted_here != self.job.minted {
            write!(f, ", {} of them by this process", grouped(self.minted_here.into()))?;
        }
        if self.job.rejected > 0 {
            let rejected = counted(self.job.rejected.into(), "candidate");
            write!(f, " ({rejected} rejected: {})", self.job.rejected_by_reason)?;
        }
        writeln!(f, "\ntime      {:.2} s, {} codes/s", self.seconds, grouped(self.codes_per_second.into()))?;
        write!(f, "store     {}", printable(&self.store))?;
        for warning in &self.job.warnings {
            write!(f, "\nwarning   {}", printable(warning))?;
        }
        if let Some(output) = &self.output {
            write!(f, "\noutput    {}", printable(output))?;
        }
        Ok(())
    }
}
