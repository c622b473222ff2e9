//! `codemint segment`: manages segments, the groups of buyers that campaigns name.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::commands::segment_members::Members;
use crate::cli::support::context::Context;
use crate::cli::support::document;
use crate::cli::support::failure::Failure;
use crate::cli::support::requests::check_segment;
use crate::cli::support::terminal::{print_json, print_line};
use codemint_codes::text::{grouped, printable};
use codemint_offers::condition::document::SegmentDocument;
use codemint_offers::read::condition::read_segment;
use codemint_store::campaigns::segments::PutSegment;
use codemint_store::connection::store::{Access, Store};

/// The number of segments read per query.
const PAGE_ROWS: u32 = 1000;

/// Manage segments: groups of buyers that campaigns name
#[derive(Debug, Subcommand)]
pub enum SegmentCommand {
    Set(Set),
    Members(Members),
    List(List),
    Show(Show),
    Remove(Remove),
}

impl SegmentCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Set(set) => set.run(context).await,
            Self::Members(members) => members.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::Remove(remove) => remove.run(context).await,
        }
    }
}

/// Set the condition of a segment, which is created if it is new
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint segment set gold gold.json
  echo '{ \"condition\": null }' | codemint segment set gold -

The file is { \"condition\": ... } with a condition as in campaigns; null is no condition. A buyer for whom \
the condition is true belongs to the segment, and so does every member of `codemint segment members`.")]
pub struct Set {
    /// Segment name
    name: String,
    /// JSON file with the condition, or - for standard input
    file: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Set {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        check_segment(&self.name)?;
        let document = document::read(context, &self.file, self.json).await?;
        read_segment(&document.value).map_err(|problems| document.refuse(problems))?;
        let store = context.open_store(Access::CreateFile).await?;
        let put = context.with_retries(async || store.put_segment(&self.name, &document.value, None).await).await?;
        if self.json {
            return print_json(&find(context, &store, &self.name).await?);
        }
        let done = if put == PutSegment::Created { "was created" } else { "has a new condition" };
        print_line(&format!("segment {} {done}", printable(&self.name)))
    }
}

/// List segments by name
#[derive(Debug, Args)]
pub struct List {
    /// Report as a JSON array
    #[arg(long)]
    json: bool,
}

impl List {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let mut documents: Vec<SegmentDocument> = Vec::new();
        loop {
            context.stop.check(|| "stopped before everything was listed".to_owned())?;
            let after = documents.last().map_or("", |last| &last.name);
            let page = context.with_retries(async || store.list_segments(after, PAGE_ROWS).await).await?;
            let is_last = page.len() < PAGE_ROWS as usize;
            for segment in page {
                documents.push(segment.try_into()?);
            }
            if is_last {
                break;
            }
        }
        if self.json {
            return print_json(&documents);
        }
        if documents.is_empty() {
            context.note("no segments");
            return Ok(());
        }
        print_line(&format!("{:>13}  {:<9}  {:<20}  SEGMENT", "MEMBERS", "CONDITION", "CHANGED"))?;
        documents.iter().try_for_each(|document| {
            let condition = if document.condition.is_null() { "no" } else { "yes" };
            let changed = document.changed_at.format("%Y-%m-%dT%H:%M:%SZ");
            let (members, name) = (grouped(document.members.into()), printable(&document.name));
            print_line(&format!("{members:>13}  {condition:<9}  {changed}  {name}"))
        })
    }
}

/// Show one segment
#[derive(Debug, Args)]
pub struct Show {
    /// Segment name
    name: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let document = find(context, &store, &self.name).await?;
        if self.json {
            return print_json(&document);
        }
        let condition = if document.condition.is_null() { "-".to_owned() } else { document.condition.to_string() };
        let rows = [
            ("segment", document.name),
            ("condition", condition),
            ("members", grouped(document.members.into())),
            ("changed", document.changed_at.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
        ];
        rows.into_iter().try_for_each(|(name, value)| print_line(&format!("{name:<12}{}", printable(&value))))
    }
}

/// Remove a segment and its members; requests may still state it for a buyer
#[derive(Debug, Args)]
pub struct Remove {
    /// Segment name
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
        if !context.with_retries(async || store.delete_segment(&self.name).await).await? {
            return Err(missing(context, &self.name));
        }
        if self.json {
            return print_json(&Removed { name: &self.name, removed: true });
        }
        print_line(&format!("segment {} was removed", printable(&self.name)))
    }
}

/// Finds a segment by its name; `negative_result` if there is none.
async fn find(context: &Context, store: &Store, name: &str) -> Result<SegmentDocument, Failure> {
    let found = context.with_retries(async || store.find_segment(name).await).await?;
    Ok(found.ok_or_else(|| missing(context, name))?.try_into()?)
}

fn missing(context: &Context, name: &str) -> Failure {
    let list = context.command("segment list");
    Failure::negative_result(format!(
        "there is no segment {} in this store; {list} shows its segments",
        printable(name)
    ))
}
