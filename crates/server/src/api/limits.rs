//! Limits of what a key may ask, and of how often somebody may guess.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use codemint_offers::access::guessing::{Pause, counted_as, is_failure};
use codemint_offers::verdict::reason::{Reason, ReasonCode};
use codemint_telemetry::metrics::http as metrics;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use uuid::Uuid;

use crate::api::click_limit::ClickLimit;
use crate::api::problem::{Kind, Problem, kind};

/// After this many failures, those that are over are forgotten.
const TIDY_EVERY: usize = 1000;
/// Beyond this many guessers within a few minutes, all are forgotten, so that they do not fill the memory.
const GUESSERS_MAX: usize = 100_000;
pub(super) const TOO_MANY_REQUESTS: Kind =
    kind(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "The API key is used too often");
const TOO_MANY_ATTEMPTS: Kind = kind(
    StatusCode::TOO_MANY_REQUESTS,
    ReasonCode::TooManyAttempts.as_str(),
    "There were too many wrong codes or keys",
);

/// How much is allowed; `None` for no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitSettings {
    /// Requests of a key in a second.
    pub requests_per_second: Option<NonZeroU32>,
    /// Wrong codes of an actor in a minute, or of a key whose requests name none; wrong keys of a client.
    pub failures_per_minute: Option<NonZeroU32>,
    /// Clicks of a client's address that count in a minute.
    pub clicks_per_minute: Option<NonZeroU32>,
}

/// The limits of one process.
#[derive(Debug)]
pub struct Limits {
    requests: Option<DefaultKeyedRateLimiter<Uuid>>,
    guessers: Option<Mutex<Guessers>>,
    hasher: RandomState,
    pub(crate) clicks: ClickLimit,
}

/// A key with an actor that its request names, or a client that names unknown keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guesser {
    /// The actor is a hash, since shops choose the text.
    OfCodes {
        key: Uuid,
        actor: Option<u64>,
    },
    OfKeys(IpAddr),
    /// A client that names wrong passwords.
    OfPasswords(IpAddr),
    /// The login whose password is guessed, as a hash.
    OfLogin(u64),
}

/// The failures that count, and the pauses that they led to.
#[derive(Debug)]
struct Guessers {
    quota: Quota,
    failures: DefaultKeyedRateLimiter<Guesser>,
    pauses: HashMap<Guesser, (Instant, Pause)>,
    noted: usize,
}

impl Limits {
    pub fn new(settings: LimitSettings) -> Self {
        let quota = settings.failures_per_minute.map(Quota::per_minute);
        Self {
            requests: settings.requests_per_second.map(|limit| RateLimiter::keyed(Quota::per_second(limit))),
            guessers: quota.map(|quota| Mutex::new(Guessers::new(quota))),
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

    pub(crate) fn guesser(&self, key: Uuid, actor: Option<&str>) -> Guesser {
        Guesser::OfCodes { key, actor: actor.map(|actor| self.hasher.hash_one(actor)) }
    }

    /// # Errors
    /// `too-many-attempts` while the guesser has to wait.
    pub(crate) fn may_guess(&self, guesser: Guesser) -> Result<(), Problem> {
        self.require_no_pause(guesser, ReasonCode::TooManyAttempts.message())
    }

    /// Counts an unknown key of a client. A request with a right key is never refused for it.
    ///
    /// # Errors
    /// `too-many-attempts` while the client has to wait.
    pub(crate) fn note_unknown_key(&self, client: IpAddr) -> Result<(), Problem> {
        let guesser = Guesser::OfKeys(counted_as(client));
        self.require_no_pause(guesser, "this address has sent too many unknown API keys; try again later")?;
        self.note_failure(guesser);
        Ok(())
    }

    /// # Errors
    /// `too-many-attempts` while the client, or anybody with this login, has to wait.
    pub(crate) fn may_sign_in(&self, login: &str, client: IpAddr) -> Result<(), Problem> {
        let detail = "There were too many wrong passwords; try again later.";
        self.sign_in_guessers(login, client).into_iter().try_for_each(|guesser| self.require_no_pause(guesser, detail))
    }

    pub(crate) fn note_failed_sign_in(&self, login: &str, client: IpAddr) {
        self.sign_in_guessers(login, client).into_iter().for_each(|guesser| self.note_failure(guesser));
    }

    fn sign_in_guessers(&self, login: &str, client: IpAddr) -> [Guesser; 2] {
        let login = self.hasher.hash_one(login.trim().to_lowercase());
        [Guesser::OfPasswords(counted_as(client)), Guesser::OfLogin(login)]
    }

    fn require_no_pause(&self, guesser: Guesser, detail: &str) -> Result<(), Problem> {
        match self.guessers().and_then(|guessers| guessers.pause_left(guesser)) {
            Some(left) => Err(throttled(TOO_MANY_ATTEMPTS, detail, left)),
            None => Ok(()),
        }
    }

    /// Counts a refusal, if it is one of a guess: after too many, the guesser waits.
    pub(crate) fn note(&self, guesser: Guesser, reasons: &[Reason]) {
        if is_failure(reasons) {
            self.note_failure(guesser);
        }
    }

    /// Counts a wrong code or key.
    pub(crate) fn note_failure(&self, guesser: Guesser) {
        if let Some(mut guessers) = self.guessers() {
            guessers.note(guesser);
        }
    }

    fn guessers(&self) -> Option<MutexGuard<'_, Guessers>> {
        self.guessers.as_ref().map(|guessers| guessers.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Guessers {
    fn new(quota: Quota) -> Self {
        Self { quota, failures: RateLimiter::keyed(quota), pauses: HashMap::new(), noted: 0 }
    }

    fn pause_left(&self, guesser: Guesser) -> Option<Duration> {
        let (began, pause) = self.pauses.get(&guesser)?;
        pause.length().checked_sub(began.elapsed()).filter(|left| !left.is_zero())
    }

    fn note(&mut self, guesser: Guesser) {
        self.noted += 1;
        if self.noted.is_multiple_of(TIDY_EVERY) {
            self.tidy();
        }
        if self.failures.check_key(&guesser).is_err() {
            let before = self.pauses.get(&guesser).map(|(began, pause)| (began.elapsed(), *pause));
            self.pauses.insert(guesser, (Instant::now(), Pause::after(before)));
        }
    }

    fn tidy(&mut self) {
        self.failures.retain_recent();
        self.pauses.retain(|_, (began, pause)| began.elapsed() < pause.remembered_for());
        if self.failures.len().max(self.pauses.len()) > GUESSERS_MAX {
            *self = Self::new(self.quota);
        }
    }
}

/// Returns the problem of a request that is one too many, and counts it.
fn throttled(kind: Kind, detail: &str, wait: Duration) -> Problem {
    metrics::throttled(kind.code);
    Problem::new(kind, detail).retried_after(seconds(wait))
}

/// Returns whole seconds, not fewer.
fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_guessers_is_bounded() {
        let limit = LimitSettings { failures_per_minute: NonZeroU32::new(1), ..LimitSettings::default() };
        let limits = Limits::new(limit);
        let client = |number: usize| IpAddr::from(u32::try_from(number).expect("an address").to_be_bytes());
        let known = || limits.guessers().map_or(0, |guessers| guessers.failures.len().max(guessers.pauses.len()));
        for number in 0..2 * GUESSERS_MAX {
            limits.note_failure(Guesser::OfKeys(client(number)));
            assert!(known() <= GUESSERS_MAX + TIDY_EVERY, "{} after {number}", known());
        }
        assert!(known() >= TIDY_EVERY, "{}", known());
    }
}
