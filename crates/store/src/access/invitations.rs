//! Invitations: links by which a person chooses a password, once. Of a link's token only the digest is stored.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::access::users::{AddUser, NewUser, StoredUser, stored_login, stored_role, user_entry};
use crate::connection::error::{StoreError, require_rows};
use crate::connection::statement::Time;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, Outcome};
use codemint_offers::access::invitation::INVITATION_END;
use codemint_offers::access::login::Login;
use codemint_offers::access::role::Role;
use codemint_offers::access::token::TokenDigest;
use codemint_offers::access::user::UserRecord;

/// Who is invited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invitee {
    /// The first person chooses a login and becomes an administrator.
    First,
    User {
        id: Uuid,
        login: Login,
        role: Role,
    },
}

/// A person who accepts an invitation.
#[derive(Debug)]
pub struct Acceptance<'a> {
    pub invitation: &'a TokenDigest,
    /// The login that the first person chooses. An invitation of anybody else has one already, which stays.
    pub login: &'a Login,
    pub password_hash: &'a str,
    /// The digest of the session that begins.
    pub session: &'a TokenDigest,
    pub now: DateTime<Utc>,
}

/// The result of accepting an invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AcceptInvitation {
    Accepted(UserRecord),
    /// It is unknown, was used, replaced by another one, or has expired. Nothing was changed.
    NotValid,
}

#[derive(FromRow)]
struct InvitationRow {
    digest: Vec<u8>,
    user_id: Option<Uuid>,
    login: Option<String>,
    role: Option<String>,
}

impl TryFrom<InvitationRow> for Invitee {
    type Error = StoreError;

    fn try_from(row: InvitationRow) -> Result<Self, StoreError> {
        match (row.user_id, row.login, row.role) {
            (Some(id), Some(login), Some(role)) => {
                Ok(Self::User { id, login: stored_login(&login)?, role: stored_role(&role)? })
            }
            _ => Ok(Self::First),
        }
    }
}

/// An invitation that is valid at an instant. That of the first person is void as soon as there is somebody.
const SELECT_VALID: &str = "
    select i.digest, i.user_id, u.login, u.role
      from invitations i
      left join users u on u.id = i.user_id
     where i.digest = $1 and i.used_at is null and i.expires_at > $2
       and (i.user_id is not null or not exists (select 1 from users))";

/// Returns who is invited by the row, if it is the one with this digest: the index has compared it, but not in constant time.
fn invitee(row: Option<InvitationRow>, digest: &TokenDigest) -> Result<Option<Invitee>, StoreError> {
    let is_same = |row: &InvitationRow| TokenDigest::of_stored(&row.digest).is_some_and(|found| found.matches(digest));
    row.filter(is_same).map(Invitee::try_from).transpose()
}

