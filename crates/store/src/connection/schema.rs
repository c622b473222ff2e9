//! The schema's version: SQLite files are upgraded automatically, a PostgreSQL schema only by `codemint migrate`.
//!
//! A schema that is newer than this program is used if the schema itself permits it: this allows rolling upgrades.

use std::cmp::Ordering;

use serde::Serialize;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};

pub(crate) static POSTGRES: Migrator = sqlx::migrate!("../../migrations/postgres");
pub(crate) static SQLITE: Migrator = sqlx::migrate!("../../migrations/sqlite");

/// The schema in a store, compared with the one this program needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "schema", rename_all = "snake_case")]
pub enum SchemaStatus {
    Missing,
    Older {
        found: i64,
        needed: i64,
    },
    Current {
        version: i64,
    },
    /// The schema belongs to a newer program and works with this one.
    Newer {
        found: i64,
        known: i64,
    },
}

#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("the store has no schema yet; run `codemint migrate` with the same --store")]
    Missing,
    #[error(
        "the store's schema has version {found}, this program needs {needed}; run `codemint migrate` with the same --store"
    )]
    Older { found: i64, needed: i64 },
    #[error(
        "the store's schema has version {found}, this program knows {known} at most; use the codemint that migrated it, or a newer one"
    )]
    Newer { found: i64, known: i64 },
    #[error(
        "the store's schema has version {found}, which works with programs from version {programs_from} on, and this one knows {known} at most; use a newer codemint"
    )]
    TooNew { found: i64, known: i64, programs_from: i64 },
    #[error("migration {0} in the store differs from that of this program; use the codemint that made the schema")]
    Altered(i64),
    #[error(
        "migration {0} was left half done; restore the store from a backup, or finish the migration by hand and run `codemint migrate` again: the log of a PostgreSQL server has the reason, an SQLite file was changed by another program"
    )]
    Dirty(i64),
    #[error(
        "migrations need a direct connection to the server; run `codemint migrate` with a --store that names it, and without store.pgbouncer"
    )]
    ThroughPgbouncer,
    #[error("the database holds tables of another application; give Codemint a file or a database of its own")]
    Foreign,
    #[error(
        "the database has the encoding {0}, which cannot hold every text of a job; create one with `createdb --encoding UTF8 --template template0 NAME`"
    )]
    Encoding(String),
    #[error("failed to migrate the schema: {0}")]
    Failed(#[source] Box<MigrateError>),
}

impl From<MigrateError> for SchemaError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Dirty(version) => Self::Dirty(version),
            MigrateError::VersionMismatch(version) => Self::Altered(version),
            MigrateError::VersionMissing(found) => Self::Newer { found, known: 0 },
            other => Self::Failed(Box::new(other)),
        }
    }
}

/// Reads the oldest version that works with the schema, if it states one. The table exists since version 6.
pub(crate) const PROGRAMS_FROM: &str = "
    select programs_from from schema_compatibility
     where schema_version = (select max(version) from _sqlx_migrations)";

/// Returns the migrations that the store has had. Nothing is changed.
pub(crate) async fn applied<C: Migrate>(connection: &mut C) -> Result<Vec<AppliedMigration>, SchemaError> {
    if let Some(version) = connection.dirty_version().await? {
        return Err(SchemaError::Dirty(version));
    }
    Ok(connection.list_applied_migrations().await?)
}

/// Returns true if the schema is newer than this program: then [`PROGRAMS_FROM`] is read.
pub(crate) fn is_newer(migrator: &Migrator, applied: &[AppliedMigration]) -> bool {
    newest_applied(applied) > newest_known(migrator)
}

/// Compares these migrations with those of this program. `programs_from` is what a newer schema states.
pub(crate) fn compare(
    migrator: &Migrator,
    applied: &[AppliedMigration],
    programs_from: Option<i64>,
) -> Result<SchemaStatus, SchemaError> {
    let (known, found) = (newest_known(migrator), newest_applied(applied));
    if found == 0 {
        return Ok(SchemaStatus::Missing);
    }
    match programs_from {
        _ if found <= known => {}
        None => return Err(SchemaError::Newer { found, known }),
        Some(programs_from) if programs_from > known => {
            return Err(SchemaError::TooNew { found, known, programs_from });
        }
        Some(_) => {}
    }
    for migration in applied.iter().filter(|migration| migration.version <= known) {
        let ours = migrator.iter().find(|ours| ours.version == migration.version);
        if ours.is_none_or(|ours| ours.checksum != migration.checksum) {
            return Err(SchemaError::Altered(migration.version));
        }
    }
    Ok(match found.cmp(&known) {
        Ordering::Less => SchemaStatus::Older { found, needed: known },
        Ordering::Equal => SchemaStatus::Current { version: found },
        Ordering::Greater => SchemaStatus::Newer { found, known },
    })
}

fn newest_known(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// Returns 0 if there is none.
fn newest_applied(applied: &[AppliedMigration]) -> i64 {
    applied.iter().map(|migration| migration.version).max().unwrap_or_default()
}

impl SchemaStatus {
    /// Returns true if this program can work with the schema as it is.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Current { .. } | Self::Newer { .. })
    }

    /// # Errors
    /// `Missing` or `Older` if this program cannot work with the schema.
    pub const fn require_usable(self) -> Result<(), SchemaError> {
        match self {
            Self::Missing => Err(SchemaError::Missing),
            Self::Older { found, needed } => Err(SchemaError::Older { found, needed }),
            Self::Current { .. } | Self::Newer { .. } => Ok(()),
        }
    }

    /// Does the same as [`Self::require_usable`] at the start of a program, and logs a newer schema.
    pub(crate) fn require_usable_and_log(self) -> Result<(), SchemaError> {
        if let Self::Newer { found, known } = self {
            tracing::info!(found, known, "the store's schema belongs to a newer program, and works with this one");
        }
        self.require_usable()
    }
}
