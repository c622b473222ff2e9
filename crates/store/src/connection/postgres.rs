//! Connections to a PostgreSQL server, directly or through pgbouncer.

use std::sync::Arc;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use sqlx::migrate::AppliedMigration;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, Executor, Row};
use tokio::time::Instant;

use crate::connection::cluster;
use crate::connection::error::{ErrorClass, StoreError, classify};
use crate::connection::postgres_transaction::{Begin, PostgresStore, Route, TIMEOUTS};
use crate::connection::schema::{self, SchemaError, SchemaStatus};
use crate::connection::watch::Watch;
use crate::records::actor::hostname;

/// A server that does not answer for this long at the start is reported as unreachable.
const FIRST_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection that idled this long is tested before it is used.
const TESTED_AFTER_IDLE: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Keepalives of the connection that the server sees; behind pgbouncer that connection is not ours.
const KEEPALIVES: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "15"), ("tcp_keepalives_interval", "5"), ("tcp_keepalives_count", "3")];

/// Makes the coordinator of a Citus cluster carry out what creates or changes tables by itself: the tables of migrations
/// are there, and the owner of the schema need not exist at the nodes. A migration of `codes`, which may be distributed,
/// must set this to `on`. Other servers ignore it.
pub const AT_COORDINATOR_ONLY: [(&str, &str); 1] = [("citus.enable_ddl_propagation", "off")];

/// The address of a server, and how to connect to it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Address<'a> {
    pub options: &'a PgConnectOptions,
    pub route: Route,
    pub connections_max: u32,
    /// The address in a form that may be shown.
    pub place: &'a str,
}

impl Address<'_> {
    /// Waits for the server, at most [`FIRST_CONNECT_TIMEOUT`]. A server that refuses the connection is not retried. The
    /// options change as in [`connect`].
    async fn connect_first(&self, options: &mut PgConnectOptions) -> Result<PgConnection, StoreError> {
        let place = || self.place.to_owned();
        let deadline = Instant::now() + FIRST_CONNECT_TIMEOUT;
        let mut delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(1))
            .without_max_times()
            .build();
        loop {
            let source = match tokio::time::timeout_at(deadline, connect(options)).await {
                Ok(Ok(connection)) => return Ok(connection),
                Ok(Err(error)) if self.route == Route::Direct && is_refusal_of_pgbouncer(&error) => {
                    return Err(StoreError::IsPgbouncer { place: place() });
                }
                Ok(Err(error))
                    if is_failed_handshake(&error) && matches!(options.get_ssl_mode(), PgSslMode::Require) =>
                {
                    return Err(StoreError::Tls { place: place(), source: error });
                }
                Ok(Err(error)) if classify(&error) == ErrorClass::Permanent => {
                    return Err(StoreError::NotOpened { place: place(), source: error });
                }
                Ok(Err(error)) => error,
                Err(_elapsed) => sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()),
            };
            let delay = delays.next().unwrap_or_default();
            if Instant::now() + delay >= deadline {
                return Err(StoreError::Unreachable { place: place(), source });
            }
            tokio::time::sleep(delay).await;
        }
    }

    fn session_options(&self) -> PgConnectOptions {
        let options = self.options.clone().application_name(&application_name()).disable_statement_logging();
        match self.route {
            Route::Direct => options.options(TIMEOUTS).options(KEEPALIVES),
            // Pgbouncer rejects parameters that it cannot carry from one session of the server to another.
            Route::Pgbouncer => options.extra_float_digits(None),
        }
    }

    /// Opens a connection of its own, for a single task.
    pub async fn connect(&self) -> Result<PgConnection, StoreError> {
        self.connect_first(&mut self.session_options()).await
    }

    /// Connects and checks the schema, while the first connection of the pool is being opened.
    pub async fn open(&self) -> Result<PostgresStore, StoreError> {
        let route = self.route;
        let (mut options, name) = (self.session_options(), application_name());
        let mut connection = self.connect_first(&mut options).await?;
        let is_distributed = cluster::is_distributed(&mut connection).await?;
        let watch = (route == Route::Direct).then(|| Arc::new(Watch::new(&options, &name, is_distributed)));
        let pool = PgPoolOptions::new()
            .max_connections(self.connections_max)
            .acquire_timeout(CONNECT_TIMEOUT)
            // A test would be a round trip each time. A connection that was just in use most likely works, and if not,
            // its first statement fails. Through pgbouncer the test would wait for a session of the server.
            .test_before_acquire(false)
            .before_acquire(move |connection, used| Box::pin(is_usable(connection, route, used.idle_for)));
        let pool = pool.connect_lazy_with(options.application_name(&name));
        let store = PostgresStore { pool, route, watch, is_distributed };
        // Not earlier: if the server allows one connection, the pool must not take it before the schema is read.
        store.connect_ahead(1);
        self.schema_status_and_close(connection).await?.require_usable_and_log()?;
        Ok(store)
    }

    /// Returns the status of the schema and changes nothing.
    pub async fn check_schema(&self) -> Result<SchemaStatus, StoreError> {
        let connection = self.connect().await?;
        self.schema_status_and_close(connection).await
    }

    async fn schema_status_and_close(&self, mut connection: PgConnection) -> Result<SchemaStatus, StoreError> {
        let status = self.schema_status(&mut connection).await?;
        connection.close().await?;
        Ok(status)
    }

    /// Creates or upgrades the schema over a connection of its own: the migrator holds a session lock, so several
    /// migrations may be started at once.
    pub async fn migrate(&self) -> Result<SchemaStatus, StoreError> {
        let mut options = match self.route {
            // A migration may take longer than our sessions may.
            Route::Direct => self.options.clone().disable_statement_logging().options(AT_COORDINATOR_ONLY),
            Route::Pgbouncer => self.session_options(),
        };
        let mut connection = self.connect_first(&mut options).await?;
        let mut status = self.schema_status(&mut connection).await?;
        if !status.is_usable() {
            if self.route == Route::Pgbouncer {
                return Err(SchemaError::ThroughPgbouncer.into());
            }
            schema::POSTGRES.run(&mut connection).await.map_err(SchemaError::from)?;
            status = self.schema_status(&mut connection).await?;
        }
        connection.close().await?;
        Ok(status)
    }

    async fn schema_status(&self, connection: &mut PgConnection) -> Result<SchemaStatus, StoreError> {
        let mut transaction = connection.begin_with(Begin::READING.message(self.route)).await?;
        let status = schema_status_in(&mut transaction).await?;
        transaction.commit().await?;
        Ok(status)
    }
}

