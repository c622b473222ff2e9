//! The failures of guessers. Of the requests of a guesser that are being decided, no more may fail than it has failures left.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use codemint_campaigns::answers::RedeemError;
use codemint_offers::access::guessing::{Failures, is_failure};
use codemint_offers::verdict::reason::{Reason, ReasonCode};
use codemint_telemetry::metrics::http as metrics;
use tokio::sync::Notify;
use tokio::try_join;
use uuid::Uuid;

use crate::api::problem::{Kind, Problem, kind};

/// After this many failures, those that are over are forgotten.
const TIDY_EVERY: usize = 1000;
/// Beyond this many guessers within a few minutes, all are forgotten, so that they do not fill the memory.
const GUESSERS_MAX: usize = 100_000;
const TOO_MANY_ATTEMPTS: Kind = kind(
    StatusCode::TOO_MANY_REQUESTS,
    ReasonCode::TooManyAttempts.as_str(),
    "There were too many wrong codes or keys",
);

/// A key with an actor that its request names, or a client that names unknown keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guesser {
    /// The actor is a hash, since shops choose the text.
    Codes {
        key: Uuid,
        actor: Option<u64>,
    },
    Keys(IpAddr),
    /// A client that names wrong passwords.
    Passwords(IpAddr),
    /// The login whose password is guessed, as a hash.
    Login(u64),
}

/// The guessers of one process.
#[derive(Debug)]
pub(crate) struct Guessers {
    per_minute: NonZeroU32,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    failures: HashMap<Guesser, Failures>,
    lines: HashMap<Guesser, Line>,
    noted: usize,
}

/// The requests of a guesser that are not decided.
#[derive(Debug, Default)]
struct Line {
    /// The number of those that are being decided and may fail.
    open: u32,
    /// The number of those that wait.
    waiting: u32,
    gate: Arc<Gate>,
}

#[derive(Debug, Default)]
struct Gate {
    /// Requests that wait take their turns in the order in which they came.
    turn: tokio::sync::Mutex<()>,
    /// A request that was open is decided.
    decided: Notify,
}

/// A request of a guesser until it is decided.
#[derive(Debug)]
pub(crate) struct Guess<'a> {
    /// `None` without a limit.
    guessers: Option<&'a Guessers>,
    guesser: Guesser,
    standing: Standing,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Waiting,
    Open,
    /// It will not fail.
    Harmless,
}

impl Guessers {
    pub fn new(per_minute: NonZeroU32) -> Self {
        Self { per_minute, known: Mutex::default() }
    }

    /// # Errors
    /// `too-many-attempts` during a pause.
    pub fn require_no_pause(&self, guesser: Guesser) -> Result<(), Problem> {
        self.known().left(guesser, self.per_minute).map(|_failures| ()).map_err(|left| guesser.refused(left))
    }

