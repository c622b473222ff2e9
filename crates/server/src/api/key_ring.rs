//! The API keys that were used lately, so that few requests wait for a look-up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::Utc;
use codemint_offers::access::key::KeyDigest;
use codemint_offers::access::record::{KeyRecord, KeyState};
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;

/// How long a key is believed to be as it was read: a revocation takes effect within this time and that of a look-up.
const FRESH_FOR: Duration = Duration::from_millis(500);
/// The maximum number of keys that are kept.
const KEPT_MAX: usize = 20_000;

/// The keys that were used lately, as they were read.
#[derive(Debug)]
pub struct KeyRing {
    store: Store,
    kept: Mutex<HashMap<[u8; KeyDigest::LENGTH_BYTES], Kept>>,
}

#[derive(Clone, Debug)]
struct Kept {
    record: Arc<KeyRecord>,
    read_at: Instant,
}

impl KeyRing {
    pub fn new(store: Store) -> Self {
        Self { store, kept: Mutex::default() }
    }

    /// Returns the key with this digest, if it may be used.
    pub(crate) async fn find(&self, digest: &KeyDigest) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(digest.as_bytes()).cloned();
        let record = match kept.filter(|kept| kept.read_at.elapsed() < FRESH_FOR) {
            Some(kept) => kept.record,
            None => match self.read(digest).await? {
                Some(record) => record,
                None => return Ok(None),
            },
        };
        Ok(Some(record).filter(|record| record.state(Utc::now()) == KeyState::Usable))
    }

    async fn read(&self, digest: &KeyDigest) -> Result<Option<Arc<KeyRecord>>, StoreError> {
        let read_at = Instant::now();
        let found = self.store.find_key_by_digest(digest).await?.map(Arc::new);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Some(record) => {
                if kept.len() >= KEPT_MAX {
                    kept.clear();
                }
                kept.insert(*digest.as_bytes(), Kept { record: Arc::clone(record), read_at });
            }
            None => drop(kept.remove(digest.as_bytes())),
        }
        drop(kept);
        if let Some(record) = found.clone().filter(|record| record.notes_use(Utc::now())) {
            let store = self.store.clone();
            // No request waits for it, and none fails because of it.
            tokio::spawn(async move {
                if let Err(error) = store.note_use_of_key(record.id, Utc::now()).await {
                    tracing::debug!(%error, "the use of a key was not noted");
                }
            });
        }
        Ok(found)
    }
}
