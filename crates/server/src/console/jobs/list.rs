//! The list of jobs.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use codemint_codes::job::state::State as JobState;
use codemint_store::records::reports::JobFilter;
use serde::Deserialize;
use strum::VariantNames;
use url::form_urlencoded;

use crate::api::body::InQuery;
use crate::api::paging::{Page, place};
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::frame::Frame;
use crate::console::jobs::rows::Row;
use crate::console::page::page;
use crate::console::visitor::{May, NoPage, ViewJobs};

const PAGE: u32 = 50;

#[derive(Debug, Template)]
#[template(path = "console/jobs/list.html")]
struct ListPage {
    frame: Frame,
    query: ListQuery,
    states: &'static [&'static str],
    rows: Vec<Row>,
    /// The query of the next page; none on the last one.
    next: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct ListQuery {
    #[serde(default)]
    campaign: String,
    #[serde(default)]
    state: String,
    cursor: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/jobs", get(list))
}

async fn list(
    State(api): State<Arc<Api>>,
    by: May<ViewJobs>,
    InQuery(query): InQuery<ListQuery>,
) -> Result<Response, NoPage> {
    let campaign = Some(query.campaign.trim().to_owned()).filter(|name| !name.is_empty());
    let before_no = place::<i64>(query.cursor.as_deref())?;
    let filter = JobFilter { state: query.state.parse().ok(), campaign, before_no, limit: PAGE + 1 };
    let found = api.store.list_jobs(&filter).await.map_err(Problem::from)?;
    let Page { items, next } = Page::cut(found, PAGE, |last| last.no);
    let template = ListPage {
        frame: by.frame("jobs"),
        states: JobState::VARIANTS,
        rows: items.iter().map(|job| Row::of(&api, job)).collect(),
        next: next.map(|cursor| query.next(&cursor)),
        query,
    };
    Ok(page(&template)?)
}

impl ListQuery {
    const fn is_filtered(&self) -> bool {
        !self.campaign.is_empty() || !self.state.is_empty()
    }

    fn next(&self, cursor: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("campaign", &self.campaign), ("state", &self.state)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.append_pair("cursor", cursor).finish()
    }
}
