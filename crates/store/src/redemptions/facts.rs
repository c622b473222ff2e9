//! The facts on which uses of codes are decided, read for many requests at once.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
use crate::redemptions::definition_cache::DefinitionCache;
use crate::redemptions::rows::{RedemptionRow, SELECT, whole_milliseconds};
use crate::redemptions::segment_facts::SegmentFacts;
use crate::referrals::tree::Referrals;
use codemint_offers::campaign::definition::{Definition, Kind};
use codemint_offers::condition::facts::Facts as ConditionFacts;
use codemint_offers::redemption::decide::Use;
use codemint_offers::redemption::ledger::{Ledger, Remaining, Subject, Takings};
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::request::{Digest, Request};
use codemint_offers::redemption::state::State;
use codemint_offers::verdict::decide::{Verdict, reasons_of_unknown};
use codemint_offers::verdict::facts::EarlierRedemption;

/// A request whose code exists and belongs to a campaign.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The id of the redemption; nil for a validation.
    pub id: Uuid,
    pub request: Request,
    pub request_digest: Digest,
    /// The code as it is stored.
    pub code: String,
    pub campaign_no: i64,
    /// The code may have been withdrawn since it was looked up.
    pub may_vanish: bool,
    /// The keyed digest of the identity.
    pub identity: Option<String>,
    /// The identity as referral campaigns compare it; `None` if it is not an e-mail address.
    pub address: Option<AddressForm>,
}

/// The strict form of an address. `Debug` does not show it.
#[derive(Clone)]
pub struct AddressForm {
    pub text: String,
    /// The keyed digest of the text.
    pub digest: String,
}

impl fmt::Debug for AddressForm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AddressForm(hidden)")
    }
}

/// A campaign as it is at the moment.
#[derive(Clone, Debug)]
pub(crate) struct CampaignNow {
    pub version: u32,
    pub definition: Arc<Definition>,
}

/// What is known besides the allowances.
#[derive(Debug)]
pub(crate) struct Facts {
    pub now: DateTime<Utc>,
    pub campaigns: HashMap<i64, CampaignNow>,
    /// The digests of the owners of restricted codes.
    owners: HashMap<String, String>,
    /// The redemptions that count, by the reference of their order, in the order in which they were made.
    earlier: HashMap<String, MadeInOrder>,
    segments: SegmentFacts,
    /// Imported codes that are gone, and rewards that were revoked.
    vanished: HashSet<String>,
    /// What is known about referral codes.
    pub referrals: Referrals,
}

/// Redemptions by the time when they were made.
type MadeInOrder = BTreeMap<(DateTime<Utc>, Uuid), EarlierRedemption>;

/// What one redemption or request needs facts about.
pub(crate) struct Subjects<'a> {
    pub campaign_nos: BTreeSet<i64>,
    /// Codes of any campaign, each with the number of its campaign.
    pub codes: Vec<(&'a str, i64)>,
    pub may_vanish: Vec<String>,
    pub identities: BTreeSet<&'a str>,
    pub orders: BTreeSet<&'a str>,
}

impl<'a> Subjects<'a> {
    pub(crate) fn of(asked: &'a [Asked]) -> Self {
        Self {
            campaign_nos: asked.iter().map(|asked| asked.campaign_no).collect(),
            codes: asked.iter().map(|asked| (asked.code.as_str(), asked.campaign_no)).collect(),
            may_vanish: asked.iter().filter(|asked| asked.may_vanish).map(|asked| asked.code.clone()).collect(),
            identities: asked.iter().flat_map(Asked::identities).collect(),
            orders: asked.iter().filter_map(|asked| asked.request.order.as_deref()).collect(),
        }
    }
}

/// The answer to a request that only asks.
#[derive(Clone, Debug)]
pub struct Validated {
    pub definition: Arc<Definition>,
    pub verdict: Verdict,
    pub remaining: Remaining,
}

impl Store {
    /// Decides requests without writing anything, and answers in their order.
    pub async fn validate(&self, cache: &DefinitionCache, asked: &[Asked]) -> Result<Vec<Validated>, StoreError> {
        let mut snapshot = self.begin_reading_by_keys().await?;
        let mut facts = snapshot.read_facts(cache, &Subjects::of(asked)).await?;
        let asked = &*facts.addressed(asked);
        snapshot.read_referrals_of(&mut facts, asked).await?;
        let ledger = snapshot.read_allowances(&facts.limited_subjects(asked), false).await?;
        snapshot.rollback().await?;
        let validated = |asked: &Asked| {
            let definition = Arc::clone(&facts.campaign(asked.campaign_no)?.definition);
            let remaining = Remaining::of(&asked.takings(&definition), &definition.limits, &ledger);
            Ok(Validated { verdict: facts.verdict(asked, &ledger)?, definition, remaining })
        };
        asked.iter().map(validated).collect()
    }
}

