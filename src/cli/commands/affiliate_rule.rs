//! `codemint affiliate rule`: which references get the offer of a campaign.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::document;
use crate::cli::support::failure::Failure;
use crate::cli::support::requests::check_rule;
use crate::cli::support::terminal::{print_json, print_line};
use codemint_codes::text::{grouped, printable};
use codemint_offers::affiliate::document::{ANSWERED, RuleDocument};
use codemint_offers::affiliate::rule::{Period, RULES_MAX, Rule, conflict};
use codemint_offers::read::affiliate::read_rule;
use codemint_store::affiliates::rules::{PutRule, StoredRule, SwitchRule};
use codemint_store::connection::store::{Access, Store};

/// The number of rules read per query.
const PAGE_ROWS: u32 = 1000;

/// Manage rules: which references get the offer of a campaign
#[derive(Debug, Subcommand)]
pub enum RuleCommand {
    Set(Set),
    List(List),
    Show(Show),
    On(On),
    Off(Off),
    Remove(Remove),
}

impl RuleCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Set(set) => set.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::On(On { name, json }) => switch(context, &name, true, json).await,
            Self::Off(Off { name, json }) => switch(context, &name, false, json).await,
            Self::Remove(remove) => remove.run(context).await,
        }
    }
}

/// Create a rule, or replace it; its exclusions stay
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint affiliate rule set choc-2027 choc.json
  echo '{ \"mask\": \"0#########\", \"prefix\": \"FCH\", \"campaign\": \"choc\" }' | codemint affiliate rule set choc-2027 -

The file is a JSON object: mask (the references, without the prefix), prefix, campaign, and if needed active (true), priority (0) and \
periods ([ { \"from\": ..., \"to\": ... } ], times or null; none is always). A rule is refused if another one concerns the same \
references at the same time with the same priority. What `codemint affiliate rule show --json` prints is such a file, too.")]
pub struct Set {
    /// Rule name
    name: String,
    /// JSON file with the rule, or - for standard input
    file: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Set {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        check_rule(&self.name)?;
        let document = document::read(context, &self.file, self.json).await?.without(&ANSWERED);
        let rule = read_rule(&self.name, &document.value).map_err(|problems| document.refuse(problems))?;
        let store = context.open_store(Access::CreateFile).await?;
        let put = context.with_retries(async || store.put_affiliate_rule(&rule, None).await).await?;
        let done = done(context, &rule, put)?;
        if self.json {
            return print_json(&RuleDocument::from(find(context, &store, &self.name).await?));
        }
        print_line(&format!("rule {} {done}", printable(&self.name)))
    }
}

/// Returns what was done, for people.
fn done(context: &Context, rule: &Rule, put: PutRule) -> Result<&'static str, Failure> {
    match put {
        PutRule::Created => Ok("was created"),
        PutRule::Replaced => Ok("was replaced"),
        PutRule::UnknownCampaign => {
            let list = context.command("campaign list");
            let campaign = printable(&rule.campaign);
            Err(Failure::impossible(format!(
                "there is no campaign {campaign} in this store; {list} shows its campaigns"
            )))
        }
        PutRule::TooMany => Err(Failure::impossible(format!(
            "there are {} rules, the most that there may be; remove one, or join some in one mask",
            grouped(RULES_MAX as u128)
        ))),
        PutRule::Stale => Err(Failure::impossible("somebody else has changed the rule meanwhile".to_owned())),
        PutRule::Conflict(others) => Err(Failure::impossible(conflict(&rule.name, &others))),
    }
}

/// List rules by name
#[derive(Debug, Args)]
pub struct List {
    /// Report as a JSON array
    #[arg(long)]
    json: bool,
}

