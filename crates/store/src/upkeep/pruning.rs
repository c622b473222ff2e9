//! Pruning: removes what jobs that ended long ago no longer need, namely events that no broker took, and the filters of
//! their runs, which then need exact look-ups. Codes and chunk rows are not deleted: a code that was handed out must
//! never be minted again, and chunks record where it is stored.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use strum::IntoStaticStr;
use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::statement::{List, Time};
use crate::connection::store::Store;
use crate::records::audit::{Action, AuditEntry, Outcome};

/// What can be pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Prunable {
    /// Rows of the outbox that are themselves that old: a newer one may be the reply to a repeated request. Those of no job are
    /// about redemptions.
    Events,
    Filters,
}

/// A row to delete, or one that loses its filter.
#[derive(Clone, Debug, FromRow)]
pub struct PrunableRow {
    /// The number of the outbox row or of the run.
    pub no: i64,
    /// `None` for an event about a redemption or a campaign.
    pub job_no: Option<i64>,
    /// The size of the payload or the filter.
    #[sqlx(try_from = "i64")]
    pub bytes: u64,
}

const LIST_EVENTS: &str = "
    select o.no, o.job_no, cast(octet_length(o.payload) as bigint) as bytes
      from outbox o
      left join jobs j on j.no = o.job_no
     where o.no > $1 and o.created_at < $2
       and (o.job_no is null or j.state in ('cancelled', 'completed', 'failed') and j.finished_at < $2)
     order by o.no
     limit $3";

const LIST_FILTERS: &str = "
    select c.run_no as no, c.job_no, cast(octet_length(c.filter) as bigint) as bytes
      from chunks c
      join jobs j on j.no = c.job_no
     where c.run_no > $1 and c.filter is not null
       and j.state in ('cancelled', 'completed', 'failed') and j.finished_at < $2
     order by c.run_no
     limit $3";

impl Prunable {
    /// Rows in one transaction: a fraction of a second's work, so that no minting process waits longer.
    const fn rows_at_once(self) -> i64 {
        match self {
            Self::Events => 1000,
            // 200 KB each for a chunk of the usual size.
            Self::Filters => 100,
        }
    }

    const fn list(self) -> &'static str {
        match self {
            Self::Events => LIST_EVENTS,
            Self::Filters => LIST_FILTERS,
        }
    }

    const fn remove(self) -> &'static str {
        match self {
            Self::Events => "delete from outbox where no = any($1) returning no",
            Self::Filters => {
                "update chunks set filter = null
                  where run_no = any($1) and filter is not null and state = 'done' returning run_no"
            }
        }
    }
}

/// A list of identities without a job: the process that stored it ended before its job was accepted.
#[derive(Clone, Debug, FromRow)]
pub struct AbandonedList {
    pub list_id: Uuid,
    /// The size of its identities.
    #[sqlx(try_from = "i64")]
    pub bytes: u64,
}

impl Store {
    /// Lists abandoned lists that were stored before this time. It has to be long ago: a process stores a list moments before
    /// its job.
    pub async fn list_abandoned_lists(&self, stored_before: DateTime<Utc>) -> Result<Vec<AbandonedList>, StoreError> {
        const SQL: &str = "
            select l.list_id, cast(sum(octet_length(l.identities)) as bigint) as bytes
              from job_identities l
             where not exists (select 1 from jobs j where j.list_id = l.list_id)
             group by l.list_id
            having max(l.loaded_at) < $1
             order by l.list_id";
        self.query(SQL).bind(Time(stored_before)).fetch_all().await
    }

    /// Removes an abandoned list. Returns false if another process had removed it, or if it has a job by now.
    pub async fn prune_list(&self, list: &AbandonedList) -> Result<bool, StoreError> {
        const SQL: &str = "
            delete from job_identities
             where list_id = $1 and not exists (select 1 from jobs j where j.list_id = $1)";
        let mut transaction = self.begin_writing_unflushed().await?;
        let is_removed = transaction.query(SQL).bind(list.list_id).execute().await? > 0;
        if is_removed {
            let mut entry = AuditEntry::new(Action::Prune, Outcome::Done).with_detail("lists");
            entry.count = Some(1);
            transaction.put_audit(&[entry]).await?;
        }
        transaction.commit().await?;
        Ok(is_removed)
    }

    /// Lists the first rows after this number that belong to jobs which ended before this time, or to no job, ascending; empty
    /// if there are no more.
    pub async fn list_prunable(
        &self,
        what: Prunable,
        ended_before: DateTime<Utc>,
        after_no: i64,
    ) -> Result<Vec<PrunableRow>, StoreError> {
        let query = self.query(what.list()).bind(after_no).bind(Time(ended_before));
        query.bind(what.rows_at_once()).fetch_all().await
    }

    /// Removes the listed rows in one transaction; returns the numbers of those that no other process had removed
    /// before. Idempotent.
    pub async fn prune(&self, what: Prunable, rows: &[PrunableRow]) -> Result<HashSet<i64>, StoreError> {
        let numbers: Vec<i64> = rows.iter().map(|row| row.no).collect();
        // Not flushed: after a server crash some rows may reappear, for the next pruning.
        let mut transaction = self.begin_writing_unflushed().await?;
        let removed: Vec<i64> = transaction.query(what.remove()).bind(List(&numbers)).fetch_values().await?;
        if !removed.is_empty() {
            let mut entry = AuditEntry::new(Action::Prune, Outcome::Done).with_detail(what.into_str());
            entry.count = Some(removed.len() as u64);
            transaction.put_audit(&[entry]).await?;
        }
        transaction.commit().await?;
        Ok(removed.into_iter().collect())
    }
}
