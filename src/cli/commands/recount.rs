//! `codemint report recount`: proves that sums equal their facts.

use std::fmt;

use clap::Args;
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::terminal::print_report;
use crate::cli::support::text::counted;
use codemint_codes::text::printable;
use codemint_store::connection::store::Access;
use codemint_store::figures::recount;
use codemint_store::redemptions::definition_cache::DefinitionCache;

/// The number of differences that are shown to people.
const SHOWN_MAX: usize = 20;

/// Compare all sums with the facts that they are about
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint report recount
  codemint report recount --correct
  codemint report recount --json | jq .differences

Redemptions, issued codes and clicks are counted anew, at one instant, while others go on working. The exit code is 3 if a \
sum differs. That happens only if a program that was made for schema version 11 or older has issued codes beside newer ones; \
--correct adds to the sums what they lack.")]
pub struct Recount {
    /// Correct the sums that differ, which the audit log records
    #[arg(long)]
    correct: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    recount: recount::Recount,
    corrected: bool,
}

impl Recount {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let cache = DefinitionCache::default();
        let proceed = || context.stop.check(|| "stopped before everything was counted".to_owned());
        let recount = store.recount::<Failure>(&cache, proceed).await?;
        let differs = !recount.differences.is_empty();
        let corrected = differs && self.correct;
        if corrected {
            store.correct_sums(&recount.differences).await?;
        }
        print_report(self.json, &Report { recount, corrected })?;
        if differs && !corrected { Err(Failure::Reported { code: 3 }) } else { Ok(()) }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let recount::Recount { redemptions, issued, clicks, sums, differences } = &self.recount;
        write!(
            f,
            "{} counted, {} and {}: ",
            counted((*redemptions).into(), "redemption"),
            counted((*issued).into(), "issued code"),
            counted((*clicks).into(), "click")
        )?;
        if differences.is_empty() {
            return write!(f, "{} equal them", counted((*sums).into(), "sum"));
        }
        let verb = if self.corrected { "corrected" } else { "wrong" };
        write!(f, "{} of {sums} {verb}", counted((differences.len() as u64).into(), "sum"))?;
        for one in differences.iter().take(SHOWN_MAX) {
            let about: Vec<String> = [&one.source, &one.ad, &one.affiliate, &one.currency]
                .into_iter()
                .filter(|text| !text.is_empty())
                .map(|text| printable(text).to_string())
                .collect();
            let campaign = printable(&one.campaign);
            write!(f, "\n  {campaign}, {}, {}: {} instead of {}", one.day, one.metric, one.sum, one.counted)?;
            if !about.is_empty() {
                write!(f, " ({})", about.join(", "))?;
            }
        }
        match differences.len().saturating_sub(SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
