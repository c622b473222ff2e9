//! Keeps the figures of redemptions fresh: expires holds that nobody has met, and adds up sums. Nothing depends on it but
//! figures: a request that meets a full limit expires overdue holds too. It also rewards referrers when their day has come.

use std::sync::Arc;

use crate::counting::{count_expired, count_rewarded};
use codemint_offers::redemption::transition::Action;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::redemptions::definition_cache::DefinitionCache;
use codemint_store::redemptions::overdue::OVERDUE_MAX;
use codemint_store::redemptions::tallies::DELTAS_AT_ONCE;
use codemint_store::redemptions::transitions::{Move, MoveOptions};
use codemint_store::referrals::rewards::REWARDS_AT_ONCE;

/// What one look has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The number of holds that have expired.
    pub expired: u64,
    /// The number of changes that were added up.
    pub added_up: u64,
    /// The number of referrals whose reward was due.
    pub rewards: u64,
}

impl Kept {
    /// Returns true if there is probably more to do.
    pub const fn is_full(&self) -> bool {
        self.expired >= OVERDUE_MAX.cast_unsigned()
            || self.added_up >= DELTAS_AT_ONCE.cast_unsigned()
            || self.rewards >= REWARDS_AT_ONCE.cast_unsigned()
    }
}

/// Looks after redemptions. Any number of processes may do so at once.
#[derive(Clone, Debug)]
pub struct RedemptionKeeper {
    store: Store,
    definitions: Arc<DefinitionCache>,
    emits_events: bool,
}

impl RedemptionKeeper {
    /// With `emits_events`, expired holds and rewards are reported to the broker.
    pub fn new(store: Store, emits_events: bool) -> Self {
        Self { store, definitions: Arc::default(), emits_events }
    }

    /// Expires overdue holds, adds up sums and rewards referrers, a bounded number of each. Call it again soon if it had something to do.
    pub async fn look(&self) -> Result<Kept, StoreError> {
        let expired = match self.expire_overdue().await {
            Err(error) if error.is_retryable() => return Err(error),
            expired => expired,
        };
        // Nothing waits for a hold that cannot be expired, and rewards do not wait for sums.
        let added_up = self.store.add_up_tallies().await;
        let rewards = self.store.reward_referrals(self.emits_events).await?;
        count_rewarded(&rewards);
        Ok(Kept { expired: expired?, added_up: added_up?, rewards: rewards.due })
    }

    /// Returns the number of holds that have expired.
    async fn expire_overdue(&self) -> Result<u64, StoreError> {
        let overdue = self.store.find_overdue().await?;
        if overdue.is_empty() {
            return Ok(0);
        }
        let moves: Vec<Move> = overdue.into_iter().map(|id| Move::new(id, Action::Expire)).collect();
        let options = MoveOptions { emits_events: self.emits_events, audits: false, skips_locked: true };
        Ok(count_expired(&self.store.move_redemptions(&self.definitions, &moves, options).await?))
    }
}
