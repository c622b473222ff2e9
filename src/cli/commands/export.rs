//! `codemint export`: writes the codes of a job, in order or shuffled, in constant memory.

use clap::Args;
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::job_export::{JobExport, Order};
use crate::cli::support::output::{Format, Target};

/// Write the codes of a job to a file or to standard output
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint export 01890a5d-ac96-774b-bcce-b302099a8057 --output codes.csv
  codemint export 01890a5d-ac96-774b-bcce-b302099a8057 --order random --format txt | head

Use random order to hand out codes line by line: in a sorted list, each code hints at its neighbours.")]
pub struct Export {
    /// Job id from `codemint jobs list`
    #[arg(value_parser = find::job_id)]
    job: Uuid,
    /// Output file, replaced atomically; - for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: String,
    /// Format of the codes [default: by the file name extension, else csv]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Order of the codes
    #[arg(long, value_enum, default_value_t = Order::Code)]
    order: Order,
}

impl Export {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let target = Target::from(self.output.as_str());
        target.check_writable(&context.config.store)?;
        let (store, job) = find::store_and_job(context, self.job).await?;
        if !job.state.is_final() {
            find::require_completed(context, &job)?;
        }
        let sink = target.open(self.format)?;
        JobExport { context, store: &store, job: &job, target: &target }.write(sink, self.order).await
    }
}
