//! Rules, of which no two that apply at the same time conflict.

use chrono::{DateTime, Utc};
use codemint_offers::affiliate::document::RuleDocument;
use codemint_offers::affiliate::rule::{RULES_MAX, Rule};
use codemint_offers::read::affiliate::read_rule;
use serde_json::{Value, json};
use sqlx::FromRow;

use crate::affiliates::versions::{AffiliatesChange, entry};
use crate::connection::error::StoreError;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry};
use crate::records::rows::unsigned;

/// A rule as it is stored.
#[derive(Clone, Debug)]
pub struct StoredRule {
    pub no: i64,
    pub rule: Rule,
    /// The number of its exclusions.
    pub exclusions: u64,
    /// The version of everything about affiliates that changed its exclusions last.
    pub exclusions_version: i64,
    /// Since this version, its exclusions were changed one by one.
    pub list_version: i64,
    pub changed_at: DateTime<Utc>,
}

/// What came of a rule that was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PutRule {
    Created,
    Replaced,
    /// There are [`RULES_MAX`] rules already.
    TooMany,
    /// There is no campaign of the name.
    UnknownCampaign,
    /// These rules concern the same references at the same time with the same priority.
    Conflict(Vec<String>),
    /// The rule is no longer as the caller expects.
    Stale,
}

/// What came of switching a rule on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwitchRule {
    Switched,
    /// It was so already.
    Unchanged,
    Missing,
}

#[derive(FromRow)]
pub(super) struct RuleRow {
    no: i64,
    name: String,
    mask: String,
    prefix: String,
    campaign: String,
    active: bool,
    priority: i32,
    periods: String,
    exclusions: i64,
    exclusions_version: i64,
    list_version: i64,
    changed_at: DateTime<Utc>,
}

pub(super) const SELECT: &str = "
    select no, name, mask, prefix, campaign, active, priority, cast(periods as text) as periods, exclusions, exclusions_version,
           list_version, changed_at
      from affiliate_rules";

/// What was read is checked as what comes from outside, so that each rule is one that could be written.
impl TryFrom<RuleRow> for StoredRule {
    type Error = StoreError;

    fn try_from(row: RuleRow) -> Result<Self, StoreError> {
        let corrupt = |problem: String| StoreError::Corrupt { table: "affiliate_rules", problem };
        let periods: Value = serde_json::from_str(&row.periods).map_err(|error| corrupt(error.to_string()))?;
        let document = json!({
            "mask": row.mask, "prefix": row.prefix, "campaign": row.campaign, "active": row.active, "priority": row.priority,
            "periods": periods,
        });
        let rule = read_rule(&row.name, &document)
            .map_err(|problems| corrupt(problems.first().map(ToString::to_string).unwrap_or_default()))?;
        let exclusions = unsigned("affiliate_rules", row.exclusions)?;
        let RuleRow { no, exclusions_version, list_version, changed_at, .. } = row;
        Ok(Self { no, rule, exclusions, exclusions_version, list_version, changed_at })
    }
}

impl From<StoredRule> for RuleDocument {
    fn from(stored: StoredRule) -> Self {
        Self::new(stored.rule, stored.exclusions, stored.changed_at)
    }
}

impl Store {
    pub async fn find_affiliate_rule(&self, name: &str) -> Result<Option<StoredRule>, StoreError> {
        let found: Option<RuleRow> =
            self.query(format!("{SELECT} where name = $1")).bind(name).fetch_optional().await?;
        found.map(StoredRule::try_from).transpose()
    }

    /// Lists all rules in the order of their names.
    pub async fn list_affiliate_rules(&self, after: &str, limit: u32) -> Result<Vec<StoredRule>, StoreError> {
        let query = self.query(format!("{SELECT} where name > $1 order by name limit $2"));
        let rows: Vec<RuleRow> = query.bind(after).bind(i64::from(limit)).fetch_all().await?;
        rows.into_iter().map(StoredRule::try_from).collect()
    }

