//! Makes referrals void, and revokes rewards that nothing stands for any more.

use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::transaction::StoreTransaction;

impl StoreTransaction {
    /// Makes the referrals of these redemptions void. The referrers are locked: nobody else changes their referrals.
    pub(super) async fn void_referrals(&mut self, redemption_ids: &[Uuid]) -> Result<(), StoreError> {
        const VOID: &str = "
            update referrals set state = 'void', reward_due_at = null
             where redemption_id = any($1::uuid[]) and state <> 'void'
            returning referrer_id, reward_code";
        // A code that the referrer had before is not the reward's.
        const REVOKE: &str = "
            update assignments set revoked_at = now()
             where code = $1 and trigger_id like 'referral:%' and revoked_at is null
               and not exists (select 1 from referrals f
                                where f.referrer_id = $2 and f.state = 'rewarded' and f.reward_code = $1)";
        if redemption_ids.is_empty() {
            return Ok(());
        }
        let void: Vec<(Uuid, Option<String>)> = self.query(VOID).bind(List(redemption_ids)).fetch_all().await?;
        let mut rewards: Vec<(String, Uuid)> =
            void.into_iter().filter_map(|(referrer, code)| Some((code?, referrer))).collect();
        // In one order, so that nobody waits in a circle.
        rewards.sort_unstable();
        rewards.dedup();
        for (code, referrer_id) in rewards {
            self.query(REVOKE).bind(code).bind(referrer_id).execute().await?;
        }
        Ok(())
    }
}
