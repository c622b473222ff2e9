//! A transaction on either store, so that what happens in it is written once.

use sqlx::{Postgres, Sqlite, Transaction};

use crate::store::Store;
use crate::store::error::StoreError;

/// "CMNT": the first half of the keys of our advisory locks, the second one is a code length.
const ADMISSION_LOCKS: i32 = 0x434d_4e54;

/// An open transaction that writes. Dropping it undoes it.
#[derive(Debug)]
pub enum StoreTransaction {
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

impl Store {
    /// A transaction that only reads, and sees the store as it was at its first statement.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn begin_reading(&self) -> Result<StoreTransaction, StoreError> {
        Ok(match self {
            Self::Postgres(pool) => {
                StoreTransaction::Postgres(pool.begin_with("begin isolation level repeatable read read only").await?)
            }
            Self::Sqlite(sqlite) => StoreTransaction::Sqlite(sqlite.readers.begin().await?),
        })
    }
}

impl StoreTransaction {
    /// Admissions of masks whose codes can meet take turns; codes of different lengths cannot. Held until the end of the
    /// transaction. In SQLite whoever writes is alone anyway.
    pub(crate) async fn lock_admissions(&mut self, code_length: usize) -> Result<(), StoreError> {
        if let Self::Postgres(transaction) = self {
            let sql = "select pg_advisory_xact_lock($1, $2)";
            let query = sqlx::query(sql).bind(ADMISSION_LOCKS).bind(code_length as i32);
            query.execute(&mut **transaction).await?;
        }
        Ok(())
    }

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

    /// # Errors
    /// Those of the database.
    pub async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Postgres(transaction) => transaction.rollback().await?,
            Self::Sqlite(transaction) => transaction.rollback().await?,
        }
        Ok(())
    }
}
