//! `codemint affiliate exclusion`: references that a rule does not concern.

use std::io::{self, Write};

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::commands::affiliate_rule::{find, missing};
use crate::cli::support::context::Context;
use crate::cli::support::exclusion_list::ExclusionList;
use crate::cli::support::failure::Failure;
use crate::cli::support::input;
use crate::cli::support::terminal::{print_json, print_line};
use crate::cli::support::text::counted;
use codemint_codes::text::{grouped, printable};
use codemint_import::rows::RowsError;
use codemint_offers::affiliate::document::{ExclusionDocument, ReplacedExclusionsDocument};
use codemint_offers::affiliate::exclusion::{
    COLUMNS, Details, EXCLUSIONS_MAX, Exclusion, RULE_EXCLUSIONS_MAX, checked_detail, checked_reference, not_described,
};
use codemint_store::affiliates::exclusions::{EXCLUSIONS_AT_ONCE, Excluding};
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::{Access, Store};

/// Manage exclusions: references that a rule does not concern
#[derive(Debug, Subcommand)]
pub enum ExclusionCommand {
    Add(Add),
    Remove(Remove),
    List(List),
    Replace(Replace),
    Export(Export),
}

impl ExclusionCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run(context).await,
            Self::Remove(remove) => remove.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Replace(replace) => replace.run(context).await,
            Self::Export(export) => export.run(context).await,
        }
    }
}

/// Exclude a reference from a rule, or replace the details of its exclusion
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint affiliate exclusion add choc-2027 0123456780
  codemint affiliate exclusion add choc-2027 0123456780 --affiliate 'Rose Ltd' --promotion FGV --note 'own contract'

The reference has no prefix. The change is seen everywhere within a second.")]
pub struct Add {
    /// Rule name
    rule: String,
    /// Reference, without the prefix of the rule
    reference: String,
    /// Whose reference it is
    #[arg(long)]
    affiliate: Option<String>,
    /// What the affiliate gets instead
    #[arg(long)]
    promotion: Option<String>,
    /// Any other text
    #[arg(long)]
    note: Option<String>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Add {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let detail = |name, text: &Option<String>| {
            checked_detail(name, text.as_deref().unwrap_or_default()).map_err(Failure::impossible)
        };
        let (affiliate, promotion) = (detail("affiliate", &self.affiliate)?, detail("promotion", &self.promotion)?);
        let details = Details { affiliate, promotion, note: detail("note", &self.note)? };
        let exclusion = Exclusion { reference: checked(&self.reference)?, details };
        let store = context.open_store(Access::Existing).await?;
        let put = context.with_retries(async || store.put_exclusion(&self.rule, &exclusion).await).await?;
        let is_new = done(context, &self.rule, put)?;
        if self.json {
            return print_json(&ExclusionDocument::from(exclusion));
        }
        let (reference, rule) = (printable(&exclusion.reference), printable(&self.rule));
        match is_new {
            true => print_line(&format!("{reference} is excluded from rule {rule}")),
            false => {
                print_line(&format!("{reference} was excluded from rule {rule} already; its details were replaced"))
            }
        }
    }
}

/// Include a reference again
#[derive(Debug, Args)]
pub struct Remove {
    /// Rule name
    rule: String,
    /// Reference, without the prefix of the rule
    reference: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Removed<'a> {
    rule: &'a str,
    reference: &'a str,
    removed: bool,
}

impl Remove {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let reference = checked(&self.reference)?;
        let store = context.open_store(Access::Existing).await?;
        let removed = context.with_retries(async || store.delete_exclusion(&self.rule, &reference).await).await?;
        let rule = printable(&self.rule);
        if !done(context, &self.rule, removed)? {
            let message = format!("{} is not excluded from rule {rule}; nothing was changed", printable(&reference));
            return Err(Failure::negative_result(message));
        }
        if self.json {
            return print_json(&Removed { rule: &self.rule, reference: &reference, removed: true });
        }
        print_line(&format!("{} is no longer excluded from rule {rule}", printable(&reference)))
    }
}

/// List the exclusions of a rule by reference
#[derive(Debug, Args)]
pub struct List {
    /// Rule name
    rule: String,
    /// Only references that begin with this
    #[arg(long)]
    prefix: Option<String>,
    /// Report as JSON, one exclusion per line
    #[arg(long)]
    json: bool,
}

impl List {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let prefix = self.prefix.as_deref().map(checked).transpose()?.unwrap_or_default();
        let store = context.open_store(Access::Existing).await?;
        let no = find(context, &store, &self.rule).await?.no;
        if !self.json {
            print_line(&format!("{:<20}  {:<20}  {:<20}  NOTE", "REFERENCE", "AFFILIATE", "PROMOTION"))?;
        }
        let mut after = String::new();
        loop {
            context.stop.check(|| "stopped before everything was listed".to_owned())?;
            let most = EXCLUSIONS_AT_ONCE as u32;
            let page = context.with_retries(async || store.list_exclusions(no, &prefix, &after, most).await).await?;
            let is_last = page.len() < EXCLUSIONS_AT_ONCE;
            if let Some(last) = page.last() {
                after.clone_from(&last.reference);
            }
            page.into_iter().try_for_each(|exclusion| self.print(exclusion))?;
            if is_last {
                return Ok(());
            }
        }
    }

    fn print(&self, exclusion: Exclusion) -> Result<(), Failure> {
        if self.json {
            return print_json(&ExclusionDocument::from(exclusion));
        }
        let shown = |text: &str| if text.is_empty() { "-".to_owned() } else { printable(text) };
        let [reference, affiliate, promotion, note] = exclusion.row().map(shown);
        print_line(&format!("{reference:<20}  {affiliate:<20}  {promotion:<20}  {note}"))
    }
}

