//! The job that a command names: parsing its id and finding it.

use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use codemint_codes::job::record::Job;
use codemint_codes::job::state::{JobError, State};
use codemint_codes::text::{plural, printable};
use codemint_store::campaigns::definitions::Campaign;
use codemint_store::connection::store::{Access, Store};

/// Parses an argument that names a job.
pub fn job_id(text: &str) -> Result<Uuid, String> {
    let id = text.parse();
    id.map_err(|_| {
        "write a job id such as 01890a5d-ac96-774b-bcce-b302099a8057; `codemint jobs list` shows them".to_owned()
    })
}

/// Finds a job by its id; `negative_result` if there is none.
pub async fn job(context: &Context, store: &Store, id: Uuid) -> Result<Job, Failure> {
    let found = context.with_retries(async || store.find_job(id).await).await?;
    found.ok_or_else(|| {
        let list = context.command("jobs list");
        let queue = context.config.broker.as_ref().map(|broker| printable(&broker.names.jobs_queue));
        let waiting = queue.map(|queue| format!("; its message may still wait in the broker's queue {queue}"));
        let waiting = waiting.unwrap_or_default();
        Failure::negative_result(format!("there is no job {id} in this store{waiting}; {list} shows its jobs"))
    })
}

/// Opens the store and finds a job in it.
pub async fn store_and_job(context: &Context, id: Uuid) -> Result<(Store, Job), Failure> {
    let store = context.open_store(Access::Existing).await?;
    let job = job(context, &store, id).await?;
    Ok((store, job))
}

/// Finds a campaign by its name; `negative_result` if there is none.
pub async fn campaign(context: &Context, store: &Store, name: &str) -> Result<Campaign, Failure> {
    let found = context.with_retries(async || store.find_campaign(name).await).await?;
    found.ok_or_else(|| no_campaign(context, name))
}

pub fn no_campaign(context: &Context, name: &str) -> Failure {
    let list = context.command("campaign list");
    Failure::negative_result(format!(
        "there is no campaign {} in this store; {list} shows its campaigns",
        printable(name)
    ))
}

/// Checks that a job has all its codes; `negative_result` if not.
pub fn require_completed(context: &Context, job: &Job) -> Result<(), Failure> {
    match (job.state, &job.error) {
        (State::Completed, _) => Ok(()),
        (State::Failed, Some(error)) => {
            Err(Failure::negative_result(format!("job {} has failed: {}", job.id, printable(&error.message))))
        }
        (state, Some(JobError { message, .. })) => {
            Err(Failure::negative_result(format!("job {} is {state}: {}", job.id, printable(message))))
        }
        (State::Cancelling, None) => {
            let cancel = context.command(format_args!("jobs cancel {}", job.id));
            Err(Failure::negative_result(format!(
                "job {} is being cancelled; {cancel} waits until it has ended",
                job.id
            )))
        }
        (state, None) => Err(Failure::negative_result(format!(
            "job {} is {state} with {} of {} {}; {} resumes it",
            job.id,
            job.minted,
            job.count,
            plural(job.count, "code"),
            context.command(format_args!("jobs resume {}", job.id))
        ))),
    }
}
