//! `codemint referral`: gives people codes to pass on, and shows what became of their friends.

use std::collections::{HashMap, HashSet};

use clap::{Args, Subcommand};
use serde::Serialize;
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::requests::from_to;
use crate::cli::support::terminal::{print_json, print_line};
use crate::cli::support::text::quoted;
use codemint_codes::text::{grouped, printable};
use codemint_offers::campaign::definition::REFERRAL_DEPTH_MAX;
use codemint_offers::referral::address::Address;
use codemint_offers::referral::document::{ReferrerDocument, ReferrerState};
use codemint_store::campaigns::pool::IssueOutcome;
use codemint_store::connection::store::{Access, Store};
use codemint_store::referrals::reads::TreeRow;
use codemint_store::referrals::referrers::{NewReferrer, PutReferrer};

/// The maximum number of rows of a tree.
const ROWS_MAX: u64 = 100_000;

/// Manage referrals: codes that customers pass on to friends
#[derive(Debug, Subcommand)]
pub enum ReferralCommand {
    Add(Add),
    Show(Show),
    Tree(Tree),
}

impl ReferralCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Add(add) => add.run(context).await,
            Self::Show(show) => show.run(context).await,
            Self::Tree(tree) => tree.run(context).await,
        }
    }
}

/// Give a person a code of a referral campaign to pass on, and print the text to forward
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint referral add 'Bring a friend' ann@example.org
  codemint referral add 'Bring a friend' ann@example.org --json

A person gets one code of a campaign: the command again prints the same code. Addresses are compared without \
the part from the first + on, and those of Gmail without dots. Fill the pool with \
`codemint campaign codes NAME --count N`. Nothing is sent to anybody.")]
pub struct Add {
    /// Campaign name
    campaign: String,
    /// E-mail address of the person
    address: String,
    /// Id of the person, for a request that may be repeated [default: a new id]
    #[arg(long, value_name = "UUID", value_parser = referrer_id)]
    id: Option<Uuid>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Add {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let address = Address::read(&self.address).map_err(Failure::impossible)?;
        let store = context.open_store(Access::Existing).await?;
        let new = NewReferrer { id: self.id.unwrap_or_else(Uuid::now_v7), campaign: self.campaign.clone(), address };
        let document = match context.with_retries(async || store.put_referrer(&new).await).await? {
            PutReferrer::Done { id, code, definition, is_new } => ReferrerDocument::new(id, &definition, code, !is_new),
            PutReferrer::DifferentRequest => {
                return Err(Failure::negative_result(format!(
                    "another person has the id {}; leave out --id for a new one",
                    new.id
                )));
            }
            PutReferrer::NotReferral => {
                let campaign = printable(&self.campaign);
                return Err(Failure::negative_result(format!(
                    "the purpose of campaign {campaign} is not referral, so its codes are not passed on"
                )));
            }
            PutReferrer::Refused(outcome) => return Err(Failure::negative_result(self.refusal(context, &outcome))),
        };
        if self.json {
            return print_json(&document);
        }
        if document.already_generated {
            context.note("note: the person had this code already");
        }
        let rows = [("id", document.id.to_string()), ("code", document.code), ("forward", document.forward_text)];
        rows.into_iter().try_for_each(|(name, value)| print_line(&format!("{name:<12}{}", printable(&value))))
    }

    fn refusal(&self, context: &Context, refused: &IssueOutcome) -> String {
        let campaign = printable(&self.campaign);
        match refused {
            IssueOutcome::UnknownCampaign => {
                format!("there is no campaign {campaign}; {} shows them", context.command("campaign list"))
            }
            IssueOutcome::NotActive => format!("campaign {campaign} is off, has not started or has ended"),
            IssueOutcome::LimitReached | IssueOutcome::LimitReserved => {
                format!("campaign {campaign} has issued as many codes as limits.issued allows")
            }
            _ => format!(
                "the pool of campaign {campaign} is empty; {} fills it",
                context.command(format_args!("campaign codes {} --count N", quoted(&self.campaign)))
            ),
        }
    }
}

/// Show a referrer, and what became of the friends
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint referral show 0192e4a0-7c1e-7b11-8f8a-3d1d8a1f2b3c

Addresses are not shown.")]
pub struct Show {
    /// Id of the referrer
    #[arg(value_parser = referrer_id)]
    id: Uuid,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let Some(referrer) = context.with_retries(async || store.find_referrer(self.id).await).await? else {
            return Err(Failure::negative_result(format!(
                "there is no referrer {}; {} shows them",
                self.id,
                context.command("referral tree CAMPAIGN")
            )));
        };
        let state = ReferrerState::from(referrer);
        if self.json {
            return print_json(&state);
        }
        let counts = state.referrals;
        let referrals = format!("{} pending, {} rewarded, {} void", counts.pending, counts.rewarded, counts.void);
        let rows = [
            ("referrer", state.id.to_string()),
            ("campaign", state.campaign),
            ("code", state.code),
            ("parent", state.parent.map_or("-".to_owned(), |parent| parent.to_string())),
            ("depth", state.depth.to_string()),
            ("children", grouped(state.children.into())),
            ("referrals", referrals),
            ("forward", state.forward_text),
        ];
        rows.into_iter().try_for_each(|(name, value)| print_line(&format!("{name:<12}{}", printable(&value))))
    }
}

