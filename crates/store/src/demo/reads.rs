//! What the filling of a demo reads of what was minted and issued.

use std::collections::HashMap;

use crate::connection::error::StoreError;
use crate::connection::store::Store;

impl Store {
    /// Returns the codes that identities own in a campaign, by their digests.
    pub async fn find_codes_by_owner(
        &self,
        campaign_no: i64,
        digests: &[String],
    ) -> Result<HashMap<String, String>, StoreError> {
        let mut snapshot = self.begin_reading().await?;
        let found = snapshot.find_codes_of(campaign_no, digests).await?;
        snapshot.rollback().await?;
        Ok(found)
    }
}
