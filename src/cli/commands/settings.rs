//! `codemint config`: shows every setting with its value and source.

use clap::{Args, Subcommand};

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::terminal::{print_json, print_line};
use codemint_codes::text::printable;

/// Inspect the configuration
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    Show(Show),
}

impl ConfigCommand {
    pub fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Show(show) => show.run(context),
        }
    }
}

/// Show every key with its value (secrets redacted) and its source
#[derive(Debug, Args)]
pub struct Show {
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Show {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let resolved = &context.config.resolved;
        if self.json {
            return print_json(resolved);
        }
        let width = resolved.iter().map(|setting| setting.key.len()).max().unwrap_or_default();
        for setting in resolved {
            let value = printable(setting.value.as_deref().unwrap_or("-"));
            print_line(&format!("{:<width$}  {value}  ({})", setting.key, printable(&setting.origin)))?;
        }
        Ok(())
    }
}
