//! Statements that are written and bound once, for both databases.

use std::borrow::Cow;
use std::io::{self, Write};

use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::TryStreamExt;
use serde::Serialize;
use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgArguments, PgRow, PgTypeInfo, Postgres};
use sqlx::sqlite::{SqliteArgumentValue, SqliteArguments, SqliteRow, SqliteTypeInfo};
use sqlx::{Arguments, Either, Encode, Executor, FromRow, Sqlite, SqliteConnection, SqlitePool, Type};

use crate::connection::error::StoreError;
use crate::connection::postgres_transaction::{PostgresSession, PostgresStore};
use crate::connection::store::Store;
use crate::connection::time_limit::in_time;
use crate::connection::transaction::StoreTransaction;

/// A statement in PostgreSQL's dialect, with its values. [`translated`] lists what it may hold that SQLite writes
/// differently.
#[derive(Debug)]
pub struct Statement<'c, 'q> {
    sql: Cow<'q, str>,
    bound: Bound<'c, 'q>,
    /// The first value that could not be encoded.
    failed: Option<BoxDynError>,
    is_limited: bool,
}

#[derive(Debug)]
enum Bound<'c, 'q> {
    Postgres { by: PostgresExecutor<'c>, values: PgArguments },
    Sqlite { by: SqliteExecutor<'c>, values: SqliteArguments<'q> },
}

#[derive(Debug)]
enum PostgresExecutor<'c> {
    Store(&'c PostgresStore),
    Transaction(&'c mut PostgresSession),
}

#[derive(Debug)]
enum SqliteExecutor<'c> {
    Readers(&'c SqlitePool),
    Transaction(&'c mut SqliteConnection),
}

/// A value that both databases take.
pub trait Value<'q>: Encode<'q, Postgres> + Type<Postgres> + Encode<'q, Sqlite> + Type<Sqlite> + 'q {}

impl<'q, T> Value<'q> for T where T: Encode<'q, Postgres> + Type<Postgres> + Encode<'q, Sqlite> + Type<Sqlite> + 'q {}

/// A row that both databases return.
pub trait AnyRow: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send {}

impl<T> AnyRow for T where T: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send {}

enum Row {
    Postgres(PgRow),
    Sqlite(SqliteRow),
}

type OnRow<'a> = &'a mut (dyn FnMut(Row) -> Result<(), sqlx::Error> + Send);

impl Store {
    /// Returns a statement that is executed by itself. In SQLite it may only read.
    pub fn query<'q>(&self, sql: impl Into<Cow<'q, str>>) -> Statement<'_, 'q> {
        match self {
            Self::Postgres(store) => Statement::for_postgres(sql.into(), PostgresExecutor::Store(store)),
            Self::Sqlite(sqlite) => Statement::for_sqlite(&sql.into(), SqliteExecutor::Readers(&sqlite.readers)),
        }
    }
}

impl StoreTransaction {
    /// Returns a statement that is executed in this transaction. After any error the transaction is unusable.
    pub fn query<'q>(&mut self, sql: impl Into<Cow<'q, str>>) -> Statement<'_, 'q> {
        match self {
            Self::Postgres(session) => Statement::for_postgres(sql.into(), PostgresExecutor::Transaction(session)),
            Self::Sqlite(transaction) => Statement::for_sqlite(&sql.into(), SqliteExecutor::Transaction(transaction)),
        }
    }
}

impl<'c, 'q> Statement<'c, 'q> {
    fn for_postgres(sql: Cow<'q, str>, by: PostgresExecutor<'c>) -> Self {
        Self { sql, bound: Bound::Postgres { by, values: PgArguments::default() }, failed: None, is_limited: true }
    }

    fn for_sqlite(sql: &str, by: SqliteExecutor<'c>) -> Self {
        let bound = Bound::Sqlite { by, values: SqliteArguments::default() };
        Self { sql: translated(sql).into(), bound, failed: None, is_limited: true }
    }

    /// Binds the next value.
    #[must_use]
    pub fn bind(mut self, value: impl Value<'q>) -> Self {
        let added = match &mut self.bound {
            Bound::Postgres { values, .. } => values.add(value),
            Bound::Sqlite { values, .. } => values.add(value),
        };
        self.failed = self.failed.or(added.err());
        self
    }

    /// Lifts the time limit, for a statement that may read a whole SQLite file.
    #[must_use]
    pub(crate) fn without_time_limit(self) -> Self {
        Self { is_limited: false, ..self }
    }

    /// Returns the number of changed rows.
    pub async fn execute(self) -> Result<u64, StoreError> {
        self.run(&mut |_row| Ok(())).await
    }

    pub async fn fetch_all<R: AnyRow>(self) -> Result<Vec<R>, StoreError> {
        let mut rows = Vec::new();
        let on_row = &mut |row: Row| {
            rows.push(match row {
                Row::Postgres(row) => R::from_row(&row)?,
                Row::Sqlite(row) => R::from_row(&row)?,
            });
            Ok(())
        };
        self.run(on_row).await?;
        Ok(rows)
    }

