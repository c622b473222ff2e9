//! People who use the console: adding, finding and listing them. Of a password only the hash is stored.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::connection::error::{StoreError, require_rows};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry, Outcome};
use crate::records::rows::unsigned;
use codemint_offers::access::login::Login;
use codemint_offers::access::role::Role;
use codemint_offers::access::user::{USERS_MAX, UserRecord};

/// A person to add.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// Drawn by the caller, so that a repeated addition is recognized.
    pub id: Uuid,
    pub login: Login,
    pub role: Role,
    /// `None` until the person chooses a password.
    pub password_hash: Option<String>,
}

/// The result of adding a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AddUser {
    /// Also if the same addition was stored before.
    Added(UserRecord),
    /// Another person has this login. Nothing was changed.
    LoginTaken,
    /// There are [`USERS_MAX`] people. Nothing was changed.
    TooMany,
}

/// A person with what signing in needs.
#[derive(Clone, Debug)]
pub struct StoredUser {
    pub record: UserRecord,
    pub password_hash: Option<String>,
    /// One more ends all sessions that began before.
    pub generation: i64,
}

#[derive(FromRow)]
pub(crate) struct UserRow {
    id: Uuid,
    login: String,
    password_hash: Option<String>,
    role: String,
    generation: i64,
    created_at: DateTime<Utc>,
    signed_in_at: Option<DateTime<Utc>>,
}

impl TryFrom<UserRow> for StoredUser {
    type Error = StoreError;

    fn try_from(row: UserRow) -> Result<Self, StoreError> {
        let UserRow { id, login, password_hash, role, generation, created_at, signed_in_at } = row;
        let (login, role, has_password) = (stored_login(&login)?, stored_role(&role)?, password_hash.is_some());
        let record = UserRecord { id, login, role, has_password, created_at, signed_in_at };
        Ok(Self { record, password_hash, generation })
    }
}

pub(crate) fn stored_login(text: &str) -> Result<Login, StoreError> {
    text.parse().map_err(|_not_repeated| corrupt("a login is not valid"))
}

/// Reads a role. One of a newer program must not become one that permits something else.
pub(crate) fn stored_role(text: &str) -> Result<Role, StoreError> {
    text.parse().map_err(|_unknown| corrupt("a role is not known to this version"))
}

fn corrupt(problem: &str) -> StoreError {
    StoreError::Corrupt { table: "users", problem: problem.to_owned() }
}

const SELECT: &str = "select id, login, password_hash, role, generation, created_at, signed_in_at from users";

impl Store {
    /// Adds a person. The same addition can be repeated.
    pub async fn add_user(&self, user: &NewUser) -> Result<AddUser, StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.lock_people().await?;
        let added = transaction.add_user(user).await?;
        match added {
            AddUser::Added(_) => transaction.commit().await?,
            AddUser::LoginTaken | AddUser::TooMany => transaction.rollback().await?,
        }
        Ok(added)
    }

    /// Returns the person with this login.
    pub async fn find_user(&self, login: &Login) -> Result<Option<StoredUser>, StoreError> {
        let query = self.query(format!("{SELECT} where login = $1"));
        query.bind(login.as_str()).fetch_optional::<UserRow>().await?.map(StoredUser::try_from).transpose()
    }

    /// Returns the person with this id.
    pub async fn find_user_by_id(&self, id: Uuid) -> Result<Option<UserRecord>, StoreError> {
        let found: Option<UserRow> = self.query(format!("{SELECT} where id = $1")).bind(id).fetch_optional().await?;
        found.map(|row| StoredUser::try_from(row).map(|user| user.record)).transpose()
    }

    /// Lists people by their logins, at most `limit`, from the first one after this login.
    pub async fn list_users(&self, after: Option<&Login>, limit: u32) -> Result<Vec<UserRecord>, StoreError> {
        let query = self.query(format!("{SELECT} where login > $2 order by login limit $1"));
        let query = query.bind(i64::from(limit)).bind(after.map_or("", Login::as_str));
        let rows: Vec<UserRow> = query.fetch_all().await?;
        rows.into_iter().map(|row| StoredUser::try_from(row).map(|user| user.record)).collect()
    }

    /// Returns true if there is a person.
    pub async fn has_users(&self) -> Result<bool, StoreError> {
        let found: Option<(Uuid,)> = self.query("select id from users limit 1").fetch_optional().await?;
        Ok(found.is_some())
    }

    /// Replaces the hash of a password by one of the same password with other parameters, unless another password was set meanwhile.
    pub async fn replace_password_hash(&self, id: Uuid, before: &str, after: &str) -> Result<(), StoreError> {
        const SQL: &str = "update users set password_hash = $3 where id = $1 and password_hash = $2";
        let mut transaction = self.begin_writing().await?;
        transaction.query(SQL).bind(id).bind(before).bind(after).execute().await?;
        transaction.commit().await
    }
}

impl StoreTransaction {
    /// Adds a person, with the row in the audit log. Changes of people are locked.
    pub(crate) async fn add_user(&mut self, user: &NewUser) -> Result<AddUser, StoreError> {
        if let Some(found) = self.find_user_with_login(&user.login).await? {
            return Ok(if found.record.id == user.id { AddUser::Added(found.record) } else { AddUser::LoginTaken });
        }
        if self.count_users().await? >= USERS_MAX {
            return Ok(AddUser::TooMany);
        }
        const SQL: &str = "insert into users (id, login, role, password_hash) values ($1, $2, $3, $4)";
        let insert = self.query(SQL).bind(user.id).bind(user.login.as_str()).bind(user.role.into_str());
        require_rows("the insert of a user", insert.bind(user.password_hash.as_deref()).execute().await?, 1)?;
        let added = self.lock_user(user.id).await?.ok_or(sqlx::Error::RowNotFound)?.record;
        self.put_audit(&[user_entry(Action::UserAdd, Outcome::Done, &added)]).await?;
        Ok(AddUser::Added(added))
    }

    /// Returns a person, whom nobody else changes until the end of the transaction.
    pub(crate) async fn lock_user(&mut self, id: Uuid) -> Result<Option<StoredUser>, StoreError> {
        let query = self.query(format!("{SELECT} where id = $1 for update"));
        query.bind(id).fetch_optional::<UserRow>().await?.map(StoredUser::try_from).transpose()
    }

    pub(crate) async fn find_user_with_login(&mut self, login: &Login) -> Result<Option<StoredUser>, StoreError> {
        let query = self.query(format!("{SELECT} where login = $1"));
        query.bind(login.as_str()).fetch_optional::<UserRow>().await?.map(StoredUser::try_from).transpose()
    }

    pub(crate) async fn count_users(&mut self) -> Result<u64, StoreError> {
        unsigned("users", self.query("select count(*) from users").fetch_value::<i64>().await?)
    }
}

/// Returns an entry that names the person. Neither the password nor its hash is recorded.
pub(crate) fn user_entry(action: Action, outcome: Outcome, user: &UserRecord) -> AuditEntry {
    AuditEntry::new(action, outcome).with_detail(&format!("{}: {}", user.login, user.role.into_str()))
}
