//! `codemint export`: writes the codes of a job, in order or shuffled, in constant memory.

use clap::Args;
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::job_export::JobExport;
use crate::cli::support::output::Target;
use crate::cli::support::output_options::OutputOptions;

/// Write the codes of a job to a file or to standard output
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint export 01890a5d-ac96-774b-bcce-b302099a8057 --output codes.csv
  codemint export 01890a5d-ac96-774b-bcce-b302099a8057 --output codes.xlsx --mode 0640
  codemint export 01890a5d-ac96-774b-bcce-b302099a8057 --output codes.csv.gz
  codemint export 01890a5d-ac96-774b-bcce-b302099a8057 --order random --format txt | head

Use random order to hand out codes line by line: in a sorted list, each code hints at its neighbours.

--format xlsx writes a spreadsheet whose cells are texts, with further sheets after 1,048,575 codes.")]
pub struct Export {
    /// Job id from `codemint jobs list`
    #[arg(value_parser = find::job_id)]
    job: Uuid,
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
        let (store, job) = find::store_and_job(context, self.job).await?;
        if !job.state.is_final() {
            find::require_completed(context, &job)?;
        }
        let jobs = std::slice::from_ref(&job);
        let export = JobExport { context, store: &store, jobs, target: &target, encoding, options: &self.options };
        export.write().await
    }
}
