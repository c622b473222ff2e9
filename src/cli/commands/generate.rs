//! `codemint generate`: mints a number of codes of a mask.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use crate::cli::commands::export;
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::output::{Format, Target};
use crate::cli::support::terminal::{is_terminal, json, print_line, say};
use crate::cli::support::text::{grouped, quoted, with_caret};
use crate::config::policy_files;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::{Request, RequestError};
use codemint_codes::overlap::size;
use codemint_codes::wire::document::JobDocument;
use codemint_store::admission::submit::PutJob;
use codemint_store::connection::store::{Access, Store};
use codemint_store::records::audit::{AuditEntry, Outcome};
use codemint_worker::mint::error::MintError;
use codemint_worker::mint::task::MintSettings;
use codemint_worker::runner::job_execution::Share;
use codemint_worker::runner::single::{RunEnd, run_job};

/// Mint codes and wait until they are done
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint generate 'MY_LITTLE_PROMO????##' --count 1000000 --output codes.csv
  codemint generate 'VIP-[:safe:]{10}' --count 500 --campaign vip --format txt --output -
  codemint --store postgres://mint@db/shop generate 'X[A-HJ-NP-Z2-9]{9}' --count 2000000

In a mask, # is a digit, ? a letter and * either; [A-F0-9] is one of these characters; [:safe:] is
a character that is neither a vowel nor easily misread; #{6} is six digits; \\# is the character #
itself; [:check:] at the end is a check character, computed from the rest with the secret in
check.key_file. See `codemint mask explain`.")]
pub struct Generate {
    /// Mask of the codes, such as 'MY_LITTLE_PROMO????##'
    mask: String,
    /// Number of codes
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = whole_number)]
    count: i128,
    /// Campaign name, shown in reports and events
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Job id; the same id with the same request resumes or reports that job [default: a new id]
    #[arg(long, value_name = "UUID", value_parser = find::new_job_id)]
    job_id: Option<Uuid>,
    /// Approximate number of codes per transaction, which a crash can cost [default: 100000, from job.chunk_size]
    #[arg(long, value_name = "N")]
    chunk_size: Option<u64>,
    /// Output file for the whole job, written at the end; - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    /// Format of the codes [default: by the file name extension, else csv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Generate {
    pub async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let request = self.request(context)?;
        let target = self.output.as_deref().map(Target::from);
        if let Some(target) = &target {
            target.check_writable(&context.config.store)?;
        }
        let store = context.open_store(Access::CreateFile).await?;
        store.connect_ahead();
        let job = self.submit(context, &store, &request).await?;
        let started = Instant::now();
        let (job, share) = mint(context, &store, &job).await.map_err(|failure| self.hint_at_output(failure))?;
        let minting = started.elapsed();
        let completed = find::require_completed(context, &job);
        if let (Ok(()), Some(target)) = (&completed, &target) {
            self.write(context, &store, &job, target).await?;
        }
        let summary = Summary::new(context, &job, share, minting, target.as_ref());
        if self.json || completed.is_ok() {
            let line = if self.json { json(&summary)? } else { summary.to_string() };
            // If the codes go to standard output, it holds nothing else.
            if target.is_some_and(|target| target.is_stdout()) {
                say(&line);
            } else {
                print_line(&line)?;
            }
        }
        completed.map(|()| ExitCode::SUCCESS)
    }

    async fn write(&self, context: &Context, store: &Store, job: &Job, target: &Target) -> Result<(), Failure> {
        let written = match target.open(self.format) {
            Ok(sink) => export::write_in_order(context, store, job, sink, target).await,
            Err(failure) => Err(failure),
        };
        written.map_err(|failure| {
            let output = self.output.as_deref().unwrap_or("-");
            let export = context.command(format_args!("export {} --output {}", job.id, quoted(output)));
            failure.with_hint(format!("the codes are in the store; write them with {export}"))
        })
    }

    /// Adds how to export the codes later: resuming the job does not write the file of this command.
    fn hint_at_output(&self, failure: Failure) -> Failure {
        match &self.output {
            Some(output) => failure.with_hint(format!("then export it with --output {}", quoted(output))),
            None => failure,
        }
    }

    fn request(&self, context: &Context) -> Result<Request, Failure> {
        let chunk_size = self.chunk_size.unwrap_or(context.config.chunk_size);
        let policy = policy_files::load(&context.config)?;
        Request::check(&self.mask, self.count, self.campaign.as_deref(), chunk_size, context.config.limits)
            .and_then(|request| request.under(policy))
            .map(|request| request.with_options(context.job_options()))
            .map_err(|error| request_failure(&self.mask, error))
    }

    async fn submit(&self, context: &Context, store: &Store, request: &Request) -> Result<Job, Failure> {
        if self.job_id.is_none()
            && !context.quiet
            && let Some(unfinished) = context.patiently(async || store.find_unfinished_like(request).await).await?
        {
            let id = unfinished.id;
            let resume = context.command(format_args!("jobs resume {id}"));
            say(&format!("note: job {id} has the same request and is not finished; {resume} resumes it"));
        }
        let id = self.job_id.unwrap_or_else(Uuid::now_v7);
        put_job(context, store, id, request).await
    }
}

