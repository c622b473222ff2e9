//! Jobs, which mint the codes that were ordered: listed, read and cancelled.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use codemint_codes::job::record::Job;
use codemint_codes::job::state::State as JobState;
use codemint_codes::wire::document::JobDocument;
use codemint_codes::wire::shown_job::ShownJob;
use codemint_store::records::actor::Caller;
use codemint_store::records::reports::JobFilter;
use serde::Deserialize;
use tracing::Instrument;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::access::{Allowed, Manage};
use crate::api::body::{InPath, InQuery};
use crate::api::paging::{Page, limit, place};
use crate::api::problem::{NOT_FOUND, Problem, WRONG_STATE};
use crate::api::service::Api;

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(show)).routes(routes!(cancel))
}

/// # Errors
/// `not-found` if no job has this id.
pub(crate) async fn find(api: &Api, id: Uuid) -> Result<Job, Problem> {
    let found = api.store.find_job(id).await?;
    found.ok_or_else(|| Problem::new(NOT_FOUND, format!("no job has the id {id}")))
}

/// Which jobs are listed.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct JobParameters {
    /// Only jobs of the campaign with this name.
    campaign: Option<String>,
    /// Only jobs in this state.
    state: Option<String>,
    /// The maximum number of items.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
}

/// List jobs, newest first
#[utoipa::path(
    get, path = "/v1/jobs", tag = "codes", operation_id = "list_jobs", security(("key" = ["manage"])), params(JobParameters),
    responses((status = 200, description = "A page", body = ref("#/components/schemas/PageOfJobs")))
)]
async fn list(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InQuery(parameters): InQuery<JobParameters>,
) -> Result<Json<Page<JobDocument>>, Problem> {
    let JobParameters { campaign, state, limit: most, cursor } = parameters;
    let (most, before_no) = (limit(most)?, place::<i64>(cursor.as_deref())?);
    let state = state.map(|state| state.parse::<JobState>()).transpose();
    let state = state.map_err(|advice| Problem::invalid_field("state", advice))?;
    let found = api.store.list_jobs(&JobFilter { state, campaign, before_no, limit: most + 1 }).await?;
    Ok(Json(Page::cut(found, most, |last| last.no).map(|job| (&job).into())))
}

/// Read a job: its state, and how many codes it has minted
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "codes", operation_id = "show_job", security(("key" = ["manage"])),
    params(("id" = Uuid, Path, description = "The id of the job")),
    responses(
        (status = 200, description = "The job", body = ref("#/components/schemas/ShownJob")),
        (status = 404, description = "There is no such job"),
    )
)]
async fn show(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(id): InPath<Uuid>,
) -> Result<Json<ShownJob>, Problem> {
    let job = find(&api, id).await?;
    let screenings = api.store.count_screenings(job.no).await?;
    Ok(Json(ShownJob::new(&job, &screenings)))
}

/// Cancel a job; the codes minted so far are kept and counted
///
/// Idempotent.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/cancel", tag = "codes", operation_id = "cancel_job", security(("key" = ["manage"])),
    params(("id" = Uuid, Path, description = "The id of the job")),
    responses(
        (status = 200, description = "The cancelled job", body = ref("#/components/schemas/JobDocument")),
        (status = 404, description = "There is no such job"),
        (status = 409, description = "It has ended already"),
    )
)]
async fn cancel(
    State(api): State<Arc<Api>>,
    caller: Allowed<Manage>,
    InPath(id): InPath<Uuid>,
) -> Result<Json<JobDocument>, Problem> {
    Ok(Json((&end(&api, id, &caller.caller()).await?).into()))
}

/// Cancels a job.
///
/// # Errors
/// `not-found` if no job has this id; `wrong-state` if it has ended otherwise.
pub(crate) async fn end(api: &Api, id: Uuid, caller: &Caller) -> Result<Job, Problem> {
    let job = find(api, id).await?;
    let span = tracing::error_span!("job", job_id = %id);
    api.store.cancel_job(&job, Some(&caller.to_string())).instrument(span).await?;
    let job = find(api, id).await?;
    match job.state {
        JobState::Cancelled => Ok(job),
        state => Err(Problem::new(WRONG_STATE, format!("the job cannot be cancelled: it is already {state}"))),
    }
}
