//! What confirmed redemptions of referral codes change: the friend becomes a referral, and gets a code to pass on.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::campaigns::pool::ToIssue;
use crate::connection::error::{StoreError, require_rows};
use crate::connection::statement::time_text;
use crate::connection::transaction::StoreTransaction;
use crate::referrals::tree::Referrals;
use crate::referrals::voiding::RolledBack;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::redemption::record::{Redemption, Referred};
use codemint_offers::redemption::state::State;
use codemint_offers::referral::event::ReferralChanged;
use codemint_offers::referral::state::ReferralState;
use codemint_offers::referral::tree::Place;

/// What redemptions change, collected while they are decided, in their order.
#[derive(Default)]
pub(crate) struct ReferralChanges {
    confirmed: Vec<Confirmed>,
    rolled_back: Vec<RolledBack>,
}

/// A friend whose redemption was confirmed.
struct Confirmed {
    redemption_id: Uuid,
    campaign_no: i64,
    campaign: String,
    /// The name of the campaign that rewards the referrer.
    reward_campaign: Option<String>,
    referrer_id: Uuid,
    /// The digest of the strict form of the address, and the address.
    friend: String,
    address: String,
    place: Place,
    /// The id of the friend's node, if it is new or was moved.
    node_id: Uuid,
    /// The friend's code, if there was one.
    known_code: Option<String>,
    reward_due_at: Option<DateTime<Utc>>,
}

