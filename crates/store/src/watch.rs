//! A watchdog over statements: one that is not answered for long is asked after over another connection. A server that works
//! on it may take its time; one that does not, or does not answer at all, is given up.
//!
//! Nothing else tells: a server that is stopped, or behind a line that is dead in one direction, keeps its connections
//! open, and its own timeouts end nothing. <https://www.postgresql.org/docs/15/monitoring-stats.html>

use std::io::{Error, ErrorKind};
use std::pin::pin;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::{Instant, timeout};

use codemint_telemetry::metrics::store::statement_given_up;

/// A statement that takes longer is asked after.
const PATIENCE: Duration = Duration::from_secs(10);
/// For the server to answer whoever asks.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two times of asking.
const INTERVAL: Duration = Duration::from_secs(10);
/// An answer may be on its way when the server says that it has nothing to do.
const ON_ITS_WAY: Duration = Duration::from_secs(1);

/// Sessions of ours that the server is at work on, or holds up because of a lock, for longer than a statement that is just
/// passing through. One that waits for its client is not at work.
const AT_WORK: &str = "
    select count(*) from pg_stat_activity
     where application_name = $1 and state = 'active' and wait_event_type is distinct from 'Client'
       and query_start < clock_timestamp() - interval '2 seconds'";

/// Sessions of ours that have waited in the middle of a `COPY` for rows of ours for longer than a statement may be
/// silent. No timeout of the server but that of statements ends such a wait, and its chunk is locked as long. One that is slow
/// and not dead loses a chunk that is then made again.
const END_COPIES: &str = "
    select count(pg_terminate_backend(pid)) from pg_stat_activity
     where application_name = $1 and state = 'active' and wait_event = 'ClientRead'
       and query_start < clock_timestamp() - interval '10 seconds'";

/// Watches over the statements of one store.
#[derive(Debug)]
pub(crate) struct Watch {
    /// As the store's sessions are made.
    options: PgConnectOptions,
    /// Of the store's sessions, and of nobody else's.
    application_name: String,
    /// Statements that have been waited for longer than [`PATIENCE`].
    overdue: AtomicU32,
}

impl Watch {
    pub fn new(options: &PgConnectOptions, application_name: &str) -> Self {
        let options = options.clone().application_name(&format!("watch of {application_name}"));
        Self { options, application_name: application_name.to_owned(), overdue: AtomicU32::new(0) }
    }

    /// A connection to look on over, and the name of the sessions that are watched.
    pub async fn connect(&self) -> Result<(PgConnection, String), sqlx::Error> {
        Ok((self.options.connect().await?, self.application_name.clone()))
    }

    /// Waits for what a statement, or a part of one, comes to. `what` is how it is told.
    ///
    /// # Errors
    /// Those of the statement, and `Io` with `TimedOut` when it is given up: its connection is then of no use.
    pub async fn answered<T>(
        &self,
        what: &'static str,
        statement: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
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
                        tracing::warn!(what, seconds, reason, "a statement is given up, and its connection closed");
                        self.end_copies().await;
                        let problem = format!("it has not answered for {seconds} s, and {reason}");
                        return Err(Error::new(ErrorKind::TimedOut, problem).into());
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
    /// Why a statement that is overdue will not be answered.
    async fn ask(&self) -> Result<(), &'static str> {
        match timeout(ANSWER_TIMEOUT, self.count(AT_WORK)).await {
            Ok(Ok(at_work)) if at_work >= i64::from(self.overdue.load(Ordering::Relaxed)) => Ok(()),
            Ok(Ok(_)) => Err("does not work on it"),
            // It has other things to do, but it is there.
            Ok(Err(sqlx::Error::Database(_))) => Ok(()),
            Ok(Err(_)) => Err("cannot be connected to"),
            Err(_elapsed) => Err("does not answer to others either"),
        }
    }

    /// The other end of a line that is dead in one direction does not see that it is closed.
    async fn end_copies(&self) {
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

/// Counts as long as it lives.
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
