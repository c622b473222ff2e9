//! The backlog: figures about all jobs of the store, for monitoring. Imports that need their input are left out,
//! since workers leave them out too.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::{Database, FromRow, Pool};

use crate::connection::error::StoreError;
use crate::connection::store::Store;
use crate::records::rows::unsigned;
use codemint_codes::job::state::State;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;

/// The work that waits in the store.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backlog {
    /// Unfinished jobs, by state.
    pub jobs: [(State, u64); 3],
    /// Those of the queued jobs that wait for room.
    pub waiting_for_room: u64,
    /// How long the oldest queued job has waited; zero if none waits.
    pub oldest_waiting: Duration,
    /// The number of events that wait to be published.
    pub events: u64,
    /// How much of the fullest keyspace is minted or promised, 0 to 1, among the masks of unfinished jobs and of the
    /// latest ones. A mask without placeholders is always full and left out.
    pub keyspace_used: f64,
}

#[derive(FromRow)]
struct BacklogRow {
    queued: i64,
    running: i64,
    cancelling: i64,
    waiting_for_room: i64,
    oldest: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
    events: i64,
}

/// Holds of redemptions, each counted up to [`HOLDS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromRow)]
pub struct Holds {
    #[sqlx(try_from = "i64")]
    pub open: u64,
    /// Those whose deadline was more than a minute ago: longer than anything needs that expires them.
    #[sqlx(try_from = "i64")]
    pub overdue: u64,
}

/// The number up to which holds are counted: some milliseconds in an index.
pub const HOLDS_MAX: i64 = 100_000;

/// Maximum number of unfinished jobs, and of the latest jobs, whose masks are examined.
const MASKS_MAX: i64 = 100;

const MASKS: &str = "
    select m.mask, m.codes
      from masks m
     where m.mask_no in (select mask_no from (select mask_no from jobs order by no desc limit $1) latest
                         union
                         select mask_no from (select mask_no from jobs
                                               where state in ('queued', 'running', 'cancelling')
                                               order by priority desc, no limit $1) unfinished)";

/// The connections of a store's pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolStatus {
    pub idle: usize,
    pub used: usize,
    pub max: usize,
}

impl Store {
    /// Reads the figures about all jobs.
    ///
    /// # Errors
    /// `Moved`, so that an idle worker notices, too.
    pub async fn read_backlog(&self) -> Result<Backlog, StoreError> {
        const SQL: &str = "
            select count(case when state = 'queued' then 1 end) as queued,
                    count(case when state = 'running' then 1 end) as running,
                    count(case when state = 'cancelling' then 1 end) as cancelling,
                    count(case when state = 'queued' and kind = 'waiting' then 1 end) as waiting_for_room,
                    min(case when state = 'queued' then created_at end) as oldest,
                    now() as now,
                    (select count(*) from outbox) as events
               from jobs
              where state in ('queued', 'running', 'cancelling') and (kind <> 'import' or state = 'cancelling')";
        self.require_in_place()?;
        let row: BacklogRow = self.query(SQL).fetch_one().await?;
        let masks = self.query(MASKS).bind(MASKS_MAX).fetch_all().await?;
        let BacklogRow { queued, running, cancelling, waiting_for_room, oldest, now, events } = row;
        Ok(Backlog {
            jobs: [
                (State::Queued, unsigned("jobs", queued)?),
                (State::Running, unsigned("jobs", running)?),
                (State::Cancelling, unsigned("jobs", cancelling)?),
            ],
            waiting_for_room: unsigned("jobs", waiting_for_room)?,
            oldest_waiting: oldest.and_then(|oldest| (now - oldest).to_std().ok()).unwrap_or_default(),
            events: unsigned("outbox", events)?,
            keyspace_used: fullest(&masks)?,
        })
    }

    /// Counts the holds of redemptions.
    pub async fn count_holds(&self) -> Result<Holds, StoreError> {
        const SQL: &str = "
            select (select count(*) from (select 1 from redemptions where state = 'held' limit $1) held) as open,
                   (select count(*)
                      from (select 1 from redemptions
                             where state = 'held' and expires_at <= clock_timestamp() - interval '1 minute'
                             limit $1) late) as overdue";
        self.query(SQL).bind(HOLDS_MAX).fetch_one().await
    }

    /// Returns the status of the connection pool; for SQLite, of the readers' pool.
    pub fn pool_status(&self) -> PoolStatus {
        match self {
            Self::Postgres(postgres) => status_of(&postgres.pool),
            Self::Sqlite(sqlite) => status_of(&sqlite.readers),
        }
    }
}

fn status_of<DB: Database>(pool: &Pool<DB>) -> PoolStatus {
    let (idle, max) = (pool.num_idle(), pool.options().get_max_connections() as usize);
    PoolStatus { idle, used: (pool.size() as usize).saturating_sub(idle), max }
}

fn fullest(masks: &[(String, i64)]) -> Result<f64, StoreError> {
    let mut fullest: f64 = 0.0;
    for (mask, codes) in masks {
        let corrupt = |error| StoreError::Corrupt { table: "masks", problem: format!("{error}") };
        let size = Keyspace::new(&Mask::describing(mask).map_err(corrupt)?).size();
        if size > 1 {
            fullest = fullest.max(*codes as f64 / size as f64);
        }
    }
    Ok(fullest.min(1.0))
}
