//! `codemint campaign codes`: mints codes of a campaign.

use clap::Args;
use uuid::Uuid;

use crate::cli::commands::enqueue::Enqueue;
use crate::cli::commands::generate::Generate;
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::requests::{CampaignOrder, whole_number};
use codemint_codes::text::printable;
use codemint_offers::campaign::definition::Kind;
use codemint_store::connection::store::Access;

/// Mint codes of a campaign, with its mask and its name, and wait until they are done
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint campaign codes 'Ten euros off' --count 50000
  codemint campaign codes 'Ten euros off' --count 50000 --no-wait
  codemint export --campaign 'Ten euros off' --output codes.csv

Codes can also be minted while the campaign is off or after its end. With --no-wait the job is queued for \
the workers, as by `codemint enqueue`, and its id is printed.")]
pub struct Codes {
    /// Campaign name
    name: String,
    /// Number of codes
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = whole_number)]
    count: i128,
    /// Queue the job for the workers instead of minting in this process
    #[arg(long)]
    no_wait: bool,
    /// Job id; the same id with the same request resumes or reports that job [default: a new id]
    #[arg(long, value_name = "UUID", value_parser = find::job_id)]
    job_id: Option<Uuid>,
    /// Accept a check key other than that of the mask's newest job
    #[arg(long)]
    new_check_key: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Codes {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let definition = find::campaign(context, &store, &self.name).await?.definition;
        match definition.kind {
            Kind::Private => self.order(context, definition.mask.to_string()).await,
            Kind::Public => Err(Failure::impossible(format!(
                "campaign {} is public and has its one code already; nothing was minted",
                printable(&self.name)
            ))),
            // Codes for a list of identities, and codes of the pool, begin here.
            Kind::Restricted => Err(Failure::impossible(
                "codes of a restricted campaign are made with --identities FILE or for the pool",
            )),
        }
    }

    async fn order(self, context: &Context, mask: String) -> Result<(), Failure> {
        let Self { name: campaign, count, no_wait, job_id, new_check_key, json } = self;
        let order = CampaignOrder { mask, count, campaign, job_id, new_check_key, json };
        if no_wait {
            Enqueue::for_campaign(order).run(context).await
        } else {
            Generate::for_campaign(order).run(context).await
        }
    }
}