impl List {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        // There are at most as many as fit on a page.
        let rules = context.with_retries(async || store.list_affiliate_rules("", PAGE_ROWS).await).await?;
        let documents: Vec<RuleDocument> = rules.into_iter().map(RuleDocument::from).collect();
        if self.json {
            return print_json(&documents);
        }
        if documents.is_empty() {
            context.note("no rules");
            return Ok(());
        }
        print_line(&format!(
            "{:<3}  {:>8}  {:>10}  {:<16}  {:<20}  RULE",
            "ON", "PRIORITY", "EXCLUSIONS", "PREFIX", "CAMPAIGN"
        ))?;
        documents.iter().try_for_each(|document| {
            let RuleDocument { name, prefix, campaign, active, priority, exclusions, .. } = document;
            let (active, exclusions) = (if *active { "on" } else { "off" }, grouped((*exclusions).into()));
            let (prefix, campaign, name) = (shown(prefix), printable(campaign), printable(name));
            print_line(&format!("{active:<3}  {priority:>8}  {exclusions:>10}  {prefix:<16}  {campaign:<20}  {name}"))
        })
    }
}

/// Show one rule
#[derive(Debug, Args)]
pub struct Show {
    /// Rule name
    name: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let document = RuleDocument::from(find(context, &store, &self.name).await?);
        if self.json {
            return print_json(&document);
        }
        let rows = [
            ("rule", document.name),
            ("mask", document.mask),
            ("prefix", shown(&document.prefix).to_owned()),
            ("campaign", document.campaign),
            ("active", if document.active { "on".to_owned() } else { "off".to_owned() }),
            ("priority", document.priority.to_string()),
            ("exclusions", grouped(document.exclusions.into())),
            ("changed", time(document.changed_at)),
        ];
        rows.into_iter().try_for_each(|(name, value)| print_line(&format!("{name:<12}{}", printable(&value))))?;
        if document.periods.is_empty() {
            return print_line("periods     always");
        }
        document.periods.iter().try_for_each(|period| print_line(&format!("period      {}", period_text(*period))))
    }
}

/// Switch a rule on
#[derive(Debug, Args)]
pub struct On {
    /// Rule name
    name: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

/// Switch a rule off; its exclusions and periods stay
#[derive(Debug, Args)]
pub struct Off {
    /// Rule name
    name: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

async fn switch(context: &Context, name: &str, active: bool, json: bool) -> Result<(), Failure> {
    let store = context.open_store(Access::Existing).await?;
    let switched = context.with_retries(async || store.switch_affiliate_rule(name, active).await).await?;
    if switched == SwitchRule::Missing {
        return Err(missing(context, name));
    }
    if json {
        return print_json(&RuleDocument::from(find(context, &store, name).await?));
    }
    let (name, state) = (printable(name), if active { "on" } else { "off" });
    match switched {
        SwitchRule::Unchanged => print_line(&format!("rule {name} was {state} already")),
        SwitchRule::Switched | SwitchRule::Missing => print_line(&format!("rule {name} is {state}")),
    }
}

/// Remove a rule and its exclusions
#[derive(Debug, Args)]
pub struct Remove {
    /// Rule name
    name: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Removed<'a> {
    name: &'a str,
    removed: bool,
}

impl Remove {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        if !context.with_retries(async || store.delete_affiliate_rule(&self.name).await).await? {
            return Err(missing(context, &self.name));
        }
        if self.json {
            return print_json(&Removed { name: &self.name, removed: true });
        }
        print_line(&format!("rule {} was removed", printable(&self.name)))
    }
}

/// Finds a rule by its name; `negative_result` if there is none.
pub(super) async fn find(context: &Context, store: &Store, name: &str) -> Result<StoredRule, Failure> {
    let found = context.with_retries(async || store.find_affiliate_rule(name).await).await?;
    found.ok_or_else(|| missing(context, name))
}

pub(super) fn missing(context: &Context, name: &str) -> Failure {
    let list = context.command("affiliate rule list");
    Failure::negative_result(format!("there is no rule {} in this store; {list} shows its rules", printable(name)))
}

/// Formats a prefix, which may be empty.
fn shown(prefix: &str) -> &str {
    if prefix.is_empty() { "-" } else { prefix }
}

fn period_text(Period { from, to }: Period) -> String {
    match (from, to) {
        (Some(from), Some(to)) => format!("{} to {}", time(from), time(to)),
        (Some(from), None) => format!("from {}", time(from)),
        (None, Some(to)) => format!("until {}", time(to)),
        (None, None) => "always".to_owned(),
    }
}

fn time(time: DateTime<Utc>) -> String {
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
