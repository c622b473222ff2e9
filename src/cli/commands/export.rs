//! `codemint export`: writes the codes of jobs, in order or shuffled, in constant memory.

use std::collections::HashSet;

use clap::{ArgGroup, Args};
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::job_export::JobExport;
use crate::cli::support::output::Target;
use crate::cli::support::output_options::{Order, OutputOptions};
use crate::cli::support::text::counted;
use codemint_codes::job::record::Job;
use codemint_codes::job::restriction::RestrictedTo;
use codemint_codes::text::{grouped, printable};
use codemint_store::connection::store::{Access, Store};
use codemint_store::records::reports::JobFilter;

/// The maximum number of jobs of one export, all of which are in memory.
const JOBS_MAX: u32 = 10_000;

/// Write the codes of jobs to a file or to standard output
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("exported").required(true).args(["jobs", "campaign"]))]
#[command(after_help = "Examples:
  codemint export 01890a5d-ac96-774b-bcce-b302099a8057 --output codes.csv
  codemint export 01890a5d-ac96-774b-bcce-b302099a8057 --output codes.xlsx --mode 0640
  codemint export --campaign spring --output spring.csv.gz
  codemint export 01890a5d-ac96-774b-bcce-b302099a8057 --order random --format txt | head

Use random order to hand out codes line by line: in a sorted list, each code hints at its neighbours.

Spreadsheets change codes that look like numbers, dates or formulas when they open CSV; a warning counts \
them. --format xlsx writes a spreadsheet whose cells are texts, with further sheets after 1,048,575 codes.")]
pub struct Export {
    /// Job ids from `codemint jobs list`; the codes of several jobs follow one another in this order
    #[arg(value_name = "JOB", value_parser = find::job_id)]
    jobs: Vec<Uuid>,
    /// Write the codes of all jobs of this campaign, oldest job first
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Output file, replaced atomically; - for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: String,
    #[command(flatten)]
    options: OutputOptions,
}

impl Export {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let target = Target::from(self.output.as_str());
        target.check_writable(&context.config.store)?;
        let encoding = target.encoding(&self.options)?;
        self.check_ids()?;
        let store = context.open_store(Access::Existing).await?;
        let jobs = match &self.campaign {
            Some(campaign) => of_campaign(context, &store, campaign).await?,
            None => self.named(context, &store).await?,
        };
        if let Some(unfinished) = jobs.iter().find(|job| !job.state.is_final()) {
            find::require_completed(context, unfinished)?;
        }
        let encoding = match jobs.iter().any(is_bound_to_list) {
            true if self.options.order == Order::Random => {
                return Err(Failure::usage(
                    "the codes belong to identities, so their order tells nothing; omit --order",
                ));
            }
            true => encoding.with_identities(),
            false => encoding,
        };
        let export =
            JobExport { context, store: &store, jobs: &jobs, target: &target, encoding, options: &self.options };
        export.write(true).await
    }

    /// Checks that no code is written twice, and that the jobs fit in memory.
    fn check_ids(&self) -> Result<(), Failure> {
        if self.jobs.len() > JOBS_MAX as usize {
            return Err(too_many(self.jobs.len() as u64, "name fewer jobs"));
        }
        let mut seen = HashSet::new();
        match self.jobs.iter().find(|id| !seen.insert(**id)) {
            Some(twice) => Err(Failure::usage(format!("job {twice} is named twice; name each job once"))),
            None => Ok(()),
        }
    }

    async fn named(&self, context: &Context, store: &Store) -> Result<Vec<Job>, Failure> {
        let mut jobs = Vec::new();
        for id in &self.jobs {
            jobs.push(find::job(context, store, *id).await?);
        }
        Ok(jobs)
    }
}

/// Returns the jobs of a campaign, oldest first.
async fn of_campaign(context: &Context, store: &Store, campaign: &str) -> Result<Vec<Job>, Failure> {
    let filter = JobFilter { campaign: Some(campaign.to_owned()), limit: JOBS_MAX, ..JobFilter::default() };
    let count = context.with_retries(async || store.count_jobs(&filter).await).await?;
    if count > JOBS_MAX.into() {
        return Err(too_many(count, "export jobs by their ids"));
    }
    let mut jobs = context.with_retries(async || store.list_jobs(&filter).await).await?;
    if jobs.is_empty() {
        let list = context.command("jobs list");
        let campaign = printable(campaign);
        return Err(Failure::negative_result(format!("no job has the campaign {campaign}; {list} shows the jobs")));
    }
    jobs.reverse();
    Ok(jobs)
}

fn is_bound_to_list(job: &Job) -> bool {
    matches!(job.options.restricted_to, Some(RestrictedTo::List { .. }))
}

fn too_many(jobs: u64, instead: &str) -> Failure {
    let (jobs, limit) = (counted(jobs.into(), "job"), grouped(JOBS_MAX.into()));
    Failure::usage(format!("an export takes at most {limit} jobs, these are {jobs}; {instead}"))
}
