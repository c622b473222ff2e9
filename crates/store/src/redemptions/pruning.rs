//! Removes old redemptions. What they have taken stays taken, and what they have added to sums stays in the sums.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::connection::error::{StoreError, require_rows};
use crate::connection::statement::{List, Time};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry, Outcome};
use crate::redemptions::definition_cache::DefinitionCache;
use crate::redemptions::facts::Lock;
use crate::redemptions::tallies::PRUNED;
use codemint_offers::redemption::ledger::Subject;
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::tally::Deltas;
use codemint_offers::redemption::transition::takings;

/// The number of redemptions that are removed in one transaction.
const PRUNED_AT_ONCE: i64 = 1000;

impl Store {
    /// Counts the redemptions that ended before this time.
    pub async fn count_prunable_redemptions(&self, ended_before: DateTime<Utc>) -> Result<u64, StoreError> {
        const SQL: &str = "select count(*) from redemptions where state <> 'held' and ended_at < $1";
        let count: i64 = self.query(SQL).bind(Time(ended_before)).without_time_limit().fetch_value().await?;
        crate::records::rows::unsigned("redemptions", count)
    }

    /// Removes some redemptions that ended before this time, and returns their number; 0 if there are no more. Uses that
    /// count keep counting.
    pub async fn prune_redemptions(
        &self,
        cache: &DefinitionCache,
        ended_before: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        // The oldest of each campaign are found by an index.
        const SQL: &str = "
            select r.id
              from campaigns p
              join redemptions r on r.campaign_no = p.no
             where r.held_at < $1 and r.state <> 'held' and r.ended_at < $1
             limit $2";
        let ids: Vec<Uuid> = self.query(SQL).bind(Time(ended_before)).bind(PRUNED_AT_ONCE).fetch_values().await?;
        if ids.is_empty() {
            return Ok(0);
        }
        let key = self.identity_key().await?;
        let mut transaction = self.begin_writing().await?;
        let known = transaction.read_redemptions(&ids, Lock::No).await?;
        let campaigns: BTreeSet<i64> = known.iter().map(|redemption| redemption.campaign_no).collect();
        transaction.lock_uses(&campaigns, &BTreeSet::new()).await?;
        let mut redemptions = transaction.read_redemptions(&ids, Lock::SkipLocked).await?;
        // One may have been confirmed late since it was listed.
        redemptions.retain(|redemption| redemption.ended_at.is_some_and(|ended_at| ended_at < ended_before));
        let (mut pruned, mut deltas) = (BTreeMap::<Subject, u64>::new(), Deltas::default());
        for redemption in &redemptions {
            let zone = transaction.definition(cache, (redemption.campaign_no, redemption.version)).await?.zone;
            deltas.add(redemption, zone);
            if redemption.counts() {
                let identity = redemption.identity.as_deref().map(|identity| key.digest_of_stored(identity));
                for (subject, amount) in takings(redemption, identity.as_deref()).iter() {
                    *pruned.entry(subject.clone()).or_default() += amount;
                }
            }
        }
        transaction.count_pruned(&pruned).await?;
        transaction.put_deltas(PRUNED, &deltas).await?;
        transaction.delete_pruned(&redemptions).await?;
        let mut entry = AuditEntry::new(Action::Prune, Outcome::Done).with_detail("redemptions");
        entry.count = Some(redemptions.len() as u64);
        transaction.put_audit(&[entry]).await?;
        transaction.commit().await?;
        Ok(redemptions.len() as u64)
    }
}

impl StoreTransaction {
    /// Notes what is taken by redemptions that are about to be removed, where there are limits.
    async fn count_pruned(&mut self, pruned: &BTreeMap<Subject, u64>) -> Result<(), StoreError> {
        const SQL: &str = "
            update allowances as a
               set pruned = a.pruned + d.amount
              from json_to_recordset($1::json)
                as d(campaign_no bigint, scope text collate \"C\", subject text collate \"C\", amount bigint)
             where a.campaign_no = d.campaign_no and a.scope = d.scope and a.subject = d.subject";
        let subjects: BTreeSet<Subject> = pruned.keys().cloned().collect();
        let stored = self.read_allowances(&subjects, true).await?;
        let row = |(subject, _): (&Subject, _)| {
            json!({ "campaign_no": subject.campaign_no, "scope": subject.scope.into_str(), "subject": subject.subject,
                    "amount": pruned.get(subject) })
        };
        let rows: Vec<Value> = stored.iter().map(row).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let count = rows.len() as u64;
        let updated = self.query(SQL).bind(Value::from(rows).to_string()).execute().await?;
        require_rows("the note of what is taken", updated, count)
    }

    async fn delete_pruned(&mut self, redemptions: &[Redemption]) -> Result<(), StoreError> {
        let ids: Vec<Uuid> = redemptions.iter().map(|redemption| redemption.id).collect();
        let delete = self.query("delete from redemptions where id = any($1::uuid[])").bind(List(&ids));
        require_rows("the removal of redemptions", delete.execute().await?, ids.len() as u64)
    }
}
