//! Gives what was made a moment ago the time at which it was made in the demo. The audit log keeps the true times.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use sqlx::FromRow;
use uuid::Uuid;

use crate::connection::error::{StoreError, require_rows};
use crate::connection::statement::{Time, time_text};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::demo::begin::entry;
use crate::records::audit::Outcome;
use codemint_offers::redemption::tally::Deltas;

/// The number of rows that one statement changes.
const ROWS_AT_ONCE: usize = 10_000;
/// How long a job waits before it is started.
const STARTED_AFTER: TimeDelta = TimeDelta::milliseconds(310);

/// The times at which things were made in the demo.
#[derive(Clone, Debug, Default)]
pub struct DemoTimes {
    /// The numbers of campaigns, each with the times of its first version and of a second one, if there is one.
    pub campaigns: Vec<(i64, DateTime<Utc>, Option<DateTime<Utc>>)>,
    /// The zones of the campaigns.
    pub zones: HashMap<i64, Tz>,
    /// The numbers of jobs, each with the time of its request and its duration.
    pub jobs: Vec<(i64, DateTime<Utc>, TimeDelta)>,
    /// The campaigns and the digests of the identities to which codes were issued.
    pub assignments: Vec<(i64, String, DateTime<Utc>)>,
    pub triggers: Vec<(String, DateTime<Utc>)>,
    /// Referrers whom the shop has named.
    pub referrers: Vec<(Uuid, DateTime<Utc>)>,
    /// The rewards for redemptions.
    pub rewards: Vec<(Uuid, DateTime<Utc>)>,
    /// When everything else was made.
    pub start: DateTime<Utc>,
}

/// A day on which a code was issued.
#[derive(FromRow)]
struct IssuedRow {
    campaign_no: i64,
    identity: String,
    at: DateTime<Utc>,
    day: Option<NaiveDate>,
}

impl Store {
    /// Gives everything its time, and notes that the demo is complete. `detail` describes the demo.
    pub async fn finish_demo(&self, times: &DemoTimes, detail: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.date_campaigns(times).await?;
        transaction.date_jobs(&times.jobs).await?;
        transaction.date_issued(times).await?;
        transaction.correct_days(&times.zones).await?;
        transaction.put_audit(&[entry(Outcome::Done, detail)]).await?;
        transaction.commit().await
    }
}

impl StoreTransaction {
    async fn date_campaigns(&mut self, times: &DemoTimes) -> Result<(), StoreError> {
        const CREATED: &str = "update campaigns set created_at = $2 where no = $1";
        const MADE: &str = "update campaign_versions set made_at = $3 where campaign_no = $1 and version = $2";
        for (no, created_at, changed_at) in &times.campaigns {
            self.query(CREATED).bind(*no).bind(Time(*created_at)).execute().await?;
            for (version, at) in [(1_i32, Some(created_at)), (2, changed_at.as_ref())] {
                if let Some(at) = at {
                    self.query(MADE).bind(*no).bind(version).bind(Time(*at)).execute().await?;
                }
            }
        }
        for table in ["segments", "affiliate_rules"] {
            let update = format!("update {table} set changed_at = $1");
            self.query(update).bind(Time(times.start)).execute().await?;
        }
        Ok(())
    }

    async fn date_jobs(&mut self, jobs: &[(i64, DateTime<Utc>, TimeDelta)]) -> Result<(), StoreError> {
        const JOB: &str =
            "update jobs set created_at = $2, started_at = $3, progress_at = $4, finished_at = $4 where no = $1";
        const CHUNKS: &str = "update chunks set done_at = $2 where job_no = $1 and done_at is not null";
        for (no, created_at, took) in jobs {
            let started_at = *created_at + STARTED_AFTER;
            let finished_at = Time(started_at + *took);
            let update = self.query(JOB).bind(*no).bind(Time(*created_at)).bind(Time(started_at)).bind(finished_at);
            require_rows("the date of a job", update.execute().await?, 1)?;
            self.query(CHUNKS).bind(*no).bind(finished_at).execute().await?;
        }
        Ok(())
    }

