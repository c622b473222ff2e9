//! `codemint reserve`: manages reserved masks, whose codes are never minted.

use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::requests::parse_mask;
use crate::cli::support::terminal::{print_json, print_line};
use crate::cli::support::text::counted;
use codemint_codes::job::request::check_note;
use codemint_codes::overlap::size;
use codemint_codes::text::printable;
use codemint_store::admission::reserved::Reserved;
use codemint_store::connection::store::Access;

/// Manage reserved masks, whose codes are never minted
#[derive(Debug, Subcommand)]
pub enum ReserveCommand {
    Add(Add),
    List(List),
    Remove(Remove),
}

impl ReserveCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run(context).await,
            Self::List(list) => list.run(context).await,
            Self::Remove(remove) => remove.run(context).await,
        }
    }
}

/// Reserve every code of a mask; running jobs comply within a few chunks, codes minted before are kept
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint reserve add '0#########' --note 'references of affiliates'
  codemint reserve add ADMIN")]
pub struct Add {
    /// Mask to reserve
    mask: String,
    /// Owner of the codes, or the reason
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

impl Add {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let mask = parse_mask(&self.mask)?;
        if let Some(note) = &self.note {
            check_note(note).map_err(Failure::impossible)?;
        }
        let store = context.open_store(Access::CreateFile).await?;
        let added = context.with_retries(async || store.put_reserved(&mask, self.note.as_deref()).await).await?;
        if !added {
            return Err(Failure::negative_result(format!("{mask} is reserved already; nothing was changed")));
        }
        print_line(&format!("{mask} is reserved: {}", counted(size(mask.positions()), "code")))
    }
}

/// List reserved masks
#[derive(Debug, Args)]
pub struct List {
    /// Report as a JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct ReservedDocument {
    mask: String,
    note: Option<String>,
    created_at: chrono::DateTime<chrono::Utc>,
}

impl From<Reserved> for ReservedDocument {
    fn from(reserved: Reserved) -> Self {
        Self { mask: reserved.mask.to_string(), note: reserved.note, created_at: reserved.created_at }
    }
}

impl List {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let reserved = context.with_retries(async || store.list_reserved().await).await?;
        let documents: Vec<ReservedDocument> = reserved.into_iter().map(ReservedDocument::from).collect();
        if self.json {
            return print_json(&documents);
        }
        if documents.is_empty() {
            context.note("no masks are reserved");
        }
        for document in &documents {
            let note = document.note.as_deref().map(|note| format!("  ({})", printable(note))).unwrap_or_default();
            print_line(&format!("{}  {}{note}", document.created_at.format("%Y-%m-%dT%H:%M:%SZ"), document.mask))?;
        }
        Ok(())
    }
}

/// Release a reserved mask, so that its codes can be minted
#[derive(Debug, Args)]
pub struct Remove {
    /// Mask, as it was reserved
    mask: String,
}

impl Remove {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let mask = parse_mask(&self.mask)?;
        let store = context.open_store(Access::Existing).await?;
        if !context.with_retries(async || store.delete_reserved(&mask).await).await? {
            let list = context.command("reserve list");
            return Err(Failure::negative_result(format!("{mask} is not reserved; {list} lists the reserved masks")));
        }
        print_line(&format!("{mask} is no longer reserved"))
    }
}