    pub async fn fetch_optional<R: AnyRow>(self) -> Result<Option<R>, StoreError> {
        Ok(self.fetch_all().await?.into_iter().next())
    }

    /// # Errors
    /// `RowNotFound` if there is no row.
    pub async fn fetch_one<R: AnyRow>(self) -> Result<R, StoreError> {
        Ok(self.fetch_optional().await?.ok_or(sqlx::Error::RowNotFound)?)
    }

    /// Returns the only column of the only row.
    pub async fn fetch_value<T>(self) -> Result<T, StoreError>
    where
        (T,): AnyRow,
    {
        Ok(self.fetch_one::<(T,)>().await?.0)
    }

    /// Returns the only column of all rows.
    pub async fn fetch_values<T>(self) -> Result<Vec<T>, StoreError>
    where
        (T,): AnyRow,
    {
        Ok(self.fetch_all::<(T,)>().await?.into_iter().map(|(value,)| value).collect())
    }

    async fn run(self, on_row: OnRow<'_>) -> Result<u64, StoreError> {
        if let Some(error) = self.failed {
            return Err(sqlx::Error::Encode(error).into());
        }
        let (sql, bound) = (self.sql, self.bound);
        let run = async { Ok(bound.run(&sql, on_row).await?) };
        if self.is_limited { in_time(run).await } else { run.await }
    }
}

impl Bound<'_, '_> {
    async fn run(self, sql: &str, on_row: OnRow<'_>) -> Result<u64, sqlx::Error> {
        match self {
            Self::Postgres { by, values } => {
                let on_row = &mut |row| on_row(Row::Postgres(row));
                match by {
                    PostgresExecutor::Store(store) => {
                        store.run(async |session| session.run(sql, values, on_row).await).await
                    }
                    PostgresExecutor::Transaction(session) => session.run(sql, values, on_row).await,
                }
            }
            Self::Sqlite { by: SqliteExecutor::Readers(pool), values } => {
                run_sqlite(&mut *pool.acquire().await?, sql, values, on_row).await
            }
            Self::Sqlite { by: SqliteExecutor::Transaction(connection), values } => {
                run_sqlite(connection, sql, values, on_row).await
            }
        }
    }
}

async fn run_sqlite(
    connection: &mut SqliteConnection,
    sql: &str,
    values: SqliteArguments<'_>,
    on_row: OnRow<'_>,
) -> Result<u64, sqlx::Error> {
    let mut steps = connection.fetch_many(sqlx::query_with(sql, values));
    let mut changed = 0;
    while let Some(step) = steps.try_next().await? {
        match step {
            Either::Left(result) => changed += result.rows_affected(),
            Either::Right(row) => on_row(Row::Sqlite(row))?,
        }
    }
    Ok(changed)
}

/// Translates what SQLite writes differently: times, lists, rows as JSON, and row locks, which its only writer needs not.
fn translated(sql: &str) -> String {
    const NOW: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
    const SECOND_AGO: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 second')";
    const MINUTE_AGO: &str = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1 minute')";
    let sql = sql.replace("now() - interval '1 second'", SECOND_AGO).replace("now()", NOW);
    let sql = sql.replace("clock_timestamp() - interval '1 minute'", MINUTE_AGO).replace("clock_timestamp()", NOW);
    let sql = replace_recordsets(&without_row_locks(&sql));
    let sql = replace_each(&sql, SUM_START, SUM_END, |sum| {
        sum_of_parts(sum.split_once(')').map_or(sum, |(column, _)| column), "")
    });
    let sql = replace_each(&sql, "sum(amount) filter (where ", ")", |condition| {
        sum_of_parts("amount", &format!(" filter (where {condition})"))
    });
    let sql = replace_each(&sql, "= any(", ")", |list| match list.strip_suffix("::uuid[]") {
        Some(ids) => format!("in (select unhex(value, '-') from json_each({ids}))"),
        None => format!("in (select value from json_each({list}))"),
    });
    let sql = replace_each(&sql, "json_array_elements(", "::json)", |rows| format!("json_each({rows})"));
    replace_each(&sql, "cast(value ->> ", ")", |field| match field.split_once(" as ") {
        Some((number, "uuid")) => format!("unhex(value ->> {number}, '-')"),
        Some((number, "bytea")) => format!("unhex(value ->> {number}, '\\x')"),
        Some((number, _)) => format!("value ->> {number}"),
        None => field.to_owned(),
    })
}

/// The largest sum that is reported. Beyond it, both databases would raise an error.
pub(crate) const SUM_MAX: i64 = i64::MAX;

/// Returns an expression for the sum of a column, at most [`SUM_MAX`], and null without rows.
pub(crate) fn bounded_sum(column: &str) -> String {
    format!(
        "{SUM_START}{column}) > {SUM_MAX} then {SUM_MAX} when sum({column}) < -{SUM_MAX} then -{SUM_MAX} else sum({column}){SUM_END}"
    )
}

const SUM_START: &str = "cast(case when sum(";
const SUM_END: &str = " end as bigint)";

/// Returns a sum that does not overflow in SQLite: the parts of large numbers are added up each for itself, and a result beyond the range
/// of integers becomes the largest one by the cast.
fn sum_of_parts(column: &str, filter: &str) -> String {
    const PART: i64 = 1_000_000_000;
    format!("cast(sum({column} / {PART}){filter} * {PART} + sum({column} % {PART}){filter} as bigint)")
}

/// Removes `for key share`, and `for update`, also of one table, and also with `skip locked`.
fn without_row_locks(sql: &str) -> String {
    let sql = sql.replace("for key share", "");
    let mut parts = sql.split("for update");
    let mut kept = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let part = match part.strip_prefix(" of ") {
            Some(part) => part.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '_'),
            None => part,
        };
        kept += part.strip_prefix(" skip locked").unwrap_or(part);
    }
    kept
}

