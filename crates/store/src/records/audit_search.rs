//! Searching the audit log, newest first, as people read it.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::patterns::containing;
use crate::connection::statement::Time;
use crate::connection::store::Store;
use crate::records::audit::{Action, AuditRow};

/// The rows to find, newest first.
#[derive(Clone, Debug)]
pub struct AuditSearch {
    pub since: DateTime<Utc>,
    pub until: DateTime<Utc>,
    pub action: Option<Action>,
    /// A part of the actor, in any case.
    pub actor: Option<String>,
    /// The id of a job, the name of a campaign, or a part of the detail, such as the id of a redemption or a login.
    pub subject: Option<String>,
    /// Only rows before the one with this number.
    pub before_no: Option<i64>,
    pub limit: u32,
}

impl Store {
    /// Finds the rows of the log that match.
    pub async fn search_audit(&self, search: &AuditSearch) -> Result<Vec<AuditRow>, StoreError> {
        const SQL: &str = "
            select no, at, actor, role, action, job_id, mask, count, campaign, result, detail, digest
              from audit
             where no < $1 and at >= $2 and at < $3
               and (cast($4 as text) is null or action = $4)
               and (cast($5 as text) is null or lower(actor) like $5 escape '~')
               and (cast($6 as text) is null or campaign = $6 or job_id = $7 or lower(detail) like $8 escape '~')
             order by no desc limit $9";
        let AuditSearch { since, until, action, actor, subject, before_no, limit } = search;
        let job_id: Option<Uuid> = subject.as_deref().and_then(|subject| subject.parse().ok());
        let query = self.query(SQL).bind(before_no.unwrap_or(i64::MAX)).bind(Time(*since)).bind(Time(*until));
        let query = query.bind(action.map(|action| action.into_str())).bind(actor.as_deref().map(containing));
        let query = query.bind(subject.as_deref()).bind(job_id).bind(subject.as_deref().map(containing));
        query.bind(i64::from(*limit)).fetch_all().await
    }
}
