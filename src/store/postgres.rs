//! Connections to a PostgreSQL server.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use tokio::time::Instant;

use crate::store::error::{ErrorClass, StoreError, classify};
use crate::store::schema::{self, SchemaStatus};

/// A server that does not answer for this long at the start is reported as not reachable.
const FIRST_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const POOL_CONNECTIONS_MAX: u32 = 8;

/// What every session asks of the server: nothing may wait or idle for ever, and a client that is gone is noticed.
/// A chunk of the largest size takes seconds; the timeouts leave a slow server twenty times that.
const SESSION_SETTINGS: [(&str, &str); 7] = [
    ("lock_timeout", "30s"),
    ("statement_timeout", "300s"),
    ("idle_in_transaction_session_timeout", "60s"),
    ("client_connection_check_interval", "10s"),
    ("tcp_keepalives_idle", "15"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

/// Waits for the server, at most [`FIRST_CONNECT_TIMEOUT`]. A server that answers with a refusal is not waited for.
async fn connect_first(options: &PgConnectOptions, place: &str) -> Result<PgConnection, StoreError> {
    let deadline = Instant::now() + FIRST_CONNECT_TIMEOUT;
    let mut delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(1))
        .without_max_times()
        .build();
    loop {
        let source = match tokio::time::timeout_at(deadline, options.connect()).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) if classify(&error) == ErrorClass::Permanent => {
                return Err(StoreError::NotOpened { place: place.to_owned(), source: error });
            }
            Ok(Err(error)) => error,
            Err(_elapsed) => sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()),
        };
        let delay = delays.next().unwrap_or_default();
        if Instant::now() + delay >= deadline {
            return Err(StoreError::Unreachable { place: place.to_owned(), source });
        }
        tokio::time::sleep(delay).await;
    }
}

fn session_options(options: &PgConnectOptions) -> PgConnectOptions {
    let name = format!("codemint pid {}", std::process::id());
    options.clone().application_name(&name).options(SESSION_SETTINGS).disable_statement_logging()
}

/// Connects and checks the schema.
pub(crate) async fn open(options: &PgConnectOptions, place: &str) -> Result<PgPool, StoreError> {
    let options = session_options(options);
    let mut first = connect_first(&options, place).await?;
    schema_status(&mut first).await?.require_current()?;
    first.close().await?;
    let pool = PgPoolOptions::new().max_connections(POOL_CONNECTIONS_MAX).acquire_timeout(CONNECT_TIMEOUT);
    Ok(pool.connect_lazy_with(options))
}

async fn schema_status(connection: &mut PgConnection) -> Result<SchemaStatus, StoreError> {
    let exists: bool =
        sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null").fetch_one(&mut *connection).await?;
    Ok(schema::status(connection, &schema::POSTGRES, exists).await?)
}

/// Only says how the schema stands.
pub(crate) async fn check_schema(options: &PgConnectOptions, place: &str) -> Result<SchemaStatus, StoreError> {
    let mut connection = connect_first(&session_options(options), place).await?;
    let status = schema_status(&mut connection).await?;
    connection.close().await?;
    Ok(status)
}

/// Creates or upgrades the schema over a connection of its own: the migrator holds a session lock, so several may be
/// started at once.
pub(crate) async fn migrate(options: &PgConnectOptions, place: &str) -> Result<SchemaStatus, StoreError> {
    let mut connection = connect_first(&options.clone().disable_statement_logging(), place).await?;
    let mut status = schema_status(&mut connection).await?;
    if !matches!(status, SchemaStatus::Current { .. }) {
        schema::POSTGRES.run(&mut connection).await.map_err(schema::SchemaError::from)?;
        status = schema_status(&mut connection).await?;
    }
    connection.close().await?;
    Ok(status)
}