impl PostgresStore {
    pub(crate) async fn schema_status(&self) -> Result<SchemaStatus, StoreError> {
        let mut transaction = self.begin(Begin::READING).await?;
        let status = transaction.with_connection(schema_status_in).await?;
        transaction.rollback().await?;
        Ok(status)
    }
}

/// Reads the status without the migrator, whose queries are prepared under names.
async fn schema_status_in(connection: &mut PgConnection) -> Result<SchemaStatus, StoreError> {
    const DATABASE: &str = "
        select to_regclass('_sqlx_migrations') is not null, to_regclass('schema_compatibility') is not null,
               current_setting('server_encoding')";
    let database = connection.fetch_one(DATABASE).await?;
    let (is_migrated, has_compatibility): (bool, bool) = (database.try_get(0)?, database.try_get(1)?);
    let encoding: String = database.try_get(2)?;
    if encoding != "UTF8" {
        return Err(SchemaError::Encoding(encoding).into());
    }
    let mut applied = Vec::new();
    if is_migrated {
        let sql = "select version, checksum, success from _sqlx_migrations order by version";
        for row in connection.fetch_all(sql).await? {
            let version = row.try_get("version")?;
            if !row.try_get::<bool, _>("success")? {
                return Err(SchemaError::Dirty(version).into());
            }
            let checksum: Vec<u8> = row.try_get("checksum")?;
            applied.push(AppliedMigration { version, checksum: checksum.into() });
        }
    }
    let mut programs_from = None;
    // Read only where it matters: a role that may not read it yet works as before.
    if has_compatibility && schema::is_newer(&schema::POSTGRES, &applied) {
        let row = connection.fetch_optional(schema::PROGRAMS_FROM).await?;
        programs_from = row.map(|row| row.try_get(0)).transpose()?;
    }
    Ok(schema::compare(&schema::POSTGRES, &applied, programs_from)?)
}

/// Returns a name that shows a server's operator which process of which machine owns a session, and us which are ours.
fn application_name() -> String {
    // The server cuts names off at 63 bytes.
    let host: String = hostname().chars().take(24).collect();
    let number = getrandom::u32().unwrap_or_default();
    format!("codemint pid {} {host} {number:08x}", std::process::id())
}

/// Tests a connection that was not used for a while: the server may have been restarted since.
async fn is_usable(connection: &mut PgConnection, route: Route, idle_for: Duration) -> Result<bool, sqlx::Error> {
    if route == Route::Direct && idle_for >= TESTED_AFTER_IDLE {
        connection.ping().await?;
    }
    Ok(true)
}

/// Connects. If the server's certificate cannot be used, which the mode `prefer` does not verify, the connection is made
/// without TLS, as libpq does, and the options are changed for further ones.
pub async fn connect(options: &mut PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    match options.connect().await {
        Err(error) if is_failed_handshake(&error) && matches!(options.get_ssl_mode(), PgSslMode::Prefer) => {
            tracing::warn!(%error, "TLS with the server fails; connecting without it, as sslmode=prefer allows");
            *options = options.clone().ssl_mode(PgSslMode::Disable);
            options.connect().await
        }
        connected => connected,
    }
}

/// Returns true if the server agreed to TLS and then failed at it, as with a certificate that cannot be read.
fn is_failed_handshake(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Io(io) if io.kind() == std::io::ErrorKind::InvalidData)
}

/// Recognizes pgbouncer by its error for a client that takes it for a server; a server knows every parameter of ours.
fn is_refusal_of_pgbouncer(error: &sqlx::Error) -> bool {
    error.as_database_error().is_some_and(|error| error.message().starts_with("unsupported startup parameter"))
}
