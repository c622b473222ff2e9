//! Issuing: a code of the pool is bound to an identity. Many requests are answered in one transaction.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::FromRow;

use crate::campaigns::definitions::definition_of;
use crate::connection::error::{StoreError, reach, require_rows};
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
use codemint_offers::campaign::definition::{Definition, Kind};
use codemint_telemetry::failpoint;

/// An identity that is to get a code.
#[derive(Clone, Debug)]
pub struct ToIssue {
    pub identity: String,
    /// `issue` or `trigger`.
    pub cause: &'static str,
    /// The trigger that is the cause.
    pub trigger_id: Option<String>,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IssueOutcome {
    Issued {
        code: String,
    },
    /// The identity had this code already.
    AlreadyGenerated {
        code: String,
    },
    UnknownCampaign,
    /// The campaign is not restricted: its codes are anybody's.
    NotRestricted,
    /// The campaign is off, has not started or has ended.
    NotActive,
    PoolEmpty,
    LimitReached,
    /// The rest of the limit is promised to the lists of unfinished jobs.
    LimitReserved,
}

/// A campaign that is not changed until the end of the transaction.
pub(crate) struct SharedCampaign {
    pub no: i64,
    pub definition: Definition,
    read_at: DateTime<Utc>,
}

/// A code that is bound to an identity.
#[derive(FromRow)]
struct OwnedRow {
    /// The keyed digest of the identity.
    identity: String,
    code: String,
    /// It is a reward, which stands with the friends of the identity, or was revoked with them.
    is_reward: bool,
}

/// What a transaction issued.
pub(crate) struct Issued {
    /// The codes that were issued, by digest.
    pub issued: HashMap<String, String>,
    /// Those that another process has issued meanwhile.
    pub others: HashMap<String, String>,
    /// What there was too little of for those that have none.
    pub short_of: IssueOutcome,
}

impl Store {
    /// Issues codes of a campaign's pool, to each identity one, and answers in the order of the requests. Repeating the
    /// call after an unknown outcome returns the codes that were issued.
    pub async fn issue(&self, campaign: &str, wanted: &[ToIssue]) -> Result<Vec<IssueOutcome>, StoreError> {
        let key = self.identity_key().await?;
        let digests: Vec<String> = wanted.iter().map(|wanted| key.digest(&wanted.identity).to_string()).collect();
        let mut transaction = self.begin_writing().await?;
        let (outcomes, has_changed) = transaction.issue(campaign, wanted, &digests).await?;
        if has_changed {
            reach(failpoint::BEFORE_ISSUE_COMMIT).await?;
            transaction.commit().await?;
            reach(failpoint::AFTER_ISSUE_COMMIT).await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(outcomes)
    }

    /// Counts the codes of a campaign that are nobody's yet, up to a number.
    pub async fn count_pool(&self, campaign_no: i64, most: u64) -> Result<u64, StoreError> {
        const SQL: &str = "select count(*) from (select 1 from pool where campaign_no = $1 limit $2) first_ones";
        let count: i64 = self.query(SQL).bind(campaign_no).bind(most as i64).fetch_value().await?;
        unsigned("pool", count)
    }
}

/// The pool of an active campaign for which no job mints.
#[derive(Clone, Debug, FromRow)]
pub struct KeptPool {
    pub campaign_no: i64,
    pub campaign: String,
    pub mask: String,
    /// The number of jobs for this pool so far.
    pub orders: i64,
    /// The number of codes of the first of them, and its chunk size.
    first_order: i64,
    chunk_size: i32,
}

impl KeptPool {
    pub fn first_order(&self) -> u64 {
        self.first_order.unsigned_abs()
    }