/// Show the referrers of a campaign with their friends, as a tree
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint referral tree 'Bring a friend'
  codemint referral tree 'Bring a friend' --root 0192e4a0-7c1e-7b11-8f8a-3d1d8a1f2b3c --depth 2

Each line has the id of a referrer and the number of friends with codes of their own. Addresses and codes are not shown.")]
pub struct Tree {
    /// Campaign name
    campaign: String,
    /// Id of the referrer to begin with [default: everybody whom the shop named]
    #[arg(long, value_name = "UUID", value_parser = referrer_id)]
    root: Option<Uuid>,
    /// Maximum number of generations below the first
    #[arg(long, value_name = "N", default_value_t = REFERRAL_DEPTH_MAX, value_parser = from_to::<u64>(0, REFERRAL_DEPTH_MAX))]
    depth: u64,
    /// Maximum number of referrers
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = from_to::<u64>(1, ROWS_MAX))]
    rows: u64,
    /// Report as a JSON array
    #[arg(long)]
    json: bool,
}

/// A line of the tree.
#[derive(Serialize)]
struct Line {
    id: Uuid,
    parent: Option<Uuid>,
    depth: u64,
    children: u64,
}

impl Tree {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let campaign = find::campaign(context, &store, &self.campaign).await?;
        let first = match self.root {
            Some(id) => context.with_retries(async || store.list_root(campaign.no, id).await).await?,
            None => {
                let limit = self.rows as u32 + 1;
                context.with_retries(async || store.list_roots(campaign.no, limit).await).await?
            }
        };
        if let (Some(id), true) = (self.root, first.is_empty()) {
            let name = printable(&self.campaign);
            return Err(Failure::negative_result(format!("campaign {name} has no referrer {id}")));
        }
        let (rows, is_cut) = self.read(context, &store, first).await?;
        let lines = in_order(&rows);
        if self.json {
            let lines = lines.iter().map(|(_, row)| row);
            let lines =
                lines.map(|row| Line { id: row.id, parent: row.parent, depth: row.depth, children: row.children });
            return print_json(&lines.collect::<Vec<_>>());
        }
        if lines.is_empty() {
            context.note("no referrers");
            return Ok(());
        }
        for (indent, row) in lines {
            print_line(&format!("{}{}  {}", "  ".repeat(indent), row.id, grouped(row.children.into())))?;
        }
        if is_cut {
            context.note("note: there are more referrers; raise --rows, or begin with --root");
        }
        Ok(())
    }

    /// Reads generation by generation; the flag is true if there are more than the limits allow.
    async fn read(
        &self,
        context: &Context,
        store: &Store,
        first: Vec<TreeRow>,
    ) -> Result<(Vec<TreeRow>, bool), Failure> {
        let (mut rows, mut generation, most) = (Vec::new(), first, self.rows as usize);
        for below in 0..=self.depth {
            let left = most - rows.len();
            let is_cut = generation.len() > left;
            generation.truncate(left);
            rows.extend_from_slice(&generation);
            if is_cut {
                return Ok((rows, true));
            }
            let parents: Vec<Uuid> = generation.iter().filter(|row| row.children > 0).map(|row| row.id).collect();
            if parents.is_empty() || below == self.depth {
                break;
            }
            context.stop.check(|| "stopped before everything was read".to_owned())?;
            let limit = (most - rows.len()) as u32 + 1;
            generation = context.with_retries(async || store.list_children(&parents, limit).await).await?;
        }
        Ok((rows, false))
    }
}

fn referrer_id(text: &str) -> Result<Uuid, String> {
    text.parse().map_err(|_error| "an id is a UUID, such as 0192e4a0-7c1e-7b11-8f8a-3d1d8a1f2b3c".to_owned())
}

/// Returns rows with their indents, each before its friends.
fn in_order(rows: &[TreeRow]) -> Vec<(usize, TreeRow)> {
    let known: HashSet<Uuid> = rows.iter().map(|row| row.id).collect();
    let mut below: HashMap<Uuid, Vec<TreeRow>> = HashMap::new();
    let mut waiting = Vec::new();
    for row in rows {
        match row.parent.filter(|parent| known.contains(parent)) {
            Some(parent) => below.entry(parent).or_default().push(*row),
            None => waiting.push((0, *row)),
        }
    }
    waiting.reverse();
    let mut lines = Vec::with_capacity(rows.len());
    while let Some((indent, row)) = waiting.pop() {
        lines.push((indent, row));
        let friends = below.remove(&row.id).unwrap_or_default();
        waiting.extend(friends.into_iter().rev().map(|friend| (indent + 1, friend)));
    }
    lines
}
