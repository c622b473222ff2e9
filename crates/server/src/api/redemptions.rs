//! Redemption: may a code be used, use it, and what becomes of it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use codemint_campaigns::answers::Redeemed;
use codemint_offers::problem::Problem as FieldProblem;
use codemint_offers::read::request::{read_confirmation, read_request, read_rollback};
use codemint_offers::redemption::document::{RedemptionDocument, ValidationDocument};
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::request::Request;
use codemint_offers::redemption::state::State as RedemptionState;
use codemint_offers::redemption::transition::Action;
use codemint_store::redemptions::reads::RedemptionFilter;
use codemint_store::redemptions::transitions::Moved;
use futures_util::future::join_all;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::access::{Allowed, Redeem};
use crate::api::body::{InPath, InQuery, JsonBody, OptionalBody};
use crate::api::guessers::Guess;
use crate::api::identity::from_url;
use crate::api::paging::{Page, limit, place};
use crate::api::problem::{DIFFERENT_REQUEST, NOT_FOUND, Problem, WRONG_STATE};
use crate::api::service::Api;

/// The maximum number of requests in a batch.
const BATCH_MAX: usize = 1000;

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new()
        .routes(routes!(validate))
        .routes(routes!(redeem, show))
        .routes(routes!(confirm))
        .routes(routes!(release))
        .routes(routes!(roll_back))
        .routes(routes!(list))
        .routes(routes!(redeem_batch))
}

/// Find out whether a code may be used, and for how much
///
/// Nothing is recorded, and nothing is kept for the buyer.
#[utoipa::path(
    post, path = "/v1/validations", tag = "redemption", security(("key" = ["redeem"])),
    request_body(content = ref("#/components/schemas/UseRequest"), content_type = "application/json"),
    responses((status = 200, description = "The verdict", body = ref("#/components/schemas/ValidationDocument")))
)]
async fn validate(
    State(api): State<Arc<Api>>,
    caller: Allowed<Redeem>,
    body: JsonBody,
) -> Result<Json<ValidationDocument>, Problem> {
    let (request, guess) = read(&api, &caller, &body.0).await?;
    let cart = request.cart.clone();
    let validation = api.redeemer.validate(request, caller.explains()).await?;
    guess.note(&validation.verdict.reasons);
    Ok(Json(validation.document(cart.as_ref())))
}

/// Use a code, or hold it until the payment
///
/// The caller chooses the id. The same request under the same id is carried out once, however often it is sent: after a timeout, send it
/// again.
#[utoipa::path(
    put, path = "/v1/redemptions/{id}", tag = "redemption", security(("key" = ["redeem"])),
    params(("id" = Uuid, Path, description = "A UUID that the caller chooses")),
    request_body(content = ref("#/components/schemas/UseRequest"), content_type = "application/json"),
    responses(
        (status = 201, description = "The code was used or is held", body = ref("#/components/schemas/RedemptionDocument")),
        (status = 200, description = "The same request was granted before", body = ref("#/components/schemas/RedemptionDocument")),
        (status = 409, description = "Another request was carried out under this id"),
    )
)]
async fn redeem(
    State(api): State<Arc<Api>>,
    caller: Allowed<Redeem>,
    InPath(id): InPath<Uuid>,
    body: JsonBody,
) -> Result<(StatusCode, Json<RedemptionDocument>), Problem> {
    let (redemption, is_new) = use_code(&api, &caller, id, &body.0).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json((&*redemption).into())))
}

/// Reads a request, unless its actor named too many wrong codes. Waits while requests before it may be the last ones that may fail.
async fn read<'a>(api: &'a Api, caller: &Allowed<Redeem>, body: &Value) -> Result<(Request, Guess<'a>), Problem> {
    let mut guess = api.limits.begin_guess(caller.key.id, body.get("actor").and_then(Value::as_str))?;
    let request = read_request(body).map_err(|problems| {
        if problems.iter().any(|problem| problem.field == "/code") {
            guess.note_failure();
        }
        Problem::invalid(problems)
    })?;
    if guess.waits() {
        guess.wait(api.redeemer.foresee(request.clone(), caller.explains())).await?;
    }
    Ok((request, guess))
}

/// Uses a code; the flag is false if the same request was granted before.
async fn use_code(
    api: &Api,
    caller: &Allowed<Redeem>,
    id: Uuid,
    body: &Value,
) -> Result<(Box<Redemption>, bool), Problem> {
    let (request, guess) = read(api, caller, body).await?;
    match api.redeemer.redeem(id, request, caller.explains()).await? {
        Redeemed::Granted { redemption, is_new } => Ok((redemption, is_new)),
        Redeemed::DifferentRequest => Err(different_request()),
        Redeemed::Refused(reasons) => {
            guess.note(&reasons);
            Err(Problem::refused(reasons))
        }
    }
}

