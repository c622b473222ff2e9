//! Managing people: adding, inviting and removing them, their roles and passwords.

use chrono::Utc;
use codemint_offers::access::invitation::InvitationToken;
use codemint_offers::access::login::Login;
use codemint_offers::access::password::{Password, PasswordError};
use codemint_offers::access::role::Role;
use codemint_offers::access::user::UserRecord;
use codemint_store::access::user_changes::{ChangeUser, LastAdmin};
use codemint_store::access::users::{AddUser, NewUser};
use codemint_store::admission::entropy::fresh_token;
use codemint_store::connection::error::StoreError;
use uuid::Uuid;

use crate::hashing::Comparison;
use crate::people::{People, PeopleError, SignedIn};

/// The result of adding a person with a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Added {
    Added(UserRecord),
    LoginTaken,
    TooMany,
    /// The password may not be chosen.
    Password(PasswordError),
}

/// The result of inviting a person.
#[derive(Clone, Debug)]
pub enum InvitedPerson {
    Invited(UserRecord, InvitationToken),
    LoginTaken,
    TooMany,
}

/// The result of setting a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetPassword {
    /// All sessions of the person have ended.
    Set(UserRecord),
    Unknown,
    /// The password may not be chosen.
    Password(PasswordError),
}

/// The result of changing the own password.
#[derive(Clone, Debug)]
pub enum ChangedPassword {
    /// All other sessions of the person have ended.
    Changed(SignedIn),
    /// The password before is another one, or there is none.
    WrongOld,
    /// The new password may not be chosen.
    Password(PasswordError),
}

impl People {
    /// Adds a person with a password. An addition with the same id can be repeated.
    pub async fn add(&self, id: Uuid, login: &Login, role: Role, password: &Password) -> Result<Added, PeopleError> {
        if let Err(error) = password.check_choice(login) {
            return Ok(Added::Password(error));
        }
        let password_hash = Some(self.hashing().hash(password).await?);
        let user = NewUser { id, login: login.clone(), role, password_hash };
        Ok(match self.store().add_user(&user).await? {
            AddUser::Added(user) => Added::Added(user),
            AddUser::LoginTaken => Added::LoginTaken,
            AddUser::TooMany => Added::TooMany,
        })
    }

    /// Adds a person, who chooses a password by the invitation, or signs in through a proxy. An addition with the same id can be
    /// repeated; the last invitation is valid.
    pub async fn invite(&self, id: Uuid, login: &Login, role: Role) -> Result<InvitedPerson, StoreError> {
        let (token, user) = (fresh_token()?, NewUser { id, login: login.clone(), role, password_hash: None });
        Ok(match self.store().add_invited_user(&user, &token.digest(), Utc::now()).await? {
            AddUser::Added(user) => InvitedPerson::Invited(user, token),
            AddUser::LoginTaken => InvitedPerson::LoginTaken,
            AddUser::TooMany => InvitedPerson::TooMany,
        })
    }

    /// Returns a new invitation for somebody, instead of earlier ones: for who lost the link, or forgot the password. The password, if
    /// there is one, stays valid until the invitation is accepted. `None` if there is nobody with this login.
    pub async fn invite_again(&self, login: &Login) -> Result<Option<(UserRecord, InvitationToken)>, StoreError> {
        let token: InvitationToken = fresh_token()?;
        let user = self.store().invite_user(login, &token.digest(), Utc::now()).await?;
        Ok(user.map(|user| (user, token)))
    }

    /// Removes a person. Within a second, no process accepts a session of the person.
    pub async fn remove(&self, login: &Login, last_admin: LastAdmin) -> Result<ChangeUser, StoreError> {
        self.store().remove_user(login, last_admin).await
    }

    /// Gives a person a role, which sessions have within a second.
    pub async fn set_role(&self, login: &Login, role: Role, last_admin: LastAdmin) -> Result<ChangeUser, StoreError> {
        self.store().set_role(login, role, last_admin).await
    }

    /// Gives a person a password, and ends all sessions and invitations of the person. Within a second, no process accepts them.
    pub async fn set_password(&self, login: &Login, password: &Password) -> Result<SetPassword, PeopleError> {
        if let Err(error) = password.check_choice(login) {
            return Ok(SetPassword::Password(error));
        }
        let hash = self.hashing().hash(password).await?;
        Ok(match self.store().set_password_hash(login, &hash).await? {
            ChangeUser::Changed(user) | ChangeUser::Unchanged(user) => SetPassword::Set(user),
            ChangeUser::LastAdmin | ChangeUser::Unknown => SetPassword::Unknown,
        })
    }

    /// Gives a person another password who knows the one before, and ends all sessions of the person. Within a second, no process
    /// accepts them; a new one begins.
    pub async fn change_password(
        &self,
        login: &Login,
        old: &Password,
        new: &Password,
    ) -> Result<ChangedPassword, PeopleError> {
        if let Err(error) = new.check_choice(login) {
            return Ok(ChangedPassword::Password(error));
        }
        let user = self.store().find_user(login).await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.as_deref());
        if self.hashing().compare(old, hash).await? == Comparison::Wrong {
            return Ok(ChangedPassword::WrongOld);
        }
        let set = self.set_password(login, new).await?;
        let signed_in =
            if matches!(set, SetPassword::Set(_)) { self.sign_in(login.as_str(), new).await? } else { None };
        // Somebody who was removed meanwhile has no password any more.
        Ok(signed_in.map_or(ChangedPassword::WrongOld, ChangedPassword::Changed))
    }

    pub async fn find_by_id(&self, id: Uuid) -> Result<Option<UserRecord>, StoreError> {
        self.store().find_user_by_id(id).await
    }

    pub async fn find(&self, login: &Login) -> Result<Option<UserRecord>, StoreError> {
        Ok(self.store().find_user(login).await?.map(|user| user.record))
    }

    /// Lists people by their logins, at most `limit`, from the first one after this login.
    pub async fn list(&self, after: Option<&Login>, limit: u32) -> Result<Vec<UserRecord>, StoreError> {
        self.store().list_users(after, limit).await
    }
}
