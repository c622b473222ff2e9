//! What becomes of redemptions: confirmed, released, expired, rolled back. Many are decided in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use chrono_tz::Tz;
use uuid::Uuid;

use crate::connection::error::{StoreError, reach, require_rows};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::actor::Caller;
use crate::records::audit::{self, AuditEntry};
use crate::redemptions::allowances::NewAllowance;
use crate::redemptions::definition_cache::DefinitionCache;
use crate::redemptions::effects::Effects;
use crate::redemptions::facts::{Facts, Lock, Subjects};
use crate::redemptions::rows::{json_of, row_of};
use crate::referrals::changes::ReferralChanges;
use codemint_codes::identity::IdentityKey;
use codemint_offers::access::reason::Reason;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::condition::facts::Facts as ConditionFacts;
use codemint_offers::redemption::event::Event;
use codemint_offers::redemption::ledger::{Ledger, Scope, Subject};
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::state::State;
use codemint_offers::redemption::transition::{Action, ConfirmFacts, Outcome, act, takings};
use codemint_offers::verdict::facts::Context;
use codemint_offers::verdict::reason::Reason as Refusal;
use codemint_telemetry::failpoint;

/// An action on a redemption.
#[derive(Clone, Debug)]
pub struct Move {
    pub id: Uuid,
    pub action: Action,
    /// The person who acts, if one does in the console: the audit log records it.
    pub by_hand: Option<ByHand>,
}

/// A person who acts on a redemption in the console, and why.
#[derive(Clone, Debug)]
pub struct ByHand {
    pub caller: Caller,
    pub reason: Reason,
}

impl Move {
    /// Returns an action that no person of the console takes.
    pub const fn new(id: Uuid, action: Action) -> Self {
        Self { id, action, by_hand: None }
    }
}

/// The answer to an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// The redemption as it stands; it had been changed before, or there was nothing to do, unless `is_changed`.
    Done {
        redemption: Box<Redemption>,
        is_changed: bool,
    },
    Unknown,
    WrongState(State),
    DifferentRequest,
    Refused(Vec<Refusal>),
    /// Somebody else is changing it. Only where locked rows are skipped.
    Locked,
}

/// How a transaction of actions is carried out.
#[derive(Clone, Copy, Debug, Default)]
pub struct MoveOptions {
    pub emits_events: bool,
    /// What people do by hand is recorded in the audit log.
    pub audits: bool,
    /// Redemptions that somebody else has locked are left as they are.
    pub skips_locked: bool,
}

/// Redemptions that are locked, with what their actions are decided on.
pub(super) struct Locked {
    pub(super) redemptions: HashMap<Uuid, Redemption>,
    /// The digest of the identity of each redemption.
    pub(super) identities: HashMap<Uuid, String>,
    /// For a redemption that may be confirmed anew: the definition to decide on.
    pub(super) definitions: HashMap<Uuid, Definition>,
    /// The zone in which the day of each redemption is meant.
    pub(super) zones: HashMap<Uuid, Tz>,
    pub(super) facts: Facts,
    pub(super) allowances: Ledger,
}

