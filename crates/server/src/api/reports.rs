//! Reports: figures by campaign, affiliate, source, advertisement or day.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::NaiveDate;
use codemint_offers::report::chart::{CHART_DAYS_MAX, Series};
use codemint_offers::report::day::read_day;
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
    let (most, after) = (limit(parameters.limit)?, place::<String>(parameters.cursor.as_deref())?);
    let ReportParameters { from, to, campaign, .. } = &parameters;
    let asked = Asked { from: from.as_deref(), to: to.as_deref(), campaign: campaign.as_deref() };
    if format == "svg" {
        asked.check_chart()?;
    }
    let ReadReport { mut rows, from, to } = read(&api, subject, &asked).await?;
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

/// What a report is about, as somebody wrote it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked<'a> {
    pub from: Option<&'a str>,
    pub to: Option<&'a str>,
    pub campaign: Option<&'a str>,
}

/// All rows of a report, with the days that it is about.
#[derive(Clone, Debug)]
pub(crate) struct ReadReport {
    pub rows: Vec<ReportRow>,
    pub from: Option<NaiveDate>,
    pub to: Option<NaiveDate>,
}

impl Asked<'_> {
    /// # Errors
    /// `invalid` with the field that is wrong.
    fn days(&self) -> Result<(Option<NaiveDate>, Option<NaiveDate>), Problem> {
        let (from, to) = (day("from", self.from)?, day("to", self.to)?);
        match (from, to) {
            (Some(first), Some(last)) if last < first => Err(wrong_days()),
            _ => Ok((from, to)),
        }
    }

    /// # Errors
    /// `invalid` if a chart would have too many days.
    fn check_chart(&self) -> Result<(), Problem> {
        match self.days()? {
            (Some(first), Some(last)) if (last - first).num_days() >= CHART_DAYS_MAX => Err(wrong_days()),
            _ => Ok(()),
        }
    }
}

/// Reads a report.
///
/// # Errors
/// `invalid` with the field that is wrong; `not-found` if there is no such campaign.
pub(crate) async fn read(api: &Api, subject: Subject, asked: &Asked<'_>) -> Result<ReadReport, Problem> {
    let (from, to) = asked.days()?;
    let campaign_no = match asked.campaign {
        Some(name) => Some(api.campaign(name).await?.no),
        None => None,
    };
    let filter = ReportFilter { subject, from, to, campaign_no };
    let rows = api.store.report(&filter).await?.map_err(|_too_many| {
        let advice = format!("the report is made of more than {SUMS_MAX} sums; name a campaign, or fewer days");
        Problem::invalid_field("from", advice)
    })?;
    Ok(ReadReport { rows, from, to })
}

impl ReadReport {
    /// Returns all rows as CSV.
    pub fn csv(&self) -> Result<Vec<u8>, Problem> {
        csv(&self.rows)
    }
}

fn wrong_days() -> Problem {
    let advice = format!("the last day is on or after the first one, and a chart has at most {CHART_DAYS_MAX} days");
    Problem::invalid_field("to", advice)
}

fn day(field: &str, text: Option<&str>) -> Result<Option<NaiveDate>, Problem> {
    text.map(read_day).transpose().map_err(|advice| Problem::invalid_field(field, advice))
}

/// Returns all rows as CSV.
fn csv(rows: &[ReportRow]) -> Result<Vec<u8>, Problem> {
    report_csv::csv(rows).map_err(|error| Problem::internal(error.to_string()))
}
