//! `codemint migrate`: the schema of a PostgreSQL store.

use std::process::ExitCode;

use clap::Args;

use crate::cli::Context;
use crate::cli::exit::{ANSWER_IS_NO, Failure};
use crate::cli::text::{print_json, print_line};
use crate::store::Store;
use crate::store::schema::SchemaStatus;

/// Create or upgrade the schema of the store; SQLite files do it by themselves
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint --store postgres://owner@db/shop migrate
  codemint --store postgres://owner@db/shop migrate --check

With --check the exit code is 3 if the schema is missing or older.")]
pub struct Migrate {
    /// Only say how the schema stands
    #[arg(long)]
    check: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let location = &context.config.store;
        let status = if self.check { Store::check_schema(location).await? } else { Store::migrate(location).await? };
        let (code, line) = match status {
            SchemaStatus::Current { version } => {
                (ExitCode::SUCCESS, format!("the schema is current, version {version}"))
            }
            SchemaStatus::Older { found, needed } => (
                ExitCode::from(ANSWER_IS_NO),
                format!("the schema has version {found}, this program needs {needed}; run `codemint migrate`"),
            ),
            SchemaStatus::Missing => {
                (ExitCode::from(ANSWER_IS_NO), "there is no schema; run `codemint migrate`".to_owned())
            }
        };
        if self.json {
            print_json(&status)?;
        } else {
            print_line(&line)?;
        }
        Ok(code)
    }
}
