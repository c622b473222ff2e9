//! Exclusions from rules for affiliates: one by one, a page at a time, or the whole list as CSV.

use std::io;
use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use codemint_offers::affiliate::document::{ExclusionDocument, ReplacedExclusionsDocument};
use codemint_offers::affiliate::exclusion::{COLUMNS, Exclusion, checked_reference};
use codemint_offers::read::affiliate::read_details;
use futures_util::stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::access::{Allowed, Manage};
use crate::api::affiliate_rules::find;
use crate::api::body::{InPath, InQuery, JsonBody, require_csv_of};
use crate::api::list_errands::{ListErrand, NewExclusions, excluding_done};
use crate::api::observing::in_time;
use crate::api::paging::{Page, limit, place};
use crate::api::problem::{NOT_ACCEPTABLE, NOT_FOUND, Problem};
use crate::api::service::Api;

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(put, remove))
}

/// Returns the paths whose bodies or answers may take long.
pub(super) fn streaming_routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list, replace))
}

/// What the team notes beside an exclusion.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(deny_unknown_fields)]
#[expect(dead_code, reason = "only its schema is used; the reader names every problem")]
pub struct ExclusionRequest {
    /// Whose reference it is.
    #[schemars(length(max = 200))]
    pub affiliate: Option<String>,
    /// What the affiliate gets instead.
    #[schemars(length(max = 200))]
    pub promotion: Option<String>,
    #[schemars(length(max = 200))]
    pub note: Option<String>,
}

/// Exclude a reference from a rule, or replace the details of its exclusion
#[utoipa::path(
    put, path = "/v1/affiliates/rules/{name}/exclusions/{reference}", tag = "affiliates", operation_id = "put_exclusion",
    security(("key" = ["manage"])),
    params(
        ("name" = String, Path, description = "The name of the rule"),
        ("reference" = String, Path, description = "The reference, without the prefix of the rule"),
    ),
    request_body(content = ref("#/components/schemas/ExclusionRequest"), content_type = "application/json"),
    responses(
        (status = 201, description = "It is excluded", body = ref("#/components/schemas/ExclusionDocument")),
        (status = 200, description = "It was excluded before and has these details now", body = ref("#/components/schemas/ExclusionDocument")),
        (status = 404, description = "There is no such rule"),
    )
)]
async fn put(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath((name, reference)): InPath<(String, String)>,
    body: JsonBody,
) -> Result<(StatusCode, Json<ExclusionDocument>), Problem> {
    let reference = in_path(&reference)?;
    let exclusion = Exclusion { reference, details: body.read(read_details)? };
    let is_new = excluding_done(&name, api.store.put_exclusion(&name, &exclusion).await?)?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(exclusion.into())))
}

/// Include a reference again
#[utoipa::path(
    delete, path = "/v1/affiliates/rules/{name}/exclusions/{reference}", tag = "affiliates", operation_id = "remove_exclusion",
    security(("key" = ["manage"])),
    params(
        ("name" = String, Path, description = "The name of the rule"),
        ("reference" = String, Path, description = "The reference, without the prefix of the rule"),
    ),
    responses(
        (status = 200, description = "It is no longer excluded", body = ref("#/components/schemas/RemovedExclusion")),
        (status = 404, description = "There is no such rule, or the reference is not excluded from it"),
    )
)]
async fn remove(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath((name, reference)): InPath<(String, String)>,
) -> Result<Json<RemovedExclusion>, Problem> {
    let reference = in_path(&reference)?;
    match excluding_done(&name, api.store.delete_exclusion(&name, &reference).await?)? {
        true => Ok(Json(RemovedExclusion { rule: name, reference, removed: true })),
        false => Err(Problem::new(NOT_FOUND, "the reference is not excluded from the rule")),
    }
}

/// An exclusion that is gone.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RemovedExclusion {
    pub rule: String,
    pub reference: String,
    pub removed: bool,
}

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ListParameters {
    /// The maximum number of items.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
    /// Only references that begin with this.
    #[param(max_length = 64)]
    prefix: Option<String>,
}

