//! Versions of definitions that this process has read. A version never changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::campaigns::definitions::definition_of;
use crate::connection::error::StoreError;
use crate::connection::transaction::StoreTransaction;
use codemint_offers::campaign::definition::Definition;

/// The maximum number of versions that are kept.
const VERSIONS_MAX: usize = 10_000;

/// A campaign and a version of its definition.
pub type VersionKey = (i64, u32);

/// The definitions that were read so far.
#[derive(Debug, Default)]
pub struct DefinitionCache(Mutex<HashMap<VersionKey, Arc<Definition>>>);

impl DefinitionCache {
    fn get(&self, key: VersionKey) -> Option<Arc<Definition>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    fn put(&self, key: VersionKey, definition: Arc<Definition>) {
        let mut versions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if versions.len() >= VERSIONS_MAX {
            versions.clear();
        }
        versions.insert(key, definition);
    }
}

impl StoreTransaction {
    /// Returns a version of a definition.
    pub(crate) async fn definition(
        &mut self,
        cache: &DefinitionCache,
        (campaign_no, version): VersionKey,
    ) -> Result<Arc<Definition>, StoreError> {
        const SQL: &str = "
            select cast(definition as text) from campaign_versions where campaign_no = $1 and version = $2";
        if let Some(definition) = cache.get((campaign_no, version)) {
            return Ok(definition);
        }
        let text: String = self.query(SQL).bind(campaign_no).bind(version.cast_signed()).fetch_value().await?;
        let definition = Arc::new(definition_of(&text)?);
        cache.put((campaign_no, version), Arc::clone(&definition));
        Ok(definition)
    }
}
