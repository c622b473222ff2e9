//! Changes of people: roles, passwords, removal. Within a second, every process follows them.

use uuid::Uuid;

use crate::access::users::{StoredUser, user_entry};
use crate::connection::error::{StoreError, require_rows};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, Outcome};
use codemint_offers::access::login::Login;
use codemint_offers::access::role::Role;
use codemint_offers::access::user::UserRecord;

/// The result of a change of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeUser {
    Changed(UserRecord),
    /// There was nothing to change.
    Unchanged(UserRecord),
    /// Nobody else is an administrator, and nobody could undo it. Nothing was changed.
    LastAdmin,
    Unknown,
}

/// Whether the last administrator may be removed or get another role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastAdmin {
    Keep,
    LetGo,
}

impl Store {
    /// Removes a person with the sessions and invitations. The login is free then; the audit log keeps it.
    pub async fn remove_user(&self, login: &Login, last_admin: LastAdmin) -> Result<ChangeUser, StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.lock_people().await?;
        let Some(StoredUser { record, .. }) = transaction.find_user_with_login(login).await? else {
            transaction.rollback().await?;
            return Ok(ChangeUser::Unknown);
        };
        if last_admin == LastAdmin::Keep && transaction.is_last_admin(&record).await? {
            transaction.rollback().await?;
            return Ok(ChangeUser::LastAdmin);
        }
        let removed = transaction.query("delete from users where id = $1").bind(record.id).execute().await?;
        require_rows("the removal of a user", removed, 1)?;
        transaction.put_audit(&[user_entry(Action::UserRemove, Outcome::Done, &record)]).await?;
        transaction.commit().await?;
        Ok(ChangeUser::Changed(record))
    }

    /// Gives a person a role. It can be repeated. Sessions go on, with the new role.
    pub async fn set_role(&self, login: &Login, role: Role, last_admin: LastAdmin) -> Result<ChangeUser, StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.lock_people().await?;
        let Some(StoredUser { record, .. }) = transaction.find_user_with_login(login).await? else {
            transaction.rollback().await?;
            return Ok(ChangeUser::Unknown);
        };
        let is_same = record.role == role;
        if !is_same && last_admin == LastAdmin::Keep && transaction.is_last_admin(&record).await? {
            transaction.rollback().await?;
            return Ok(ChangeUser::LastAdmin);
        }
        let record = UserRecord { role, ..record };
        let update = transaction.query("update users set role = $2 where id = $1").bind(record.id);
        require_rows("the change of a role", update.bind(role.into_str()).execute().await?, 1)?;
        let outcome = if is_same { Outcome::Unchanged } else { Outcome::Done };
        transaction.put_audit(&[user_entry(Action::UserRole, outcome, &record)]).await?;
        transaction.commit().await?;
        Ok(if is_same { ChangeUser::Unchanged(record) } else { ChangeUser::Changed(record) })
    }

    /// Gives a person a password, by its hash, and ends all sessions and invitations.
    pub async fn set_password_hash(&self, login: &Login, hash: &str) -> Result<ChangeUser, StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.lock_people().await?;
        let Some(StoredUser { record, .. }) = transaction.find_user_with_login(login).await? else {
            transaction.rollback().await?;
            return Ok(ChangeUser::Unknown);
        };
        let record = transaction.put_password_hash(record, hash).await?;
        transaction.commit().await?;
        Ok(ChangeUser::Changed(record))
    }
}

impl StoreTransaction {
    /// Stores the hash of a password with the row in the audit log, and ends all sessions and invitations of the person. Signing in
    /// with the password before, which may be under way, begins no session either: it is of the generation before.
    pub(crate) async fn put_password_hash(&mut self, user: UserRecord, hash: &str) -> Result<UserRecord, StoreError> {
        const SQL: &str = "update users set password_hash = $2, generation = generation + 1 where id = $1";
        let changed = self.query(SQL).bind(user.id).bind(hash).execute().await?;
        require_rows("the change of a password", changed, 1)?;
        self.query("delete from sessions where user_id = $1").bind(user.id).execute().await?;
        self.void_invitations(user.id).await?;
        self.put_audit(&[user_entry(Action::UserPassword, Outcome::Done, &user)]).await?;
        Ok(UserRecord { has_password: true, ..user })
    }

    pub(crate) async fn void_invitations(&mut self, user_id: Uuid) -> Result<(), StoreError> {
        self.query("delete from invitations where user_id = $1 and used_at is null").bind(user_id).execute().await?;
        Ok(())
    }

    /// Returns true if the person is an administrator, and nobody else is. Changes of people are locked.
    async fn is_last_admin(&mut self, user: &UserRecord) -> Result<bool, StoreError> {
        const SQL: &str = "select id from users where role = 'admin' and id <> $1 limit 1";
        let other: Option<(Uuid,)> = self.query(SQL).bind(user.id).fetch_optional().await?;
        Ok(user.role == Role::Admin && other.is_none())
    }
}
