//! PostgreSQL sessions and transactions that behave the same directly and through pgbouncer.
//!
//! The executors here take care of that, so that no statement has to, and let no caller wait for a statement in vain.

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt, TryStreamExt};
use sqlx::error::BoxDynError;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{
    PgArguments, PgPool, PgQueryResult, PgRow, PgStatement, PgTransactionManager, PgTypeInfo, Postgres,
};
use sqlx::{Describe, Either, Execute, Executor, TransactionManager};

use crate::connection::error::{StoreError, reach};
use crate::connection::time_limit::in_time;
use crate::connection::watch::Watch;
use codemint_telemetry::failpoint;

type Steps<'e> = BoxStream<'e, Result<Either<PgQueryResult, PgRow>, sqlx::Error>>;

/// The number of bytes sent to the server at once; each piece is flushed.
const COPY_PIECE_BYTES: usize = 256 * 1024;

/// Settings of every session: nothing may wait or idle forever, and the server notices a client that has disappeared. A
/// chunk of the largest size takes seconds; the timeouts leave a slow server twenty times that.
pub(crate) const TIMEOUTS: [(&str, &str); 4] = [
    ("lock_timeout", "30s"),
    ("statement_timeout", "300s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("client_connection_check_interval", "10s"),
];

/// An open PostgreSQL store.
#[derive(Clone, Debug)]
pub struct PostgresStore {
    pub(crate) pool: PgPool,
    pub(crate) route: Route,
    /// `None` behind pgbouncer, where the server does not see our sessions as they are.
    pub(crate) watch: Option<Arc<Watch>>,
}

/// An open transaction. Dropping it closes its connection, which rolls it back.
#[derive(Debug)]
pub struct PostgresTransaction {
    session: PostgresSession,
}

/// The session on which statements are executed.
#[derive(Debug)]
pub struct PostgresSession {
    connection: PoolConnection<Postgres>,
    route: Route,
    /// `None` behind pgbouncer, where nothing shows what happens to a statement.
    watch: Option<Arc<Watch>>,
    /// A transaction is open or a statement was left unfinished: no other caller may get this connection.
    unclean: bool,
}

/// The route to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    Direct,
    /// Through a pgbouncer in transaction mode: the next transaction may get another session of the server, and what is
    /// set in a session or prepared under a name stays there for other clients. So everything happens in transactions,
    /// settings last as long as these, and no statement has a name.
    Pgbouncer,
}

