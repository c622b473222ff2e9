//! `codemint redeem`: uses a code, or holds a use until the payment.

use clap::Args;
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::redeeming::{RequestArguments, hold_seconds, redeemer, redemption_id};
use crate::cli::support::redemption_report::{RefusalReport, ShownRedemption};
use crate::cli::support::terminal::print_report;
use codemint_campaigns::answers::Redeemed;
use codemint_store::connection::store::Access;

/// Use a code, or hold a use of it until the payment; exit code 3 with the reasons if it is refused
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint redeem SPRING10 --cart cart.json --identity customer-17 --order A-1001
  codemint redeem - --hold 30m --id 01890a5d-ac96-774b-bcce-b302099a8057 --json
  codemint redemption confirm 01890a5d-ac96-774b-bcce-b302099a8057

A use counts once, also while it is held. The id names it: the same command with the same id reports the \
same redemption, so repeat it after an error. Without --id a new one is drawn and reported. Without --hold the \
use is confirmed at once; with it, it must be confirmed before the deadline. docs/redemptions.md explains states, \
limits and reasons.")]
pub struct Redeem {
    #[command(flatten)]
    request: RequestArguments,
    /// Id of the redemption, a UUID; a new one by default
    #[arg(long, value_name = "UUID", value_parser = redemption_id)]
    id: Option<Uuid>,
    /// How long the use waits for the payment, such as 90s, 30m, 2h or 7d
    #[arg(long, value_name = "TIME", value_parser = hold_seconds)]
    hold: Option<u32>,
    /// Session or terminal of the shop that asks
    #[arg(long, value_name = "A")]
    actor: Option<String>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Redeem {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let hold_seconds = self.hold.unwrap_or_default();
        let request = self.request.read(context, (self.actor.as_deref(), hold_seconds), self.json).await?;
        let id = self.id.unwrap_or_else(Uuid::now_v7);
        let store = context.open_store(Access::Existing).await?;
        let redeemer = redeemer(context, &store, false).await?;
        let redeem = async || redeemer.redeem(id, request.clone(), true).await;
        let hint = format!(
            "whether the code was used is unknown; the same command with --id {id} finds out, and uses it at most once"
        );
        let answer = context.redeem_with_retries(redeem).await.map_err(|failure| failure.with_hint(hint))?;
        match answer {
            Redeemed::Granted { redemption, is_new } => {
                // Of an id that was drawn here, an attempt whose answer was lost is the one before.
                if !is_new && self.id.is_some() {
                    context.note("note: the same request was granted before; this is its redemption");
                }
                print_report(self.json, &ShownRedemption::from(&*redemption))
            }
            Redeemed::DifferentRequest => Err(Failure::impossible(format!(
                "redemption {id} belongs to another request; nothing was changed; repeat that request, or omit --id or name another id"
            ))),
            Redeemed::Refused(reasons) => {
                print_report(self.json, &RefusalReport { id, reasons })?;
                Failure::unless(false)
            }
        }
    }
}