/// Replace all exclusions of a rule
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint affiliate exclusion replace choc-2027 exclusions.csv
  codemint affiliate exclusion export choc-2027 > exclusions.csv

The file is CSV with a header: the column reference, and affiliate, promotion and note if they are needed. Of repeated references the \
first one counts. If a line is wrong, nothing is changed and all such lines are reported. A header alone leaves the rule without \
exclusions.")]
pub struct Replace {
    /// Rule name
    rule: String,
    /// CSV file with the exclusions, or - for standard input
    file: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Replace {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let opened = input::open(&self.file)?;
        let store = context.open_store(Access::Existing).await?;
        let rule = find(context, &store, &self.rule).await?.rule;
        let stop = context.stop.token().clone();
        let read = input::on_a_thread(context, move || ExclusionList::read(opened, &rule, &stop)).await?;
        let list = read.map_err(|error| match error {
            RowsError::Read(error) => Failure::from(error),
            error => Failure::impossible(format!("{}: {error}; nothing was changed", input::shown(&self.file))),
        })?;
        if list.is_too_large {
            return Err(too_many());
        }
        if list.wrong.count > 0 {
            return Err(self.refuse(&list));
        }
        let repeated = list.repeated;
        let replaced = done(context, &self.rule, list.replace(context, &store, &self.rule).await?)?;
        if self.json {
            let rule = self.rule;
            return print_json(&ReplacedExclusionsDocument {
                rule,
                before: replaced.before,
                now: replaced.now,
                repeated,
            });
        }
        let repeated = match repeated {
            0 => String::new(),
            repeated => format!("; {} left out", counted(repeated.into(), "repeat")),
        };
        let (rule, before) = (printable(&self.rule), grouped(replaced.before.into()));
        print_line(&format!("rule {rule} has {}, {before} before{repeated}", counted(replaced.now.into(), "exclusion")))
    }

    /// Returns the failure of a list with wrong lines, and reports them for programs if that was requested.
    fn refuse(&self, list: &ExclusionList) -> Failure {
        let count = counted(list.wrong.count.into(), "wrong line");
        let head = format!("{} has {count}; nothing was changed", input::shown(&self.file));
        list.wrong.refuse(head, self.json)
    }
}

/// Write all exclusions of a rule as CSV to standard output
#[derive(Debug, Args)]
pub struct Export {
    /// Rule name
    rule: String,
    /// Write one JSON object per line instead
    #[arg(long)]
    json: bool,
}

impl Export {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let no = find(context, &store, &self.rule).await?.no;
        // They are read at one moment, and written when all are there: a list that is edited and sent back must be whole.
        let encoded = context.with_retries(async || self.encoded(&store, no).await).await?.map_err(Failure::other)?;
        io::stdout().lock().write_all(&encoded).map_err(|error| Failure::stdout(&error))
    }

    async fn encoded(&self, store: &Store, no: i64) -> Result<io::Result<Vec<u8>>, StoreError> {
        let mut encoded = Vec::new();
        let mut result = if self.json { Ok(()) } else { encode(&mut encoded, &[COLUMNS]) };
        let take = |page: Vec<Exclusion>| {
            if result.is_ok() {
                result =
                    if self.json { encode_json(&mut encoded, page) } else { encode(&mut encoded, &all_rows(&page)) };
            }
        };
        store.read_all_exclusions(no, take).await?;
        Ok(result.map(|()| encoded))
    }
}

fn all_rows(exclusions: &[Exclusion]) -> Vec<[&str; 4]> {
    exclusions.iter().map(Exclusion::row).collect()
}

fn encode(written: &mut Vec<u8>, rows: &[[&str; 4]]) -> io::Result<()> {
    let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(written);
    rows.iter().try_for_each(|row| csv.write_record(row)).map_err(io::Error::other)?;
    csv.flush()
}

fn encode_json(written: &mut Vec<u8>, exclusions: Vec<Exclusion>) -> io::Result<()> {
    exclusions.into_iter().try_for_each(|exclusion| {
        serde_json::to_writer(&mut *written, &ExclusionDocument::from(exclusion))?;
        written.push(b'\n');
        Ok(())
    })
}

/// Returns the result of a change of exclusions, or the failure of one that was refused.
fn done<T>(context: &Context, rule: &str, excluding: Excluding<T>) -> Result<T, Failure> {
    match excluding {
        Excluding::Done(result) => Ok(result),
        Excluding::NoRule => Err(missing(context, rule)),
        Excluding::NotDescribed { mask } => Err(Failure::impossible(not_described(&mask))),
        Excluding::TooMany => Err(too_many()),
    }
}

fn too_many() -> Failure {
    Failure::impossible(format!(
        "a rule has at most {} exclusions, and all rules together have at most {}; nothing was changed; write another mask instead",
        grouped(RULE_EXCLUSIONS_MAX.into()),
        grouped(EXCLUSIONS_MAX.into())
    ))
}

fn checked(reference: &str) -> Result<String, Failure> {
    checked_reference(reference).map_err(Failure::impossible)
}
