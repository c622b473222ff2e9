//! Codes of campaigns: ordered by their number, or for a list of identities.

use std::fs::File;
use std::sync::Arc;

use axum::Json;
use axum::extract::{FromRequest, Request, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use codemint_codes::job::record::Job;
use codemint_codes::wire::list::ListDocument;
use codemint_offers::campaign::definition::Kind;
use codemint_store::campaigns::definitions::Campaign;
use codemint_store::records::actor::Caller;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::oneshot;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::access::{Allowed, Manage};
use crate::api::body::{InPath, JsonBody, is_csv, refuse_encoded};
use crate::api::list_errands::{CodesForList, ListErrand, ListOrdered};
use crate::api::observing::in_time;
use crate::api::ordering::{NOT_RESTRICTED, public, stored_job};
use crate::api::problem::Problem;
use crate::api::service::Api;

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(order))
}

/// An order of codes.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OrderRequest {
    /// The number of codes.
    #[schemars(range(min = 1))]
    pub count: i64,
    /// A UUID that the caller chooses: the same order under the same id is carried out once, however often it is sent. Without one, each
    /// order is a new job.
    #[serde(default)]
    pub job_id: Option<Uuid>,
    /// True to accept a check key other than that of the mask's newest job.
    #[serde(default)]
    pub new_check_key: bool,
}

/// An accepted order.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OrderedDocument {
    /// Null if each identity of the list has its code already.
    pub job_id: Option<Uuid>,
    /// A state of jobs; null without a job.
    pub state: Option<&'static str>,
    /// What was read of the list, if the codes are for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub list: Option<ListDocument>,
}

/// Order codes of a campaign, with its mask and its name
///
/// The answer comes before the codes are minted; the header `Location` names the job, which shows the progress. The codes of a
/// restricted campaign go into its pool, unless the body is a list of identities as CSV: one a line, or a column `identity`, of any length up to 4 GiB.
/// Then each of them gets a code, once: the same list for the same campaign is the same job.
#[utoipa::path(
    post, path = "/v1/campaigns/{name}/codes", tag = "codes", operation_id = "order_codes", security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The name of the campaign")),
    request_body(content((ref("#/components/schemas/OrderRequest") = "application/json"), (String = "text/csv"))),
    responses(
        (status = 202, description = "The job", body = ref("#/components/schemas/OrderedDocument"),
            headers(("Location" = String, description = "The path of the job"))),
        (status = 200, description = "Each identity of the list has its code already", body = ref("#/components/schemas/OrderedDocument")),
        (status = 404, description = "There is no such campaign"),
        (status = 409, description = "Other codes were ordered under this job_id"),
    )
)]
async fn order(
    State(api): State<Arc<Api>>,
    caller: Allowed<Manage>,
    InPath(name): InPath<String>,
    request: Request,
) -> Result<Response, Problem> {
    let campaign = api.campaign(&name).await?;
    if is_csv(request.headers()) {
        refuse_encoded(request.headers())?;
        let (errand, ordered) = codes_for_list(campaign, caller.caller().to_string())?;
        let body = request.into_body().into_data_stream();
        let ListOrdered { job, list } = api.have_list_read(body, errand, ordered).await?;
        return Ok(answer(job.as_ref(), Some(list)));
    }
    let ordered = async {
        let JsonBody(body) = JsonBody::from_request(request, &()).await?;
        let order = read_order(body)?;
        let job = order_number(&api, &campaign, &caller.caller(), &order).await?;
        Ok(answer(Some(&job), None))
    };
    in_time(Box::pin(ordered)).await
}

fn read_order(body: Value) -> Result<OrderRequest, Problem> {
    serde_json::from_value(body).map_err(|_values_are_not_repeated| {
        let advice = "send count, a whole number; and, if you like, job_id, a UUID, and new_check_key, true or false";
        Problem::invalid_field("", advice)
    })
}

/// Orders a number of codes of a campaign.
///
/// # Errors
/// Why nothing was ordered.
pub(crate) async fn order_number(
    api: &Api,
    campaign: &Campaign,
    caller: &Caller,
    order: &OrderRequest,
) -> Result<Job, Problem> {
    let request = api.ordering.request(campaign, order.count, order.new_check_key, caller)?;
    let id = order.job_id.unwrap_or_else(Uuid::now_v7);
    stored_job(&request, api.store.put_job(id, &request).await?)
}

/// Receives the result of an order for a list.
type Ordered = oneshot::Receiver<Result<ListOrdered, Problem>>;

/// Returns the errand of an order of a code for each identity of a list, and what receives its result.
///
/// # Errors
/// `public-campaign` or `not-restricted`
pub(crate) fn codes_for_list(
    campaign: Campaign,
    asked_by: String,
) -> Result<(impl FnOnce(File) -> ListErrand, Ordered), Problem> {
    match campaign.definition.kind {
        Kind::Restricted => {}
        Kind::Public => return Err(public(&campaign.definition.name)),
        Kind::Private => {
            let detail =
                "the campaign is private, so its codes belong to nobody; send a count, or name a restricted campaign";
            return Err(Problem::new(NOT_RESTRICTED, detail));
        }
    }
    let (done, ordered) = oneshot::channel();
    let campaign = Box::new(campaign);
    Ok((move |list| ListErrand::Codes(CodesForList { campaign, list, asked_by, done }), ordered))
}

fn answer(job: Option<&Job>, list: Option<ListDocument>) -> Response {
    let (job_id, state) = (job.map(|job| job.id), job.map(|job| job.state.into_str()));
    let status = if job.is_some() { StatusCode::ACCEPTED } else { StatusCode::OK };
    let mut response = (status, Json(OrderedDocument { job_id, state, list })).into_response();
    let location = job_id.and_then(|id| HeaderValue::from_str(&format!("/v1/jobs/{id}")).ok());
    response.headers_mut().extend(location.map(|location| (LOCATION, location)));
    response
}
