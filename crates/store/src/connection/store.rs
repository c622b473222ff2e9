//! An open store, whichever its database.

use crate::connection::error::StoreError;
use crate::connection::location::Location;
use crate::connection::postgres_transaction::PostgresStore;
use crate::connection::schema::SchemaStatus;
use crate::connection::sqlite;
use crate::connection::sqlite::SqliteStore;
use crate::connection::watch::Watch;

/// An open store with a schema that this program knows.
#[derive(Clone, Debug)]
pub enum Store {
    Postgres(PostgresStore),
    Sqlite(SqliteStore),
}

/// Whether opening a store may create an SQLite file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    CreateFile,
    Existing,
}

impl Store {
    /// Opens a store. SQLite files are upgraded; a PostgreSQL schema must be current already.
    ///
    /// # Errors
    /// `Unreachable` if a server did not answer within ten seconds, `NotOpened` if it refused or the file cannot be
    /// opened, `Schema` if the schema is not one that this program can use.
    pub async fn open(location: &Location, access: Access) -> Result<Self, StoreError> {
        match location {
            Location::Postgres(server) => Ok(Self::Postgres(server.address().open().await?)),
            Location::Sqlite(file) => Ok(Self::Sqlite(sqlite::open(file, access == Access::CreateFile).await?)),
        }
    }

    /// Checks that the store answers.
    ///
    /// # Errors
    /// `Moved` if another file or none is in the place of an SQLite file.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.require_in_place()?;
        self.query("select 1").execute().await?;
        Ok(())
    }

    /// # Errors
    /// `Moved` if another file or none is in the place of an SQLite file.
    pub(crate) fn require_in_place(&self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(_) => Ok(()),
            Self::Sqlite(sqlite) => sqlite.file.require_in_place(),
        }
    }

    /// Checks that this program can still work with the schema.
    ///
    /// # Errors
    /// `Schema` if it cannot, `Moved` if another file or none is in the place of an SQLite file.
    pub async fn require_schema(&self) -> Result<(), StoreError> {
        self.require_in_place()?;
        let status = match self {
            Self::Postgres(postgres) => postgres.schema_status().await?,
            Self::Sqlite(sqlite) => sqlite::schema_status(&mut *sqlite.readers.acquire().await?).await?,
        };
        Ok(status.require_usable()?)
    }

    /// Returns true if the database user may do everything, including what no job needs.
    pub async fn is_superuser(&self) -> Result<bool, StoreError> {
        if let Self::Sqlite(_) = self {
            return Ok(false);
        }
        self.query("select rolsuper from pg_roles where rolname = current_user").fetch_value().await
    }

    /// Returns true if the database user may store codes, and not only order them.
    pub async fn may_mint(&self) -> Result<bool, StoreError> {
        if let Self::Sqlite(_) = self {
            return Ok(true);
        }
        const SQL: &str = "select has_table_privilege('codes', 'insert') and has_table_privilege('chunks', 'update')";
        self.query(SQL).fetch_value().await
    }

    /// Returns true if `codes` is distributed over the nodes of a cluster.
    pub fn is_distributed(&self) -> bool {
        matches!(self, Self::Postgres(postgres) if postgres.is_distributed)
    }

    /// Returns the name of this store's sessions at the server; `None` for SQLite and through pgbouncer.
    pub fn session_name(&self) -> Option<&str> {
        match self {
            Self::Postgres(postgres) => postgres.watch.as_deref().map(Watch::application_name),
            Self::Sqlite(_) => None,
        }
    }

    /// Returns true for an SQLite file that is read-only: its jobs and codes can be read, but nothing can be recorded.
    pub fn is_archive(&self) -> bool {
        matches!(self, Self::Sqlite(sqlite) if sqlite.is_archive())
    }

    /// Closes all connections. An SQLite file that was written is then complete without the log beside it, unless other
    /// processes are using it.
    ///
    /// # Errors
    /// `Moved` if what was written is no longer in its place.
    pub async fn close(&self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(postgres) => postgres.pool.close().await,
            Self::Sqlite(sqlite) => sqlite.close().await?,
        }
        Ok(())
    }

    /// Writes a copy of an SQLite store, as it is at this moment, into an empty file. Returns false for PostgreSQL, whose
    /// own tools do that.
    pub async fn copy_into(&self, target: &str) -> Result<bool, StoreError> {
        match self {
            Self::Postgres(_) => Ok(false),
            Self::Sqlite(sqlite) => sqlite.copy_into(target).await.map(|()| true),
        }
    }

    /// Creates or upgrades the schema. A newer schema is left unchanged.
    ///
    /// # Errors
    /// The errors of [`Store::open`].
    pub async fn migrate(location: &Location) -> Result<SchemaStatus, StoreError> {
        match location {
            Location::Postgres(server) => server.address().migrate().await,
            Location::Sqlite(file) => {
                sqlite::open(file, true).await?;
                sqlite::check_schema(file).await
            }
        }
    }

    /// Returns the status of the schema and changes nothing.
    ///
    /// # Errors
    /// The errors of [`Store::open`], but a missing or older schema is not an error.
    pub async fn check_schema(location: &Location) -> Result<SchemaStatus, StoreError> {
        match location {
            Location::Postgres(server) => server.address().check_schema().await,
            Location::Sqlite(file) if !file.exists() => Ok(SchemaStatus::Missing),
            Location::Sqlite(file) => sqlite::check_schema(file).await,
        }
    }
}
