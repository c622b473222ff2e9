//! Hashes of passwords: argon2id, few at a time, because each takes 19 MiB and a processor for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{Error, PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use codemint_offers::access::password::Password;
use codemint_store::admission::entropy::fresh_salt;
use codemint_store::connection::error::StoreError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

/// Memory, passes and lanes: what OWASP recommends for argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// The number of hashes that are computed at the same time.
const AT_ONCE: usize = 2;
/// The number that may wait. Further ones are refused.
const WAITING_MAX: usize = 64;

/// Computes hashes of passwords. Clones share the limits.
#[derive(Clone, Debug)]
pub(crate) struct Hashing(Arc<Limits>);

#[derive(Debug)]
struct Limits {
    /// One for each hash that is computed or waits.
    places: Arc<Semaphore>,
    turns: Arc<Semaphore>,
    verified: AtomicU64,
}

/// The result of comparing a password with a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Right,
    /// It is right, and the hash was made with other parameters than those of today.
    RightButOutdated,
    Wrong,
}

/// The reason why there is no hash.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HashingError {
    #[error("too many passwords are compared at the same time")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The limits that a hash has taken. They are returned when it is computed, also if nobody waits for it any more.
struct Turn {
    _place: OwnedSemaphorePermit,
    _turn: OwnedSemaphorePermit,
}

impl Hashing {
    pub fn new() -> Self {
        Self::with_places(AT_ONCE + WAITING_MAX)
    }

    fn with_places(places: usize) -> Self {
        let (places, turns) = (Arc::new(Semaphore::new(places)), Arc::new(Semaphore::new(AT_ONCE)));
        Self(Arc::new(Limits { places, turns, verified: AtomicU64::new(0) }))
    }

    /// Returns the hash of a password with a new salt, as a PHC string.
    pub async fn hash(&self, password: &Password) -> Result<String, HashingError> {
        let (password, salt) = (password.clone(), fresh_salt().map_err(StoreError::from)?);
        self.compute(move || {
            let hash = hasher().hash_password_with_salt(password.as_bytes(), &salt);
            hash.expect("the parameters, the salt and the length are valid").to_string()
        })
        .await
    }

    /// Compares a password with the hash of a person; without one, with a hash that no password has. Both take the same time.
    ///
    /// # Errors
    /// If the hash is none of argon2.
    pub async fn compare(&self, password: &Password, hash: Option<&str>) -> Result<Comparison, HashingError> {
        let (password, hash) = (password.clone(), hash.map_or_else(hash_of_nobody, str::to_owned));
        self.0.verified.fetch_add(1, Ordering::Relaxed);
        let compared = self.compute(move || compare(&password, &hash)).await?;
        compared.map_err(|_parameters| {
            StoreError::Corrupt { table: "users", problem: "a hash of a password is not one of argon2".to_owned() }
                .into()
        })
    }

    /// Returns how often a password was compared with a hash.
    pub fn comparisons(&self) -> u64 {
        self.0.verified.load(Ordering::Relaxed)
    }

    async fn compute<T: Send + 'static>(
        &self,
        compute: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, HashingError> {
        let place = Arc::clone(&self.0.places).try_acquire_owned().map_err(|_none_free| HashingError::Busy)?;
        let turn = Arc::clone(&self.0.turns).acquire_owned().await.expect("nobody closes it");
        let turn = Turn { _place: place, _turn: turn };
        let computed = spawn_blocking(move || {
            let computed = compute();
            drop(turn);
            computed
        });
        Ok(computed.await.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic())))
    }
}

fn parameters() -> Params {
    Params::new(MEMORY_KIB, PASSES, LANES, None).expect("constants within the limits of argon2")
}

fn hasher() -> Argon2<'static> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters())
}

/// Returns a hash with the parameters of today that no password has: its bits are all zero.
fn hash_of_nobody() -> String {
    let (salt, hash) = ("A".repeat(22), "A".repeat(43));
    format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}${salt}${hash}")
}

fn compare(password: &Password, hash: &str) -> Result<Comparison, Error> {
    let hash = PasswordHash::new(hash).map_err(|_form| Error::EncodingInvalid)?;
    match hasher().verify_password(password.as_bytes(), &hash) {
        Ok(()) if is_current(&hash) => Ok(Comparison::Right),
        Ok(()) => Ok(Comparison::RightButOutdated),
        Err(Error::PasswordInvalid) => Ok(Comparison::Wrong),
        Err(error) => Err(error),
    }
}

