//! Connections to an embedded SQLite file: one writer, several readers, write-ahead log.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Sqlite, Transaction};

use crate::connection::error::{ErrorClass, StoreError, classify};
use crate::connection::schema::{self, SchemaError, SchemaStatus};

/// "CMNT", set by the first migration.
const APPLICATION_ID: i64 = 0x434d_4e54;
/// How long SQLite itself waits for a lock; after that the program tries again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS_MAX: u32 = 4;
/// The page size of a new file. Inserts are an eighth faster than with 4096, SQLite's own; larger pages gain nothing.
const PAGE_BYTES: u32 = 16_384;

/// The connection pools of one file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    pub(crate) writer: SqlitePool,
    pub(crate) readers: SqlitePool,
}

fn options(file: &Path, create: bool) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(create)
        .page_size(PAGE_BYTES)
        // A power cut must not lose a code that was handed out: it would be minted again.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY_TIMEOUT)
        .disable_statement_logging()
}

/// Opens the file, creates it if `create` is set, and upgrades its schema.
pub(crate) async fn open(file: &Path, create: bool) -> Result<SqliteStore, StoreError> {
    check_place(file)?;
    if create {
        make_private(file)?;
    }
    let mut connection = connect(&options(file, create), file).await?;
    // Checked before anything is changed: the journal mode stays with a file, also with one of another application.
    wait_while_busy(&mut connection, async |connection| schema_status(connection).await).await?;
    connection.close().await?;
    let options = options(file, create).journal_mode(SqliteJournalMode::Wal);
    let mut connection = connect(&options, file).await?;
    wait_while_busy(&mut connection, async |connection| upgrade(connection).await).await?;
    connection.close().await?;
    // Connections are opened one by one here: of two that create the log at the same moment, one would find it locked.
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        // After a failed COMMIT, as on a full disk, the driver still counts a transaction that no longer exists.
        .after_release(|connection, _| Box::pin(async { Ok(can_begin(connection).await) }))
        .connect_lazy_with(options.clone());
    let readers = SqlitePoolOptions::new().max_connections(READERS_MAX).connect_lazy_with(options);
    Ok(SqliteStore { writer, readers })
}

/// Checks the path, because SQLite would only report "unable to open database file".
fn check_place(file: &Path) -> Result<(), StoreError> {
    let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let problem = match directory {
        _ if file.is_dir() => "it is a directory; name a file in it".to_owned(),
        Some(directory) if !directory.is_dir() => {
            format!("there is no directory {}; create it or name another file", directory.display())
        }
        _ => return Ok(()),
    };
    Err(StoreError::File { file: file.display().to_string(), problem })
}

async fn can_begin(connection: &mut SqliteConnection) -> bool {
    match connection.begin_with("begin").await {
        Ok(transaction) => transaction.rollback().await.is_ok(),
        Err(_) => false,
    }
}

/// Creates a new file that only its owner can access: codes are worth money, and the key of an unfinished job reveals
/// all of its codes. SQLite gives its logs the same permissions.
fn make_private(file: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(file) {
        Ok(_empty) => Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(StoreError::File { file: file.display().to_string(), problem: error.to_string() }),
    }
}

async fn connect(options: &SqliteConnectOptions, file: &Path) -> Result<SqliteConnection, StoreError> {
    loop {
        match options.connect().await {
            Ok(connection) => return Ok(connection),
            Err(error) if classify(&error) == ErrorClass::Conflict => {
                tracing::info!(%error, "the store's file is busy; waiting");
            }
            Err(source) => {
                return Err(StoreError::NotOpened { place: format!("the store's file {}", file.display()), source });
            }
        }
    }
}

async fn wait_while_busy<T>(
    connection: &mut SqliteConnection,
    step: impl AsyncFn(&mut SqliteConnection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    loop {
        match step(connection).await {
            Err(error) if error.class() == ErrorClass::Conflict => {
                tracing::info!(%error, "the store's file is busy; waiting");
            }
            result => return result,
        }
    }
}

/// Runs the migrations inside one immediate transaction, because the migrator takes no lock on SQLite: if two processes
/// open a new file at once, the second finds the first one's work.
async fn upgrade(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let status = schema_status(connection).await?;
    if status.is_usable() {
        return Ok(status.require_usable_and_log()?);
    }
    let mut transaction = connection.begin_with("begin immediate").await?;
    schema::SQLITE.run(&mut *transaction).await.map_err(SchemaError::from)?;
    transaction.commit().await?;
    Ok(())
}

pub(crate) async fn schema_status(connection: &mut SqliteConnection) -> Result<SchemaStatus, StoreError> {
    const SQL: &str = "
        select count(*), coalesce(sum(name = '_sqlx_migrations'), 0) > 0, coalesce(sum(name = 'schema_compatibility'), 0) > 0,
               (select application_id from pragma_application_id)
          from sqlite_schema where type = 'table' and name not like 'sqlite\\_%' escape '\\'";
    let (tables, migrated, has_compatibility, application_id): (i64, bool, bool, i64) =
        sqlx::query_as(SQL).fetch_one(&mut *connection).await?;
    if tables > 0 && application_id != APPLICATION_ID {
        return Err(SchemaError::Foreign.into());
    }
    let applied = if migrated { schema::applied(connection).await? } else { Vec::new() };
    let mut programs_from = None;
    if has_compatibility && schema::is_newer(&schema::SQLITE, &applied) {
        programs_from = sqlx::query_scalar(schema::PROGRAMS_FROM).fetch_optional(&mut *connection).await?;
    }
    Ok(schema::compare(&schema::SQLITE, &applied, programs_from)?)
}

impl SqliteStore {
    /// Begins a transaction that writes from its start: a later upgrade to writing fails at once if another process has
    /// written. After waiting [`BUSY_TIMEOUT`] for other processes it fails with `Conflict`, so that the waiting
    /// process can be stopped.
    pub(crate) async fn begin_writing(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        Ok(self.writer.begin_with("begin immediate").await?)
    }
}

/// Returns the status of the schema and changes nothing.
pub(crate) async fn check_schema(file: &Path) -> Result<SchemaStatus, StoreError> {
    let mut connection = connect(&options(file, false), file).await?;
    let status = schema_status(&mut connection).await?;
    connection.close().await?;
    Ok(status)
}
