//! API keys, of which only digests are stored.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::connection::error::{StoreError, require_rows};
use crate::connection::statement::{Time, time_text};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry, Outcome};
use crate::records::rows::unsigned;
use codemint_offers::access::key::KeyDigest;
use codemint_offers::access::record::{KEYS_MAX, KeyRecord, USE_NOTED_EVERY};
use codemint_offers::access::scope::Scopes;

/// A key to create. Its name and its expiry were checked.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Drawn by the caller, so that a repeated creation is recognized.
    pub id: Uuid,
    pub name: Option<String>,
    pub scopes: Scopes,
    pub expires_at: Option<DateTime<Utc>>,
    pub digest: KeyDigest,
}

/// The result of creating a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateKey {
    /// Also if the same creation was stored before.
    Created(KeyRecord),
    /// There are [`KEYS_MAX`] usable keys. Nothing was changed.
    TooMany,
}

/// The result of revoking a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RevokeKey {
    Revoked(KeyRecord),
    /// The key was revoked before, and stays so.
    AlreadyRevoked(KeyRecord),
    Unknown,
}

#[derive(FromRow)]
struct KeyRow {
    id: Uuid,
    name: Option<String>,
    digest: Vec<u8>,
    scopes: String,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

impl From<KeyRow> for KeyRecord {
    fn from(row: KeyRow) -> Self {
        let KeyRow { id, name, scopes, created_at, expires_at, revoked_at, last_used_at, .. } = row;
        Self { id, name, scopes: Scopes::of_stored(&scopes), created_at, expires_at, revoked_at, last_used_at }
    }
}

const SELECT: &str = "
    select id, name, digest, scopes, created_at, expires_at, revoked_at, last_used_at from api_keys";

impl Store {
    /// Creates a key. The same creation can be repeated.
    pub async fn create_key(&self, key: &NewKey) -> Result<CreateKey, StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.lock_api_keys().await?;
        if let Some(known) = transaction.find_created(key).await? {
            transaction.rollback().await?;
            return Ok(CreateKey::Created(known));
        }
        if transaction.count_usable_keys().await? >= KEYS_MAX {
            transaction.rollback().await?;
            return Ok(CreateKey::TooMany);
        }
        transaction.insert_key(key).await?;
        let created = transaction.find_created(key).await?.ok_or(sqlx::Error::RowNotFound)?;
        transaction.put_audit(&[entry(Action::KeyCreate, Outcome::Done, &created)]).await?;
        transaction.commit().await?;
        Ok(CreateKey::Created(created))
    }

    /// Revokes a key permanently. It can be repeated.
    pub async fn revoke_key(&self, id: Uuid) -> Result<RevokeKey, StoreError> {
        const SQL: &str = "update api_keys set revoked_at = now() where id = $1 and revoked_at is null";
        let mut transaction = self.begin_writing().await?;
        let revoked = transaction.query(SQL).bind(id).execute().await?;
        let Some(found) = transaction.find_key(id).await? else {
            transaction.rollback().await?;
            return Ok(RevokeKey::Unknown);
        };
        let outcome = if revoked == 1 { Outcome::Done } else { Outcome::Unchanged };
        transaction.put_audit(&[entry(Action::KeyRevoke, outcome, &found)]).await?;
        transaction.commit().await?;
        Ok(if revoked == 1 { RevokeKey::Revoked(found) } else { RevokeKey::AlreadyRevoked(found) })
    }

    /// Returns the key with this digest, whether or not it may still be used: [`KeyRecord::state`] decides that.
    pub async fn find_key_by_digest(&self, digest: &KeyDigest) -> Result<Option<KeyRecord>, StoreError> {
        let query = self.query(format!("{SELECT} where digest = $1"));
        let row: Option<KeyRow> = query.bind(&digest.as_bytes()[..]).fetch_optional().await?;
        // The index has compared it, but not in constant time, and what it returns must be right.
        let is_same = |row: &KeyRow| KeyDigest::of_stored(&row.digest).is_some_and(|found| found.matches(digest));
        Ok(row.filter(is_same).map(KeyRecord::from))
    }

