//! Uses of codes: many requests are decided in one transaction. What they take of the limits is exact under any load.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::connection::error::{StoreError, reach, require_rows};
use crate::connection::locks::locks_of_uses;
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::redemptions::allowances::NewAllowance;
use crate::redemptions::at_once::ToGrant;
use crate::redemptions::candidates::{Candidate, candidate, limited_takings, rows_of};
use crate::redemptions::definition_cache::DefinitionCache;
use crate::redemptions::effects::Effects;
use crate::redemptions::facts::{Asked, Facts, Lock, Subjects};
use crate::redemptions::rows::insert_sql;
use crate::referrals::changes::{ReferralChanges, ReferralsNow};
use codemint_offers::redemption::event::Event;
use codemint_offers::redemption::ledger::{Allowance, Ledger, Subject};
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::request::Digest;
use codemint_offers::verdict::decide::Verdict;
use codemint_offers::verdict::reason::Reason;
use codemint_telemetry::failpoint;

/// The answer to a request to use a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    Created(Box<Redemption>),
    /// The same request was granted before; this is the redemption as it stands.
    Repeated(Box<Redemption>),
    /// Another request was granted under the same id.
    DifferentRequest,
    Refused {
        /// Not empty.
        reasons: Vec<Reason>,
        /// Only limits are among the reasons: what is held too long may be given back.
        is_short: bool,
    },
}

/// How a transaction of requests is carried out.
#[derive(Clone, Copy, Debug, Default)]
pub struct RedeemOptions {
    pub emits_events: bool,
    /// Limits are read before anything is inserted. That costs a round trip, and spares rows that are inserted in vain while a
    /// limit is reached.
    pub reads_limits_first: bool,
}

/// Answers by the place of the request.
struct Answers(Vec<Option<Redeemed>>);