/// Read the exclusions of a rule by reference: a page, or all as CSV
#[utoipa::path(
    get, path = "/v1/affiliates/rules/{name}/exclusions", tag = "affiliates", operation_id = "list_exclusions",
    security(("key" = ["manage"])),
    params(
        ("name" = String, Path, description = "The name of the rule"),
        ListParameters,
        ("Accept" = Option<String>, Header, description = "application/json, which is the default and a page, or text/csv, which is the whole list"),
    ),
    responses(
        (status = 200, description = "The exclusions", content((ref("#/components/schemas/PageOfExclusions") = "application/json"), (String = "text/csv"))),
        (status = 404, description = "There is no such rule"),
        (status = 406, description = "Exclusions come as application/json or text/csv only"),
    )
)]
async fn list(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(name): InPath<String>,
    InQuery(ListParameters { limit: most, cursor, prefix }): InQuery<ListParameters>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let (most, after) = (limit(most)?, place::<String>(cursor.as_deref())?);
    let prefix = match &prefix {
        Some(prefix) => {
            checked_reference(prefix).map_err(|error| Problem::invalid_field("prefix", error.to_string()))?
        }
        None => String::new(),
    };
    let accepted = accepted(&headers)?;
    let rule = in_time(find(&api, &name)).await?;
    if accepted == Accepted::Csv {
        if after.is_some() || !prefix.is_empty() {
            let advice = "the CSV text has the whole list; leave out cursor and prefix, or accept application/json";
            return Err(Problem::invalid_field("Accept", advice));
        }
        return whole(&api, rule.no).await;
    }
    let page = async { Ok(api.store.list_exclusions(rule.no, &prefix, &after.unwrap_or_default(), most + 1).await?) };
    let page = Page::cut(in_time(page).await?, most, |last| last.reference.clone());
    Ok(Json(page.map(ExclusionDocument::from)).into_response())
}

/// The forms in which exclusions are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accepted {
    Json,
    Csv,
}

/// # Errors
/// `not-acceptable` if the client accepts neither form.
fn accepted(headers: &HeaderMap) -> Result<Accepted, Problem> {
    let Some(accept) = headers.get(ACCEPT).and_then(|value| value.to_str().ok()) else { return Ok(Accepted::Json) };
    let types = accept.split(',').filter_map(|range| range.split(';').next()).map(str::trim);
    let find = |name: &str| match name.to_ascii_lowercase().as_str() {
        "application/json" | "application/*" | "*/*" => Some(Accepted::Json),
        "text/csv" | "text/*" => Some(Accepted::Csv),
        _ => None,
    };
    let detail = "exclusions come as application/json or text/csv; accept one of them";
    types.into_iter().find_map(find).ok_or_else(|| Problem::new(NOT_ACCEPTABLE, detail))
}

/// Answers with all exclusions of a rule, as they are at one moment. They are read before the answer begins, so that a slow client keeps
/// no connection to the store.
pub(crate) async fn whole(api: &Api, rule_no: i64) -> Result<Response, Problem> {
    let permit = api.slots.lists.take()?;
    let mut pieces = vec![encoded(&[COLUMNS])];
    let take = |exclusions: Vec<Exclusion>| {
        let rows: Vec<[&str; 4]> = exclusions.iter().map(Exclusion::row).collect();
        pieces.push(encoded(&rows));
    };
    api.store.read_all_exclusions(rule_no, take).await?;
    let pieces: Vec<Bytes> = pieces
        .into_iter()
        .collect::<io::Result<_>>()
        .map_err(|error| Problem::internal(format!("a row cannot be encoded: {error}")))?;
    // The client is one of the few until it has all.
    let pieces = stream::unfold((pieces.into_iter(), permit), |(mut pieces, permit)| async {
        pieces.next().map(|piece| (Ok::<_, io::Error>(piece), (pieces, permit)))
    });
    Ok(([(CONTENT_TYPE, "text/csv; charset=utf-8")], Body::from_stream(pieces)).into_response())
}

fn encoded(rows: &[[&str; 4]]) -> io::Result<Bytes> {
    let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    rows.iter().try_for_each(|row| csv.write_record(row)).map_err(io::Error::other)?;
    Ok(csv.into_inner().map_err(|error| error.into_error())?.into())
}

/// Replace all exclusions of a rule
///
/// CSV with a header: the column `reference`, and `affiliate`, `promotion` and `note` if they are needed, at most 1,000,000 rows. If a line
/// is wrong, nothing is changed; `errors` names the first hundred. A header alone leaves the rule without exclusions.
#[utoipa::path(
    put, path = "/v1/affiliates/rules/{name}/exclusions", tag = "affiliates", operation_id = "replace_exclusions",
    security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The name of the rule")),
    request_body(
        content = String, content_type = "text/csv",
        example = "reference,affiliate,promotion,note\n0123456780,Rose Ltd,FGV,own contract\n",
    ),
    responses(
        (status = 200, description = "It has these exclusions now", body = ref("#/components/schemas/ReplacedExclusionsDocument")),
        (status = 404, description = "There is no such rule"),
    )
)]
async fn replace(
    State(api): State<Arc<Api>>,
    caller: Allowed<Manage>,
    InPath(name): InPath<String>,
    request: Request,
) -> Result<Json<ReplacedExclusionsDocument>, Problem> {
    require_csv_of(request.headers(), "a header with the column reference")?;
    let rule = Box::new(in_time(find(&api, &name)).await?.rule);
    let (done, answer) = oneshot::channel();
    let errand = |list| ListErrand::Exclusions(NewExclusions { rule, list, caller: caller.caller(), done });
    Ok(Json(api.have_list_read(request.into_body().into_data_stream(), errand, answer).await?))
}

/// Returns the reference that a path names.
fn in_path(reference: &str) -> Result<String, Problem> {
    checked_reference(reference).map_err(|error| Problem::invalid_field("reference", error.to_string()))
}
