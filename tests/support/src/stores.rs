//! A fresh store of each kind, with a directory of its own and independent connections to its tables.

use std::path::Path;

use codemint_store::connection::location::Location;
use codemint_store::connection::store::{Access, Store};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, PgPool, SqlitePool};
use tempfile::TempDir;

use crate::codemint::Codemint;
use crate::pgbouncer::by_way_of_pgbouncer;
use crate::postgres::Database;
use crate::psql::partition;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// How a store is set up, besides its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Plain,
    /// `codes` is cut into partitions.
    Partitioned,
    /// All of Codemint's connections go through pgbouncer.
    Pgbouncer,
}

/// The number of partitions: not so few that a chunk's codes share one, and not a power of two.
pub const PARTITIONS: u32 = 7;

/// An empty store with a current schema.
#[derive(Debug)]
pub struct TestStore {
    pub kind: Kind,
    pub way: Way,
    pub store: Store,
    pub url: String,
    pub directory: TempDir,
    eyes: Eyes,
    _database: Option<Database>,
}

#[derive(Debug)]
enum Eyes {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

impl TestStore {
    /// Returns another empty store that is set up like this one.
    pub async fn another(&self) -> Self {
        match (self.kind, self.way) {
            (Kind::Sqlite, _) => Self::sqlite().await,
            (Kind::Postgres, Way::Plain) => Self::postgres().await,
            (Kind::Postgres, Way::Partitioned) => Self::partitioned().await,
            (Kind::Postgres, Way::Pgbouncer) => Self::pgbouncer().await,
        }
    }

    pub async fn sqlite() -> Self {
        Self::sqlite_in(tempfile::tempdir().expect("a directory")).await
    }

    /// Opens the store in the file `store.db` of a directory, which is created or migrated.
    pub async fn sqlite_in(directory: TempDir) -> Self {
        let file = directory.path().join("store.db");
        let url = format!("sqlite://{}", file.display());
        let store = open(&url, Way::Plain).await;
        let eyes = Eyes::Sqlite(SqlitePool::connect_lazy(&url).expect("the file"));
        Self { kind: Kind::Sqlite, way: Way::Plain, store, url, directory, eyes, _database: None }
    }

    pub async fn postgres() -> Self {
        Self::postgres_in(Database::create().await).await
    }

    pub async fn partitioned() -> Self {
        let place = Self { way: Way::Partitioned, ..Self::postgres().await };
        partition(&place.url, &PARTITIONS.to_string()).await.expect_code(0);
        place
    }

    pub async fn pgbouncer() -> Self {
        let direct = Self::postgres().await;
        let url = by_way_of_pgbouncer(&direct.url);
        let store = open(&url, Way::Pgbouncer).await;
        direct.store.close().await.expect("a close");
        Self { way: Way::Pgbouncer, store, url, ..direct }
    }

    /// Opens the store in a database, which is migrated and kept as long as the store.
    pub async fn postgres_in(database: Database) -> Self {
        let url = database.url.clone();
        Self { _database: Some(database), ..Self::postgres_at(&url).await }
    }

    /// Opens the store in an existing database, which is migrated.
    pub async fn postgres_at(url: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Store::migrate(&url.parse::<Location>().expect("a location")).await.expect("a schema");
        let store = open(url, Way::Plain).await;
        let eyes = Eyes::Postgres(PgPool::connect_lazy(url).expect("the server"));
        Self { kind: Kind::Postgres, way: Way::Plain, store, url: url.to_owned(), directory, eyes, _database: None }
    }

    /// Returns the same place with the store opened again.
    pub async fn reopened(self) -> Self {
        Self { store: self.open_again().await, ..self }
    }

    /// Opens the store as another process would.
    pub async fn open_again(&self) -> Store {
        open(&self.url, self.way).await
    }

    /// Opens the store of this URL in the way of this one.
    pub async fn open_at(&self, url: &str) -> Store {
        open(url, self.way).await
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Returns the program with this store.
    pub fn codemint<I: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Codemint {
        let codemint = Codemint::new(self.path()).args(["--store", &self.url]).args(args);
        if self.way == Way::Pgbouncer { codemint.env("CODEMINT__STORE__PGBOUNCER", "true") } else { codemint }
    }

    /// Queries one number from the tables; both kinds must understand the query.
    pub async fn number(&self, sql: &str) -> i64 {
        let number = match &self.eyes {
            Eyes::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
            Eyes::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
        };
        number.expect("a number")
    }

    /// Queries all rows of several columns.
    pub async fn all<T>(&self, sql: &str) -> Vec<T>
    where
        T: Send + Unpin + for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + 'static,
    {
        self.rows::<T>(sql).collect().await
    }

    /// Queries rows of one column of text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let texts = match &self.eyes {
            Eyes::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
            Eyes::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
        };
        texts.expect("texts")
    }

    /// Queries rows of several columns.
    pub fn rows<'a, T>(&'a self, sql: &'a str) -> BoxStream<'a, T>
    where
        T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin + 'a,
    {
        let rows = match &self.eyes {
            Eyes::Sqlite(pool) => sqlx::query_as(sql).fetch(pool),
            Eyes::Postgres(pool) => sqlx::query_as(sql).fetch(pool),
        };
        rows.map(|row| row.expect("a row")).boxed()
    }

    pub async fn execute(&self, sql: &str) {
        match &self.eyes {
            Eyes::Sqlite(pool) => sqlx::raw_sql(sql).execute(pool).await.map(drop),
            Eyes::Postgres(pool) => sqlx::raw_sql(sql).execute(pool).await.map(drop),
        }
        .expect("a statement");
    }
}

async fn open(url: &str, way: Way) -> Store {
    let mut location: Location = url.parse().expect("a location");
    if way == Way::Pgbouncer {
        location = location.through_pgbouncer().expect("a server");
    }
    Store::open(&location, Access::CreateFile).await.expect("a store")
}
