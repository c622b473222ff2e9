//! The audit log: who requested what, when, and with what result. A row is written in the transaction of the change
//! that it records. Append-only; the database rejects anything else. No row ever holds a code.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::FromRow;
use strum::{EnumString, IntoStaticStr, VariantNames};
use uuid::Uuid;

use crate::connection::error::{StoreError, require_rows};
use crate::connection::statement::Time;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::actor::actor_of_task;
use crate::records::rows::unsigned;
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::{Job, Origin};
use codemint_codes::job::request::CAMPAIGN_LENGTH_MAX;
use codemint_codes::mask::Mask;
use codemint_codes::overlap::size;
use codemint_codes::text::hexadecimal;
use codemint_codes::wire::audit::AuditDocument;

/// An entry to record; actor and time are added when it is written.
#[derive(Clone, Debug)]
pub struct AuditEntry {
    pub action: Action,
    pub outcome: Outcome,
    /// `None` is the user who runs this process.
    pub asked_by: Option<String>,
    pub job_id: Option<Uuid>,
    /// The result of [`shown_mask`].
    pub mask: Option<String>,
    pub count: Option<u64>,
    pub campaign: Option<String>,
    pub detail: Option<String>,
    pub digest: Option<Vec<u8>>,
}

/// The action that was taken or requested.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "snake_case", const_into_str, parse_err_ty = String, parse_err_fn = unknown_action)]
pub enum Action {
    /// Codes were requested.
    Request,
    Import,
    /// The end of a job was requested.
    Cancel,
    /// A job ended.
    End,
    Export,
    Reserve,
    Unreserve,
    DeadRequeue,
    DeadPurge,
    /// What ended jobs no longer need was removed.
    Prune,
    /// The codes of an import were removed.
    Withdraw,
    CampaignCreate,
    CampaignChange,
    CampaignActivate,
    CampaignDeactivate,
    /// The condition or the members of a segment were changed.
    SegmentChange,
    SegmentRemove,
    /// A rule for affiliates was created, changed or switched.
    AffiliateRuleChange,
    AffiliateRuleRemove,
    /// The exclusions of a rule were changed.
    AffiliateExclusionsChange,
    /// A person got a code of a referral campaign to pass on; the detail is the id of the referrer.
    ReferrerAdd,
    /// A redemption was changed by hand; the detail is its id, and the reason that a person gave in the console.
    RedemptionConfirm,
    RedemptionRelease,
    RedemptionRollback,
    /// Sums were corrected to what their facts say; the count is that of the sums.
    SumsCorrect,
    /// An identity was replaced by its digest.
    IdentityForget,
    /// An API key was created or revoked; the detail has its id.
    KeyCreate,
    KeyRevoke,
    /// A person was added, removed, or got another role, a password, or a link to choose one; the detail is the login.
    UserAdd,
    UserRemove,
    UserRole,
    UserPassword,
    UserInvite,
    /// An empty store was filled with a demo; the detail is what the demo follows from.
    DemoFill,
}

fn unknown_action(_text: &str) -> String {
    format!("write one of {}", Action::VARIANTS.join(", "))
}

/// The result of an action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Outcome {
    Accepted,
    Refused,
    /// The same request was made before; nothing was changed.
    Repeated,
    /// A different request was made before under the same id; nothing was changed.
    Conflict,
    Completed,
    Failed,
    Cancelled,
    /// An action outside of the store is about to happen.
    Begun,
    Done,
    /// There was nothing to do.
    Unchanged,
}

/// The detail of a request that accepts a check key other than that of the newest job of its mask.
const NEW_CHECK_KEY: &str = "new_check_key";

impl Outcome {
    /// Returns the outcome of an action that had begun.
    pub const fn of<T, E>(result: &Result<T, E>) -> Self {
        if result.is_ok() { Self::Done } else { Self::Failed }
    }
}

impl AuditEntry {
    pub const fn new(action: Action, outcome: Outcome) -> Self {
        Self {
            action,
            outcome,
            asked_by: None,
            job_id: None,
            mask: None,
            count: None,
            campaign: None,
            detail: None,
            digest: None,
        }
    }

    /// Returns an entry about a job, with what it requests.
    pub fn of_job(action: Action, outcome: Outcome, job: &Job) -> Self {
        let digest = match &job.origin {
            Origin::Imported { source_digest } if action == Action::Import => Some(source_digest.clone()),
            _ => None,
        };
        let asked_by = job.options.asked_by.clone();
        let (job_id, count, campaign) = (Some(job.id), Some(job.count), job.campaign.clone());
        let entry = Self { asked_by, job_id, count, campaign, digest, ..Self::new(action, outcome) };
        match &job.origin {
            Origin::Minted { mask_text, .. } | Origin::Refused { mask_text } => entry.of_mask(mask_text),
            Origin::Imported { .. } => entry,
        }
    }

    /// Returns an entry about a request, which may be one that cannot be met.
    pub(crate) fn of_request(
        outcome: Outcome,
        id: Uuid,
        (mask_text, count, campaign): (&str, u64, Option<&str>),
        options: &JobOptions,
    ) -> Self {
        let (asked_by, campaign) = (options.asked_by.clone(), campaign.map(str::to_owned));
        let (job_id, count) = (Some(id), Some(count));
        let detail = options.new_check_key.then(|| NEW_CHECK_KEY.to_owned());
        Self { asked_by, job_id, count, campaign, detail, ..Self::new(Action::Request, outcome) }.of_mask(mask_text)
    }