    async fn date_issued(&mut self, times: &DemoTimes) -> Result<(), StoreError> {
        const ASSIGNMENTS: &str = "
            update assignments as a set at = n.at
              from json_to_recordset($1::json) as n(campaign_no bigint, identity text collate \"C\", at timestamptz)
             where a.campaign_no = n.campaign_no and a.identity = n.identity";
        const TRIGGERS: &str = "
            update triggers as t set at = n.at
              from json_to_recordset($1::json) as n(id text collate \"C\", at timestamptz) where t.id = n.id";
        const REFERRERS: &str = "
            update referrers as r set at = n.at
              from json_to_recordset($1::json) as n(id uuid, at timestamptz) where r.id = n.id";
        const REFERRALS: &str = "
            update referrals set at = (select r.held_at from redemptions r where r.id = referrals.redemption_id)";
        const FRIENDS: &str = "
            update referrers set at = (
                select min(f.at) from referrals f where f.campaign_no = referrers.campaign_no and f.referee = referrers.address)
             where parent is not null";
        const REFERRAL_CODES: &str = "
            update assignments set at = (select w.at from referrers w where w.code = assignments.code)
             where code in (select code from referrers)";
        let assignment = |(no, identity, at): &(i64, String, DateTime<Utc>)| json!({ "campaign_no": no, "identity": identity, "at": time_text(*at) });
        self.update_each(ASSIGNMENTS, times.assignments.iter().map(assignment)).await?;
        let trigger = |(id, at): &(String, DateTime<Utc>)| json!({ "id": id, "at": time_text(*at) });
        self.update_each(TRIGGERS, times.triggers.iter().map(trigger)).await?;
        let referrer = |(id, at): &(Uuid, DateTime<Utc>)| json!({ "id": id, "at": time_text(*at) });
        self.update_each(REFERRERS, times.referrers.iter().map(referrer)).await?;
        for statement in [REFERRALS, FRIENDS, REFERRAL_CODES] {
            self.query(statement).execute().await?;
        }
        self.date_rewards(&times.rewards).await
    }

    /// Rewards are found by their codes: there is no index of triggers.
    async fn date_rewards(&mut self, rewards: &[(Uuid, DateTime<Utc>)]) -> Result<(), StoreError> {
        const ISSUED: &str = "select code, trigger_id from assignments where trigger_id like 'referral:%'";
        const REWARDS: &str = "
            update assignments as a set at = n.at
              from json_to_recordset($1::json) as n(code text collate \"C\", at timestamptz)
             where a.code = n.code";
        let issued: Vec<(String, String)> = self.query(ISSUED).fetch_all().await?;
        let times: HashMap<String, DateTime<Utc>> =
            rewards.iter().map(|(id, at)| (format!("referral:{id}"), *at)).collect();
        let dated = issued.iter().filter_map(|(code, trigger_id)| Some((code, times.get(trigger_id)?)));
        self.update_each(REWARDS, dated.map(|(code, at)| json!({ "code": code, "at": time_text(*at) }))).await
    }

    /// Carries out an update with rows as JSON.
    async fn update_each(&mut self, sql: &str, rows: impl Iterator<Item = Value>) -> Result<(), StoreError> {
        let rows: Vec<Value> = rows.collect();
        for some in rows.chunks(ROWS_AT_ONCE) {
            self.query(sql).bind(Value::from(some).to_string()).execute().await?;
        }
        Ok(())
    }

    /// Moves the sums of issued codes to the days on which these were issued.
    async fn correct_days(&mut self, zones: &HashMap<i64, Tz>) -> Result<(), StoreError> {
        const SQL: &str = "select campaign_no, identity, at, day from assignments";
        const DAYS: &str = "
            update assignments as a set day = n.day
              from json_to_recordset($1::json) as n(campaign_no bigint, identity text collate \"C\", day date)
             where a.campaign_no = n.campaign_no and a.identity = n.identity";
        let rows: Vec<IssuedRow> = self.query(SQL).without_time_limit().fetch_all().await?;
        let (mut deltas, mut moved) = (Deltas::default(), BTreeMap::new());
        for IssuedRow { campaign_no, identity, at, day } in rows {
            let zone = zones.get(&campaign_no).copied().unwrap_or(Tz::UTC);
            let (before, after) = (day.unwrap_or_else(|| at.date_naive()), at.with_timezone(&zone).date_naive());
            if before != after {
                deltas.add_issued(campaign_no, before, -1);
                deltas.add_issued(campaign_no, after, 1);
                moved.insert((campaign_no, identity), after);
            }
        }
        let row = |((no, identity), day): (&(i64, String), &NaiveDate)| json!({ "campaign_no": no, "identity": identity, "day": day });
        self.update_each(DAYS, moved.iter().map(row)).await?;
        self.put_deltas("", &deltas).await
    }
}