impl Store {
    /// Carries out actions in this order, and answers in the same. No two are about the same redemption. After an unknown
    /// commit, the same call again finds what was committed.
    ///
    /// # Errors
    /// After any error nothing was changed, unless the commit itself failed.
    pub async fn move_redemptions(
        &self,
        cache: &DefinitionCache,
        moves: &[Move],
        options: MoveOptions,
    ) -> Result<Vec<Moved>, StoreError> {
        let key = self.identity_key().await?;
        let mut transaction = self.begin_writing_by_keys("").await?;
        let (answers, has_changed) = transaction.move_redemptions(cache, &key, moves, options).await?;
        if has_changed {
            reach(failpoint::REDEMPTIONS_WRITTEN).await?;
            transaction.commit().await?;
            reach(failpoint::REDEMPTIONS_COMMITTED).await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(answers)
    }
}

impl StoreTransaction {
    /// Also returns true if anything was changed.
    async fn move_redemptions(
        &mut self,
        cache: &DefinitionCache,
        key: &IdentityKey,
        moves: &[Move],
        options: MoveOptions,
    ) -> Result<(Vec<Moved>, bool), StoreError> {
        let mut locked = self.lock_redemptions(cache, key, moves, options).await?;
        let (mut ledger, mut effects) = (locked.allowances.clone(), Effects::default());
        let mut referrals = ReferralChanges::default();
        let (mut answers, mut changed) = (Vec::with_capacity(moves.len()), Vec::new());
        let mut entries = Vec::new();
        for one in moves {
            let Some(before) = locked.redemptions.get(&one.id) else {
                answers.push(if options.skips_locked { Moved::Locked } else { Moved::Unknown });
                continue;
            };
            let outcome = locked.act(before, &one.action, &ledger);
            let after = match &outcome {
                Outcome::Changed(after) | Outcome::Refused { expired: Some(after), .. } => Some(after),
                _ => None,
            };
            if let Some(after) = after {
                locked.apply(before, after, &mut ledger, &mut effects);
                let (state, friend) = (before.state, locked.identity(before).map(str::to_owned));
                let campaign = Arc::clone(&locked.facts.campaign(after.campaign_no)?.definition);
                let Facts { referrals: known, now, .. } = &mut locked.facts;
                referrals.add(known, &campaign, Some(state), after, friend.as_deref(), *now);
                let is_exclusive = locked.definitions.get(&one.id).is_some_and(|definition| definition.exclusive);
                locked.facts.change_earlier(after, is_exclusive);
                changed.push((state, (**after).clone()));
                entries.extend(entry(one, after).filter(|_| options.audits || one.by_hand.is_some()));
            }
            answers.push(answer(before, outcome));
        }
        effects
            .add_exhausted(&locked.allowances, &ledger, locked.facts.now, |no| locked.facts.campaign(no).ok().cloned());
        self.update_redemptions(&changed).await?;
        self.change_allowances(&ledger.changes_since(&locked.allowances)).await?;
        reach(failpoint::ALLOWANCES_CHANGED).await?;
        let mut referrals = self.put_referrals(&referrals, options.emits_events, locked.facts.now).await?;
        for answer in &mut answers {
            if let Moved::Done { redemption, is_changed: true } = answer {
                referrals.put_into(redemption);
            }
        }
        self.put_effects(&effects, options.emits_events).await?;
        self.put_audit(&entries).await?;
        Ok((answers, !changed.is_empty()))
    }