    /// Counts a failure.
    pub fn note(&self, guesser: Guesser) {
        self.known().note(guesser, self.per_minute);
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> Guess<'a> {
    /// Begins a request. If it waits, [`Self::wait`] must come before its decision.
    ///
    /// # Errors
    /// `too-many-attempts` during a pause.
    pub fn begin(guessers: Option<&'a Guessers>, guesser: Guesser) -> Result<Self, Problem> {
        let mut guess = Self { guessers, guesser, standing: Standing::Harmless };
        if let Some(guessers) = guessers {
            let mut known = guessers.known();
            let left = known.left(guesser, guessers.per_minute).map_err(|left| guesser.refused(left))?;
            let has_room = known.lines.get(&guesser).is_none_or(|line| line.waiting == 0 && line.open < left);
            guess.standing = if has_room { Standing::Open } else { Standing::Waiting };
            known.enter(guesser, guess.standing);
        }
        Ok(guess)
    }

    pub fn waits(&self) -> bool {
        self.standing == Standing::Waiting
    }

    /// Waits until the requests before this one leave it a failure. `foreseen` are the reasons that are expected against it: without
    /// a failure among them, it makes no later one wait.
    ///
    /// # Errors
    /// `too-many-attempts` if the requests before it begin a pause.
    pub async fn wait(
        &mut self,
        foreseen: impl Future<Output = Result<Vec<Reason>, RedeemError>>,
    ) -> Result<(), Problem> {
        let Some(guessers) = self.guessers else { return Ok(()) };
        let gate = guessers.known().lines.entry(self.guesser).or_default().gate.clone();
        // The place in the line is taken before anything is awaited.
        let (_turn, foreseen) = try_join!(async { Ok(gate.turn.lock().await) }, foreseen)?;
        let standing = if is_failure(&foreseen) { Standing::Open } else { Standing::Harmless };
        while !self.pass(guessers, standing).map_err(|left| self.guesser.refused(left))? {
            gate.decided.notified().await;
        }
        Ok(())
    }

    /// Lets the first request of a line pass; false if it has to wait.
    fn pass(&mut self, guessers: &Guessers, standing: Standing) -> Result<bool, Duration> {
        let mut known = guessers.known();
        let left = known.left(self.guesser, guessers.per_minute)?;
        let has_room = known.lines.get(&self.guesser).is_none_or(|line| line.open < left);
        if has_room {
            known.leave(self.guesser, self.standing);
            known.enter(self.guesser, standing);
            self.standing = standing;
        }
        Ok(has_room)
    }

    /// Counts a refusal, if it is one of a guess: after too many, the guesser waits.
    pub fn note(&self, reasons: &[Reason]) {
        if is_failure(reasons) {
            self.note_failure();
        }
    }

    /// Counts a wrong code.
    pub fn note_failure(&self) {
        if let Some(guessers) = self.guessers {
            guessers.note(self.guesser);
        }
    }
}

impl Drop for Guess<'_> {
    fn drop(&mut self) {
        if let Some(guessers) = self.guessers {
            guessers.known().leave(self.guesser, self.standing);
        }
    }
}

impl Known {
    fn left(&self, guesser: Guesser, per_minute: NonZeroU32) -> Result<u32, Duration> {
        let now = Instant::now();
        self.failures.get(&guesser).copied().unwrap_or_else(|| Failures::none(now)).left(now, per_minute)
    }

    fn note(&mut self, guesser: Guesser, per_minute: NonZeroU32) {
        let now = Instant::now();
        self.noted += 1;
        if self.noted.is_multiple_of(TIDY_EVERY) {
            self.failures.retain(|_, failures| !failures.are_forgotten(now));
            if self.failures.len() > GUESSERS_MAX {
                self.failures.clear();
            }
        }
        self.failures.entry(guesser).or_insert_with(|| Failures::none(now)).note(now, per_minute);
    }

    fn enter(&mut self, guesser: Guesser, standing: Standing) {
        match standing {
            Standing::Waiting => self.lines.entry(guesser).or_default().waiting += 1,
            Standing::Open => self.lines.entry(guesser).or_default().open += 1,
            Standing::Harmless => {}
        }
    }

    fn leave(&mut self, guesser: Guesser, standing: Standing) {
        let Some(line) = self.lines.get_mut(&guesser) else { return };
        match standing {
            Standing::Waiting => line.waiting -= 1,
            Standing::Open => {
                line.open -= 1;
                line.gate.decided.notify_one();
            }
            Standing::Harmless => {}
        }
        if line.open == 0 && line.waiting == 0 {
            self.lines.remove(&guesser);
        }
    }
}

impl Guesser {
    /// Returns the problem of a request during a pause of which this time is left.
    fn refused(self, left: Duration) -> Problem {
        let detail = match self {
            Self::Codes { .. } => ReasonCode::TooManyAttempts.message(),
            Self::Keys(_) => "this address has sent too many unknown API keys; try again later",
            Self::Passwords(_) | Self::Login(_) => "There were too many wrong passwords; try again later.",
        };
        throttled(TOO_MANY_ATTEMPTS, detail, left)
    }
}

/// Returns the problem of a request that is one too many, and counts it.
pub(super) fn throttled(kind: Kind, detail: &str, wait: Duration) -> Problem {
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
        let guessers = Guessers::new(NonZeroU32::MIN);
        let client = |number: usize| IpAddr::from(u32::try_from(number).expect("an address").to_be_bytes());
        let known = || guessers.known().failures.len();
        for number in 0..2 * GUESSERS_MAX {
            guessers.note(Guesser::Keys(client(number)));
            assert!(known() <= GUESSERS_MAX + TIDY_EVERY, "{} after {number}", known());
        }
        assert!(known() >= TIDY_EVERY, "{}", known());
    }
}
