//! Links that start a coupon: a click is counted, and leads to the campaign's landing page.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use chrono::Utc;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::link::banner::banner;
use codemint_offers::link::target::{NoTarget, Origin, carried_code, landing_page, link, with_click};
use codemint_store::figures::clicks::Click;
use codemint_telemetry::metrics::clicks as metrics;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::access::{Allowed, Manage};
use crate::api::body::{InPath, InQuery};
use crate::api::observing::Seen;
use crate::api::problem::{NOT_FOUND, Problem, refusal};
use crate::api::service::{Api, no_campaign};

const NO_LANDING_PAGE: &str = "no-landing-page";
const HOST_NOT_ALLOWED: &str = "host-not-allowed";

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(follow)).routes(routes!(show))
}

/// Where a link stands.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct OriginParameters {
    /// Such as a newsletter.
    source: Option<String>,
    /// The advertisement.
    ad: Option<String>,
    /// The reference of the affiliate.
    affiliate: Option<String>,
}

/// A link of a campaign, and a banner with it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct LinkDocument {
    /// The address that counts the click and leads to the landing page.
    pub url: String,
    /// HTML with the campaign's picture, or else its text, as a link.
    pub banner_html: String,
}

impl OriginParameters {
    fn checked(self) -> Result<Origin, Problem> {
        let Self { source, ad, affiliate } = self;
        Origin { source, ad, affiliate }.checked().map_err(|field| {
            Problem::invalid_field(field, "at most 200 characters are allowed, and no control characters")
        })
    }
}

/// Follow a link: the click is counted, and the answer leads to the campaign's landing page
///
/// The landing page gets `click_id`, and the code of a public campaign as `code`, beside `source`, `ad` and `affiliate`. No key is needed.
/// Other parameters are ignored, since networks add their own, and so are values that are longer than 200 characters or have control characters. Clicks of an address beyond links.clicks_per_minute are not counted.
#[utoipa::path(
    get, path = "/go/{campaign}", tag = "links", operation_id = "follow_link",
    params(("campaign" = String, Path, description = "The name of the campaign"), OriginParameters),
    responses(
        (status = 302, description = "To the landing page"),
        (status = 404, description = "There is no such campaign, or it has no landing page that links may lead to"),
    )
)]
async fn follow(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    RawQuery(query): RawQuery,
    seen: Option<Extension<Seen>>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let origin = origin_of(query.as_deref().unwrap_or_default()).usable();
    let found = api.links.find(&name).await?;
    let campaign = found.ok_or_else(|| no_campaign(&name))?;
    let definition = &campaign.definition;
    let landing = landing_page(definition, &api.link_settings.hosts)
        .map_err(|reason| Problem::new(NOT_FOUND, format!("this link leads nowhere: {reason}")))?;
    let (id, now) = (Uuid::now_v7(), Utc::now());
    let code = carried_code(definition).filter(|_| definition.is_open(now));
    let target = with_click(landing, code.as_deref(), id, &origin);
    if method == Method::GET && !is_prefetch(&headers) {
        let day = now.with_timezone(&definition.zone).date_naive();
        let Origin { source, ad, affiliate } = origin;
        let click = Click { id, campaign_no: campaign.no, source, ad, affiliate, day, at: now };
        if seen.is_none_or(|Extension(seen)| api.limits.clicks.admits(seen.client)) {
            api.clicks.count(click);
        } else {
            metrics::clicked("throttled", 1);
        }
    }
    let location = HeaderValue::from_str(target.as_str()).map_err(|_| Problem::internal("an address is no header"))?;
    let no_store = HeaderValue::from_static("no-store");
    Ok((StatusCode::FOUND, [(LOCATION, location), (CACHE_CONTROL, no_store)]).into_response())
}

/// Returns the first value of each parameter.
fn origin_of(query: &str) -> Origin {
    let first = |wanted: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    Origin { source: first("source"), ad: first("ad"), affiliate: first("affiliate") }
}

/// Browsers say so if nobody has clicked yet.
fn is_prefetch(headers: &HeaderMap) -> bool {
    let says = |name: &str| {
        headers.get(name).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("prefetch"))
    };
    says("sec-purpose") || says("purpose")
}

/// Read the link of a campaign, and a banner with it
#[utoipa::path(
    get, path = "/v1/campaigns/{name}/link", tag = "links", operation_id = "show_link", security(("key" = ["manage"])),
    params(("name" = String, Path, description = "The name of the campaign"), OriginParameters),
    responses(
        (status = 200, description = "The link", body = ref("#/components/schemas/LinkDocument")),
        (status = 404, description = "There is no such campaign"),
    )
)]
async fn show(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    InPath(name): InPath<String>,
    InQuery(parameters): InQuery<OriginParameters>,
) -> Result<Json<LinkDocument>, Problem> {
    let origin = parameters.checked()?;
    let campaign = api.campaign(&name).await?.definition;
    Ok(Json(link_of(&api, &campaign, &origin)?))
}

/// Returns the link of a campaign, and a banner with it.
///
/// # Errors
/// `no-landing-page` or `host-not-allowed`
pub(crate) fn link_of(api: &Api, campaign: &Definition, origin: &Origin) -> Result<LinkDocument, Problem> {
    landing_page(campaign, &api.link_settings.hosts).map_err(|reason| {
        let kind = match reason {
            NoTarget::NoLandingPage => refusal(NO_LANDING_PAGE, "The campaign has no landing page"),
            NoTarget::HostNotAllowed => refusal(HOST_NOT_ALLOWED, "Links may not lead to this host"),
        };
        Problem::new(kind, reason.to_string())
    })?;
    let url = link(&api.link_settings.public, &campaign.name, origin);
    Ok(LinkDocument { banner_html: banner(campaign, &url), url: url.into() })
}
