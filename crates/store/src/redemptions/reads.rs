//! Reads of redemptions, and of the codes of an identity.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::campaigns::definitions::Campaign;
use crate::connection::error::StoreError;
use crate::connection::statement::{List, Time};
use crate::connection::store::Store;
use crate::redemptions::facts::Lock;
use crate::redemptions::rows::{RedemptionRow, SELECT};
use codemint_codes::identity::FORGOTTEN;
use codemint_offers::redemption::ledger::Remaining;
use codemint_offers::redemption::record::Redemption;
use codemint_offers::referral::address::strict_form;

/// Which redemptions are listed, newest first. At least one of the first three is given.
#[derive(Clone, Debug, Default)]
pub struct RedemptionFilter {
    pub identity: Option<String>,
    pub order: Option<String>,
    pub campaign_no: Option<i64>,
    /// Only those that were made before this one.
    pub before: Option<(DateTime<Utc>, Uuid)>,
    pub limit: u32,
}

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

    /// Lists redemptions by an index: those of an order, of an identity, or else of a campaign.
    pub async fn list_redemptions(&self, filter: &RedemptionFilter) -> Result<Vec<Redemption>, StoreError> {
        let RedemptionFilter { identity, order, campaign_no, before, limit } = filter;
        let identities = match identity {
            Some(identity) => {
                let key = self.identity_key().await?;
                let marks = |form: String| [format!("{FORGOTTEN}{}", key.digest(&form)), form];
                forms_of(identity).into_iter().flat_map(marks).collect()
            }
            None => Vec::new(),
        };
        let mut conditions = Vec::new();
        let mut next = 1;
        let mut condition = |is_given: bool, text: &str| {
            if is_given {
                conditions.push(text.replace("$n", &format!("${next}")).replace("$m", &format!("${}", next + 1)));
                next += if text.contains("$m") { 2 } else { 1 };
            }
        };
        condition(identity.is_some(), "r.identity = any($n)");
        condition(order.is_some(), "r.order_ref = $n");
        condition(campaign_no.is_some(), "r.campaign_no = $n");
        condition(before.is_some(), "(r.held_at, r.id) < ($n, $m)");
        if conditions.is_empty() {
            return Ok(Vec::new());
        }
        let conditions = conditions.join(" and ");
        let sql = format!("{SELECT} where {conditions} order by r.held_at desc, r.id desc limit {limit}");
        let mut query = self.query(sql);
        if identity.is_some() {
            query = query.bind(List(&identities));
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

    /// Lists the codes that are bound to an identity, by the names of their campaigns.
    pub async fn list_own_codes(&self, identity: &str) -> Result<Vec<OwnCode>, StoreError> {
        const SQL: &str = "
            select a.code, p.name as campaign, a.at as issued_at, l.taken
              from campaigns p
              join assignments a on a.campaign_no = p.no and a.identity = any($1) and a.revoked_at is null
              left join allowances l on l.campaign_no = p.no and l.scope = 'code' and l.subject = a.code
             where p.kind <> 'public'
             order by p.name";
        let key = self.identity_key().await?;
        let forms: Vec<String> = forms_of(identity).iter().map(|form| key.digest(form).to_string()).collect();
        self.query(SQL).bind(List(&forms)).fetch_all().await
    }
}

/// Returns an identity as it is stored: as it is, and in referral campaigns as the strict form of an address.
pub(crate) fn forms_of(identity: &str) -> Vec<String> {
    let mut forms = vec![identity.to_owned()];
    forms.extend(strict_form(identity).filter(|form| form != identity));
    forms
}
