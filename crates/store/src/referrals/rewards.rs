//! Rewards of referrers: when a referral is due, the referrer gets a code of the reward campaign's pool.

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::campaigns::definitions::definition_of;
use crate::campaigns::pool::{SharedCampaign, ToIssue, refusal_of};
use crate::connection::error::{StoreError, reach, require_rows};
use crate::connection::statement::Time;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use codemint_codes::identity::IdentityKey;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::referral::event::ReferralChanged;
use codemint_offers::referral::state::ReferralState;
use codemint_telemetry::failpoint;

/// The maximum number of referrals that are rewarded in one look.
pub const REWARDS_AT_ONCE: i64 = 100;
/// The number of seconds after which a reward is tried again that could not be issued: the campaign is off, or its pool is empty.
const RETRY_SECONDS: i64 = 60;

/// What one look at due referrals has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rewards {
    /// The number of referrals whose reward was due.
    pub due: u64,
    /// The number of referrals that are rewarded now.
    pub issued: u64,
}

/// A referral whose reward is due.
struct Due {
    redemption_id: Uuid,
    referrer_id: Uuid,
    campaign_no: i64,
}

/// What became of a reward.
enum Reward {
    Issued {
        code: String,
    },
    /// It cannot be issued at the moment.
    Later,
    /// The campaign rewards nobody any more, or the referrer's address was forgotten.
    Never,
}

impl Store {
    /// Rewards the referrers of referrals that are due, each in a transaction of its own. Referrals that another process is working on are
    /// left to it.
    pub async fn reward_referrals(&self, emits_events: bool) -> Result<Rewards, StoreError> {
        const SQL: &str = "
            select redemption_id, referrer_id, campaign_no from referrals
             where state = 'pending' and reward_due_at is not null and reward_due_at <= now()
             order by reward_due_at
             limit $1";
        let due: Vec<(Uuid, Uuid, i64)> = self.query(SQL).bind(REWARDS_AT_ONCE).fetch_all().await?;
        if due.is_empty() {
            return Ok(Rewards::default());
        }
        let (key, mut rewards) = (self.identity_key().await?, Rewards { due: due.len() as u64, issued: 0 });
        for (redemption_id, referrer_id, campaign_no) in due {
            let mut transaction = self.begin_writing().await?;
            let due = Due { redemption_id, referrer_id, campaign_no };
            if let Some(reward) = transaction.reward(&due, &key, emits_events).await? {
                reach(failpoint::BEFORE_ISSUE_COMMIT).await?;
                transaction.commit().await?;
                reach(failpoint::AFTER_ISSUE_COMMIT).await?;
                rewards.issued += u64::from(matches!(reward, Reward::Issued { .. }));
            } else {
                transaction.rollback().await?;
            }
        }
        Ok(rewards)
    }
}

impl Store {
    /// Rewards the referrers of all referrals that were due before this time, in one transaction: nobody else uses the store. Returns
    /// the number of those that are rewarded now.
    pub async fn reward_referrals_until(&self, until: DateTime<Utc>) -> Result<u64, StoreError> {
        const SQL: &str = "
            select redemption_id, referrer_id, campaign_no from referrals
             where state = 'pending' and reward_due_at < $1
             order by reward_due_at, redemption_id";
        let key = self.identity_key().await?;
        let mut transaction = self.begin_writing().await?;
        let due: Vec<(Uuid, Uuid, i64)> = transaction.query(SQL).bind(Time(until)).fetch_all().await?;
        let mut issued = 0;
        for (redemption_id, referrer_id, campaign_no) in due {
            let due = Due { redemption_id, referrer_id, campaign_no };
            let reward = transaction.reward(&due, &key, false).await?;
            issued += u64::from(matches!(reward, Some(Reward::Issued { .. })));
        }
        transaction.commit().await?;
        Ok(issued)
    }
}

