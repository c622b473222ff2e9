//! The page of a campaign.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{TimeDelta, Utc};
use codemint_codes::job::record::Job;
use codemint_offers::access::role::Permission;
use codemint_offers::campaign::definition::{Definition, Kind, Purpose};
use codemint_offers::campaign::words::describe;
use codemint_offers::link::target::Origin;
use codemint_offers::report::chart::Series;
use codemint_offers::report::figures::Subject;
use codemint_store::campaigns::definitions::Campaign;
use codemint_store::figures::report::ReportFilter;
use codemint_store::records::reports::JobFilter;
use serde::Deserialize;
use uuid::Uuid;

use crate::api::body::{InPath, InQuery};
use crate::api::campaigns::switch;
use crate::api::links::{LinkDocument, link_of};
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::chart;
use crate::console::campaigns::labels::{Badge, encoded, issues_codes, kind_word, path_of, status_badge};
use crate::console::campaigns::preview::segments_warning;
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::jobs::progress::{Progress, title};
use crate::console::page::{page, with_picture};
use crate::console::posted::Posted;
use crate::console::shown::{counted, money, number};
use crate::console::visitor::{EditCampaigns, May, NoPage, Permit, ViewCampaigns, go_to};

/// The number of days of the chart.
const CHART_DAYS: i64 = 30;
/// The number of jobs that are shown.
const JOBS: u32 = 5;

const NOTICES: [(&str, &str); 6] = [
    ("saved", "The campaign is saved."),
    ("on", "The campaign is on."),
    ("off", "The campaign is off: from now on, no code of it is redeemed."),
    ("ordered", "The codes are ordered."),
    ("listed", "The list was read, and the codes are ordered."),
    ("nothing", "The list was read: everybody on it has a code already."),
];

#[derive(Debug, Template)]
#[template(path = "console/campaigns/one.html")]
struct CampaignPage {
    frame: Frame,
    path: String,
    name: String,
    title: String,
    version: u32,
    kind: &'static str,
    status: Badge,
    is_on: bool,
    is_public: bool,
    is_restricted: bool,
    /// True if there are referrals that the person may see.
    has_referrals: bool,
    words: Vec<String>,
    warning: Option<String>,
    figures: Vec<Figure>,
    /// SVG; none without redemptions.
    chart: Option<String>,
    chart_text: String,
    offer_text: Option<String>,
    picture: Option<String>,
    link: Result<LinkDocument, String>,
    jobs: Vec<JobRow>,
    /// The newest job that has not ended, with its path.
    unfinished: Option<(String, Progress)>,
    encoded_name: String,
    may_edit: bool,
    may_order: bool,
    form: FormView,
    /// The id of the next order: sending the form twice orders once.
    new_job_id: Uuid,
}

#[derive(Debug)]
struct Figure {
    name: &'static str,
    /// A count, or an amount in each currency.
    values: Vec<String>,
    is_money: bool,
    /// What it is measured by, or includes.
    note: String,
}

#[derive(Debug)]
struct JobRow {
    path: String,
    title: String,
    codes: String,
    state: &'static str,
}

#[derive(Debug, Deserialize)]
struct OneQuery {
    done: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/campaigns/{name}", get(show))
        .route("/campaigns/{name}/on", post(switch_on))
        .route("/campaigns/{name}/off", post(switch_off))
}

async fn show(
    State(api): State<Arc<Api>>,
    by: May<ViewCampaigns>,
    InPath(name): InPath<String>,
    InQuery(query): InQuery<OneQuery>,
) -> Result<Response, NoPage> {
    let campaign = api.campaign(&name).await?;
    let frame = by.frame("campaigns").with_notice(query.done.as_deref(), &NOTICES);
    Ok(page_of(&api, &by, frame, campaign, FormView::default()).await?)
}

