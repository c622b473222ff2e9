//! Campaigns: created, changed, read and switched.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::{ETAG, IF_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use codemint_offers::campaign::definition::{Definition, Kind};
use codemint_offers::campaign::document::{ANSWERED, CampaignDocument};
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_store::campaigns::changes::{ChangeCampaign, CreateCampaign};
use codemint_store::campaigns::definitions::Campaign;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::access::{Allowed, Manage};
use crate::api::body::{InPath, InQuery, JsonBody};
use crate::api::paging::{Page, Paging, limit, place};
use crate::api::problem::{Problem, STALE_VERSION, VERSION_REQUIRED, WRONG_STATE};
use crate::api::service::{Api, no_campaign};

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(put, show))
        .routes(routes!(list))
        .routes(routes!(activate))
        .routes(routes!(deactivate))
}

/// Create a campaign, or replace its definition
///
/// A change names the version that it was made from in the header `If-Match`. The definition is whole: fields that are left out get their
/// defaults.
#[utoipa::path(
    put, path = "/v1/campaigns/{name}", tag = "campaigns", operation_id = "put_campaign", security(("key" = ["manage"])),
    params(
        ("name" = String, Path, description = "The name of the campaign"),
        ("If-Match" = Option<String>, Header, description = "The version of an existing campaign, as its ETag has it"),
    ),
    request_body(content = ref("#/components/schemas/Definition"), content_type = "application/json"),
    responses(
        (status = 201, description = "It was created", body = ref("#/components/schemas/CampaignDocument"),
            headers(("ETag" = String, description = "The version, in quotation marks"))),
        (status = 200, description = "It has this definition now", body = ref("#/components/schemas/CampaignDocument"),
            headers(("ETag" = String, description = "The version, in quotation marks"))),
        (status = 409, description = "Codes that were ordered under this name before are not minted yet"),
        (status = 412, description = "Somebody else has changed it since that version"),
        (status = 428, description = "It exists; a change names its version"),
    )
)]
async fn put(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(name): InPath<String>,
    headers: HeaderMap,
    body: JsonBody,
) -> Result<Response, Problem> {
    let definition = body.without(&ANSWERED).read(|value| read_definition(value, NameFrom::Path(&name)))?;
    let version = expected_version(&headers)?;
    let status = if version.is_none() { StatusCode::CREATED } else { StatusCode::OK };
    answer(status, &save(&api, &definition, version).await?)
}

/// Creates a campaign or, if the caller names the version that the change was made from, changes it.
///
/// # Errors
/// `version-required` if it exists, `stale-version` if it has another version, `wrong-state` while codes of an earlier order under its
/// name are not minted, and `invalid` if its limits cannot be changed like this.
pub(crate) async fn save(api: &Api, definition: &Definition, version: Option<u32>) -> Result<Campaign, Problem> {
    let name = &definition.name;
    let Some(version) = version else {
        let known = api.store.find_campaign(name).await?;
        if let Some(known) = known {
            return Err(version_required(known.version));
        }
        if definition.kind == Kind::Public {
            api.make_public_code(definition).await?;
        }
        return match api.store.create_campaign(definition).await? {
            CreateCampaign::Created => api.campaign(name).await,
            CreateCampaign::Exists { version, .. } => Err(version_required(version)),
            CreateCampaign::Unfinished { job_ids } => {
                let ids = job_ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let detail = format!(
                    "codes that were ordered under this name before are not minted yet, by {ids}; try again when they are"
                );
                Err(Problem::new(WRONG_STATE, detail))
            }
        };
    };
    match api.store.change_campaign(definition, version).await? {
        ChangeCampaign::Changed { .. } | ChangeCampaign::Unchanged { .. } => api.campaign(name).await,
        ChangeCampaign::Unknown => {
            Err(Problem::new(STALE_VERSION, "there is no such campaign; leave If-Match out to create it"))
        }
        ChangeCampaign::Stale { version: now } => Err(Problem::new(
            STALE_VERSION,
            format!("the campaign has version {now}, not {version}; read it and change that"),
        )),
        ChangeCampaign::Refused(problems) => Err(Problem::invalid(problems)),
    }
}

