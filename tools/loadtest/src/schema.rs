//! A schema of a PostgreSQL database that belongs to one load test: everything that the store reads and writes is found
//! in it by `search_path`, so other schemas are neither read nor changed.

use std::str::FromStr;
use std::time::Duration;

use codemint_store::connection::error::{ErrorClass, StoreError, classify};
use codemint_store::connection::location::Location;
use codemint_store::connection::postgres::{self, AT_COORDINATOR_ONLY};
use codemint_store::connection::store::Store;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use crate::failure::Failure;
use crate::text::say;

const PREFIX: &str = "codemint_loadtest_";
/// The schemas of load tests whose data this user may remove.
const LIST_SCHEMAS: &str = "
    select nspname::text from pg_namespace
     where nspname ~ '^codemint_loadtest_[0-9a-f]{16}$' and pg_has_role(nspowner, 'usage')
     order by nspname";
/// The SQLSTATE of a missing right.
const NO_RIGHT: &str = "42501";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between two checks whether the session with the lock still lives.
const HOLD_INTERVAL: Duration = Duration::from_secs(1);
/// The pause before the server is asked again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// The time after which the removal gives up on an unreachable server.
const REMOVED_WITHIN: Duration = Duration::from_secs(60);

/// A schema, and the session whose advisory lock shows that its load test is alive.
#[derive(Debug)]
pub struct Schema {
    id: u64,
    options: PgConnectOptions,
    /// The URL that leads to this schema.
    url: String,
    _holding: DropGuard,
}

impl Schema {
    /// Removes what killed load tests have left in the database, and creates an empty schema.
    ///
    /// # Errors
    /// `usage` if the user may not create a schema, or if the connection loses the search path.
    pub async fn create(url: &str, quiet: bool) -> Result<Self, Failure> {
        let id = getrandom::u64().map_err(Failure::other)?;
        let url_of_schema = with_search_path(url, &name(id))?;
        let location: Location = url_of_schema.parse().map_err(|error| Failure::usage(format!("--store: {error}")))?;
        // Reports what is wrong with the address. In a schema that does not exist yet there is nothing else to find.
        Store::check_schema(&location).await?;
        let options = options(&url_of_schema)?;
        let mut connection = connect(&options).await.map_err(failure)?;
        remove_leftovers(&mut connection, quiet).await.map_err(failure)?;
        // In this order, no other load test ever finds the schema without the lock.
        lock(&mut connection, id).await.map_err(failure)?;
        create(&mut connection, id).await?;
        let holding = CancellationToken::new();
        tokio::spawn(hold(connection, options.clone(), id, holding.clone()));
        Ok(Self { id, options, url: url_of_schema, _holding: holding.drop_guard() })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Drops the schema in any case: waits for an unreachable server, and ignores interrupts.
    ///
    /// # Errors
    /// If the server refuses, or does not answer for [`REMOVED_WITHIN`].
    pub async fn remove(&self) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            match drop_schema(&self.options, self.id).await {
                Err(error) if classify(&error) != ErrorClass::Permanent && begun.elapsed() < REMOVED_WITHIN => {
                    sleep(RETRY_PAUSE).await;
                }
                removed => return removed.map_err(failure),
            }
        }
    }
}

fn name(id: u64) -> String {
    format!("{PREFIX}{id:016x}")
}

fn id_of(name: &str) -> Option<u64> {
    u64::from_str_radix(name.strip_prefix(PREFIX)?, 16).ok()
}

/// Returns the URL whose sessions find tables in this schema alone. The last one of several options counts.
fn with_search_path(url: &str, schema: &str) -> Result<String, Failure> {
    let mut url = Url::parse(url).map_err(|error| Failure::usage(format!("--store is not a URL: {error}")))?;
    url.query_pairs_mut().append_pair("options", &format!("-csearch_path={schema}"));
    Ok(url.into())
}

