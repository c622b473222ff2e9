//! Exclusions: references that a rule does not concern, although its mask describes them.

use codemint_offers::affiliate::exclusion::{Details, EXCLUSIONS_MAX, Exclusion, RULE_EXCLUSIONS_MAX};
use serde_json::{Value, json};
use sqlx::FromRow;

use crate::affiliates::rules::StoredRule;
use crate::affiliates::versions::{AffiliatesChange, entry};
use crate::connection::error::StoreError;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::Action;
use crate::records::rows::unsigned;

/// The maximum number of exclusions that are inserted or read at once.
pub const EXCLUSIONS_AT_ONCE: usize = 10_000;
/// The number of versions after which a change of one exclusion is forgotten. Processes that are further behind read the whole list.
pub const CHANGES_KEPT: i64 = 1000;
/// Comes after every character of a reference, so that a beginning and it are the end of a range.
const LAST: char = char::MAX;

/// What came of a change of exclusions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Excluding<T> {
    Done(T),
    /// There is no such rule.
    NoRule,
    /// The mask of the rule, which this is, does not describe the reference.
    NotDescribed {
        mask: String,
    },
    /// A rule has at most [`RULE_EXCLUSIONS_MAX`], and all rules together have at most [`EXCLUSIONS_MAX`].
    TooMany,
}

/// How many exclusions a rule has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReplacedExclusions {
    pub before: u64,
    pub now: u64,
}

#[derive(FromRow)]
struct ExclusionRow {
    reference: String,
    affiliate: Option<String>,
    promotion: Option<String>,
    note: Option<String>,
}

impl From<ExclusionRow> for Exclusion {
    fn from(ExclusionRow { reference, affiliate, promotion, note }: ExclusionRow) -> Self {
        Self { reference, details: Details { affiliate, promotion, note } }
    }
}

impl Store {
    /// Excludes a reference, or replaces the details of its exclusion. Returns true if it is new.
    pub async fn put_exclusion(&self, rule: &str, exclusion: &Exclusion) -> Result<Excluding<bool>, StoreError> {
        let Some((mut change, stored)) = self.begin_affiliates_change().await?.of_rule(rule).await? else {
            return Ok(Excluding::NoRule);
        };
        if !stored.rule.describes(&exclusion.reference) {
            change.rollback().await?;
            return Ok(Excluding::NotDescribed { mask: stored.rule.mask_text });
        }
        let replaced = change.transaction.delete_exclusion(stored.no, &exclusion.reference).await?;
        let now = stored.exclusions + 1 - replaced;
        if replaced == 0 && !change.transaction.has_room(&stored, now).await? {
            change.rollback().await?;
            return Ok(Excluding::TooMany);
        }
        change.transaction.insert_exclusions(stored.no, std::slice::from_ref(exclusion)).await?;
        if replaced == 0 {
            change.note_one(&stored, &exclusion.reference, now).await?;
        }
        let what = if replaced == 0 { "exclusion added" } else { "exclusion replaced" };
        change.commit(entry(Action::AffiliateExclusionsChange, rule, what)).await?;
        Ok(Excluding::Done(replaced == 0))
    }

    /// Removes an exclusion. Returns false if there is none.
    pub async fn delete_exclusion(&self, rule: &str, reference: &str) -> Result<Excluding<bool>, StoreError> {
        let Some((mut change, stored)) = self.begin_affiliates_change().await?.of_rule(rule).await? else {
            return Ok(Excluding::NoRule);
        };
        let removed = change.transaction.delete_exclusion(stored.no, reference).await?;
        let entry = entry(Action::AffiliateExclusionsChange, rule, "exclusion removed");
        if removed == 0 {
            change.commit_unchanged(entry).await?;
        } else {
            change.note_one(&stored, reference, stored.exclusions.saturating_sub(removed)).await?;
            change.commit(entry).await?;
        }
        Ok(Excluding::Done(removed == 1))
    }

    /// Replaces all exclusions of a rule. Each reference stands once among the batches. They are best ascending.
    pub async fn replace_exclusions(
        &self,
        rule: &str,
        batches: impl Iterator<Item = Vec<Exclusion>> + Send,
    ) -> Result<Excluding<ReplacedExclusions>, StoreError> {
        let Some((mut change, stored)) = self.begin_affiliates_change().await?.of_rule(rule).await? else {
            return Ok(Excluding::NoRule);
        };
        let delete = change.transaction.query("delete from affiliate_exclusions where rule_no = $1").bind(stored.no);
        let before = delete.without_time_limit().execute().await?;
        let mut now = 0;
        for batch in batches {
            now += change.transaction.insert_exclusions(stored.no, &batch).await?;
            if now > RULE_EXCLUSIONS_MAX {
                break;
            }
        }
        if !change.transaction.has_room(&stored, now).await? {
            change.rollback().await?;
            return Ok(Excluding::TooMany);
        }
        change.note_list(&stored, now).await?;
        let what = format!("exclusions: {now} instead of {before}");
        change.commit(entry(Action::AffiliateExclusionsChange, rule, &what)).await?;
        Ok(Excluding::Done(ReplacedExclusions { before, now }))
    }

