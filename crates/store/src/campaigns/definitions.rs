//! Campaigns as they are stored: the current definition, its version, and what is used up.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use strum::{EnumString, IntoStaticStr};

use crate::connection::error::StoreError;
use crate::connection::patterns::containing;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
use crate::redemptions::tallies::Sums;
use codemint_offers::campaign::definition::{Definition, Kind};
use codemint_offers::campaign::document::CampaignDocument;
use codemint_offers::campaign::status::{Counts, Status, status};
use codemint_offers::money::{Currency, Money};
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_offers::redemption::tally::Metric;

/// A campaign at an instant.
#[derive(Clone, Debug)]
pub struct Campaign {
    pub no: i64,
    /// The version of the definition, from 1.
    pub version: u32,
    pub definition: Definition,
    pub counts: Counts,
    pub created_at: DateTime<Utc>,
    /// The store's time of the reading.
    pub read_at: DateTime<Utc>,
}

/// The campaigns to list.
#[derive(Clone, Debug, Default)]
pub struct CampaignFilter {
    /// Only campaigns after this name.
    pub after: String,
    /// A part of the name or the title, in any case.
    pub text: Option<String>,
    pub kind: Option<Kind>,
    pub status: Option<StatusFilter>,
    pub limit: u32,
}

/// The status of the campaigns to list, as [`status`] returns it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum StatusFilter {
    Scheduled,
    Active,
    Off,
    Exhausted,
    Expired,
}

/// A version of a definition.
#[derive(Clone, Debug)]
pub struct CampaignVersion {
    pub version: u32,
    pub definition: Definition,
    pub made_at: DateTime<Utc>,
    pub made_by: String,
}

#[derive(FromRow)]
struct CampaignRow {
    no: i64,
    #[sqlx(try_from = "i32")]
    version: u32,
    definition: String,
    codes: i64,
    issued: i64,
    created_at: DateTime<Utc>,
    read_at: DateTime<Utc>,
}

/// Reads campaigns `p` with what belongs to them. Codes are those of all jobs with the campaign's name.
const SELECT: &str = "
    select p.no, p.version, cast(v.definition as text) as definition, p.created_at, now() as read_at,
           (select cast(coalesce(sum(coalesce(j.minted, (select sum(c.minted) from chunks c where c.job_no = j.no))), 0) as bigint)
              from jobs j where j.campaign = p.name) as codes,
           (select count(*) from assignments a where a.campaign_no = p.no) as issued
      from campaigns p
      join campaign_versions v on v.campaign_no = p.no and v.version = p.version";

impl Campaign {
    /// Returns the status at the time of the reading.
    pub fn status(&self) -> Status {
        status(&self.definition, &self.counts, self.read_at)
    }
}

impl From<&Campaign> for CampaignDocument {
    fn from(campaign: &Campaign) -> Self {
        Self {
            definition: campaign.definition.clone(),
            version: campaign.version,
            status: campaign.status(),
            counts: campaign.counts.clone(),
            created_at: campaign.created_at,
        }
    }
}

impl TryFrom<CampaignRow> for Campaign {
    type Error = StoreError;

    fn try_from(row: CampaignRow) -> Result<Self, StoreError> {
        let (codes, issued) = (unsigned("jobs", row.codes)?, unsigned("assignments", row.issued)?);
        Ok(Self {
            no: row.no,
            version: row.version,
            definition: definition_of(&row.definition)?,
            counts: Counts { codes, issued, ..Counts::default() },
            created_at: row.created_at,
            read_at: row.read_at,
        })
    }
}

/// # Errors
/// `Corrupt` if the text is not a definition.
pub(crate) fn definition_of(json: &str) -> Result<Definition, StoreError> {
    let corrupt = |problem: String| StoreError::Corrupt { table: "campaign_versions", problem };
    let value = serde_json::from_str(json).map_err(|error| corrupt(error.to_string()))?;
    read_definition(&value, NameFrom::Stored)
        .map_err(|problems| corrupt(problems.first().map(ToString::to_string).unwrap_or_default()))
}

/// Returns the discounts of a campaign in each currency.
fn discounts_of(sums: &Sums) -> Vec<Money> {
    let mut discounts: BTreeMap<&str, i64> = BTreeMap::new();
    for ((metric, currency), amount) in sums {
        if [Metric::Discount, Metric::DiscountHeld].iter().any(|discount| discount.into_str() == metric) {
            let sum = discounts.entry(currency).or_default();
            *sum = sum.saturating_add(*amount);
        }
    }
    let given = discounts.into_iter().filter(|(_, amount)| *amount != 0);
    given.filter_map(|(code, amount)| Some(Money { currency: Currency::from_code(code)?, amount })).collect()
}

/// Returns what was given in the currency of the budget, or without one in the only currency.
fn discount_of(definition: &Definition, discounts: &[Money]) -> i64 {
    match (definition.limits.budget, discounts) {
        (Some(budget), _) => {
            discounts.iter().find(|given| given.currency == budget.currency).map_or(0, |given| given.amount)
        }
        (None, [only]) => only.amount,
        (None, _) => 0,
    }
}

