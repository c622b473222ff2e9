//! Limits of what a key may ask, and of how often somebody may guess.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use codemint_offers::access::guessing::{Pause, is_failure};
use codemint_offers::verdict::reason::{Reason, ReasonCode};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use uuid::Uuid;

use crate::api::problem::{Kind, Problem, kind};

/// After this many failures, those that are over are forgotten.
const TIDY_EVERY: usize = 1000;
pub(super) const TOO_MANY_REQUESTS: Kind =
    kind(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", "The API key is used too often");
const TOO_MANY_ATTEMPTS: Kind =
    kind(StatusCode::TOO_MANY_REQUESTS, ReasonCode::TooManyAttempts.as_str(), "There were too many wrong codes");

/// How much is allowed; `None` for no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct LimitSettings {
    /// Requests of a key in a second.
    pub requests_per_second: Option<NonZeroU32>,
    /// Wrong codes of an actor in a minute, or of a key whose requests name none.
    pub failures_per_minute: Option<NonZeroU32>,
}

/// The limits of one process.
#[derive(Debug)]
pub struct Limits {
    requests: Option<DefaultKeyedRateLimiter<Uuid>>,
    failures: Option<DefaultKeyedRateLimiter<Guesser>>,
    pauses: Mutex<Pauses>,
    hasher: RandomState,
}

/// A key, with an actor that its request names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Guesser {
    key: Uuid,
    /// A hash, since shops choose the text.
    actor: Option<u64>,
}

#[derive(Debug, Default)]
struct Pauses {
    of: HashMap<Guesser, (Instant, Pause)>,
    failures: usize,
}

impl Limits {
    pub fn new(settings: LimitSettings) -> Self {
        let per_second = |limit| RateLimiter::keyed(Quota::per_second(limit));
        let per_minute = |limit| RateLimiter::keyed(Quota::per_minute(limit));
        Self {
            requests: settings.requests_per_second.map(per_second),
            failures: settings.failures_per_minute.map(per_minute),
            pauses: Mutex::default(),
            hasher: RandomState::new(),
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
            Problem::new(TOO_MANY_REQUESTS, detail).retried_after(seconds(wait))
        })
    }

    pub(crate) fn guesser(&self, key: Uuid, actor: Option<&str>) -> Guesser {
        Guesser { key, actor: actor.map(|actor| self.hasher.hash_one(actor)) }
    }

    /// # Errors
    /// `too-many-attempts` while the guesser has to wait.
    pub(crate) fn may_guess(&self, guesser: Guesser) -> Result<(), Problem> {
        let pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((began, pause)) = pauses.of.get(&guesser) else { return Ok(()) };
        match pause.length().checked_sub(began.elapsed()) {
            Some(left) if !left.is_zero() => {
                let detail = Reason::from(ReasonCode::TooManyAttempts).message;
                Err(Problem::new(TOO_MANY_ATTEMPTS, detail).retried_after(seconds(left)))
            }
            _ => Ok(()),
        }
    }

    /// Counts a refusal, if it is one of a guess: after too many, the guesser waits.
    pub(crate) fn note(&self, guesser: Guesser, reasons: &[Reason]) {
        if is_failure(reasons) {
            self.note_failure(guesser);
        }
    }

    /// Counts a wrong code.
    pub(crate) fn note_failure(&self, guesser: Guesser) {
        let Some(failures) = &self.failures else { return };
        let is_too_many = failures.check_key(&guesser).is_err();
        let mut pauses = self.pauses.lock().unwrap_or_else(PoisonError::into_inner);
        pauses.failures += 1;
        if pauses.failures.is_multiple_of(TIDY_EVERY) {
            failures.retain_recent();
            pauses.of.retain(|_, (began, pause)| began.elapsed() < pause.remembered_for());
        }
        if is_too_many {
            let now = Instant::now();
            let before = pauses.of.get(&guesser).map(|(began, pause)| (began.elapsed(), *pause));
            pauses.of.insert(guesser, (now, Pause::after(before)));
        }
    }
}

/// Returns whole seconds, not fewer.
fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u32::MAX)
}
