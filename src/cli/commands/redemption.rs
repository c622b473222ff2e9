//! `codemint redemption`: shows and lists redemptions, and changes them by hand.

use clap::{Args, Subcommand};
use uuid::Uuid;

use crate::cli::commands::redemption_list::List;
use crate::cli::commands::redemption_prune::Prune;
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::redeeming::{cart, redeemer, redemption_id};
use crate::cli::support::redemption_report::{RefusalReport, ShownRedemption};
use crate::cli::support::terminal::print_report;
use codemint_offers::redemption::transition::Action;
use codemint_store::connection::store::Access;
use codemint_store::redemptions::transitions::Moved;

/// Show, list, confirm, release and roll back redemptions: uses of codes
#[derive(Debug, Subcommand)]
pub enum RedemptionCommand {
    Show(Show),
    List(List),
    Confirm(Confirm),
    Release(Release),
    Rollback(Rollback),
    Prune(Prune),
}

impl RedemptionCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Prune(prune) => prune.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Confirm(confirm) => confirm.run(context).await,
            Self::Release(release) => act(context, release.id, Action::Release, release.json).await,
            Self::Rollback(rollback) => {
                let action = Action::RollBack { keep_use: rollback.keep_use };
                act(context, rollback.id, action, rollback.json).await
            }
        }
    }
}

/// Show one redemption
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint redemption show 01890a5d-ac96-774b-bcce-b302099a8057
  codemint redemption show 01890a5d-ac96-774b-bcce-b302099a8057 --json | jq .state")]
pub struct Show {
    /// Id of the redemption
    #[arg(value_parser = redemption_id)]
    id: Uuid,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let found = context.with_retries(async || store.find_redemption(self.id).await).await?;
        let redemption = found.ok_or_else(|| unknown(self.id))?;
        print_report(self.json, &ShownRedemption::from(&redemption))
    }
}

/// Confirm a held redemption: the order was paid
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint redemption confirm 01890a5d-ac96-774b-bcce-b302099a8057
  codemint redemption confirm 01890a5d-ac96-774b-bcce-b302099a8057 --cart paid.json

Before the deadline, a confirmation without --cart always succeeds. With --cart the discount is computed anew. After the \
deadline the use is taken again if the limits allow it. If the confirmation is refused, the reasons are reported with \
exit code 3. Repeated commands change nothing. The audit log records the change.")]
pub struct Confirm {
    /// Id of the redemption
    #[arg(value_parser = redemption_id)]
    id: Uuid,
    /// JSON file with the cart that was paid, or - for standard input
    #[arg(long, value_name = "FILE")]
    cart: Option<String>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Confirm {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let cart = cart(context, self.cart.as_deref(), self.json).await?;
        act(context, self.id, Action::Confirm { cart }, self.json).await
    }
}

/// Release a held redemption: the order was given up, and the use is given back
#[derive(Debug, Args)]
#[command(after_help = "Example:
  codemint redemption release 01890a5d-ac96-774b-bcce-b302099a8057

Repeated commands change nothing. The audit log records the change.")]
pub struct Release {
    /// Id of the redemption
    #[arg(value_parser = redemption_id)]
    id: Uuid,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// Roll back a confirmed redemption: the order was cancelled or refunded
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint redemption rollback 01890a5d-ac96-774b-bcce-b302099a8057
  codemint redemption rollback 01890a5d-ac96-774b-bcce-b302099a8057 --keep-use

The use is given back, unless --keep-use is given: then it still counts against all limits. Repeated commands change \
nothing. The audit log records the change.")]
pub struct Rollback {
    /// Id of the redemption
    #[arg(value_parser = redemption_id)]
    id: Uuid,
    /// Keep the use counted
    #[arg(long)]
    keep_use: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// Changes a redemption by hand, and reports it.
async fn act(context: &Context, id: Uuid, action: Action, as_json: bool) -> Result<(), Failure> {
    let participle = match &action {
        Action::Confirm { .. } => "confirmed",
        Action::Release => "released",
        Action::RollBack { .. } => "rolled back",
        Action::Expire => "expired",
    };
    let store = context.open_store(Access::Existing).await?;
    let redeemer = redeemer(context, &store, true).await?;
    let act = async || redeemer.act(id, action.clone()).await;
    let moved = context.redeem_with_retries(act).await.map_err(|failure| {
        failure.with_hint("whether the redemption was changed is unknown; the same command finds out")
    })?;
    match moved {
        Moved::Done { redemption, is_changed } => {
            if !is_changed {
                context.note(&format!("note: the redemption was {participle} before"));
            }
            print_report(as_json, &ShownRedemption::from(&*redemption))
        }
        Moved::Unknown => Err(unknown(id)),
        Moved::WrongState(state) => Err(Failure::negative_result(format!(
            "redemption {id} is {} and cannot be {participle}; nothing was changed",
            state.into_str().replace('_', " ")
        ))),
        Moved::DifferentRequest => Err(Failure::impossible(format!(
            "redemption {id} was {participle} before, but with another --cart or --keep-use; nothing was changed"
        ))),
        Moved::Refused(reasons) => {
            print_report(as_json, &RefusalReport { id, reasons })?;
            Failure::unless(false)
        }
        Moved::Locked => Err(Failure::other("another process is changing the redemption; try again")),
    }
}

fn unknown(id: Uuid) -> Failure {
    Failure::negative_result(format!("there is no redemption {id} in this store; check the id"))
}
