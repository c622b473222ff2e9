//! Connections to an embedded SQLite file: one writer, several readers, write-ahead log.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection, Sqlite, Transaction};

use crate::connection::error::{ErrorClass, StoreError, classify};
use crate::connection::schema::{self, SchemaError, SchemaStatus};
use crate::connection::sqlite_file::{StoreFile, check_place, is_archive, make_private, require_complete};

/// "CMNT", set by the first migration.
const APPLICATION_ID: i64 = 0x434d_4e54;
/// How long SQLite itself waits for a lock; after that the program tries again.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const READERS_MAX: u32 = 4;
/// The page size of a new file. Inserts are an eighth faster than with 4096, SQLite's own; larger pages gain nothing.
const PAGE_BYTES: u32 = 16_384;

/// How long closing waits for other processes, before the file stays as it is, with the log beside it.
const COMPLETE_TIMEOUT: Duration = Duration::from_secs(1);

/// Between two looks at connections that are still being given back.
const CLOSE_PAUSE: Duration = Duration::from_millis(1);

/// The connection pools of one file.
#[derive(Clone, Debug)]
pub struct SqliteStore {
    pub(crate) file: StoreFile,
    /// `None` for a file that must not change.
    writer: Option<SqlitePool>,
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

/// Opens the file, creates it if `create` is set, and upgrades its schema. A file that must not change is only read.
pub(crate) async fn open(file: &Path, create: bool) -> Result<SqliteStore, StoreError> {
    check_place(file)?;
    if is_archive(file) {
        return open_archive(file).await;
    }
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
    Ok(SqliteStore { file: StoreFile::opened(file)?, writer: Some(writer), readers })
}

async fn open_archive(file: &Path) -> Result<SqliteStore, StoreError> {
    require_complete(file)?;
    let options = archive_options(file);
    let mut connection = connect(&options, file).await?;
    schema_status(&mut connection).await?.require_usable()?;
    connection.close().await?;
    let readers = SqlitePoolOptions::new().max_connections(READERS_MAX).connect_lazy_with(options);
    Ok(SqliteStore { file: StoreFile::opened(file)?, writer: None, readers })
}

/// Without locks and logs, which SQLite could not write there.
fn archive_options(file: &Path) -> SqliteConnectOptions {
    options(file, false).read_only(true).immutable(true)
}

/// Closes all connections. sqlx's own `close` can end while a connection that is just being given back stays open; then the
/// log would stay beside the file (<https://github.com/launchbadge/sqlx/issues/3217>).
async fn close_pool(pool: &SqlitePool) {
    pool.close().await;
    while pool.size() > 0 {
        tokio::time::sleep(CLOSE_PAUSE).await;
        pool.close().await;
    }
}

async fn can_begin(connection: &mut SqliteConnection) -> bool {
    match connection.begin_with("begin").await {
        Ok(transaction) => transaction.rollback().await.is_ok(),
        Err(_) => false,
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
    ///
    /// # Errors
    /// `ReadOnly` and `Moved`
    pub(crate) async fn begin_writing(&self) -> Result<Transaction<'static, Sqlite>, StoreError> {
        let Some(writer) = &self.writer else {
            return Err(StoreError::ReadOnly { file: self.file.path().display().to_string() });
        };
        self.file.begin_writing()?;
        Ok(writer.begin_with("begin immediate").await?)
    }

    /// Returns true for a file that must not change.
    pub(crate) fn is_archive(&self) -> bool {
        self.writer.is_none()
    }

    /// Closes all connections. If this process has written, the file is then complete without the log beside it, unless
    /// other processes are using it.
    ///
    /// # Errors
    /// `Moved`
    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        close_pool(&self.readers).await;
        if let Some(writer) = &self.writer {
            if self.file.is_written() && self.file.require_in_place().is_err() {
                self.complete_elsewhere(writer).await;
            }
            close_pool(writer).await;
        }
        if !self.file.is_written() {
            return Ok(());
        }
        self.file.require_in_place()?;
        if let Err(error) = self.complete().await {
            let file = self.file.path().display();
            tracing::warn!(%error, "the latest changes are in {file}-wal; copy it together with {file}");
        }
        Ok(())
    }

    /// Moves all changes from the log into the file that was moved, which only an open connection still reaches: a log
    /// that is left behind would be taken for that of the next file in its place.
    async fn complete_elsewhere(&self, writer: &SqlitePool) {
        if let Err(error) = sqlx::query("pragma wal_checkpoint(truncate)").execute(writer).await {
            let file = self.file.path().display();
            tracing::warn!(%error, "the latest changes are in {file}-wal; move it beside the moved file, under its name");
        }
    }

    /// Moves all changes from the log into the file.
    async fn complete(&self) -> Result<(), StoreError> {
        let path = self.file.path();
        let mut connection = connect(&options(path, false).busy_timeout(COMPLETE_TIMEOUT), path).await?;
        sqlx::query("pragma wal_checkpoint(truncate)").execute(&mut connection).await?;
        Ok(connection.close().await?)
    }

    /// Writes a copy of the store, as it is at this moment, into an empty file; others may go on writing meanwhile.
    pub(crate) async fn copy_into(&self, target: &str) -> Result<(), StoreError> {
        sqlx::query("vacuum into $1").bind(target).execute(&self.readers).await?;
        Ok(())
    }
}

/// Returns the status of the schema and changes nothing.
pub(crate) async fn check_schema(file: &Path) -> Result<SchemaStatus, StoreError> {
    let options = if is_archive(file) { archive_options(file) } else { options(file, false) };
    let mut connection = connect(&options, file).await?;
    let status = schema_status(&mut connection).await?;
    connection.close().await?;
    Ok(status)
}