    /// Returns a key by its id.
    pub async fn find_key(&self, id: Uuid) -> Result<Option<KeyRecord>, StoreError> {
        let query = self.query(format!("{SELECT} where id = $1"));
        Ok(query.bind(id).fetch_optional::<KeyRow>().await?.map(KeyRecord::from))
    }

    /// Lists all keys, newest first, at most `limit`, from the first one after this key.
    pub async fn list_keys(&self, after: Option<&KeyRecord>, limit: u32) -> Result<Vec<KeyRecord>, StoreError> {
        let condition = if after.is_some() { "where (created_at, id) < ($2, $3)" } else { "" };
        let query = self.query(format!("{SELECT} {condition} order by created_at desc, id desc limit $1"));
        let query = query.bind(i64::from(limit));
        let query = match after {
            Some(after) => query.bind(Time(after.created_at)).bind(after.id),
            None => query,
        };
        let rows: Vec<KeyRow> = query.fetch_all().await?;
        Ok(rows.into_iter().map(KeyRecord::from).collect())
    }

    /// Returns true if a key was ever created.
    pub async fn has_api_keys(&self) -> Result<bool, StoreError> {
        let found: Option<(Uuid,)> = self.query("select id from api_keys limit 1").fetch_optional().await?;
        Ok(found.is_some())
    }

    /// Notes a use at this instant, unless one was noted within [`USE_NOTED_EVERY`] before it, or another process is about to.
    /// Returns true if it was noted. A crash may lose the note. Requests do not wait for it: in SQLite, it waits for
    /// the writer.
    pub async fn note_use_of_key(&self, id: Uuid, now: DateTime<Utc>) -> Result<bool, StoreError> {
        const SQL: &str = "
            update api_keys set last_used_at = $2
             where id in (select id from api_keys
                           where id = $1 and (last_used_at is null or last_used_at <= $3)
                             for update skip locked)";
        let mut transaction = self.begin_writing_unflushed().await?;
        let update = transaction.query(SQL).bind(id).bind(Time(now)).bind(Time(now - USE_NOTED_EVERY));
        let noted = update.execute().await?;
        transaction.commit().await?;
        Ok(noted == 1)
    }
}

impl StoreTransaction {
    async fn find_key(&mut self, id: Uuid) -> Result<Option<KeyRecord>, StoreError> {
        let query = self.query(format!("{SELECT} where id = $1"));
        Ok(query.bind(id).fetch_optional::<KeyRow>().await?.map(KeyRecord::from))
    }

    /// Returns the key if this creation was stored. The same id with another digest is not this creation.
    async fn find_created(&mut self, key: &NewKey) -> Result<Option<KeyRecord>, StoreError> {
        let query = self.query(format!("{SELECT} where id = $1 and digest = $2")).bind(key.id);
        Ok(query.bind(&key.digest.as_bytes()[..]).fetch_optional::<KeyRow>().await?.map(KeyRecord::from))
    }

    async fn count_usable_keys(&mut self) -> Result<u64, StoreError> {
        const SQL: &str = "
            select count(*) from api_keys where revoked_at is null and (expires_at is null or expires_at > now())";
        unsigned("api_keys", self.query(SQL).fetch_value::<i64>().await?)
    }

    async fn insert_key(&mut self, key: &NewKey) -> Result<(), StoreError> {
        const SQL: &str = "insert into api_keys (id, name, digest, scopes, expires_at) values ($1, $2, $3, $4, $5)";
        let insert = self.query(SQL).bind(key.id).bind(&key.name).bind(&key.digest.as_bytes()[..]);
        let insert = insert.bind(key.scopes.to_string()).bind(key.expires_at.map(Time));
        require_rows("the insert of a key", insert.execute().await?, 1)
    }
}

/// Returns an entry that names the key by its id. Neither the key nor its digest is recorded.
fn entry(action: Action, outcome: Outcome, key: &KeyRecord) -> AuditEntry {
    let expires = key.expires_at.map(|at| format!(", expires {}", time_text(at))).unwrap_or_default();
    let name = key.name.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
    AuditEntry::new(action, outcome).with_detail(&format!("{}: {}{expires}{name}", key.id, key.scopes))
}
