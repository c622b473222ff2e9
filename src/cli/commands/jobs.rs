//! `codemint jobs`: lists, shows, follows, resumes, cancels, prunes and withdraws jobs.

use std::time::Instant;

use clap::{Args, Subcommand};
use tracing::Instrument;
use uuid::Uuid;

use crate::cli::commands::prune::Prune;
use crate::cli::commands::withdraw::Withdraw;
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::minting::{Summary, mint, watch_to_the_end};
use crate::cli::support::requests::from_to;
use crate::cli::support::terminal::{print_json, print_line};
use crate::cli::support::text::{counted, quoted};
use codemint_codes::job::record::Job;
use codemint_codes::job::restriction::RestrictedTo;
use codemint_codes::job::state::State;
use codemint_codes::text::{grouped, printable};
use codemint_codes::wire::document::JobDocument;
use codemint_codes::wire::shown_job::ShownJob;
use codemint_store::connection::store::Access;
use codemint_store::records::reports::JobFilter;
use codemint_worker::runner::job_execution::job_span;

const LIST_MAX: u32 = 10_000;

/// List, follow, resume, cancel and prune jobs, and withdraw imports
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    List(List),
    Show(Show),
    Watch(Watch),
    Resume(Resume),
    Cancel(Cancel),
    Prune(Prune),
    Withdraw(Withdraw),
}

impl JobsCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::List(list) => list.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::Watch(watch) => watch.run(context).await,
            Self::Resume(resume) => resume.run(context).await,
            Self::Cancel(cancel) => cancel.run(context).await,
            Self::Prune(prune) => prune.run(context).await,
            Self::Withdraw(withdraw) => withdraw.run(context).await,
        }
    }
}

/// List jobs, newest first; a note says how many more there are than --limit
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint jobs list --state running
  codemint jobs list --campaign vip --limit 5 --json")]
pub struct List {
    /// Only jobs in this state: queued, running, cancelling, cancelled, completed, failed
    #[arg(long)]
    state: Option<State>,
    /// Only jobs of this campaign
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Maximum number of jobs
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = from_to::<u32>(1, LIST_MAX.into()))]
    limit: u32,
    /// List the jobs after this one, the last job of the previous page
    #[arg(long, value_name = "JOB", value_parser = find::job_id)]
    after: Option<Uuid>,
    /// Report as a JSON array
    #[arg(long)]
    json: bool,
}

impl List {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let before_no = match self.after {
            Some(id) => Some(find::job(context, &store, id).await?.no),
            None => None,
        };
        let filter = JobFilter { state: self.state, campaign: self.campaign.clone(), before_no, limit: self.limit };
        let jobs = store.list_jobs(&filter).await?;
        if self.json {
            return print_json(&jobs.iter().map(JobDocument::from).collect::<Vec<_>>());
        }
        if jobs.is_empty() {
            context.note("no jobs");
        } else {
            print_line(&format!(
                "{:<36}  {:<10}  {:>13}  {:>13}  {:<20}  MASK",
                "JOB", "STATE", "MINTED", "REQUESTED", "CREATED"
            ))?;
        }
        for job in &jobs {
            print_line(&list_line(job))?;
        }
        match jobs.last() {
            Some(last) if jobs.len() == self.limit as usize && !context.quiet => {
                let filter = JobFilter { before_no: Some(last.no), ..filter };
                self.note_more(context, store.count_jobs(&filter).await?, last.id);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Prints how many more jobs match, and the command that lists them.
    fn note_more(&self, context: &Context, more: u64, last: Uuid) {
        if more == 0 {
            return;
        }
        let state = self.state.map(|state| format!(" --state {state}")).unwrap_or_default();
        let campaign = self.campaign.as_deref().map(|name| format!(" --campaign {}", quoted(name))).unwrap_or_default();
        let next = format_args!("jobs list{state}{campaign} --limit {} --after {last}", self.limit);
        context.note(&format!("{} more; {} lists the next ones", counted(more.into(), "job"), context.command(next)));
    }
}

fn list_line(job: &Job) -> String {
    let campaign = job.campaign.as_deref().map(|name| format!("  ({})", printable(name))).unwrap_or_default();
    let waits = if job.waits_for.is_some() { "  waits for room" } else { "" };
    format!(
        "{}  {:<10}  {:>13}  {:>13}  {}  {}{campaign}{waits}",
        job.id,
        job.state.into_str(),
        grouped(job.minted.into()),
        grouped(job.count.into()),
        job.created_at.format("%Y-%m-%dT%H:%M:%SZ"),
        printable(job.title()),
    )
}

/// Show one job
#[derive(Debug, Args)]
pub struct Show {
    /// Job id from `codemint jobs list`
    #[arg(value_parser = find::job_id)]
    job: Uuid,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let (store, job) = find::store_and_job(context, self.job).await?;
        let screenings = store.count_screenings(job.no).await?;
        if self.json {
            return print_json(&ShownJob::new(&job, &screenings));
        }
        report(&job, false)?;
        screenings.iter().try_for_each(|(screening, chunks)| {
            let line = format!("{}, chunks: {chunks}; {}", screening.into_str(), screening.reason());
            print_line(&format!("{:<10}{line}", "screening"))
        })
    }
}

/// Follow a job until it ends; exit code 3 if it fails or is cancelled
#[derive(Debug, Args)]
pub struct Watch {
    /// Job id from `codemint jobs list`
    #[arg(value_parser = find::job_id)]
    job: Uuid,
    /// Report the ended job as JSON
    #[arg(long)]
    json: bool,
}

impl Watch {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let (store, _) = find::store_and_job(context, self.job).await?;
        let job = watch_to_the_end(context, &store, self.job).await?;
        report(&job, self.json)?;
        find::require_completed(context, &job)
    }
}

