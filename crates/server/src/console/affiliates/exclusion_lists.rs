//! The whole list of exclusions from a rule: uploaded and downloaded as CSV.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_DISPOSITION;
use axum::response::Response;
use axum::routing::{get, post};
use tokio::sync::oneshot;

use crate::api::affiliate_exclusions::whole;
use crate::api::affiliate_rules::find;
use crate::api::body::InPath;
use crate::api::list_errands::{ListErrand, NewExclusions};
use crate::api::observing::in_time;
use crate::api::service::Api;
use crate::console::affiliates::details::{DetailsPage, Shown};
use crate::console::affiliates::rule_view::path_of;
use crate::console::page::invalid;
use crate::console::upload::{RefusedList, Upload};
use crate::console::visitor::{EditAffiliates, May, NoPage, ViewCampaigns, go_to};

/// Returns the paths whose bodies may take long.
pub fn streaming_routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/affiliates/{name}/exclusion-list", post(replace))
        .route("/affiliates/{name}/exclusions.csv", get(download))
}

async fn replace(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    mut upload: Upload<EditAffiliates>,
) -> Result<Response, NoPage> {
    let rule = Box::new(in_time(find(&api, &name)).await?.rule);
    let (done, answer) = oneshot::channel();
    let caller = upload.by.caller();
    let errand = |list| ListErrand::Exclusions(NewExclusions { rule, list, caller, done });
    match upload.have_list_read(&api, errand, answer).await {
        Ok(_) => Ok(go_to(&format!("{}?done=list", path_of(&name)))),
        Err(problem) => {
            let refused: RefusedList = problem.try_into()?;
            let mut shown = in_time(DetailsPage::read(&api, &upload.by, &name, &Shown::default())).await?;
            shown.refused = Some(refused);
            Ok(invalid(&shown)?)
        }
    }
}

async fn download(
    State(api): State<Arc<Api>>,
    _by: May<ViewCampaigns>,
    InPath(name): InPath<String>,
) -> Result<Response, NoPage> {
    let rule = in_time(find(&api, &name)).await?;
    let mut response = whole(&api, rule.no).await?;
    response
        .headers_mut()
        .insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"exclusions.csv\""));
    Ok(response)
}
