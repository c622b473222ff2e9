//! The admin server of a worker, over HTTP: `/livez` (the process is alive), `/readyz` (it can work), `/metrics`, and
//! `/`, a page that shows all of that to people.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::jobs_seen::{JobLines, JobsSeen};
use crate::page::Page;
use codemint_store::connection::store::Store;
use codemint_telemetry::broker_status::BrokerStatus;
use codemint_telemetry::metrics::Metrics;

pub mod jobs_seen;
mod page;

/// Minimum interval between two checks of the store.
const STORE_ASK_INTERVAL: Duration = Duration::from_secs(1);
/// Maximum time that a readiness request waits for the store.
const STORE_ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The state of a worker that the admin server reports.
#[derive(Debug)]
pub struct Health {
    pub metrics: Metrics,
    /// Empty until the store is open.
    pub store: OnceLock<Store>,
    /// The broker's status; `None` without a configured broker.
    pub broker: Option<watch::Receiver<BrokerStatus>>,
    /// Cancelled when the worker is stopping and takes no more work.
    pub stopping: CancellationToken,
    pub jobs: JobsSeen,
    /// When the store was last checked, and what was wrong with it.
    pub store_asked: Mutex<Option<(Instant, Option<String>)>>,
}

/// The response of `/readyz`.
#[derive(Debug, Deserialize, Serialize)]
pub struct ReadinessDocument {
    pub ready: bool,
    /// Empty if the worker is ready.
    pub missing: Vec<Missing>,
    /// `connected`, `blocked` or `away`; `None` without a broker. Jobs still come in from a blocked broker.
    pub broker: Option<String>,
}

/// A reason why a worker cannot work.
#[derive(Debug, Deserialize, Serialize)]
pub struct Missing {
    /// `store`, `broker` or `worker`
    pub what: String,
    pub reason: String,
}

impl Missing {
    fn new(what: &str, reason: impl Into<String>) -> Self {
        Self { what: what.to_owned(), reason: reason.into() }
    }
}

/// Binds the address, before anything else starts.
///
/// # Errors
/// If the address is in use or does not belong to this machine.
pub async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

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

impl Health {
    async fn readiness(&self) -> ReadinessDocument {
        let missing = self.missing().await;
        let broker = self.broker.as_ref().map(|status| status.borrow().as_str().to_owned());
        ReadinessDocument { ready: missing.is_empty(), missing, broker }
    }

    async fn missing(&self) -> Vec<Missing> {
        let mut missing = Vec::new();
        if self.stopping.is_cancelled() {
            missing.push(Missing::new("worker", "it is stopping"));
        }
        missing.extend(self.store_trouble().await.map(|reason| Missing::new("store", reason)));
        let broker = self.broker.as_ref().and_then(|status| status.borrow().trouble());
        missing.extend(broker.map(|reason| Missing::new("broker", reason)));
        missing
    }

    /// Returns what is wrong with the store, which is checked at most once a second: its connections are for minting.
    async fn store_trouble(&self) -> Option<String> {
        let Some(store) = self.store.get() else { return Some("it is not open yet".to_owned()) };
        let mut asked = self.store_asked.lock().await;
        if let Some((_, trouble)) = asked.as_ref().filter(|(at, _)| at.elapsed() < STORE_ASK_INTERVAL) {
            return trouble.clone();
        }
        let trouble = Self::ask_store(store).await;
        *asked = Some((Instant::now(), trouble.clone()));
        trouble
    }

    async fn ask_store(store: &Store) -> Option<String> {
        match timeout(STORE_ANSWER_TIMEOUT, store.require_schema()).await {
            Ok(answer) => answer.err().map(|error| error.to_string()),
            Err(_elapsed) => Some(format!("it has not answered for {} s", STORE_ANSWER_TIMEOUT.as_secs())),
        }
    }
}
