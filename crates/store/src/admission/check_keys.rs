//! The check key of new jobs: that of the newest job of the same mask, unless the request accepts a new one.

use std::collections::HashMap;

use uuid::Uuid;

use crate::admission::new_jobs::NewJob;
use crate::connection::error::StoreError;
use crate::connection::transaction::StoreTransaction;
use codemint_codes::policy::{OtherCheckKey, check_key_of_new_job};

impl StoreTransaction {
    /// Returns those of these jobs whose check key is to be refused.
    pub(crate) async fn find_other_check_keys(
        &mut self,
        news: &[&NewJob<'_>],
    ) -> Result<Vec<(Uuid, OtherCheckKey)>, StoreError> {
        let mut newest_of_masks: HashMap<&str, Option<String>> = HashMap::new();
        let mut refused = Vec::new();
        for new in news {
            let Some(ours) = new.request.policy.marks(&new.request.mask).check_fingerprint else { continue };
            let mask = new.canonical_mask.as_str();
            let newest = match newest_of_masks.get(mask) {
                Some(newest) => newest,
                None => {
                    let newest = self.find_newest_check_key(mask).await?;
                    &*newest_of_masks.entry(mask).or_insert(newest)
                }
            };
            let accepts_new = new.request.options.new_check_key;
            if let Err(other) = check_key_of_new_job(&ours, newest.as_deref(), accepts_new) {
                refused.push((new.id, other));
            }
        }
        Ok(refused)
    }

    /// Returns the fingerprint of the key of the newest job of the mask that has codes or may still get some. Jobs are read
    /// backwards from the newest one; a mask that is not in use yet needs none.
    async fn find_newest_check_key(&mut self, mask: &str) -> Result<Option<String>, StoreError> {
        const MASK: &str = "select mask_no from masks where mask = $1";
        const NEWEST: &str = "
            select check_fingerprint from jobs
             where mask_no = $1 and check_fingerprint is not null and coalesce(minted, 1) > 0
             order by no desc
             limit 1";
        let in_use: Option<(i64,)> = self.query(MASK).bind(mask).fetch_optional().await?;
        let Some((mask_no,)) = in_use else { return Ok(None) };
        let newest: Option<(String,)> = self.query(NEWEST).bind(mask_no).fetch_optional().await?;
        Ok(newest.map(|(fingerprint,)| fingerprint))
    }
}