impl Asked {
    /// Returns the identity, and the form of it that referral campaigns know.
    fn identities(&self) -> impl Iterator<Item = &str> {
        let address = self.address.as_ref().map(|address| &*address.text);
        self.request.identity.as_deref().into_iter().chain(address)
    }

    /// Returns the subjects of which the use takes, the budget included, whatever the discount will be.
    fn takings(&self, definition: &Definition) -> Takings {
        let budget = definition.limits.budget.map(|budget| (budget.currency, 0));
        Takings::of(self.campaign_no, &self.code, self.identity.as_deref(), budget)
    }
}

impl StoreTransaction {
    /// Reads facts. In a transaction that writes, the campaigns and the orders are locked.
    pub(crate) async fn read_facts(
        &mut self,
        cache: &DefinitionCache,
        subjects: &Subjects<'_>,
    ) -> Result<Facts, StoreError> {
        let (now, campaigns) = self.read_campaigns(cache, &subjects.campaign_nos).await?;
        let owned = subjects.codes.iter().filter(|(_, campaign_no)| {
            campaigns.get(campaign_no).is_some_and(|campaign| campaign.definition.kind == Kind::Restricted)
        });
        let owned: Vec<String> = owned.map(|(code, _)| (*code).to_owned()).collect();
        let definitions = campaigns.values().map(|campaign| &*campaign.definition);
        let segments = self.read_segments(definitions, &subjects.identities).await?;
        let mut vanished = self.find_vanished(&subjects.may_vanish).await?;
        Ok(Facts {
            owners: self.read_code_owners(&owned, &mut vanished).await?,
            earlier: self.read_earlier(cache, &subjects.orders, now).await?,
            referrals: Referrals::default(),
            vanished,
            now,
            campaigns,
            segments,
        })
    }

    /// Adds what is known about the referral codes of addressed requests.
    pub(crate) async fn read_referrals_of(&mut self, facts: &mut Facts, asked: &[Asked]) -> Result<(), StoreError> {
        let of_referral: Vec<&Asked> = asked.iter().filter(|asked| facts.is_referral(asked.campaign_no)).collect();
        let codes = of_referral.iter().map(|asked| asked.code.clone()).collect();
        let friends = of_referral.iter().filter_map(|asked| asked.identity.clone()).collect();
        facts.referrals = self.read_referrals(codes, friends).await?;
        Ok(())
    }

    pub(crate) async fn read_campaigns(
        &mut self,
        cache: &DefinitionCache,
        nos: &BTreeSet<i64>,
    ) -> Result<(DateTime<Utc>, HashMap<i64, CampaignNow>), StoreError> {
        const SQL: &str = "select no, version, clock_timestamp() from campaigns where no = any($1)";
        let nos: Vec<i64> = nos.iter().copied().collect();
        let rows: Vec<(i64, i32, DateTime<Utc>)> = self.query(SQL).bind(List(&nos)).fetch_all().await?;
        // The latest reading: a refusal for time is made at a moment after the locks were taken.
        let now = rows.iter().map(|(_, _, now)| *now).max().unwrap_or_default();
        let mut campaigns = HashMap::with_capacity(rows.len());
        for (no, version, _) in rows {
            let version: u32 = unsigned("campaigns", version)?;
            let definition = self.definition(cache, (no, version)).await?;
            campaigns.insert(no, CampaignNow { version, definition });
        }
        Ok((whole_milliseconds(now), campaigns))
    }

    async fn read_code_owners(
        &mut self,
        codes: &[String],
        vanished: &mut HashSet<String>,
    ) -> Result<HashMap<String, String>, StoreError> {
        if codes.is_empty() {
            return Ok(HashMap::new());
        }
        let sql = "select code, identity, revoked_at is not null from assignments where code = any($1)";
        let rows: Vec<(String, String, bool)> = self.query(sql).bind(List(codes)).fetch_all().await?;
        vanished.extend(rows.iter().filter(|(.., is_revoked)| *is_revoked).map(|(code, ..)| code.clone()));
        Ok(rows.into_iter().map(|(code, identity, _)| (code, identity)).collect())
    }

