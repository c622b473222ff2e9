//! What a worker answers about itself, over HTTP: `/livez` whether it lives, `/readyz` whether it can work, `/metrics` what
//! it has done.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::broker::supervisor::BrokerStatus;
use crate::store::Store;
use crate::telemetry::metrics::Metrics;

/// Whoever asks for readiness waits no longer.
const STORE_ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// What a worker is asked about.
#[derive(Debug)]
pub struct Health {
    pub metrics: Metrics,
    /// Empty until it is open.
    pub store: OnceLock<Store>,
    /// Where a broker is configured.
    pub broker: Option<watch::Receiver<BrokerStatus>>,
    /// A worker that is asked to stop takes no more work.
    pub stopping: CancellationToken,
}

#[derive(Debug, Serialize)]
struct ReadinessDocument {
    ready: bool,
    /// Empty if it is ready.
    missing: Vec<Missing>,
    /// `connected`, `blocked`, `away`, or nothing without a broker. Jobs come in from one that takes no messages.
    broker: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct Missing {
    /// `store`, `broker` or `worker`
    what: &'static str,
    reason: String,
}

/// Takes the address, before anything else is begun.
///
/// # Errors
/// If it is in use or not of this machine.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// Answers until `end` is cancelled.
///
/// # Errors
/// If the listener fails.
pub async fn serve(listener: TcpListener, health: Arc<Health>, end: CancellationToken) -> io::Result<()> {
    let routes = Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health);
    axum::serve(listener, routes).with_graceful_shutdown(end.cancelled_owned()).await
}

async fn livez() -> &'static str {
    "alive\n"
}

/// In Prometheus' text format.
async fn metrics(State(health): State<Arc<Health>>) -> ([(HeaderName, &'static str); 1], String) {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], health.metrics.render())
}

async fn readyz(State(health): State<Arc<Health>>) -> (StatusCode, Json<ReadinessDocument>) {
    let missing = health.missing().await;
    let ready = missing.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let broker = health.broker.as_ref().map(|status| status.borrow().as_str());
    (status, Json(ReadinessDocument { ready, missing, broker }))
}

impl Health {
    async fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        if self.stopping.is_cancelled() {
            missing.push(Missing { what: "worker", reason: "it is stopping".to_owned() });
        }
        missing.extend(self.store_trouble().await.map(|reason| Missing { what: "store", reason }));
        let broker = self.broker.as_ref().and_then(|status| status.borrow().trouble());
        missing.extend(broker.map(|reason| Missing { what: "broker", reason }));
        missing
    }

    async fn store_trouble(&self) -> Option<String> {
        let Some(store) = self.store.get() else { return Some("it is not open yet".to_owned()) };
        match timeout(STORE_ANSWER_TIMEOUT, store.ping()).await {
            Ok(answer) => answer.err().map(|error| error.to_string()),
            Err(_elapsed) => Some(format!("it has not answered for {} s", STORE_ANSWER_TIMEOUT.as_secs())),
        }
    }
}