    /// Locks campaigns, orders, redemptions and allowances, in this order.
    async fn lock_redemptions(
        &mut self,
        cache: &DefinitionCache,
        key: &IdentityKey,
        moves: &[Move],
        options: MoveOptions,
    ) -> Result<Locked, StoreError> {
        let ids: Vec<Uuid> = moves.iter().map(|one| one.id).collect();
        // What they belong to never changes, so it may be read without locks.
        let known = self.read_redemptions(&ids, Lock::No).await?;
        let ids: Vec<Uuid> = known.iter().map(|known| known.id).collect();
        let confirmed: BTreeSet<Uuid> =
            moves.iter().filter(|one| matches!(one.action, Action::Confirm { .. })).map(|one| one.id).collect();
        let is_confirmed = |redemption: &&Redemption| confirmed.contains(&redemption.id);
        let subjects = Subjects {
            campaign_nos: known.iter().map(|known| known.campaign_no).collect(),
            codes: known.iter().filter(is_confirmed).map(|known| (known.code.as_str(), known.campaign_no)).collect(),
            may_vanish: Vec::new(),
            identities: known.iter().filter(is_confirmed).filter_map(|known| known.identity.as_deref()).collect(),
            orders: known.iter().filter(is_confirmed).filter_map(|known| known.order.as_deref()).collect(),
        };
        self.lock_uses(&subjects.campaign_nos, &subjects.orders).await?;
        let lock = if options.skips_locked { Lock::SkipLocked } else { Lock::Wait };
        let redemptions = self.read_redemptions(&ids, lock).await?;
        let mut facts = self.read_facts(cache, &subjects).await?;
        let mut identities = HashMap::new();
        for redemption in &redemptions {
            identities.extend(redemption.identity.as_ref().map(|text| (redemption.id, key.digest_of_stored(text))));
        }
        let is_referral = |redemption: &&Redemption| {
            let is_rolled_back = redemption.state == State::Confirmed;
            facts.is_referral(redemption.campaign_no) && (is_confirmed(redemption) || is_rolled_back)
        };
        let of_referral: Vec<&Redemption> = redemptions.iter().filter(is_referral).collect();
        let codes = of_referral.iter().map(|redemption| redemption.code.clone()).collect();
        let friends = of_referral.iter().filter_map(|redemption| identities.get(&redemption.id).cloned()).collect();
        facts.referrals = self.read_referrals(codes, friends).await?;
        let (mut definitions, mut zones) = (HashMap::new(), HashMap::new());
        for redemption in &redemptions {
            let held = self.definition(cache, (redemption.campaign_no, redemption.version)).await?;
            zones.insert(redemption.id, held.zone);
            if is_confirmed(&redemption) {
                let current = &facts.campaign(redemption.campaign_no)?.definition;
                let is_late = redemption.state == State::Expired || redemption.is_overdue(facts.now);
                definitions.insert(redemption.id, held.to_confirm(current, is_late));
            }
        }
        let redemptions: HashMap<Uuid, Redemption> =
            redemptions.into_iter().map(|redemption| (redemption.id, redemption)).collect();
        let mut locked = Locked { redemptions, identities, definitions, zones, facts, allowances: Ledger::default() };
        self.insert_allowances(&locked.missing()?).await?;
        reach(failpoint::ALLOWANCES_LOCKED).await?;
        locked.allowances = self.read_allowances(&locked.subjects(), true).await?;
        self.lock_referrals(&mut locked.facts.referrals, &subjects.campaign_nos).await?;
        Ok(locked)
    }

    /// Changes redemptions, each if it is still in the state that was read.
    pub(super) async fn update_redemptions(&mut self, changed: &[(State, Redemption)]) -> Result<(), StoreError> {
        const SQL: &str = "
            update redemptions as r
               set state = n.state, keep_use = n.keep_use, discount = n.discount, order_amount = n.order_amount,
                   currency = n.currency, lines = n.lines, confirm_digest = n.confirm_digest, ended_at = n.ended_at,
                   context = n.context
              from json_to_recordset($1::json)
                as n(id uuid, state_before text, state text, keep_use boolean, discount bigint, order_amount bigint,
                     currency text, lines json, confirm_digest bytea, ended_at timestamptz, context json)
             where r.id = n.id and r.state = n.state_before";
        if changed.is_empty() {
            return Ok(());
        }
        let rows = changed.iter().map(|(before, redemption)| row_of(redemption).if_in(*before));
        let updated = self.query(SQL).bind(json_of(rows)?).execute().await?;
        require_rows("the change of redemptions", updated, changed.len() as u64)
    }
}

impl Locked {
    fn identity(&self, redemption: &Redemption) -> Option<&str> {
        self.identities.get(&redemption.id).map(String::as_str)
    }

    /// Returns all subjects of which the redemptions take.
    fn subjects(&self) -> BTreeSet<Subject> {
        let of_one = |redemption: &Redemption| {
            // A confirmation with another cart may be in another currency.
            let definition = self.definitions.get(&redemption.id);
            let budget = definition.and_then(|definition| definition.limits.budget);
            let mut subjects: Vec<Subject> =
                takings(redemption, self.identity(redemption)).iter().map(|(subject, _)| subject.clone()).collect();
            subjects.extend(budget.map(|budget| Subject {
                scope: Scope::Budget,
                campaign_no: redemption.campaign_no,
                subject: budget.currency.code().to_owned(),
            }));
            subjects
        };
        self.redemptions.values().flat_map(of_one).collect()
    }

