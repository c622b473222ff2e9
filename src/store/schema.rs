//! The schema's version: embedded SQLite files follow by themselves, a PostgreSQL schema only by `codemint migrate`.

use serde::Serialize;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migrator};

pub(crate) static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");
pub(crate) static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");

/// How the schema in a store relates to the one this program needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "schema", rename_all = "snake_case")]
pub enum SchemaStatus {
    Missing,
    Older { found: i64, needed: i64 },
    Current { version: i64 },
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
    #[error("migration {0} in the store is not the one of this program; use the codemint that made the schema")]
    Altered(i64),
    #[error("migration {0} was left half done; see the server's log, mend it by hand and run `codemint migrate` again")]
    Dirty(i64),
    #[error(
        "migrations need the server itself: run `codemint migrate` with a --store that leads there, and without store.pgbouncer"
    )]
    ByWayOfPgbouncer,
    #[error("the database holds tables of something else; give Codemint a file or a database of its own")]
    Foreign,
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

/// Reads the schema's version without changing anything. `exists` says whether the migrations' own table is there.
pub(crate) async fn status<C: Migrate>(
    connection: &mut C,
    migrator: &Migrator,
    exists: bool,
) -> Result<SchemaStatus, SchemaError> {
    if !exists {
        return Ok(SchemaStatus::Missing);
    }
    if let Some(version) = connection.dirty_version().await? {
        return Err(SchemaError::Dirty(version));
    }
    let applied = connection.list_applied_migrations().await?;
    compare(migrator, &applied)
}

pub(crate) fn compare(migrator: &Migrator, applied: &[AppliedMigration]) -> Result<SchemaStatus, SchemaError> {
    let needed = migrator.iter().map(|migration| migration.version).max().unwrap_or_default();
    let Some(found) = applied.iter().map(|migration| migration.version).max() else {
        return Ok(SchemaStatus::Missing);
    };
    if found > needed {
        return Err(SchemaError::Newer { found, known: needed });
    }
    for migration in applied {
        let ours = migrator.iter().find(|ours| ours.version == migration.version);
        if ours.is_none_or(|ours| ours.checksum != migration.checksum) {
            return Err(SchemaError::Altered(migration.version));
        }
    }
    if found < needed {
        Ok(SchemaStatus::Older { found, needed })
    } else {
        Ok(SchemaStatus::Current { version: found })
    }
}

impl SchemaStatus {
    /// # Errors
    /// Unless the schema is the one this program needs.
    pub fn require_current(self) -> Result<(), SchemaError> {
        match self {
            Self::Missing => Err(SchemaError::Missing),
            Self::Older { found, needed } => Err(SchemaError::Older { found, needed }),
            Self::Current { .. } => Ok(()),
        }
    }
}
