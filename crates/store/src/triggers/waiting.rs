//! Triggers that wait until they are due. An identity waits once for each campaign: the later deactivation wins.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::Value;

use crate::connection::error::{StoreError, require_rows};
use crate::connection::statement::List;
use crate::connection::transaction::StoreTransaction;
use crate::triggers::results::{NewResult, rows_of};
use codemint_offers::trigger::result::{SkipReason, TriggerResult};

/// A trigger that is to wait for a campaign.
#[derive(Clone, Debug)]
pub(super) struct NewWait {
    pub trigger_id: String,
    /// The keyed digest of the identity.
    pub identity: String,
    pub deactivated_at: DateTime<Utc>,
    pub due_at: DateTime<Utc>,
}

/// What became of triggers that were to wait.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// The results of those that do not wait. Those that wait are written.
    pub skipped: Vec<NewResult>,
    /// The triggers of earlier transactions that wait no longer.
    pub superseded: Vec<String>,
}

impl StoreTransaction {
    /// Lets triggers wait for a campaign, in the order in which they came.
    pub(super) async fn put_waiting(&mut self, campaign_no: i64, new: Vec<NewWait>) -> Result<Waits, StoreError> {
        let mut waits = Waits::default();
        let mut left = latest_of(campaign_no, new, &mut waits.skipped);
        // Another process may insert a row between two statements: then it is there in the next round.
        while !left.is_empty() {
            let waiting = self.lock_waiting(campaign_no, &left).await?;
            let is_later = |wait: &NewWait| waiting.get(&wait.identity).is_none_or(|(_, at)| *at < wait.deactivated_at);
            let (later, earlier): (Vec<NewWait>, Vec<NewWait>) = left.into_values().partition(is_later);
            waits.skipped.extend(earlier.into_iter().map(|wait| superseded(campaign_no, wait)));
            let replaced = later.iter().filter_map(|wait| waiting.get(&wait.identity).map(|(id, _)| id.clone()));
            let replaced: Vec<String> = replaced.collect();
            self.supersede(campaign_no, &replaced).await?;
            waits.superseded.extend(replaced);
            let inserted = self.insert_waits(campaign_no, &later).await?;
            left = later
                .into_iter()
                .filter(|wait| !inserted.contains(&wait.trigger_id))
                .map(|wait| (wait.identity.clone(), wait))
                .collect();
        }
        Ok(waits)
    }

    /// Returns the triggers that wait for a campaign by identity, each with its deactivation.
    async fn lock_waiting(
        &mut self,
        campaign_no: i64,
        new: &BTreeMap<String, NewWait>,
    ) -> Result<HashMap<String, (String, DateTime<Utc>)>, StoreError> {
        const SQL: &str = "
            select r.identity, r.trigger_id, cast(t.payload as text)
              from trigger_results r
              join triggers t on t.id = r.trigger_id
             where r.state = 'waiting' and r.campaign_no = $1 and r.identity = any($2)
             order by r.identity
               for update of r";
        let identities: Vec<String> = new.keys().cloned().collect();
        let query = self.query(SQL).bind(campaign_no).bind(List(&identities));
        let rows: Vec<(String, String, String)> = query.fetch_all().await?;
        let waiting = |(identity, id, payload): (String, String, String)| Ok((identity, (id, deactivation(&payload)?)));
        rows.into_iter().map(waiting).collect()
    }

    async fn supersede(&mut self, campaign_no: i64, ids: &[String]) -> Result<(), StoreError> {
        const SQL: &str = "
            update trigger_results set state = 'skipped', due_at = null, reason = 'superseded'
             where campaign_no = $1 and state = 'waiting' and trigger_id = any($2)";
        if ids.is_empty() {
            return Ok(());
        }
        let updated = self.query(SQL).bind(campaign_no).bind(List(ids)).execute().await?;
        require_rows("the replacement of triggers that wait", updated, ids.len() as u64)
    }

    /// Inserts rows in the order of the identities, unless one of the identity waits, and returns the ids of the triggers.
    async fn insert_waits(&mut self, campaign_no: i64, new: &[NewWait]) -> Result<HashSet<String>, StoreError> {
        const SQL: &str = "
            insert into trigger_results (trigger_id, campaign_no, identity, state, due_at)
            select d.trigger_id, d.campaign_no, d.identity, d.state, d.due_at
              from json_to_recordset($1::json)
                as d(trigger_id text, campaign_no bigint, identity text, state text, due_at timestamptz)
             where true
            on conflict do nothing
            returning trigger_id";
        if new.is_empty() {
            return Ok(HashSet::new());
        }
        let row = |wait: &NewWait| NewResult {
            trigger_id: wait.trigger_id.clone(),
            campaign_no,
            identity: wait.identity.clone(),
            result: TriggerResult::Waiting { due_at: wait.due_at },
        };
        let rows: Vec<NewResult> = new.iter().map(row).collect();
        Ok(self.query(SQL).bind(rows_of(&rows)).fetch_values().await?.into_iter().collect())
    }
}

/// Returns the latest deactivation of each identity, and the results of the others.
fn latest_of(campaign_no: i64, new: Vec<NewWait>, skipped: &mut Vec<NewResult>) -> BTreeMap<String, NewWait> {
    let mut latest: BTreeMap<String, NewWait> = BTreeMap::new();
    for wait in new {
        let other = match latest.get(&wait.identity) {
            Some(first) if first.deactivated_at >= wait.deactivated_at => Some(wait),
            _ => latest.insert(wait.identity.clone(), wait),
        };
        skipped.extend(other.map(|other| superseded(campaign_no, other)));
    }
    latest
}

fn superseded(campaign_no: i64, wait: NewWait) -> NewResult {
    let result = TriggerResult::Skipped { reason: SkipReason::Superseded };
    NewResult { trigger_id: wait.trigger_id, campaign_no, identity: wait.identity, result }
}

/// Returns the deactivation that a stored trigger states; the earliest time if its identity was forgotten.
fn deactivation(payload: &str) -> Result<DateTime<Utc>, StoreError> {
    let corrupt = |problem: String| StoreError::Corrupt { table: "triggers", problem };
    let payload: Value = serde_json::from_str(payload).map_err(|error| corrupt(error.to_string()))?;
    let Some(text) = payload["deactivated_at"].as_str() else { return Ok(DateTime::<Utc>::MIN_UTC) };
    Ok(DateTime::parse_from_rfc3339(text).map_err(|error| corrupt(error.to_string()))?.to_utc())
}
