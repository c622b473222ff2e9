//! Reads of referrers and their friends. No address is read.

use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

use crate::campaigns::definitions::definition_of;
use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::records::rows::unsigned;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::referral::document::{ReferralCounts, ReferralOfFriend, ReferrerDocument, ReferrerState};
use codemint_offers::referral::state::ReferralState;

/// The maximum number of referrals that are read with a referrer.
pub const LATEST_REFERRALS: i64 = 100;

/// Reads the numbers of referral campaigns that have referrers: without one, nobody has redeemed their codes.
pub(crate) const REFERRAL_CAMPAIGNS: &str = "
    select p.no from campaigns p where exists (select 1 from referrers r where r.campaign_no = p.no)";

/// A referrer with what became of the friends.
#[derive(Clone, Debug)]
pub struct Referrer {
    pub id: Uuid,
    pub code: String,
    /// The current definition of the campaign.
    pub definition: Definition,
    pub parent: Option<Uuid>,
    pub depth: u64,
    pub children: u64,
    pub pending: u64,
    pub rewarded: u64,
    pub void: u64,
    /// The latest referrals, newest first.
    pub latest: Vec<StoredReferral>,
}

/// A referral.
#[derive(Clone, Debug)]
pub struct StoredReferral {
    pub redemption_id: Uuid,
    pub state: ReferralState,
    /// When a pending one is rewarded.
    pub reward_due_at: Option<DateTime<Utc>>,
    /// The code that rewards it; also of one that became void afterwards.
    pub reward_code: Option<String>,
    pub at: DateTime<Utc>,
}

/// A referrer as a line of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeRow {
    pub id: Uuid,
    pub parent: Option<Uuid>,
    pub depth: u64,
    pub children: u64,
}

#[derive(FromRow)]
struct ReferrerRow {
    code: String,
    definition: String,
    parent: Option<Uuid>,
    depth: i32,
    children: i32,
}

#[derive(FromRow)]
struct ReferralRow {
    redemption_id: Uuid,
    state: String,
    reward_due_at: Option<DateTime<Utc>>,
    reward_code: Option<String>,
    at: DateTime<Utc>,
}

pub(crate) fn state_of(text: &str) -> Result<ReferralState, StoreError> {
    let problem = "its state is unknown".to_owned();
    text.parse().map_err(|_unknown| StoreError::Corrupt { table: "referrals", problem })
}

impl TryFrom<ReferralRow> for StoredReferral {
    type Error = StoreError;

    fn try_from(row: ReferralRow) -> Result<Self, StoreError> {
        let ReferralRow { redemption_id, state, reward_due_at, reward_code, at } = row;
        Ok(Self { redemption_id, state: state_of(&state)?, reward_due_at, reward_code, at })
    }
}

impl From<Referrer> for ReferrerState {
    fn from(referrer: Referrer) -> Self {
        let Referrer { id, definition, parent, depth, children, pending, rewarded, void, latest, code } = referrer;
        let ReferrerDocument { campaign, code, forward_text, forward_html, forward_subject, .. } =
            ReferrerDocument::new(id, &definition, code, true);
        let referrals = ReferralCounts { pending, rewarded, void };
        let latest = latest.into_iter().map(ReferralOfFriend::from).collect();
        Self {
            id,
            campaign,
            code,
            forward_text,
            forward_html,
            forward_subject,
            parent,
            depth,
            children,
            referrals,
            latest,
        }
    }
}

impl From<StoredReferral> for ReferralOfFriend {
    fn from(referral: StoredReferral) -> Self {
        let StoredReferral { redemption_id, state, reward_due_at, reward_code, at } = referral;
        Self { redemption_id, state, reward_due_at, reward_code, at }
    }
}

impl Store {
    /// Finds a referrer: one that the shop named, or a friend with a code of their own.
    pub async fn find_referrer(&self, id: Uuid) -> Result<Option<Referrer>, StoreError> {
        const SQL: &str = "
            select r.code, cast(v.definition as text) as definition, r.parent, r.depth, r.children
              from referrers r
              join campaigns p on p.no = r.campaign_no
              join campaign_versions v on v.campaign_no = p.no and v.version = p.version
             where r.id = $1";
        const COUNTS: &str = "select state, count(*) from referrals where referrer_id = $1 group by state";
        const LATEST: &str = "
            select redemption_id, state, reward_due_at, reward_code, at
              from referrals where referrer_id = $1 order by at desc, redemption_id desc limit $2";
        let found: Option<ReferrerRow> = self.query(SQL).bind(id).fetch_optional().await?;
        let Some(ReferrerRow { code, definition, parent, depth, children }) = found else { return Ok(None) };
        let counts: Vec<(String, i64)> = self.query(COUNTS).bind(id).fetch_all().await?;
        let count = |wanted: ReferralState| {
            let of_state = counts.iter().find(|(state, _)| state == wanted.into_str());
            of_state.map_or(0, |(_, count)| count.unsigned_abs())
        };
        let (pending, rewarded, void) =
            (count(ReferralState::Pending), count(ReferralState::Rewarded), count(ReferralState::Void));
        let latest: Vec<ReferralRow> = self.query(LATEST).bind(id).bind(LATEST_REFERRALS).fetch_all().await?;
        Ok(Some(Referrer {
            id,
            code,
            definition: definition_of(&definition)?,
            parent,
            depth: unsigned("referrers", depth)?,
            children: unsigned("referrers", children)?,
            pending,
            rewarded,
            void,
            latest: latest.into_iter().map(StoredReferral::try_from).collect::<Result<_, _>>()?,
        }))
    }

    /// Lists referrers without a referrer of their own in the order of their ids, at most `limit`.
    pub async fn list_roots(&self, campaign_no: i64, limit: u32) -> Result<Vec<TreeRow>, StoreError> {
        const SQL: &str = "
            select id, parent, depth, children from referrers
             where campaign_no = $1 and parent is null order by id limit $2";
        tree_rows(self.query(SQL).bind(campaign_no).bind(i64::from(limit)).fetch_all().await?)
    }

    /// Lists one referrer of a campaign, if the campaign has it.
    pub async fn list_root(&self, campaign_no: i64, id: Uuid) -> Result<Vec<TreeRow>, StoreError> {
        const SQL: &str = "select id, parent, depth, children from referrers where campaign_no = $1 and id = $2";
        tree_rows(self.query(SQL).bind(campaign_no).bind(id).fetch_all().await?)
    }

    /// Lists the friends of referrers who have codes of their own in the order of their ids, at most `limit`.
    pub async fn list_children(&self, parents: &[Uuid], limit: u32) -> Result<Vec<TreeRow>, StoreError> {
        const SQL: &str = "
            select id, parent, depth, children from referrers where parent = any($1::uuid[]) order by id limit $2";
        tree_rows(self.query(SQL).bind(List(parents)).bind(i64::from(limit)).fetch_all().await?)
    }
}

fn tree_rows(rows: Vec<(Uuid, Option<Uuid>, i32, i32)>) -> Result<Vec<TreeRow>, StoreError> {
    let row = |(id, parent, depth, children)| {
        let (depth, children) = (unsigned("referrers", depth)?, unsigned("referrers", children)?);
        Ok(TreeRow { id, parent, depth, children })
    };
    rows.into_iter().map(row).collect()
}
