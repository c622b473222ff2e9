//! Segments: a condition, and a list of members.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;

use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry, Outcome};
use crate::records::rows::unsigned;
use codemint_offers::condition::document::SegmentDocument;

/// A segment as it is stored.
#[derive(Clone, Debug, FromRow)]
pub struct StoredSegment {
    pub name: String,
    /// The document of the segment, as it was read.
    pub tree: Option<String>,
    members: i64,
    pub changed_at: DateTime<Utc>,
}

/// The maximum number of members that are inserted at once.
pub const MEMBERS_AT_ONCE: usize = 10_000;

/// What came of a segment that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutSegment {
    Created,
    Replaced,
    /// The segment is no longer as the caller expects.
    Stale,
}

/// What happened to the members of a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplacedMembers {
    pub before: u64,
    pub now: u64,
}

impl TryFrom<StoredSegment> for SegmentDocument {
    type Error = StoreError;

    fn try_from(segment: StoredSegment) -> Result<Self, StoreError> {
        let corrupt = |_error| StoreError::Corrupt { table: "segments", problem: "a condition is not JSON".to_owned() };
        let tree: Value = segment.tree.as_deref().map_or(Ok(Value::Null), serde_json::from_str).map_err(corrupt)?;
        let condition = tree.get("condition").cloned().unwrap_or_default();
        let members = unsigned("segment_members", segment.members)?;
        Ok(Self { name: segment.name, condition, members, changed_at: segment.changed_at })
    }
}

const SELECT: &str = "
    select s.name, cast(s.tree as text) as tree, s.changed_at,
           (select count(*) from segment_members m where m.segment = s.name) as members
      from segments s";

impl Store {
    pub async fn find_segment(&self, name: &str) -> Result<Option<StoredSegment>, StoreError> {
        self.query(format!("{SELECT} where s.name = $1")).bind(name).fetch_optional().await
    }

    /// Returns those of these names that no segment has.
    pub async fn find_missing_segments(&self, names: &BTreeSet<&str>) -> Result<BTreeSet<String>, StoreError> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        if names.is_empty() {
            return Ok(BTreeSet::new());
        }
        let query = self.query("select name from segments where name = any($1)").bind(List(&names));
        let known: Vec<String> = query.fetch_values().await?;
        Ok(names.into_iter().filter(|name| !known.contains(name)).collect())
    }

    /// Lists all segments in the order of their names.
    pub async fn list_segments(&self, after: &str, limit: u32) -> Result<Vec<StoredSegment>, StoreError> {
        let query = self.query(format!("{SELECT} where s.name > $1 order by s.name limit $2"));
        query.bind(after).bind(i64::from(limit)).fetch_all().await
    }

    /// Creates a segment, or replaces its condition. `tree` was checked. If a time is `expected`, the segment must have been changed
    /// last at that time.
    pub async fn put_segment(
        &self,
        name: &str,
        tree: &Value,
        expected: Option<DateTime<Utc>>,
    ) -> Result<PutSegment, StoreError> {
        const SQL: &str = "
            insert into segments (name, tree) values ($1, json($2))
            on conflict (name) do update set tree = excluded.tree, changed_at = now()";
        let mut transaction = self.begin_writing().await?;
        let known = transaction.query("select changed_at from segments where name = $1 for update");
        let changed_at: Option<DateTime<Utc>> = known.bind(name).fetch_values().await?.pop();
        if expected.is_some() && expected != changed_at {
            transaction.rollback().await?;
            return Ok(PutSegment::Stale);
        }
        transaction.query(SQL).bind(name).bind(tree.to_string()).execute().await?;
        transaction.put_audit(&[entry(Action::SegmentChange, name, "condition")]).await?;
        transaction.commit().await?;
        Ok(if changed_at.is_none() { PutSegment::Created } else { PutSegment::Replaced })
    }

    /// Replaces all members of a segment, which is created if it is new. Each identity stands once among the batches.
    pub async fn replace_members(
        &self,
        name: &str,
        batches: impl Iterator<Item = Vec<String>> + Send,
    ) -> Result<ReplacedMembers, StoreError> {
        let mut transaction = self.begin_writing().await?;
        let create = "insert into segments (name) values ($1) on conflict (name) do update set changed_at = now()";
        transaction.query(create).bind(name).execute().await?;
        let before = transaction.query("delete from segment_members where segment = $1").bind(name).execute().await?;
        let mut now = 0;
        for batch in batches {
            now += transaction.insert_members(name, &batch).await?;
        }
        let detail = format!("{before} members to {now}");
        transaction.put_audit(&[entry(Action::SegmentChange, name, &detail)]).await?;
        transaction.commit().await?;
        Ok(ReplacedMembers { before, now })
    }

    /// Removes a segment and its members. Returns false if there is none.
    pub async fn delete_segment(&self, name: &str) -> Result<bool, StoreError> {
        let mut transaction = self.begin_writing().await?;
        let deleted = transaction.query("delete from segments where name = $1").bind(name).execute().await?;
        let outcome = if deleted == 1 { Outcome::Done } else { Outcome::Unchanged };
        let entry = AuditEntry { outcome, ..entry(Action::SegmentRemove, name, "") };
        transaction.put_audit(&[AuditEntry { detail: Some(name.to_owned()), ..entry }]).await?;
        transaction.commit().await?;
        Ok(deleted == 1)
    }
}

impl StoreTransaction {
    async fn insert_members(&mut self, name: &str, identities: &[String]) -> Result<u64, StoreError> {
        // Without a condition, SQLite takes `on` for that of a join.
        const SQL: &str = "
            insert into segment_members (segment, identity)
            select $1, value ->> 0 from json_array_elements($2::json)
             where true
            on conflict do nothing";
        let rows: Value = identities.iter().map(|identity| Value::from(vec![identity.as_str()])).collect();
        self.query(SQL).bind(name).bind(rows.to_string()).execute().await
    }
}

fn entry(action: Action, segment: &str, what: &str) -> AuditEntry {
    AuditEntry::new(action, Outcome::Done).with_detail(&format!("{segment}: {what}"))
}
