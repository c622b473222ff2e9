//! `codemint trigger prune`: removes old triggers. Codes stay with their identities.

use std::fmt;

use chrono::{DateTime, Utc};
use clap::Args;
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::pruning::Pruning;
use crate::cli::support::terminal::print_report;
use crate::cli::support::text::{counted, time};
use codemint_store::connection::store::{Access, Store};

/// Remove triggers that came long ago, with what became of them
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint trigger prune --older-than 400d --dry-run
  codemint trigger prune --older-than 57w --json

Triggers of which something waits stay. Codes stay as well, so an identity that has a code of a campaign never gets a second one. \
A trigger that is sent again after it was removed is a new trigger: campaigns that issued a code skip it as already-generated, and \
all others decide anew. Choose an age beyond all retries. Referrals and referrers are never removed. The audit log records how many \
triggers were removed. Freed space is reused; files do not shrink.")]
pub struct Prune {
    #[command(flatten)]
    pruning: Pruning,
}

/// The report of what was removed, or would be.
#[derive(Debug, Serialize)]
struct Pruned {
    /// True for a dry run: the number is what would be removed.
    dry_run: bool,
    /// The time before which the triggers came.
    came_before: String,
    triggers: u64,
}

impl Prune {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let came_before = self.pruning.before()?;
        let store = context.open_store(Access::Existing).await?;
        let mut pruned = Pruned { dry_run: self.pruning.dry_run, came_before: time(came_before), triggers: 0 };
        prune(context, &store, came_before, &mut pruned).await?;
        print_report(self.pruning.json, &pruned)
    }
}

/// Removes triggers page by page, or only counts them.
async fn prune(
    context: &Context,
    store: &Store,
    came_before: DateTime<Utc>,
    pruned: &mut Pruned,
) -> Result<(), Failure> {
    let mut after_id = String::new();
    loop {
        context.stop.check(|| format!("stopped; {pruned}"))?;
        let list = async || store.list_prunable_triggers(came_before, &after_id).await;
        let page = context.with_retries(list).await?;
        pruned.triggers += if pruned.dry_run {
            page.prunable.len() as u64
        } else {
            context.with_retries(async || store.prune_triggers(came_before, &page.prunable).await).await?
        };
        match page.last {
            Some(last) => after_id = last,
            None => return Ok(()),
        }
    }
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let triggers = counted(self.triggers.into(), "trigger");
        let removed = if self.dry_run { "would be removed" } else { "removed" };
        write!(f, "{removed}: {triggers} that came before {}", self.came_before)
    }
}
