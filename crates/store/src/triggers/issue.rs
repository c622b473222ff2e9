//! Issues codes for triggers.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::campaigns::pool::{IssueOutcome, Issued, ToIssue};
use crate::connection::error::StoreError;
use crate::connection::transaction::StoreTransaction;
use codemint_offers::trigger::result::{SkipReason, TriggerResult};

/// A trigger for which a campaign issues a code, if it can.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub trigger_id: String,
    /// The keyed digest of the identity.
    pub digest: String,
    pub identity: String,
}

/// The triggers for which campaigns issue codes, by the number of the campaign: in this order campaigns are locked.
pub(super) type WantedOf = BTreeMap<i64, Vec<Wanted>>;

impl StoreTransaction {
    /// Issues codes in the order of the triggers, as far as the limit and the pool allow, and returns the results in this order.
    /// The first of several triggers of an identity gets the code.
    pub(super) async fn issue_for_triggers(
        &mut self,
        campaign_no: i64,
        wanted: &[Wanted],
    ) -> Result<Vec<TriggerResult>, StoreError> {
        let to_issue = |wanted: &Wanted| ToIssue {
            identity: wanted.identity.clone(),
            cause: "trigger",
            trigger_id: Some(wanted.trigger_id.clone()),
        };
        let requests: Vec<ToIssue> = wanted.iter().map(to_issue).collect();
        let mut seen = HashSet::new();
        let mut new: Vec<(&str, &ToIssue)> =
            wanted.iter().map(|wanted| wanted.digest.as_str()).zip(&requests).collect();
        new.retain(|(digest, _)| seen.insert(*digest));
        let Issued { mut issued, others, short_of } = self.issue_to(campaign_no, &new).await?;
        let short_of = match short_of {
            IssueOutcome::LimitReached | IssueOutcome::LimitReserved => SkipReason::IssueLimitReached,
            _ => SkipReason::PoolEmpty,
        };
        let have_codes: HashSet<String> = issued.keys().chain(others.keys()).cloned().collect();
        let result = |wanted: &Wanted| match issued.remove(&wanted.digest) {
            Some(code) => TriggerResult::Issued { code },
            None if have_codes.contains(&wanted.digest) => {
                TriggerResult::Skipped { reason: SkipReason::AlreadyGenerated }
            }
            None => TriggerResult::Skipped { reason: short_of },
        };
        Ok(wanted.iter().map(result).collect())
    }

    /// Reads which of these identities have a code of a campaign.
    pub(super) async fn find_owners(
        &mut self,
        wanted: &BTreeMap<i64, HashSet<String>>,
    ) -> Result<HashMap<i64, HashSet<String>>, StoreError> {
        let mut owners = HashMap::with_capacity(wanted.len());
        for (campaign_no, digests) in wanted {
            let digests: Vec<String> = digests.iter().cloned().collect();
            let found = self.find_codes_of(*campaign_no, &digests).await?;
            owners.insert(*campaign_no, found.into_keys().collect());
        }
        Ok(owners)
    }
}
