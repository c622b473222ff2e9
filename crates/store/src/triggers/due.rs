//! Decides the triggers that have waited until they were due, with the campaigns as they are now.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::TimeDelta;
use serde_json::Value;
use sqlx::FromRow;

use crate::connection::error::{StoreError, reach};
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::redemptions::definition_cache::DefinitionCache;
use crate::triggers::handle::{Concerned, Known};
use crate::triggers::issue::{Wanted, WantedOf};
use crate::triggers::results::NewResult;
use codemint_offers::read::trigger::{IdFrom, read_trigger};
use codemint_offers::trigger::decide::Decision;
use codemint_offers::trigger::record::Trigger;
use codemint_offers::trigger::result::{SkipReason, TriggerResult};
use codemint_telemetry::failpoint;

/// The maximum number of triggers that are decided in one transaction.
pub const DUE_AT_ONCE: u64 = 1000;
/// How long a trigger waits for a pool that is empty before it is tried again.
const POOL_WAIT: TimeDelta = TimeDelta::minutes(1);

/// What became of triggers that were due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecidedDue {
    pub issued: u64,
    pub skipped: u64,
    /// The number of those that wait on, because a pool was empty.
    pub waiting: u64,
}

/// A trigger that is due for a campaign.
#[derive(FromRow)]
struct DueRow {
    trigger_id: String,
    campaign_no: i64,
    identity: String,
    #[sqlx(rename = "type")]
    trigger_type: String,
    identity_text: Option<String>,
    payload: String,
}

impl DecidedDue {
    /// Returns true if there are probably more.
    pub const fn is_full(&self) -> bool {
        self.issued + self.skipped + self.waiting >= DUE_AT_ONCE
    }
}

impl Store {
    /// Returns true if a trigger is due.
    pub async fn has_due_triggers(&self) -> Result<bool, StoreError> {
        const SQL: &str = "
            select exists (select 1 from trigger_results where state = 'waiting' and due_at <= clock_timestamp())";
        self.query(SQL).fetch_value().await
    }

    /// Decides triggers that are due, a bounded number of them. Any number of processes may do so at once.
    pub async fn decide_due_triggers(
        &self,
        cache: &DefinitionCache,
        emits_events: bool,
    ) -> Result<DecidedDue, StoreError> {
        const SQL: &str = "
            select distinct campaign_no
              from (select campaign_no from trigger_results
                     where state = 'waiting' and due_at <= clock_timestamp() order by due_at limit $1) first_ones";
        let nos: Vec<i64> = self.query(SQL).bind(DUE_AT_ONCE.cast_signed()).fetch_values().await?;
        if nos.is_empty() {
            return Ok(DecidedDue::default());
        }
        let mut transaction = self.begin_writing_by_keys("").await?;
        // As others do: campaigns first, then rows.
        let concerned = transaction.share_campaigns(cache, &nos.iter().copied().collect()).await?;
        let due = transaction.lock_due(&nos).await?;
        if due.is_empty() {
            transaction.rollback().await?;
            return Ok(DecidedDue::default());
        }
        let decided = transaction.decide_due(&concerned, due, emits_events).await?;
        reach(failpoint::BEFORE_ISSUE_COMMIT).await?;
        transaction.commit().await?;
        reach(failpoint::AFTER_ISSUE_COMMIT).await?;
        Ok(decided)
    }
}

impl StoreTransaction {
    /// Locks triggers that are due and that no other process decides.
    async fn lock_due(&mut self, campaign_nos: &[i64]) -> Result<Vec<DueRow>, StoreError> {
        const SQL: &str = "
            select r.trigger_id, r.campaign_no, r.identity, t.type, t.identity_text, cast(t.payload as text) as payload
              from trigger_results r
              join triggers t on t.id = r.trigger_id
             where r.state = 'waiting' and r.due_at <= clock_timestamp() and r.campaign_no = any($1)
             order by r.due_at
             limit $2
               for update of r skip locked";
        self.query(SQL).bind(List(campaign_nos)).bind(DUE_AT_ONCE.cast_signed()).fetch_all().await
    }