    #[must_use]
    pub fn of_mask(self, mask_text: &str) -> Self {
        Self { mask: Some(shown_mask(mask_text)), ..self }
    }

    #[must_use]
    pub fn with_detail(self, detail: &str) -> Self {
        Self { detail: Some(detail.to_owned()), ..self }
    }

    /// Returns the row to insert.
    fn row(&self) -> Value {
        let Self { action, outcome, asked_by, job_id, mask, count, campaign, detail, digest } = self;
        let actor = asked_by.clone().unwrap_or_else(actor_of_task);
        // A refused request may have a campaign that is too long.
        let campaign: Option<String> = campaign.as_ref().map(|name| name.chars().take(CAMPAIGN_LENGTH_MAX).collect());
        let digest = digest.as_ref().map(|digest| format!("\\x{}", hexadecimal(digest)));
        let count = count.map(|count| count as i64);
        json!([actor, action.into_str(), job_id, mask, count, campaign, outcome.into_str(), detail, digest])
    }
}

/// Returns a mask as the log may show it, or its digest: a mask of a single code is that code, except for its check
/// characters, and a text that is not a mask may be a code.
fn shown_mask(text: &str) -> String {
    let mask: Option<Mask> = text.parse().ok();
    let single = match mask {
        Some(mask) if size(mask.body()) > 1 => return mask.to_string(),
        Some(mask) => mask.to_string(),
        None => text.to_owned(),
    };
    format!("sha256:{}", hexadecimal(&Sha256::digest(single)))
}

/// The rows to list, oldest first.
#[derive(Clone, Debug)]
pub struct AuditFilter {
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub job_id: Option<Uuid>,
    pub action: Option<Action>,
    /// Only rows after the one with this number.
    pub after_no: i64,
    pub limit: u32,
}

/// A row of the log.
#[derive(Clone, Debug, FromRow)]
pub struct AuditRow {
    pub no: i64,
    pub at: DateTime<Utc>,
    pub actor: String,
    /// The user of the database; SQLite has none.
    pub role: Option<String>,
    pub action: String,
    pub job_id: Option<Uuid>,
    pub mask: Option<String>,
    count: Option<i64>,
    pub campaign: Option<String>,
    pub result: String,
    pub detail: Option<String>,
    pub digest: Option<Vec<u8>>,
}

impl TryFrom<AuditRow> for AuditDocument {
    type Error = StoreError;

    fn try_from(row: AuditRow) -> Result<Self, StoreError> {
        let AuditRow { no, at, actor, role, action, job_id, mask, count, campaign, result, detail, digest } = row;
        let count = count.map(|count| unsigned("audit", count)).transpose()?;
        let digest = digest.as_deref().map(hexadecimal);
        Ok(Self { no, at, actor, role, action, result, job_id, mask, count, campaign, detail, digest })
    }
}

impl Store {
    /// Records an action that changes nothing in the store.
    pub async fn put_audit(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.put_audit_entries(std::slice::from_ref(entry)).await
    }

    /// Does the same as [`Store::put_audit`] for several actions, all of which are recorded or none.
    pub async fn put_audit_entries(&self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.put_audit(entries).await?;
        transaction.commit().await
    }

    /// Lists the rows of the log that match.
    pub async fn list_audit(&self, filter: &AuditFilter) -> Result<Vec<AuditRow>, StoreError> {
        const SQL: &str = "
            select no, at, actor, role, action, job_id, mask, count, campaign, result, detail, digest
              from audit
             where no > $1 and at >= $2 and at < $3
               and (cast($4 as text) is null or action = $4)";
        let AuditFilter { since, until, job_id, action, after_no, limit } = filter;
        // The index finds a job's rows only if the statement has the condition.
        let of_job = if job_id.is_some() { "and job_id = $6" } else { "" };
        let query = self.query(format!("{SQL} {of_job} order by no limit $5"));
        let query =
            query.bind(after_no).bind(Time(*since)).bind(Time(*until)).bind(action.map(|action| action.into_str()));
        let query = query.bind(i64::from(*limit));
        if job_id.is_some() { query.bind(job_id) } else { query }.fetch_all().await
    }
}

impl StoreTransaction {
    /// Inserts entries in order, in one statement.
    pub(crate) async fn put_audit(&mut self, entries: &[AuditEntry]) -> Result<(), StoreError> {
        const SQL: &str = "
            insert into audit (actor, action, job_id, mask, count, campaign, result, detail, digest)
            select value ->> 0, value ->> 1, cast(value ->> 2 as uuid), value ->> 3, cast(value ->> 4 as bigint),
                   value ->> 5, value ->> 6, value ->> 7, cast(value ->> 8 as bytea)
              from json_array_elements($1::json)";
        if entries.is_empty() {
            return Ok(());
        }
        let rows = Value::from_iter(entries.iter().map(AuditEntry::row));
        let inserted = self.query(SQL).bind(rows.to_string()).execute().await?;
        require_rows("the insert into the audit log", inserted, entries.len() as u64)
    }
}
