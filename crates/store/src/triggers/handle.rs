//! Handles triggers: many in one transaction.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::connection::error::{StoreError, reach};
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
use crate::redemptions::definition_cache::{DefinitionCache, VersionKey};
use crate::redemptions::facts::CampaignNow;
use crate::redemptions::segment_facts::SegmentFacts;
use crate::triggers::issue::{Wanted, WantedOf};
use crate::triggers::results::NewResult;
use crate::triggers::waiting::NewWait;
use codemint_codes::identity::IdentityKey;
use codemint_codes::text::hexadecimal;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::condition::facts::Facts;
use codemint_offers::redemption::request::Digest;
use codemint_offers::trigger::decide::{Decision, TriggerFacts, decide, is_concerned};
use codemint_offers::trigger::record::Trigger;
use codemint_offers::trigger::result::{HandledTrigger, TriggerResult};
use codemint_telemetry::failpoint;

/// The answer to a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerOutcome {
    Handled {
        /// The trigger with its current results.
        trigger: HandledTrigger,
        /// False if the same trigger was handled before.
        is_new: bool,
    },
    /// Another trigger was handled under the same id.
    DifferentRequest,
}

/// Triggers, each with its digests.
pub(super) struct Keyed<'a> {
    pub trigger: &'a Trigger,
    request_digest: Digest,
    /// The keyed digest of the identity.
    pub identity: String,
}

/// The campaigns that triggers may concern, as they are until the end of the transaction.
pub(super) struct Concerned {
    pub now: DateTime<Utc>,
    pub campaigns: BTreeMap<i64, CampaignNow>,
}

/// What is known about the identities of triggers.
pub(super) struct Known {
    pub segments: SegmentFacts,
    /// The digests of those who have a code, by campaign.
    pub owners: HashMap<i64, HashSet<String>>,
}

/// What was written about new triggers.
struct Written {
    /// All results of the new triggers; `None` if some wait, which changes results of others as well.
    results: Option<Vec<NewResult>>,
    /// The earlier triggers that they supersede.
    superseded: BTreeSet<String>,
}

impl Store {
    /// Handles triggers, and answers in their order. Repeating the call after an unknown outcome returns what was done.
    pub async fn handle_triggers(
        &self,
        cache: &DefinitionCache,
        triggers: &[Trigger],
        emits_events: bool,
    ) -> Result<Vec<TriggerOutcome>, StoreError> {
        let key = self.identity_key().await?;
        let keyed: Vec<Keyed<'_>> = triggers.iter().map(|trigger| Keyed::new(trigger, &key)).collect();
        let mut transaction = self.begin_writing_by_keys("").await?;
        let (outcomes, has_changed) = transaction.handle_triggers(cache, &keyed, emits_events).await?;
        if has_changed {
            reach(failpoint::BEFORE_ISSUE_COMMIT).await?;
            transaction.commit().await?;
            reach(failpoint::AFTER_ISSUE_COMMIT).await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(outcomes)
    }
}

impl<'a> Keyed<'a> {
    fn new(trigger: &'a Trigger, key: &IdentityKey) -> Self {
        let identity = key.digest(&trigger.identity).to_string();
        Self { trigger, request_digest: trigger.digest(key), identity }
    }