/// Returns the page of a campaign, with the form of an order that was refused.
///
/// # Errors
/// If the store cannot be read.
pub async fn page_of<P: Permit>(
    api: &Api,
    by: &May<P>,
    frame: Frame,
    campaign: Campaign,
    form: FormView,
) -> Result<Response, Problem> {
    let definition = &campaign.definition;
    let series = read_series(api, &campaign).await?;
    let jobs = JobFilter { campaign: Some(definition.name.clone()), limit: JOBS, ..JobFilter::default() };
    let jobs = api.store.list_jobs(&jobs).await?;
    let unfinished = jobs.iter().find(|job| !job.state.is_final());
    let uses: i64 = series.days.iter().map(|(_, redeemed)| redeemed).sum();
    let picture = definition.offer.image_url.clone();
    let template = CampaignPage {
        frame,
        path: path_of(&definition.name),
        encoded_name: encoded(&definition.name),
        name: definition.name.clone(),
        title: definition.title.clone(),
        version: campaign.version,
        kind: kind_word(definition.kind),
        status: status_badge(campaign.status()),
        is_on: definition.active,
        is_public: definition.kind == Kind::Public,
        is_restricted: definition.kind == Kind::Restricted,
        has_referrals: definition.purpose == Purpose::Referral && by.permits(Permission::ViewReferrals),
        words: describe(definition, by.permits(Permission::ReadCodes)),
        warning: segments_warning(api, definition).await?,
        figures: figures(&campaign),
        chart: (uses > 0).then(|| chart::svg(&series)),
        chart_text: format!(
            "{} in the last {CHART_DAYS} days, at most {} on one day",
            counted(uses.unsigned_abs(), "redemption"),
            number(series.maximum().unsigned_abs())
        ),
        offer_text: definition.offer.text.clone(),
        picture: picture.clone(),
        link: link_shown(api, definition),
        jobs: jobs.iter().map(job_row).collect(),
        unfinished: unfinished.map(|job| (path_of_job(job), Progress::of(api, job))),
        may_edit: by.permits(Permission::EditCampaigns),
        may_order: by.permits(Permission::OrderCodes),
        form,
        new_job_id: Uuid::now_v7(),
    };
    let response = page(&template)?;
    Ok(match picture {
        Some(url) => with_picture(response, &url),
        None => response,
    })
}

fn link_shown(api: &Api, definition: &Definition) -> Result<LinkDocument, String> {
    link_of(api, definition, &Origin::default()).map_err(|problem| problem.document().detail.clone())
}

/// Reads the redemptions of the last days, in the campaign's zone.
async fn read_series(api: &Api, campaign: &Campaign) -> Result<Series, Problem> {
    let to = Utc::now().with_timezone(&campaign.definition.zone).date_naive();
    let from = to - TimeDelta::days(CHART_DAYS - 1);
    let filter =
        ReportFilter { subject: Subject::Days, from: Some(from), to: Some(to), campaign_no: Some(campaign.no) };
    let rows = api.store.report(&filter).await?.unwrap_or_default();
    Ok(Series::of(&rows, Some(from), Some(to)))
}

fn figures(campaign: &Campaign) -> Vec<Figure> {
    let (counts, limits) = (&campaign.counts, &campaign.definition.limits);
    let of = |limit: u64| if limit > 0 { format!("of {}", number(limit)) } else { String::new() };
    let count = |name, count: u64, note| Figure { name, values: vec![number(count)], is_money: false, note };
    let mut figures = vec![count("Codes", counts.codes, String::new())];
    if issues_codes(&campaign.definition) {
        figures.push(count("Issued", counts.issued, of(limits.issued)));
    }
    let uses = limits.redeemed.max(if campaign.definition.kind == Kind::Public { limits.per_code } else { 0 });
    figures.push(count("Redeemed", counts.redeemed, of(uses)));
    if counts.held > 0 {
        figures.push(count("Held", counts.held, "wait for the payment".to_owned()));
    }
    figures.extend(discounts(campaign));
    figures
}

/// Returns what was taken off, held redemptions included, as limits count it.
fn discounts(campaign: &Campaign) -> Option<Figure> {
    const HELD: &str = "held ones included";
    let (counts, budget) = (&campaign.counts, campaign.definition.limits.budget);
    let (values, note) = match budget {
        Some(budget) => {
            let currency = budget.currency.code();
            (vec![money(counts.discount, currency)], format!("of {}, {HELD}", money(budget.amount, currency)))
        }
        None => {
            let given = counts.discounts.iter();
            (given.map(|given| money(given.amount, given.currency.code())).collect(), HELD.to_owned())
        }
    };
    (!values.is_empty()).then_some(Figure { name: "Discounts", values, is_money: true, note })
}

fn path_of_job(job: &Job) -> String {
    format!("/jobs/{}", job.id)
}

fn job_row(job: &Job) -> JobRow {
    JobRow {
        path: path_of_job(job),
        title: title(job),
        codes: format!("{} of {}", number(job.minted), number(job.count)),
        state: job.state.into_str(),
    }
}

async fn switch_on(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    Posted { .. }: Posted<EditCampaigns>,
) -> Result<Response, NoPage> {
    switch(&api, &name, true).await?;
    Ok(go_to(&format!("{}?done=on", path_of(&name))))
}

async fn switch_off(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    Posted { .. }: Posted<EditCampaigns>,
) -> Result<Response, NoPage> {
    switch(&api, &name, false).await?;
    Ok(go_to(&format!("{}?done=off", path_of(&name))))
}
