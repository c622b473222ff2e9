//! Keys as programs read them.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use uuid::Uuid;

use crate::access::key::ApiKey;
use crate::access::record::{KeyRecord, KeyState};
use crate::access::scope::Scopes;

/// The document of a key, without the key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KeyDocument {
    pub id: Uuid,
    pub name: Option<String>,
    pub state: KeyState,
    pub scopes: Scopes,
    pub created_at: DateTime<Utc>,
    /// Null if it does not expire.
    pub expires_at: Option<DateTime<Utc>>,
    /// Null unless it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
    /// Up to an hour before the last use; null before the first.
    pub last_used_at: Option<DateTime<Utc>>,
}

/// The document of a key that was just created: the only one that shows the key.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CreatedKeyDocument {
    pub id: Uuid,
    #[serde(serialize_with = "text_of_key")]
    #[schemars(with = "String")]
    pub key: ApiKey,
    pub scopes: Scopes,
    /// Null if it does not expire.
    pub expires_at: Option<DateTime<Utc>>,
}

fn text_of_key<S: Serializer>(key: &ApiKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&key.text())
}

impl KeyDocument {
    /// Returns the document with the state at this instant.
    pub fn new(record: &KeyRecord, now: DateTime<Utc>) -> Self {
        let KeyRecord { id, name, scopes, created_at, expires_at, revoked_at, last_used_at } = record.clone();
        let state = record.state(now);
        Self { id, name, state, scopes, created_at, expires_at, revoked_at, last_used_at }
    }
}

impl CreatedKeyDocument {
    pub fn new(record: &KeyRecord, key: &ApiKey) -> Self {
        let KeyRecord { id, scopes, expires_at, .. } = record.clone();
        Self { id, key: key.clone(), scopes, expires_at }
    }
}
