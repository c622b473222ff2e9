//! Errors of a store, and which of them may be retried.

use std::io::ErrorKind;

use sqlx::error::DatabaseError;
use strum::IntoStaticStr;

use crate::connection::schema::SchemaError;
use codemint_codes::text::plural;
use codemint_telemetry::failpoint;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error(transparent)]
    Schema(#[from] SchemaError),
    #[error("the server at {place} cannot be reached: {}; check that it runs, and store.url", reason(source))]
    Unreachable { place: String, source: sqlx::Error },
    #[error("{place} cannot be opened: {}", reason(source))]
    NotOpened { place: String, source: sqlx::Error },
    #[error("the server at {place} is a pgbouncer; set store.pgbouncer to true")]
    IsPgbouncer { place: String },
    #[error(
        "TLS with the server at {place} fails: {}; give the server a certificate of X.509 version 3, or set sslmode=prefer, which falls back to a connection without TLS",
        reason(source)
    )]
    Tls { place: String, source: sqlx::Error },
    #[error(
        "the codes of this store are distributed over nodes, to which the coordinator connects as the role {role}, and that role may not log in; use a user who keeps its own role: a member of {role} without `alter role ... set role`"
    )]
    RoleWithoutLogin { role: String },
    #[error("the store's file {file} cannot be opened: {problem}")]
    File { file: String, problem: String },
    #[error("the store's file {file} is read-only; to change it, make it and its directory writable")]
    ReadOnly { file: String },
    #[error(
        "the store's file {file} was moved or removed while it was in use; what was written is in the moved file; put it back, or start again"
    )]
    Moved { file: String },
    #[error("the store reports: {}", reason(.0))]
    Database(#[from] sqlx::Error),
    #[error("the store has not answered for {seconds} s")]
    Silent { seconds: u64 },
    /// A statement did not do what makes its transaction true. Nothing was committed.
    #[error("{statement} changed {changed} {} instead of {expected}", plural(*changed, "row"))]
    RowCount { statement: &'static str, changed: u64, expected: u64 },
    #[error("the table {table} has an invalid row: {problem}")]
    Corrupt { table: &'static str, problem: String },
    /// Nothing was committed.
    #[error("the limit of issued codes of the campaign allows {left} more")]
    IssueLimit { left: u64 },
    /// Only in an import.
    #[error("the sorted codes cannot be read from their temporary file: {0}")]
    Input(#[source] std::io::Error),
    #[error("the operating system provided no random bytes: {0}")]
    Entropy(#[from] getrandom::Error),
}

/// Returns the database's message, without its source line and without details, which may hold codes.
fn reason(error: &sqlx::Error) -> String {
    let Some(database) = error.as_database_error() else { return error.to_string() };
    let message = database.message();
    if is_refused_by_node(database) {
        return format!("{message}; let this role log in at each node, as docs/citus.md describes");
    }
    if is_denied(database) {
        return format!("{message}; deploy/postgres/roles.sql says which role may do what: use a user with that role");
    }
    if is_wrong_password(database) {
        return format!("{message}; check the user and the password in store.url or the file of store.url_file");
    }
    message.to_owned()
}

fn is_wrong_password(error: &dyn DatabaseError) -> bool {
    error.code().as_deref() == Some("28P01")
}

fn is_denied(error: &dyn DatabaseError) -> bool {
    error.code().as_deref() == Some("42501")
}

/// The reaction to an error of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum ErrorClass {
    /// The server is away or restarting: wait and retry.
    Away,
    /// Another writer was in the way: retry.
    Conflict,
    /// The server names no cause, as a coordinator does for what fails at its nodes: retry, but not forever.
    Unclear,
    /// The disk is full: wait, and report it.
    NoSpace,
    /// A retry would fail in the same way.
    Permanent,
}

impl StoreError {
    /// Returns true if the store is a read-only copy, or a server that is becoming the primary one.
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::Database(sqlx::Error::Database(error)) => error.code().as_deref() == Some("25006"),
            Self::ReadOnly { .. } => true,
            _ => false,
        }
    }

    /// Returns true if the database user lacks a right.
    pub fn is_denied(&self) -> bool {
        matches!(self, Self::Database(sqlx::Error::Database(error)) if is_denied(&**error))
    }

    /// Returns why the store rejects what it is asked to store, without what may hold a code; `None` for an error that says
    /// nothing about the request: about the server, its space, rights or the schema.
    pub fn rejection(&self) -> Option<String> {
        let Self::Database(sqlx::Error::Database(error)) = self else { return None };
        let code = error.code()?;
        match error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
            // The messages of this class repeat the value.
            Some(_) if code.starts_with("22") => Some(format!("a value is invalid (SQLSTATE {code})")),
            Some(_) => rejects_row(&code).then(|| format!("{} (SQLSTATE {code})", error.message())),
            None => rejects_row_in_sqlite(&code).then(|| error.message().to_owned()),
        }
    }

    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable { .. } | Self::Silent { .. } => ErrorClass::Away,
            Self::Database(error) | Self::NotOpened { source: error, .. } => classify(error),
            _ => ErrorClass::Permanent,
        }
    }

    /// Returns true for temporary errors; a retry after any other error would fail again.
    pub fn is_retryable(&self) -> bool {
        self.class() != ErrorClass::Permanent
    }
}

