//! Transactions of PostgreSQL that are the same whether the server is reached directly or by way of pgbouncer.
//!
//! The executors here see to it, so that no statement has to. Directly, they hand everything on as it is.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgConnection, PgCopyIn, PgQueryResult, PgRow, PgStatement, PgTypeInfo};
use sqlx::{Describe, Either, Execute, Executor, Postgres, Transaction};

use crate::store::postgres::{PostgresStore, Route, TIMEOUTS};

type Steps<'e> = BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>;

/// An open transaction. Dropping it undoes it.
#[derive(Debug)]
pub struct PostgresTransaction {
    session: PostgresSession,
}

/// What statements of a transaction are executed on.
#[derive(Debug)]
pub struct PostgresSession {
    transaction: Transaction<'static, Postgres>,
    route: Route,
}

/// The statement that begins a transaction, and, where the session is anybody's, what it sets for itself alone. It takes
/// no more messages that way.
pub(crate) fn begin_with_settings(begin: &'static str, route: Route) -> Cow<'static, str> {
    if route == Route::Direct {
        return begin.into();
    }
    let settings = TIMEOUTS.iter().map(|(name, value)| format!("; set local {name} = '{value}'"));
    (begin.to_owned() + &settings.collect::<String>()).into()
}

impl PostgresTransaction {
    pub(crate) fn new(transaction: Transaction<'static, Postgres>, route: Route) -> Self {
        Self { session: PostgresSession { transaction, route } }
    }

    pub(crate) async fn commit(self) -> Result<(), sqlx::Error> {
        self.session.transaction.commit().await
    }

    pub(crate) async fn rollback(self) -> Result<(), sqlx::Error> {
        self.session.transaction.rollback().await
    }
}

impl Deref for PostgresTransaction {
    type Target = PostgresSession;

    fn deref(&self) -> &Self::Target {
        &self.session
    }
}

impl DerefMut for PostgresTransaction {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.session
    }
}

impl PostgresSession {
    /// As [`PgConnection::copy_in_raw`], which prepares nothing.
    pub(crate) async fn copy_in_raw(&mut self, sql: &str) -> Result<PgCopyIn<&mut PgConnection>, sqlx::Error> {
        self.transaction.copy_in_raw(sql).await
    }
}

/// A query that is prepared without a name, whatever it says itself. An empty cache of statements would not do: the
/// library names them all the same.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Unnamed<E> {
    fn sql(&self) -> &'q str {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement<'q>> {
        self.0.statement()
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}

impl<'c> Executor<'c> for &'c mut PostgresSession {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Steps<'e>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match self.route {
            Route::Direct => self.transaction.fetch_many(query),
            Route::Pgbouncer => self.transaction.fetch_many(Unnamed(query)),
        }
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        match self.route {
            Route::Direct => self.transaction.fetch_optional(query),
            Route::Pgbouncer => self.transaction.fetch_optional(Unnamed(query)),
        }
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        sql: &'q str,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement<'q>, sqlx::Error>>
    where
        'c: 'e,
    {
        match self.route {
            Route::Direct => self.transaction.prepare_with(sql, parameters),
            Route::Pgbouncer => Box::pin(async { Err(nothing_is_prepared()) }),
        }
    }

    fn describe<'e, 'q: 'e>(self, sql: &'q str) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        match self.route {
            Route::Direct => self.transaction.describe(sql),
            Route::Pgbouncer => Box::pin(async { Err(nothing_is_prepared()) }),
        }
    }
}

impl<'c> Executor<'c> for &'c PostgresStore {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Steps<'e>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.route == Route::Direct {
            return self.pool.fetch_many(query);
        }
        let steps = async move {
            let mut transaction = self.begin().await?;
            let steps: Vec<_> = transaction.fetch_many(query).try_collect().await?;
            transaction.commit().await?;
            Ok::<_, sqlx::Error>(stream::iter(steps).map(Ok))
        };
        stream::once(steps).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        if self.route == Route::Direct {
            return self.pool.fetch_optional(query);
        }
        Box::pin(async move {
            let mut transaction = self.begin().await?;
            let row = transaction.fetch_optional(query).await?;
            transaction.commit().await?;
            Ok(row)
        })
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        sql: &'q str,
        parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement<'q>, sqlx::Error>>
    where
        'c: 'e,
    {
        match self.route {
            Route::Direct => self.pool.prepare_with(sql, parameters),
            Route::Pgbouncer => Box::pin(async { Err(nothing_is_prepared()) }),
        }
    }

    fn describe<'e, 'q: 'e>(self, sql: &'q str) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        match self.route {
            Route::Direct => self.pool.describe(sql),
            Route::Pgbouncer => Box::pin(async { Err(nothing_is_prepared()) }),
        }
    }
}

/// A statement that is prepared by itself would have a name; nothing of ours asks for that.
fn nothing_is_prepared() -> sqlx::Error {
    sqlx::Error::Protocol("statements are not prepared by way of pgbouncer".to_owned())
}
