//! Reads of redemptions, and of the codes of an identity.

use std::fmt;

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::campaigns::definitions::Campaign;
use crate::connection::error::StoreError;
use crate::connection::statement::{List, Time};
use crate::connection::store::Store;
use crate::records::rows::unsigned;
use crate::redemptions::facts::Lock;
use crate::redemptions::rows::{RedemptionRow, SELECT};
use crate::referrals::reads::REFERRAL_CAMPAIGNS;
use codemint_codes::identity::{FORGOTTEN, IdentityKey};
use codemint_offers::redemption::ledger::Remaining;
use codemint_offers::redemption::record::Redemption;
use codemint_offers::referral::address::strict_form;

/// Which redemptions are listed, newest first. At least one of the first four is given. `Debug` shows neither the code nor the identity.
#[derive(Clone, Default)]
pub struct RedemptionFilter {
    /// A code as it is stored.
    pub code: Option<String>,
    pub identity: Option<String>,
    pub order: Option<String>,
    pub campaign_no: Option<i64>,
    /// Only those that were made before this one.
    pub before: Option<(DateTime<Utc>, Uuid)>,
    pub limit: u32,
}

impl fmt::Debug for RedemptionFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedemptionFilter").field("campaign_no", &self.campaign_no).finish_non_exhaustive()
    }
}

/// The uses of a code that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeUses {
    pub count: u64,
    /// True if there are more: those of a code without a limit are counted up to [`USES_COUNTED_MAX`].
    pub has_more: bool,
}

/// The maximum number of uses that are counted of a code without a limit.
pub const USES_COUNTED_MAX: u64 = 1000;

/// A code that is bound to an identity.
#[derive(Clone, Debug, FromRow)]
pub struct OwnCode {
    pub code: String,
    pub campaign: String,
    pub issued_at: DateTime<Utc>,
    /// What is taken of the limit of the code; `None` if it is not limited or not used.
    pub taken: Option<i64>,
}

impl OwnCode {
    /// Returns what remains of the limits of the code and of its campaign.
    pub fn remaining(&self, campaign: &Campaign) -> Remaining {
        let limits = &campaign.definition.limits;
        let left = |limit: u64, taken: u64| (limit > 0).then(|| limit.saturating_sub(taken));
        let taken = self.taken.unwrap_or_default().unsigned_abs();
        let uses = campaign.counts.redeemed.saturating_add(campaign.counts.held);
        Remaining { code: left(limits.per_code, taken), campaign: left(limits.redeemed, uses), ..Remaining::default() }
    }
}

impl Store {
    pub async fn find_redemption(&self, id: Uuid) -> Result<Option<Redemption>, StoreError> {
        let mut snapshot = self.begin_reading().await?;
        let found = snapshot.read_redemptions(&[id], Lock::No).await?;
        snapshot.rollback().await?;
        Ok(found.into_iter().next())
    }

    /// Lists redemptions by an index: those of a code, of an order, of an identity, or else of a campaign.
    pub async fn list_redemptions(&self, filter: &RedemptionFilter) -> Result<Vec<Redemption>, StoreError> {
        let RedemptionFilter { code, identity, order, campaign_no, before, limit } = filter;
        let forms = match identity {
            Some(identity) => Some(self.forms_of(identity, as_in_redemptions).await?),
            None => None,
        };
        let mut conditions = Vec::new();
        let mut next = 1;
        let mut condition = |is_given: bool, text: &str| {
            if is_given {
                let places = ["$n", "$m", "$k"].into_iter().filter(|place| text.contains(place));
                conditions.push(places.fold(text.to_owned(), |text, place| {
                    next += 1;
                    text.replace(place, &format!("${}", next - 1))
                }));
            }
        };
        condition(code.is_some(), "r.code = $n");
        condition(identity.is_some(), "r.identity = any($n) and (r.identity = any($m) or r.campaign_no = any($k))");
        condition(order.is_some(), "r.order_ref = $n");
        condition(campaign_no.is_some(), "r.campaign_no = $n");
        condition(before.is_some(), "(r.held_at, r.id) < ($n, $m)");
        if conditions.is_empty() {
            return Ok(Vec::new());
        }
        let conditions = conditions.join(" and ");
        let sql = format!("{SELECT} where {conditions} order by r.held_at desc, r.id desc limit {limit}");
        let mut query = self.query(sql);
        if let Some(code) = code {
            query = query.bind(code);
        }
        if let Some(Forms { all, exact, referral_campaigns }) = &forms {
            query = query.bind(List(all)).bind(List(exact)).bind(List(referral_campaigns));
        }
        if let Some(order) = order {
            query = query.bind(order);
        }
        if let Some(campaign_no) = campaign_no {
            query = query.bind(campaign_no);
        }
        if let Some((held_at, id)) = before {
            query = query.bind(Time(*held_at)).bind(id);
        }
        let rows: Vec<RedemptionRow> = query.fetch_all().await?;
        rows.into_iter().map(Redemption::try_from).collect()
    }

