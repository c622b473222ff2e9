//! The router that leads to all paths, and what surrounds them.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Router, middleware};
use tower_http::catch_panic::CatchPanicLayer;

use crate::api::document;
use crate::api::observing::observe;
use crate::api::problem::Problem;
use crate::api::reference::Reference;
use crate::api::service::Api;
use crate::console;

/// The policy for the browser at `/docs`: the page may use its own style, and nothing else.
const REFERENCE_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Returns the router of all paths.
pub fn router(api: Arc<Api>) -> Router {
    let observing = middleware::from_fn_with_state(Arc::clone(&api.proxies), observe);
    let (paths, document) = document::paths_and_document();
    let reference = Bytes::from(Reference::new(&document).to_html());
    let page_headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, REFERENCE_POLICY),
        (REFERRER_POLICY, "no-referrer"),
    ];
    let reference = move || async move { (page_headers, reference) };
    let document = Bytes::from(document.to_string());
    let document = move || async move { ([(CONTENT_TYPE, "application/json")], document) };
    paths
        .merge(console::router::routes(&api))
        .route("/openapi.json", get(document))
        .route("/docs", get(reference))
        .with_state(api)
        .layer(DefaultBodyLimit::disable())
        // The hook of panics has logged where it was.
        .layer(CatchPanicLayer::custom(|_panic| Problem::internal("a panic").into_response()))
        .layer(observing)
}
