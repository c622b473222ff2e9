//! Where jobs and codes live: an embedded SQLite file or a PostgreSQL server. SQL is written in this room alone.
//!
//! A closed set of verbs, the same for both. It knows jobs and codes; it never draws, prints or decides how a job ends.

use std::time::Duration;

use crate::error::StoreError;
use crate::location::Location;
use crate::postgres::PostgresStore;
use crate::schema::SchemaStatus;
use crate::sqlite::SqliteStore;

pub mod location;
pub mod error;
pub mod schema;
pub mod partitions;
pub mod rows;

pub mod postgres;
pub mod postgres_transaction;
mod sqlite;
pub mod transaction;
mod watch;
mod patterns;
pub mod entropy;

pub mod submit;
mod new_jobs;
pub mod refused;
pub mod imports;
pub mod room;
pub mod overlaps;
pub mod write_order;
pub mod reserved;
pub mod chunks;
pub mod closing;
pub mod failing;
pub mod outbox;
pub mod audit;
pub mod actor;
pub mod reports;
pub mod backlog;
pub mod benches;
pub mod pruning;
pub mod activity;

/// An open store with a schema that this program knows.
#[derive(Clone, Debug)]
pub enum Store {
    Postgres(PostgresStore),
    Sqlite(SqliteStore),
}

/// Whether an SQLite file may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    CreateFile,
    Existing,
}

/// Longer than any verb takes: the server ends statements after 300 s by itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(330);

/// Bounds one verb of a store. A server that is gone without a word, as after a cut cable, answers nothing for ever, and
/// its own timeouts and keepalives are of no help here.
///
/// # Errors
/// `Silent` after [`ANSWER_TIMEOUT`]; the connection is then of no use. Whether a commit was done is unknown.
pub async fn in_time<T>(verb: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let silent = |_elapsed| StoreError::Silent { seconds: ANSWER_TIMEOUT.as_secs() };
    tokio::time::timeout(ANSWER_TIMEOUT, verb).await.map_err(silent)?
}

/// For what takes longer than a thread that serves connections may be held up.
pub async fn off_the_async_threads<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl Store {
    /// Opens a store. SQLite files are upgraded; a PostgreSQL schema must be current already.
    ///
    /// # Errors
    /// `Unreachable` when a server did not answer within ten seconds, `NotOpened` when it refused or the file cannot be
    /// opened, `Schema` when the schema is not the one this program needs.
    pub async fn open(location: &Location, access: Access) -> Result<Self, StoreError> {
        match location {
            Location::Postgres(server) => Ok(Self::Postgres(server.address().open().await?)),
            Location::Sqlite(file) => Ok(Self::Sqlite(sqlite::open(file, access == Access::CreateFile).await?)),
        }
    }

    /// Asks for nothing: does the store answer?
    ///
    /// # Errors
    /// Those of the database.
    pub async fn ping(&self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(pool) => sqlx::query("select 1").execute(pool).await.map(drop)?,
            Self::Sqlite(sqlite) => sqlx::query("select 1").execute(&sqlite.readers).await.map(drop)?,
        }
        Ok(())
    }

    /// Is the schema still one that this program works with?
    ///
    /// # Errors
    /// Those of the database, and `Schema` if it is not.
    pub async fn require_schema(&self) -> Result<(), StoreError> {
        let status = match self {
            Self::Postgres(postgres) => postgres.schema_status().await?,
            Self::Sqlite(sqlite) => sqlite::schema_status(&mut *sqlite.readers.acquire().await?).await?,
        };
        Ok(status.require_usable()?)
    }

    /// Whether the database lets us do everything, also what no job needs.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn is_superuser(&self) -> Result<bool, StoreError> {
        const SQL: &str = "select rolsuper from pg_roles where rolname = current_user";
        match self {
            Self::Postgres(pool) => Ok(sqlx::query_scalar(SQL).fetch_one(pool).await?),
            Self::Sqlite(_) => Ok(false),
        }
    }

    /// Closes all connections. An SQLite file then holds everything by itself, without the log beside it.
    pub async fn close(&self) {
        match self {
            Self::Postgres(postgres) => postgres.pool.close().await,
            Self::Sqlite(sqlite) => {
                sqlite.readers.close().await;
                sqlite.writer.close().await;
            }
        }
    }

    /// Creates or upgrades the schema.
    ///
    /// # Errors
    /// As [`Store::open`]; a newer schema is left alone.
    pub async fn migrate(location: &Location) -> Result<SchemaStatus, StoreError> {
        match location {
            Location::Postgres(server) => server.address().migrate().await,
            Location::Sqlite(file) => {
                sqlite::open(file, true).await?;
                sqlite::check_schema(file).await
            }
        }
    }

    /// Says how the schema stands and changes nothing.
    ///
    /// # Errors
    /// As [`Store::open`], but for a schema that is missing or older.
    pub async fn check_schema(location: &Location) -> Result<SchemaStatus, StoreError> {
        match location {
            Location::Postgres(server) => server.address().check_schema().await,
            Location::Sqlite(file) if !file.exists() => Ok(SchemaStatus::Missing),
            Location::Sqlite(file) => sqlite::check_schema(file).await,
        }
    }
}
