//! Redemptions of the past: uses that are decided as at their own times, in the order of time, and written in bulk. Nobody else uses
//! the store meanwhile. The decisions are those of [`redeem`](crate::redemptions::redeem) and
//! [`transitions`](crate::redemptions::transitions), with another clock.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::connection::error::{StoreError, reach, require_rows};
use crate::connection::locks::locks_of_uses;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::redemptions::allowances::NewAllowance;
use crate::redemptions::candidates::{Candidate, candidate};
use crate::redemptions::definition_cache::DefinitionCache;
use crate::redemptions::effects::Effects;
use crate::redemptions::facts::{Asked, Facts, Subjects};
use crate::redemptions::rows::{insert_sql, json_of, row_of};
use crate::redemptions::transitions::Locked;
use crate::referrals::changes::ReferralChanges;
use codemint_offers::redemption::ledger::{Allowance, Ledger, Subject};
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::state::State;
use codemint_offers::redemption::transition::{Action, Outcome, takings};
use codemint_telemetry::failpoint;

/// The number of uses that one transaction writes at most.
pub const PAST_AT_ONCE: usize = 5000;

/// A use of the past, and what became of it.
#[derive(Clone, Debug)]
pub struct PastUse {
    pub asked: Asked,
    pub at: DateTime<Utc>,
    /// Actions in the order of time. A confirmation comes before the deadline, and has no other cart.
    pub then: Vec<(DateTime<Utc>, Action)>,
}

/// Writes uses of the past, batch by batch. After an error the value is of no use.
#[derive(Debug, Default)]
pub struct PastRedemptions {
    cache: DefinitionCache,
    /// Redemptions that something is still to become of.
    open: HashMap<Uuid, Open>,
    due: BTreeMap<(DateTime<Utc>, Uuid), Action>,
    pub granted: u64,
    pub refused: u64,
}

/// A redemption, with the digest of its identity. `Debug` shows neither.
struct Open {
    redemption: Redemption,
    identity: Option<String>,
    /// The state in which the store has it; `None` if it is not stored yet.
    stored: Option<State>,
    /// The number of actions that are planned.
    left: usize,
}

/// What one transaction decides.
struct Batch {
    locked: Locked,
    ledger: Ledger,
    effects: Effects,
    referrals: ReferralChanges,
    changed: BTreeSet<Uuid>,
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").field("redemption", &self.redemption).field("left", &self.left).finish_non_exhaustive()
    }
}

impl PastRedemptions {
    /// Decides uses, which are in the order of time, and what has become of earlier ones until this time. Returns the codes that friends
    /// got, by the redemption of each.
    ///
    /// # Errors
    /// After any error nothing was written, unless the commit itself failed.
    pub async fn write(
        &mut self,
        store: &Store,
        uses: Vec<PastUse>,
        until: DateTime<Utc>,
    ) -> Result<HashMap<Uuid, String>, StoreError> {
        let asked: Vec<Asked> = uses.iter().map(|one| one.asked.clone()).collect();
        let due: BTreeSet<Uuid> = self
            .due
            .range(..=(until, Uuid::max()))
            .map(|((_, id), _)| *id)
            .filter(|id| self.open.contains_key(id))
            .collect();
        let mut subjects = Subjects::of(&asked);
        subjects.campaign_nos.extend(due.iter().map(|id| self.open[id].redemption.campaign_no));
        // Orders need no locks: nobody else uses them.
        let locks = locks_of_uses(&subjects.campaign_nos, &BTreeSet::new());
        let mut transaction = store.begin_writing_by_keys(&locks).await?;
        let mut facts = transaction.read_facts(&self.cache, &subjects).await?;
        let asked = facts.addressed(&asked).into_owned();
        transaction.read_referrals_of(&mut facts, &asked).await?;
        let mut limited = facts.limited_subjects(&asked);
        limited.extend(self.subjects_of(&due, &facts)?);
        let allowances = transaction.read_allowances(&limited, true).await?;
        transaction.lock_referrals(&mut facts.referrals, &subjects.campaign_nos).await?;
        let mut batch = Batch::new(facts, allowances);
        due.iter().try_for_each(|id| batch.add(&self.open[id]))?;
        for (one, asked) in uses.into_iter().zip(&asked) {
            self.act_until(one.at, &mut batch)?;
            self.decide(asked, one, &mut batch)?;
        }
        self.act_until(until, &mut batch)?;
        let friends = self.store(&mut transaction, batch).await?;
        reach(failpoint::REDEMPTIONS_WRITTEN).await?;
        transaction.commit().await?;
        reach(failpoint::REDEMPTIONS_COMMITTED).await?;
        Ok(friends)
    }

    /// Returns the limited subjects of which these redemptions take.
    fn subjects_of(&self, ids: &BTreeSet<Uuid>, facts: &Facts) -> Result<BTreeSet<Subject>, StoreError> {
        let mut subjects = BTreeSet::new();
        for id in ids {
            let Open { redemption, identity, .. } = &self.open[id];
            let limits = &facts.campaign(redemption.campaign_no)?.definition.limits;
            let takings = takings(redemption, identity.as_deref());
            subjects.extend(takings.limited(limits).map(|(subject, ..)| subject.clone()));
        }
        Ok(subjects)
    }