    fn row(&self) -> Value {
        let Trigger { id, trigger_type, identity, .. } = self.trigger;
        let digest = format!("\\x{}", hexadecimal(&self.request_digest.0));
        json!({ "id": id, "request_digest": digest, "type": trigger_type, "identity": self.identity,
                "identity_text": identity, "payload": self.trigger.payload() })
    }
}

impl StoreTransaction {
    async fn handle_triggers(
        &mut self,
        cache: &DefinitionCache,
        triggers: &[Keyed<'_>],
        emits_events: bool,
    ) -> Result<(Vec<TriggerOutcome>, bool), StoreError> {
        let types: BTreeSet<&str> = triggers.iter().map(|keyed| keyed.trigger.trigger_type.as_str()).collect();
        let concerned = self.share_concerned(cache, &types).await?;
        // The first of each id; the others are compared with it.
        let mut firsts: BTreeMap<&str, &Keyed<'_>> = BTreeMap::new();
        for keyed in triggers {
            firsts.entry(&keyed.trigger.id).or_insert(keyed);
        }
        let (new_ids, digests) = self.insert_or_lock_triggers(&firsts).await?;
        // In the order in which they came.
        let mut seen = HashSet::new();
        let mut new: Vec<&Keyed<'_>> = triggers.iter().filter(|keyed| new_ids.contains(&keyed.trigger.id)).collect();
        new.retain(|keyed| seen.insert(&keyed.trigger.id));
        let Written { results, superseded } = self.put_results(&concerned, &new).await?;
        // What was just written need not be read.
        let known = firsts.keys().filter(|id| !new_ids.contains(**id)).map(|id| (*id).to_owned());
        let mut ids: Vec<String> = known.chain(superseded.iter().cloned()).collect();
        let mut handled = match results {
            Some(results) => handled_of(&concerned, &new, results),
            None => {
                ids.extend(new_ids.iter().cloned());
                BTreeMap::new()
            }
        };
        if !ids.is_empty() {
            handled.extend(self.read_results(&ids).await?);
        }
        if emits_events {
            let changed = handled.values().filter(|one| new_ids.contains(&one.id) || superseded.contains(&one.id));
            self.put_trigger_events(changed, concerned.now).await?;
        }
        let mut left = new_ids.clone();
        let outcome = |keyed: &Keyed<'_>| match handled.get(&keyed.trigger.id) {
            Some(trigger) if digests.get(&keyed.trigger.id) == Some(&keyed.request_digest) => {
                TriggerOutcome::Handled { trigger: trigger.clone(), is_new: left.remove(&keyed.trigger.id) }
            }
            _ => TriggerOutcome::DifferentRequest,
        };
        Ok((triggers.iter().map(outcome).collect(), !new_ids.is_empty()))
    }

    /// Finds the campaigns that triggers of these types concern, and keeps them from being changed.
    async fn share_concerned(
        &mut self,
        cache: &DefinitionCache,
        types: &BTreeSet<&str>,
    ) -> Result<Concerned, StoreError> {
        // In the order of the primary key, which is read then: a plan that reads the table counts as so dear here that it would be compiled.
        const SQL: &str = "select no, version from campaigns where kind = 'restricted' order by no";
        let rows: Vec<(i64, i32)> = self.query(SQL).fetch_all().await?;
        let keys: Result<Vec<VersionKey>, StoreError> =
            rows.into_iter().map(|(no, version)| Ok((no, unsigned("campaigns", version)?))).collect();
        let definitions = self.current_definitions(cache, &keys?).await?;
        let is_concerned = |definition: &Definition| types.iter().any(|name| is_concerned(definition, name));
        let nos: BTreeSet<i64> =
            definitions.into_iter().filter(|(_, definition)| is_concerned(definition)).map(|(no, _)| no).collect();
        self.share_campaigns(cache, &nos).await
    }

    /// Keeps campaigns from being changed, and reads them as they are then.
    pub(super) async fn share_campaigns(
        &mut self,
        cache: &DefinitionCache,
        nos: &BTreeSet<i64>,
    ) -> Result<Concerned, StoreError> {
        if nos.is_empty() {
            let now = self.query("select clock_timestamp()").fetch_value().await?;
            return Ok(Concerned { now, campaigns: BTreeMap::new() });
        }
        self.lock_uses(nos, &BTreeSet::new()).await?;
        let (now, campaigns) = self.read_campaigns(cache, nos).await?;
        Ok(Concerned { now, campaigns: campaigns.into_iter().collect() })
    }

