//! The activity of a PostgreSQL server for the sessions of one store, observed over a separate connection.
//! <https://www.postgresql.org/docs/15/monitoring-stats.html>

use std::str::FromStr;
use std::time::{Duration, Instant};

use serde::Deserialize;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};

/// The number of measured round trips; the median counts.
const ROUND_TRIPS: usize = 31;

/// The number of sessions by activity, at one moment or summed up over many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sessions {
    /// Working, and waiting for nothing.
    pub cpu: u64,
    /// Waiting for the write-ahead log: its disk, its buffers, its standby servers.
    pub wal: u64,
    /// Waiting for another file: the table, its index.
    pub disk: u64,
    /// Waiting for a lock that another session has.
    pub lock: u64,
    /// In the middle of a statement, waiting for data that we send or receive.
    pub client: u64,
    /// Waiting for the next statement.
    pub idle: u64,
    /// Unknown: the server does not track what sessions do, or this user may not see it.
    pub hidden: u64,
}

impl Sessions {
    /// Adds sessions of one kind, named as in `pg_stat_activity`.
    pub fn count(&mut self, state: Option<&str>, wait_type: Option<&str>, wait: Option<&str>, sessions: u64) {
        let is_wal = wait.is_some_and(|wait| wait.starts_with("WAL") || wait == "SyncRep");
        let kind = match (state, wait_type) {
            (Some("active"), None) => &mut self.cpu,
            (Some("active"), Some(_)) if is_wal => &mut self.wal,
            (Some("active"), Some("IO")) => &mut self.disk,
            (Some("active"), Some("Client")) => &mut self.client,
            (Some("active"), Some(_)) => &mut self.lock,
            (Some(state), _) if state.starts_with("idle") => &mut self.idle,
            _ => &mut self.hidden,
        };
        *kind += sessions;
    }

    pub const fn add(&mut self, more: Self) {
        self.cpu += more.cpu;
        self.wal += more.wal;
        self.disk += more.disk;
        self.lock += more.lock;
        self.client += more.client;
        self.idle += more.idle;
        self.hidden += more.hidden;
    }
}

/// The write-ahead log of the whole server since its statistics were reset. `None` is what a server does not report.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WalCounters {
    /// The end of the log, in bytes.
    pub position: i64,
    pub flushes: Option<u64>,
    /// The time spent in flushes, if the server measures it (`track_wal_io_timing`).
    pub flush_ms: Option<f64>,
}

/// Columns of `pg_stat_wal`; later versions of PostgreSQL count flushes elsewhere.
#[derive(Deserialize)]
struct WalRow {
    wal_sync: Option<u64>,
    wal_sync_time: Option<f64>,
}

/// An observer of a store's sessions.
#[derive(Debug)]
pub(crate) struct ActivityProbe {
    connection: PgConnection,
    /// The name of the observed sessions.
    application_name: String,
}

impl ActivityProbe {
    /// Connects to the server. `session_name` is the name of the observed sessions.
    pub async fn connect(url: &str, session_name: &str) -> Result<Self, sqlx::Error> {
        let options = PgConnectOptions::from_str(url)?.application_name(&format!("watch of {session_name}"));
        let mut connection = options.disable_statement_logging().connect().await?;
        // If the user is set to another role, that role may not see what the user's other sessions do.
        connection.execute("set role none").await?;
        Ok(Self { connection, application_name: session_name.to_owned() })
    }

    /// Returns the median round-trip time of an empty statement.
    pub async fn measure_round_trip(&mut self) -> Result<Duration, sqlx::Error> {
        let mut times = Vec::with_capacity(ROUND_TRIPS);
        for _ in 0..ROUND_TRIPS {
            let begun = Instant::now();
            self.connection.execute("select 1").await?;
            times.push(begun.elapsed());
        }
        times.sort();
        Ok(times[ROUND_TRIPS / 2])
    }

    /// Returns true if the server runs on the machine that we connect from.
    pub async fn is_on_this_machine(&mut self) -> Result<bool, sqlx::Error> {
        let sql = "select coalesce(inet_server_addr() = inet_client_addr(), true)";
        sqlx::query_scalar(sql).fetch_one(&mut self.connection).await
    }

    /// Returns what the sessions do at this moment.
    pub async fn look(&mut self) -> Result<Sessions, sqlx::Error> {
        type Kind = (Option<String>, Option<String>, Option<String>, i64);
        let kinds: Vec<Kind> = sqlx::query_as(
            "select state, wait_event_type, wait_event, count(*) from pg_stat_activity
              where application_name = $1
              group by state, wait_event_type, wait_event",
        )
        .bind(&self.application_name)
        .fetch_all(&mut self.connection)
        .await?;
        let mut sessions = Sessions::default();
        for (state, wait_type, wait, count) in kinds {
            sessions.count(state.as_deref(), wait_type.as_deref(), wait.as_deref(), count.unsigned_abs());
        }
        Ok(sessions)
    }

    /// Reads the counters. The server adds what a session did when that session ends, at the latest.
    pub async fn read_wal(&mut self) -> Result<WalCounters, sqlx::Error> {
        let (position, row, is_timed): (i64, String, bool) = sqlx::query_as(
            "select (pg_current_wal_insert_lsn() - '0/0')::bigint, to_jsonb(w)::text,
                    current_setting('track_wal_io_timing')::boolean
               from pg_stat_wal w",
        )
        .fetch_one(&mut self.connection)
        .await?;
        let row: WalRow = serde_json::from_str(&row).map_err(|error| sqlx::Error::Decode(Box::new(error)))?;
        Ok(WalCounters { position, flushes: row.wal_sync, flush_ms: row.wal_sync_time.filter(|_| is_timed) })
    }

    pub async fn close(self) {
        // All results were received: an error here does not matter.
        let _closed = self.connection.close().await;
    }
}
