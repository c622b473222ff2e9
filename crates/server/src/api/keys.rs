//! API keys: created, listed and revoked.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use codemint_offers::access::document::{CreatedKeyDocument, KeyDocument};

use codemint_offers::access::record::{KEY_NAME_LENGTH_MAX, KEYS_MAX, check_key_expiry, check_key_name};
use codemint_offers::access::scope::{Scope, Scopes};
use codemint_offers::problem::Problem as FieldProblem;
use codemint_store::access::keys::{CreateKey, NewKey, RevokeKey};
use codemint_store::admission::entropy::fresh_api_key;
use schemars::JsonSchema;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::access::{Admin, Allowed};
use crate::api::body::{InPath, InQuery, JsonBody};
use crate::api::paging::{Page, Paging, limit, place};
use crate::api::problem::{Kind, NOT_FOUND, Problem, refusal};
use crate::api::service::Api;

const TOO_MANY: Kind = refusal("too-many-keys", "There are too many keys");

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(show, revoke))
}

/// A key to create.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKeyRequest {
    /// What the key permits.
    #[schemars(with = "Vec<Scope>", length(min = 1))]
    pub scopes: Vec<String>,
    /// Who uses it, for people.
    #[serde(default)]
    #[schemars(length(min = 1, max = KEY_NAME_LENGTH_MAX))]
    pub name: Option<String>,
    /// Null for a key that does not expire.
    #[serde(default)]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Create a key; the answer is the only one that shows it
#[utoipa::path(
    post, path = "/v1/keys", tag = "keys", operation_id = "create_key", security(("key" = ["admin"])),
    request_body(content = ref("#/components/schemas/NewKeyRequest"), content_type = "application/json"),
    responses((status = 201, description = "The key", body = ref("#/components/schemas/CreatedKeyDocument")))
)]
async fn create(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Admin>,
    JsonBody(body): JsonBody,
) -> Result<(StatusCode, Json<CreatedKeyDocument>), Problem> {
    let request: NewKeyRequest = serde_json::from_value(body).map_err(|_values_are_not_repeated| {
        let advice = "send scopes, a list of redeem, issue, manage, report, explain and admin; and, if you like, name and expires_at (RFC 3339)";
        Problem::invalid_field("", advice)
    })?;
    Ok((StatusCode::CREATED, Json(make(&api, request).await?)))
}

/// Creates a key.
///
/// # Errors
/// `invalid` with everything that is wrong; `too-many-keys`.
pub(crate) async fn make(api: &Api, request: NewKeyRequest) -> Result<CreatedKeyDocument, Problem> {
    let NewKeyRequest { scopes, name, expires_at } = request;
    let (scopes, name) = (scopes.join(",").parse::<Scopes>(), name.as_deref().map(check_key_name).transpose());
    let expiry = expires_at.map_or(Ok(()), |expires_at| check_key_expiry(expires_at, Utc::now()));
    let wrong = |field: &str, problem: Option<String>| problem.map(|message| FieldProblem::new(field, message));
    let problems = [
        wrong("/scopes", scopes.as_ref().err().map(ToString::to_string)),
        wrong("/name", name.as_ref().err().map(ToString::to_string)),
        wrong("/expires_at", expiry.err().map(|error| error.to_string())),
    ];
    let (Ok(scopes), Ok(name), true) = (scopes, name, problems.iter().all(Option::is_none)) else {
        return Err(Problem::invalid(problems.into_iter().flatten()));
    };
    let name = name.map(str::to_owned);
    let key = fresh_api_key().map_err(|error| Problem::internal(error.to_string()))?;
    let new = NewKey { id: Uuid::now_v7(), name, scopes, expires_at, digest: key.digest() };
    match api.store.create_key(&new).await? {
        CreateKey::Created(record) => Ok(CreatedKeyDocument::new(&record, &key)),
        CreateKey::TooMany => {
            Err(Problem::new(TOO_MANY, format!("{KEYS_MAX} keys are usable already; revoke those that nobody uses")))
        }
    }
}

/// List keys, newest first
#[utoipa::path(
    get, path = "/v1/keys", tag = "keys", operation_id = "list_keys", security(("key" = ["admin"])), params(Paging),
    responses(
        (status = 200, description = "A page", body = ref("#/components/schemas/PageOfKeys")),
        (status = 404, description = "The key where the page begins does not exist"),
    )
)]
async fn list(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Admin>,
    InQuery(paging): InQuery<Paging>,
) -> Result<Json<Page<KeyDocument>>, Problem> {
    let most = limit(paging.limit)?;
    let after = match place::<Uuid>(paging.cursor.as_deref())? {
        Some(id) => Some(api.store.find_key(id).await?.ok_or_else(|| unknown(id))?),
        None => None,
    };
    let found = api.store.list_keys(after.as_ref(), most + 1).await?;
    let (page, now) = (Page::cut(found, most, |last| last.id), Utc::now());
    Ok(Json(page.map(|record| KeyDocument::new(&record, now))))
}

/// Read a key, without the key itself
#[utoipa::path(
    get, path = "/v1/keys/{id}", tag = "keys", operation_id = "show_key", security(("key" = ["admin"])),
    params(("id" = Uuid, Path, description = "The id of the key")),
    responses(
        (status = 200, description = "The key", body = ref("#/components/schemas/KeyDocument")),
        (status = 404, description = "There is no such key"),
    )
)]
async fn show(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Admin>,
    InPath(id): InPath<Uuid>,
) -> Result<Json<KeyDocument>, Problem> {
    let found = api.store.find_key(id).await?.ok_or_else(|| unknown(id))?;
    Ok(Json(KeyDocument::new(&found, Utc::now())))
}

/// Revoke a key: within a second, no process accepts it
#[utoipa::path(
    delete, path = "/v1/keys/{id}", tag = "keys", operation_id = "revoke_key", security(("key" = ["admin"])),
    params(("id" = Uuid, Path, description = "The id of the key")),
    responses(
        (status = 200, description = "The revoked key", body = ref("#/components/schemas/KeyDocument")),
        (status = 404, description = "There is no such key"),
    )
)]
async fn revoke(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Admin>,
    InPath(id): InPath<Uuid>,
) -> Result<Json<KeyDocument>, Problem> {
    Ok(Json(end(&api, id).await?))
}

/// Revokes a key. It can be repeated.
///
/// # Errors
/// `not-found` if there is no such key.
pub(crate) async fn end(api: &Api, id: Uuid) -> Result<KeyDocument, Problem> {
    match api.store.revoke_key(id).await? {
        RevokeKey::Revoked(record) | RevokeKey::AlreadyRevoked(record) => Ok(KeyDocument::new(&record, Utc::now())),
        RevokeKey::Unknown => Err(unknown(id)),
    }
}

fn unknown(id: Uuid) -> Problem {
    Problem::new(NOT_FOUND, format!("there is no key {id}"))
}
