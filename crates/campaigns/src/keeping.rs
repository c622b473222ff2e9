//! Keeps the figures of redemptions fresh: expires holds that nobody has met, and adds up sums. Nothing depends on it but
//! figures: whoever meets a full limit expires overdue holds too.

use codemint_offers::redemption::transition::Action;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::redemptions::definition_cache::DefinitionCache;
use codemint_store::redemptions::transitions::{Move, MoveOptions, Moved};

/// What one look has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// The number of holds that have expired.
    pub expired: u64,
    /// The number of changes that were added up.
    pub added_up: u64,
}

/// Looks after redemptions. Any number of processes may do so at once.
#[derive(Debug)]
pub struct RedemptionKeeper {
    store: Store,
    definitions: DefinitionCache,
    emits_events: bool,
}

impl RedemptionKeeper {
    /// With `emits_events`, expired holds are reported to the broker.
    pub fn new(store: Store, emits_events: bool) -> Self {
        Self { store, definitions: DefinitionCache::default(), emits_events }
    }

    /// Expires overdue holds and adds up sums, a bounded number of each. Call it again soon if it had something to do.
    pub async fn look(&self) -> Result<Kept, StoreError> {
        let overdue = self.store.find_overdue().await?;
        let mut kept = Kept::default();
        if !overdue.is_empty() {
            let moves: Vec<Move> = overdue.into_iter().map(|id| Move { id, action: Action::Expire }).collect();
            let options = MoveOptions { emits_events: self.emits_events, audits: false, skips_locked: true };
            let moved = self.store.move_redemptions(&self.definitions, &moves, options).await?;
            let has_expired = |moved: &&Moved| matches!(moved, Moved::Done { is_changed: true, .. });
            kept.expired = moved.iter().filter(has_expired).count() as u64;
        }
        kept.added_up = self.store.add_up_tallies().await?;
        Ok(kept)
    }
}
