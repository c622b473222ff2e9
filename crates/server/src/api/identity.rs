//! Identities in URLs, and the codes of an identity.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use codemint_codes::identity::check_identity;
use codemint_offers::campaign::status::Status;
use codemint_offers::redemption::document::ShownOffer;
use codemint_offers::redemption::ledger::Remaining;
use schemars::JsonSchema;
use serde::Serialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::access::{Allowed, Redeem};
use crate::api::body::InPath;
use crate::api::problem::Problem;
use crate::api::service::Api;

/// What stands before an e-mail address in base64url, so that no address stands in a URL.
const EMAIL: &str = "email:";

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(own_codes))
}

/// Reads an identity in a URL.
///
/// # Errors
/// `invalid` if it is none, or an e-mail address as it is: addresses in URLs end up in logs.
pub(super) fn from_url(text: &str) -> Result<String, Problem> {
    let wrong = |message: &str| Problem::invalid_field("identity", message);
    let identity = match text.strip_prefix(EMAIL) {
        Some(encoded) => {
            let bytes = URL_SAFE_NO_PAD.decode(encoded.trim_end_matches('=')).ok();
            let address = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
            address.ok_or_else(|| wrong("send an e-mail address as email: and its base64url"))?
        }
        None if text.contains('@') => {
            return Err(wrong("an e-mail address does not belong into a URL; send email: and its base64url"));
        }
        None => text.to_owned(),
    };
    check_identity(&identity).map(str::to_owned).map_err(|error| wrong(&error.to_string()))
}

/// A code that belongs to an identity.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OwnCodeDocument {
    pub code: String,
    /// The name of the campaign.
    pub campaign: String,
    /// The status of the campaign.
    pub status: Status,
    pub offer: ShownOffer,
    /// What remains of the limits of the code and of the campaign.
    pub remaining: Remaining,
    pub issued_at: DateTime<Utc>,
}

/// The codes of an identity, by the names of their campaigns.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OwnCodes {
    pub items: Vec<OwnCodeDocument>,
}

/// List the codes that belong to an identity, with what remains of each
#[utoipa::path(
    get, path = "/v1/identities/{identity}/codes", tag = "redemption", operation_id = "list_own_codes", security(("key" = ["redeem"])),
    params(("identity" = String, Path, description = "An identity; an e-mail address as email: and base64url")),
    responses((status = 200, description = "The codes", body = ref("#/components/schemas/OwnCodes")))
)]
async fn own_codes(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Redeem>,
    InPath(identity): InPath<String>,
) -> Result<Json<OwnCodes>, Problem> {
    let mut items = Vec::new();
    for own in api.store.list_own_codes(&from_url(&identity)?).await? {
        let campaign = api.campaign(&own.campaign).await?;
        items.push(OwnCodeDocument {
            status: campaign.status(),
            offer: (&campaign.definition).into(),
            remaining: own.remaining(&campaign),
            code: own.code,
            campaign: own.campaign,
            issued_at: own.issued_at,
        });
    }
    Ok(Json(OwnCodes { items }))
}
