//! `codemint redemption list`: redemptions of an identity, an order or a campaign.

use clap::{ArgGroup, Args};

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::redemption_report::{self, ShownRedemption};
use crate::cli::support::requests::from_to;
use crate::cli::support::terminal::{print_json, print_line};
use codemint_codes::identity::check_identity;
use codemint_store::connection::store::Access;
use codemint_store::redemptions::reads::RedemptionFilter;

const LIST_MAX: u32 = 10_000;

/// List redemptions of an identity, an order or a campaign, newest first
#[derive(Debug, Args)]
#[command(
    group = ArgGroup::new("of").required(true).multiple(true),
    after_help = "Examples:
  codemint redemption list --identity customer-17
  codemint redemption list --order A-1001 --json
  codemint redemption list --campaign 'Ten percent off' --limit 500

The list shows codes. Redemptions of an identity that was forgotten are still found under it."
)]
pub struct List {
    /// Only redemptions by this identity
    #[arg(long, value_name = "I", group = "of")]
    identity: Option<String>,
    /// Only redemptions on this order
    #[arg(long, value_name = "O", group = "of")]
    order: Option<String>,
    /// Only redemptions of this campaign's codes
    #[arg(long, value_name = "NAME", group = "of")]
    campaign: Option<String>,
    /// Maximum number of redemptions
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = from_to::<u32>(1, LIST_MAX.into()))]
    limit: u32,
    /// Report as a JSON array
    #[arg(long)]
    json: bool,
}

impl List {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let identity = self.identity.as_deref().map(check_identity).transpose().map_err(Failure::impossible)?;
        let store = context.open_store(Access::Existing).await?;
        let campaign_no = match &self.campaign {
            Some(name) => Some(find::campaign(context, &store, name).await?.no),
            None => None,
        };
        let filter = RedemptionFilter {
            code: None,
            identity: identity.map(str::to_owned),
            order: self.order,
            campaign_no,
            before: None,
            // One more shows that the list is cut.
            limit: self.limit + 1,
        };
        let mut found = context.with_retries(async || store.list_redemptions(&filter).await).await?;
        let is_cut = found.len() > self.limit as usize;
        found.truncate(self.limit as usize);
        let shown: Vec<ShownRedemption> = found.iter().map(ShownRedemption::from).collect();
        if self.json {
            print_json(&shown)?;
        } else if shown.is_empty() {
            context.note("no redemptions");
        } else {
            redemption_report::list(&shown).iter().try_for_each(|line| print_line(line))?;
        }
        if is_cut {
            context.note("note: there are more redemptions; a higher --limit lists them");
        }
        Ok(())
    }
}