impl Store {
    /// Decides requests in this order, and answers in the same. No two have the same id or the same order. After an unknown
    /// commit, the same call again finds what was committed.
    ///
    /// # Errors
    /// After any error nothing was granted, unless the commit itself failed.
    pub async fn redeem(
        &self,
        cache: &DefinitionCache,
        asked: &[Asked],
        options: RedeemOptions,
    ) -> Result<Vec<Redeemed>, StoreError> {
        let subjects = Subjects::of(asked);
        let locks = locks_of_uses(&subjects.campaign_nos, &subjects.orders);
        let mut transaction = self.begin_writing_by_keys(&locks).await?;
        let answers = match transaction.redeem(cache, asked, &subjects, options, true).await? {
            Some(answers) => answers,
            None => {
                transaction.rollback().await?;
                transaction = self.begin_writing_by_keys(&locks).await?;
                let answers = transaction.redeem(cache, asked, &subjects, options, false).await?;
                answers.ok_or(StoreError::Corrupt {
                    table: "redemptions",
                    problem: "requests were not decided".to_owned(),
                })?
            }
        };
        if answers.iter().any(|answer| matches!(answer, Redeemed::Created(_))) {
            reach(failpoint::REDEMPTIONS_WRITTEN).await?;
            transaction.commit().await?;
            reach(failpoint::REDEMPTIONS_COMMITTED).await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(answers)
    }

    /// Answers requests, by their ids and digests, whose redemptions exist; `None` for the others.
    pub async fn find_repeated(&self, asked: &[(Uuid, Digest)]) -> Result<Vec<Option<Redeemed>>, StoreError> {
        let ids: Vec<Uuid> = asked.iter().map(|(id, _)| *id).collect();
        let mut snapshot = self.begin_reading().await?;
        let known = snapshot.read_redemptions(&ids, Lock::No).await?;
        snapshot.rollback().await?;
        let mut known: HashMap<Uuid, Redemption> = known.into_iter().map(|known| (known.id, known)).collect();
        Ok(asked.iter().map(|(id, digest)| known.remove(id).map(|known| repeated(*digest, known))).collect())
    }
}

impl StoreTransaction {
    /// Decides requests; `None` if they were to be granted at once and cannot be, and the transaction must be rolled back.
    async fn redeem(
        &mut self,
        cache: &DefinitionCache,
        asked: &[Asked],
        subjects: &Subjects<'_>,
        options: RedeemOptions,
        tries_at_once: bool,
    ) -> Result<Option<Vec<Redeemed>>, StoreError> {
        let mut facts = self.read_facts(cache, subjects).await?;
        let asked = &*facts.addressed(asked);
        self.read_referrals_of(&mut facts, asked).await?;
        let mut answers = Answers(vec![None; asked.len()]);
        // A refusal names all reasons, so for one by whatever else the limits are read as well.
        let reads_limits = options.reads_limits_first || !facts.are_valid(asked, &Ledger::default())?;
        let seen = match reads_limits {
            true => self.read_allowances(&facts.limited_subjects(asked), false).await?,
            false => Ledger::default(),
        };
        let mut candidates = answers.candidates(asked, &facts, &seen)?;
        // What was granted before is answered as it stands, whatever has become of the campaign.
        let refused: Vec<Uuid> =
            (0..).zip(asked).filter(|(place, _)| !candidates.contains_key(place)).map(|(_, asked)| asked.id).collect();
        answers.add_known(asked, self.read_redemptions(&refused, Lock::No).await?);
        if candidates.is_empty() {
            return Ok(Some(answers.finish()));
        }
        if tries_at_once && !reads_limits && facts.referrals.is_empty() && matches!(self, Self::Postgres(_)) {
            let takings = limited_takings(&facts, &candidates)?;
            if takings.len() <= 1 && !takings.keys().any(Subject::is_made_at_first_use) {
                return self.redeem_at_once(&facts, answers, candidates, &takings, options).await;
            }
        }
        let inserted = self.insert_redemptions(&candidates).await?;
        reach(failpoint::REDEMPTIONS_INSERTED).await?;
        if inserted.len() < candidates.len() {
            // These were granted before, perhaps by a transaction for which the insert has just waited.
            let others: Vec<Uuid> = candidates.keys().map(|place| asked[*place].id).collect();
            candidates.retain(|_, candidate| inserted.contains(&candidate.redemption.id));
            let others: Vec<Uuid> = others.into_iter().filter(|id| !inserted.contains(id)).collect();
            answers.add_known(asked, self.read_redemptions(&others, Lock::No).await?);
        }
        let stored = self.lock_allowances(&facts, &seen, &candidates).await?;
        reach(failpoint::ALLOWANCES_LOCKED).await?;
        self.lock_referrals(&mut facts.referrals, &subjects.campaign_nos).await?;
        let (ledger, effects, referrals) = answers.decide(&mut facts, &stored, candidates)?;
        let created = answers.created();
        let refused: Vec<Uuid> = inserted.into_iter().filter(|id| !created.contains(id)).collect();
        self.delete_redemptions(&refused).await?;
        self.change_allowances(&ledger.changes_since(&stored.rows)).await?;
        reach(failpoint::ALLOWANCES_CHANGED).await?;
        answers.put_referrals(self.put_referrals(&referrals, options.emits_events, facts.now).await?);
        self.put_effects(&effects, options.emits_events).await?;
        Ok(Some(answers.finish()))
    }

