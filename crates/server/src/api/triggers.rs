//! Triggers: what happened at the shop, for which campaigns issue codes.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use codemint_campaigns::triggering::{TriggerError, TriggerOutcome};
use codemint_codes::text::printable;
use codemint_offers::read::trigger::{IdFrom, read_trigger};
use codemint_offers::trigger::document::TriggerDocument;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::access::{Allowed, Issue};
use crate::api::body::{InPath, JsonBody};
use crate::api::problem::{DIFFERENT_REQUEST, NOT_FOUND, Problem};
use crate::api::service::Api;

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(put, show))
}

/// Handle a trigger: issue the codes of the campaigns that it concerns
///
/// Campaigns whose use cases have the type of the trigger issue a code, skip the trigger with a reason, or wait for days after the
/// deactivation that it states. The same trigger again changes nothing, and answers what became of it.
#[utoipa::path(
    put, path = "/v1/triggers/{id}", tag = "issuing", operation_id = "handle_trigger", security(("key" = ["issue"])),
    params(("id" = String, Path, description = "The id of the trigger, chosen by the caller, such as a UUID")),
    request_body(content = ref("#/components/schemas/TriggerRequest"), content_type = "application/json"),
    responses(
        (status = 200, description = "What became of the trigger so far", body = ref("#/components/schemas/TriggerDocument")),
        (status = 409, description = "Another trigger has this id"),
    )
)]
async fn put(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Issue>,
    InPath(id): InPath<String>,
    body: JsonBody,
) -> Result<Json<TriggerDocument>, Problem> {
    let trigger = body.read(|document| read_trigger(document, IdFrom::Path(&id)))?;
    match api.triggers.handle(trigger).await? {
        TriggerOutcome::Handled { trigger, .. } => Ok(Json((&trigger).into())),
        TriggerOutcome::DifferentRequest => {
            Err(Problem::new(DIFFERENT_REQUEST, "another trigger has this id; send new triggers under new ids"))
        }
    }
}

/// Read what became of a trigger
#[utoipa::path(
    get, path = "/v1/triggers/{id}", tag = "issuing", operation_id = "show_trigger", security(("key" = ["issue"])),
    params(("id" = String, Path, description = "The id of the trigger")),
    responses(
        (status = 200, description = "What became of the trigger so far", body = ref("#/components/schemas/TriggerDocument")),
        (status = 404, description = "There is no such trigger"),
    )
)]
async fn show(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Issue>,
    InPath(id): InPath<String>,
) -> Result<Json<TriggerDocument>, Problem> {
    let found = api.store.find_trigger(&id).await?;
    let missing = || Problem::new(NOT_FOUND, format!("there is no trigger {}", printable(&id)));
    Ok(Json((&found.ok_or_else(missing)?).into()))
}

impl From<TriggerError> for Problem {
    fn from(error: TriggerError) -> Self {
        match error {
            TriggerError::Busy => Self::busy(),
            TriggerError::Store(error) => (&*error).into(),
        }
    }
}
