//! `codemint jobs prune`: removes data that jobs no longer need once they have ended.

use std::collections::BTreeSet;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use clap::Args;
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::pruning::Pruning;
use crate::cli::support::terminal::print_report;
use crate::cli::support::text::{counted, time};
use codemint_store::connection::store::{Access, Store};
use codemint_store::upkeep::pruning::{Prunable, PrunableRow};

/// The minimum age of a list that is removed, whatever the age of jobs: its job may be about to be accepted.
const LIST_AGE_MIN: TimeDelta = TimeDelta::days(1);

/// Remove unpublished events and filters of jobs that ended long ago
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint jobs prune --older-than 90d --dry-run
  codemint jobs prune --older-than 4w --json

The command deletes no code, nor anything that export and verify need: a code that was handed out is \
never minted again. The command removes events that no broker has accepted, and filters; new jobs \
then look up the codes of pruned jobs, which takes longer and gives the same result. Events about redemptions are \
removed by their own age; `redemption prune` removes redemptions. It also removes lists of \
identities that are older than a day and have no job: their command was killed. Freed space is \
reused; files do not shrink. In PostgreSQL, autovacuum frees the space.")]
pub struct Prune {
    #[command(flatten)]
    pruning: Pruning,
}

/// The report of what was removed, or would be.
#[derive(Debug, Serialize)]
struct Pruned {
    /// True for a dry run: the figures are what would be removed.
    dry_run: bool,
    /// The time before which the jobs ended.
    ended_before: String,
    /// The number of jobs that the removed rows belonged to.
    jobs: usize,
    events: u64,
    filters: u64,
    /// The number of events about redemptions and campaigns, which belong to no job.
    redemption_events: u64,
    /// The number of lists of identities without a job.
    lists: u64,
    /// The total size of payloads, filters and lists.
    bytes: u64,
    #[serde(skip)]
    job_nos: BTreeSet<i64>,
}

impl Prune {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let ended_before = self.pruning.before()?;
        let store = context.open_store(Access::Existing).await?;
        let mut pruned = Pruned::new(self.pruning.dry_run, ended_before);
        for what in [Prunable::Events, Prunable::Filters] {
            self.prune(context, &store, what, ended_before, &mut pruned).await?;
        }
        self.prune_lists(context, &store, &mut pruned).await?;
        print_report(self.pruning.json, &pruned)
    }

    /// Removes lists of identities that no job has: a process was killed before their jobs were accepted.
    async fn prune_lists(&self, context: &Context, store: &Store, pruned: &mut Pruned) -> Result<(), Failure> {
        let Some(stored_before) = Utc::now().checked_sub_signed(LIST_AGE_MIN) else { return Ok(()) };
        let list = async || match store.list_abandoned_lists(stored_before).await {
            Err(error) if error.is_denied() && self.pruning.dry_run => Ok(None),
            lists => lists.map(Some),
        };
        let lists = context.with_retries(list).await?;
        if lists.is_none() {
            context.note(
                "note: the database user may not see lists of identities, so those without a job are not counted",
            );
        }
        for list in lists.unwrap_or_default() {
            context.stop.check(|| format!("stopped; {pruned}"))?;
            if self.pruning.dry_run || context.with_retries(async || store.prune_list(&list).await).await? {
                pruned.lists += 1;
                pruned.bytes += list.bytes;
            }
        }
        Ok(())
    }

    async fn prune(
        &self,
        context: &Context,
        store: &Store,
        what: Prunable,
        ended_before: DateTime<Utc>,
        pruned: &mut Pruned,
    ) -> Result<(), Failure> {
        let mut after_no = 0;
        loop {
            context.stop.check(|| format!("stopped; {pruned}"))?;
            let list = async || store.list_prunable(what, ended_before, after_no).await;
            let mut rows = context.with_retries(list).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            after_no = last.no;
            if !self.pruning.dry_run {
                let removed = context.with_retries(async || store.prune(what, &rows).await).await?;
                rows.retain(|row| removed.contains(&row.no));
            }
            pruned.count(what, &rows);
        }
    }
}

impl Pruned {
    fn new(dry_run: bool, ended_before: DateTime<Utc>) -> Self {
        Self {
            dry_run,
            ended_before: time(ended_before),
            jobs: 0,
            events: 0,
            filters: 0,
            redemption_events: 0,
            lists: 0,
            bytes: 0,
            job_nos: BTreeSet::new(),
        }
    }

    fn count(&mut self, what: Prunable, rows: &[PrunableRow]) {
        let of_jobs = rows.iter().filter(|row| row.job_no.is_some()).count() as u64;
        match what {
            Prunable::Events => self.events += of_jobs,
            Prunable::Filters => self.filters += of_jobs,
        }
        self.redemption_events += rows.len() as u64 - of_jobs;
        self.bytes += rows.iter().map(|row| row.bytes).sum::<u64>();
        self.job_nos.extend(rows.iter().filter_map(|row| row.job_no));
        self.jobs = self.job_nos.len();
    }
}

impl fmt::Display for Pruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ended_before, jobs, events, filters, bytes, .. } = self;
        let [events, filters, bytes] = [(events, "event"), (filters, "filter"), (bytes, "byte")]
            .map(|(number, noun)| counted((*number).into(), noun));
        let jobs = counted(*jobs as u128, "job");
        let removed = if self.dry_run { "would be removed" } else { "removed" };
        write!(f, "{removed}: {events} and {filters}, {bytes}, of {jobs} that ended before {ended_before}")?;
        if self.redemption_events > 0 {
            write!(f, "; {} about redemptions", counted(self.redemption_events.into(), "event"))?;
        }
        match self.lists {
            0 => Ok(()),
            lists => write!(f, "; {} of identities without a job", counted(lists.into(), "list")),
        }
    }
}