    async fn redeem_at_once(
        &mut self,
        facts: &Facts,
        mut answers: Answers,
        candidates: BTreeMap<usize, Candidate<'_>>,
        takings: &BTreeMap<Subject, u64>,
        options: RedeemOptions,
    ) -> Result<Option<Vec<Redeemed>>, StoreError> {
        let (rows, count, mut effects) = (rows_of(&candidates)?, candidates.len(), Effects::default());
        for (place, Candidate { redemption, .. }) in candidates {
            answers.grant(place, redemption, facts, &mut effects)?;
        }
        let taking = takings.first_key_value().map(|(subject, amount)| (subject, *amount));
        let grant = ToGrant { rows, count, taking, deltas: &effects.deltas };
        let Some(after) = self.grant_at_once(&grant).await? else { return Ok(None) };
        for point in [failpoint::REDEMPTIONS_INSERTED, failpoint::ALLOWANCES_LOCKED, failpoint::ALLOWANCES_CHANGED] {
            reach(point).await?;
        }
        let (mut before, mut ledger) = (Ledger::default(), Ledger::default());
        if let (Some((subject, amount)), Some(after)) = (taking, after) {
            ledger.put(subject.clone(), after);
            before.put(subject.clone(), Allowance { taken: after.taken.saturating_sub(amount), ..after });
        }
        effects.add_exhausted(&before, &ledger, facts.now, |no| facts.campaign(no).ok().cloned());
        self.put_redemption_events(&effects.events, options.emits_events).await?;
        Ok(Some(answers.finish()))
    }

    /// Inserts redemptions in the order of their ids, and returns the ids of those that nobody else has inserted. Waits for
    /// transactions at work on the same ids.
    async fn insert_redemptions(
        &mut self,
        candidates: &BTreeMap<usize, Candidate<'_>>,
    ) -> Result<HashSet<Uuid>, StoreError> {
        let inserted: Vec<Uuid> = self.query(insert_sql("$1")).bind(rows_of(candidates)?).fetch_values().await?;
        Ok(inserted.into_iter().collect())
    }

    /// Locks the allowances of all candidates, and makes those that are missing. What a missing one will have taken is
    /// written at once, since most candidates are granted.
    async fn lock_allowances(
        &mut self,
        facts: &Facts,
        seen: &Ledger,
        candidates: &BTreeMap<usize, Candidate<'_>>,
    ) -> Result<Locked, StoreError> {
        let mut subjects: BTreeSet<Subject> = BTreeSet::new();
        let mut new: BTreeMap<Subject, NewAllowance> = BTreeMap::new();
        for candidate in candidates.values() {
            let limits = &facts.campaign(candidate.asked.campaign_no)?.definition.limits;
            for (subject, quota, amount) in candidate.takings.limited(limits) {
                subjects.insert(subject.clone());
                if subject.is_made_at_first_use() && seen.get(subject).is_none() {
                    let unused = NewAllowance { subject: subject.clone(), quota, taken: 0 };
                    let allowance = new.entry(subject.clone()).or_insert(unused);
                    allowance.taken = allowance.taken.saturating_add(amount).min(quota);
                }
            }
        }
        let mut early = Vec::new();
        for subject in self.insert_allowances(&new.values().cloned().collect::<Vec<_>>()).await? {
            subjects.remove(&subject);
            early.extend(new.remove(&subject));
        }
        // Those that were just inserted are locked already.
        let mut before = self.read_allowances(&subjects, true).await?;
        if before.iter().count() < subjects.len() {
            let problem = "one of a limit is missing".to_owned();
            return Err(StoreError::Corrupt { table: "allowances", problem });
        }
        let mut rows = before.clone();
        for NewAllowance { subject, quota, taken } in early {
            before.put(subject.clone(), Allowance { quota, taken: 0 });
            rows.put(subject, Allowance { quota, taken });
        }
        Ok(Locked { rows, before })
    }

    async fn delete_redemptions(&mut self, ids: &[Uuid]) -> Result<(), StoreError> {
        if ids.is_empty() {
            return Ok(());
        }
        let delete = self.query("delete from redemptions where id = any($1::uuid[])").bind(List(ids));
        require_rows("the removal of refused redemptions", delete.execute().await?, ids.len() as u64)
    }
}

/// Allowances that are locked.
struct Locked {
    /// The rows of the table: what this transaction has inserted has taken already.
    rows: Ledger,
    /// What was taken before this transaction.
    before: Ledger,
}

impl Answers {
    /// Answers requests whose redemptions exist.
    fn add_known(&mut self, asked: &[Asked], known: Vec<Redemption>) {
        let mut known: HashMap<Uuid, Redemption> = known.into_iter().map(|known| (known.id, known)).collect();
        for (answer, asked) in self.0.iter_mut().zip(asked) {
            if let Some(redemption) = known.remove(&asked.id) {
                *answer = Some(repeated(asked.request_digest, redemption));
            }
        }
    }

