//! A watchdog over statements: if one is not answered for long, the server is asked about it over another connection. A
//! server that works on it may take its time; one that does not, or does not answer at all, is given up.
//!
//! Nothing else detects this: a server that is stopped, or behind a line that is dead in one direction, keeps its
//! connections open, and its own timeouts end nothing. <https://www.postgresql.org/docs/15/monitoring-stats.html>

use std::io::{Error, ErrorKind};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::{Instant, timeout};

use codemint_telemetry::metrics::store::statement_given_up;

/// The server is asked about a statement that takes longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Maximum time for the server to answer the watchdog.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The time between two questions to the server.
const INTERVAL: Duration = Duration::from_secs(10);
/// Grace period: the answer may be on its way when the server reports that it has nothing to do.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Counts our sessions that the server is working on, or holds up because of a lock, for longer than a statement that
/// is just passing through. A session that waits for its client is not being worked on.
const AT_WORK: &str = "
    select count(*) from pg_stat_activity
     where application_name = $1 and state = 'active' and wait_event_type is distinct from 'Client'
       and query_start < clock_timestamp() - interval '2 seconds'";

/// The same at the coordinator of a cluster, where a session that waits for its nodes looks as if it waited for its
/// client. A client that is gone ends by the timeout of the statement.
const AT_WORK_OR_AT_NODES: &str = "
    select count(*) from pg_stat_activity
     where application_name = $1 and state = 'active' and query_start < clock_timestamp() - interval '2 seconds'";

/// Ends our sessions that have waited in the middle of a `COPY` for rows from us for longer than a statement may be
/// silent. Of the server's timeouts only the one for statements ends such a wait, and its chunk is locked until then. A
/// session that is slow, not dead, loses a chunk that is then made again.
const END_COPIES: &str = "
    select count(pg_terminate_backend(pid)) from pg_stat_activity
     where application_name = $1 and state = 'active' and wait_event = 'ClientRead'
       and query_start < clock_timestamp() - interval '10 seconds'";

/// The watchdog over the statements of one store.
#[derive(Debug)]
pub(crate) struct Watch {
    /// The options of the store's sessions.
    options: PgConnectOptions,
    /// The name of the store's sessions, and of no others.
    application_name: String,
    /// The server is the coordinator of a cluster.
    is_coordinator: bool,
    /// The number of statements that have taken longer than [`PATIENCE`].
    overdue: AtomicU32,
}

impl Watch {
    pub fn new(options: &PgConnectOptions, application_name: &str, is_coordinator: bool) -> Self {
        let options = options.clone().application_name(&format!("watch of {application_name}"));
        Self { options, application_name: application_name.to_owned(), is_coordinator, overdue: AtomicU32::new(0) }
    }

    /// Returns the name of the store's sessions, and of no others.
    pub fn application_name(&self) -> &str {
        &self.application_name
    }

    /// Waits for the result of a statement, or of a part of one, which the log calls `what`.
    ///
    /// # Errors
    /// The statement's own error, or `Io` with `TimedOut` if the watchdog gives up: the connection is then unusable.
    pub async fn answered<T, E: From<sqlx::Error>>(
        &self,
        what: &'static str,
        statement: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let mut statement = pin!(statement);
        if let Ok(answer) = timeout(PATIENCE, &mut statement).await {
            return answer;
        }
        let asked_at = Instant::now();
        let _overdue = Overdue::begin(&self.overdue);
        loop {
            tokio::select! {
                biased;
                answer = &mut statement => return answer,
                verdict = self.ask() => if let Err(reason) = verdict {
                    let Ok(answer) = timeout(ON_ITS_WAY, &mut statement).await else {
                        let seconds = (PATIENCE + asked_at.elapsed()).as_secs();
                        statement_given_up();
                        tracing::warn!(what, seconds, reason, "gave up on a statement and closed its connection");
                        self.end_copies().await;
                        let problem = format!("no answer for {seconds} s: {reason}");
                        return Err(sqlx::Error::from(Error::new(ErrorKind::TimedOut, problem)).into());
                    };
                    return answer;
                },
            }
            if let Ok(answer) = timeout(INTERVAL, &mut statement).await {
                return answer;
            }
        }
    }

    /// # Errors
    /// The reason why an overdue statement will not be answered.
    async fn ask(&self) -> Result<(), &'static str> {
        let at_work = if self.is_coordinator { AT_WORK_OR_AT_NODES } else { AT_WORK };
        match timeout(ANSWER_TIMEOUT, self.count(at_work)).await {
            Ok(Ok(at_work)) if at_work >= i64::from(self.overdue.load(Ordering::Relaxed)) => Ok(()),
            Ok(Ok(_)) => Err("the server is not working on the statement"),
            // The server answered with an error, so it is alive.
            Ok(Err(sqlx::Error::Database(_))) => Ok(()),
            Ok(Err(_)) => Err("no connection to the server can be opened"),
            Err(_elapsed) => Err("the server does not answer on another connection either"),
        }
    }

    /// Ends these sessions at the server, which does not see a close over a line that is dead in one direction.
    async fn end_copies(&self) {
        if self.is_coordinator {
            return;
        }
        // A server that cannot be asked has ended them itself, or is given up as a whole.
        let _ended = timeout(ANSWER_TIMEOUT, self.count(END_COPIES)).await;
    }

    async fn count(&self, sql: &str) -> Result<i64, sqlx::Error> {
        let mut connection: PgConnection = self.options.connect().await?;
        let count = sqlx::query_scalar(sql).bind(&self.application_name).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(count)
    }
}

/// Counts one overdue statement as long as it lives.
struct Overdue<'a>(&'a AtomicU32);

impl<'a> Overdue<'a> {
    fn begin(overdue: &'a AtomicU32) -> Self {
        overdue.fetch_add(1, Ordering::Relaxed);
        Self(overdue)
    }
}

impl Drop for Overdue<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