/// Confirm a held redemption: the order was paid
///
/// A cart has the discount computed anew. The campaign's version at the time of the hold applies.
#[utoipa::path(
    post, path = "/v1/redemptions/{id}/confirm", tag = "redemption", security(("key" = ["redeem"])),
    params(("id" = Uuid, Path, description = "The id of the redemption")),
    request_body(content = ref("#/components/schemas/ConfirmRequest"), content_type = "application/json"),
    responses(
        (status = 200, description = "It is confirmed", body = ref("#/components/schemas/RedemptionDocument")),
        (status = 404, description = "There is no such redemption"),
        (status = 409, description = "Its state does not permit this"),
    )
)]
async fn confirm(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Redeem>,
    InPath(id): InPath<Uuid>,
    OptionalBody(body): OptionalBody,
) -> Result<Json<RedemptionDocument>, Problem> {
    let cart = read_confirmation(&body.unwrap_or_else(empty)).map_err(Problem::invalid)?;
    act(&api, id, Action::Confirm { cart }).await
}

/// Release a held redemption: the order was given up, and the use is given back
#[utoipa::path(
    post, path = "/v1/redemptions/{id}/release", tag = "redemption", security(("key" = ["redeem"])),
    params(("id" = Uuid, Path, description = "The id of the redemption")),
    responses(
        (status = 200, description = "It is released", body = ref("#/components/schemas/RedemptionDocument")),
        (status = 404, description = "There is no such redemption"),
        (status = 409, description = "Its state does not permit this"),
    )
)]
async fn release(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Redeem>,
    InPath(id): InPath<Uuid>,
) -> Result<Json<RedemptionDocument>, Problem> {
    act(&api, id, Action::Release).await
}

/// Roll back a confirmed redemption: the order was cancelled or refunded
///
/// The use is given back, unless `keep_use` is true.
#[utoipa::path(
    post, path = "/v1/redemptions/{id}/rollback", tag = "redemption", security(("key" = ["redeem"])),
    params(("id" = Uuid, Path, description = "The id of the redemption")),
    request_body(content = ref("#/components/schemas/RollBackRequest"), content_type = "application/json"),
    responses(
        (status = 200, description = "It is rolled back", body = ref("#/components/schemas/RedemptionDocument")),
        (status = 404, description = "There is no such redemption"),
        (status = 409, description = "Its state does not permit this, or it was rolled back with another keep_use"),
    )
)]
async fn roll_back(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Redeem>,
    InPath(id): InPath<Uuid>,
    OptionalBody(body): OptionalBody,
) -> Result<Json<RedemptionDocument>, Problem> {
    let keep_use = read_rollback(&body.unwrap_or_else(empty)).map_err(Problem::invalid)?;
    act(&api, id, Action::RollBack { keep_use }).await
}

fn empty() -> Value {
    Value::Object(serde_json::Map::new())
}

async fn act(api: &Api, id: Uuid, action: Action) -> Result<Json<RedemptionDocument>, Problem> {
    let redemption = moved(id, api.redeemer.act(id, action).await?)?;
    Ok(Json((&redemption).into()))
}

/// Returns the redemption after an action, or the problem of one that was refused.
pub(crate) fn moved(id: Uuid, moved: Moved) -> Result<Redemption, Problem> {
    match moved {
        Moved::Done { redemption, .. } => Ok(*redemption),
        Moved::Unknown => Err(unknown(id)),
        Moved::WrongState(state) => {
            let possible = match state {
                RedemptionState::Held => "it can be confirmed or released",
                RedemptionState::Confirmed => "it can only be rolled back",
                RedemptionState::Expired => "it can only be confirmed, while the limits have room",
                RedemptionState::Released | RedemptionState::RolledBack => "it has ended; a new use needs a new id",
            };
            let detail = format!("the redemption is {}: {possible}", state.into_str().replace('_', " "));
            Err(Problem::new(WRONG_STATE, detail))
        }
        Moved::DifferentRequest => {
            let detail =
                "this was done before, with another cart or another keep_use; read the redemption, and keep its id";
            Err(Problem::new(DIFFERENT_REQUEST, detail))
        }
        Moved::Refused(reasons) => Err(Problem::refused(reasons)),
        Moved::Locked => Err(Problem::busy()),
    }
}

fn different_request() -> Problem {
    let detail = "another request was carried out under this id; compare every field with what was sent first, also actor; only a new \
                  use takes a new id";
    Problem::new(DIFFERENT_REQUEST, detail)
}

fn unknown(id: Uuid) -> Problem {
    Problem::new(NOT_FOUND, format!("there is no redemption {id}"))
}

