//! Requests for codes: their counts and masks, and the jobs that the store makes of them.

use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::terminal::is_terminal;
use crate::cli::support::text::{campaign_text, counted, with_caret};
use codemint_codes::job::record::Job;
use codemint_codes::job::request::{CAMPAIGN_LENGTH_MAX, Request, RequestError, check_campaign};
use codemint_codes::mask::{Mask, mistaken_set};
use codemint_codes::overlap::size;
use codemint_codes::text::{grouped, one_or_many, printable};
use codemint_store::admission::submit::PutJob;
use codemint_store::connection::store::Store;

/// Codes that were requested for a campaign.
#[derive(Debug)]
pub struct CampaignOrder {
    pub mask: String,
    pub count: i128,
    pub campaign: String,
    pub job_id: Option<Uuid>,
    pub new_check_key: bool,
    pub json: bool,
}

/// Stores a job, or finds the one that has this id and the same request.
///
/// # Errors
/// `impossible` if there are too few free codes, if the id belongs to another request, or if the mask's newest job has another
/// check key.
pub async fn put_job(context: &Context, store: &Store, id: Uuid, request: &Request) -> Result<Job, Failure> {
    stored_job(request, context.with_retries(async || store.put_job(id, request).await).await?)
}

/// Returns the job of a request, or why there is none.
///
/// # Errors
/// Those of [`put_job`].
pub fn stored_job(request: &Request, put: PutJob) -> Result<Job, Failure> {
    match put {
        PutJob::Stored(job) => {
            tracing::info!(job_id = %job.id, count = job.count, priority = job.options.priority, "a job was accepted");
            Ok(job)
        }
        PutJob::Repeated(job) => Ok(job),
        PutJob::Conflict(job) => {
            let campaign = campaign_text(job.campaign.as_deref());
            Err(Failure::impossible(format!(
                "job {} belongs to another request: {} of {}, {campaign}; omit --job-id or name another id",
                job.id,
                counted(job.count.into(), "code"),
                printable(job.title())
            )))
        }
        PutJob::OtherCheckKey(other) => Err(Failure::impossible(format!(
            "{other}; set check.key_file to the key of the earlier jobs, or confirm the change with --new-check-key"
        ))),
        PutJob::InsufficientKeyspace { free, mintable, exact } => {
            Err(Failure::impossible(insufficient_keyspace(request, free, mintable, exact)))
        }
        PutJob::RoomUncertain { certain, possible } => Err(Failure::impossible(format!(
            "{} of {} {} free for certain, {} {} requested; nothing was stored; up to {} become free if unfinished jobs take others: leave out --no-wait-for-room to wait for them",
            counted(certain, "code"),
            printable(&request.mask_text),
            one_or_many(certain, "is", "are"),
            grouped(request.count.into()),
            one_or_many(request.count, "was", "were"),
            grouped(possible)
        ))),
    }
}

/// Formats why a store refuses a request.
fn insufficient_keyspace(request: &Request, free: u128, mintable: u128, exact: bool) -> String {
    let about = if exact { "" } else { "about " };
    let forbidden = size(request.mask.body()).saturating_sub(mintable);
    format!(
        "{about}{} of {} {} free, {} {} requested; nothing was stored ({} taken or promised to unfinished jobs, {} reserved or denied)",
        counted(free, "code"),
        printable(&request.mask_text),
        one_or_many(free, "is", "are"),
        grouped(request.count.into()),
        one_or_many(request.count, "was", "were"),
        grouped(mintable.saturating_sub(free)),
        grouped(forbidden)
    )
}

/// Notes that a set of a mask is not the named set that it looks like.
pub fn note_mistaken_set(context: &Context, mask: &str) {
    if let Some(name) = mistaken_set(mask) {
        context.note(&format!("note: [{name}] stands for one of its letters; for the named set, write [:{name}:]"));
    }
}

/// Parses a mask.
pub fn parse_mask(text: &str) -> Result<Mask, Failure> {
    text.parse().map_err(|error| request_failure(text, RequestError::Mask(error)))
}

/// Checks the name of a segment, which follows the rules of campaign names.
pub fn check_segment(name: &str) -> Result<(), Failure> {
    check_name("segment", name)
}

/// Checks the name of a rule for affiliates, which follows the rules of campaign names.
pub fn check_rule(name: &str) -> Result<(), Failure> {
    check_name("rule", name)
}

fn check_name(of: &str, name: &str) -> Result<(), Failure> {
    check_campaign(name).map_err(|_| {
        Failure::impossible(format!(
            "a {of} name has 1 to {CAMPAIGN_LENGTH_MAX} characters without control characters; write plain text"
        ))
    })
}

/// Parses a count. The type is wider than any allowed count, so that a later check can name what is wrong with it.
pub fn whole_number(text: &str) -> Result<i128, String> {
    text.parse().map_err(|_| "write a whole number in digits, such as 50000".to_owned())
}

/// Returns a parser of whole numbers from `min` to `max`.
pub fn from_to<T: TryFrom<u64>>(min: u64, max: u64) -> impl Fn(&str) -> Result<T, String> + Clone {
    move |text| {
        let number = text.parse().ok().filter(|number| (min..=max).contains(number));
        number
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(|| format!("write a whole number from {min} to {max}"))
    }
}

/// Returns the failure of a request; on a terminal, a caret marks the position of a mask error.
pub fn request_failure(mask: &str, error: RequestError) -> Failure {
    match &error {
        RequestError::Mask(at) if is_terminal() => {
            Failure::impossible(format!("{error}\n{}", with_caret(mask, at.offset)))
        }
        _ => Failure::impossible(error),
    }
}