impl Store {
    pub async fn find_campaign(&self, name: &str) -> Result<Option<Campaign>, StoreError> {
        let query = self.query(format!("{SELECT} where p.name = $1"));
        let row: Option<CampaignRow> = query.bind(name).fetch_optional().await?;
        let found: Vec<Campaign> = row.map(Campaign::try_from).transpose()?.into_iter().collect();
        Ok(self.with_sums(found).await?.into_iter().next())
    }

    /// Adds what is summed up about redemptions.
    async fn with_sums(&self, mut campaigns: Vec<Campaign>) -> Result<Vec<Campaign>, StoreError> {
        let nos: Vec<i64> = campaigns.iter().map(|campaign| campaign.no).collect();
        let sums = if nos.is_empty() { HashMap::new() } else { self.read_sums(&nos).await? };
        for campaign in &mut campaigns {
            let Some(sums) = sums.get(&campaign.no) else { continue };
            let count = |metric: Metric| {
                let sum = sums.get(&(metric.into_str().to_owned(), String::new())).copied().unwrap_or_default();
                sum.max(0).unsigned_abs()
            };
            campaign.counts.held = count(Metric::Held);
            campaign.counts.redeemed = count(Metric::Redeemed);
            campaign.counts.discounts = discounts_of(sums);
            campaign.counts.discount = discount_of(&campaign.definition, &campaign.counts.discounts);
        }
        Ok(campaigns)
    }

    /// Lists campaigns in the order of their names, at most `limit`, from the first one after this name.
    pub async fn list_campaigns(&self, after: &str, limit: u32) -> Result<Vec<Campaign>, StoreError> {
        let filter = CampaignFilter { after: after.to_owned(), limit, ..CampaignFilter::default() };
        self.find_campaigns(&filter).await
    }

    /// Lists the campaigns that match a filter, in the order of their names.
    pub async fn find_campaigns(&self, filter: &CampaignFilter) -> Result<Vec<Campaign>, StoreError> {
        const MATCHING: &str = "
             where p.name > $1
               and (cast($2 as text) is null or lower(p.name) like $2 escape '~' or lower(v.definition ->> 'title') like $2 escape '~')
               and (cast($3 as text) is null or p.kind = $3)
               and (cast($4 as text) is null or $4 = case
                        when p.ends_at <= now() then 'expired'
                        when not p.active then 'off'
                        when p.starts_at > now() then 'scheduled'
                        when exists (select 1 from allowances a
                                      where a.campaign_no = p.no and a.scope in ('budget', 'campaign') and a.taken >= a.quota)
                          then 'exhausted'
                        when p.kind = 'public'
                         and exists (select 1 from allowances a
                                      where a.campaign_no = p.no and a.scope = 'code' and a.taken >= a.quota)
                          then 'exhausted'
                        else 'active' end)
             order by p.name limit $5";
        let CampaignFilter { after, text, kind, status, limit } = filter;
        let pattern = text.as_deref().map(containing);
        let query = self.query(format!("{SELECT} {MATCHING}")).bind(after.as_str()).bind(pattern);
        let (kind, status) = (kind.map(|kind| kind.into_str()), status.map(|status| status.into_str()));
        let query = query.bind(kind).bind(status).bind(i64::from(*limit));
        let rows: Vec<CampaignRow> = query.fetch_all().await?;
        let campaigns: Result<Vec<Campaign>, StoreError> = rows.into_iter().map(Campaign::try_from).collect();
        self.with_sums(campaigns?).await
    }

    /// Lists all versions of a campaign, newest first.
    pub async fn list_campaign_versions(&self, campaign_no: i64) -> Result<Vec<CampaignVersion>, StoreError> {
        const SQL: &str = "
            select version, cast(definition as text), made_at, made_by
              from campaign_versions where campaign_no = $1 order by version desc";
        let rows: Vec<(i32, String, DateTime<Utc>, String)> = self.query(SQL).bind(campaign_no).fetch_all().await?;
        let version = |(version, definition, made_at, made_by): (i32, String, DateTime<Utc>, String)| {
            let (version, definition) = (unsigned("campaign_versions", version)?, definition_of(&definition)?);
            Ok(CampaignVersion { version, definition, made_at, made_by })
        };
        rows.into_iter().map(version).collect()
    }
}

impl StoreTransaction {
    /// Finds a campaign and makes changes of it take turns until the end of the transaction.
    pub(crate) async fn lock_campaign(&mut self, name: &str) -> Result<Option<Campaign>, StoreError> {
        let no: Option<(i64,)> =
            self.query("select no from campaigns where name = $1").bind(name).fetch_optional().await?;
        let Some((no,)) = no else { return Ok(None) };
        self.lock_campaign_no(no).await?;
        self.read_campaign(no).await.map(Some)
    }

    async fn read_campaign(&mut self, campaign_no: i64) -> Result<Campaign, StoreError> {
        let query = self.query(format!("{SELECT} where p.no = $1"));
        query.bind(campaign_no).fetch_one::<CampaignRow>().await?.try_into()
    }
}