fn version_required(version: u32) -> Problem {
    let detail = format!(
        "the campaign exists, with version {version}; to change it, read it, and send its header ETag as If-Match"
    );
    Problem::new(VERSION_REQUIRED, detail)
}

/// Returns the version that a change was made from; `None` if the request creates.
fn expected_version(headers: &HeaderMap) -> Result<Option<u32>, Problem> {
    let Some(value) = headers.get(IF_MATCH) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim();
    let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
    let version =
        digits.parse().ok().filter(|version| *version > 0 && digits.bytes().all(|byte| byte.is_ascii_digit()));
    let advice = "send one version in quotation marks, such as \"3\", as the header ETag of the campaign has it";
    version.map(Some).ok_or_else(|| Problem::invalid_field("If-Match", advice))
}

/// Returns a campaign with its version.
fn answer(status: StatusCode, campaign: &Campaign) -> Result<Response, Problem> {
    let mut response = (status, Json(CampaignDocument::from(campaign))).into_response();
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", campaign.version)) {
        response.headers_mut().insert(ETAG, etag);
    }
    Ok(response)
}

/// Read a campaign
#[utoipa::path(
    get, path = "/v1/campaigns/{name}", tag = "campaigns", operation_id = "show_campaign", security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The name of the campaign")),
    responses(
        (status = 200, description = "The campaign", body = ref("#/components/schemas/CampaignDocument"),
            headers(("ETag" = String, description = "The version, in quotation marks"))),
        (status = 404, description = "There is no such campaign"),
    )
)]
async fn show(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(name): InPath<String>,
) -> Result<Response, Problem> {
    answer(StatusCode::OK, &api.campaign(&name).await?)
}

/// List campaigns by name
#[utoipa::path(
    get, path = "/v1/campaigns", tag = "campaigns", operation_id = "list_campaigns", security(("key" = ["manage"])), params(Paging),
    responses((status = 200, description = "A page", body = ref("#/components/schemas/PageOfCampaigns")))
)]
async fn list(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Json<Page<CampaignDocument>>, Problem> {
    let (most, after) = (limit(paging.limit)?, place::<String>(paging.cursor.as_deref())?);
    let found = api.store.list_campaigns(&after.unwrap_or_default(), most + 1).await?;
    let page = Page::cut(found, most, |last| last.definition.name.clone());
    Ok(Json(page.map(|campaign| (&campaign).into())))
}

/// Switch a campaign on; its dates and limits still apply
#[utoipa::path(
    post, path = "/v1/campaigns/{name}/activate", tag = "campaigns", operation_id = "activate_campaign", security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The name of the campaign")),
    responses(
        (status = 200, description = "It is on", body = ref("#/components/schemas/CampaignDocument"),
            headers(("ETag" = String, description = "The version, in quotation marks"))),
        (status = 404, description = "There is no such campaign"),
    )
)]
async fn activate(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(name): InPath<String>,
) -> Result<Response, Problem> {
    answer(StatusCode::OK, &switch(&api, &name, true).await?)
}

/// Switch a campaign off: after the answer, no code of it is redeemed
#[utoipa::path(
    post, path = "/v1/campaigns/{name}/deactivate", tag = "campaigns", operation_id = "deactivate_campaign", security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The name of the campaign")),
    responses(
        (status = 200, description = "It is off", body = ref("#/components/schemas/CampaignDocument"),
            headers(("ETag" = String, description = "The version, in quotation marks"))),
        (status = 404, description = "There is no such campaign"),
    )
)]
async fn deactivate(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(name): InPath<String>,
) -> Result<Response, Problem> {
    answer(StatusCode::OK, &switch(&api, &name, false).await?)
}

/// # Errors
/// `not-found` if there is no such campaign.
pub(crate) async fn switch(api: &Api, name: &str, active: bool) -> Result<Campaign, Problem> {
    match api.store.switch_campaign(name, active).await? {
        ChangeCampaign::Unknown => Err(no_campaign(name)),
        _ => api.campaign(name).await,
    }
}