    pub fn chunk_size(&self) -> u64 {
        u64::from(self.chunk_size.unsigned_abs())
    }
}

impl Store {
    /// Lists the pools that are kept filled: those of active campaigns that somebody has filled once, unless a job for the
    /// pool is unfinished. Masks are those of the latest orders.
    pub async fn list_kept_pools(&self) -> Result<Vec<KeptPool>, StoreError> {
        const SQL: &str = "
            select p.no as campaign_no, p.name as campaign, o.orders, f.count as first_order, f.chunk_size,
                   l.canonical_mask as mask
              from campaigns p
              join (select campaign, count(*) as orders, min(no) as first_no, max(no) as last_no,
                           count(case when state in ('queued', 'running', 'cancelling') then 1 end) as unfinished
                      from jobs where restricted_to = 'pool' group by campaign) o on o.campaign = p.name
              join jobs f on f.no = o.first_no
              join jobs l on l.no = o.last_no
             where p.active and o.unfinished = 0
               and (p.ends_at is null or p.ends_at > now())";
        self.query(SQL).fetch_all().await
    }
}

impl StoreTransaction {
    /// Also returns true if anything was changed.
    async fn issue(
        &mut self,
        campaign: &str,
        wanted: &[ToIssue],
        digests: &[String],
    ) -> Result<(Vec<IssueOutcome>, bool), StoreError> {
        let Some(campaign) = self.share_campaign(campaign).await? else {
            return Ok((vec![IssueOutcome::UnknownCampaign; wanted.len()], false));
        };
        let mut owned = HashMap::with_capacity(digests.len());
        let mut rewards = Vec::new();
        for OwnedRow { identity, code, is_reward } in self.find_owned(campaign.no, digests).await? {
            rewards.extend(is_reward.then(|| identity.clone()));
            owned.insert(identity, code);
        }
        let mut has_changed = !rewards.is_empty();
        if has_changed {
            self.make_permanent(campaign.no, &rewards).await?;
        }
        let refusal = refusal_of(&campaign);
        let mut seen = HashSet::new();
        let mut new: Vec<(&str, &ToIssue)> = digests.iter().map(String::as_str).zip(wanted).collect();
        new.retain(|(digest, _)| refusal.is_none() && !owned.contains_key(*digest) && seen.insert(*digest));
        let Issued { mut issued, others, short_of } = self.issue_to(campaign.no, &new).await?;
        owned.extend(others);
        let mut outcomes = Vec::with_capacity(digests.len());
        for digest in digests {
            outcomes.push(match (issued.remove(digest), owned.get(digest)) {
                (Some(code), _) => {
                    // Of several equal requests, the first is the one that got the code.
                    owned.insert(digest.clone(), code.clone());
                    has_changed = true;
                    IssueOutcome::Issued { code }
                }
                (None, Some(code)) => IssueOutcome::AlreadyGenerated { code: code.clone() },
                (None, None) => refusal.clone().unwrap_or_else(|| short_of.clone()),
            });
        }
        Ok((outcomes, has_changed))
    }

    /// Makes rewards valid, also those that were revoked, now that these identities are to have codes whatever becomes of their friends.
    async fn make_permanent(&mut self, campaign_no: i64, digests: &[String]) -> Result<(), StoreError> {
        const SQL: &str = "
            update assignments set revoked_at = null, cause = 'issue', trigger_id = null
             where campaign_no = $1 and identity = any($2)";
        self.query(SQL).bind(campaign_no).bind(List(digests)).execute().await?;
        Ok(())
    }

    /// Reads a campaign that is not switched or changed until the end of the transaction. Others may read it too.
    pub(crate) async fn share_campaign(&mut self, name: &str) -> Result<Option<SharedCampaign>, StoreError> {
        const SQL: &str = "
            select cast(v.definition as text), now()
              from campaigns p
              join campaign_versions v on v.campaign_no = p.no and v.version = p.version
             where p.no = $1";
        let no: Option<(i64,)> =
            self.query("select no from campaigns where name = $1").bind(name).fetch_optional().await?;
        let Some((no,)) = no else { return Ok(None) };
        self.share_campaign_no(no).await?;
        let (definition, read_at): (String, DateTime<Utc>) = self.query(SQL).bind(no).fetch_one().await?;
        Ok(Some(SharedCampaign { no, definition: definition_of(&definition)?, read_at }))
    }

    pub(crate) async fn find_codes_of(
        &mut self,
        campaign_no: i64,
        digests: &[String],
    ) -> Result<HashMap<String, String>, StoreError> {
        let owned = self.find_owned(campaign_no, digests).await?;
        Ok(owned.into_iter().map(|OwnedRow { identity, code, .. }| (identity, code)).collect())
    }

    async fn find_owned(&mut self, campaign_no: i64, digests: &[String]) -> Result<Vec<OwnedRow>, StoreError> {
        const SQL: &str = "
            select identity, code, coalesce(trigger_id like 'referral:%', false) as is_reward
              from assignments where campaign_no = $1 and identity = any($2)";
        self.query(SQL).bind(campaign_no).bind(List(digests)).fetch_all().await
    }

    /// Issues codes in the order of the requests, as far as the limit and the pool allow.
    pub(crate) async fn issue_to(&mut self, campaign_no: i64, new: &[(&str, &ToIssue)]) -> Result<Issued, StoreError> {
        let wanted = new.len() as u64;
        let allowed = self.find_issuable(campaign_no).await?.unwrap_or(wanted).min(wanted);
        let short_of = match allowed < wanted {
            true if self.has_unfinished_list(campaign_no).await? => IssueOutcome::LimitReserved,
            true => IssueOutcome::LimitReached,
            false => IssueOutcome::PoolEmpty,
        };
        let mut done = Issued { issued: HashMap::new(), others: HashMap::new(), short_of };
        if allowed == 0 {
            return Ok(done);
        }
        let codes = self.take_from_pool(campaign_no, allowed).await?;
        reach(failpoint::POOL_TAKEN).await?;
        if (codes.len() as u64) < allowed {
            done.short_of = IssueOutcome::PoolEmpty;
        }
        let mut rows: Vec<(&str, &ToIssue, &String)> =
            new.iter().zip(&codes).map(|((digest, wanted), code)| (*digest, *wanted, code)).collect();
        // In one order, so that processes do not wait for each other.
        rows.sort_unstable_by_key(|(digest, ..)| *digest);
        let inserted: HashSet<String> = self.insert_assignments(campaign_no, &rows).await?.into_iter().collect();
        self.change_issued(campaign_no, inserted.len() as i64).await?;
        let (kept, unused): (Vec<_>, Vec<_>) = rows.into_iter().partition(|(digest, ..)| inserted.contains(*digest));
        done.issued = kept.into_iter().map(|(digest, _, code)| (digest.to_owned(), code.clone())).collect();
        if !unused.is_empty() {
            self.put_into_pool(campaign_no, &unused.iter().map(|(_, _, code)| *code).collect::<Vec<_>>()).await?;
            let digests: Vec<String> = unused.iter().map(|(digest, ..)| (*digest).to_owned()).collect();
            done.others = self.find_codes_of(campaign_no, &digests).await?;
        }
        Ok(done)
    }