    /// Refuses what fails already by what is known without locks, and returns the others by their places.
    fn candidates<'a>(
        &mut self,
        asked: &'a [Asked],
        facts: &Facts,
        seen: &Ledger,
    ) -> Result<BTreeMap<usize, Candidate<'a>>, StoreError> {
        let mut candidates = BTreeMap::new();
        for (place, asked) in asked.iter().enumerate().filter(|(place, _)| self.0[*place].is_none()).collect::<Vec<_>>()
        {
            let verdict = facts.verdict(asked, seen)?;
            if verdict.is_valid() {
                candidates.insert(place, candidate(asked, facts, &verdict)?);
            } else {
                self.0[place] = Some(refused(verdict));
            }
        }
        Ok(candidates)
    }

    /// Decides in the order in which the requests came, each with what those before it have taken.
    fn decide(
        &mut self,
        facts: &mut Facts,
        locked: &Locked,
        candidates: BTreeMap<usize, Candidate<'_>>,
    ) -> Result<(Ledger, Effects, ReferralChanges), StoreError> {
        let (mut ledger, mut effects) = (locked.before.clone(), Effects::default());
        let mut referrals = ReferralChanges::default();
        for (place, Candidate { asked, redemption, takings }) in candidates {
            let verdict = facts.verdict(asked, &ledger)?;
            if !verdict.is_valid() {
                self.0[place] = Some(refused(verdict));
                continue;
            }
            ledger.take(&takings);
            let (definition, friend) = (Arc::clone(&facts.campaign(asked.campaign_no)?.definition), &asked.identity);
            referrals.add(&mut facts.referrals, &definition, None, &redemption, friend.as_deref(), facts.now);
            self.grant(place, redemption, facts, &mut effects)?;
        }
        effects.add_exhausted(&locked.before, &ledger, facts.now, |no| facts.campaign(no).ok().cloned());
        Ok((ledger, effects, referrals))
    }

    /// Adds to the new redemptions what they are to referrers.
    fn put_referrals(&mut self, mut now: ReferralsNow) {
        for answer in &mut self.0 {
            if let Some(Redeemed::Created(redemption)) = answer {
                now.put_into(redemption);
            }
        }
    }

    fn grant(
        &mut self,
        place: usize,
        redemption: Redemption,
        facts: &Facts,
        effects: &mut Effects,
    ) -> Result<(), StoreError> {
        effects.deltas.add(&redemption, facts.campaign(redemption.campaign_no)?.definition.zone);
        effects.events.extend(Event::of(&redemption));
        self.0[place] = Some(Redeemed::Created(Box::new(redemption)));
        Ok(())
    }

    fn created(&self) -> HashSet<Uuid> {
        let created = |answer: &Option<Redeemed>| match answer {
            Some(Redeemed::Created(redemption)) => Some(redemption.id),
            _ => None,
        };
        self.0.iter().filter_map(created).collect()
    }

    /// Every request has been answered: known, refused or decided.
    fn finish(self) -> Vec<Redeemed> {
        self.0.into_iter().map(|answer| answer.unwrap_or(Redeemed::DifferentRequest)).collect()
    }
}

fn repeated(digest: Digest, redemption: Redemption) -> Redeemed {
    match digest == redemption.request_digest {
        true => Redeemed::Repeated(Box::new(redemption)),
        false => Redeemed::DifferentRequest,
    }
}

fn refused(verdict: Verdict) -> Redeemed {
    let is_short = verdict.is_short();
    Redeemed::Refused { reasons: verdict.reasons, is_short }
}