    async fn read_earlier(
        &mut self,
        cache: &DefinitionCache,
        orders: &BTreeSet<&str>,
        now: DateTime<Utc>,
    ) -> Result<HashMap<String, MadeInOrder>, StoreError> {
        let mut earlier: HashMap<String, MadeInOrder> = HashMap::new();
        if orders.is_empty() {
            return Ok(earlier);
        }
        let orders: Vec<String> = orders.iter().map(|order| (*order).to_owned()).collect();
        let sql = format!("{SELECT} where r.order_ref = any($1) and r.state in ('held', 'confirmed')");
        let rows: Vec<RedemptionRow> = self.query(sql).bind(List(&orders)).fetch_all().await?;
        for row in rows {
            let redemption = Redemption::try_from(row)?;
            // A hold does not count after its deadline, even if nobody has expired it yet.
            if redemption.is_overdue(now) {
                continue;
            }
            let definition = self.definition(cache, (redemption.campaign_no, redemption.version)).await?;
            let made = (redemption.held_at, redemption.id);
            let order = redemption.order.clone().unwrap_or_default();
            earlier.entry(order).or_default().insert(made, earlier_of(redemption, definition.exclusive));
        }
        Ok(earlier)
    }

    /// Returns those of these imported codes that no longer exist, or are about to be withdrawn.
    async fn find_vanished(&mut self, codes: &[String]) -> Result<HashSet<String>, StoreError> {
        if codes.is_empty() {
            return Ok(HashSet::new());
        }
        // Two statements: codes may be distributed over nodes, where the other tables are not.
        let stored = "select code, run_no from codes where code = any($1)";
        let kept = "
            select k.run_no
              from chunks k
              join jobs j on j.no = k.job_no
             where k.run_no = any($1) and coalesce(j.error_code, '') <> 'withdrawn'";
        let stored: Vec<(String, i64)> = self.query(stored).bind(List(codes)).fetch_all().await?;
        let run_nos: Vec<i64> = stored.iter().map(|(_, run_no)| *run_no).collect();
        let kept: HashSet<i64> = self.query(kept).bind(List(&run_nos)).fetch_values().await?.into_iter().collect();
        let found: HashSet<String> =
            stored.into_iter().filter(|(_, run_no)| kept.contains(run_no)).map(|(code, _)| code).collect();
        Ok(codes.iter().filter(|code| !found.contains(*code)).cloned().collect())
    }

    /// Reads redemptions by their ids, those that exist, in the order of the ids.
    pub(crate) async fn read_redemptions(&mut self, ids: &[Uuid], lock: Lock) -> Result<Vec<Redemption>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let lock = match lock {
            Lock::No => "",
            Lock::Wait => "for update of r",
            Lock::SkipLocked => "for update of r skip locked",
        };
        let sql = format!("{SELECT} where r.id = any($1::uuid[]) order by r.id {lock}");
        let rows: Vec<RedemptionRow> = self.query(sql).bind(List(ids)).fetch_all().await?;
        rows.into_iter().map(Redemption::try_from).collect()
    }
}

/// Whether rows are locked until the end of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lock {
    No,
    Wait,
    /// Rows that somebody else has locked are left out.
    SkipLocked,
}

impl Facts {
    /// # Errors
    /// `Corrupt` if there is none: campaigns are never removed.
    pub(crate) fn campaign(&self, no: i64) -> Result<&CampaignNow, StoreError> {
        let problem = "a campaign is missing".to_owned();
        self.campaigns.get(&no).ok_or(StoreError::Corrupt { table: "campaigns", problem })
    }

    /// Returns true for an imported code that is gone, and for a reward that was revoked.
    pub(crate) fn has_vanished(&self, code: &str) -> bool {
        self.vanished.contains(code)
    }

    pub(crate) fn owner(&self, code: &str) -> Option<&str> {
        let referrer = || self.referrals.tree.owner(code).map(|node| &*node.address);
        self.owners.get(code).map(String::as_str).or_else(referrer)
    }

