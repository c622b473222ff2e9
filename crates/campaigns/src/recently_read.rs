//! What was read from the store lately, so that few requests wait for a look-up.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a value is believed to be as it was read: a change takes effect within this time and that of a look-up.
const FRESH_FOR: Duration = Duration::from_millis(500);
/// The maximum number of values that are kept.
const KEPT_MAX: usize = 20_000;

/// Values by their keys, each with the time at which its look-up began.
#[derive(Debug)]
pub(crate) struct RecentlyRead<K, V>(Mutex<HashMap<K, (V, Instant)>>);

impl<K: Eq + Hash, V: Clone> RecentlyRead<K, V> {
    pub fn new() -> Self {
        Self(Mutex::default())
    }

    /// Returns a value that is still fresh.
    pub fn find(&self, key: &K) -> Option<V> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(key).filter(|(_, read_at)| read_at.elapsed() < FRESH_FOR).map(|(value, _)| value.clone())
    }

    /// Keeps a value whose look-up began at this instant.
    pub fn keep(&self, key: K, value: V, read_at: Instant) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (value, read_at));
    }

    pub fn forget(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}
