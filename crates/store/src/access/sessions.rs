//! Sessions of people who have signed in. Of a session's token only the digest is stored.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::access::users::{StoredUser, stored_login, stored_role};
use crate::connection::error::{StoreError, require_rows};
use crate::connection::statement::Time;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use codemint_offers::access::login::Login;
use codemint_offers::access::role::Role;
use codemint_offers::access::session::{
    SESSION_END, SESSION_IDLE_END, SESSION_USE_NOTED_EVERY, SESSIONS_MAX, SessionRecord,
};
use codemint_offers::access::token::TokenDigest;

/// The maximum number of rows that are removed beside a sign-in.
const PRUNED_MAX: i64 = 1_000;

/// A session with its person, as it is read.
#[derive(Clone, Debug)]
pub struct StoredSession {
    pub user_id: Uuid,
    pub login: Login,
    pub role: Role,
    pub times: SessionRecord,
}

#[derive(FromRow)]
struct SessionRow {
    digest: Vec<u8>,
    user_id: Uuid,
    login: String,
    role: String,
    created_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
}

impl TryFrom<SessionRow> for StoredSession {
    type Error = StoreError;

    fn try_from(row: SessionRow) -> Result<Self, StoreError> {
        let SessionRow { user_id, login, role, created_at, seen_at, expires_at, .. } = row;
        let times = SessionRecord { created_at, seen_at, expires_at };
        Ok(Self { user_id, login: stored_login(&login)?, role: stored_role(&role)?, times })
    }
}

impl Store {
    /// Begins a session of a person who was recognized as this one. Returns false, and begins none, if the person was removed or got
    /// another password since.
    pub async fn begin_session(
        &self,
        user: &StoredUser,
        digest: &TokenDigest,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.begin_writing().await?;
        let found = transaction.lock_user(user.record.id).await?;
        if found.is_none_or(|found| found.generation != user.generation) {
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.prune_access(now).await?;
        transaction.put_session(user.record.id, user.generation, digest, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Returns the session with this digest, whether or not it may still be used: [`SessionRecord::state`] decides that. A session
    /// from before a change of the password is none.
    pub async fn find_session(&self, digest: &TokenDigest) -> Result<Option<StoredSession>, StoreError> {
        const SQL: &str = "
            select s.digest, s.user_id, u.login, u.role, s.created_at, s.seen_at, s.expires_at
              from sessions s
              join users u on u.id = s.user_id and u.generation = s.generation
             where s.digest = $1";
        let row: Option<SessionRow> = self.query(SQL).bind(&digest.as_bytes()[..]).fetch_optional().await?;
        // The index has compared it, but not in constant time, and what it returns must be right.
        let is_same = |row: &SessionRow| TokenDigest::of_stored(&row.digest).is_some_and(|found| found.matches(digest));
        row.filter(is_same).map(StoredSession::try_from).transpose()
    }

    /// Ends a session. It can be repeated.
    pub async fn end_session(&self, digest: &TokenDigest) -> Result<(), StoreError> {
        let mut transaction = self.begin_writing().await?;
        let delete = transaction.query("delete from sessions where digest = $1");
        delete.bind(&digest.as_bytes()[..]).execute().await?;
        transaction.commit().await
    }

    /// Notes a use at this instant, unless one was noted within [`SESSION_USE_NOTED_EVERY`] before it, or another process is about
    /// to. Returns true if it was noted. A crash may lose the note. Requests do not wait for it: in SQLite, it waits for the writer.
    pub async fn note_use_of_session(&self, digest: &TokenDigest, now: DateTime<Utc>) -> Result<bool, StoreError> {
        const SQL: &str = "
            update sessions set seen_at = $2
             where digest in (select digest from sessions where digest = $1 and seen_at <= $3 for update skip locked)";
        let mut transaction = self.begin_writing_unflushed().await?;
        let update = transaction.query(SQL).bind(&digest.as_bytes()[..]).bind(Time(now));
        let noted = update.bind(Time(now - SESSION_USE_NOTED_EVERY)).execute().await?;
        transaction.commit().await?;
        Ok(noted == 1)
    }
}

impl StoreTransaction {
    /// Inserts a session, and ends the oldest of the person if there are too many. The person is locked.
    pub(crate) async fn put_session(
        &mut self,
        user_id: Uuid,
        generation: i64,
        digest: &TokenDigest,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        const MAKE_ROOM: &str = "
            delete from sessions
             where digest in (select digest from sessions where user_id = $1
                               order by created_at desc, digest limit $2 offset $3)";
        const INSERT: &str = "
            insert into sessions (digest, user_id, generation, created_at, seen_at, expires_at)
            values ($1, $2, $3, $4, $4, $5)";
        let make_room = self.query(MAKE_ROOM).bind(user_id).bind(PRUNED_MAX);
        make_room.bind(i64::from(SESSIONS_MAX) - 1).execute().await?;
        let insert = self.query(INSERT).bind(&digest.as_bytes()[..]).bind(user_id).bind(generation);
        let inserted = insert.bind(Time(now)).bind(Time(now + SESSION_END)).execute().await?;
        require_rows("the insert of a session", inserted, 1)?;
        let note = self.query("update users set signed_in_at = $2 where id = $1").bind(user_id);
        require_rows("the note of a sign-in", note.bind(Time(now)).execute().await?, 1)
    }

    /// Removes some sessions and invitations that are over. A session is no longer used when it has expired, so that its last use is
    /// long ago soon afterwards. Rows that others work on are left to them.
    pub(crate) async fn prune_access(&mut self, now: DateTime<Utc>) -> Result<(), StoreError> {
        const SESSIONS: &str = "
            with picked as materialized (
                select digest from sessions where seen_at <= $1 order by seen_at limit $2 for update skip locked)
            delete from sessions where digest in (select digest from picked)";
        const INVITATIONS: &str = "
            with picked as materialized (
                select digest from invitations where expires_at <= $1 order by expires_at limit $2 for update skip locked)
            delete from invitations where digest in (select digest from picked)";
        self.query(SESSIONS).bind(Time(now - SESSION_IDLE_END)).bind(PRUNED_MAX).execute().await?;
        self.query(INVITATIONS).bind(Time(now)).bind(PRUNED_MAX).execute().await?;
        Ok(())
    }
}
