//! The upload of the members of a segment.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::post;
use tokio::sync::oneshot;

use crate::api::body::InPath;
use crate::api::list_errands::{ListErrand, NewMembers};
use crate::api::observing::in_time;
use crate::api::segments::find;
use crate::api::service::Api;
use crate::console::page::invalid;
use crate::console::segments::details::DetailsPage;
use crate::console::segments::paths::path_of;
use crate::console::upload::{RefusedList, Upload};
use crate::console::visitor::{EditSegments, NoPage, go_to};

/// Returns the path whose body may take long.
pub fn streaming_routes() -> Router<Arc<Api>> {
    Router::new().route("/segments/{name}/members", post(replace))
}

async fn replace(
    State(api): State<Arc<Api>>,
    InPath(segment): InPath<String>,
    mut upload: Upload<EditSegments>,
) -> Result<Response, NoPage> {
    in_time(find(&api, &segment)).await?;
    let (done, answer) = oneshot::channel();
    let name = segment.clone();
    let caller = upload.by.caller();
    let errand = |list| ListErrand::Members(NewMembers { segment, list, caller, done });
    match upload.have_list_read(&api, errand, answer).await {
        Ok(_) => Ok(go_to(&format!("{}?done=members", path_of(&name)))),
        Err(problem) => {
            let refused: RefusedList = problem.try_into()?;
            let mut shown = in_time(DetailsPage::read(&api, &upload.by, &name)).await?;
            shown.refused = Some(refused);
            Ok(invalid(&shown)?)
        }
    }
}
