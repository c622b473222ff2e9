//! One segment: its condition, its members, and its removal.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use chrono_tz::Tz;
use codemint_offers::access::role::Permission;
use serde::Deserialize;

use crate::api::body::{InPath, InQuery};
use crate::api::problem::Problem;
use crate::api::segments::{find, missing};
use crate::api::service::Api;
use crate::console::frame::Frame;
use crate::console::page::page;
use crate::console::posted::Posted;
use crate::console::segments::paths::path_of;
use crate::console::shown::{counted, instant};
use crate::console::upload::RefusedList;
use crate::console::visitor::{EditSegments, May, NoPage, Permit, ViewCampaigns, go_to};

/// What the last form has done, which the query names.
const NOTICES: [(&str, &str); 3] = [
    ("created", "The segment is created. Campaigns may name it."),
    ("changed", "The condition is changed."),
    ("members", "The list is read. The segment has these members now."),
];

#[derive(Debug, Template)]
#[template(path = "console/segments/details.html")]
pub(super) struct DetailsPage {
    frame: Frame,
    may_edit: bool,
    path: String,
    upload_path: String,
    name: String,
    /// The condition as readable JSON; none if there is none.
    condition: Option<String>,
    members: String,
    changed: String,
    /// The list that was sent and refused.
    pub refused: Option<RefusedList>,
}

#[derive(Clone, Debug, Deserialize)]
struct Done {
    done: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/segments/{name}", get(show)).route("/segments/{name}/delete", post(remove))
}

async fn show(
    State(api): State<Arc<Api>>,
    by: May<ViewCampaigns>,
    InPath(name): InPath<String>,
    InQuery(Done { done }): InQuery<Done>,
) -> Result<Response, NoPage> {
    let mut shown = DetailsPage::read(&api, &by, &name).await?;
    shown.frame = shown.frame.with_notice(done.as_deref(), &NOTICES);
    Ok(page(&shown)?)
}

async fn remove(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    _posted: Posted<EditSegments>,
) -> Result<Response, NoPage> {
    match api.store.delete_segment(&name).await.map_err(Problem::from)? {
        true => Ok(go_to("/segments?done=removed")),
        false => Err(missing(&name).into()),
    }
}

impl DetailsPage {
    /// Reads the page of a segment.
    ///
    /// # Errors
    /// `not-found` if there is no such segment.
    pub async fn read<P: Permit>(api: &Api, by: &May<P>, name: &str) -> Result<Self, Problem> {
        let segment = find(api, name).await?;
        let condition = Some(&segment.condition).filter(|condition| !condition.is_null());
        Ok(Self {
            frame: by.frame("segments"),
            may_edit: by.permits(Permission::EditSegments),
            path: path_of(name),
            upload_path: format!("{}/members", path_of(name)),
            condition: condition.and_then(|condition| serde_json::to_string_pretty(condition).ok()),
            members: counted(segment.members, "member"),
            changed: instant(segment.changed_at, Tz::UTC),
            name: segment.name,
            refused: None,
        })
    }
}