impl StoreTransaction {
    /// Returns `None` if nothing was changed. Locks the reward campaign, the referrer and the referral, in this order: redemptions
    /// that are rolled back lock the last two in the same order.
    async fn reward(&mut self, due: &Due, key: &IdentityKey, emits_events: bool) -> Result<Option<Reward>, StoreError> {
        const REFERRER: &str = "select address_text from referrers where id = $1 for update skip locked";
        const REFERRAL: &str = "
            select clock_timestamp() from referrals
             where redemption_id = $1 and state = 'pending' and reward_due_at <= now() for update skip locked";
        const REWARDED: &str = "
            update referrals set state = 'rewarded', reward_due_at = null, reward_code = $2
             where redemption_id = $1 and state = 'pending'";
        const LATER: &str = "update referrals set reward_due_at = $2 where redemption_id = $1 and state = 'pending'";
        let definition = self.current_definition(due.campaign_no).await?;
        let reward_campaign = definition.referral.and_then(|terms| terms.reward_campaign);
        let rewarding = match &reward_campaign {
            Some(name) => Some(self.share_campaign(name).await?),
            None => None,
        };
        let referrer: Option<(Option<String>,)> = self.query(REFERRER).bind(due.referrer_id).fetch_optional().await?;
        let Some((address,)) = referrer else { return Ok(None) };
        let now: Option<(DateTime<Utc>,)> = self.query(REFERRAL).bind(due.redemption_id).fetch_optional().await?;
        let Some((now,)) = now else { return Ok(None) };
        let reward = match (rewarding, address) {
            (Some(Some(campaign)), Some(address)) => self.issue_reward(&campaign, due, &address, key).await?,
            // The campaign does not exist yet.
            (Some(None), Some(_)) => Reward::Later,
            (None, _) | (_, None) => Reward::Never,
        };
        let update = match &reward {
            Reward::Issued { code } => self.query(REWARDED).bind(due.redemption_id).bind(code.clone()),
            Reward::Later => {
                let later = now + TimeDelta::seconds(RETRY_SECONDS);
                self.query(LATER).bind(due.redemption_id).bind(Some(Time(later)))
            }
            Reward::Never => self.query(LATER).bind(due.redemption_id).bind(None::<Time>),
        };
        require_rows("the reward of a referral", update.execute().await?, 1)?;
        if emits_events && matches!(reward, Reward::Issued { .. }) {
            let rewarded = due.rewarded(definition.name, reward_campaign);
            self.put_referral_events(std::iter::once(rewarded), now).await?;
        }
        Ok(Some(reward))
    }

    async fn current_definition(&mut self, campaign_no: i64) -> Result<Definition, StoreError> {
        const SQL: &str = "
            select cast(v.definition as text)
              from campaigns p
              join campaign_versions v on v.campaign_no = p.no and v.version = p.version
             where p.no = $1";
        definition_of(&self.query(SQL).bind(campaign_no).fetch_value::<String>().await?)
    }

    /// Binds a code of the pool to the address of the referrer, or finds the one that is bound to it.
    async fn issue_reward(
        &mut self,
        campaign: &SharedCampaign,
        due: &Due,
        address: &str,
        key: &IdentityKey,
    ) -> Result<Reward, StoreError> {
        // The update locks a valid assignment too, so that a transaction that would revoke it waits.
        const VALID_AGAIN: &str = "update assignments set revoked_at = null where campaign_no = $1 and identity = $2";
        let digest = key.digest(address).to_string();
        if let Some(code) = self.find_codes_of(campaign.no, std::slice::from_ref(&digest)).await?.remove(&digest) {
            self.query(VALID_AGAIN).bind(campaign.no).bind(digest).execute().await?;
            return Ok(Reward::Issued { code });
        }
        if refusal_of(campaign).is_some() {
            return Ok(Reward::Later);
        }
        let trigger_id = Some(format!("referral:{}", due.redemption_id));
        let wanted = ToIssue { identity: address.to_owned(), cause: "trigger", trigger_id };
        let mut issued = self.issue_to(campaign.no, &[(&digest, &wanted)]).await?;
        if let Some(code) = issued.others.remove(&digest) {
            self.query(VALID_AGAIN).bind(campaign.no).bind(digest).execute().await?;
            return Ok(Reward::Issued { code });
        }
        Ok(issued.issued.remove(&digest).map_or(Reward::Later, |code| Reward::Issued { code }))
    }
}

impl Due {
    /// Returns the referral that has just been rewarded.
    fn rewarded(&self, campaign: String, reward_campaign: Option<String>) -> ReferralChanged {
        ReferralChanged {
            redemption_id: self.redemption_id,
            referrer_id: self.referrer_id,
            campaign,
            state: ReferralState::Rewarded,
            reward_campaign,
            reward_due_at: None,
        }
    }
}