    /// Returns empty allowances for confirmations that take again: those of codes and identities are made at the first use,
    /// which may have been before there was a limit.
    fn missing(&self) -> Result<Vec<NewAllowance>, StoreError> {
        let mut missing = BTreeMap::new();
        for redemption in self.redemptions.values().filter(|redemption| !redemption.counts()) {
            let Some(definition) = self.definitions.get(&redemption.id) else { continue };
            let takings = takings(redemption, self.identity(redemption));
            for (subject, quota, _) in takings.limited(&definition.limits) {
                let allowance = NewAllowance { subject: subject.clone(), quota, taken: 0 };
                missing.insert(subject.clone(), allowance);
            }
        }
        Ok(missing.into_values().collect())
    }

    pub(super) fn act(&self, redemption: &Redemption, action: &Action, ledger: &Ledger) -> Outcome {
        let (now, identity) = (self.facts.now, self.identity(redemption));
        let current = self.facts.campaign(redemption.campaign_no).map(|campaign| &*campaign.definition);
        let definition = self.definitions.get(&redemption.id).or(current.ok());
        let Some(definition) = definition else { return Outcome::WrongState };
        let nothing = Context::default();
        let context = redemption.context.as_ref().unwrap_or(&nothing);
        let cart = if let Action::Confirm { cart } = action { cart.as_ref() } else { None };
        let conditions = ConditionFacts {
            attributes: &context.attributes,
            segments: &context.segments,
            cart,
            day: now.with_timezone(&definition.zone).date_naive(),
        };
        let segments = self.facts.segments().of(&conditions, redemption.identity.as_deref());
        let earlier = self.facts.earlier(redemption.order.as_deref(), Some(redemption));
        let owner = self.facts.owner(&redemption.code);
        let is_revoked = self.facts.has_vanished(&redemption.code);
        let facts = ConfirmFacts { definition, owner, segments: &segments, earlier: &earlier, is_revoked };
        act(redemption, identity, action, &facts, ledger, now)
    }

    /// Books the change of a redemption.
    pub(super) fn apply(&self, before: &Redemption, after: &Redemption, ledger: &mut Ledger, effects: &mut Effects) {
        let identity = self.identity(before);
        if before.counts() {
            ledger.give(&takings(before, identity));
        }
        if after.counts() {
            ledger.take(&takings(after, identity));
        }
        let zone = self.zones.get(&before.id).copied().unwrap_or(Tz::UTC);
        effects.deltas.subtract(before, zone);
        effects.deltas.add(after, zone);
        effects.events.extend(Event::of(after));
    }
}

/// Returns the entry about an action that has changed a redemption; `None` for a deadline, which nobody acts on.
fn entry(one: &Move, after: &Redemption) -> Option<AuditEntry> {
    let action = match &one.action {
        Action::Confirm { .. } => audit::Action::RedemptionConfirm,
        Action::Release => audit::Action::RedemptionRelease,
        Action::RollBack { .. } => audit::Action::RedemptionRollback,
        Action::Expire => return None,
    };
    // A confirmation may be refused and change the redemption: it expires.
    let outcome = if after.state == State::Expired { audit::Outcome::Refused } else { audit::Outcome::Done };
    let campaign = Some(after.campaign.clone());
    let (asked_by, detail) = match &one.by_hand {
        Some(ByHand { caller, reason }) => (Some(caller.to_string()), format!("{}: {reason}", after.id)),
        None => (None, after.id.to_string()),
    };
    Some(AuditEntry { campaign, asked_by, ..AuditEntry::new(action, outcome) }.with_detail(&detail))
}

fn answer(before: &Redemption, outcome: Outcome) -> Moved {
    match outcome {
        Outcome::Unchanged => Moved::Done { redemption: Box::new(before.clone()), is_changed: false },
        Outcome::Changed(redemption) => Moved::Done { redemption, is_changed: true },
        Outcome::WrongState => Moved::WrongState(before.state),
        Outcome::DifferentRequest => Moved::DifferentRequest,
        Outcome::Refused { reasons, .. } => Moved::Refused(reasons),
    }
}
