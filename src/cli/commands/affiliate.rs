//! `codemint affiliate`: rules for affiliates, and what they make of references.

use clap::{Args, Subcommand};

use crate::cli::commands::affiliate_exclusion::ExclusionCommand;
use crate::cli::commands::affiliate_rule::RuleCommand;
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::terminal::{print_json, print_line};
use codemint_campaigns::affiliates::AffiliateBook;
use codemint_codes::text::printable;
use codemint_offers::affiliate::exclusion::checked_reference;
use codemint_store::connection::store::Access;

/// Manage rules that give affiliates an offer, and exclusions from them
#[derive(Debug, Subcommand)]
pub enum AffiliateCommand {
    #[command(subcommand)]
    Rule(RuleCommand),
    #[command(subcommand)]
    Exclusion(ExclusionCommand),
    Resolve(Resolve),
}

impl AffiliateCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Rule(rule) => rule.run(context).await,
            Self::Exclusion(exclusion) => exclusion.run(context).await,
            Self::Resolve(resolve) => resolve.run(context).await,
        }
    }
}

/// Say what references of affiliates become
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint affiliate resolve 0123456789
  codemint affiliate resolve 0123456789 FCH0123456789 --json

A reference to which a rule applies gets the prefix of the rule, unless it has it already. All others stay as they are: no rule \
concerns them (no-rule), the rule is off or in none of its periods (not-active), or they are excluded (excluded). Nothing is \
written.")]
pub struct Resolve {
    /// References
    #[arg(required = true, value_name = "REFERENCE")]
    references: Vec<String>,
    /// Report as a JSON array
    #[arg(long)]
    json: bool,
}

impl Resolve {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        for reference in &self.references {
            checked_reference(reference)
                .map_err(|error| Failure::impossible(format!("{}: {error}", printable(reference))))?;
        }
        let store = context.open_store(Access::Existing).await?;
        let book = AffiliateBook::new(store);
        let mut resolved = Vec::with_capacity(self.references.len());
        for reference in &self.references {
            resolved.push(book.resolve(reference).await.map_err(|error| Failure::from(&*error))?);
        }
        if self.json {
            return print_json(&resolved);
        }
        resolved.iter().try_for_each(|document| {
            let reference = printable(&document.reference);
            match (&document.rule, &document.campaign, &document.reason) {
                (Some(rule), Some(campaign), _) => {
                    print_line(&format!("{reference}  rule {}, campaign {}", printable(rule), printable(campaign)))
                }
                (_, _, reason) => {
                    print_line(&format!("{reference}  unchanged: {}", reason.as_deref().unwrap_or_default()))
                }
            }
        })
    }
}