/// Returns the statement that begins a transaction. Where sessions are shared it also sets the timeouts, for this
/// transaction alone; in one statement, so that it takes no more messages.
pub(crate) fn begin_with_settings(begin: &'static str, route: Route) -> Cow<'static, str> {
    if route == Route::Direct {
        return begin.into();
    }
    let settings = TIMEOUTS.iter().map(|(name, value)| format!("; set local {name} = '{value}'"));
    (begin.to_owned() + &settings.collect::<String>()).into()
}

impl PostgresStore {
    pub(crate) async fn begin(&self) -> Result<PostgresTransaction, sqlx::Error> {
        self.begin_with("begin").await
    }

    pub(crate) async fn begin_with(&self, begin: &'static str) -> Result<PostgresTransaction, sqlx::Error> {
        let mut session = self.session().await?;
        let sql = begin_with_settings(begin, self.route);
        session.unclean = true;
        let PostgresSession { connection, watch, .. } = &mut session;
        answered(watch.as_deref(), "begin", PgTransactionManager::begin(connection, Some(sql))).await?;
        Ok(PostgresTransaction { session })
    }

    /// Opens connections in the background until there are this many. Errors are ignored: a caller that needs one of
    /// them will meet the same error.
    pub(crate) fn connect_ahead(&self, connections: usize) {
        let pool = self.pool.clone();
        tokio::spawn(async move { drop(join_all((0..connections).map(|_| pool.acquire())).await) });
    }

    async fn session(&self) -> Result<PostgresSession, sqlx::Error> {
        let pool: &PgPool = &self.pool;
        let (connection, watch) = (pool.acquire().await?, self.watch.clone());
        Ok(PostgresSession { connection, route: self.route, watch, unclean: false })
    }
}

impl PostgresTransaction {
    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        let PostgresSession { connection, watch, unclean, .. } = &mut self.session;
        answered(watch.as_deref(), "commit", PgTransactionManager::commit(connection)).await?;
        *unclean = false;
        Ok(())
    }

    pub(crate) async fn rollback(mut self) -> Result<(), sqlx::Error> {
        let PostgresSession { connection, watch, unclean, .. } = &mut self.session;
        answered(watch.as_deref(), "rollback", PgTransactionManager::rollback(connection)).await?;
        *unclean = false;
        Ok(())
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
    /// Executes a statement and returns the number of changed rows.
    pub(crate) async fn run(
        &mut self,
        sql: &str,
        values: PgArguments,
        on_row: &mut (dyn FnMut(PgRow) -> Result<(), sqlx::Error> + Send),
    ) -> Result<u64, sqlx::Error> {
        // Where sessions are shared, a statement is prepared without a name. An empty statement cache would not suffice:
        // the library names statements all the same.
        let query = sqlx::query_with(sql, values).persistent(self.route == Route::Direct);
        let mut steps = self.connection.fetch_many(query);
        let mut changed = 0;
        while let Some(step) = answered(self.watch.as_deref(), "statement", steps.try_next()).await? {
            match step {
                Either::Left(result) => changed += result.rows_affected(),
                Either::Right(row) => on_row(row)?,
            }
        }
        Ok(changed)
    }

    /// Executes statements without values, in one message.
    pub(crate) async fn execute_text(&mut self, sql: &str) -> Result<(), StoreError> {
        in_time(async {
            answered(self.watch.as_deref(), "statement", self.connection.execute(sql)).await?;
            Ok(())
        })
        .await
    }

    /// Copies rows in and returns how many the server took. A `COPY` prepares no statement.
    pub(crate) async fn copy_in(&mut self, sql: &str, rows: &[u8]) -> Result<u64, StoreError> {
        in_time(async {
            let watch = self.watch.as_deref();
            let mut copy = answered(watch, "copy", self.connection.copy_in_raw(sql)).await?;
            for (number, piece) in rows.chunks(COPY_PIECE_BYTES).enumerate() {
                answered(watch, "copy", copy.send(piece)).await?;
                if number == 0 {
                    reach(failpoint::CODES_HALF_WRITTEN).await?;
                }
            }
            Ok(answered(watch, "copy", copy.finish()).await?)
        })
        .await
    }
}

impl Drop for PostgresSession {
    fn drop(&mut self) {
        if self.unclean {
            self.connection.close_on_drop();
        }
    }
}

async fn answered<T>(
    watch: Option<&Watch>,
    what: &'static str,
    statement: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match watch {
        Some(watch) => watch.answered(what, statement).await,
        None => statement.await,
    }
}

/// A query that is prepared without a name, whatever it requests itself. An empty statement cache would not suffice:
/// the library names statements all the same.
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
        let PostgresSession { connection, route, watch, .. } = self;
        let steps = match route {
            Route::Direct => connection.fetch_many(query),
            Route::Pgbouncer => connection.fetch_many(Unnamed(query)),
        };
        let watch = watch.as_deref();
        stream::unfold(steps, move |mut steps| async move {
            let step = answered(watch, "statement", steps.try_next()).await.transpose()?;
            Some((step, steps))
        })
        .boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let PostgresSession { connection, route, watch, .. } = self;
        let row = match route {
            Route::Direct => connection.fetch_optional(query),
            Route::Pgbouncer => connection.fetch_optional(Unnamed(query)),
        };
        Box::pin(answered(watch.as_deref(), "statement", row))
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        _sql: &'q str,
        _parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement<'q>, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async { Err(nothing_is_prepared()) })
    }

    fn describe<'e, 'q: 'e>(self, _sql: &'q str) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async { Err(nothing_is_prepared()) })
    }
}

/// As an executor, a store runs a query on any session or, where sessions are shared, in a transaction of its own.
impl PostgresStore {
    pub(crate) async fn run<T>(
        &self,
        query: impl AsyncFnOnce(&mut PostgresSession) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        if self.route == Route::Pgbouncer {
            let mut transaction = self.begin().await?;
            let answer = query(&mut transaction).await?;
            transaction.commit().await?;
            return Ok(answer);
        }
        let mut session = self.session().await?;
        session.unclean = true;
        let answer = query(&mut session).await?;
        session.unclean = false;
        Ok(answer)
    }
}

impl<'c> Executor<'c> for &'c PostgresStore {
    type Database = Postgres;

    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Steps<'e>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let steps = async move {
            let steps: Vec<_> = self.run(async |session| session.fetch_many(query).try_collect().await).await?;
            Ok::<_, sqlx::Error>(stream::iter(steps).map(Ok))
        };
        stream::once(steps).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<PgRow>, sqlx::Error>>
    where
        'c: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        Box::pin(self.run(async |session| session.fetch_optional(query).await))
    }

    fn prepare_with<'e, 'q: 'e>(
        self,
        _sql: &'q str,
        _parameters: &'e [PgTypeInfo],
    ) -> BoxFuture<'e, Result<PgStatement<'q>, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async { Err(nothing_is_prepared()) })
    }

    fn describe<'e, 'q: 'e>(self, _sql: &'q str) -> BoxFuture<'e, Result<Describe<Postgres>, sqlx::Error>>
    where
        'c: 'e,
    {
        Box::pin(async { Err(nothing_is_prepared()) })
    }
}

/// The library prepares queries as they are run; our code needs no more.
fn nothing_is_prepared() -> sqlx::Error {
    sqlx::Error::Protocol("statements are never prepared separately".to_owned())
}
