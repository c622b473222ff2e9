//! An entry of the audit log in JSON.

use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// An entry of the audit log: who did what and when, and its result. It never contains a code.
#[derive(Debug, Serialize, JsonSchema)]
pub struct AuditDocument {
    /// The number of the entry, ascending.
    pub no: i64,
    pub at: DateTime<Utc>,
    /// A user, the sender of a message, or the holder of an API key.
    pub actor: String,
    /// The user of the database; SQLite has none.
    pub role: Option<String>,
    pub action: String,
    pub result: String,
    pub job_id: Option<Uuid>,
    /// The mask, or the SHA-256 of a mask with a single code.
    pub mask: Option<String>,
    pub count: Option<u64>,
    pub campaign: Option<String>,
    pub detail: Option<String>,
    pub digest: Option<String>,
}

/// The end of the year 9999: times whose year has four digits also sort correctly as texts.
pub const LATEST: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_799, 0) {
    Some(time) => time,
    None => DateTime::UNIX_EPOCH,
};

/// Reads a day or a time, from 1970 to 9999.
///
/// # Errors
/// What would be right.
///
/// ```
/// use codemint_codes::wire::audit::day_or_time;
///
/// assert_eq!(day_or_time("2026-11-25"), day_or_time("2026-11-25T01:00:00+01:00"));
/// assert!(day_or_time("25.11.2026").is_err());
/// ```
pub fn day_or_time(text: &str) -> Result<DateTime<Utc>, String> {
    let day = text.parse::<NaiveDate>().map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let time = day.or_else(|_| DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()));
    let of_four_digits = time.ok().filter(|time| (DateTime::UNIX_EPOCH..=LATEST).contains(time));
    of_four_digits.ok_or_else(|| "write a day as 2026-11-25, or a time as 2026-11-25T17:00:00Z".to_owned())
}
