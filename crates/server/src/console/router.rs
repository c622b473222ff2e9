//! The paths of the console.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::middleware;
use axum::response::Response;
use axum::routing::get;

use crate::api::observing::{limit_number, limit_time};
use crate::api::service::Api;
use crate::console::failure::{no_such_path, show_problems};
use crate::console::visitor::{May, NoPage, ViewCampaigns, go_to};
use crate::console::{
    affiliates, assets, audit, campaigns, codes, jobs, keys, people, redemptions, referrals, reports, segments,
    sign_in, system,
};

/// Returns the router of all pages.
pub fn routes(api: &Arc<Api>) -> Router<Arc<Api>> {
    Router::new()
        .route("/", get(home))
        .merge(campaigns::list::routes())
        .merge(jobs::list::routes())
        .merge(jobs::one::routes())
        .merge(referrals::list::routes())
        .merge(referrals::one::routes())
        .merge(reports::page::routes())
        .merge(system::page::routes())
        .merge(people::list::routes())
        .merge(people::one::routes())
        .merge(people::password::routes())
        .merge(keys::page::routes())
        .merge(audit::page::routes())
        .merge(campaigns::one::routes())
        .merge(campaigns::edit::routes())
        .merge(campaigns::orders::routes())
        .merge(campaigns::versions::routes())
        .merge(campaigns::trial::routes())
        .merge(codes::find::routes())
        .merge(redemptions::list::routes())
        .merge(redemptions::details::routes())
        .merge(redemptions::acting::routes())
        .merge(segments::list::routes())
        .merge(segments::details::routes())
        .merge(segments::form::routes())
        .merge(affiliates::list::routes())
        .merge(affiliates::details::routes())
        .merge(affiliates::form::routes())
        .merge(affiliates::exclusions::routes())
        .merge(sign_in::routes())
        .merge(assets::routes())
        .layer(middleware::from_fn(limit_time))
        // Their bodies and answers may take longer.
        .merge(segments::members::streaming_routes())
        .merge(affiliates::exclusion_lists::streaming_routes())
        .merge(campaigns::orders::streaming_routes())
        .layer(middleware::from_fn(limit_number()))
        .layer(middleware::from_fn_with_state(Arc::clone(api), show_problems))
        .fallback(no_such_path)
}

async fn home(State(_api): State<Arc<Api>>, _by: May<ViewCampaigns>) -> Result<Response, NoPage> {
    Ok(go_to("/campaigns"))
}
