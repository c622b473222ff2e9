//! The one code of a public campaign: it is made before the campaign, so that no campaign lacks its code.
//!
//! The code stands in no message: it is the mask of its job, which messages name.

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::minting::{may_mint, mint, note_order};
use crate::cli::support::text::campaign_text;
use crate::config::policy_files;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::Request;
use codemint_codes::job::state::State;
use codemint_codes::mask::Mask;
use codemint_codes::text::printable;
use codemint_offers::campaign::definition::Definition;
use codemint_store::admission::submit::PutJob;
use codemint_store::connection::store::Store;

/// Makes the code of a public campaign, unless it exists and belongs to a campaign of this name. Repeating it after a crash
/// completes it. Where the database user may not mint, the code is only ordered.
///
/// # Errors
/// `impossible` if the code exists elsewhere, or is reserved or denied; `negative_result` if its job ends without it.
pub async fn make(context: &Context, store: &Store, definition: &Definition) -> Result<(), Failure> {
    let name = definition.name.as_str();
    let id = unused_id(context, store, name).await?;
    if let Some(job) = owner(context, store, definition).await?
        && job.id != id
    {
        return Ok(());
    }
    let job = request(context, store, id, definition).await?;
    if !job.state.is_final() && !may_mint(context, store).await? {
        note_order(context, &format!("the code of campaign {} is", printable(name)), Some(job.id));
        return Ok(());
    }
    let (job, _share) =
        mint(context, store, &job).await.map_err(|failure| failure.with_hint("then repeat this command"))?;
    find::require_completed(context, &job)
}

/// Returns the job that stored the code; `None` if the code does not exist.
async fn owner(context: &Context, store: &Store, definition: &Definition) -> Result<Option<Job>, Failure> {
    let code = [code_of(&definition.mask)];
    let found = context.with_retries(async || store.find_codes(&code).await).await?;
    let Some(found) = found.into_iter().next() else { return Ok(None) };
    let job = match found.run {
        Some(run) => context.with_retries(async || store.find_job_by_no(run.job_no).await).await?,
        None => None,
    };
    let of = match job {
        Some(job) if job.campaign.as_deref() == Some(&*definition.name) => return Ok(Some(job)),
        Some(job) => format!("in job {}, which has {}", job.id, campaign_text(job.campaign.as_deref())),
        None => "outside of every job".to_owned(),
    };
    let name = printable(&definition.name);
    Err(Failure::impossible(format!(
        "the code of campaign {name} exists already {of}; write another mask; nothing was changed"
    )))
}

/// Asks the store for the code, as for every other one.
async fn request(context: &Context, store: &Store, id: Uuid, definition: &Definition) -> Result<Job, Failure> {
    let (mask, name) = (definition.mask.to_string(), Some(definition.name.as_str()));
    let request = Request::check(&mask, 1, name, context.config.chunk_size, context.config.limits)?;
    let request = request.under(policy_files::load(&context.config)?)?.with_options(context.job_options());
    let name = printable(&definition.name);
    let put = context.with_retries(async || store.put_job(id, &request).await).await?;
    Err(Failure::impossible(match put {
        PutJob::Stored(job) => {
            tracing::info!(job_id = %job.id, count = job.count, priority = job.options.priority, "a job was accepted");
            return Ok(job);
        }
        PutJob::Repeated(job) => return Ok(job),
        PutJob::Conflict(job) => {
            let show = context.command(format_args!("jobs show {}", job.id));
            format!(
                "another code was made for campaign {name} already, in job {}; write the mask that {show} shows, or choose another name; nothing was changed",
                job.id
            )
        }
        PutJob::InsufficientKeyspace { mintable: 0, .. } => {
            format!("the code of campaign {name} is reserved or denied; write another mask; nothing was changed")
        }
        PutJob::InsufficientKeyspace { .. } | PutJob::RoomUncertain { .. } | PutJob::OtherCheckKey(_) => {
            format!(
                "the code of campaign {name} is promised to an unfinished job; write another mask; nothing was changed"
            )
        }
    }))
}

/// Returns the id of the job that makes the code of a campaign: the same for the same name, after jobs that ended without
/// the code.
async fn unused_id(context: &Context, store: &Store, name: &str) -> Result<Uuid, Failure> {
    for attempt in 0_u64.. {
        let id = id_of(name, attempt);
        let found = context.with_retries(async || store.find_job(id).await).await?;
        if found.is_none_or(|job| job.state == State::Completed || !job.state.is_final()) {
            return Ok(id);
        }
    }
    Err(Failure::other("no job id is left"))
}

fn id_of(name: &str, attempt: u64) -> Uuid {
    let digest = Sha256::new().chain_update("codemint public code").chain_update(attempt.to_be_bytes());
    let digest = digest.chain_update(name).finalize();
    uuid::Builder::from_custom_bytes(std::array::from_fn(|at| digest[at])).into_uuid()
}

/// Returns the only code of a mask without placeholders.
fn code_of(mask: &Mask) -> String {
    mask.positions().iter().filter_map(|set| set.single()).map(char::from).collect()
}
