//! `codemint migrate`: creates and upgrades the schema of a PostgreSQL store.

use std::fmt;

use clap::Args;
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::requests::from_to;
use crate::cli::support::terminal::print_report;
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
    #[arg(long, value_name = "N", conflicts_with = "check", value_parser = from_to::<u32>(2, PARTITIONS_MAX.into()))]
    partitions: Option<u32>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
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
        let report = Report { schema: status, partitions };
        print_report(self.json, &report)?;
        Failure::unless(matches!(report.schema, SchemaStatus::Current { .. } | SchemaStatus::Newer { .. }))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            SchemaStatus::Current { version } => {
                write!(f, "the schema is current, version {version}")?;
                if self.partitions > 0 { write!(f, ", with {} partitions", self.partitions) } else { Ok(()) }
            }
            SchemaStatus::Newer { found, known } => {
                write!(f, "the schema has version {found}, this program knows {known} and works with it")
            }
            SchemaStatus::Older { found, needed } => {
                write!(f, "the schema has version {found}, this program needs {needed}; run `codemint migrate`")
            }
            SchemaStatus::Missing => f.write_str("there is no schema; run `codemint migrate`"),
        }
    }
}
