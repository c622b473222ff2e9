//! What processes keep in memory: all rules with their excluded references, as they are at one moment.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use codemint_offers::affiliate::excluded::Excluded;
use codemint_offers::affiliate::rule::Rule;

use crate::affiliates::exclusions::EXCLUSIONS_AT_ONCE;
use crate::affiliates::rules::{RuleRow, SELECT, StoredRule};
use crate::connection::error::StoreError;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;

/// All rules and exclusions of a version.
#[derive(Clone, Debug, Default)]
pub struct KeptAffiliates {
    pub version: i64,
    rules: Vec<KeptRule>,
}

#[derive(Clone, Debug)]
struct KeptRule {
    no: i64,
    exclusions_version: i64,
    rule: Rule,
    excluded: Arc<Excluded>,
}

impl KeptAffiliates {
    /// Returns the rules with their excluded references.
    pub fn rules(&self) -> impl Iterator<Item = (Rule, Arc<Excluded>)> {
        self.rules.iter().map(|kept| (kept.rule.clone(), Arc::clone(&kept.excluded)))
    }
}

impl Store {
    /// Reads all rules and exclusions, as they are at one moment. Exclusions that are `known` are not read again, and of lists that were
    /// changed one by one only the changes are read.
    pub async fn read_affiliates(&self, known: &KeptAffiliates) -> Result<KeptAffiliates, StoreError> {
        let known: HashMap<i64, &KeptRule> = known.rules.iter().map(|kept| (kept.no, kept)).collect();
        let mut transaction = self.begin_reading().await?;
        let version = "select version from kept_versions where name = 'affiliates'";
        let version: i64 = transaction.query(version).fetch_value().await?;
        let rows: Vec<RuleRow> = transaction.query(SELECT).fetch_all().await?;
        let mut rules = Vec::with_capacity(rows.len());
        for row in rows {
            let StoredRule { no, rule, exclusions, exclusions_version, list_version, changed_at: _ } =
                row.try_into()?;
            // A rule that has the number of one that was removed is younger.
            let excluded = match known.get(&no).filter(|kept| kept.exclusions_version >= list_version) {
                Some(kept) if kept.exclusions_version == exclusions_version => Arc::clone(&kept.excluded),
                Some(kept) => {
                    let changes = transaction.read_changes(no, kept.exclusions_version).await?;
                    Arc::new(kept.excluded.changed(&changes))
                }
                None if exclusions == 0 => Arc::default(),
                None => Arc::new(transaction.read_excluded(no).await?),
            };
            rules.push(KeptRule { no, exclusions_version, rule, excluded });
        }
        transaction.rollback().await?;
        Ok(KeptAffiliates { version, rules })
    }
}

impl StoreTransaction {
    /// Returns the references whose exclusion has changed since a version, and whether they are excluded now.
    async fn read_changes(&mut self, rule_no: i64, since: i64) -> Result<BTreeMap<String, bool>, StoreError> {
        const SQL: &str = "
            select distinct c.reference, e.reference is not null as is_excluded
              from affiliate_exclusion_changes c
              left join affiliate_exclusions e on e.rule_no = c.rule_no and e.reference = c.reference
             where c.rule_no = $1 and c.version > $2";
        let changes: Vec<(String, bool)> = self.query(SQL).bind(rule_no).bind(since).fetch_all().await?;
        Ok(changes.into_iter().collect())
    }

    async fn read_excluded(&mut self, rule_no: i64) -> Result<Excluded, StoreError> {
        const SQL: &str = "
            select reference from affiliate_exclusions
             where rule_no = $1 and reference > $2
             order by reference
             limit $3";
        let (mut excluded, mut after) = (Excluded::default(), String::new());
        loop {
            let query = self.query(SQL).bind(rule_no).bind(&*after).bind(EXCLUSIONS_AT_ONCE as i64);
            let page: Vec<String> = query.fetch_values().await?;
            if !page.iter().all(|reference| excluded.push(reference)) {
                let problem = "references are not in ascending order".to_owned();
                return Err(StoreError::Corrupt { table: "affiliate_exclusions", problem });
            }
            let is_last = page.len() < EXCLUSIONS_AT_ONCE;
            after = page.into_iter().next_back().unwrap_or_default();
            if is_last {
                break;
            }
        }
        excluded.shrink();
        Ok(excluded)
    }
}
