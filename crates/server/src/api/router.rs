//! The router that leads to all paths, and what surrounds them.

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::document;
use crate::api::observing::observe;
use crate::api::problem::Problem;
use crate::api::service::Api;

/// Returns the router of all paths.
pub fn router(api: Arc<Api>) -> Router {
    let observing = middleware::from_fn_with_state(Arc::clone(&api.proxies), observe);
    let (paths, document) = document::paths_and_document();
    let document = axum::body::Bytes::from(document.to_string());
    let document = move || async move { ([(CONTENT_TYPE, "application/json")], document) };
    paths
        .route("/openapi.json", get(document))
        .with_state(api)
        .layer(DefaultBodyLimit::disable())
        // The hook of panics has logged where it was.
        .layer(CatchPanicLayer::custom(|_panic| Problem::internal("a panic").into_response()))
        .layer(observing)
}