/// What the driver reports if the server closes a connection, as in a crash, before it has said whether it speaks TLS: the byte
/// that never arrived is read as 0.
const CLOSED_BEFORE_TLS: &str = "unexpected response from SSLRequest: 0x00";

/// Decides about retries. `Tls` and `Configuration` errors stay permanent: they mean that something is set up wrong.
pub fn classify(error: &sqlx::Error) -> ErrorClass {
    match error {
        // A rejected certificate arrives as this kind.
        sqlx::Error::Io(io) if io.kind() == ErrorKind::InvalidData => ErrorClass::Permanent,
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::WorkerCrashed => ErrorClass::Away,
        sqlx::Error::Protocol(problem) if problem.contains(CLOSED_BEFORE_TLS) => ErrorClass::Away,
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            match database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>() {
                Some(_) if is_refused_by_node(&**database) => ErrorClass::Permanent,
                Some(_) => classify_sqlstate(&code),
                None => classify_sqlite(&code),
            }
        }
        _ => ErrorClass::Permanent,
    }
}

/// Classifies an error by SQLSTATE, <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
fn classify_sqlstate(code: &str) -> ErrorClass {
    match code {
        // Connection failures; shutdown, crash and start of the server; too many connections; a standby; our timeouts.
        _ if code.starts_with("08") => ErrorClass::Away,
        "57P01" | "57P02" | "57P03" | "57P05" | "53300" | "25006" | "57014" | "25P03" => ErrorClass::Away,
        // Serialization failure, deadlock, lock timeout.
        "40001" | "40P01" | "55P03" => ErrorClass::Conflict,
        // Disk full, out of memory.
        "53100" | "53200" => ErrorClass::NoSpace,
        // Internal error, I/O error: a coordinator reports so that rows could not be written at a node, whatever the reason.
        "XX000" | "58030" => ErrorClass::Unclear,
        _ => ErrorClass::Permanent,
    }
}

/// Returns true if a node refuses the coordinator's connection as this role. The coordinator reports it with the code of
/// a node that is away; only the words of the node differ. In another language than English this is
/// taken for an outage, and the wait for it names the reason.
fn is_refused_by_node(error: &dyn DatabaseError) -> bool {
    const REFUSALS: [&str; 5] = [
        "is not permitted to log in",
        "authentication failed",
        "no pg_hba.conf entry",
        "no password supplied",
        "permission denied for database",
    ];
    let names_a_role = |message: &str| message.contains("role \"") && message.contains("does not exist");
    error.code().is_some_and(|code| code.starts_with("08"))
        && (REFUSALS.iter().any(|refusal| error.message().contains(refusal)) || names_a_role(error.message()))
}

/// Returns true for violated constraints and check options, exceeded limits of the program, and errors raised by a trigger.
fn rejects_row(code: &str) -> bool {
    ["23", "44", "54"].iter().any(|class| code.starts_with(class)) || code == "P0001"
}

/// Returns true for `SQLITE_TOOBIG`, `SQLITE_CONSTRAINT`, which triggers raise too, and `SQLITE_MISMATCH`.
fn rejects_row_in_sqlite(code: &str) -> bool {
    matches!(code.parse::<i32>().map(|code| code & 0xff), Ok(18..=20))
}

/// Classifies an error by result code, <https://www.sqlite.org/rescode.html>; the primary code is the low byte.
fn classify_sqlite(code: &str) -> ErrorClass {
    match code.parse::<i32>().map(|code| code & 0xff) {
        // SQLITE_BUSY, SQLITE_LOCKED
        Ok(5 | 6) => ErrorClass::Conflict,
        // SQLITE_FULL
        Ok(13) => ErrorClass::NoSpace,
        _ => ErrorClass::Permanent,
    }
}

/// Reaches a failpoint, which fails like a broken connection.
pub(crate) async fn reach(point: &'static str) -> Result<(), StoreError> {
    Ok(failpoint::reach(point).await.map_err(sqlx::Error::Io)?)
}

/// Returns true if the error reports a key that exists already.
pub(crate) fn is_duplicate(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database) if database.is_unique_violation())
}

/// # Errors
/// `RowCount` unless exactly the expected number of rows was changed.
pub(crate) fn require_rows(statement: &'static str, changed: u64, expected: u64) -> Result<(), StoreError> {
    if changed == expected { Ok(()) } else { Err(StoreError::RowCount { statement, changed, expected }) }
}
