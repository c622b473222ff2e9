//! `codemint redemption prune`: removes old redemptions and clicks. No use is given back, and no sum changes.

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
use codemint_store::redemptions::definition_cache::DefinitionCache;

/// Remove redemptions that ended long ago, and old clicks
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint redemption prune --older-than 400d --dry-run
  codemint redemption prune --older-than 57w --json

Uses that count keep counting against all limits, and sums keep what they hold. Held redemptions stay. Clicks on links of that age are removed as well. A request that is \
repeated after its redemption was removed is a new request: choose an age beyond all retries and refunds. A limit per \
code or per identity that is introduced later does not count removed redemptions. The audit log records how many were \
removed. Freed space is reused; files do not shrink.")]
pub struct Prune {
    #[command(flatten)]
    pruning: Pruning,
}

/// The report of what was removed, or would be.
#[derive(Debug, Serialize)]
struct Pruned {
    /// True for a dry run: the number is what would be removed.
    dry_run: bool,
    /// The time before which the redemptions ended.
    ended_before: String,
    redemptions: u64,
    /// The number of clicks before that time.
    clicks: u64,
}

impl Prune {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let ended_before = self.pruning.before()?;
        let store = context.open_store(Access::Existing).await?;
        let mut pruned =
            Pruned { dry_run: self.pruning.dry_run, ended_before: time(ended_before), redemptions: 0, clicks: 0 };
        if self.pruning.dry_run {
            let count = async || store.count_prunable_redemptions(ended_before).await;
            pruned.redemptions = context.with_retries(count).await?;
            pruned.clicks = context.with_retries(async || store.count_prunable_clicks(ended_before).await).await?;
        } else {
            prune(context, &store, ended_before, &mut pruned).await?;
        }
        print_report(self.pruning.json, &pruned)
    }
}

/// Removes redemptions, some at once, and adds up what they leave behind.
async fn prune(
    context: &Context,
    store: &Store,
    ended_before: DateTime<Utc>,
    pruned: &mut Pruned,
) -> Result<(), Failure> {
    let definitions = DefinitionCache::default();
    loop {
        context.stop.check(|| format!("stopped; {pruned}"))?;
        match context.with_retries(async || store.prune_redemptions(&definitions, ended_before).await).await? {
            0 => break,
            removed => pruned.redemptions += removed,
        }
    }
    loop {
        context.stop.check(|| format!("stopped; {pruned}"))?;
        match context.with_retries(async || store.prune_clicks(ended_before).await).await? {
            0 => break,
            removed => pruned.clicks += removed,
        }
    }
    while context.with_retries(async || store.add_up_tallies().await).await? > 0 {
        context.stop.check(|| format!("stopped; {pruned}"))?;
    }
    Ok(())
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let redemptions = counted(self.redemptions.into(), "redemption");
        let removed = if self.dry_run { "would be removed" } else { "removed" };
        write!(f, "{removed}: {redemptions} that ended before {}", self.ended_before)?;
        match self.clicks {
            0 => Ok(()),
            clicks => write!(f, ", and {}", counted(clicks.into(), "click")),
        }
    }
}
