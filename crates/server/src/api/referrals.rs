//! Referrals: codes that customers pass on to friends.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use codemint_campaigns::referring::put_referrer;
use codemint_offers::read::referral::{ReferrerRequest, read_referrer};
use codemint_offers::referral::document::{ReferrerDocument, ReferrerState};
use codemint_store::referrals::referrers::{NewReferrer, PutReferrer};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::access::{Allowed, Issue};
use crate::api::body::{InPath, JsonBody};
use crate::api::issuing;
use crate::api::problem::{DIFFERENT_REQUEST, NOT_FOUND, Problem};
use crate::api::service::Api;

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(put, show))
}

/// Give a person a code of a referral campaign to pass on
///
/// A person gets one code of a campaign: another request for the same address answers the same code. Addresses are compared without the part
/// from the first + on, and those of Gmail without dots.
#[utoipa::path(
    put, path = "/v1/referrals/{id}", tag = "issuing", operation_id = "put_referral", security(("key" = ["issue"])),
    params(("id" = Uuid, Path, description = "A UUID that the caller chooses")),
    request_body(content = ref("#/components/schemas/ReferralRequest"), content_type = "application/json"),
    responses(
        (status = 201, description = "The person has a code", body = ref("#/components/schemas/ReferrerDocument")),
        (status = 200, description = "The person had it before", body = ref("#/components/schemas/ReferrerDocument")),
        (status = 404, description = "There is no such campaign"),
        (status = 409, description = "Another request was carried out under this id"),
    )
)]
async fn put(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Issue>,
    InPath(id): InPath<Uuid>,
    body: JsonBody,
) -> Result<(StatusCode, Json<ReferrerDocument>), Problem> {
    let document = name(&api, id, body.read(read_referrer)?).await?;
    let status = if document.already_generated { StatusCode::OK } else { StatusCode::CREATED };
    Ok((status, Json(document)))
}

/// Gives a person a code to pass on.
///
/// # Errors
/// Why the person gets none.
pub(crate) async fn name(api: &Api, id: Uuid, request: ReferrerRequest) -> Result<ReferrerDocument, Problem> {
    let ReferrerRequest { campaign, address } = request;
    match put_referrer(&api.store, &NewReferrer { id, campaign: campaign.clone(), address }).await? {
        PutReferrer::Done { id, code, definition, is_new } => Ok(ReferrerDocument::new(id, &definition, code, !is_new)),
        PutReferrer::DifferentRequest => {
            let detail = "another person has this id; only another person takes a new one";
            Err(Problem::new(DIFFERENT_REQUEST, detail))
        }
        PutReferrer::NotReferral => Err(issuing::not_referral()),
        PutReferrer::Refused(outcome) => Err(issuing::problem_of(&campaign, &outcome)),
    }
}

/// Read a referrer, and what became of the friends
///
/// Friends with codes of their own are referrers as well. No address is answered.
#[utoipa::path(
    get, path = "/v1/referrals/{id}", tag = "issuing", operation_id = "show_referral", security(("key" = ["issue"])),
    params(("id" = Uuid, Path, description = "The id of the referrer")),
    responses(
        (status = 200, description = "The referrer", body = ref("#/components/schemas/ReferrerState")),
        (status = 404, description = "There is no such referrer"),
    )
)]
async fn show(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Issue>,
    InPath(id): InPath<Uuid>,
) -> Result<Json<ReferrerState>, Problem> {
    Ok(Json(find(&api, id).await?))
}

/// # Errors
/// `not-found` if there is no such referrer.
pub(crate) async fn find(api: &Api, id: Uuid) -> Result<ReferrerState, Problem> {
    let found = api.store.find_referrer(id).await?;
    found.map(ReferrerState::from).ok_or_else(|| Problem::new(NOT_FOUND, format!("there is no referrer {id}")))
}
