//! Orders of codes: the checks of a request, and the answers of the store to it.

use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::{Limits, Request, RequestError, fitting_chunk_size};
use codemint_codes::policy::Policy;
use codemint_codes::text::printable;
use codemint_offers::campaign::definition::Kind;
use codemint_store::admission::submit::PutJob;
use codemint_store::campaigns::definitions::Campaign;
use codemint_store::records::actor::Caller;

use crate::api::problem::{self, DIFFERENT_REQUEST, Problem, refusal};

const TITLE: &str = "No codes were ordered";

pub(crate) const NOT_RESTRICTED: problem::Kind = refusal("not-restricted", TITLE);
const PUBLIC: problem::Kind = refusal("public-campaign", TITLE);
const ISSUE_LIMIT: problem::Kind = refusal("issue-limit-reached", TITLE);
const NO_CHECK_KEY: problem::Kind = refusal("no-check-key", TITLE);
const OTHER_CHECK_KEY: problem::Kind = refusal("other-check-key", TITLE);
const INSUFFICIENT_KEYSPACE: problem::Kind = refusal("insufficient-keyspace", TITLE);

/// What the configuration of this process says about codes that are ordered.
#[derive(Clone, Debug)]
pub struct OrderSettings {
    pub policy: Policy,
    pub limits: Limits,
    pub chunk_size: u64,
    /// The options of jobs that this process creates.
    pub options: JobOptions,
}

impl OrderSettings {
    /// Checks an order of codes of a campaign.
    ///
    /// # Errors
    /// `public-campaign` if the campaign has one code for all; `invalid` with what is wrong with the count.
    pub(crate) fn request(
        &self,
        campaign: &Campaign,
        count: i64,
        new_check_key: bool,
        caller: &Caller,
    ) -> Result<Request, Problem> {
        let definition = &campaign.definition;
        if definition.kind == Kind::Public {
            return Err(public(&definition.name));
        }
        let most = u64::try_from(count).unwrap_or_default().min(self.limits.count_max);
        let chunk_size = fitting_chunk_size(self.chunk_size, most);
        let options = JobOptions { new_check_key, asked_by: Some(caller.to_string()), ..self.options.clone() };
        let mask = definition.mask.to_string();
        let request = Request::check(&mask, count.into(), Some(&definition.name), chunk_size, self.limits)?;
        Ok(request.under(self.policy.clone())?.with_options(options))
    }
}

pub(crate) fn public(campaign: &str) -> Problem {
    Problem::new(PUBLIC, format!("campaign {} is public and has its one code already", printable(campaign)))
}

/// The problem of a list with more identities than codes may still be issued.
pub fn issue_limit(needed: usize, left: u64) -> Problem {
    let detail = format!(
        "{needed} identities need a code, and limits.issued of the campaign allows {left} more; nothing was ordered"
    );
    Problem::new(ISSUE_LIMIT, detail)
}

/// Returns the job of an order.
///
/// # Errors
/// Why there is none.
pub fn stored_job(request: &Request, put: PutJob) -> Result<Job, Problem> {
    match put {
        PutJob::Stored(job) => {
            tracing::info!(job_id = %job.id, count = job.count, priority = job.options.priority, "a job was accepted");
            Ok(job)
        }
        PutJob::Repeated(job) => Ok(job),
        PutJob::Conflict(job) => {
            let detail = format!("job {} belongs to another order; choose another job_id, or leave it out", job.id);
            Err(Problem::new(DIFFERENT_REQUEST, detail))
        }
        PutJob::OtherCheckKey(other) => {
            let detail = format!(
                "{other}; set check.key_file to the key of the earlier jobs, or confirm the change with new_check_key: true"
            );
            Err(Problem::new(OTHER_CHECK_KEY, detail))
        }
        PutJob::InsufficientKeyspace { free, exact, .. } => Err(too_few(request, free, exact)),
        PutJob::RoomUncertain { certain, .. } => Err(too_few(request, certain, true)),
    }
}

fn too_few(request: &Request, free: u128, exact: bool) -> Problem {
    let about = if exact { "" } else { "about " };
    let (mask, count) = (printable(&request.mask_text), request.count);
    let detail = format!(
        "{about}{free} codes of {mask} are free, and {count} were ordered; order fewer, or give the campaign a longer mask"
    );
    Problem::new(INSUFFICIENT_KEYSPACE, detail)
}

impl From<RequestError> for Problem {
    fn from(error: RequestError) -> Self {
        let field = match error {
            RequestError::NoCheckKey => return Self::new(NO_CHECK_KEY, error.to_string()),
            RequestError::Mask(_) => "/mask",
            _ => "/count",
        };
        Self::invalid_field(field, error.to_string())
    }
}
