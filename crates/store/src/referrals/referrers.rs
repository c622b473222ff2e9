//! Referrers whom the shop names: each gets a code of the campaign's pool, once.

use uuid::Uuid;

use crate::campaigns::pool::{IssueOutcome, SharedCampaign, ToIssue, refusal_of_time};
use crate::connection::error::{StoreError, reach};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry, Outcome};
use codemint_codes::identity::IdentityKey;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::referral::address::Address;
use codemint_telemetry::failpoint;

/// How often a request is made again that met another one for the same address or id.
const ATTEMPTS: usize = 5;

/// A person who is to get a code to pass on.
#[derive(Clone, Debug)]
pub struct NewReferrer {
    /// The caller's choice.
    pub id: Uuid,
    /// The name of the campaign.
    pub campaign: String,
    pub address: Address,
}

/// The answer to a request for a referrer's code.
#[derive(Clone, Debug)]
pub enum PutReferrer {
    Done {
        /// The id under which the referrer is stored: that of the first request for the address.
        id: Uuid,
        code: String,
        definition: Box<Definition>,
        is_new: bool,
    },
    /// Another request was carried out under this id.
    DifferentRequest,
    /// The campaign is not a referral campaign.
    NotReferral,
    Refused(IssueOutcome),
}

impl Store {
    /// Gives a person a code of a referral campaign to pass on, once per campaign and address. Repeating the call after an
    /// unknown outcome returns the same code.
    pub async fn put_referrer(&self, new: &NewReferrer) -> Result<PutReferrer, StoreError> {
        let key = self.identity_key().await?;
        for _ in 0..ATTEMPTS {
            let mut transaction = self.begin_writing().await?;
            match transaction.put_referrer(new, &key).await? {
                Some(done @ PutReferrer::Done { is_new: true, .. }) => {
                    reach(failpoint::BEFORE_ISSUE_COMMIT).await?;
                    transaction.commit().await?;
                    reach(failpoint::AFTER_ISSUE_COMMIT).await?;
                    return Ok(done);
                }
                Some(other) => {
                    transaction.rollback().await?;
                    return Ok(other);
                }
                // Another process has just stored the same address or id: the next attempt finds it.
                None => transaction.rollback().await?,
            }
        }
        Err(StoreError::Corrupt { table: "referrers", problem: "one with an assignment is missing".to_owned() })
    }
}

impl StoreTransaction {
    /// Returns `None` if another process was first.
    async fn put_referrer(&mut self, new: &NewReferrer, key: &IdentityKey) -> Result<Option<PutReferrer>, StoreError> {
        const SQL: &str = "
            insert into referrers (id, campaign_no, address, address_text, code, depth, request_digest)
            values ($1, $2, $3, $4, $5, 0, $6)
            on conflict do nothing";
        let plain = new.address.plain();
        let request_digest = key.digest(&format!("{}\n{plain}", new.campaign)).as_bytes().to_vec();
        let Some(campaign) = self.share_campaign(&new.campaign).await? else {
            return Ok(Some(PutReferrer::Refused(IssueOutcome::UnknownCampaign)));
        };
        if let Some(digest) = self.find_request(new.id).await?
            && digest.as_deref() != Some(&request_digest[..])
        {
            return Ok(Some(PutReferrer::DifferentRequest));
        }
        if !campaign.definition.is_referral() {
            return Ok(Some(PutReferrer::NotReferral));
        }
        let digest = key.digest(&new.address.strict()).to_string();
        if let Some((id, code)) = self.find_by_address(campaign.no, &digest).await? {
            let definition = Box::new(campaign.definition);
            return Ok(Some(PutReferrer::Done { id, code, definition, is_new: false }));
        }
        if let Some(refusal) = refusal_of_time(&campaign) {
            return Ok(Some(PutReferrer::Refused(refusal)));
        }
        let wanted = ToIssue { identity: plain.clone(), cause: "issue", trigger_id: None };
        let mut issued = self.issue_to(campaign.no, &[(&digest, &wanted)]).await?;
        let Some(code) = issued.issued.remove(&digest) else {
            let is_elsewhere = issued.others.contains_key(&digest);
            return Ok((!is_elsewhere).then_some(PutReferrer::Refused(issued.short_of)));
        };
        let SharedCampaign { no, definition, .. } = campaign;
        let insert = self.query(SQL).bind(new.id).bind(no).bind(digest).bind(plain).bind(code.clone());
        if insert.bind(request_digest).execute().await? == 0 {
            return Ok(None);
        }
        self.put_audit(&[entry(new)]).await?;
        let done = PutReferrer::Done { id: new.id, code, definition: Box::new(definition), is_new: true };
        Ok(Some(done))
    }

    /// Returns the digest of the request under this id, if there was one; a friend's node has none.
    async fn find_request(&mut self, id: Uuid) -> Result<Option<Option<Vec<u8>>>, StoreError> {
        let sql = "select request_digest from referrers where id = $1";
        let found: Option<(Option<Vec<u8>>,)> = self.query(sql).bind(id).fetch_optional().await?;
        Ok(found.map(|(digest,)| digest))
    }

    async fn find_by_address(&mut self, campaign_no: i64, address: &str) -> Result<Option<(Uuid, String)>, StoreError> {
        let sql = "select id, code from referrers where campaign_no = $1 and address = $2";
        self.query(sql).bind(campaign_no).bind(address).fetch_optional().await
    }
}

/// Returns the entry about a new referrer. It has neither the address nor the code.
fn entry(new: &NewReferrer) -> AuditEntry {
    let entry = AuditEntry::new(Action::ReferrerAdd, Outcome::Done).with_detail(&new.id.to_string());
    AuditEntry { campaign: Some(new.campaign.clone()), ..entry }
}
