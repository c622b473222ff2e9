//! Makes referrals void, and revokes rewards that nothing stands for any more.

use std::collections::HashMap;

use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::transaction::StoreTransaction;
use codemint_offers::referral::event::ReferralChanged;
use codemint_offers::referral::state::ReferralState;

/// A redemption that was rolled back, and whose use was given back.
pub(super) struct RolledBack {
    pub redemption_id: Uuid,
    /// The name of the referral campaign.
    pub campaign: String,
    /// The name of the campaign that rewards its referrers.
    pub reward_campaign: Option<String>,
}

impl StoreTransaction {
    /// Makes the referrals of these redemptions void, and returns those that were not before. The referrers are locked: nobody else changes
    /// their referrals.
    pub(super) async fn void_referrals(
        &mut self,
        rolled_back: &[RolledBack],
    ) -> Result<Vec<ReferralChanged>, StoreError> {
        const VOID: &str = "
            update referrals set state = 'void', reward_due_at = null
             where redemption_id = any($1::uuid[]) and state <> 'void'
            returning redemption_id, referrer_id, reward_code";
        // After this, no other transaction is rewarding the person with this code again.
        const LOCK: &str = "select code from assignments where code = $1 for update";
        // A code that the referrer had before is not the reward's. A person has one code of a campaign that rewards, also if several
        // referral campaigns reward with it.
        const REVOKE: &str = "
            update assignments set revoked_at = now()
             where code = $1 and trigger_id like 'referral:%' and revoked_at is null
               and not exists (
                   select 1
                     from referrers r
                     join referrals f on f.referrer_id = r.id
                    where r.address = (select address from referrers where id = $2)
                      and f.state = 'rewarded' and f.reward_code = $1)";
        if rolled_back.is_empty() {
            return Ok(Vec::new());
        }
        let by_id: HashMap<Uuid, &RolledBack> = rolled_back.iter().map(|one| (one.redemption_id, one)).collect();
        let ids: Vec<Uuid> = rolled_back.iter().map(|one| one.redemption_id).collect();
        let void: Vec<(Uuid, Uuid, Option<String>)> = self.query(VOID).bind(List(&ids)).fetch_all().await?;
        let changed = void.iter().filter_map(|(id, referrer_id, _)| Some(by_id.get(id)?.referral(*referrer_id)));
        let changed = changed.collect();
        let mut rewards: Vec<(String, Uuid)> =
            void.into_iter().filter_map(|(_, referrer, code)| Some((code?, referrer))).collect();
        // In one order, so that nobody waits in a circle.
        rewards.sort_unstable();
        rewards.dedup();
        for (code, referrer_id) in rewards {
            self.query(LOCK).bind(&code).fetch_values::<String>().await?;
            self.query(REVOKE).bind(code).bind(referrer_id).execute().await?;
        }
        Ok(changed)
    }
}

impl RolledBack {
    /// Returns the referral that became void.
    fn referral(&self, referrer_id: Uuid) -> ReferralChanged {
        ReferralChanged {
            redemption_id: self.redemption_id,
            referrer_id,
            campaign: self.campaign.clone(),
            state: ReferralState::Void,
            reward_campaign: self.reward_campaign.clone(),
            reward_due_at: None,
        }
    }
}