    /// Inserts triggers that are new, and keeps the others from being pruned. Returns the ids of the new ones, and the digests of all.
    async fn insert_or_lock_triggers(
        &mut self,
        firsts: &BTreeMap<&str, &Keyed<'_>>,
    ) -> Result<(HashSet<String>, HashMap<String, Digest>), StoreError> {
        let (mut new_ids, mut digests) = (HashSet::new(), HashMap::new());
        // Another process may prune one between two statements: then it is new in the next round.
        loop {
            let left: Vec<&Keyed<'_>> =
                firsts.values().filter(|one| !digests.contains_key(&one.trigger.id)).copied().collect();
            if left.is_empty() {
                return Ok((new_ids, digests));
            }
            let inserted = self.insert_triggers(left.iter().copied()).await?;
            let (new, known): (Vec<&Keyed<'_>>, Vec<&Keyed<'_>>) =
                left.into_iter().partition(|one| inserted.contains(&one.trigger.id));
            digests.extend(new.into_iter().map(|one| (one.trigger.id.clone(), one.request_digest)));
            let known: Vec<String> = known.into_iter().map(|one| one.trigger.id.clone()).collect();
            digests.extend(self.lock_request_digests(&known).await?);
            new_ids.extend(inserted);
        }
    }

    /// Inserts triggers in the order of their ids, and returns the ids of those that are new.
    async fn insert_triggers<'t, 'k: 't>(
        &mut self,
        triggers: impl Iterator<Item = &'t Keyed<'k>>,
    ) -> Result<HashSet<String>, StoreError> {
        const SQL: &str = "
            insert into triggers (id, request_digest, type, identity, identity_text, payload)
            select t.id, t.request_digest, t.type, t.identity, t.identity_text, t.payload
              from json_to_recordset($1::json)
                as t(id text, request_digest bytea, type text, identity text, identity_text text, payload json)
             where true
            on conflict (id) do nothing
            returning id";
        let rows: Value = triggers.map(Keyed::row).collect();
        Ok(self.query(SQL).bind(rows.to_string()).fetch_values().await?.into_iter().collect())
    }

    /// Reads the digests of triggers, in the order of their ids, and keeps them from being removed until the end of the transaction.
    async fn lock_request_digests(&mut self, ids: &[String]) -> Result<HashMap<String, Digest>, StoreError> {
        if ids.is_empty() {
            return Ok(HashMap::new());
        }
        let query = self.query("select id, request_digest from triggers where id = any($1) order by id for key share");
        let rows: Vec<(String, Vec<u8>)> = query.bind(List(ids)).fetch_all().await?;
        let corrupt = |_| StoreError::Corrupt { table: "triggers", problem: "a digest has another length".to_owned() };
        let digest = |(id, digest): (String, Vec<u8>)| Ok((id, Digest(digest.try_into().map_err(corrupt)?)));
        rows.into_iter().map(digest).collect()
    }

