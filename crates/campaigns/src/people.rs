//! People who use the console: signing in, sessions, invitations, and who may do what.

use std::sync::Arc;
use std::time::Instant;

use chrono::{DateTime, Utc};
use codemint_offers::access::invitation::InvitationToken;
use codemint_offers::access::login::Login;
use codemint_offers::access::password::{Password, PasswordError};
use codemint_offers::access::role::Role;
use codemint_offers::access::session::{SessionState, SessionToken};
use codemint_offers::access::token::TokenDigest;
use codemint_store::access::invitations::{AcceptInvitation, Acceptance, Invitee};
use codemint_store::access::sessions::StoredSession;
use codemint_store::access::users::StoredUser;
use codemint_store::admission::entropy::fresh_token;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_telemetry::metrics::sign_ins as metrics;
use uuid::Uuid;

use crate::hashing::{Comparison, Hashing, HashingError};
use crate::recently_read::RecentlyRead;

/// The people of a store. Clones share what they keep in memory.
#[derive(Clone, Debug)]
pub struct People(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Store,
    hashing: Hashing,
    sessions: RecentlyRead<[u8; TokenDigest::LENGTH_BYTES], Arc<StoredSession>>,
}

/// A person who has signed in, with the token of the new session.
#[derive(Clone, Debug)]
pub struct SignedIn {
    pub token: SessionToken,
    pub visitor: Visitor,
}

/// A person with a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visitor {
    pub user_id: Uuid,
    pub login: Login,
    pub role: Role,
}

/// A person who may accept an invitation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invited {
    /// `None` for the first person, who chooses one.
    pub login: Option<Login>,
    pub role: Role,
}

/// The result of accepting an invitation.
#[derive(Clone, Debug)]
pub enum Accepted {
    SignedIn(SignedIn),
    /// It is unknown, was used, replaced by another one, or has expired. Nothing was changed.
    NotValid,
    /// The password may not be chosen. Nothing was changed, and the invitation stays valid.
    Password(PasswordError),
}

/// The reason why a password was not compared or stored.
#[derive(Debug, thiserror::Error)]
pub enum PeopleError {
    /// Temporary: many sign in at the same time.
    #[error("too many passwords are checked at the same time; try again in a few seconds")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<HashingError> for PeopleError {
    fn from(error: HashingError) -> Self {
        match error {
            HashingError::Busy => Self::Busy,
            HashingError::Store(error) => Self::Store(error),
        }
    }
}

impl People {
    pub fn new(store: Store) -> Self {
        Self(Arc::new(Shared { store, hashing: Hashing::new(), sessions: RecentlyRead::new() }))
    }

    /// Signs a person in with a password. `None` for an unknown login, a wrong password, and a person without a password: a hash is
    /// compared in each case, so that the time does not show which one it was.
    pub async fn sign_in(&self, login: &str, password: &Password) -> Result<Option<SignedIn>, PeopleError> {
        let user = self.find_user(login).await?;
        let hash = user.as_ref().and_then(|user| user.password_hash.as_deref());
        let compared = self.0.hashing.compare(password, hash).await;
        if matches!(compared, Err(HashingError::Busy)) {
            metrics::signed_in("busy");
        }
        let comparison = compared?;
        let Some((user, hash)) = user.as_ref().zip(hash).filter(|_known| comparison != Comparison::Wrong) else {
            return Ok(refused("a sign-in to the console was refused"));
        };
        if comparison == Comparison::RightButOutdated {
            let renewed = self.0.hashing.hash(password).await?;
            self.0.store.replace_password_hash(user.record.id, hash, &renewed).await?;
        }
        Ok(self.begin_session(user).await?)
    }

    /// Signs a person in whom a trusted proxy has recognized. `None` for an unknown login.
    pub async fn sign_in_trusted(&self, login: &str) -> Result<Option<SignedIn>, StoreError> {
        match self.find_user(login).await? {
            Some(user) => self.begin_session(&user).await,
            None => Ok(refused("a proxy named a person who is unknown to the console")),
        }
    }

    /// Returns the person with this session, as of at most a second ago. The idle end moves with the use.
    pub async fn find_session(&self, token: &SessionToken) -> Result<Option<Visitor>, StoreError> {
        let digest = token.digest();
        let session = match self.0.sessions.find(digest.as_bytes()) {
            Some(session) => session,
            None => match self.read_session(&digest).await? {
                Some(session) => session,
                None => return Ok(None),
            },
        };
        let is_live = session.times.state(Utc::now()) == SessionState::Live;
        Ok(is_live.then(|| Visitor::of_session(&session)))
    }

    /// Ends a session: at once in this process, within a second in others. It can be repeated.
    pub async fn sign_out(&self, token: &SessionToken) -> Result<(), StoreError> {
        let digest = token.digest();
        let ended = self.0.store.end_session(&digest).await;
        self.0.sessions.forget(digest.as_bytes());
        ended
    }

