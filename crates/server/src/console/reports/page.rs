//! Reports: figures by subject, a chart of the redemptions, and the same as CSV.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::{Days, Utc};
use codemint_offers::report::chart::{CHART_DAYS_MAX, Series};
use codemint_offers::report::document::ReportRow;
use codemint_offers::report::figures::{Figures, Subject};
use serde::Deserialize;
use url::form_urlencoded;

use crate::api::body::InQuery;
use crate::api::paging::{Page, place};
use crate::api::problem::Problem;
use crate::api::reports::{self, Asked, ReadReport};
use crate::api::service::Api;
use crate::console::campaigns::labels::path_of;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::reports::day_chart::DayChart;
use crate::console::shown::{money, signed};
use crate::console::visitor::{May, NoPage, ViewReports};

const PAGE: u32 = 50;
/// The days that are shown unless others are chosen.
const LATEST_DAYS: u64 = 30;

#[derive(Debug, Template)]
#[template(path = "console/reports/page.html")]
struct ReportPage {
    frame: Frame,
    query: ReportQuery,
    /// The heading of the first column.
    subject: &'static str,
    problem: Option<String>,
    total: Row,
    rows: Vec<Row>,
    chart: Option<DayChart>,
    /// The query of the CSV and, without the place, of all pages.
    asked: String,
    next: Option<String>,
}

/// The figures of a subject, ready to be shown.
#[derive(Debug)]
struct Row {
    /// Empty where redemptions or clicks named none.
    key: String,
    path: Option<String>,
    issued: String,
    clicks: String,
    redeemed: String,
    rolled_back: String,
    conversion: String,
    discount: Vec<String>,
    revenue: Vec<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct ReportQuery {
    #[serde(default)]
    report: String,
    from: Option<String>,
    to: Option<String>,
    #[serde(default)]
    campaign: String,
    cursor: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/reports", get(show)).route("/reports/csv", get(csv))
}

async fn show(
    State(api): State<Arc<Api>>,
    by: May<ViewReports>,
    InQuery(query): InQuery<ReportQuery>,
) -> Result<Response, NoPage> {
    let query = query.filled();
    let subject = query.subject();
    let after = place::<String>(query.cursor.as_deref())?;
    let mut shown = ReportPage {
        frame: by.frame("reports"),
        subject: heading(subject),
        problem: None,
        total: Row::of(subject, &ReportRow::new(String::new(), &Figures::default())),
        rows: Vec::new(),
        chart: None,
        asked: query.encoded(),
        next: None,
        query: query.clone(),
    };
    let report = match reports::read(&api, subject, &query.asked()).await {
        Ok(report) => report,
        Err(problem) if problem.status().is_client_error() => {
            let document = problem.document();
            let detail = document.errors.first().map_or(&document.detail, |error| &error.message);
            shown.problem = Some(detail.clone());
            return Ok(invalid(&shown)?);
        }
        Err(problem) => return Err(problem.into()),
    };
    shown.chart = chart(&api, subject, &query, &report).await?;
    let total = ReportRow::total(&report.rows);
    shown.total = Row::of(subject, &ReportRow::new("All".to_owned(), &total));
    let mut rows = report.rows;
    if let Some(after) = after {
        rows.retain(|row| row.key > after);
    }
    let Page { items, next } = Page::cut(rows, PAGE, |last| last.key.clone());
    shown.rows = items.iter().map(|row| Row::of(subject, row)).collect();
    shown.next = next.map(|cursor| format!("{}&cursor={cursor}", shown.asked));
    Ok(page(&shown)?)
}

async fn csv(
    State(api): State<Arc<Api>>,
    _by: May<ViewReports>,
    InQuery(query): InQuery<ReportQuery>,
) -> Result<Response, NoPage> {
    let subject = query.subject();
    let report = reports::read(&api, subject, &query.asked()).await?;
    let name: &'static str = subject.into();
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"report-{name}.csv\""));
    let mut response = ([(CONTENT_TYPE, "text/csv; charset=utf-8")], report.csv()?).into_response();
    response.headers_mut().extend(disposition.ok().map(|disposition| (CONTENT_DISPOSITION, disposition)));
    Ok(response)
}

/// Returns the chart of a report; `None` if it would have too many days, or nothing was redeemed.
async fn chart(
    api: &Api,
    subject: Subject,
    query: &ReportQuery,
    report: &ReadReport,
) -> Result<Option<DayChart>, Problem> {
    if let (Some(from), Some(to)) = (report.from, report.to)
        && (to - from).num_days() >= CHART_DAYS_MAX
    {
        return Ok(None);
    }
    let today = Utc::now().date_naive();
    let series = |rows: &[ReportRow]| {
        let last = rows.last().and_then(|row| row.key.parse().ok());
        // The chart goes on to today, which comes earlier in some zones than in UTC.
        Series::of(rows, report.from, report.to.or(last.map(|last| today.max(last))))
    };
    let series = match subject {
        Subject::Days => series(&report.rows),
        _ => series(&reports::read(api, Subject::Days, &query.asked()).await?.rows),
    };
    Ok(DayChart::of(&series))
}

impl ReportQuery {
    /// Returns the query with the latest days, if it names none at all.
    fn filled(self) -> Self {
        if self.from.is_some() || self.to.is_some() {
            return self;
        }
        let first = Utc::now().date_naive().checked_sub_days(Days::new(LATEST_DAYS - 1));
        Self { from: first.map(|first| first.to_string()), ..self }
    }

    fn subject(&self) -> Subject {
        self.report.parse().unwrap_or(Subject::Campaigns)
    }

    fn asked(&self) -> Asked<'_> {
        let filled = |text: &'_ str| !text.trim().is_empty();
        Asked {
            from: self.from.as_deref().filter(|text| filled(text)),
            to: self.to.as_deref().filter(|text| filled(text)),
            campaign: Some(self.campaign.trim()).filter(|name| filled(name)),
        }
    }

    fn first_day(&self) -> &str {
        self.from.as_deref().unwrap_or_default()
    }

    fn last_day(&self) -> &str {
        self.to.as_deref().unwrap_or_default()
    }

    fn encoded(&self) -> String {
        let report: &'static str = self.subject().into();
        let pairs =
            [("report", report), ("from", self.first_day()), ("to", self.last_day()), ("campaign", &self.campaign)];
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    }
}

impl Row {
    fn of(subject: Subject, row: &ReportRow) -> Self {
        let amounts = |amount: fn(&codemint_offers::report::document::ReportAmounts) -> i64| {
            row.amounts.iter().map(|amounts| money(amount(amounts), &amounts.currency)).collect()
        };
        Self {
            path: (subject == Subject::Campaigns && !row.key.is_empty()).then(|| path_of(&row.key)),
            key: row.key.clone(),
            issued: signed(row.issued),
            clicks: signed(row.clicks),
            redeemed: signed(row.redeemed),
            rolled_back: signed(row.rolled_back),
            conversion: row.conversion.map(|share| format!("{:.2} %", share * 100.0)).unwrap_or_default(),
            discount: amounts(|amounts| amounts.discount),
            revenue: amounts(|amounts| amounts.revenue),
        }
    }
}

fn heading(subject: Subject) -> &'static str {
    match subject {
        Subject::Campaigns => "Campaign",
        Subject::Affiliates => "Affiliate",
        Subject::Sources => "Source",
        Subject::Ads => "Advertisement",
        Subject::Days => "Day",
    }
}
