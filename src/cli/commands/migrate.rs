//! `codemint migrate`: creates and upgrades the schema of a PostgreSQL store.

use std::process::ExitCode;

use clap::Args;
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::failure::{ANSWER_IS_NO, Failure};
use crate::cli::support::terminal::{print_json, print_line};
use codemint_store::connection::error::StoreError;
use codemint_store::connection::schema::SchemaStatus;
use codemint_store::connection::store::Store;
use codemint_store::upkeep::partitions::{PARTITIONS_MAX, PartitionsError};

/// The report of `--json`.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    schema: SchemaStatus,
    /// The number of partitions; 0 if the table of codes is not partitioned.
    partitions: u32,
}

/// Create or upgrade the schema of the store; an SQLite file is upgraded when it is opened
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint --store postgres://owner@db/shop migrate
  codemint --store postgres://owner@db/shop migrate --check
  codemint --store postgres://owner@db/shop migrate --partitions 16

With --check, the exit code is 3 if the schema is missing or older.")]
pub struct Migrate {
    /// Only report the version of the schema
    #[arg(long)]
    check: bool,
    /// Number of partitions for the table of codes; only while it is empty
    #[arg(long, value_name = "N", conflicts_with = "check", value_parser = clap::value_parser!(u32).range(2..=i64::from(PARTITIONS_MAX)))]
    partitions: Option<u32>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let location = &context.config.store;
        if self.partitions.is_some() && location.file().is_some() {
            // Checked before the file is created.
            return Err(StoreError::from(PartitionsError::File).into());
        }
        let status = if self.check { Store::check_schema(location).await? } else { Store::migrate(location).await? };
        if let Some(partitions) = self.partitions {
            Store::partition_codes(location, partitions).await?;
        }
        let partitions = Store::count_partitions(location).await?;
        let (code, line) = match status {
            SchemaStatus::Current { version } if partitions > 0 => {
                (ExitCode::SUCCESS, format!("the schema is current, version {version}, with {partitions} partitions"))
            }
            SchemaStatus::Current { version } => {
                (ExitCode::SUCCESS, format!("the schema is current, version {version}"))
            }
            SchemaStatus::Newer { found, known } => (
                ExitCode::SUCCESS,
                format!("the schema has version {found}, this program knows {known} and works with it"),
            ),
            SchemaStatus::Older { found, needed } => (
                ExitCode::from(ANSWER_IS_NO),
                format!("the schema has version {found}, this program needs {needed}; run `codemint migrate`"),
            ),
            SchemaStatus::Missing => {
                (ExitCode::from(ANSWER_IS_NO), "there is no schema; run `codemint migrate`".to_owned())
            }
        };
        if self.json {
            print_json(&Report { schema: status, partitions })?;
        } else {
            print_line(&line)?;
        }
        Ok(code)
    }
}
