//! `codemint validate`: reports whether a code may be used, and for how much.

use clap::Args;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::redeeming::{RequestArguments, redeemer};
use crate::cli::support::redemption_report::ValidationReport;
use crate::cli::support::terminal::print_report;
use codemint_store::connection::store::Access;

/// Report whether a code may be used, and for how much; exit code 3 with the reasons if not
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint validate SPRING10 --cart cart.json
  codemint validate - --cart cart.json --identity customer-17 --json

Nothing is recorded, and nothing is promised: somebody else may take the last use in the meantime. `codemint \
redeem` with --hold reserves a use. A cart is { \"currency\": \"EUR\", \"lines\": [ { \"sku\": \"DOG-1\", \"groups\": \
[], \"quantity\": 2, \"unit_amount\": 1999 } ] }, with amounts in minor units. Every reason is explained in \
docs/redemptions.md.")]
pub struct Validate {
    #[command(flatten)]
    request: RequestArguments,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Validate {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let request = self.request.read(context, (None, 0), self.json).await?;
        let store = context.open_store(Access::Existing).await?;
        let redeemer = redeemer(context, &store, false).await?;
        let ask = async || redeemer.validate(request.clone(), true).await;
        let document = context.redeem_with_retries(ask).await?.document(request.cart.as_ref());
        let is_valid = document.is_valid();
        print_report(self.json, &ValidationReport(document))?;
        Failure::unless(is_valid)
    }
}