fn is_current(hash: &PasswordHash) -> bool {
    let is_same = |found: &Params| (found.m_cost(), found.t_cost(), found.p_cost()) == (MEMORY_KIB, PASSES, LANES);
    hash.algorithm == Algorithm::Argon2id.ident()
        && hash.version == Some(Version::V0x13.into())
        && Params::try_from(hash).is_ok_and(|found| is_same(&found))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(text: &str) -> Password {
        text.parse().expect("a password")
    }

    #[tokio::test]
    async fn a_password_is_right_for_its_hash_only_and_each_hash_has_its_own_salt() {
        let hashing = Hashing::new();
        let right = password("seven green lamps");
        let (hash, other) = (hashing.hash(&right).await.expect("a hash"), hashing.hash(&right).await.expect("a hash"));
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, other);
        for (password, hash, expected) in [
            (&right, Some(&*hash), Comparison::Right),
            (&right, Some(&*other), Comparison::Right),
            (&password("seven green lampS"), Some(&*hash), Comparison::Wrong),
            (&password(""), Some(&*hash), Comparison::Wrong),
            (&right, None, Comparison::Wrong),
        ] {
            assert_eq!(hashing.compare(password, hash).await.expect("an answer"), expected);
        }
        assert_eq!(hashing.comparisons(), 5);
    }

    #[tokio::test]
    async fn the_hash_of_nobody_costs_what_a_hash_of_today_costs() {
        let nobody = hash_of_nobody();
        assert!(is_current(&PasswordHash::new(&nobody).expect("a hash")));
        let hash = Hashing::new().hash(&password("seven green lamps")).await.expect("a hash");
        assert_eq!(nobody.len(), hash.len());
    }

    #[tokio::test]
    async fn a_hash_with_other_parameters_is_right_and_outdated() {
        let right = password("seven green lamps");
        for (algorithm, version, parameters) in [
            (Algorithm::Argon2id, Version::V0x13, (8 * 1024, PASSES, LANES)),
            (Algorithm::Argon2id, Version::V0x13, (MEMORY_KIB, 1, LANES)),
            (Algorithm::Argon2id, Version::V0x13, (MEMORY_KIB, PASSES, 2)),
            (Algorithm::Argon2i, Version::V0x13, (MEMORY_KIB, PASSES, LANES)),
            (Algorithm::Argon2id, Version::V0x10, (MEMORY_KIB, PASSES, LANES)),
        ] {
            let (memory, passes, lanes) = parameters;
            let parameters = Params::new(memory, passes, lanes, None).expect("parameters");
            let old = Argon2::new(algorithm, version, parameters);
            let old = old.hash_password_with_salt(right.as_bytes(), &[7; 16]).expect("a hash").to_string();
            let compared = Hashing::new().compare(&right, Some(&old)).await.expect("an answer");
            assert_eq!(compared, Comparison::RightButOutdated, "{old}");
            let wrong = Hashing::new().compare(&password("six green lamps"), Some(&old)).await.expect("an answer");
            assert_eq!(wrong, Comparison::Wrong);
        }
    }

    #[tokio::test]
    async fn what_is_no_hash_of_argon2_is_reported_and_not_repeated() {
        for damaged in
            ["", "seven green lamps", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA"]
        {
            let compared = Hashing::new().compare(&password("seven green lamps"), Some(damaged)).await;
            match compared {
                Err(HashingError::Store(error)) => {
                    assert_eq!(
                        error.to_string(),
                        "the table users has an invalid row: a hash of a password is not one of argon2"
                    );
                }
                // Without a hash, no password is right.
                other => assert_eq!(other.expect("an answer"), Comparison::Wrong, "{damaged}"),
            }
        }
    }

    #[tokio::test]
    async fn passwords_beyond_the_limit_are_refused_at_once_and_later_ones_are_not() {
        let (hashing, right) = (Hashing::with_places(2), password("seven green lamps"));
        let held: Vec<_> =
            (0..2).map(|_| Arc::clone(&hashing.0.places).try_acquire_owned().expect("a place")).collect();
        assert!(matches!(hashing.compare(&right, None).await, Err(HashingError::Busy)));
        assert!(matches!(hashing.hash(&right).await, Err(HashingError::Busy)));
        drop(held);
        assert_eq!(hashing.compare(&right, None).await.expect("an answer"), Comparison::Wrong);
        // The place was returned.
        assert_eq!(hashing.0.places.available_permits(), 2);
    }
}