/// Stores a job, or finds the one that has this id and the same request.
///
/// # Errors
/// `impossible` if there are too few free codes, or if the id belongs to another request.
pub async fn put_job(context: &Context, store: &Store, id: Uuid, request: &Request) -> Result<Job, Failure> {
    let put = context.patiently(async || store.put_job(id, request).await).await?;
    tell_of_request(context, store, &put, id, request).await?;
    match put {
        PutJob::Known(job) if !job.asks_the_same_as(request) => {
            let campaign = job.campaign.as_deref().map_or("no campaign".to_owned(), |name| format!("campaign {name}"));
            Err(Failure::impossible(format!(
                "job {} belongs to another request: {} codes of {}, {campaign}; omit --job-id or name another id",
                job.id,
                job.count,
                job.title()
            )))
        }
        PutJob::Stored(job) => {
            tracing::info!(job_id = %job.id, count = job.count, priority = job.options.priority, "a job was accepted");
            Ok(job)
        }
        PutJob::Known(job) => Ok(job),
        PutJob::InsufficientKeyspace { free, mintable, exact } => {
            Err(Failure::impossible(insufficient_keyspace(request, free, mintable, exact)))
        }
    }
}

/// Records a request that changed nothing in the audit log; the store itself records one that it stores.
async fn tell_of_request(
    context: &Context,
    store: &Store,
    put: &PutJob,
    id: Uuid,
    request: &Request,
) -> Result<(), Failure> {
    let (outcome, detail) = match put {
        PutJob::Stored(_) => return Ok(()),
        PutJob::Known(job) if job.asks_the_same_as(request) => (Outcome::Repeated, None),
        PutJob::Known(_) => (Outcome::Conflict, None),
        PutJob::InsufficientKeyspace { .. } => (Outcome::Refused, Some("insufficient_keyspace".to_owned())),
    };
    let asked = (&*request.mask_text, request.count, request.campaign.as_deref());
    let entry = AuditEntry { detail, ..AuditEntry::of_request(outcome, id, asked) };
    context.patiently(async || store.put_audit(&entry).await).await
}

/// Formats why a store refuses a request.
pub fn insufficient_keyspace(request: &Request, free: u128, mintable: u128, exact: bool) -> String {
    let about = if exact { "" } else { "about " };
    let forbidden = size(request.mask.body()).saturating_sub(mintable);
    format!(
        "{about}{} codes of {} are free, {} were requested; nothing was stored ({} are taken or promised to unfinished jobs, {} reserved or denied)",
        grouped(free),
        request.mask_text,
        grouped(request.count.into()),
        grouped(mintable.saturating_sub(free)),
        grouped(forbidden)
    )
}

/// Parses a count. The type is wider than any allowed count, so that a later check can name what is wrong with it.
///
/// # Errors
/// If the text is not a whole number.
pub fn whole_number(text: &str) -> Result<i128, String> {
    text.parse().map_err(|_| "write a whole number in digits, such as 50000".to_owned())
}

/// Returns the failure of a request; on a terminal, a caret marks the position of a mask error.
pub fn request_failure(mask: &str, error: RequestError) -> Failure {
    match &error {
        RequestError::Mask(at) if is_terminal() => {
            Failure::impossible(format!("{error}\n{}", with_caret(mask, at.offset)))
        }
        _ => Failure::impossible(error),
    }
}

/// Works on a job until it has ended; returns the ended job and the share of this process.
///
/// # Errors
/// `interrupted`, with the command that resumes the job.
pub async fn mint(context: &Context, store: &Store, job: &Job) -> Result<(Job, Share), Failure> {
    let settings =
        MintSettings { policy: policy_files::load(&context.config)?, filters: context.config.filters, import: None };
    let resume = format!("{} resumes the job", context.command(format_args!("jobs resume {}", job.id)));
    run_to_end(context, store, job, &settings, &resume).await
}

/// Works on a job until it has ended; `resume` describes how to resume it.
///
/// # Errors
/// `interrupted`, with `resume`.
pub async fn run_to_end(
    context: &Context,
    store: &Store,
    job: &Job,
    settings: &MintSettings,
    resume: &str,
) -> Result<(Job, Share), Failure> {
    let (end, share) = {
        let _bar = context.progress.follow(store, job);
        run_job(store, job, settings, context.stop.token()).await.map_err(|error| match error {
            // Only a process with another input or policy can resume it.
            MintError::Import | MintError::CheckKey { .. } | MintError::DeniedWords { .. } => Failure::from(error),
            _ => Failure::from(error).with_hint(resume),
        })?
    };
    if end == RunEnd::Stopped {
        context.stop.check(|| format!("stopped; {resume}"))?;
    }
    let job = context.patiently(async || store.find_job(job.id).await).await?;
    let job = job.ok_or_else(|| Failure::other("the job is gone from the store"))?;
    Ok((job, share))
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

impl std::fmt::Display for Summary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "job       {}", self.job.job_id)?;
        write!(f, "codes     {}", grouped(self.job.minted.into()))?;
        if self.minted_here != self.job.minted {
            write!(f, ", {} of them by this process", grouped(self.minted_here.into()))?;
        }
        if self.job.rejected > 0 {
            write!(f, " ({} candidates rejected: {})", grouped(self.job.rejected.into()), self.job.rejected_by_reason)?;
        }
        writeln!(f, "\ntime      {:.2} s, {} codes/s", self.seconds, grouped(self.codes_per_second.into()))?;
        write!(f, "store     {}", self.store)?;
        for warning in &self.job.warnings {
            write!(f, "\nwarning   {warning}")?;
        }
        if let Some(output) = &self.output {
            write!(f, "\noutput    {output}")?;
        }
        Ok(())
    }
}
