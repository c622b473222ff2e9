//! The page of the system, which shows at a glance whether this process can work, and what it does.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use axum::routing::get;
use codemint_codes::job::record::Job;
use codemint_codes::text::printable;
use codemint_store::records::reports::JobFilter;

use crate::admin::health::Missing;
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::frame::Frame;
use crate::console::jobs::progress::is_part;
use crate::console::jobs::rows::Row;
use crate::console::page::page;
use crate::console::system::panels::{Panel, panels};
use crate::console::visitor::{May, NoPage, ViewSystem};

const RUNNING_MAX: u32 = 20;
/// Number of latest jobs among which finished ones are searched.
const LATEST_MAX: u32 = 50;
const ENDED_MAX: usize = 10;

#[derive(Debug, Template)]
#[template(path = "console/system/page.html")]
struct SystemPage {
    frame: Frame,
    version: &'static str,
    now: Now,
}

#[derive(Debug, Template)]
#[template(path = "console/system/now.html")]
struct NowPart {
    now: Now,
}

/// What changes from one moment to the next.
#[derive(Debug)]
struct Now {
    missing: Vec<Missing>,
    /// Empty if this process counts nothing.
    panels: Vec<Panel>,
    running: Vec<Row>,
    ended: Vec<Row>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/system", get(show))
}

async fn show(State(api): State<Arc<Api>>, by: May<ViewSystem>, headers: HeaderMap) -> Result<Response, NoPage> {
    let now = Now::look(&api).await?;
    if is_part(&headers) {
        let mut response = page(&NowPart { now })?;
        response.headers_mut().insert("x-again", HeaderValue::from_static("1"));
        return Ok(response);
    }
    Ok(page(&SystemPage { frame: by.frame("system"), version: env!("CARGO_PKG_VERSION"), now })?)
}

impl Now {
    /// Returns true if a figure is one of this process alone.
    fn counts_here(&self) -> bool {
        self.panels.iter().flat_map(|panel| &panel.figures).any(|figure| figure.name.ends_with(" here"))
    }

    async fn look(api: &Api) -> Result<Self, Problem> {
        let latest = JobFilter { limit: LATEST_MAX, ..JobFilter::default() };
        let (running, latest) = (api.store.list_running(RUNNING_MAX).await?, api.store.list_jobs(&latest).await?);
        let mut ended: Vec<Job> = latest.into_iter().filter(|job| job.state.is_final()).collect();
        ended.sort_by_key(|job| std::cmp::Reverse(job.finished_at));
        ended.truncate(ENDED_MAX);
        let (missing, panels) = match api.health.get() {
            Some(health) => {
                let readiness = health.readiness().await;
                (readiness.missing, panels(&health.metrics.render(), readiness.broker.is_some()))
            }
            None => (Vec::new(), Vec::new()),
        };
        // The page is escaped as HTML, but its text can also mislead: a reason may quote what came from outside.
        let shown = |Missing { what, reason }: Missing| Missing { what, reason: printable(&reason) };
        Ok(Self {
            missing: missing.into_iter().map(shown).collect(),
            panels,
            running: running.iter().map(|job| Row::of(api, job)).collect(),
            ended: ended.iter().map(|job| Row::of(api, job)).collect(),
        })
    }
}