    /// Returns a new invitation for the first person, instead of earlier ones; `None` if there is somebody.
    pub async fn first_invitation(&self) -> Result<Option<InvitationToken>, StoreError> {
        if self.0.store.has_users().await? {
            return Ok(None);
        }
        let token = fresh_token()?;
        Ok(self.0.store.invite_first(&token.digest(), Utc::now()).await?.then_some(token))
    }

    /// Returns who is invited by an invitation that is valid.
    pub async fn invitation(&self, token: &InvitationToken) -> Result<Option<Invited>, StoreError> {
        let invitee = self.0.store.find_invitation(&token.digest(), Utc::now()).await?;
        Ok(invitee.map(|invitee| match invitee {
            Invitee::First => Invited { login: None, role: Role::Admin },
            Invitee::User { login, role, .. } => Invited { login: Some(login), role },
        }))
    }

    /// Accepts an invitation, once: the person gets the password and is signed in. The login is that of the first person; others have
    /// one already, and theirs stays.
    pub async fn accept(
        &self,
        token: &InvitationToken,
        login: &Login,
        password: &Password,
    ) -> Result<Accepted, PeopleError> {
        // Before a hash is computed, which takes a while.
        let Some(invited) = self.invitation(token).await? else { return Ok(Accepted::NotValid) };
        if let Err(error) = password.check_choice(invited.login.as_ref().unwrap_or(login)) {
            return Ok(Accepted::Password(error));
        }
        let password_hash = &self.0.hashing.hash(password).await?;
        let session: SessionToken = fresh_token().map_err(StoreError::from)?;
        let (invitation, digest, now) = (&token.digest(), &session.digest(), Utc::now());
        let acceptance = Acceptance { invitation, login, password_hash, session: digest, now };
        let AcceptInvitation::Accepted(user) = self.0.store.accept_invitation(&acceptance).await? else {
            return Ok(Accepted::NotValid);
        };
        tracing::info!(user = %user.id, "an invitation to the console was accepted");
        let visitor = Visitor { user_id: user.id, login: user.login, role: user.role };
        Ok(Accepted::SignedIn(SignedIn { token: session, visitor }))
    }

    /// Returns how often a password was compared with a hash, for tests: a sign-in compares once, whatever it finds.
    pub fn comparisons(&self) -> u64 {
        self.0.hashing.comparisons()
    }

    pub(crate) fn store(&self) -> &Store {
        &self.0.store
    }

    pub(crate) fn hashing(&self) -> &Hashing {
        &self.0.hashing
    }

    /// A text that is no login is one that nobody has.
    async fn find_user(&self, login: &str) -> Result<Option<StoredUser>, StoreError> {
        match login.parse() {
            Ok(login) => self.0.store.find_user(&login).await,
            Err(_not_a_login) => Ok(None),
        }
    }

    /// `None` if the person was removed or got another password since the look-up.
    async fn begin_session(&self, user: &StoredUser) -> Result<Option<SignedIn>, StoreError> {
        let token: SessionToken = fresh_token()?;
        if !self.0.store.begin_session(user, &token.digest(), Utc::now()).await? {
            return Ok(refused("a person was removed or got another password while signing in to the console"));
        }
        metrics::signed_in("accepted");
        let user = &user.record;
        tracing::info!(user = %user.id, "a person has signed in to the console");
        let visitor = Visitor { user_id: user.id, login: user.login.clone(), role: user.role };
        Ok(Some(SignedIn { token, visitor }))
    }

    async fn read_session(&self, digest: &TokenDigest) -> Result<Option<Arc<StoredSession>>, StoreError> {
        let (read_at, now) = (Instant::now(), Utc::now());
        let Some(session) = self.0.store.find_session(digest).await?.map(Arc::new) else {
            self.0.sessions.forget(digest.as_bytes());
            return Ok(None);
        };
        if session.times.state(now) == SessionState::Live {
            self.0.sessions.keep(*digest.as_bytes(), Arc::clone(&session), read_at);
            self.note_use(&session, *digest, now);
        }
        Ok(Some(session))
    }

    /// No request waits for it, and none fails because of it.
    fn note_use(&self, session: &StoredSession, digest: TokenDigest, now: DateTime<Utc>) {
        if !session.times.notes_use(now) {
            return;
        }
        let store = self.0.store.clone();
        tokio::spawn(async move {
            if let Err(error) = store.note_use_of_session(&digest, now).await {
                tracing::debug!(%error, "the use of a session was not noted");
            }
        });
    }
}

/// Logs and counts a sign-in that was refused. What was typed as a login may be a password, and is not logged.
fn refused(message: &'static str) -> Option<SignedIn> {
    metrics::signed_in("refused");
    tracing::info!("{message}");
    None
}

impl Visitor {
    fn of_session(session: &StoredSession) -> Self {
        Self { user_id: session.user_id, login: session.login.clone(), role: session.role }
    }
}
