//! Segments: their conditions and their members.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use codemint_codes::job::request::CAMPAIGN_LENGTH_MAX;
use codemint_codes::job::request::check_campaign;
use codemint_codes::text::printable;
use codemint_codes::wire::list::MembersDocument;
use codemint_offers::condition::document::SegmentDocument;
use codemint_offers::condition::predicate::Predicate;
use codemint_offers::read::condition::read_segment;
use codemint_store::campaigns::segments::PutSegment;
use schemars::JsonSchema;
use serde::Serialize;
use tokio::sync::oneshot;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::access::{Allowed, Manage};
use crate::api::body::{InPath, InQuery, JsonBody, require_csv};
use crate::api::list_errands::{ListErrand, NewMembers};
use crate::api::paging::{Page, Paging, limit, place};
use crate::api::problem::{NOT_FOUND, Problem};
use crate::api::service::Api;

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(put, show, remove)).routes(routes!(list))
}

/// Returns the paths whose bodies may take long.
pub(super) fn streaming_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(put_members))
}

/// A segment: the buyers for whom the condition is true, and its listed members.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used; the reader names every problem")]
pub struct SegmentRequest {
    /// A condition as in campaigns, which names no segments; null for none.
    pub condition: Option<Predicate>,
}

/// Create a segment, or replace its condition; its members stay
#[utoipa::path(
    put, path = "/v1/segments/{name}", tag = "segments", operation_id = "put_segment", security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The name of the segment")),
    request_body(content = ref("#/components/schemas/SegmentRequest"), content_type = "application/json"),
    responses(
        (status = 201, description = "It was created", body = ref("#/components/schemas/SegmentDocument")),
        (status = 200, description = "It has this condition now", body = ref("#/components/schemas/SegmentDocument")),
    )
)]
async fn put(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(name): InPath<String>,
    body: JsonBody,
) -> Result<(StatusCode, Json<SegmentDocument>), Problem> {
    check_name(&name)?;
    body.read(read_segment)?;
    let put = api.store.put_segment(&name, &body.0, None).await?;
    let status = if put == PutSegment::Created { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(find(&api, &name).await?)))
}

/// Read a segment
#[utoipa::path(
    get, path = "/v1/segments/{name}", tag = "segments", operation_id = "show_segment", security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The name of the segment")),
    responses(
        (status = 200, description = "The segment", body = ref("#/components/schemas/SegmentDocument")),
        (status = 404, description = "There is no such segment"),
    )
)]
async fn show(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(name): InPath<String>,
) -> Result<Json<SegmentDocument>, Problem> {
    Ok(Json(find(&api, &name).await?))
}

/// List segments by name
#[utoipa::path(
    get, path = "/v1/segments", tag = "segments", operation_id = "list_segments", security(("key" = ["manage"])), params(Paging),
    responses((status = 200, description = "A page", body = ref("#/components/schemas/PageOfSegments")))
)]
async fn list(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Json<Page<SegmentDocument>>, Problem> {
    let (most, after) = (limit(paging.limit)?, place::<String>(paging.cursor.as_deref())?);
    let found = api.store.list_segments(&after.unwrap_or_default(), most + 1).await?;
    let Page { items, next } = Page::cut(found, most, |last| last.name.clone());
    let items = items.into_iter().map(SegmentDocument::try_from).collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next }))
}

/// Remove a segment and its members; requests may still state it for a buyer
#[utoipa::path(
    delete, path = "/v1/segments/{name}", tag = "segments", operation_id = "remove_segment", security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The name of the segment")),
    responses(
        (status = 200, description = "It was removed", body = ref("#/components/schemas/RemovedSegment")),
        (status = 404, description = "There is no such segment"),
    )
)]
async fn remove(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(name): InPath<String>,
) -> Result<Json<RemovedSegment>, Problem> {
    match api.store.delete_segment(&name).await? {
        true => Ok(Json(RemovedSegment { name, removed: true })),
        false => Err(missing(&name)),
    }
}

/// A segment that is gone.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RemovedSegment {
    pub name: String,
    pub removed: bool,
}

/// Replace all members of a segment, which is created if it is new
///
/// One identity a line, or CSV with a column `identity`, of any length up to 4 GiB. If a line has no valid identity, nothing is changed. A
/// header alone leaves the segment without members.
#[utoipa::path(
    put, path = "/v1/segments/{name}/members", tag = "segments", security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The name of the segment")),
    request_body(content = String, content_type = "text/csv"),
    responses((status = 200, description = "It has these members now", body = ref("#/components/schemas/MembersDocument")))
)]
async fn put_members(
    State(api): State<Arc<Api>>,
    caller: Allowed<Manage>,
    InPath(segment): InPath<String>,
    request: Request,
) -> Result<Json<MembersDocument>, Problem> {
    check_name(&segment)?;
    require_csv(request.headers())?;
    let (done, answer) = oneshot::channel();
    let errand = |list| ListErrand::Members(NewMembers { segment, list, caller: caller.caller(), done });
    Ok(Json(api.have_list_read(request.into_body().into_data_stream(), errand, answer).await?))
}

/// # Errors
/// `invalid` unless it is a name that a segment may have.
pub(crate) fn check_name(name: &str) -> Result<(), Problem> {
    check_campaign(name).map_err(|_it_speaks_of_campaigns| {
        let advice =
            format!("the name of a segment has 1 to {CAMPAIGN_LENGTH_MAX} characters without control characters");
        Problem::invalid_field("name", advice)
    })
}

/// # Errors
/// `not-found` if there is no segment of this name.
pub(crate) async fn find(api: &Api, name: &str) -> Result<SegmentDocument, Problem> {
    let found = api.store.find_segment(name).await?;
    Ok(found.ok_or_else(|| missing(name))?.try_into()?)
}

pub(crate) fn missing(name: &str) -> Problem {
    Problem::new(NOT_FOUND, format!("there is no segment {}", printable(name)))
}
