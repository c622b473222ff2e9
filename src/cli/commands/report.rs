//! `codemint report`: figures by campaign, affiliate, source, advertisement or day.

use std::io::{Write, stdout};

use chrono::NaiveDate;
use clap::{Args, Subcommand};

use crate::cli::commands::recount::Recount;
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::terminal::{print_json, print_line};
use codemint_codes::text::{grouped, printable};
use codemint_offers::report::chart::{CHART_DAYS_MAX, Series};
use codemint_offers::report::day::read_day;
use codemint_offers::report::document::{ReportAmounts, ReportRow};
use codemint_offers::report::figures::Subject;
use codemint_server::{chart, report_csv};
use codemint_store::connection::store::Access;
use codemint_store::figures::report::{ReportFilter, SUMS_MAX};

/// Report what was issued, clicked, redeemed and rolled back, and the money
#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:
  codemint report campaigns
  codemint report sources --campaign 'Spring sale' --from 2027-03-01 --to 2027-03-31 --csv
  codemint report days --campaign 'Spring sale' --svg > redemptions.svg
  codemint report recount")]
pub enum ReportCommand {
    /// Report by campaign
    Campaigns(Rows),
    /// Report by affiliate
    Affiliates(Rows),
    /// Report by source
    Sources(Rows),
    /// Report by advertisement
    Ads(Rows),
    Days(Days),
    Recount(Recount),
}

impl ReportCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let (subject, rows, svg) = match self {
            Self::Campaigns(rows) => (Subject::Campaigns, rows, false),
            Self::Affiliates(rows) => (Subject::Affiliates, rows, false),
            Self::Sources(rows) => (Subject::Sources, rows, false),
            Self::Ads(rows) => (Subject::Ads, rows, false),
            Self::Days(Days { rows, svg }) => (Subject::Days, rows, svg),
            Self::Recount(recount) => return recount.run(context).await,
        };
        rows.run(context, subject, svg).await
    }
}

/// Which facts are reported, and how
#[derive(Debug, Args)]
pub struct Rows {
    /// First day, such as 2027-03-01, in the zone of each campaign
    #[arg(long, value_name = "DAY", value_parser = read_day)]
    from: Option<NaiveDate>,
    /// Last day
    #[arg(long, value_name = "DAY", value_parser = read_day)]
    to: Option<NaiveDate>,
    /// Only facts of this campaign
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Write CSV; a subject with several currencies has a line for each
    #[arg(long, conflicts_with = "json")]
    csv: bool,
    /// Report as a JSON array
    #[arg(long)]
    json: bool,
}

/// Report by day
#[derive(Debug, Args)]
pub struct Days {
    #[command(flatten)]
    rows: Rows,
    /// Write a chart of the redemptions as SVG
    #[arg(long, conflicts_with_all = ["json", "csv"])]
    svg: bool,
}

impl Rows {
    async fn run(self, context: &Context, subject: Subject, svg: bool) -> Result<(), Failure> {
        if let (Some(from), Some(to)) = (self.from, self.to) {
            if to < from {
                return Err(Failure::usage("--to is before --from; write the last day"));
            }
            if svg && (to - from).num_days() >= CHART_DAYS_MAX {
                return Err(Failure::usage(format!("a chart has at most {CHART_DAYS_MAX} days; choose fewer")));
            }
        }
        let store = context.open_store(Access::Existing).await?;
        let campaign_no = match &self.campaign {
            Some(name) => Some(find::campaign(context, &store, name).await?.no),
            None => None,
        };
        let filter = ReportFilter { subject, from: self.from, to: self.to, campaign_no };
        let rows = context.with_retries(async || store.report(&filter).await).await?.map_err(|_too_many| {
            Failure::impossible(format!(
                "the report is made of more than {SUMS_MAX} sums; name a campaign, or fewer days"
            ))
        })?;
        if self.json {
            print_json(&rows)
        } else if self.csv {
            print_raw(&report_csv::csv(&rows).map_err(Failure::other)?)
        } else if svg {
            print_raw(chart::svg(&Series::of(&rows, self.from, self.to)).as_bytes())
        } else if rows.is_empty() {
            context.note("nothing has happened");
            Ok(())
        } else {
            lines(subject, &rows).iter().try_for_each(|line| print_line(line))
        }
    }
}

/// Writes what is for files and programs as it is.
fn print_raw(bytes: &[u8]) -> Result<(), Failure> {
    stdout().write_all(bytes).map_err(|error| Failure::stdout(&error))
}

fn lines(subject: Subject, rows: &[ReportRow]) -> Vec<String> {
    let name = match subject {
        Subject::Campaigns => "CAMPAIGN",
        Subject::Affiliates => "AFFILIATE",
        Subject::Sources => "SOURCE",
        Subject::Ads => "AD",
        Subject::Days => "DAY",
    };
    let header = format!(
        "{:>11}  {:>11}  {:>11}  {:>11}  {:>10}  {:>17}  {:>17}  {:<3}  {name}",
        "ISSUED", "CLICKS", "REDEEMED", "ROLLED BACK", "CONVERSION", "DISCOUNT", "REVENUE", "IN"
    );
    std::iter::once(header).chain(rows.iter().flat_map(row_lines)).collect()
}

/// Returns the line of a subject, and one for each further currency. Amounts are in minor units.
fn row_lines(row: &ReportRow) -> Vec<String> {
    let count = |count: i64| grouped(count.unsigned_abs().into());
    let conversion = row.conversion.map_or("-".to_owned(), |share| format!("{:.2} %", share * 100.0));
    let none = ReportAmounts { currency: String::new(), discount: 0, revenue: 0 };
    let first = row.amounts.first().unwrap_or(&none);
    let key = if row.key.is_empty() { "(none)".to_owned() } else { printable(&row.key).to_string() };
    let mut lines = vec![format!(
        "{:>11}  {:>11}  {:>11}  {:>11}  {conversion:>10}  {:>17}  {:>17}  {:<3}  {key}",
        count(row.issued),
        count(row.clicks),
        count(row.redeemed),
        count(row.rolled_back),
        count(first.discount),
        count(first.revenue),
        first.currency
    )];
    lines.extend(row.amounts.iter().skip(1).map(|further| {
        let (discount, revenue) = (count(further.discount), count(further.revenue));
        format!("{:>62}  {discount:>17}  {revenue:>17}  {:<3}  {key}", "", further.currency)
    }));
    lines
}