    /// Lists the exclusions of a rule whose references begin with `prefix` and come after `after`, ascending.
    pub async fn list_exclusions(
        &self,
        rule_no: i64,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Exclusion>, StoreError> {
        let mut transaction = self.begin_reading().await?;
        let page = transaction.list_exclusions(rule_no, prefix, after, limit).await?;
        transaction.rollback().await?;
        Ok(page)
    }

    /// Passes all exclusions of a rule to `take`, ascending, at most [`EXCLUSIONS_AT_ONCE`] at once, as they are at one moment.
    pub async fn read_all_exclusions(
        &self,
        rule_no: i64,
        mut take: impl FnMut(Vec<Exclusion>) + Send,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin_reading().await?;
        let mut after = String::new();
        loop {
            let page = transaction.list_exclusions(rule_no, "", &after, EXCLUSIONS_AT_ONCE as u32).await?;
            let is_last = page.len() < EXCLUSIONS_AT_ONCE;
            if let Some(last) = page.last() {
                after.clone_from(&last.reference);
            }
            take(page);
            if is_last {
                break;
            }
        }
        transaction.rollback().await
    }
}

impl StoreTransaction {
    async fn list_exclusions(
        &mut self,
        rule_no: i64,
        prefix: &str,
        after: &str,
        limit: u32,
    ) -> Result<Vec<Exclusion>, StoreError> {
        const SQL: &str = "
            select reference, affiliate, promotion, note
              from affiliate_exclusions
             where rule_no = $1 and reference > $2 and reference >= $3 and reference < $4
             order by reference
             limit $5";
        let end = format!("{prefix}{LAST}");
        let query = self.query(SQL).bind(rule_no).bind(after).bind(prefix).bind(end).bind(i64::from(limit));
        Ok(query.fetch_all::<ExclusionRow>().await?.into_iter().map(Exclusion::from).collect())
    }

    async fn insert_exclusions(&mut self, rule_no: i64, exclusions: &[Exclusion]) -> Result<u64, StoreError> {
        // Without a condition, SQLite takes `on` for that of a join.
        const SQL: &str = "
            insert into affiliate_exclusions (rule_no, reference, affiliate, promotion, note)
            select $1, value ->> 0, value ->> 1, value ->> 2, value ->> 3 from json_array_elements($2::json)
             where true
            on conflict do nothing";
        let row = |Exclusion { reference, details: Details { affiliate, promotion, note } }: &Exclusion| {
            json!([reference, affiliate, promotion, note])
        };
        let rows = Value::from_iter(exclusions.iter().map(row));
        self.query(SQL).bind(rule_no).bind(rows.to_string()).execute().await
    }

    async fn delete_exclusion(&mut self, rule_no: i64, reference: &str) -> Result<u64, StoreError> {
        let delete = self.query("delete from affiliate_exclusions where rule_no = $1 and reference = $2");
        delete.bind(rule_no).bind(reference).execute().await
    }

    /// Returns true if a rule may have this number of exclusions.
    async fn has_room(&mut self, rule: &StoredRule, exclusions: u64) -> Result<bool, StoreError> {
        const OTHERS: &str = "select cast(coalesce(sum(exclusions), 0) as bigint) from affiliate_rules where no <> $1";
        let others: i64 = self.query(OTHERS).bind(rule.no).fetch_value().await?;
        let others: u64 = unsigned("affiliate_rules", others)?;
        Ok(exclusions <= RULE_EXCLUSIONS_MAX && others + exclusions <= EXCLUSIONS_MAX)
    }
}

impl AffiliatesChange {
    /// Notes that a reference was excluded, or included again.
    async fn note_one(&mut self, rule: &StoredRule, reference: &str, exclusions: u64) -> Result<(), StoreError> {
        let insert = "insert into affiliate_exclusion_changes (rule_no, version, reference) values ($1, $2, $3)";
        self.transaction.query(insert).bind(rule.no).bind(self.version).bind(reference).execute().await?;
        self.note(rule, exclusions, rule.list_version.max(self.version - CHANGES_KEPT)).await
    }

    /// Notes that all exclusions were replaced.
    async fn note_list(&mut self, rule: &StoredRule, exclusions: u64) -> Result<(), StoreError> {
        self.note(rule, exclusions, self.version).await
    }

    async fn note(&mut self, rule: &StoredRule, exclusions: u64, list_version: i64) -> Result<(), StoreError> {
        const UPDATE: &str = "
            update affiliate_rules set exclusions = $2, exclusions_version = $3, list_version = $4, changed_at = now()
             where no = $1";
        let forget = "delete from affiliate_exclusion_changes where rule_no = $1 and version <= $2";
        self.transaction.query(forget).bind(rule.no).bind(list_version).execute().await?;
        let update = self.transaction.query(UPDATE).bind(rule.no).bind(exclusions as i64);
        update.bind(self.version).bind(list_version).execute().await?;
        Ok(())
    }
}