    async fn has_unfinished_list(&mut self, campaign_no: i64) -> Result<bool, StoreError> {
        const SQL: &str = "
            select exists (
                select 1 from jobs
                 where campaign = (select name from campaigns where no = $1)
                   and list_id is not null and state in ('queued', 'running', 'cancelling'))";
        self.query(SQL).bind(campaign_no).fetch_value().await
    }

    /// Returns how many codes the limit still allows, and locks it; `None` without a limit.
    pub(crate) async fn find_issuable(&mut self, campaign_no: i64) -> Result<Option<u64>, StoreError> {
        const SQL: &str = "
            select quota - taken from allowances where campaign_no = $1 and scope = 'issued' and subject = '' for update";
        let left: Option<(i64,)> = self.query(SQL).bind(campaign_no).fetch_optional().await?;
        left.map(|(left,)| unsigned("allowances", left)).transpose()
    }

    /// Takes at most `count` codes. Codes that another transaction is taking are left to it.
    pub(crate) async fn take_from_pool(&mut self, campaign_no: i64, count: u64) -> Result<Vec<String>, StoreError> {
        // `materialized`: PostgreSQL may run a plain subquery again for each row, and then finds other rows each time, since it
        // skips those that this statement has removed.
        const SQL: &str = "
            with picked as materialized (
                select code from pool where campaign_no = $1 order by code limit $2 for update skip locked)
            delete from pool where campaign_no = $1 and code in (select code from picked)
            returning code";
        let codes: Vec<String> = self.query(SQL).bind(campaign_no).bind(count as i64).fetch_values().await?;
        if codes.len() as u64 > count {
            let problem = format!("{} codes were taken where {count} were wanted; nothing was changed", codes.len());
            return Err(StoreError::Corrupt { table: "pool", problem });
        }
        Ok(codes)
    }

    pub(crate) async fn put_into_pool(&mut self, campaign_no: i64, codes: &[&String]) -> Result<(), StoreError> {
        const SQL: &str =
            "insert into pool (campaign_no, code) select $1, value ->> 0 from json_array_elements($2::json)";
        let rows: Value = codes.iter().map(|code| json!([code])).collect();
        let inserted = self.query(SQL).bind(campaign_no).bind(rows.to_string()).execute().await?;
        require_rows("the return of codes to the pool", inserted, codes.len() as u64)
    }

    /// Inserts the assignments of identities that have none, in the order of their digests, sums them up, and returns these
    /// digests.
    async fn insert_assignments(
        &mut self,
        campaign_no: i64,
        pairs: &[(&str, &ToIssue, &String)],
    ) -> Result<Vec<String>, StoreError> {
        const SQL: &str = "
            insert into assignments (campaign_no, identity, code, identity_text, cause, trigger_id, day)
            select $1, a.identity, a.code, a.identity_text, a.cause, a.trigger_id, $3
              from json_to_recordset($2::json)
                as a(identity text, code text, identity_text text, cause text, trigger_id text)
             where true
            on conflict (campaign_no, identity) do nothing
            returning identity";
        let row = |(digest, wanted, code): &(&str, &ToIssue, &String)| {
            json!({ "identity": digest, "code": code, "identity_text": wanted.identity, "cause": wanted.cause,
                    "trigger_id": wanted.trigger_id })
        };
        let rows: Value = pairs.iter().map(row).collect();
        let day = self.day_in_zone_of(campaign_no).await?;
        let inserted: Vec<String> =
            self.query(SQL).bind(campaign_no).bind(rows.to_string()).bind(day).fetch_values().await?;
        self.add_issued(campaign_no, day, inserted.len()).await?;
        Ok(inserted)
    }
}

/// Returns why a campaign issues no new codes.
pub(crate) fn refusal_of(campaign: &SharedCampaign) -> Option<IssueOutcome> {
    let is_restricted = campaign.definition.kind == Kind::Restricted;
    if is_restricted { refusal_of_time(campaign) } else { Some(IssueOutcome::NotRestricted) }
}

/// Returns the refusal of a campaign that is off, has not started or has ended.
pub(crate) fn refusal_of_time(campaign: &SharedCampaign) -> Option<IssueOutcome> {
    let (definition, now) = (&campaign.definition, campaign.read_at);
    (!definition.is_open(now)).then_some(IssueOutcome::NotActive)
}
