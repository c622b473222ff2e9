//! `codemint trigger`: sends triggers by hand, shows what became of them, and removes old ones.

use clap::{Args, Subcommand};

use crate::cli::commands::trigger_prune::Prune;
use crate::cli::support::context::Context;
use crate::cli::support::document;
use crate::cli::support::failure::Failure;
use crate::cli::support::terminal::{print_json, print_line};
use crate::cli::support::text::quoted;
use codemint_campaigns::triggering::{TriggerHandler, TriggerOutcome};
use codemint_codes::text::printable;
use codemint_offers::read::trigger::{IdFrom, read_trigger};
use codemint_offers::trigger::document::{IssuedFor, SkippedFor, TriggerDocument, WaitingFor};
use codemint_store::connection::store::Access;

/// Send triggers, for which campaigns issue codes, show what became of them, and remove old ones
#[derive(Debug, Subcommand)]
pub enum TriggerCommand {
    Send(Send),
    Show(Show),
    Prune(Prune),
}

impl TriggerCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Send(send) => send.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::Prune(prune) => prune.run(context).await,
        }
    }
}

/// Handle a trigger: issue the codes of the campaigns that it concerns
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint trigger send created.json --id 01890a5d-ac96-774b-bcce-b302099a8057
  echo '{ \"id\": \"t-1\", \"type\": \"location.created\", \"identity\": \"loc-1\", \"segments\": [\"trial\"] }' | codemint trigger send -

The file is { \"id\", \"type\", \"identity\", \"segments\", \"attributes\", \"deactivated_at\" }; all but id, type and identity may be left \
out. Campaigns whose use cases have the type issue a code, skip the trigger with a reason, or wait for days after the \
deactivation; a worker decides those that are due. The same trigger again changes nothing.")]
pub struct Send {
    /// JSON file with the trigger, or - for standard input
    file: String,
    /// Id of the trigger, if the file has none
    #[arg(long)]
    id: Option<String>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Send {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let document = document::read(context, &self.file, self.json).await?;
        let id = self.id.as_deref().map_or(IdFrom::Document(None), IdFrom::Path);
        let trigger = read_trigger(&document.value, id).map_err(|problems| document.refuse(problems))?;
        let store = context.open_store(Access::Existing).await?;
        let handler = TriggerHandler::new(store, context.job_options().emits_events);
        let triggers = [trigger];
        match context.with_retries(async || handler.handle(&triggers).await).await?.pop() {
            Some(TriggerOutcome::Handled { trigger, .. }) => report(&(&trigger).into(), self.json),
            _ => {
                let show = context.command(format_args!("trigger show {}", quoted(&triggers[0].id)));
                Err(Failure::negative_result(format!(
                    "trigger {} exists already with another content; {show} shows what became of it; send new triggers under new ids",
                    printable(&triggers[0].id)
                )))
            }
        }
    }
}

/// Show what became of a trigger
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint trigger show 01890a5d-ac96-774b-bcce-b302099a8057
  codemint trigger show t-1 --json")]
pub struct Show {
    /// Id of the trigger
    id: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        match context.with_retries(async || store.find_trigger(&self.id).await).await? {
            Some(trigger) => report(&(&trigger).into(), self.json),
            None => Err(Failure::negative_result(format!("there is no trigger {} in this store", printable(&self.id)))),
        }
    }
}

fn report(document: &TriggerDocument, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print_json(document);
    }
    for IssuedFor { campaign, code } in &document.issued {
        print_line(&format!("issued   {}  {}", printable(code), printable(campaign)))?;
    }
    for WaitingFor { campaign, due_at } in &document.waiting {
        print_line(&format!("waiting  {}  {}", due_at.format("until %Y-%m-%dT%H:%M:%SZ"), printable(campaign)))?;
    }
    for SkippedFor { campaign, reason } in &document.skipped {
        let reason: &str = reason.into();
        print_line(&format!("skipped  {reason}  {}", printable(campaign)))?;
    }
    if document.issued.is_empty() && document.waiting.is_empty() && document.skipped.is_empty() {
        print_line("the trigger concerns no campaign")?;
    }
    Ok(())
}
