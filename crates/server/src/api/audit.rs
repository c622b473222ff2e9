//! The audit log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use codemint_codes::wire::audit::{AuditDocument, LATEST, day_or_time};
use codemint_store::records::audit::{Action, AuditFilter};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;
use uuid::Uuid;

use crate::api::access::{Allowed, Report};
use crate::api::body::InQuery;
use crate::api::paging::{Page, limit, place};
use crate::api::problem::Problem;
use crate::api::service::Api;

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(list))
}

/// Which entries are listed.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct AuditParameters {
    /// Only entries at or after this time: a day, or RFC 3339.
    since: Option<String>,
    /// Only entries before this time.
    until: Option<String>,
    /// Only entries about this job.
    job: Option<Uuid>,
    /// Only this action.
    action: Option<String>,
    /// The maximum number of items.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
}

/// List the audit log, oldest first: who did what and when, and its result
#[utoipa::path(
    get, path = "/v1/audit", tag = "reports", operation_id = "list_audit", security(("key" = ["report"])), params(AuditParameters),
    responses((status = 200, description = "A page", body = ref("#/components/schemas/PageOfAudit")))
)]
async fn list(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Report>,
    InQuery(parameters): InQuery<AuditParameters>,
) -> Result<Json<Page<AuditDocument>>, Problem> {
    let AuditParameters { since, until, job, action, limit: most, cursor } = parameters;
    let (most, after_no) = (limit(most)?, place(cursor.as_deref())?.unwrap_or_default());
    let action = action.map(|action| action.parse::<Action>()).transpose();
    let filter = AuditFilter {
        since: time("since", since.as_deref(), DateTime::UNIX_EPOCH)?,
        until: time("until", until.as_deref(), LATEST)?,
        job_id: job,
        action: action.map_err(|advice| Problem::invalid_field("action", advice))?,
        after_no,
        limit: most + 1,
    };
    let Page { items, next } = Page::cut(api.store.list_audit(&filter).await?, most, |last| last.no);
    let items = items.into_iter().map(AuditDocument::try_from).collect::<Result<_, _>>()?;
    Ok(Json(Page { items, next }))
}

fn time(field: &str, text: Option<&str>, otherwise: DateTime<Utc>) -> Result<DateTime<Utc>, Problem> {
    let time = text.map(day_or_time).transpose().map_err(|advice| Problem::invalid_field(field, advice))?;
    Ok(time.unwrap_or(otherwise))
}