/// The codes of friends, by campaign and friend.
#[derive(Default)]
struct FriendCodes<'a> {
    new: HashMap<(i64, &'a str), String>,
    /// Those that the shop has named at the same time.
    others: HashMap<(i64, &'a str), String>,
}

/// What became of redemptions.
#[derive(Default)]
pub(crate) struct ReferralsNow {
    confirmed: HashMap<Uuid, Referred>,
    void: HashSet<Uuid>,
}

impl ReferralsNow {
    /// Returns a redemption with what it is to the referrer.
    pub(crate) fn put_into(&mut self, redemption: &mut Redemption) {
        if let Some(referred) = self.confirmed.remove(&redemption.id) {
            redemption.referral = Some(referred);
        }
        if let Some(referred) = redemption.referral.as_mut().filter(|_| self.void.contains(&redemption.id)) {
            referred.state = ReferralState::Void;
        }
    }
}

impl ReferralChanges {
    pub(crate) const fn is_empty(&self) -> bool {
        self.confirmed.is_empty() && self.rolled_back.is_empty()
    }

    /// Adds the change of a redemption; `before` is the state before it, and `friend` the digest of the friend's address.
    pub(crate) fn add(
        &mut self,
        referrals: &mut Referrals,
        definition: &Definition,
        before: Option<State>,
        after: &Redemption,
        friend: Option<&str>,
        now: DateTime<Utc>,
    ) {
        let Some(terms) = definition.referral.as_ref().filter(|_| definition.is_referral()) else { return };
        if after.state == State::RolledBack && before != Some(State::RolledBack) && !after.keep_use {
            let (campaign, reward_campaign) = (after.campaign.clone(), terms.reward_campaign.clone());
            self.rolled_back.push(RolledBack { redemption_id: after.id, campaign, reward_campaign });
        }
        let is_confirmed = after.state == State::Confirmed && before != Some(State::Confirmed);
        let Some(friend) = friend.filter(|_| is_confirmed) else { return };
        let Some(owner) = referrals.tree.owner(&after.code) else { return };
        let referrer_id = owner.id;
        let known = referrals.tree.with_address(after.campaign_no, friend).map(|node| (node.id, node.code.clone()));
        let new_id = Uuid::now_v7();
        let place = referrals.bring(&after.code, friend, terms, new_id);
        self.confirmed.push(Confirmed {
            redemption_id: after.id,
            campaign_no: after.campaign_no,
            campaign: after.campaign.clone(),
            reward_campaign: terms.reward_campaign.clone(),
            referrer_id,
            friend: friend.to_owned(),
            address: after.identity.clone().unwrap_or_default(),
            place,
            node_id: known.as_ref().map_or(new_id, |(id, _)| *id),
            known_code: known.map(|(_, code)| code),
            reward_due_at: terms.reward_due_at(now),
        });
    }
}

impl Confirmed {
    /// Returns the new referral.
    fn referral(&self) -> ReferralChanged {
        ReferralChanged {
            redemption_id: self.redemption_id,
            referrer_id: self.referrer_id,
            campaign: self.campaign.clone(),
            state: ReferralState::Pending,
            reward_campaign: self.reward_campaign.clone(),
            reward_due_at: self.reward_due_at,
        }
    }
}

impl StoreTransaction {
    /// Writes changes, and with `emits_events` an event about each. The referrers are locked.
    pub(crate) async fn put_referrals(
        &mut self,
        changes: &ReferralChanges,
        emits_events: bool,
        time: DateTime<Utc>,
    ) -> Result<ReferralsNow, StoreError> {
        let mut now = ReferralsNow::default();
        if changes.is_empty() {
            return Ok(now);
        }
        let FriendCodes { new: codes, others } = self.issue_to_friends(&changes.confirmed).await?;
        let mut children: BTreeMap<Uuid, u64> = BTreeMap::new();
        for one in &changes.confirmed {
            if let (Place::New { parent, .. }, true) | (Place::Moved { parent, .. }, _) =
                (one.place, codes.contains_key(&(one.campaign_no, &*one.friend)))
            {
                *children.entry(parent).or_default() += 1;
            }
        }
        self.insert_friends(&changes.confirmed, &codes).await?;
        self.move_friends(&changes.confirmed).await?;
        self.add_children(&children).await?;
        self.insert_referrals(&changes.confirmed).await?;
        let void = self.void_referrals(&changes.rolled_back).await?;
        if emits_events {
            let pending = changes.confirmed.iter().map(Confirmed::referral);
            self.put_referral_events(pending.chain(void), time).await?;
        }
        for one in &changes.confirmed {
            let friend = (one.campaign_no, &*one.friend);
            let issued_code = codes.get(&friend).or(others.get(&friend)).or(one.known_code.as_ref()).cloned();
            now.confirmed.insert(one.redemption_id, Referred { state: ReferralState::Pending, issued_code });
        }
        now.void.extend(changes.rolled_back.iter().map(|one| one.redemption_id));
        Ok(now)
    }

    /// Takes a code from the pool for each new friend, as far as there are codes and the limit of issued ones allows.
    async fn issue_to_friends<'a>(&mut self, confirmed: &'a [Confirmed]) -> Result<FriendCodes<'a>, StoreError> {
        let mut by_campaign: BTreeMap<i64, Vec<(&'a str, ToIssue)>> = BTreeMap::new();
        for one in confirmed.iter().filter(|one| matches!(one.place, Place::New { .. })) {
            let wanted = ToIssue { identity: one.address.clone(), cause: "issue", trigger_id: None };
            by_campaign.entry(one.campaign_no).or_default().push((&*one.friend, wanted));
        }
        let mut codes = FriendCodes::default();
        // In the order of the campaigns, whose limits of issued codes are locked.
        for (campaign_no, wanted) in by_campaign {
            let wanted: Vec<(&str, &ToIssue)> = wanted.iter().map(|(friend, wanted)| (*friend, wanted)).collect();
            let issued = self.issue_to(campaign_no, &wanted).await?;
            for (friend, _) in wanted {
                if let Some(code) = issued.issued.get(friend) {
                    codes.new.insert((campaign_no, friend), code.clone());
                } else if let Some(code) = issued.others.get(friend) {
                    codes.others.insert((campaign_no, friend), code.clone());
                }
            }
        }
        Ok(codes)
    }

    async fn insert_friends(
        &mut self,
        confirmed: &[Confirmed],
        codes: &HashMap<(i64, &str), String>,
    ) -> Result<(), StoreError> {
        const SQL: &str = "
            insert into referrers (id, campaign_no, address, address_text, code, parent, depth)
            select n.id, n.campaign_no, n.address, n.address_text, n.code, n.parent, n.depth
              from json_to_recordset($1::json)
                as n(id uuid, campaign_no bigint, address text, address_text text, code text, parent uuid, depth integer)";
        let row = |one: &Confirmed| {
            let Place::New { parent, depth } = one.place else { return None };
            let code = codes.get(&(one.campaign_no, &*one.friend))?;
            Some(json!({ "id": one.node_id, "campaign_no": one.campaign_no, "address": one.friend,
                         "address_text": one.address, "code": code, "parent": parent, "depth": depth }))
        };
        let rows: Vec<Value> = confirmed.iter().filter_map(row).collect();
        if rows.is_empty() {
            return Ok(());
        }
        let count = rows.len() as u64;
        let inserted = self.query(SQL).bind(Value::from(rows).to_string()).execute().await?;
        require_rows("the insert of friends", inserted, count)
    }

    async fn move_friends(&mut self, confirmed: &[Confirmed]) -> Result<(), StoreError> {
        const SQL: &str = "
            update referrers set parent = $2, depth = $3 where id = $1 and parent is null and children = 0";
        for one in confirmed {
            let Place::Moved { parent, depth } = one.place else { continue };
            let update = self.query(SQL).bind(one.node_id).bind(parent).bind(depth as i32);
            require_rows("the move of a friend", update.execute().await?, 1)?;
        }
        Ok(())
    }

    async fn add_children(&mut self, children: &BTreeMap<Uuid, u64>) -> Result<(), StoreError> {
        const SQL: &str = "
            update referrers as r set children = r.children + n.more
              from json_to_recordset($1::json) as n(id uuid, more integer)
             where r.id = n.id";
        if children.is_empty() {
            return Ok(());
        }
        let rows: Value = children.iter().map(|(id, more)| json!({ "id": id, "more": more })).collect();
        let updated = self.query(SQL).bind(rows.to_string()).execute().await?;
        require_rows("the count of friends", updated, children.len() as u64)
    }

    /// Inserts referrals. The id of a redemption that was rolled back and then removed is new again.
    async fn insert_referrals(&mut self, confirmed: &[Confirmed]) -> Result<(), StoreError> {
        const SQL: &str = "
            insert into referrals (redemption_id, campaign_no, referrer_id, referee, state, reward_due_at)
            select n.redemption_id, n.campaign_no, n.referrer_id, n.referee, 'pending', n.reward_due_at
              from json_to_recordset($1::json)
                as n(redemption_id uuid, campaign_no bigint, referrer_id uuid, referee text, reward_due_at timestamptz)
             where true
            on conflict (redemption_id) do update
               set campaign_no = excluded.campaign_no, referrer_id = excluded.referrer_id, referee = excluded.referee,
                   state = excluded.state, reward_due_at = excluded.reward_due_at, reward_code = null, at = now()
             where referrals.state = 'void'";
        if confirmed.is_empty() {
            return Ok(());
        }
        let row = |one: &Confirmed| {
            json!({ "redemption_id": one.redemption_id, "campaign_no": one.campaign_no, "referrer_id": one.referrer_id,
                    "referee": one.friend, "reward_due_at": one.reward_due_at.map(time_text) })
        };
        let rows: Value = confirmed.iter().map(row).collect();
        let inserted = self.query(SQL).bind(rows.to_string()).execute().await?;
        require_rows("the insert of referrals", inserted, confirmed.len() as u64)
    }
}
