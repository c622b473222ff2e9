//! A transaction on either store, so that each statement in it is written once.

use sqlx::{Sqlite, Transaction};

use crate::connection::error::StoreError;
use crate::connection::postgres_transaction::{Begin, PostgresSession};
use crate::connection::store::Store;
use crate::connection::time_limit::in_time;

/// With these, PostgreSQL finds each row by an index and plans once. By itself it would plan for the table as it was when it had few
/// rows, and later read all of it.
const BY_KEYS: &[(&str, &str)] = &[
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
];

/// An open transaction. Dropping it rolls it back.
#[derive(Debug)]
pub enum StoreTransaction {
    Postgres(PostgresSession),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Store {
    /// Begins a transaction that writes. In SQLite it is the only writer from its start, or fails with `Conflict`.
    pub(crate) async fn begin_writing(&self) -> Result<StoreTransaction, StoreError> {
        self.begin(Begin::WRITING, true).await
    }

    /// Begins a transaction that writes, and whose commit may be lost in a server crash.
    pub(crate) async fn begin_writing_unflushed(&self) -> Result<StoreTransaction, StoreError> {
        self.begin(Begin::WRITING_UNFLUSHED, true).await
    }

    /// Begins a transaction that only reads, and sees the store as it was at its first statement.
    pub async fn begin_reading(&self) -> Result<StoreTransaction, StoreError> {
        self.begin(Begin::SNAPSHOT, false).await
    }

    /// Begins a transaction that writes rows which are all named by their keys. In PostgreSQL, its first statement is `locks`, which
    /// takes no round trip of its own.
    pub(crate) async fn begin_writing_by_keys(&self, locks: &str) -> Result<StoreTransaction, StoreError> {
        self.begin_with(self.by_keys(Begin::WRITING), locks, true).await
    }

    /// Begins a transaction that only reads, rows which are all named by their keys.
    pub(crate) async fn begin_reading_by_keys(&self) -> Result<StoreTransaction, StoreError> {
        self.begin(self.by_keys(Begin::SNAPSHOT), false).await
    }

    /// A coordinator cannot plan for unknown values at its nodes.
    const fn by_keys(&self, begin: Begin) -> Begin {
        match self {
            Self::Postgres(store) if store.is_distributed => begin,
            _ => Begin { settings: BY_KEYS, ..begin },
        }
    }

    /// Begins a transaction that only reads, in PostgreSQL in this way.
    pub(crate) async fn begin_reading_with(&self, begin: Begin) -> Result<StoreTransaction, StoreError> {
        self.begin(begin, false).await
    }

    async fn begin(&self, postgres_begin: Begin, writes: bool) -> Result<StoreTransaction, StoreError> {
        self.begin_with(postgres_begin, "", writes).await
    }

    async fn begin_with(&self, begin: Begin, first: &str, writes: bool) -> Result<StoreTransaction, StoreError> {
        in_time(async {
            Ok(match self {
                Self::Postgres(postgres) => StoreTransaction::Postgres(postgres.begin_with(begin, first).await?),
                Self::Sqlite(sqlite) if writes => StoreTransaction::Sqlite(sqlite.begin_writing().await?),
                Self::Sqlite(sqlite) => StoreTransaction::Sqlite(sqlite.readers.begin().await?),
            })
        })
        .await
    }

    /// Opens connections before a job is stored and minted: drawing its first chunk needs reads over a second one.
    pub fn connect_ahead(&self) {
        if let Self::Postgres(postgres) = self {
            postgres.connect_ahead(2);
        }
    }
}

impl StoreTransaction {
    /// Returns true if `codes` is distributed over the nodes of a cluster.
    pub(crate) fn is_distributed(&self) -> bool {
        matches!(self, Self::Postgres(session) if session.is_distributed())
    }

    /// # Errors
    /// After any error it is unknown whether the transaction was committed.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        in_time(async {
            match self {
                Self::Postgres(transaction) => Ok(transaction.commit().await?),
                Self::Sqlite(transaction) => Ok(transaction.commit().await?),
            }
        })
        .await
    }

    pub async fn rollback(self) -> Result<(), StoreError> {
        in_time(async {
            match self {
                Self::Postgres(transaction) => Ok(transaction.rollback().await?),
                Self::Sqlite(transaction) => Ok(transaction.rollback().await?),
            }
        })
        .await
    }
}
