//! A fresh store of each kind, with a directory beside it and a second pair of eyes on its tables.

use std::path::Path;

use codemint::store::location::Location;
use codemint::store::{Access, Store};
use sqlx::{PgPool, SqlitePool};
use tempfile::TempDir;

use crate::support::codemint::Codemint;
use crate::support::postgres::Database;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

/// An empty store with a current schema.
#[derive(Debug)]
pub struct TestStore {
    pub kind: Kind,
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
    /// One of each kind, in turn: what holds must hold on both.
    pub async fn both() -> [Self; 2] {
        [Self::sqlite().await, Self::postgres().await]
    }

    pub async fn sqlite() -> Self {
        Self::sqlite_in(tempfile::tempdir().expect("a directory")).await
    }

    /// In the file `store.db` of a directory, which is made or brought up to date.
    pub async fn sqlite_in(directory: TempDir) -> Self {
        let file = directory.path().join("store.db");
        let url = format!("sqlite://{}", file.display());
        let store = open(&url).await;
        let eyes = Eyes::Sqlite(SqlitePool::connect_lazy(&url).expect("the file"));
        Self { kind: Kind::Sqlite, store, url, directory, eyes, _database: None }
    }

    pub async fn postgres() -> Self {
        Self::postgres_in(Database::create().await).await
    }

    /// In a database that is made or brought up to date, and kept.
    pub async fn postgres_in(database: Database) -> Self {
        let url = database.url.clone();
        Self { _database: Some(database), ..Self::postgres_at(&url).await }
    }

    /// In a database that is there.
    pub async fn postgres_at(url: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        Store::migrate(&url.parse::<Location>().expect("a location")).await.expect("a schema");
        let store = open(url).await;
        let eyes = Eyes::Postgres(PgPool::connect_lazy(url).expect("the server"));
        Self { kind: Kind::Postgres, store, url: url.to_owned(), directory, eyes, _database: None }
    }

    /// A store as another process would open it.
    pub async fn open_again(&self) -> Store {
        open(&self.url).await
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The program, with this store.
    pub fn codemint<I: AsRef<std::ffi::OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Codemint {
        Codemint::new(self.path()).args(["--store", &self.url]).args(args)
    }

    /// A number that the tables say, by a query that both kinds understand.
    pub async fn number(&self, sql: &str) -> i64 {
        let number = match &self.eyes {
            Eyes::Sqlite(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
            Eyes::Postgres(pool) => sqlx::query_scalar(sql).fetch_one(pool).await,
        };
        number.expect("a number")
    }

    /// Rows of one column of text.
    pub async fn texts(&self, sql: &str) -> Vec<String> {
        let texts = match &self.eyes {
            Eyes::Sqlite(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
            Eyes::Postgres(pool) => sqlx::query_scalar(sql).fetch_all(pool).await,
        };
        texts.expect("texts")
    }

    pub async fn execute(&self, sql: &str) {
        match &self.eyes {
            Eyes::Sqlite(pool) => sqlx::raw_sql(sql).execute(pool).await.map(drop),
            Eyes::Postgres(pool) => sqlx::raw_sql(sql).execute(pool).await.map(drop),
        }
        .expect("a statement");
    }
}

async fn open(url: &str) -> Store {
    Store::open(&url.parse().expect("a location"), Access::CreateFile).await.expect("a store")
}
