//! A transaction on either store, so that what happens in it is written once.

use sqlx::{Postgres, Sqlite, Transaction};

use crate::store::Store;
use crate::store::error::StoreError;

/// An open transaction that writes. Dropping it undoes it.
#[derive(Debug)]
pub(crate) enum StoreTransaction {
    Postgres(Transaction<'static, Postgres>),
    Sqlite(Transaction<'static, Sqlite>),
}

impl Store {
    /// In SQLite this is the one writer, from its start; a `Conflict` if other processes do not let go of the file.
    pub(crate) async fn begin_writing(&self) -> Result<StoreTransaction, StoreError> {
        Ok(match self {
            Self::Postgres(pool) => StoreTransaction::Postgres(pool.begin().await?),
            Self::Sqlite(sqlite) => StoreTransaction::Sqlite(sqlite.begin_writing().await?),
        })
    }
}

impl StoreTransaction {
    /// The database's clock as an expression of SQL: times of one store come from one clock.
    pub(crate) const fn now(&self) -> &'static str {
        match self {
            Self::Postgres(_) => "now()",
            Self::Sqlite(_) => "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
        }
    }

    /// # Errors
    /// Those of the database: then whether the transaction was committed is unknown.
    pub(crate) async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(transaction) => transaction.commit().await?,
            Self::Sqlite(transaction) => transaction.commit().await?,
        }
        Ok(())
    }

    pub(crate) async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(transaction) => transaction.rollback().await?,
            Self::Sqlite(transaction) => transaction.rollback().await?,
        }
        Ok(())
    }
}
