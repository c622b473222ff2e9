//! `codemint migrate`: creates and upgrades the schema of a PostgreSQL store.

use std::fmt;

use clap::Args;
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::terminal::print_report;
use crate::cli::support::text::counted;
use codemint_store::connection::schema::SchemaStatus;
use codemint_store::connection::store::Store;

/// The report of `--json`.
#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    schema: SchemaStatus,
    /// The number of partitions; 0 if the table of codes is not partitioned.
    partitions: u32,
    /// The schema before.
    #[serde(skip)]
    before: SchemaStatus,
}

/// Create or upgrade the schema of the store; an SQLite file is upgraded when it is opened
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint --store postgres://owner@db/shop migrate
  codemint --store postgres://owner@db/shop migrate --check

With --check, the exit code is 3 if the schema is missing or older. To cut the table of codes of an \
empty store into partitions, run deploy/postgres/partitions.sql with psql afterwards.")]
pub struct Migrate {
    /// Only report the version of the schema
    #[arg(long)]
    check: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Migrate {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let location = &context.config.store;
        let before = Store::check_schema(location).await?;
        let schema = if self.check { before } else { Store::migrate(location).await? };
        let partitions = Store::count_partitions(location).await?;
        let report = Report { schema, partitions, before };
        print_report(self.json, &report)?;
        Failure::unless(matches!(report.schema, SchemaStatus::Current { .. } | SchemaStatus::Newer { .. }))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            SchemaStatus::Current { version } => {
                write!(f, "the schema is current, version {version}")?;
                if self.partitions > 0 {
                    write!(f, ", with {}", counted(self.partitions.into(), "partition"))?;
                }
                match self.before {
                    SchemaStatus::Missing => f.write_str("; it was created just now"),
                    SchemaStatus::Older { found, .. } => write!(f, "; it had version {found}"),
                    SchemaStatus::Current { .. } | SchemaStatus::Newer { .. } => Ok(()),
                }
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
