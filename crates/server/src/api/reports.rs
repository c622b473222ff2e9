//! Reports: figures by campaign, affiliate, source, advertisement or day.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::NaiveDate;
use codemint_offers::report::chart::{CHART_DAYS_MAX, Series};
use codemint_offers::report::document::ReportRow;
use codemint_offers::report::figures::Subject;
use codemint_store::figures::report::{ReportFilter, SUMS_MAX};
use serde::Deserialize;
use strum::VariantNames;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::access::{Allowed, Report};
use crate::api::body::{InPath, InQuery};
use crate::api::paging::{Page, limit, place};
use crate::api::problem::{NOT_FOUND, Problem};
use crate::api::service::Api;
use crate::{chart, report_csv};

pub(super) fn routes() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::new().routes(routes!(report))
}

/// What a report is about, and how it is written.
#[derive(Clone, Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct ReportParameters {
    /// The first day, such as 2027-03-01, in the zone of each campaign.
    from: Option<String>,
    /// The last day.
    to: Option<String>,
    /// Only facts of this campaign.
    campaign: Option<String>,
    /// json, which is the default, csv, or for days svg: a chart of the redemptions.
    format: Option<String>,
    /// The maximum number of items of JSON; CSV has all rows.
    #[param(minimum = 1, maximum = 500, default = 100)]
    limit: Option<u32>,
    /// Where the page begins: `next` of the page before.
    cursor: Option<String>,
}

/// Read figures by subject: what was issued, clicked, redeemed and rolled back, and the money
///
/// A redemption counts on the day on which it was made, in its campaign's zone. A row has the subject's name as `key`, which is empty where
/// none was named. As CSV, a subject with several currencies has a line for each.
#[utoipa::path(
    get, path = "/v1/reports/{subject}", tag = "reports", operation_id = "read_report", security(("key" = ["report"])),
    params(("subject" = String, Path, description = "campaigns, affiliates, sources, ads or days"), ReportParameters),
    responses(
        (status = 200, description = "A page, or all rows", content(
            (ref("#/components/schemas/PageOfReport") = "application/json"), (String = "text/csv"), (String = "image/svg+xml"),
        )),
        (status = 404, description = "There is no such subject, or no such campaign"),
    )
)]
async fn report(
    State(api): State<Arc<Api>>,
    _caller: Allowed<Report>,
    InPath(subject): InPath<String>,
    InQuery(parameters): InQuery<ReportParameters>,
) -> Result<Response, Problem> {
    let subject: Subject = subject
        .parse()
        .map_err(|_unknown| Problem::new(NOT_FOUND, format!("reports are about {}", Subject::VARIANTS.join(", "))))?;
    let format = parameters.format.as_deref().unwrap_or("json");
    let is_known = ["json", "csv"].contains(&format) || format == "svg" && subject == Subject::Days;
    if !is_known {
        return Err(Problem::invalid_field("format", "write json or csv, or svg for days"));
    }
    let (from, to) = (day("from", parameters.from.as_deref())?, day("to", parameters.to.as_deref())?);
    if let (Some(from), Some(to)) = (from, to)
        && (to < from || format == "svg" && (to - from).num_days() >= CHART_DAYS_MAX)
    {
        let advice =
            format!("the last day is on or after the first one, and a chart has at most {CHART_DAYS_MAX} days");
        return Err(Problem::invalid_field("to", advice));
    }
    let (most, after) = (limit(parameters.limit)?, place::<String>(parameters.cursor.as_deref())?);
    let campaign_no = match &parameters.campaign {
        Some(name) => Some(api.campaign(name).await?.no),
        None => None,
    };
    let filter = ReportFilter { subject, from, to, campaign_no };
    let mut rows = api.store.report(&filter).await?.map_err(|_too_many| {
        let advice = format!("the report is made of more than {SUMS_MAX} sums; name a campaign, or fewer days");
        Problem::invalid_field("from", advice)
    })?;
    Ok(match format {
        "csv" => ([(CONTENT_TYPE, "text/csv; charset=utf-8")], csv(&rows)?).into_response(),
        "svg" => ([(CONTENT_TYPE, "image/svg+xml")], chart::svg(&Series::of(&rows, from, to))).into_response(),
        _ => {
            if let Some(after) = after {
                rows.retain(|row| row.key > after);
            }
            Json(Page::cut(rows, most, |last| last.key.clone())).into_response()
        }
    })
}

fn day(field: &str, text: Option<&str>) -> Result<Option<NaiveDate>, Problem> {
    let day = text.map(|text| NaiveDate::parse_from_str(text, "%Y-%m-%d")).transpose();
    day.map_err(|_not_a_day| Problem::invalid_field(field, "write a day such as 2027-03-01"))
}

/// Returns all rows as CSV.
fn csv(rows: &[ReportRow]) -> Result<Vec<u8>, Problem> {
    report_csv::csv(rows).map_err(|error| Problem::internal(error.to_string()))
}
