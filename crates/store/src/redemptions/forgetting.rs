//! Forgetting an identity: its keyed digest replaces it, under which limits and codes are kept in any case.

use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry, Outcome};
use crate::referrals::reads::REFERRAL_CAMPAIGNS;
use codemint_codes::identity::{FORGOTTEN, IdentityDigest, IdentityKey};
use codemint_offers::referral::address::strict_form;

/// The maximum number of redemptions that one transaction changes.
pub const FORGOTTEN_AT_ONCE: i64 = 10_000;

/// The result of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forget {
    Done(Forgotten),
    /// A list whose codes are not all bound has the identity. Nothing was changed.
    InList {
        /// `None` while the list is loaded, before its job exists.
        job_id: Option<Uuid>,
    },
}

/// The numbers of rows in which the identity stood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forgotten {
    pub redemptions: u64,
    pub codes: u64,
    pub segments: u64,
    pub triggers: u64,
    /// False if there may be more redemptions: then the step is repeated.
    pub is_complete: bool,
}

impl Store {
    /// Replaces an identity in at most [`FORGOTTEN_AT_ONCE`] redemptions. The last step also removes it from codes,
    /// segments and triggers; those that wait for it are skipped. Every step can be repeated.
    ///
    /// # Errors
    /// After any error nothing was changed, unless the commit itself failed.
    pub async fn forget_identity(&self, identity: &str) -> Result<Forget, StoreError> {
        let key = self.identity_key().await?;
        let digest = key.digest(identity);
        let mut transaction = self.begin_writing().await?;
        if let Some((job_id,)) = transaction.find_list_with(identity).await? {
            transaction.rollback().await?;
            return Ok(Forget::InList { job_id });
        }
        let mut forgotten = transaction.forget_identity(identity, &digest).await?;
        if let Some(form) = strict_form(identity)
            && forgotten.is_complete
        {
            let more = transaction.forget_person(&form, &key).await?;
            forgotten.redemptions += more.redemptions;
            forgotten.codes += more.codes;
            forgotten.is_complete = more.is_complete;
        }
        transaction.put_audit(&[entry(&forgotten, &digest)]).await?;
        transaction.commit().await?;
        Ok(Forget::Done(forgotten))
    }
}

impl StoreTransaction {
    async fn forget_identity(&mut self, identity: &str, digest: &IdentityDigest) -> Result<Forgotten, StoreError> {
        // In the order in which actions lock redemptions.
        const REDEMPTIONS: &str = "
            with picked as materialized (
                select id from redemptions where identity = $1 order by id limit $3 for update)
            update redemptions set identity = $2 where id in (select id from picked)";
        // There is an index by campaign and identity, but none by identity.
        const CODES: &str = "
            update assignments set identity_text = null
             where campaign_no in (select no from campaigns) and identity = $1 and identity_text is not null";
        const SEGMENTS: &str = "delete from segment_members where identity = $1";
        // What a trigger states may name the identity too.
        const TRIGGERS: &str = "
            update triggers set identity_text = null, payload = json('{}')
             where identity = $1 and identity_text is not null";
        const WAITING: &str = "
            update trigger_results set state = 'skipped', due_at = null, reason = 'identity-forgotten'
             where campaign_no in (select no from campaigns) and identity = $1 and state = 'waiting'";
        let mark = format!("{FORGOTTEN}{digest}");
        let update = self.query(REDEMPTIONS).bind(identity).bind(mark).bind(FORGOTTEN_AT_ONCE);
        let redemptions = update.execute().await?;
        if redemptions == FORGOTTEN_AT_ONCE.unsigned_abs() {
            return Ok(Forgotten { redemptions, ..Forgotten::default() });
        }
        let codes = self.query(CODES).bind(digest.to_string()).execute().await?;
        let segments = self.query(SEGMENTS).bind(identity).execute().await?;
        self.query(WAITING).bind(digest.to_string()).execute().await?;
        let triggers = self.query(TRIGGERS).bind(digest.to_string()).execute().await?;
        Ok(Forgotten { redemptions, codes, segments, triggers, is_complete: true })
    }

    /// Forgets a person whom referral campaigns know by the strict form of the address. Elsewhere, that form is another identity. The digest
    /// of a referrer stays, so that nobody gets a second code.
    async fn forget_person(&mut self, form: &str, key: &IdentityKey) -> Result<Forgotten, StoreError> {
        const REDEMPTIONS: &str = "
            with picked as materialized (
                select id from redemptions
                 where identity = $1 and campaign_no = any($4) order by id limit $3 for update)
            update redemptions set identity = $2 where id in (select id from picked)";
        const CODES: &str = "
            update assignments set identity_text = null
             where campaign_no in (select no from campaigns) and identity = any($1) and identity_text is not null
               and (campaign_no = any($2) or trigger_id like 'referral:%')";
        // A referrer who was named has the code, and rewards, under the address as it was named.
        const NAMED: &str =
            "select distinct address_text from referrers where address = $1 and address_text is not null";
        const REFERRERS: &str =
            "update referrers set address_text = null where address = $1 and address_text is not null";
        let campaigns: Vec<i64> = self.query(REFERRAL_CAMPAIGNS).fetch_values().await?;
        let digest = key.digest(form).to_string();
        let mark = format!("{FORGOTTEN}{digest}");
        let update = self.query(REDEMPTIONS).bind(form).bind(mark).bind(FORGOTTEN_AT_ONCE).bind(List(&campaigns));
        let redemptions = update.execute().await?;
        if redemptions == FORGOTTEN_AT_ONCE.unsigned_abs() {
            return Ok(Forgotten { redemptions, ..Forgotten::default() });
        }
        let named: Vec<String> = self.query(NAMED).bind(&digest).fetch_values().await?;
        let digests: Vec<String> =
            named.iter().map(|form| key.digest(form).to_string()).chain([digest.clone()]).collect();
        let codes = self.query(CODES).bind(List(&digests)).bind(List(&campaigns)).execute().await?;
        let referrers = self.query(REFERRERS).bind(&digest).execute().await?;
        Ok(Forgotten { redemptions, codes: codes + referrers, is_complete: true, ..Forgotten::default() })
    }

    /// Returns the job of a list that has this identity, if there is such a list. Lists are removed when their jobs end.
    async fn find_list_with(&mut self, identity: &str) -> Result<Option<(Option<Uuid>,)>, StoreError> {
        // A page has one identity per line; `$2` is the end of a line.
        const SQL: &str = "
            select j.id
              from job_identities i
              left join jobs j on j.list_id = i.list_id
             where replace($2 || i.identities || $2, $1, '') <> $2 || i.identities || $2
             limit 1";
        self.query(SQL).bind(format!("\n{identity}\n")).bind("\n").fetch_optional().await
    }
}

fn entry(forgotten: &Forgotten, digest: &IdentityDigest) -> AuditEntry {
    let Forgotten { redemptions, codes, segments, triggers, .. } = forgotten;
    let outcome = if redemptions + codes + segments + triggers > 0 { Outcome::Done } else { Outcome::Unchanged };
    let detail = format!("redemptions {redemptions}, codes {codes}, segments {segments}, triggers {triggers}");
    AuditEntry {
        digest: Some(digest.as_bytes().to_vec()),
        ..AuditEntry::new(Action::IdentityForget, outcome).with_detail(&detail)
    }
}
