//! `codemint demo`: fills an empty store with believable data.

use std::fmt;
use std::time::Instant;

use chrono::{Datelike, NaiveDate, Utc};
use clap::Args;
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::demo::{begin, detail_of, failed, found, way_out};
use crate::cli::support::failure::Failure;
use crate::cli::support::requests::from_to;
use crate::cli::support::terminal::print_report;
use crate::cli::support::text::counted;
use codemint_campaigns::demo::filling::{Filled, Filling};
use codemint_codes::text::{grouped, printable};
use codemint_offers::demo::orders::Orders;
use codemint_offers::demo::settings::{DAYS, DemoSettings, REDEMPTIONS_MAX, REDEMPTIONS_MIN, REDEMPTIONS_USUAL};
use codemint_offers::report::day::read_day;
use codemint_store::connection::store::{Access, Store};

/// Fill an empty store with believable data, for screenshots, trials and load tests
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint --store sqlite://demo.db demo
  codemint --store sqlite://demo.db demo --seed 7 --until 2026-11-01
  codemint --store postgres://mint@db/trial demo --redemptions 500000 --json

The store gets segments, twelve campaigns of all kinds, codes that jobs have minted, codes of identities and pools, redemptions of \
the 90 days before --until, clicks, referrals and rules for affiliates. All people, shops and addresses are invented, in domains \
that are reserved for examples. Limits, sums and reports are exact, as in any other store.

The same seed, number and date give the same campaigns, redemptions, ids and figures. Codes do not follow from the seed: they are \
drawn as for any other job, so nobody can guess them. The audit log keeps the true times.

The store must be empty. To take the demo away, delete the file, or drop the database. A demo that was interrupted cannot be \
resumed: delete it and begin again.")]
pub struct Demo {
    /// Number from which everything but the codes follows
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// First day after those of the demo, in UTC [default: today]
    #[arg(long, value_name = "DATE", value_parser = read_day)]
    until: Option<NaiveDate>,
    /// Approximate number of redemptions, from 100 to 1000000
    #[arg(long, value_name = "N", default_value_t = REDEMPTIONS_USUAL, value_parser = from_to::<u64>(REDEMPTIONS_MIN, REDEMPTIONS_MAX))]
    redemptions: u64,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// The first year in which a demo may end.
const FIRST_YEAR: i32 = 2000;

#[derive(Serialize)]
struct Report {
    store: String,
    seed: u64,
    until: NaiveDate,
    campaigns: u64,
    codes: u64,
    redemptions: u64,
    /// The planned uses that came too late.
    refused: u64,
    clicks: u64,
    triggers: u64,
    referrers: u64,
    rewards: u64,
    seconds: f64,
    #[serde(skip)]
    next: Vec<String>,
}

impl Demo {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let settings = self.settings()?;
        let store = context.open_store(Access::CreateFile).await?;
        let (started, detail) = (Instant::now(), detail_of(&settings));
        begin(context, &store, &detail).await?;
        let filled = self.fill(context, &store, settings, &detail).await;
        let (codes, campaigns, filled) = filled.map_err(|failure| failure.with_hint(way_out(context)))?;
        let report = Report {
            store: context.config.store.to_string(),
            seed: settings.seed,
            until: settings.until,
            campaigns,
            codes,
            redemptions: filled.redemptions,
            refused: filled.refused,
            clicks: filled.clicks,
            triggers: filled.triggers,
            referrers: filled.referrers,
            rewards: filled.rewards,
            seconds: (started.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            next: ["campaign list", "report campaigns", "report recount", "serve"]
                .map(|command| context.command(command))
                .to_vec(),
        };
        print_report(self.json, &report)
    }

    fn settings(&self) -> Result<DemoSettings, Failure> {
        let today = Utc::now().date_naive();
        let until = self.until.unwrap_or(today);
        if until > today || until.year() < FIRST_YEAR {
            return Err(Failure::usage(format!(
                "--until is {until}; write a day from {FIRST_YEAR}-01-01 to today, {today}: a demo lies in the past"
            )));
        }
        Ok(DemoSettings { seed: self.seed, until, redemptions: self.redemptions })
    }

    /// Returns the number of codes and of campaigns, and what else was filled in.
    async fn fill(
        &self,
        context: &Context,
        store: &Store,
        settings: DemoSettings,
        detail: &str,
    ) -> Result<(u64, u64, Filled), Failure> {
        let (campaigns, codes) = found(context, store, &settings).await?;
        let bar = context.progress.bar_of("redemptions", settings.redemptions);
        let mut filling = Box::pin(Filling::start(store, settings)).await.map_err(failed)?;
        Box::pin(filling.issue()).await.map_err(failed)?;
        for (day, orders) in Orders::new(settings).enumerate() {
            context.stop.check(|| format!("stopped on day {} of {DAYS}", day + 1))?;
            let count = orders.uses.len();
            Box::pin(filling.fill_day(orders)).await.map_err(failed)?;
            bar.add(count);
        }
        Box::pin(filling.fill_friends()).await.map_err(failed)?;
        context.stop.check(|| "stopped before the demo was complete".to_owned())?;
        let filled = Box::pin(filling.finish(detail)).await.map_err(failed)?;
        Ok((codes, campaigns, filled))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: u64| grouped(number.into());
        writeln!(f, "campaigns    {}, with {}", number(self.campaigns), counted(self.codes.into(), "code"))?;
        writeln!(f, "redemptions  {} in the {DAYS} days before {}", number(self.redemptions), self.until)?;
        writeln!(f, "refused      {} that came too late, which leave no trace", number(self.refused))?;
        writeln!(f, "clicks       {}", number(self.clicks))?;
        writeln!(f, "triggers     {}", number(self.triggers))?;
        writeln!(f, "referrers    {}, who got {}", number(self.referrers), counted(self.rewards.into(), "reward"))?;
        writeln!(f, "time         {:.2} s", self.seconds)?;
        writeln!(f, "store        {}", printable(&self.store))?;
        write!(f, "next         try {}", self.next.join(", "))
    }
}