    async fn decide_due(
        &mut self,
        concerned: &Concerned,
        due: Vec<DueRow>,
        emits_events: bool,
    ) -> Result<DecidedDue, StoreError> {
        let mut by_campaign: BTreeMap<i64, HashSet<String>> = BTreeMap::new();
        for row in &due {
            by_campaign.entry(row.campaign_no).or_default().insert(row.identity.clone());
        }
        let identities: BTreeSet<&str> = due.iter().filter_map(|row| row.identity_text.as_deref()).collect();
        let known = self.read_facts_of_identities(concerned, &identities, &by_campaign).await?;
        let (mut results, mut wanted) = (Vec::with_capacity(due.len()), WantedOf::new());
        for row in due {
            match row.decide(concerned, &known)? {
                Ok(one) => wanted.entry(row.campaign_no).or_default().push(one),
                Err(reason) => results.push(row.result(TriggerResult::Skipped { reason })),
            }
        }
        for (campaign_no, wanted) in wanted {
            let issued = self.issue_for_triggers(campaign_no, &wanted).await?;
            results.extend(wanted.into_iter().zip(issued).map(|(Wanted { trigger_id, digest, .. }, result)| {
                let result = match result {
                    // The worker refills the pool by itself.
                    TriggerResult::Skipped { reason: SkipReason::PoolEmpty } => {
                        TriggerResult::Waiting { due_at: concerned.now + POOL_WAIT }
                    }
                    decided => decided,
                };
                NewResult { trigger_id, campaign_no, identity: digest, result }
            }));
        }
        self.update_results(&results).await?;
        let mut decided = DecidedDue::default();
        let mut changed: BTreeSet<String> = BTreeSet::new();
        for NewResult { trigger_id, result, .. } in results {
            match result {
                TriggerResult::Issued { .. } => decided.issued += 1,
                TriggerResult::Skipped { .. } => decided.skipped += 1,
                TriggerResult::Waiting { .. } => {
                    decided.waiting += 1;
                    continue;
                }
            }
            changed.insert(trigger_id);
        }
        if emits_events {
            let changed: Vec<String> = changed.into_iter().collect();
            let handled = self.read_results(&changed).await?;
            self.put_trigger_events(handled.values(), concerned.now).await?;
        }
        Ok(decided)
    }
}

impl DueRow {
    /// Returns what is wanted of the pool, or why it is not.
    fn decide(&self, concerned: &Concerned, known: &Known) -> Result<Result<Wanted, SkipReason>, StoreError> {
        let Some(identity) = &self.identity_text else { return Ok(Err(SkipReason::IdentityForgotten)) };
        let trigger = self.trigger(identity)?;
        let problem = "a campaign is missing".to_owned();
        let campaign =
            concerned.campaigns.get(&self.campaign_no).ok_or(StoreError::Corrupt { table: "campaigns", problem })?;
        Ok(match known.decide((self.campaign_no, campaign), &trigger, &self.identity, (true, concerned.now)) {
            Decision::Skip(reason) => Err(reason),
            // One that is due waits no more.
            Decision::Issue | Decision::Wait { .. } => Ok(Wanted {
                trigger_id: self.trigger_id.clone(),
                digest: self.identity.clone(),
                identity: identity.clone(),
            }),
        })
    }

    fn trigger(&self, identity: &str) -> Result<Trigger, StoreError> {
        let corrupt = |problem: String| StoreError::Corrupt { table: "triggers", problem };
        let payload: Value = serde_json::from_str(&self.payload).map_err(|error| corrupt(error.to_string()))?;
        let document = Trigger::stored_document(&self.trigger_type, identity, &payload);
        read_trigger(&document, IdFrom::Path(&self.trigger_id))
            .map_err(|problems| corrupt(problems.first().map(ToString::to_string).unwrap_or_default()))
    }

    fn result(&self, result: TriggerResult) -> NewResult {
        let (trigger_id, identity) = (self.trigger_id.clone(), self.identity.clone());
        NewResult { trigger_id, campaign_no: self.campaign_no, identity, result }
    }
}
