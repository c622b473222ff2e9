//! Limits of what a key may ask, and of how often somebody may guess.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;

use axum::http::StatusCode;
use codemint_offers::access::guessing::counted_as;
use codemint_offers::verdict::reason::ReasonCode;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use uuid::Uuid;

use crate::api::click_limit::ClickLimit;
use crate::api::guessers::{Guess, Guesser, Guessers, throttled};
use crate::api::problem::{Kind, Problem, kind};

pub(super) const TOO_MANY_REQUESTS: Kind =
    kind(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "The API key is used too often");

/// How much is allowed; `None` for no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitSettings {
    /// Requests of a key in a second.
    pub requests_per_second: Option<NonZeroU32>,
    /// Wrong codes of an actor in a minute, or of a key whose requests name none; wrong keys of a client.
    pub failures_per_minute: Option<NonZeroU32>,
    /// Clicks of a client's address that count at once; as many more count in each minute, one after the other.
    pub clicks_per_minute: Option<NonZeroU32>,
}

/// The limits of one process.
#[derive(Debug)]
pub struct Limits {
    requests: Option<DefaultKeyedRateLimiter<Uuid>>,
    guessers: Option<Guessers>,
    hasher: RandomState,
    pub(crate) clicks: ClickLimit,
}

impl Limits {
    pub fn new(settings: LimitSettings) -> Self {
        Self {
            requests: settings.requests_per_second.map(|limit| RateLimiter::keyed(Quota::per_second(limit))),
            guessers: settings.failures_per_minute.map(Guessers::new),
            hasher: RandomState::new(),
            clicks: ClickLimit::new(settings.clicks_per_minute),
        }
    }

    /// Counts a request of a key.
    ///
    /// # Errors
    /// `too-many-requests`
    pub(crate) fn admit(&self, key: Uuid) -> Result<(), Problem> {
        let Some(requests) = &self.requests else { return Ok(()) };
        requests.check_key(&key).map_err(|until| {
            let wait = until.wait_time_from(DefaultClock::default().now());
            let detail = "the key has asked as often as server.rate_limit allows; spread the requests";
            throttled(TOO_MANY_REQUESTS, detail, wait)
        })
    }

    /// Begins a request that names a code.
    ///
    /// # Errors
    /// `too-many-attempts` while the guesser has to wait.
    pub(crate) fn begin_guess(&self, key: Uuid, actor: Option<&str>) -> Result<Guess<'_>, Problem> {
        let actor = actor.map(|actor| self.hasher.hash_one(actor));
        Guess::begin(self.guessers.as_ref(), Guesser::Codes { key, actor })
    }

    /// Counts an unknown key of a client. A request with a right key is never refused for it.
    ///
    /// # Errors
    /// `too-many-attempts` while the client has to wait.
    pub(crate) fn note_unknown_key(&self, client: IpAddr) -> Result<(), Problem> {
        let guesser = Guesser::Keys(counted_as(client));
        if let Some(guessers) = &self.guessers {
            guessers.require_no_pause(guesser)?;
            guessers.note(guesser);
        }
        Ok(())
    }

    /// Begins a sign-in of a client, which counts for the login as well. Waits while sign-ins before it may be the last ones that may
    /// fail.
    ///
    /// # Errors
    /// `too-many-attempts` while the client, or anybody with this login, has to wait.
    pub(crate) async fn begin_sign_in(&self, login: &str, client: IpAddr) -> Result<[Guess<'_>; 2], Problem> {
        let login = Guesser::Login(self.hasher.hash_one(login.trim().to_lowercase()));
        // Always in this order: a sign-in that waits for others with its login must not be waited for by them.
        Ok([self.begin_password(Guesser::Passwords(counted_as(client))).await?, self.begin_password(login).await?])
    }

    async fn begin_password(&self, guesser: Guesser) -> Result<Guess<'_>, Problem> {
        let mut guess = Guess::begin(self.guessers.as_ref(), guesser)?;
        if guess.waits() {
            // Any password may be wrong.
            guess.wait(std::future::ready(Ok(vec![ReasonCode::CodeNotFound.into()]))).await?;
        }
        Ok(guess)
    }
}