/// Replaces `json_to_recordset($1::json) as name(column type, ...)`: rows of a JSON list of objects.
fn replace_recordsets(sql: &str) -> String {
    const START: &str = "json_to_recordset(";
    let mut parts = sql.split(START);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match recordset(part) {
            Some(recordset) => replaced += &recordset,
            None => replaced = replaced + START + part,
        }
    }
    replaced
}

/// Returns the translation of what follows the start; `None` if it has another form.
fn recordset(part: &str) -> Option<String> {
    let (rows, part) = part.split_once("::json)")?;
    let (name, part) = part.trim_start().strip_prefix("as ")?.split_once('(')?;
    let (columns, rest) = part.split_once(')')?;
    let columns: Option<Vec<String>> = columns.split(',').map(column).collect();
    Some(format!("(select {} from json_each({rows})) as {name}{rest}", columns?.join(", ")))
}

fn column(column: &str) -> Option<String> {
    let (name, kind) = column.trim().split_once(' ')?;
    Some(match kind {
        "uuid" => format!("unhex(value ->> '{name}', '-') as {name}"),
        "bytea" => format!("unhex(value ->> '{name}', '\\x') as {name}"),
        _ => format!("value ->> '{name}' as {name}"),
    })
}

/// Replaces each text between this start and this end.
fn replace_each(sql: &str, start: &str, end: &str, replace: impl Fn(&str) -> String) -> String {
    let mut parts = sql.split(start);
    let mut replaced = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (inner, rest) = part.split_once(end).unwrap_or((part, ""));
        replaced = replaced + &replace(inner) + rest;
    }
    replaced
}

/// A list for `= any($1)`, of ids for `= any($1::uuid[])`: an array in PostgreSQL, JSON in SQLite.
#[derive(Clone, Copy, Debug)]
pub struct List<'a, T>(pub &'a [T]);

impl<T> Type<Postgres> for List<'_, T>
where
    Vec<T>: Type<Postgres>,
{
    fn type_info() -> PgTypeInfo {
        Vec::<T>::type_info()
    }
}

impl<'q, T> Encode<'q, Postgres> for List<'q, T>
where
    &'q [T]: Encode<'q, Postgres>,
{
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        self.0.encode_by_ref(buffer)
    }
}

impl<T> Type<Sqlite> for List<'_, T> {
    fn type_info() -> SqliteTypeInfo {
        <str as Type<Sqlite>>::type_info()
    }
}

impl<'q, T: Serialize> Encode<'q, Sqlite> for List<'q, T> {
    fn encode_by_ref(&self, values: &mut Vec<SqliteArgumentValue<'q>>) -> Result<IsNull, BoxDynError> {
        // Text that does not grow: at the size of a chunk's codes the allocator would keep each copied megabyte.
        let mut length = Length(0);
        serde_json::to_writer(&mut length, self.0)?;
        let mut json = Vec::with_capacity(length.0);
        serde_json::to_writer(&mut json, self.0)?;
        values.push(SqliteArgumentValue::Text(String::from_utf8(json)?.into()));
        Ok(IsNull::No)
    }
}

/// Counts the bytes that are written to it.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns a time as text that both databases read, in whole milliseconds: SQLite's form of the times in its tables, which compare as
/// text.
pub(crate) fn time_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// A time, as the tables hold it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time(pub DateTime<Utc>);

impl Type<Postgres> for Time {
    fn type_info() -> PgTypeInfo {
        <DateTime<Utc> as Type<Postgres>>::type_info()
    }
}

impl Encode<'_, Postgres> for Time {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        <DateTime<Utc> as Encode<'_, Postgres>>::encode_by_ref(&self.0, buffer)
    }
}

impl Type<Sqlite> for Time {
    fn type_info() -> SqliteTypeInfo {
        <str as Type<Sqlite>>::type_info()
    }
}

impl<'q> Encode<'q, Sqlite> for Time {
    fn encode_by_ref(&self, values: &mut Vec<SqliteArgumentValue<'q>>) -> Result<IsNull, BoxDynError> {
        values.push(SqliteArgumentValue::Text(time_text(self.0).into()));
        Ok(IsNull::No)
    }
}
