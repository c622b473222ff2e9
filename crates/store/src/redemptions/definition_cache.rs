//! Versions of definitions that this process has read. A version never changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::campaigns::definitions::definition_of;
use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
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

    /// Returns the definitions of campaigns, each of this version or of a later one, by their numbers. Those that the process does not know are
    /// read together.
    pub(crate) async fn current_definitions(
        &mut self,
        cache: &DefinitionCache,
        keys: &[VersionKey],
    ) -> Result<HashMap<i64, Arc<Definition>>, StoreError> {
        const SQL: &str = "
            select p.no, p.version, cast(v.definition as text)
              from campaigns p
              join campaign_versions v on v.campaign_no = p.no and v.version = p.version
             where p.no = any($1)";
        let mut definitions = HashMap::with_capacity(keys.len());
        definitions.extend(keys.iter().filter_map(|key| Some((key.0, cache.get(*key)?))));
        let unknown: Vec<i64> = keys.iter().map(|(no, _)| *no).filter(|no| !definitions.contains_key(no)).collect();
        if unknown.is_empty() {
            return Ok(definitions);
        }
        let rows: Vec<(i64, i32, String)> = self.query(SQL).bind(List(&unknown)).fetch_all().await?;
        for (no, version, text) in rows {
            let definition = Arc::new(definition_of(&text)?);
            cache.put((no, unsigned("campaigns", version)?), Arc::clone(&definition));
            definitions.insert(no, definition);
        }
        Ok(definitions)
    }
}