fn options(url: &str) -> Result<PgConnectOptions, Failure> {
    let options = PgConnectOptions::from_str(url).map_err(|error| Failure::usage(format!("--store: {error}")))?;
    Ok(options.application_name("codemint-loadtest").options(AT_COORDINATOR_ONLY).disable_statement_logging())
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let mut options = options.clone();
    let connected = timeout(CONNECT_TIMEOUT, postgres::connect(&mut options)).await;
    connected.unwrap_or_else(|_elapsed| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

async fn create(connection: &mut PgConnection, id: u64) -> Result<(), Failure> {
    let created = connection.execute(format!("create schema {}", name(id)).as_str()).await;
    created.map_err(|error| match error.as_database_error().and_then(|error| error.code()) {
        Some(code) if code == NO_RIGHT => Failure::usage(StoreError::from(error)).with_hint(
            "a load test needs a schema of its own: `grant create on database NAME to USER`, see docs/loadtest.md",
        ),
        _ => failure(error),
    })?;
    // A pgbouncer may be set to ignore the options of a connection: then the tables of a real store would be used.
    let current: Option<String> =
        sqlx::query_scalar("select current_schema()::text").fetch_one(&mut *connection).await.map_err(failure)?;
    if current.is_some_and(|current| current == name(id)) {
        return Ok(());
    }
    drop_now(connection, id).await.map_err(failure)?;
    Err(Failure::usage("--store: the connection ignores the parameter options; name the server, not a pgbouncer"))
}

/// Takes the lock that shows that the load test of this schema is alive. It lasts as long as the session.
async fn lock(connection: &mut PgConnection, id: u64) -> Result<(), sqlx::Error> {
    // The session does nothing else for a long time, and a server may be set to end such sessions.
    connection.execute("set idle_session_timeout = 0").await?;
    sqlx::query("select pg_advisory_lock($1)").bind(id.cast_signed()).execute(connection).await?;
    Ok(())
}

/// Keeps the lock until the load test ends, over all restarts of the server. If another load test finds the schema
/// between such a restart and the new lock, it removes it, and this one fails.
async fn hold(connection: PgConnection, options: PgConnectOptions, id: u64, holding: CancellationToken) {
    let mut held = Some(connection);
    while !holding.is_cancelled() {
        let is_held = match &mut held {
            Some(connection) => connection.ping().await.is_ok(),
            None => false,
        };
        if !is_held {
            held = relock(&options, id).await.ok();
        }
        let pause = if held.is_some() { HOLD_INTERVAL } else { RETRY_PAUSE };
        tokio::select! {
            () = sleep(pause) => {}
            () = holding.cancelled() => {}
        }
    }
}

async fn relock(options: &PgConnectOptions, id: u64) -> Result<PgConnection, sqlx::Error> {
    let mut connection = connect(options).await?;
    lock(&mut connection, id).await?;
    Ok(connection)
}

async fn drop_schema(options: &PgConnectOptions, id: u64) -> Result<(), sqlx::Error> {
    let mut connection = connect(options).await?;
    drop_now(&mut connection, id).await?;
    connection.close().await
}

async fn drop_now(connection: &mut PgConnection, id: u64) -> Result<(), sqlx::Error> {
    connection.execute(format!("drop schema if exists {} cascade", name(id)).as_str()).await?;
    Ok(())
}

/// Drops the schemas of load tests whose session is gone.
async fn remove_leftovers(connection: &mut PgConnection, quiet: bool) -> Result<(), sqlx::Error> {
    let schemas: Vec<String> = sqlx::query_scalar(LIST_SCHEMAS).fetch_all(&mut *connection).await?;
    for id in schemas.iter().filter_map(|schema| id_of(schema)) {
        let locked = sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(id.cast_signed());
        if !locked.fetch_one(&mut *connection).await? {
            continue;
        }
        drop_now(connection, id).await?;
        sqlx::query("select pg_advisory_unlock($1)").bind(id.cast_signed()).execute(&mut *connection).await?;
        if !quiet {
            say(&format!("note: removed the schema {} that a killed load test had left", name(id)));
        }
    }
    Ok(())
}

fn failure(error: sqlx::Error) -> Failure {
    StoreError::from(error).into()
}
