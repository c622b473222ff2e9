//! `codemint generate`: mints a number of codes of a mask.

use std::time::Instant;

use clap::Args;
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::job_export::JobExport;
use crate::cli::support::minting::{Summary, mint};
use crate::cli::support::output::Target;
use crate::cli::support::output_format::Encoding;
use crate::cli::support::output_options::{Order, OutputOptions};
use crate::cli::support::requests::{CampaignOrder, note_mistaken_set, put_job, request_failure, whole_number};
use crate::cli::support::spreadsheet_warning::warning_of_mask;
use crate::cli::support::terminal::{print_report, print_report_beside};
use crate::cli::support::text::quoted;
use crate::config::policy_files;
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::Request;
use codemint_store::connection::store::{Access, Store};

/// Mint codes and wait until they are done
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint generate 'MY_LITTLE_PROMO????##' --count 1000000 --output codes.csv
  codemint generate 'VIP-[:safe:]{10}' --count 500 --campaign vip --format txt --output -
  codemint --store postgres://mint@db/shop generate 'X[A-HJ-NP-Z2-9]{9}' --count 2000000

In a mask, # is a digit, ? a letter and * either; [A-F0-9] is one of these characters; [:safe:] is \
a character that is neither a vowel nor easily misread; #{6} is six digits; \\# is the character # \
itself; [:check:] at the end is a check character, computed from the rest with the secret in \
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
    #[arg(long, value_name = "UUID", value_parser = find::job_id)]
    job_id: Option<Uuid>,
    /// Accept a check key other than that of the mask's newest job
    #[arg(long)]
    new_check_key: bool,
    /// Approximate number of codes per transaction; a crash loses only uncommitted ones [default: 100000, from job.chunk_size]
    #[arg(long, value_name = "N")]
    chunk_size: Option<u64>,
    /// Refuse the job if unfinished jobs may take codes that it needs, instead of waiting until enough are certain to be free
    #[arg(long)]
    no_wait_for_room: bool,
    /// Output file for the whole job, written at the end; - for standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<String>,
    #[command(flatten)]
    options: OutputOptions,
    /// Exit with code 5 while the store is unreachable, read-only or out of space, instead of waiting
    #[arg(long)]
    pub no_wait: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// Where and how the codes are written.
struct Output {
    target: Target,
    encoding: Encoding,
    /// True if the user knows what spreadsheets do to the codes.
    is_warned: bool,
}

impl Generate {
    /// Returns the command that mints codes of a campaign and only stores them.
    pub fn for_campaign(order: CampaignOrder) -> Self {
        let CampaignOrder { mask, count, campaign, job_id, new_check_key, json } = order;
        Self {
            mask,
            count,
            campaign: Some(campaign),
            job_id,
            new_check_key,
            chunk_size: None,
            no_wait_for_room: false,
            output: None,
            options: OutputOptions { format: None, order: Order::Code, mode: None },
            no_wait: false,
            json,
        }
    }

    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let request = self.request(context)?;
        note_mistaken_set(context, &self.mask);
        let output = self.check_output(context, &request)?;
        let store = context.open_store(Access::CreateFile).await?;
        store.connect_ahead();
        let job = self.submit(context, &store, &request).await?;
        let started = Instant::now();
        let (job, share) = mint(context, &store, &job).await.map_err(|failure| self.hint_at_output(failure))?;
        let minting = started.elapsed();
        let completed = find::require_completed(context, &job);
        if let (Ok(()), Some(output)) = (&completed, &output) {
            self.write(context, &store, &job, output).await?;
        }
        let target = output.as_ref().map(|output| &output.target);
        let summary = Summary::new(context, &job, share, minting, target);
        if self.json || completed.is_ok() {
            // If the codes go to standard output, it holds nothing else.
            if target.is_some_and(|target| target.is_stdout()) {
                if self.json || !context.quiet {
                    print_report_beside(self.json, &summary)?;
                }
            } else {
                print_report(self.json, &summary)?;
            }
        }
        completed
    }

    /// Checks before anything is minted that the codes can be written, and warns if a spreadsheet would change them.
    fn check_output(&self, context: &Context, request: &Request) -> Result<Option<Output>, Failure> {
        let Some(target) = self.output.as_deref().map(Target::from) else {
            self.options.check_unused()?;
            return Ok(None);
        };
        target.check_writable(&context.config.store)?;
        let encoding = target.encoding(&self.options)?;
        encoding.check_count(request.count).map_err(Failure::usage)?;
        let warning = if encoding.is_csv() { warning_of_mask(&request.mask, request.count)? } else { None };
        let is_warned = warning.is_some();
        warning.iter().for_each(|warning| context.note(warning));
        Ok(Some(Output { target, encoding, is_warned }))
    }

    async fn write(&self, context: &Context, store: &Store, job: &Job, output: &Output) -> Result<(), Failure> {
        let Output { target, encoding, is_warned } = output;
        let jobs = std::slice::from_ref(job);
        let export = JobExport { context, store, jobs, target, encoding: *encoding, options: &self.options };
        export.write(!is_warned).await.map_err(|failure| {
            let export = context.command(format_args!("export {}{}", job.id, self.repeated_output()));
            let hint = format!("the codes are in the store; write them with {export}");
            if let Failure::OutputClosed = failure {
                context.note(&format!("note: standard output was closed before the last code; {hint}"));
            }
            failure.with_hint(hint)
        })
    }

    /// Adds how to export the codes later: resuming the job does not write the file of this command.
    fn hint_at_output(&self, failure: Failure) -> Failure {
        match self.repeated_output() {
            output if output.is_empty() => failure,
            output => failure.with_hint(format!("then export it with{output}")),
        }
    }

    /// Formats `--output` and its options for a suggested command, each after a space.
    fn repeated_output(&self) -> String {
        let output = self.output.as_deref().map(|output| format!(" --output {}", quoted(output)));
        output.map(|output| output + &self.options.repeated()).unwrap_or_default()
    }

    fn request(&self, context: &Context) -> Result<Request, Failure> {
        let chunk_size = self.chunk_size.unwrap_or(context.config.chunk_size);
        let policy = policy_files::load(&context.config)?;
        Request::check(&self.mask, self.count, self.campaign.as_deref(), chunk_size, context.config.limits)
            .and_then(|request| request.under(policy))
            .map(|request| request.with_options(self.options(context)))
            .map_err(|error| request_failure(&self.mask, error))
    }

    fn options(&self, context: &Context) -> JobOptions {
        let (new_check_key, refuses_to_wait) = (self.new_check_key, self.no_wait_for_room);
        JobOptions { new_check_key, refuses_to_wait, ..context.job_options() }
    }

    async fn submit(&self, context: &Context, store: &Store, request: &Request) -> Result<Job, Failure> {
        if self.job_id.is_none()
            && let Some(unfinished) = context.with_retries(async || store.find_unfinished_like(request).await).await?
        {
            let id = unfinished.id;
            let resume = context.command(format_args!("jobs resume {id}"));
            context.note(&format!("note: job {id} has the same request and is not finished; {resume} resumes it"));
        }
        let id = self.job_id.unwrap_or_else(Uuid::now_v7);
        put_job(context, store, id, request).await
    }
}
