//! The files that pages load: one style sheet, one script, one picture.

use axum::Router;
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;

pub const STYLE: &str = concat!("/assets/", env!("CARGO_PKG_VERSION"), "/console.css");
pub const SCRIPT: &str = concat!("/assets/", env!("CARGO_PKG_VERSION"), "/console.js");
const ICON: &str = "/favicon.ico";

/// How long browsers keep a file. A build between two versions has the same paths.
const KEPT: &str = "public, max-age=300";

pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let file =
        |content_type: &'static str, text: &'static str| get(move || async move { (headers(content_type), text) });
    Router::new()
        .route(STYLE, file("text/css; charset=utf-8", include_str!("../../assets/console.css")))
        .route(SCRIPT, file("text/javascript; charset=utf-8", include_str!("../../assets/console.js")))
        .route(ICON, file("image/svg+xml", include_str!("../../assets/icon.svg")))
}

fn headers(content_type: &'static str) -> [(HeaderName, &'static str); 2] {
    [(CONTENT_TYPE, content_type), (CACHE_CONTROL, KEPT)]
}