impl Store {
    /// Creates an invitation for the first person, instead of earlier ones. Returns false, and creates none, if there is somebody.
    pub async fn invite_first(&self, digest: &TokenDigest, now: DateTime<Utc>) -> Result<bool, StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.lock_people().await?;
        if transaction.count_users().await? > 0 {
            transaction.rollback().await?;
            return Ok(false);
        }
        transaction.query("delete from invitations where user_id is null").execute().await?;
        transaction.put_invitation(digest, None, now).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Adds a person, who chooses a password by this invitation. The same addition can be repeated.
    pub async fn add_invited_user(
        &self,
        user: &NewUser,
        digest: &TokenDigest,
        now: DateTime<Utc>,
    ) -> Result<AddUser, StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.lock_people().await?;
        let added = transaction.add_user(user).await?;
        let AddUser::Added(record) = &added else {
            transaction.rollback().await?;
            return Ok(added);
        };
        transaction.replace_invitation(record, digest, now).await?;
        transaction.commit().await?;
        Ok(added)
    }

    /// Creates an invitation for somebody, instead of earlier ones. Returns `None` if there is nobody with this login.
    pub async fn invite_user(
        &self,
        login: &Login,
        digest: &TokenDigest,
        now: DateTime<Utc>,
    ) -> Result<Option<UserRecord>, StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.lock_people().await?;
        let Some(StoredUser { record, .. }) = transaction.find_user_with_login(login).await? else {
            transaction.rollback().await?;
            return Ok(None);
        };
        transaction.replace_invitation(&record, digest, now).await?;
        transaction.commit().await?;
        Ok(Some(record))
    }

    /// Returns who is invited by the invitation with this digest, if it is valid at this instant.
    pub async fn find_invitation(
        &self,
        digest: &TokenDigest,
        now: DateTime<Utc>,
    ) -> Result<Option<Invitee>, StoreError> {
        let row = self.query(SELECT_VALID).bind(&digest.as_bytes()[..]).bind(Time(now)).fetch_optional().await?;
        invitee(row, digest)
    }

    /// Accepts an invitation: the person gets the password, and a session begins. It is accepted once, however many ask at the same
    /// time.
    pub async fn accept_invitation(&self, acceptance: &Acceptance<'_>) -> Result<AcceptInvitation, StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.lock_people().await?;
        let user = match transaction.use_invitation(acceptance).await? {
            Some(invitee) => transaction.admit_invitee(invitee, acceptance).await?,
            None => None,
        };
        let Some(StoredUser { record, generation, .. }) = user else {
            transaction.rollback().await?;
            return Ok(AcceptInvitation::NotValid);
        };
        transaction.prune_access(acceptance.now).await?;
        transaction.put_session(record.id, generation, acceptance.session, acceptance.now).await?;
        transaction.commit().await?;
        Ok(AcceptInvitation::Accepted(record))
    }
}

impl StoreTransaction {
    /// Marks an invitation as used and returns who is invited; `None` unless it is valid. Changes of people are locked.
    async fn use_invitation(&mut self, acceptance: &Acceptance<'_>) -> Result<Option<Invitee>, StoreError> {
        const SQL: &str = "update invitations set used_at = $2 where digest = $1 and used_at is null";
        let (digest, now) = (acceptance.invitation, acceptance.now);
        let row = self.query(SELECT_VALID).bind(&digest.as_bytes()[..]).bind(Time(now)).fetch_optional().await?;
        let Some(invitee) = invitee(row, digest)? else { return Ok(None) };
        let used = self.query(SQL).bind(&digest.as_bytes()[..]).bind(Time(now)).execute().await?;
        Ok((used == 1).then_some(invitee))
    }

    /// Gives the invited person the password. The first one is added.
    async fn admit_invitee(&mut self, invitee: Invitee, by: &Acceptance<'_>) -> Result<Option<StoredUser>, StoreError> {
        let id = match invitee {
            Invitee::First => {
                let (id, login, role) = (Uuid::now_v7(), by.login.clone(), Role::Admin);
                let new = NewUser { id, login, role, password_hash: Some(by.password_hash.to_owned()) };
                let added = self.add_user(&new).await?;
                return if matches!(added, AddUser::Added(_)) { self.lock_user(id).await } else { Ok(None) };
            }
            Invitee::User { id, .. } => id,
        };
        let Some(StoredUser { record, .. }) = self.lock_user(id).await? else { return Ok(None) };
        self.put_password_hash(record, by.password_hash).await?;
        self.lock_user(id).await
    }

    async fn replace_invitation(
        &mut self,
        user: &UserRecord,
        digest: &TokenDigest,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        self.void_invitations(user.id).await?;
        self.put_invitation(digest, Some(user.id), now).await?;
        self.put_audit(&[user_entry(Action::UserInvite, Outcome::Done, user)]).await
    }

    async fn put_invitation(
        &mut self,
        digest: &TokenDigest,
        user_id: Option<Uuid>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        const SQL: &str = "insert into invitations (digest, user_id, created_at, expires_at) values ($1, $2, $3, $4)";
        let insert = self.query(SQL).bind(&digest.as_bytes()[..]).bind(user_id).bind(Time(now));
        require_rows("the insert of an invitation", insert.bind(Time(now + INVITATION_END)).execute().await?, 1)
    }
}
