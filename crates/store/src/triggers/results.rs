//! The results of triggers: reading, writing, and the events about them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::FromRow;

use crate::connection::error::{StoreError, require_rows};
use crate::connection::statement::{List, time_text};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::outbox::NewEvent;
use codemint_offers::trigger::event::{TRIGGER_HANDLED, TRIGGER_HANDLED_KEY, TriggerEvent};
use codemint_offers::trigger::result::{HandledTrigger, SkipReason, TriggerResult};

/// A result to write.
#[derive(Clone, Debug)]
pub(super) struct NewResult {
    pub trigger_id: String,
    pub campaign_no: i64,
    /// The keyed digest of the identity.
    pub identity: String,
    pub result: TriggerResult,
}

#[derive(FromRow)]
struct ResultRow {
    trigger_id: String,
    campaign: String,
    state: String,
    due_at: Option<DateTime<Utc>>,
    code: Option<String>,
    reason: Option<String>,
}

const SELECT: &str = "
    select r.trigger_id, p.name as campaign, r.state, r.due_at, r.code, r.reason
      from trigger_results r
      join campaigns p on p.no = r.campaign_no";

impl Store {
    /// Finds a trigger with what became of it so far.
    pub async fn find_trigger(&self, id: &str) -> Result<Option<HandledTrigger>, StoreError> {
        let mut snapshot = self.begin_reading().await?;
        let found: Option<(String,)> =
            snapshot.query("select id from triggers where id = $1").bind(id).fetch_optional().await?;
        let trigger = match found {
            Some((id,)) => snapshot.read_results(&[id]).await?.into_values().next(),
            None => None,
        };
        snapshot.rollback().await?;
        Ok(trigger)
    }
}

impl TryFrom<ResultRow> for TriggerResult {
    type Error = StoreError;

    fn try_from(row: ResultRow) -> Result<Self, StoreError> {
        let corrupt = |problem: String| StoreError::Corrupt { table: "trigger_results", problem };
        match (row.state.as_str(), row.code, row.reason, row.due_at) {
            ("issued", Some(code), ..) => Ok(Self::Issued { code }),
            ("skipped", _, Some(reason), _) => {
                let unknown = |_unknown| corrupt(format!("the reason {reason} is unknown"));
                Ok(Self::Skipped { reason: reason.parse::<SkipReason>().map_err(unknown)? })
            }
            ("waiting", .., Some(due_at)) => Ok(Self::Waiting { due_at }),
            (state, ..) => Err(corrupt(format!("the state {state} lacks its value"))),
        }
    }
}

impl NewResult {
    /// Returns the columns of the row.
    fn row(&self) -> Value {
        let (state, due_at, code, reason): (_, _, _, Option<&'static str>) = match &self.result {
            TriggerResult::Issued { code } => ("issued", None, Some(code), None),
            TriggerResult::Skipped { reason } => ("skipped", None, None, Some((*reason).into())),
            TriggerResult::Waiting { due_at } => ("waiting", Some(time_text(*due_at)), None, None),
        };
        json!({ "trigger_id": self.trigger_id, "campaign_no": self.campaign_no, "identity": self.identity,
                "state": state, "due_at": due_at, "code": code, "reason": reason })
    }
}

/// Returns the rows of results as JSON.
pub(super) fn rows_of(results: &[NewResult]) -> String {
    results.iter().map(NewResult::row).collect::<Value>().to_string()
}

impl StoreTransaction {
    /// Reads what became of triggers, by their ids. A trigger that concerned no campaign has no results.
    pub(super) async fn read_results(
        &mut self,
        ids: &[String],
    ) -> Result<BTreeMap<String, HandledTrigger>, StoreError> {
        let handled = |id: &String| (id.clone(), HandledTrigger { id: id.clone(), results: Vec::new() });
        let mut triggers: BTreeMap<String, HandledTrigger> = ids.iter().map(handled).collect();
        let query = self.query(format!("{SELECT} where r.trigger_id = any($1) order by p.name"));
        let rows: Vec<ResultRow> = query.bind(List(ids)).fetch_all().await?;
        for row in rows {
            let (id, campaign) = (row.trigger_id.clone(), row.campaign.clone());
            let result = TriggerResult::try_from(row)?;
            if let Some(trigger) = triggers.get_mut(&id) {
                trigger.results.push((campaign, result));
            }
        }
        Ok(triggers)
    }

    /// Inserts results of new triggers.
    pub(super) async fn insert_results(&mut self, results: &[NewResult]) -> Result<(), StoreError> {
        const SQL: &str = "
            insert into trigger_results (trigger_id, campaign_no, identity, state, due_at, code, reason)
            select d.trigger_id, d.campaign_no, d.identity, d.state, d.due_at, d.code, d.reason
              from json_to_recordset($1::json)
                as d(trigger_id text, campaign_no bigint, identity text, state text, due_at timestamptz, code text, reason text)";
        if results.is_empty() {
            return Ok(());
        }
        let inserted = self.query(SQL).bind(rows_of(results)).execute().await?;
        require_rows("the insert of results", inserted, results.len() as u64)
    }

    /// Replaces results that wait.
    pub(super) async fn update_results(&mut self, results: &[NewResult]) -> Result<(), StoreError> {
        const SQL: &str = "
            update trigger_results as r
               set state = d.state, due_at = d.due_at, code = d.code, reason = d.reason
              from json_to_recordset($1::json)
                as d(trigger_id text collate \"C\", campaign_no bigint, state text, due_at timestamptz, code text, reason text)
             where r.trigger_id = d.trigger_id and r.campaign_no = d.campaign_no and r.state = 'waiting'";
        if results.is_empty() {
            return Ok(());
        }
        let updated = self.query(SQL).bind(rows_of(results)).execute().await?;
        require_rows("the change of results", updated, results.len() as u64)
    }

    /// Writes an event about each of these triggers.
    pub(super) async fn put_trigger_events<'a>(
        &mut self,
        triggers: impl Iterator<Item = &'a HandledTrigger>,
        time: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let new_event = |trigger| {
            let event = TriggerEvent::of(trigger, time);
            NewEvent::of(&event, &event.id, TRIGGER_HANDLED, TRIGGER_HANDLED_KEY)
        };
        let events: Result<Vec<NewEvent>, StoreError> = triggers.map(new_event).collect();
        self.insert_events(&events?).await
    }
}
