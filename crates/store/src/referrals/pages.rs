//! Referrers as people look at them, page by page and with their addresses.

use std::fmt;

use std::collections::HashMap;

use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::records::rows::unsigned;
use crate::referrals::reads::state_of;
use codemint_offers::referral::document::ReferralCounts;
use codemint_offers::referral::state::ReferralState;

/// A referrer with what became of the friends. `Debug` does not show the address.
#[derive(Clone)]
pub struct ReferrerLine {
    pub id: Uuid,
    /// `None` if the person was forgotten.
    pub address: Option<String>,
    pub parent: Option<Uuid>,
    /// The number of friends who have codes of their own.
    pub children: u64,
    pub referrals: ReferralCounts,
}

impl fmt::Debug for ReferrerLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, referrals, .. } = self;
        f.debug_struct("ReferrerLine").field("id", id).field("referrals", referrals).finish_non_exhaustive()
    }
}

type LineRow = (Uuid, Option<String>, Option<Uuid>, i32);

impl Store {
    /// Lists referrers of a campaign without a referrer of their own in the order of their ids, from the first one after this id.
    pub async fn page_of_roots(
        &self,
        campaign_no: i64,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<ReferrerLine>, StoreError> {
        const SQL: &str = "
            select id, address_text, parent, children from referrers
             where campaign_no = $1 and parent is null and id > $2 order by id limit $3";
        let query = self.query(SQL).bind(campaign_no).bind(after.unwrap_or_default()).bind(i64::from(limit));
        self.with_referrals(query.fetch_all().await?).await
    }

    /// Lists the friends of a referrer who have codes of their own in the order of their ids, from the first one after this id.
    pub async fn page_of_children(
        &self,
        parent: Uuid,
        after: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<ReferrerLine>, StoreError> {
        const SQL: &str = "
            select id, address_text, parent, children from referrers
             where parent = $1 and id > $2 order by id limit $3";
        let query = self.query(SQL).bind(parent).bind(after.unwrap_or_default()).bind(i64::from(limit));
        self.with_referrals(query.fetch_all().await?).await
    }

    /// Lists the first friends of each of several referrers who have codes of their own, at most `limit` of each.
    pub async fn first_children(&self, parents: &[Uuid], limit: u32) -> Result<Vec<ReferrerLine>, StoreError> {
        const SQL: &str = "
            select id, address_text, parent, children
              from (select id, address_text, parent, children, row_number() over (partition by parent order by id) as place
                      from referrers where parent = any($1::uuid[])) as friends
             where place <= $2 order by id";
        self.with_referrals(self.query(SQL).bind(List(parents)).bind(i64::from(limit)).fetch_all().await?).await
    }

    /// Finds these referrers.
    pub async fn find_referrers(&self, ids: &[Uuid]) -> Result<Vec<ReferrerLine>, StoreError> {
        const SQL: &str =
            "select id, address_text, parent, children from referrers where id = any($1::uuid[]) order by id";
        self.with_referrals(self.query(SQL).bind(List(ids)).fetch_all().await?).await
    }

    /// Lists the names and titles of campaigns whose codes are passed on, in the order of their names.
    pub async fn list_referral_campaigns(&self, limit: u32) -> Result<Vec<(String, String)>, StoreError> {
        const SQL: &str = "
            select p.name, v.definition ->> 'title'
              from campaigns p
              join campaign_versions v on v.campaign_no = p.no and v.version = p.version
             where v.definition ->> 'purpose' = 'referral'
             order by p.name limit $1";
        self.query(SQL).bind(i64::from(limit)).fetch_all().await
    }

    async fn with_referrals(&self, rows: Vec<LineRow>) -> Result<Vec<ReferrerLine>, StoreError> {
        const SQL: &str = "
            select referrer_id, state, count(*) from referrals
             where referrer_id = any($1::uuid[]) group by referrer_id, state";
        let ids: Vec<Uuid> = rows.iter().map(|(id, ..)| *id).collect();
        let counted: Vec<(Uuid, String, i64)> = self.query(SQL).bind(List(&ids)).fetch_all().await?;
        let mut referrals: HashMap<Uuid, ReferralCounts> = HashMap::new();
        for (id, state, count) in counted {
            let counts = referrals.entry(id).or_default();
            let count = unsigned("referrals", count)?;
            match state_of(&state)? {
                ReferralState::Pending => counts.pending = count,
                ReferralState::Rewarded => counts.rewarded = count,
                ReferralState::Void => counts.void = count,
            }
        }
        let line = |(id, address, parent, children)| {
            let referrals = referrals.remove(&id).unwrap_or_default();
            Ok(ReferrerLine { id, address, parent, children: unsigned("referrers", children)?, referrals })
        };
        rows.into_iter().map(line).collect()
    }
}