    fn decide(&mut self, asked: &Asked, one: PastUse, batch: &mut Batch) -> Result<(), StoreError> {
        batch.locked.facts.now = one.at;
        let verdict = batch.locked.facts.verdict(asked, &batch.ledger)?;
        if !verdict.is_valid() {
            tracing::debug!(reasons = ?verdict.reasons, "a planned use is refused");
            self.refused += 1;
            return Ok(());
        }
        let Candidate { redemption, takings, .. } = candidate(asked, &batch.locked.facts, &verdict)?;
        let campaign = batch.locked.facts.campaign(asked.campaign_no)?.clone();
        for (subject, quota, _) in takings.limited(&campaign.definition.limits) {
            if subject.is_made_at_first_use() && batch.ledger.get(subject).is_none() {
                batch.ledger.put(subject.clone(), Allowance { quota, taken: 0 });
            }
        }
        batch.ledger.take(&takings);
        batch.effects.deltas.add(&redemption, campaign.definition.zone);
        let facts = &mut batch.locked.facts;
        let friend = asked.identity.as_deref();
        batch.referrals.add(&mut facts.referrals, &campaign.definition, None, &redemption, friend, one.at);
        facts.change_earlier(&redemption, campaign.definition.exclusive);
        let id = redemption.id;
        let open = Open { redemption, identity: asked.identity.clone(), stored: None, left: one.then.len() };
        batch.add(&open)?;
        batch.changed.insert(id);
        self.open.insert(id, open);
        self.due.extend(one.then.into_iter().map(|(at, action)| ((at, id), action)));
        self.granted += 1;
        Ok(())
    }

    /// Carries out what was planned up to this time, in the order of time.
    fn act_until(&mut self, until: DateTime<Utc>, batch: &mut Batch) -> Result<(), StoreError> {
        while let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= until) {
            let ((at, id), action) = first.remove_entry();
            let Some(open) = self.open.get_mut(&id) else { continue };
            open.left -= 1;
            batch.locked.facts.now = at;
            let outcome = batch.locked.act(&open.redemption, &action, &batch.ledger);
            let Outcome::Changed(after) = outcome else { continue };
            batch.locked.apply(&open.redemption, &after, &mut batch.ledger, &mut batch.effects);
            let facts = &mut batch.locked.facts;
            let definition = facts.campaign(after.campaign_no)?.definition.clone();
            let (before, friend) = (Some(open.redemption.state), open.identity.as_deref());
            batch.referrals.add(&mut facts.referrals, &definition, before, &after, friend, at);
            facts.change_earlier(&after, definition.exclusive);
            open.redemption = *after;
            batch.changed.insert(id);
        }
        Ok(())
    }

    /// Writes what was decided, and forgets redemptions that nothing more becomes of.
    async fn store(
        &mut self,
        transaction: &mut StoreTransaction,
        batch: Batch,
    ) -> Result<HashMap<Uuid, String>, StoreError> {
        let (mut new, mut changed) = (Vec::new(), Vec::new());
        for id in &batch.changed {
            let open = &self.open[id];
            match open.stored {
                None => new.push(open.redemption.clone()),
                Some(before) => changed.push((before, open.redemption.clone())),
            }
        }
        transaction.insert_past(&new).await?;
        transaction.update_redemptions(&changed).await?;
        transaction.put_past_allowances(&batch.locked.allowances, &batch.ledger).await?;
        let mut referrals = transaction.put_referrals(&batch.referrals, false, batch.locked.facts.now).await?;
        transaction.put_effects(&batch.effects, false).await?;
        let mut friends = HashMap::new();
        for mut redemption in new {
            referrals.put_into(&mut redemption);
            let code = redemption.referral.and_then(|referred| referred.issued_code);
            friends.extend(code.map(|code| (redemption.id, code)));
        }
        for id in batch.changed {
            if let Some(open) = self.open.get_mut(&id) {
                open.stored = Some(open.redemption.state);
            }
        }
        self.open.retain(|_, open| open.left > 0);
        Ok(friends)
    }
}

impl Batch {
    fn new(facts: Facts, allowances: Ledger) -> Self {
        let ledger = allowances.clone();
        let locked = Locked {
            redemptions: HashMap::new(),
            identities: HashMap::new(),
            definitions: HashMap::new(),
            zones: HashMap::new(),
            facts,
            allowances,
        };
        let (effects, referrals) = (Effects::default(), ReferralChanges::default());
        Self { locked, ledger, effects, referrals, changed: BTreeSet::new() }
    }

    /// Takes up what actions on a redemption need.
    fn add(&mut self, open: &Open) -> Result<(), StoreError> {
        let Redemption { id, campaign_no, .. } = &open.redemption;
        self.locked.zones.insert(*id, self.locked.facts.campaign(*campaign_no)?.definition.zone);
        self.locked.identities.extend(open.identity.clone().map(|identity| (*id, identity)));
        Ok(())
    }
}

impl StoreTransaction {
    /// Inserts redemptions, which are in the order of their ids.
    async fn insert_past(&mut self, new: &[Redemption]) -> Result<(), StoreError> {
        if new.is_empty() {
            return Ok(());
        }
        let rows = json_of(new.iter().map(row_of))?;
        let inserted: Vec<Uuid> = self.query(insert_sql("$1")).bind(rows).fetch_values().await?;
        require_rows("the insert of redemptions of the past", inserted.len() as u64, new.len() as u64)
    }

    /// Writes what is taken now, of allowances that were locked before and of new ones.
    async fn put_past_allowances(&mut self, before: &Ledger, now: &Ledger) -> Result<(), StoreError> {
        let is_new = |subject: &Subject| before.get(subject).is_none();
        let new: Vec<NewAllowance> = now
            .iter()
            .filter(|(subject, _)| is_new(subject))
            .map(|(subject, allowance)| NewAllowance {
                subject: subject.clone(),
                quota: allowance.quota,
                taken: allowance.taken,
            })
            .collect();
        let inserted = self.insert_allowances(&new).await?;
        require_rows("the insert of allowances", inserted.len() as u64, new.len() as u64)?;
        let mut changes = now.changes_since(before);
        changes.retain(|(subject, _)| !is_new(subject));
        self.change_allowances(&changes).await
    }
}
