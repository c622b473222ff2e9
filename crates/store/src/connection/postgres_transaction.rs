//! PostgreSQL sessions and transactions that behave the same directly and through pgbouncer.
//!
//! The sessions here take care of that, so that no statement has to, and let no caller wait for a statement in vain.

use std::sync::Arc;

use futures_util::TryStreamExt;
use futures_util::future::join_all;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgPool, PgRow, PgTransactionManager, Postgres};
use sqlx::{Either, Executor, TransactionManager};

use crate::connection::error::{StoreError, reach};
use crate::connection::time_limit::in_time;
use crate::connection::watch::Watch;
use codemint_telemetry::failpoint;

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
    /// The server is the coordinator of a Citus cluster, and `codes` is distributed over the nodes.
    pub(crate) is_distributed: bool,
}

/// A session, with an open transaction unless it is that of a single statement. Dropping an open transaction closes its
/// connection, which rolls it back.
#[derive(Debug)]
pub struct PostgresSession {
    connection: PoolConnection<Postgres>,
    route: Route,
    /// `None` behind pgbouncer, where nothing shows what happens to a statement.
    watch: Option<Arc<Watch>>,
    is_distributed: bool,
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

/// The beginning of a transaction: its statement, and settings that last as long as the transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begin {
    pub statement: &'static str,
    pub settings: &'static [(&'static str, &'static str)],
}

impl Begin {
    pub const WRITING: Self = Self { statement: "begin", settings: &[] };
    /// The commit may be lost in a crash of the server.
    pub const WRITING_UNFLUSHED: Self = Self { settings: &[("synchronous_commit", "off")], ..Self::WRITING };
    pub const READING: Self = Self { statement: "begin read only", settings: &[] };
    /// Every statement sees the store as the first one did.
    pub const SNAPSHOT: Self = Self { statement: "begin isolation level repeatable read read only", settings: &[] };

    /// Returns all statements in one message, so that they take one round trip. Where sessions are shared, the timeouts
    /// are among the settings.
    pub fn message(self, route: Route) -> String {
        self.statements(route).join("; ")
    }

    fn statements(self, route: Route) -> Vec<String> {
        let timeouts = if route == Route::Pgbouncer { &TIMEOUTS[..] } else { &[] };
        let settings =
            self.settings.iter().chain(timeouts).map(|(name, value)| format!("set local {name} = '{value}'"));
        std::iter::once(self.statement.to_owned()).chain(settings).collect()
    }
}

impl PostgresStore {
    pub(crate) async fn begin(&self, begin: Begin) -> Result<PostgresSession, sqlx::Error> {
        self.begin_with(begin, "").await
    }

    /// Begins a transaction, and executes a statement without values, unless it is empty, in the same round trip.
    pub(crate) async fn begin_with(&self, begin: Begin, first: &str) -> Result<PostgresSession, sqlx::Error> {
        let mut session = self.session().await?;
        session.unclean = true;
        // A coordinator forwards the whole message to its nodes once for each setting in it, and the nodes complain.
        let mut messages = match self.is_distributed {
            true => begin.statements(self.route),
            false => vec![begin.message(self.route)],
        };
        match messages.last_mut() {
            Some(message) if !first.is_empty() && !self.is_distributed => *message = format!("{message}; {first}"),
            _ if !first.is_empty() => messages.push(first.to_owned()),
            _ => {}
        }
        let PostgresSession { connection, watch, .. } = &mut session;
        let first = Some(messages.remove(0).into());
        answered(watch.as_deref(), "begin", PgTransactionManager::begin(connection, first)).await?;
        for setting in messages {
            answered(watch.as_deref(), "begin", connection.execute(&*setting)).await?;
        }
        Ok(session)
    }

    /// Runs a query on any session or, where sessions are shared, in a transaction of its own.
    pub(crate) async fn run<T>(
        &self,
        query: impl AsyncFnOnce(&mut PostgresSession) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        if self.route == Route::Pgbouncer {
            let mut transaction = self.begin(Begin::WRITING).await?;
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

    /// Opens connections in the background until there are this many. Errors are ignored: a caller that needs one of
    /// them will meet the same error.
    pub(crate) fn connect_ahead(&self, connections: usize) {
        let pool = self.pool.clone();
        tokio::spawn(async move { drop(join_all((0..connections).map(|_| pool.acquire())).await) });
    }

    async fn session(&self) -> Result<PostgresSession, sqlx::Error> {
        let pool: &PgPool = &self.pool;
        let (connection, watch) = (pool.acquire().await?, self.watch.clone());
        let (route, is_distributed) = (self.route, self.is_distributed);
        Ok(PostgresSession { connection, route, watch, is_distributed, unclean: false })
    }
}

impl PostgresSession {
    /// Returns true if `codes` is distributed over the nodes of a cluster.
    pub(crate) fn is_distributed(&self) -> bool {
        self.is_distributed
    }

    pub(crate) async fn commit(mut self) -> Result<(), sqlx::Error> {
        answered(self.watch.as_deref(), "commit", PgTransactionManager::commit(&mut self.connection)).await?;
        self.unclean = false;
        Ok(())
    }

    pub(crate) async fn rollback(mut self) -> Result<(), sqlx::Error> {
        answered(self.watch.as_deref(), "rollback", PgTransactionManager::rollback(&mut self.connection)).await?;
        self.unclean = false;
        Ok(())
    }

    /// Does what a transaction needs besides statements with values.
    pub(crate) async fn with_connection<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        in_time(answered(self.watch.as_deref(), "statement", work(&mut self.connection))).await
    }

    /// Executes statements without values, in one message.
    pub(crate) async fn execute_text(&mut self, sql: &str) -> Result<(), StoreError> {
        self.with_connection(async |connection| {
            connection.execute(sql).await?;
            Ok(())
        })
        .await
    }

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

    /// Copies rows in and returns how many the server took. Each piece is flushed. A `COPY` prepares no statement.
    pub(crate) async fn copy_in(
        &mut self,
        sql: &str,
        pieces: impl Iterator<Item: AsRef<[u8]> + Send> + Send,
    ) -> Result<u64, StoreError> {
        in_time(async {
            let watch = self.watch.as_deref();
            let mut copy = answered(watch, "copy", self.connection.copy_in_raw(sql)).await?;
            for (number, piece) in pieces.enumerate() {
                answered(watch, "copy", copy.send(piece.as_ref())).await?;
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

async fn answered<T, E: From<sqlx::Error>>(
    watch: Option<&Watch>,
    what: &'static str,
    statement: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    match watch {
        Some(watch) => watch.answered(what, statement).await,
        None => statement.await,
    }
}
