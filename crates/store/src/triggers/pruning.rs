//! Removes old triggers with their results. Codes stay with their identities, so nobody gets a second one.

use chrono::{DateTime, Utc};

use crate::connection::error::StoreError;
use crate::connection::statement::{List, Time};
use crate::connection::store::Store;
use crate::records::audit::{Action, AuditEntry, Outcome};

/// The number of triggers that one page looks at, and that are removed in one transaction at most.
const TRIGGERS_AT_ONCE: i64 = 1000;

/// Some triggers, in the order of their ids.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerPage {
    /// The ids of those that may be removed.
    pub prunable: Vec<String>,
    /// The last id of the page; `None` if there are no more triggers.
    pub last: Option<String>,
}

impl Store {
    /// Looks at the first triggers after this id for those that came before this time and of which nothing waits. The pages follow the
    /// primary key, so a store is read once, however few triggers are old.
    pub async fn list_prunable_triggers(
        &self,
        came_before: DateTime<Utc>,
        after_id: &str,
    ) -> Result<TriggerPage, StoreError> {
        const SQL: &str = "
            select t.id,
                   t.at < $1 and not exists (select 1 from trigger_results r
                                              where r.trigger_id = t.id and r.state = 'waiting') as is_prunable
              from (select id, at from triggers where id > $2 order by id limit $3) t
             order by t.id";
        let query = self.query(SQL).bind(Time(came_before)).bind(after_id).bind(TRIGGERS_AT_ONCE);
        let rows: Vec<(String, bool)> = query.fetch_all().await?;
        let last = rows.last().map(|(id, _)| id.clone());
        let prunable = rows.into_iter().filter(|(_, is_prunable)| *is_prunable).map(|(id, _)| id).collect();
        Ok(TriggerPage { prunable, last })
    }

    /// Removes triggers with their results, and returns their number. Those that another transaction is handling stay.
    pub async fn prune_triggers(&self, came_before: DateTime<Utc>, ids: &[String]) -> Result<u64, StoreError> {
        const SQL: &str = "
            delete from triggers
             where id in (select t.id from triggers t
                           where t.id = any($1) and t.at < $2
                             and not exists (select 1 from trigger_results r
                                              where r.trigger_id = t.id and r.state = 'waiting')
                           order by t.id
                             for update of t skip locked)";
        if ids.is_empty() {
            return Ok(0);
        }
        // Not flushed: after a server crash some triggers may reappear, for the next pruning.
        let mut transaction = self.begin_writing_unflushed().await?;
        let removed = transaction.query(SQL).bind(List(ids)).bind(Time(came_before)).execute().await?;
        if removed > 0 {
            let mut entry = AuditEntry::new(Action::Prune, Outcome::Done).with_detail("triggers");
            entry.count = Some(removed);
            transaction.put_audit(&[entry]).await?;
        }
        transaction.commit().await?;
        Ok(removed)
    }
}