/// Read a redemption
#[utoipa::path(
    get, path = "/v1/redemptions/{id}", tag = "redemption", operation_id = "show_redemption", security(("key" = ["redeem"])),
    params(("id" = Uuid, Path, description = "The id of the redemption")),
    responses(
        (status = 200, description = "The redemption", body = ref("#/components/schemas/RedemptionDocument")),
        (status = 404, description = "There is no such redemption"),
    )
)]
async fn show(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Redeem>,
    InPath(id): InPath<Uuid>,
) -> Result<Json<RedemptionDocument>, Problem> {
    Ok(Json((&find(&api, id).await?).into()))
}

/// # Errors
/// `not-found` if there is no such redemption.
pub(crate) async fn find(api: &Api, id: Uuid) -> Result<Redemption, Problem> {
    api.store.find_redemption(id).await?.ok_or_else(|| unknown(id))
}

/// Which redemptions are listed.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Listed {
    /// An identity; an e-mail address as `email:` and base64url.
    identity: Option<String>,
    /// The shop's reference of an order.
    order: Option<String>,
    /// The name of a campaign.
    campaign: Option<String>,
    /// The maximum number of items.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
    /// `next` of the page before.
    cursor: Option<String>,
}

/// List the redemptions of an identity, an order or a campaign, newest first
#[utoipa::path(
    get, path = "/v1/redemptions", tag = "redemption", operation_id = "list_redemptions", security(("key" = ["redeem"])), params(Listed),
    responses(
        (status = 200, description = "A page", body = ref("#/components/schemas/PageOfRedemptions")),
        (status = 404, description = "There is no such campaign"),
    )
)]
async fn list(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Redeem>,
    InQuery(listed): InQuery<Listed>,
) -> Result<Json<Page<RedemptionDocument>>, Problem> {
    let Listed { identity, order, campaign, limit: most, cursor } = listed;
    if identity.is_none() && order.is_none() && campaign.is_none() {
        return Err(Problem::invalid_field("query", "send identity, order or campaign"));
    }
    let (most, before) = (limit(most)?, place::<(DateTime<Utc>, Uuid)>(cursor.as_deref())?);
    let identity = identity.as_deref().map(from_url).transpose()?;
    let campaign_no = match campaign {
        Some(name) => Some(api.campaign(&name).await?.no),
        None => None,
    };
    // With one more, the page knows whether another one follows.
    let filter = RedemptionFilter { code: None, identity, order, campaign_no, before, limit: most + 1 };
    let found = api.store.list_redemptions(&filter).await?;
    let page = Page::cut(found, most, |last| (last.held_at, last.id));
    Ok(Json(page.map(|redemption| (&redemption).into())))
}

/// An answer in a batch.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum BatchAnswer {
    Granted(Box<RedemptionDocument>),
    Problem(Problem),
}

/// The answers of a batch, in the order of its requests.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct BatchAnswers {
    pub items: Vec<BatchAnswer>,
}

/// Use many codes, each as by itself
#[utoipa::path(
    post, path = "/v1/redemptions:batch", tag = "redemption", security(("key" = ["redeem"])),
    request_body(content = ref("#/components/schemas/BatchRequest"), content_type = "application/json"),
    responses((status = 200, description = "An answer for each request", body = ref("#/components/schemas/BatchAnswers")))
)]
async fn redeem_batch(
    State(api): State<Arc<Api>>,
    caller: Allowed<Redeem>,
    body: JsonBody,
) -> Result<Json<BatchAnswers>, Problem> {
    let items = read_batch(body.0).map_err(|problem| Problem::invalid([problem]))?;
    let answers = items.into_iter().map(|item| answer(&api, &caller, item));
    Ok(Json(BatchAnswers { items: join_all(answers).await }))
}

async fn answer(api: &Api, caller: &Allowed<Redeem>, item: Value) -> BatchAnswer {
    let redeemed = async {
        let (id, request) = read_item(item)?;
        use_code(api, caller, id, &request).await
    };
    match redeemed.await {
        Ok((redemption, _is_new)) => BatchAnswer::Granted(Box::new((&*redemption).into())),
        Err(problem) => BatchAnswer::Problem(problem),
    }
}

fn read_batch(body: Value) -> Result<Vec<Value>, FieldProblem> {
    let Value::Object(mut fields) = body else {
        return Err(FieldProblem::new("", "an object with items is expected"));
    };
    match fields.remove("items") {
        Some(Value::Array(items)) if fields.is_empty() && (1..=BATCH_MAX).contains(&items.len()) => Ok(items),
        _ => Err(FieldProblem::new("/items", format!("send 1 to {BATCH_MAX} requests in items, and no other field"))),
    }
}

/// Separates the id of a request from the rest.
fn read_item(item: Value) -> Result<(Uuid, Value), Problem> {
    let Value::Object(mut fields) = item else {
        return Err(Problem::invalid_field("", "an object with id and code is expected"));
    };
    let id = fields.remove("id").and_then(|id| id.as_str().and_then(|id| id.parse().ok()));
    let id = id.ok_or_else(|| Problem::invalid_field("/id", "send a UUID that you choose"))?;
    Ok((id, Value::Object(fields)))
}
