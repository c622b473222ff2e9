//! Sessions of people who have signed in: when they end, and how their forms are recognized.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use subtle::ConstantTimeEq;

use crate::access::token::{Purpose, Token};

/// The secret by which a browser with a session is recognized.
///
/// ```
/// use codemint_offers::access::session::{FormToken, SessionToken};
///
/// let token = SessionToken::new([7; 32]);
/// let sent: SessionToken = token.text().parse().expect("a token");
/// assert!(sent.digest().matches(&token.digest()));
/// assert!(FormToken::of(&token).matches(&FormToken::of(&sent).text()));
/// assert_eq!(format!("{token:?}"), "SessionToken(secret)");
/// ```
pub type SessionToken = Token<OfSession>;

/// Tokens are for sessions.
#[derive(Debug)]
pub enum OfSession {}

impl Purpose for OfSession {
    const NAME: &'static str = "SessionToken";
    const DOMAIN: &'static str = "codemint session";
}

/// A session ends this long after its last use.
pub const SESSION_IDLE_END: TimeDelta = TimeDelta::hours(12);
/// A session ends this long after its beginning, however it is used.
pub const SESSION_END: TimeDelta = TimeDelta::days(7);
/// The uses of a session are noted at most once in this time, so that a busy one costs few writes.
pub const SESSION_USE_NOTED_EVERY: TimeDelta = TimeDelta::minutes(1);
/// The number of sessions of a person; one more ends the oldest.
pub const SESSIONS_MAX: u32 = 50;

/// The times of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    pub created_at: DateTime<Utc>,
    /// The last use that was noted, up to [`SESSION_USE_NOTED_EVERY`] before the last use.
    pub seen_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

/// Whether a session may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionState {
    Live,
    /// It was not used for [`SESSION_IDLE_END`].
    Idle,
    /// It is older than [`SESSION_END`].
    Expired,
}

impl SessionRecord {
    /// Returns whether the session may be used at an instant. The clock of the store, which wrote the times, may be ahead.
    pub fn state(&self, now: DateTime<Utc>) -> SessionState {
        if self.expires_at <= now {
            SessionState::Expired
        } else if self.seen_at <= now - SESSION_IDLE_END {
            SessionState::Idle
        } else {
            SessionState::Live
        }
    }

    /// Returns true if a use at this instant is to be noted.
    pub fn notes_use(&self, now: DateTime<Utc>) -> bool {
        self.seen_at <= now - SESSION_USE_NOTED_EVERY
    }
}

/// What each form of a session carries, so that no other site can send one in its name. It follows from the session's token, which it
/// does not reveal. `Debug` does not show it.
#[derive(Clone, Copy)]
pub struct FormToken([u8; 32]);

impl FormToken {
    pub fn of(session: &SessionToken) -> Self {
        Self(session.derived("codemint form"))
    }

    /// Returns what a form carries.
    pub fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0)
    }

    /// Returns true if a form sent this one, in constant time.
    pub fn matches(&self, sent: &str) -> bool {
        self.text().as_bytes().ct_eq(sent.as_bytes()).into()
    }
}

impl fmt::Debug for FormToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FormToken(secret)")
    }
}
