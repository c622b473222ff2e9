//! `codemint campaign codes`: mints codes of a campaign.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use uuid::Uuid;

use crate::cli::commands::campaign_list::ListOrder;
use crate::cli::commands::enqueue::Enqueue;
use crate::cli::commands::generate::Generate;
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::minting::{may_mint, note_order};
use crate::cli::support::requests::{CampaignOrder, whole_number};
use codemint_codes::text::{grouped, printable};
use codemint_offers::campaign::definition::Kind;
use codemint_store::connection::store::Access;

/// Mint codes of a campaign, with its mask and its name, and wait until they are done
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("number").required(true).args(["count", "identities"]))]
#[command(after_help = "Examples:
  codemint campaign codes 'Ten euros off' --count 50000
  codemint campaign codes 'Ten euros off' --count 50000 --no-wait
  codemint export --campaign 'Ten euros off' --output codes.csv
  codemint campaign codes 'New locations' --identities customers.csv

Codes can also be minted while the campaign is off or after its end. With --no-wait the job is queued for \
the workers, as by `codemint enqueue`, and its id is printed.

The list has one identity per line, or is a CSV file with a column identity. Identities that are repeated, invalid or have a code of the campaign already are left out and counted. The same list for the same campaign is the same job: the command again resumes or reports it.")]
pub struct Codes {
    /// Campaign name
    name: String,
    /// Number of codes; those of a restricted or a referral campaign go into its pool
    #[arg(short = 'n', long, value_name = "N", allow_negative_numbers = true, value_parser = whole_number)]
    count: Option<i128>,
    /// File with the identities that get one code each, or - for standard input; only of a restricted campaign
    #[arg(long, value_name = "FILE")]
    identities: Option<String>,
    /// File for the lines that get no code, as CSV with line, reason and identity
    #[arg(long, value_name = "FILE", requires = "identities")]
    reject_file: Option<PathBuf>,
    /// Queue the job for the workers instead of minting in this process
    #[arg(long)]
    no_wait: bool,
    /// Job id; the same id with the same request resumes or reports that job [default: a new id]
    #[arg(long, value_name = "UUID", value_parser = find::job_id, conflicts_with = "identities")]
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
        let campaign = find::campaign(context, &store, &self.name).await?;
        let mask = campaign.definition.mask.to_string();
        let limit = campaign.definition.limits.issued;
        if campaign.definition.has_pool() && self.exceeds(limit) {
            context.note(&format!(
                "note: limits.issued is {}, so not all of these codes can be issued unless it is raised",
                grouped(limit.into())
            ));
        }
        let is_order = campaign.definition.kind != Kind::Public && !self.no_wait && !may_mint(context, &store).await?;
        if is_order {
            note_order(context, "the codes are", None);
        }
        let no_wait = self.no_wait || is_order;
        match (campaign.definition.kind, &self.identities) {
            (Kind::Restricted, Some(file)) => {
                let Self { new_check_key, json, reject_file, .. } = &self;
                let (new_check_key, json) = (*new_check_key, *json);
                ListOrder { campaign, file, reject_file: reject_file.as_deref(), no_wait, new_check_key, json }
                    .run(context, &store)
                    .await
            }
            (Kind::Private, Some(_)) => Err(Failure::impossible(format!(
                "campaign {} is private, so its codes belong to nobody; use --count, or a restricted campaign",
                printable(&self.name)
            ))),
            (Kind::Private | Kind::Restricted, None) => Self { no_wait, ..self }.order(context, mask).await,
            (Kind::Public, _) => Err(Failure::impossible(format!(
                "campaign {} is public and has its one code already; nothing was minted",
                printable(&self.name)
            ))),
        }
    }

    /// Returns true if more codes are ordered than a limit allows.
    fn exceeds(&self, limit: u64) -> bool {
        limit > 0 && self.count.is_some_and(|count| count > limit.into())
    }

    async fn order(self, context: &Context, mask: String) -> Result<(), Failure> {
        let Self { name: campaign, count, no_wait, job_id, new_check_key, json, .. } = self;
        let count = count.unwrap_or_default();
        let order = CampaignOrder { mask, count, campaign, job_id, new_check_key, json };
        if no_wait {
            Enqueue::for_campaign(order).run(context).await
        } else {
            Generate::for_campaign(order).run(context).await
        }
    }
}
