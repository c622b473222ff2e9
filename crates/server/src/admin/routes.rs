//! The routes of the admin server, and the server itself.

use std::io;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::health::{Health, ReadinessDocument};

/// Serves requests until `end` is cancelled.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, health: Arc<Health>, end: CancellationToken) -> io::Result<()> {
    let routes = Router::new()
        .route("/", get(paths))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health);
    axum::serve(listener, routes).with_graceful_shutdown(end.cancelled_owned()).await
}

/// Returns the paths, for people who look for a page.
async fn paths() -> &'static str {
    "/livez, /readyz and /metrics of codemint; people look at the page System of `codemint serve`\n"
}

async fn livez() -> &'static str {
    "alive\n"
}

/// Returns the metrics in Prometheus' text format.
async fn metrics(State(health): State<Arc<Health>>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], health.metrics.render())
}

async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, Json<ReadinessDocument>) {
    let readiness = health.readiness().await;
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(readiness))
}
