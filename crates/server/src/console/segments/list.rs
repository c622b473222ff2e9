//! The list of segments.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono_tz::Tz;
use codemint_offers::access::role::Permission;
use codemint_offers::condition::document::SegmentDocument;
use serde::Deserialize;

use crate::api::body::InQuery;
use crate::api::paging::{Page, place};
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::frame::Frame;
use crate::console::page::page;
use crate::console::segments::paths::path_of;
use crate::console::shown::{minute, number};
use crate::console::visitor::{May, NoPage, ViewCampaigns};

const PAGE: u32 = 50;

/// What the last form has done, which the query names.
const NOTICES: [(&str, &str); 1] =
    [("removed", "The segment is removed. Requests of the shop may still state it for a buyer.")];

#[derive(Debug, Template)]
#[template(path = "console/segments/list.html")]
struct ListPage {
    frame: Frame,
    may_edit: bool,
    is_first: bool,
    rows: Vec<Row>,
    next: Option<String>,
}

#[derive(Debug)]
struct Row {
    path: String,
    name: String,
    has_condition: bool,
    members: String,
    changed: String,
}

#[derive(Clone, Debug, Deserialize)]
struct ListQuery {
    cursor: Option<String>,
    done: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/segments", get(list))
}

async fn list(
    State(api): State<Arc<Api>>,
    by: May<ViewCampaigns>,
    InQuery(query): InQuery<ListQuery>,
) -> Result<Response, NoPage> {
    let after = place::<String>(query.cursor.as_deref())?.unwrap_or_default();
    let found = api.store.list_segments(&after, PAGE + 1).await.map_err(Problem::from)?;
    let Page { items, next } = Page::cut(found, PAGE, |last| last.name.clone());
    let mut rows = Vec::with_capacity(items.len());
    for segment in items {
        rows.push(row(segment.try_into().map_err(Problem::from)?));
    }
    let template = ListPage {
        frame: by.frame("segments").with_notice(query.done.as_deref(), &NOTICES),
        may_edit: by.permits(Permission::EditSegments),
        is_first: query.cursor.is_none(),
        rows,
        next,
    };
    Ok(page(&template)?)
}

fn row(SegmentDocument { name, condition, members, changed_at }: SegmentDocument) -> Row {
    Row {
        path: path_of(&name),
        name,
        has_condition: !condition.is_null(),
        members: number(members),
        changed: minute(changed_at, Tz::UTC),
    }
}