    /// Returns the requests as their campaigns see them: in referral campaigns, friends are known by the strict form of their
    /// address, and what is not an address is no identity.
    pub(crate) fn addressed<'a>(&self, asked: &'a [Asked]) -> Cow<'a, [Asked]> {
        let is_referral = |asked: &Asked| self.is_referral(asked.campaign_no);
        if !asked.iter().any(is_referral) {
            return Cow::Borrowed(asked);
        }
        let mut asked = asked.to_vec();
        for one in asked.iter_mut().filter(|one| is_referral(one)) {
            one.request.identity = one.address.as_ref().map(|address| address.text.clone());
            one.identity = one.address.as_ref().map(|address| address.digest.clone());
        }
        Cow::Owned(asked)
    }

    pub(crate) fn is_referral(&self, campaign_no: i64) -> bool {
        self.campaigns.get(&campaign_no).is_some_and(|campaign| campaign.definition.is_referral())
    }

    /// Returns the redemptions of an order that count, up to this one if it is among them.
    pub(crate) fn earlier(&self, order: Option<&str>, before: Option<&Redemption>) -> Vec<EarlierRedemption> {
        let Some(of_order) = order.and_then(|order| self.earlier.get(order)) else { return Vec::new() };
        let before = before.map(|before| (before.held_at, before.id));
        of_order.iter().take_while(|(made, _)| Some(**made) != before).map(|(_, earlier)| earlier.clone()).collect()
    }

    /// Takes a change of a redemption into account: those of the same order that are decided afterwards are to see it.
    pub(crate) fn change_earlier(&mut self, after: &Redemption, is_exclusive: bool) {
        let Some(order) = &after.order else { return };
        let (made, of_order) = ((after.held_at, after.id), self.earlier.entry(order.clone()).or_default());
        match after.state {
            State::Held | State::Confirmed => drop(of_order.insert(made, earlier_of(after.clone(), is_exclusive))),
            State::Released | State::Expired | State::RolledBack => drop(of_order.remove(&made)),
        }
    }

    pub(crate) fn segments(&self) -> &SegmentFacts {
        &self.segments
    }

    /// Returns the subjects of requests that their campaigns limit.
    pub(crate) fn limited_subjects(&self, asked: &[Asked]) -> BTreeSet<Subject> {
        let mut subjects = BTreeSet::new();
        for asked in asked {
            let Some(campaign) = self.campaigns.get(&asked.campaign_no) else { continue };
            let takings = asked.takings(&campaign.definition);
            subjects.extend(takings.limited(&campaign.definition.limits).map(|(subject, ..)| subject.clone()));
        }
        subjects
    }

    /// Returns true if all requests are valid with what is taken of the limits.
    pub(crate) fn are_valid(&self, asked: &[Asked], ledger: &Ledger) -> Result<bool, StoreError> {
        for one in asked {
            if !self.verdict(one, ledger)?.is_valid() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Decides one request with what is taken of the limits.
    pub(crate) fn verdict(&self, asked: &Asked, ledger: &Ledger) -> Result<Verdict, StoreError> {
        if self.has_vanished(&asked.code) {
            let why = "this code was withdrawn or revoked";
            return Ok(Verdict { discount: None, reasons: reasons_of_unknown(&asked.request.context, why) });
        }
        let definition = &*self.campaign(asked.campaign_no)?.definition;
        let tree = &self.referrals.tree;
        if definition.is_referral() && tree.owner(&asked.code).is_none() {
            let why = "this code waits in the pool: nobody has passed it on";
            return Ok(Verdict { discount: None, reasons: reasons_of_unknown(&asked.request.context, why) });
        }
        let (context, cart) = (&asked.request.context, asked.request.cart.as_ref());
        let facts = ConditionFacts {
            attributes: &context.attributes,
            segments: &context.segments,
            cart,
            day: self.now.with_timezone(&definition.zone).date_naive(),
        };
        let segments = self.segments.of(&facts, asked.request.identity.as_deref());
        let earlier = self.earlier(asked.request.order.as_deref(), None);
        let one = Use {
            campaign_no: asked.campaign_no,
            definition,
            code: &asked.code,
            owner: self.owner(&asked.code),
            identity: asked.identity.as_deref(),
            is_ancestor: asked.identity.as_ref().is_some_and(|identity| tree.is_ancestor(&asked.code, identity)),
            cart,
            context,
            segments: &segments,
            earlier: &earlier,
        };
        Ok(one.verdict(ledger, self.now))
    }
}

fn earlier_of(redemption: Redemption, exclusive: bool) -> EarlierRedemption {
    let confirmed_at = redemption.ended_at.filter(|_| redemption.confirm_digest.is_some());
    let discount = redemption.discount.map(|discount| (discount.currency, discount.lines));
    EarlierRedemption { exclusive, decided_at: confirmed_at.unwrap_or(redemption.held_at), discount }
}
