//! A transaction on either store, so that what happens in it is written once.

use sqlx::{Sqlite, Transaction};

use crate::Store;
use crate::error::StoreError;
use crate::postgres_transaction::{PostgresSession, PostgresTransaction};

/// "CMNT": the first half of the keys of our advisory locks; of admissions, the second one is a code length.
const ADVISORY_LOCKS: i32 = 0x434d_4e54;

/// Beside the code lengths, which begin at 1: who publishes events.
const OUTBOX_LOCK: i32 = 0;

/// Who runs a load test.
const BENCH_LOCK: i32 = -1;

/// A crash of the server may forget what such a transaction committed.
pub(crate) const BEGIN_UNFLUSHED: &str = "begin; set local synchronous_commit = off";

/// An open transaction that writes. Dropping it undoes it.
#[derive(Debug)]
pub enum StoreTransaction {
    Postgres(PostgresTransaction),
    Sqlite(Transaction<'static, Sqlite>),
}

const POSTGRES_NOW: &str = "now()";
const SQLITE_NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";

impl Store {
    /// As [`StoreTransaction::now`], for a statement by itself.
    pub(crate) const fn now(&self) -> &'static str {
        match self {
            Self::Postgres(_) => POSTGRES_NOW,
            Self::Sqlite(_) => SQLITE_NOW,
        }
    }

    /// In SQLite this is the one writer, from its start; a `Conflict` if other processes do not let go of the file.
    pub(crate) async fn begin_writing(&self) -> Result<StoreTransaction, StoreError> {
        Ok(match self {
            Self::Postgres(postgres) => StoreTransaction::Postgres(postgres.begin().await?),
            Self::Sqlite(sqlite) => StoreTransaction::Sqlite(sqlite.begin_writing().await?),
        })
    }

    /// As [`Store::begin_writing`], but a crash of the server may forget what was committed.
    pub(crate) async fn begin_writing_unflushed(&self) -> Result<StoreTransaction, StoreError> {
        Ok(match self {
            Self::Postgres(postgres) => StoreTransaction::Postgres(postgres.begin_with(BEGIN_UNFLUSHED).await?),
            Self::Sqlite(sqlite) => StoreTransaction::Sqlite(sqlite.begin_writing().await?),
        })
    }

    /// A transaction that only reads, and sees the store as it was at its first statement.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn begin_reading(&self) -> Result<StoreTransaction, StoreError> {
        Ok(match self {
            Self::Postgres(postgres) => {
                let begin = "begin isolation level repeatable read read only";
                StoreTransaction::Postgres(postgres.begin_with(begin).await?)
            }
            Self::Sqlite(sqlite) => StoreTransaction::Sqlite(sqlite.readers.begin().await?),
        })
    }

    /// To be called before a job is put and minted: its first chunk is drawn with what is read over a second connection.
    pub fn connect_ahead(&self) {
        if let Self::Postgres(postgres) = self {
            postgres.connect_ahead(2);
        }
    }
}

impl StoreTransaction {
    /// Admissions of masks whose codes can meet take turns; codes of different lengths cannot. Held until the end of the
    /// transaction. In SQLite whoever writes is alone anyway.
    pub(crate) async fn lock_admissions(&mut self, code_length: usize) -> Result<(), StoreError> {
        if let Self::Postgres(transaction) = self {
            let sql = "select pg_advisory_xact_lock($1, $2)";
            let query = sqlx::query(sql).bind(ADVISORY_LOCKS).bind(code_length as i32);
            query.execute(&mut **transaction).await?;
        }
        Ok(())
    }

    /// Until the end of the transaction nobody else publishes events. False if somebody does.
    pub(crate) async fn try_lock_outbox(session: &mut PostgresSession) -> Result<bool, StoreError> {
        try_lock(session, OUTBOX_LOCK).await
    }

    /// Until the end of the transaction nobody else runs a load test. False if somebody does.
    pub(crate) async fn try_lock_bench(session: &mut PostgresSession) -> Result<bool, StoreError> {
        try_lock(session, BENCH_LOCK).await
    }

    /// The database's clock as an expression of SQL: times of one store come from one clock.
    pub(crate) const fn now(&self) -> &'static str {
        match self {
            Self::Postgres(_) => POSTGRES_NOW,
            Self::Sqlite(_) => SQLITE_NOW,
        }
    }

    /// A statement whose one parameter is the job's number.
    pub(crate) async fn execute_for_job(&mut self, sql: &str, job_no: i64) -> Result<(), StoreError> {
        match self {
            Self::Postgres(transaction) => {
                sqlx::query(sql).bind(job_no).execute(&mut **transaction).await?;
            }
            Self::Sqlite(transaction) => {
                sqlx::query(sql).bind(job_no).execute(&mut **transaction).await?;
            }
        }
        Ok(())
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

async fn try_lock(session: &mut PostgresSession, lock: i32) -> Result<bool, StoreError> {
    let query = sqlx::query_scalar("select pg_try_advisory_xact_lock($1, $2)");
    Ok(query.bind(ADVISORY_LOCKS).bind(lock).fetch_one(session).await?)
}
