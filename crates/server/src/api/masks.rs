//! Masks, explained before codes are ordered.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use codemint_codes::explanation::{ExplainError, Explanation};
use codemint_codes::mask::MASK_TEXT_MAX;
use codemint_store::admission::entropy::fresh_key;
use schemars::JsonSchema;
use serde::Deserialize;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::access::{Allowed, Manage};
use crate::api::body::JsonBody;
use crate::api::problem::Problem;
use crate::api::service::Api;

/// The number of samples.
const SAMPLES: u32 = 5;

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(explain))
}

/// A mask to explain.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExplainRequest {
    #[schemars(length(min = 1, max = MASK_TEXT_MAX))]
    pub mask: String,
    /// A number of codes, to find out whether it is feasible.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub count: Option<i64>,
}

/// Find out how many codes a mask has, with samples, and whether a number of codes is feasible
#[utoipa::path(
    post, path = "/v1/masks/explain", tag = "codes", operation_id = "explain_mask", security(("key" = ["manage"])),
    request_body(content = ref("#/components/schemas/ExplainRequest"), content_type = "application/json"),
    responses((status = 200, description = "The explanation", body = ref("#/components/schemas/Explanation")))
)]
async fn explain(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Manage>,
    JsonBody(body): JsonBody,
) -> Result<Json<Explanation>, Problem> {
    let request: ExplainRequest = serde_json::from_value(body).map_err(|_values_are_not_repeated| {
        Problem::invalid_field("", "send mask, a text; and, if you like, count, a whole number")
    })?;
    let key = fresh_key().map_err(|error| Problem::internal(error.to_string()))?;
    let (policy, limits) = (&api.ordering.policy, api.ordering.limits);
    let explained = Explanation::new(&request.mask, policy, request.count.map(Into::into), limits, (&key, SAMPLES));
    Ok(Json(explained.map_err(|error| match error {
        ExplainError::Request(error) => error.into(),
        ExplainError::Spreadsheet(error) => Problem::internal(error.to_string()),
    })?))
}