/// Resume an interrupted job, or help other processes that work on it
#[derive(Debug, Args)]
pub struct Resume {
    /// Job id from `codemint jobs list`
    #[arg(value_parser = find::job_id)]
    job: Uuid,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Resume {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let (store, job) = find::store_and_job(context, self.job).await?;
        let started = Instant::now();
        let (job, share) = mint(context, &store, &job).await?;
        let completed = find::require_completed(context, &job);
        let summary = Summary::new(context, &job, share, started.elapsed(), None);
        if self.json {
            print_json(&summary)?;
        } else if completed.is_ok() {
            print_line(&summary.to_string())?;
            print_restriction(&job)?;
        }
        completed
    }
}

/// Cancel a job; the codes minted so far are kept and counted
#[derive(Debug, Args)]
pub struct Cancel {
    /// Job id from `codemint jobs list`
    #[arg(value_parser = find::job_id)]
    job: Uuid,
    /// Report the cancelled job as JSON
    #[arg(long)]
    json: bool,
}

impl Cancel {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let (store, job) = find::store_and_job(context, self.job).await?;
        context.with_retries(async || store.cancel_job(&job, None).await).instrument(job_span(&job)).await?;
        let job = find::job(context, &store, self.job).await?;
        report(&job, self.json)?;
        if job.state == State::Cancelled {
            return Ok(());
        }
        Err(Failure::negative_result(format!("job {} cannot be cancelled: it is already {}", job.id, job.state)))
    }
}

fn report(job: &Job, as_json: bool) -> Result<(), Failure> {
    let document = JobDocument::from(job);
    if as_json {
        return print_json(&document);
    }
    let time = |time: Option<chrono::DateTime<chrono::Utc>>| {
        time.map_or("-".to_owned(), |time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
    };
    let rejected = match document.rejected {
        0 => "0".to_owned(),
        rejected => format!("{} ({})", grouped(rejected.into()), document.rejected_by_reason),
    };
    let rows = [
        ("job", document.job_id.to_string()),
        ("mask", document.mask.unwrap_or_else(|| "-".to_owned())),
        ("campaign", document.campaign.unwrap_or_else(|| "-".to_owned())),
        ("state", document.state.to_owned()),
        ("requested", grouped(document.requested.into())),
        ("minted", grouped(document.minted.into())),
        ("rejected", rejected),
        ("created", time(Some(document.created_at))),
        ("started", time(document.started_at)),
        ("finished", time(document.finished_at)),
        ("digest", document.digest.unwrap_or_else(|| "-".to_owned())),
        ("error", document.error.map_or("-".to_owned(), |error| format!("{}: {}", error.code, error.message))),
    ];
    let reason_to_wait = document.waits_for.map(|reason| ("waits for", format!("room: {reason}")));
    let warnings = document.warnings.into_iter().map(|warning| ("warning", warning));
    rows.into_iter()
        .chain(reason_to_wait)
        .chain(warnings)
        .try_for_each(|(name, value)| print_line(&format!("{name:<10}{}", printable(&value))))?;
    print_restriction(job)
}

/// Prints where the codes of a job of a restricted campaign go.
fn print_restriction(job: &Job) -> Result<(), Failure> {
    match job.options.restricted_to {
        Some(RestrictedTo::List { .. }) => print_line("list      each code is bound to an identity of a list"),
        Some(RestrictedTo::Pool) => print_line("pool      the codes go into the pool of the campaign"),
        None => Ok(()),
    }
}
