//! A key as it is stored, and whether it may be used.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use codemint_codes::wire::audit::LATEST;
use schemars::JsonSchema;
use serde::Serialize;
use strum::IntoStaticStr;
use uuid::Uuid;

use crate::access::key::ApiKey;
use crate::access::scope::Scopes;

/// The longest name of a key, in characters.
pub const KEY_NAME_LENGTH_MAX: usize = 100;

/// The number of keys that may be usable at the same time.
pub const KEYS_MAX: u64 = 10_000;

/// The uses of a key are noted at most once in this time, so that a busy key costs no writes.
pub const USE_NOTED_EVERY: TimeDelta = TimeDelta::hours(1);

/// Everything about a key but the key itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: Uuid,
    pub name: Option<String>,
    pub scopes: Scopes,
    pub created_at: DateTime<Utc>,
    /// `None` if it does not expire.
    pub expires_at: Option<DateTime<Utc>>,
    /// `None` unless it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// The last use that was noted, up to [`USE_NOTED_EVERY`] before the last use.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// Whether a key may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema, IntoStaticStr)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case", const_into_str)]
pub enum KeyState {
    Usable,
    Expired,
    Revoked,
}

/// The reason why a key cannot be created like this.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the name of a key has 1 to {KEY_NAME_LENGTH_MAX} characters, got {0}")]
    NameLength(usize),
    #[error("the name of a key has no control characters; write plain text")]
    NameNotText,
    #[error("the name contains a key, and names are not secret; write plain text, and revoke that key if it is in use")]
    NameHasKey,
    #[error("the key would have expired at {}; choose a time in the future", shown(.0))]
    ExpiresInThePast(DateTime<Utc>),
    #[error("a key expires before the year 10000; choose an earlier time, or none for a key that does not expire")]
    ExpiresTooLate,
}

fn shown(time: &DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

impl KeyRecord {
    /// Returns whether the key may be used at an instant. A key that was revoked stays revoked, whatever the instant: the
    /// clocks of the store and of the caller may differ.
    pub fn state(&self, now: DateTime<Utc>) -> KeyState {
        if self.revoked_at.is_some() {
            KeyState::Revoked
        } else if self.expires_at.is_some_and(|expires_at| expires_at <= now) {
            KeyState::Expired
        } else {
            KeyState::Usable
        }
    }

    /// Returns true if a use at this instant is to be noted.
    pub fn notes_use(&self, now: DateTime<Utc>) -> bool {
        self.last_used_at.is_none_or(|last_used_at| last_used_at <= now - USE_NOTED_EVERY)
    }
}

/// Returns the name of a key without the blanks around it.
///
/// # Errors
/// If it is empty, too long or not plain text, or contains a key that was pasted in its place.
pub fn check_key_name(text: &str) -> Result<&str, KeyError> {
    let name = text.trim();
    match name.chars().count() {
        length if !(1..=KEY_NAME_LENGTH_MAX).contains(&length) => Err(KeyError::NameLength(length)),
        _ if name.contains(char::is_control) => Err(KeyError::NameNotText),
        _ if contains_key(name) => Err(KeyError::NameHasKey),
        _ => Ok(name),
    }
}

fn contains_key(text: &str) -> bool {
    let key_at = |(at, _)| text.get(at..at + ApiKey::TEXT_LENGTH).is_some_and(|part| part.parse::<ApiKey>().is_ok());
    text.match_indices(ApiKey::PREFIX).any(key_at)
}

/// Checks the end of a key that is created now.
///
/// # Errors
/// If it is not in the future, or after the year 9999.
pub fn check_key_expiry(expires_at: DateTime<Utc>, now: DateTime<Utc>) -> Result<(), KeyError> {
    if expires_at <= now {
        return Err(KeyError::ExpiresInThePast(expires_at));
    }
    if expires_at > LATEST { Err(KeyError::ExpiresTooLate) } else { Ok(()) }
}
