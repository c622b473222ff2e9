//! One job: its progress, cancelling it, and its codes.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_DISPOSITION, HeaderValue};
use axum::response::Response;
use axum::routing::{get, post};
use chrono_tz::Tz;
use codemint_codes::job::record::Job;
use codemint_codes::job::restriction::RestrictedTo;
use codemint_codes::job::state::State as JobState;
use codemint_codes::text::printable;
use codemint_offers::access::role::Permission;
use serde::Deserialize;
use uuid::Uuid;

use crate::api::body::{InPath, InQuery};
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::api::{job_codes, jobs};
use crate::console::campaigns::labels::path_of;
use crate::console::frame::Frame;
use crate::console::jobs::progress::{Progress, is_part, run_time, title};
use crate::console::page::page;
use crate::console::posted::Posted;
use crate::console::shown::{instant, number};
use crate::console::visitor::{May, NoPage, OrderCodes, ReadCodes, ViewJobs, go_to};

const NOTICES: [(&str, &str); 1] = [("cancelled", "The job is cancelled. The codes minted so far are kept.")];

#[derive(Debug, Template)]
#[template(path = "console/jobs/one.html")]
struct JobPage {
    frame: Frame,
    path: String,
    title: String,
    /// Path and name.
    campaign: Option<(String, String)>,
    progress: Progress,
    facts: Vec<(&'static str, String)>,
    warnings: Vec<String>,
    may_cancel: bool,
    may_download: bool,
}

#[derive(Debug, Deserialize)]
struct JobQuery {
    done: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/jobs/{id}", get(show))
        .route("/jobs/{id}/cancel", post(cancel))
        .route("/jobs/{id}/codes", get(codes))
}

async fn show(
    State(api): State<Arc<Api>>,
    by: May<ViewJobs>,
    InPath(id): InPath<Uuid>,
    InQuery(query): InQuery<JobQuery>,
    headers: HeaderMap,
) -> Result<Response, NoPage> {
    let job = jobs::find(&api, id).await?;
    let progress = Progress::of(&api, &job);
    if is_part(&headers) {
        return Ok(progress.part()?);
    }
    let sees_masks = by.permits(Permission::ReadCodes);
    let template = JobPage {
        frame: by.frame("jobs").with_notice(query.done.as_deref(), &NOTICES),
        path: format!("/jobs/{id}"),
        title: title(&job),
        campaign: job.campaign.as_ref().map(|name| (path_of(name), printable(name))),
        facts: facts(&job, zone_of(&api, &job).await?, sees_masks),
        warnings: if sees_masks { job.warnings() } else { Vec::new() },
        may_cancel: by.permits(Permission::OrderCodes) && !job.state.is_final(),
        may_download: sees_masks && job.state == JobState::Completed,
        progress,
    };
    Ok(page(&template)?)
}

async fn cancel(
    State(api): State<Arc<Api>>,
    InPath(id): InPath<Uuid>,
    Posted { by, .. }: Posted<OrderCodes>,
) -> Result<Response, NoPage> {
    jobs::end(&api, id, &by.caller()).await?;
    Ok(go_to(&format!("/jobs/{id}?done=cancelled")))
}

async fn codes(State(api): State<Arc<Api>>, by: May<ReadCodes>, InPath(id): InPath<Uuid>) -> Result<Response, NoPage> {
    let job = jobs::find(&api, id).await?;
    let mut response = job_codes::csv(&api, job, &by.caller()).await?;
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"codes-{id}.csv\""));
    response.headers_mut().extend(disposition.ok().map(|disposition| (CONTENT_DISPOSITION, disposition)));
    Ok(response)
}

/// Returns the zone of the campaign of a job; UTC without one.
async fn zone_of(api: &Api, job: &Job) -> Result<Tz, Problem> {
    let Some(name) = &job.campaign else { return Ok(Tz::UTC) };
    // A job may name a campaign that exists elsewhere only.
    let campaign = api.store.find_campaign(name).await?;
    Ok(campaign.map_or(Tz::UTC, |campaign| campaign.definition.zone))
}

fn facts(job: &Job, zone: Tz, sees_masks: bool) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let (Some(mask), true) = (job.mask(), sees_masks) {
        facts.push(("Mask", printable(&mask.to_string())));
    }
    if let Some(restricted_to) = &job.options.restricted_to {
        let whose = match restricted_to {
            RestrictedTo::List { .. } => "to the customers of a list, one code each",
            RestrictedTo::Pool => "into the pool, until somebody gets them",
        };
        facts.push(("Codes go", whose.to_owned()));
    }
    facts.push(("Ordered", instant(job.created_at, zone)));
    facts.extend(job.started_at.map(|at| ("Begun", instant(at, zone))));
    facts.extend(job.finished_at.map(|at| ("Ended", instant(at, zone))));
    facts.extend(run_time(job).map(|time| ("Time taken", time)));
    let rejected = job.rejections.total();
    if rejected > 0 {
        facts.push(("Rejected and replaced", number(rejected)));
    }
    if let (Some(error), true) = (&job.error, sees_masks) {
        facts.push(("Error", printable(&error.message)));
    }
    facts.push(("Job", job.id.to_string()));
    facts
}