    /// Decides new triggers and writes the results.
    async fn put_results(&mut self, concerned: &Concerned, new: &[&Keyed<'_>]) -> Result<Written, StoreError> {
        let known = self.read_facts_of_new(concerned, new).await?;
        let (mut results, mut superseded) = (Vec::new(), BTreeSet::new());
        let (mut waits, mut wanted): (BTreeMap<i64, Vec<NewWait>>, WantedOf) = (BTreeMap::new(), WantedOf::new());
        for keyed in new {
            for (no, campaign) in &concerned.campaigns {
                let Trigger { id, trigger_type, deactivated_at, identity, .. } = keyed.trigger;
                if !is_concerned(&campaign.definition, trigger_type) {
                    continue;
                }
                let (trigger_id, digest) = (id.clone(), keyed.identity.clone());
                match known.decide((*no, campaign), keyed.trigger, &digest, (false, concerned.now)) {
                    Decision::Skip(reason) => {
                        let result = TriggerResult::Skipped { reason };
                        results.push(NewResult { trigger_id, campaign_no: *no, identity: digest, result });
                    }
                    Decision::Wait { due_at } => {
                        let deactivated_at = deactivated_at.unwrap_or(due_at);
                        let wait = NewWait { trigger_id, identity: digest, deactivated_at, due_at };
                        waits.entry(*no).or_default().push(wait);
                    }
                    Decision::Issue => {
                        let one = Wanted { trigger_id, digest, identity: identity.clone() };
                        wanted.entry(*no).or_default().push(one);
                    }
                }
            }
        }
        let is_waiting = !waits.is_empty();
        // Rows that wait are locked before codes are issued, as by a worker that decides what is due.
        for (no, new) in waits {
            let waits = self.put_waiting(no, new).await?;
            results.extend(waits.skipped);
            superseded.extend(waits.superseded);
        }
        for (no, wanted) in &wanted {
            let issued = self.issue_for_triggers(*no, wanted).await?;
            results.extend(wanted.iter().zip(issued).map(|(wanted, result)| NewResult {
                trigger_id: wanted.trigger_id.clone(),
                campaign_no: *no,
                identity: wanted.digest.clone(),
                result,
            }));
        }
        self.insert_results(&results).await?;
        Ok(Written { results: (!is_waiting).then_some(results), superseded })
    }

    async fn read_facts_of_new(&mut self, concerned: &Concerned, new: &[&Keyed<'_>]) -> Result<Known, StoreError> {
        let mut by_campaign: BTreeMap<i64, HashSet<String>> = BTreeMap::new();
        for (no, campaign) in &concerned.campaigns {
            let of_type = new.iter().filter(|keyed| is_concerned(&campaign.definition, &keyed.trigger.trigger_type));
            by_campaign.insert(*no, of_type.map(|keyed| keyed.identity.clone()).collect());
        }
        by_campaign.retain(|_, digests| !digests.is_empty());
        let identities: BTreeSet<&str> = new.iter().map(|keyed| keyed.trigger.identity.as_str()).collect();
        self.read_facts_of_identities(concerned, &identities, &by_campaign).await
    }

    pub(super) async fn read_facts_of_identities(
        &mut self,
        concerned: &Concerned,
        identities: &BTreeSet<&str>,
        by_campaign: &BTreeMap<i64, HashSet<String>>,
    ) -> Result<Known, StoreError> {
        let definitions: Vec<Arc<Definition>> =
            concerned.campaigns.values().map(|campaign| Arc::clone(&campaign.definition)).collect();
        Ok(Known {
            segments: self.read_segments(definitions.iter().map(|definition| &**definition), identities).await?,
            owners: self.find_owners(by_campaign).await?,
        })
    }
}

/// Returns new triggers with their results, which are in the order of the campaigns' names.
fn handled_of(concerned: &Concerned, new: &[&Keyed<'_>], results: Vec<NewResult>) -> BTreeMap<String, HandledTrigger> {
    let empty = |keyed: &&Keyed<'_>| {
        let id = keyed.trigger.id.clone();
        (id.clone(), HandledTrigger { id, results: Vec::new() })
    };
    let mut handled: BTreeMap<String, HandledTrigger> = new.iter().map(empty).collect();
    for NewResult { trigger_id, campaign_no, result, .. } in results {
        let campaign = concerned.campaigns.get(&campaign_no);
        if let (Some(campaign), Some(trigger)) = (campaign, handled.get_mut(&trigger_id)) {
            trigger.results.push((campaign.definition.name.clone(), result));
        }
    }
    for trigger in handled.values_mut() {
        trigger.results.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    handled
}

impl Known {
    /// Decides one trigger for one campaign.
    pub(super) fn decide(
        &self,
        (campaign_no, campaign): (i64, &CampaignNow),
        trigger: &Trigger,
        digest: &str,
        (is_due, now): (bool, DateTime<Utc>),
    ) -> Decision {
        let definition = &campaign.definition;
        let stated = Facts {
            attributes: &trigger.attributes,
            segments: &trigger.segments,
            cart: None,
            day: now.with_timezone(&definition.zone).date_naive(),
        };
        let segments = self.segments.of(&stated, Some(&trigger.identity));
        let facts = TriggerFacts {
            trigger_type: &trigger.trigger_type,
            attributes: &trigger.attributes,
            segments: &segments,
            deactivated_at: trigger.deactivated_at,
            has_code: self.owners.get(&campaign_no).is_some_and(|owners| owners.contains(digest)),
            is_due,
        };
        decide(definition, &facts, now)
    }
}