    /// Counts the uses of a code of a campaign: what is taken of its limit, with what was pruned; without a limit, its redemptions.
    pub async fn count_uses(&self, campaign_no: i64, code: &str) -> Result<CodeUses, StoreError> {
        const TAKEN: &str = "select taken from allowances where campaign_no = $1 and scope = 'code' and subject = $2";
        const COUNTED: &str = "
            select count(*)
              from (select 1 from redemptions
                     where code = $1 and (state in ('held', 'confirmed') or (state = 'rolled_back' and keep_use))
                     limit $2) as counted";
        let taken: Option<(i64,)> = self.query(TAKEN).bind(campaign_no).bind(code).fetch_optional().await?;
        if let Some((taken,)) = taken {
            return Ok(CodeUses { count: unsigned("allowances", taken)?, has_more: false });
        }
        let counted = self.query(COUNTED).bind(code).bind(USES_COUNTED_MAX as i64 + 1).fetch_value::<i64>().await?;
        let counted: u64 = unsigned("redemptions", counted)?;
        Ok(CodeUses { count: counted.min(USES_COUNTED_MAX), has_more: counted > USES_COUNTED_MAX })
    }

    /// Lists the codes that are bound to an identity, by the names of their campaigns.
    pub async fn list_own_codes(&self, identity: &str) -> Result<Vec<OwnCode>, StoreError> {
        const SQL: &str = "
            select a.code, p.name as campaign, a.at as issued_at, l.taken
              from campaigns p
              join assignments a on a.campaign_no = p.no and a.identity = any($1) and a.revoked_at is null
              left join allowances l on l.campaign_no = p.no and l.scope = 'code' and l.subject = a.code
             where p.kind <> 'public'
               and (a.identity = any($2) or p.no = any($3) or a.trigger_id like 'referral:%')
             order by p.name";
        let Forms { all, exact, referral_campaigns } =
            self.forms_of(identity, |key, form| vec![key.digest(form).to_string()]).await?;
        self.query(SQL).bind(List(&all)).bind(List(&exact)).bind(List(&referral_campaigns)).fetch_all().await
    }

    /// `stored` is how a table has an identity.
    async fn forms_of(
        &self,
        identity: &str,
        stored: impl Fn(&IdentityKey, &str) -> Vec<String>,
    ) -> Result<Forms, StoreError> {
        let key = self.identity_key().await?;
        let exact = stored(&key, identity);
        let Some(form) = strict_form(identity).filter(|form| form != identity) else {
            return Ok(Forms { all: exact.clone(), exact, referral_campaigns: Vec::new() });
        };
        let referral_campaigns = self.query(REFERRAL_CAMPAIGNS).fetch_values().await?;
        Ok(Forms { all: exact.iter().cloned().chain(stored(&key, &form)).collect(), exact, referral_campaigns })
    }
}

/// An identity stands in redemptions as it is, or as its digest with a mark if it was forgotten.
fn as_in_redemptions(key: &IdentityKey, form: &str) -> Vec<String> {
    vec![format!("{FORGOTTEN}{}", key.digest(form)), form.to_owned()]
}

/// An identity as a table has it.
struct Forms {
    /// Also those of the strict form of an address, by which referral campaigns know people. Elsewhere, that is another identity.
    all: Vec<String>,
    exact: Vec<String>,
    /// The numbers of referral campaigns.
    referral_campaigns: Vec<i64>,
}
