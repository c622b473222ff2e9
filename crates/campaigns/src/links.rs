//! The campaigns that links lead to, as they were at most a second ago.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::figures::clicks::LinkedCampaign;

/// How long a campaign is kept before it is read again.
const AGE_MAX: Duration = Duration::from_secs(1);
/// The maximum number of names that are kept.
const NAMES_MAX: usize = 10_000;

/// A campaign, or none of this name.
type Found = Option<Arc<LinkedCampaign>>;

/// The campaigns that links lead to.
#[derive(Debug)]
pub struct LinkedCampaigns {
    store: Store,
    kept: Mutex<HashMap<String, (Instant, Found)>>,
}

impl LinkedCampaigns {
    pub fn new(store: Store) -> Self {
        Self { store, kept: Mutex::default() }
    }

    /// Finds a campaign. While the store is away, a campaign that is known is answered as it was.
    pub async fn find(&self, name: &str) -> Result<Found, StoreError> {
        let known = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some((_, found)) = known.as_ref().filter(|(read_at, _)| read_at.elapsed() < AGE_MAX) {
            return Ok(found.clone());
        }
        let found = match self.store.find_linked_campaign(name).await {
            Ok(found) => found.map(Arc::new),
            Err(error) => match known {
                Some((_, Some(known))) => return Ok(Some(known)),
                _ => return Err(error),
            },
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() >= NAMES_MAX {
            kept.clear();
        }
        kept.insert(name.to_owned(), (Instant::now(), found.clone()));
        Ok(found)
    }
}
