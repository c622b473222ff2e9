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
use codemint_telemetry::failpoint;

/// The maximum number of referrals that are rewarded in one look.
pub const REWARDS_AT_ONCE: i64 = 100;
/// The number of seconds after which a reward is tried again that could not be issued: the campaign is off, or its pool is empty.
const RETRY_SECONDS: i64 = 60;

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
    /// Rewards the referrers of referrals that are due, each in a transaction of its own, and returns how many it has looked at.
    /// Referrals that another process is working on are left to it.
    pub async fn reward_referrals(&self) -> Result<u64, StoreError> {
        const SQL: &str = "
            select redemption_id, referrer_id, campaign_no from referrals
             where state = 'pending' and reward_due_at is not null and reward_due_at <= now()
             order by reward_due_at
             limit $1";
        let due: Vec<(Uuid, Uuid, i64)> = self.query(SQL).bind(REWARDS_AT_ONCE).fetch_all().await?;
        if due.is_empty() {
            return Ok(0);
        }
        let (key, count) = (self.identity_key().await?, due.len() as u64);
        for (redemption_id, referrer_id, campaign_no) in due {
            let mut transaction = self.begin_writing().await?;
            if transaction.reward(&Due { redemption_id, referrer_id, campaign_no }, &key).await? {
                reach(failpoint::BEFORE_ISSUE_COMMIT).await?;
                transaction.commit().await?;
                reach(failpoint::AFTER_ISSUE_COMMIT).await?;
            } else {
                transaction.rollback().await?;
            }
        }
        Ok(count)
    }
}

impl StoreTransaction {
    /// Returns true if anything was changed. Locks the reward campaign, the referrer and the referral, in this order: redemptions
    /// that are rolled back lock the last two in the same order.
    async fn reward(&mut self, due: &Due, key: &IdentityKey) -> Result<bool, StoreError> {
        const REFERRER: &str = "select address_text from referrers where id = $1 for update skip locked";
        const REFERRAL: &str = "
            select clock_timestamp() from referrals
             where redemption_id = $1 and state = 'pending' and reward_due_at <= now() for update skip locked";
        const REWARDED: &str = "
            update referrals set state = 'rewarded', reward_due_at = null, reward_code = $2
             where redemption_id = $1 and state = 'pending'";
        const LATER: &str = "update referrals set reward_due_at = $2 where redemption_id = $1 and state = 'pending'";
        let campaign = self.share_reward_campaign(due.campaign_no).await?;
        let referrer: Option<(Option<String>,)> = self.query(REFERRER).bind(due.referrer_id).fetch_optional().await?;
        let Some((address,)) = referrer else { return Ok(false) };
        let now: Option<(DateTime<Utc>,)> = self.query(REFERRAL).bind(due.redemption_id).fetch_optional().await?;
        let Some((now,)) = now else { return Ok(false) };
        let reward = match (campaign, address) {
            (Some(Ok(campaign)), Some(address)) => self.issue_reward(&campaign, due, &address, key).await?,
            (Some(Err(())), Some(_)) => Reward::Later,
            (None, _) | (_, None) => Reward::Never,
        };
        let update = match reward {
            Reward::Issued { code } => self.query(REWARDED).bind(due.redemption_id).bind(code),
            Reward::Later => {
                let later = now + TimeDelta::seconds(RETRY_SECONDS);
                self.query(LATER).bind(due.redemption_id).bind(Some(Time(later)))
            }
            Reward::Never => self.query(LATER).bind(due.redemption_id).bind(None::<Time>),
        };
        require_rows("the reward of a referral", update.execute().await?, 1)?;
        Ok(true)
    }

    /// Returns the campaign that rewards the referrers of another one, if any; an error if it does not exist yet.
    async fn share_reward_campaign(
        &mut self,
        campaign_no: i64,
    ) -> Result<Option<Result<SharedCampaign, ()>>, StoreError> {
        const SQL: &str = "
            select cast(v.definition as text)
              from campaigns p
              join campaign_versions v on v.campaign_no = p.no and v.version = p.version
             where p.no = $1";
        let definition: String = self.query(SQL).bind(campaign_no).fetch_value().await?;
        let Some(name) = definition_of(&definition)?.referral.and_then(|referral| referral.reward_campaign) else {
            return Ok(None);
        };
        Ok(Some(self.share_campaign(&name).await?.ok_or(())))
    }

    /// Binds a code of the pool to the address of the referrer, or finds the one that is bound to it.
    async fn issue_reward(
        &mut self,
        campaign: &SharedCampaign,
        due: &Due,
        address: &str,
        key: &IdentityKey,
    ) -> Result<Reward, StoreError> {
        const VALID_AGAIN: &str = "
            update assignments set revoked_at = null where campaign_no = $1 and identity = $2 and revoked_at is not null";
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
            return Ok(Reward::Issued { code });
        }
        Ok(issued.issued.remove(&digest).map_or(Reward::Later, |code| Reward::Issued { code }))
    }
}
