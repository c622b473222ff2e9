//! The routes of the admin server, and the server itself.

use std::io;
use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admin::health::{Health, ReadinessDocument};
use crate::admin::jobs_seen::JobLines;
use crate::admin::page::{self, Page};

/// Serves requests until `end` is cancelled.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, health: Arc<Health>, end: CancellationToken) -> io::Result<()> {
    let routes = Router::new()
        .route("/", get(page))
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health);
    axum::serve(listener, routes).with_graceful_shutdown(end.cancelled_owned()).await
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

async fn page(State(health): State<Arc<Health>>) -> Result<PageAnswer, StatusCode> {
    let jobs = match health.store.get() {
        Some(store) => health.jobs.look(store).await,
        None => JobLines::default(),
    };
    let page = Page::new(health.readiness().await, &health.metrics.render(), jobs);
    let text = page.render().map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, page::CONTENT_SECURITY_POLICY),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    Ok((headers, text))
}

type PageAnswer = ([(HeaderName, &'static str); 5], String);