    /// Creates a rule, or replaces it; its exclusions stay. If a time is `expected`, the rule must have been changed last at that time.
    pub async fn put_affiliate_rule(
        &self,
        rule: &Rule,
        expected: Option<DateTime<Utc>>,
    ) -> Result<PutRule, StoreError> {
        const SQL: &str = "
            insert into affiliate_rules (name, mask, prefix, campaign, active, priority, periods, exclusions_version, list_version)
            values ($1, $2, $3, $4, $5, $6, json($7), $8, $8)
            on conflict (name) do update set mask = excluded.mask, prefix = excluded.prefix, campaign = excluded.campaign,
                   active = excluded.active, priority = excluded.priority, periods = excluded.periods, changed_at = now()";
        let mut change = self.begin_affiliates_change().await?;
        let known = change.transaction.query("select changed_at from affiliate_rules where name = $1");
        let changed_at: Option<DateTime<Utc>> = known.bind(&*rule.name).fetch_values().await?.pop();
        if expected.is_some() && expected != changed_at {
            change.rollback().await?;
            return Ok(PutRule::Stale);
        }
        let is_new = changed_at.is_none();
        if let Some(refused) = change.transaction.refuse(rule, is_new).await? {
            change.rollback().await?;
            return Ok(refused);
        }
        let (version, periods) = (change.version, json!(rule.periods).to_string());
        let query = change.transaction.query(SQL).bind(&*rule.name).bind(&*rule.mask_text).bind(&*rule.prefix);
        let query = query.bind(&*rule.campaign).bind(rule.active).bind(rule.priority);
        query.bind(periods).bind(version).execute().await?;
        let what = if is_new { "created" } else { "replaced" };
        change.commit(of_campaign(rule, what)).await?;
        Ok(if is_new { PutRule::Created } else { PutRule::Replaced })
    }

    /// Switches a rule on or off. Rules that are off count as conflicts, too, so that any of them may be switched on.
    pub async fn switch_affiliate_rule(&self, name: &str, active: bool) -> Result<SwitchRule, StoreError> {
        let Some((mut change, found)) = self.begin_affiliates_change().await?.of_rule(name).await? else {
            return Ok(SwitchRule::Missing);
        };
        let StoredRule { no, rule, .. } = found;
        let entry = of_campaign(&rule, if active { "switched on" } else { "switched off" });
        if rule.active == active {
            change.commit_unchanged(entry).await?;
            return Ok(SwitchRule::Unchanged);
        }
        let update = "update affiliate_rules set active = $2, changed_at = now() where no = $1";
        change.transaction.query(update).bind(no).bind(active).execute().await?;
        change.commit(entry).await?;
        Ok(SwitchRule::Switched)
    }

    /// Removes a rule and its exclusions. Returns false if there is none.
    pub async fn delete_affiliate_rule(&self, name: &str) -> Result<bool, StoreError> {
        const EXCLUSIONS: &str =
            "delete from affiliate_exclusions where rule_no in (select no from affiliate_rules where name = $1)";
        let mut change = self.begin_affiliates_change().await?;
        // Before the rule: there may be a million of them.
        change.transaction.query(EXCLUSIONS).bind(name).without_time_limit().execute().await?;
        let deleted =
            change.transaction.query("delete from affiliate_rules where name = $1").bind(name).execute().await?;
        let entry = entry(Action::AffiliateRuleRemove, name, "removed");
        match deleted {
            1 => change.commit(entry).await?,
            _ => change.commit_unchanged(entry).await?,
        }
        Ok(deleted == 1)
    }
}

impl StoreTransaction {
    /// Returns why a rule is not put, unless it may be.
    async fn refuse(&mut self, rule: &Rule, is_new: bool) -> Result<Option<PutRule>, StoreError> {
        let campaigns: i64 =
            self.query("select count(*) from campaigns where name = $1").bind(&*rule.campaign).fetch_value().await?;
        if campaigns == 0 {
            return Ok(Some(PutRule::UnknownCampaign));
        }
        let rules: i64 = self.query("select count(*) from affiliate_rules").fetch_value().await?;
        let rules: usize = unsigned("affiliate_rules", rules)?;
        if is_new && rules >= RULES_MAX {
            return Ok(Some(PutRule::TooMany));
        }
        let query = self.query(format!("{SELECT} where priority = $1 and name <> $2 order by name"));
        let others: Vec<RuleRow> = query.bind(rule.priority).bind(&*rule.name).fetch_all().await?;
        let mut conflicts = Vec::new();
        for other in others {
            let other = StoredRule::try_from(other)?.rule;
            if rule.conflicts_with(&other) {
                conflicts.push(other.name);
            }
        }
        Ok(Some(PutRule::Conflict(conflicts)).filter(|refused| *refused != PutRule::Conflict(Vec::new())))
    }
}

impl AffiliatesChange {
    /// Finds the rule that is changed. Without one, the change ends.
    pub(super) async fn of_rule(mut self, name: &str) -> Result<Option<(Self, StoredRule)>, StoreError> {
        let found: Option<RuleRow> =
            self.transaction.query(format!("{SELECT} where name = $1")).bind(name).fetch_optional().await?;
        let Some(found) = found else {
            self.rollback().await?;
            return Ok(None);
        };
        Ok(Some((self, found.try_into()?)))
    }
}

fn of_campaign(rule: &Rule, what: &str) -> AuditEntry {
    AuditEntry { campaign: Some(rule.campaign.clone()), ..entry(Action::AffiliateRuleChange, &rule.name, what) }
}
