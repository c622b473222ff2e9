//! The health of a worker: whether it can work, and what is missing.

use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use codemint_store::connection::store::Store;
use codemint_telemetry::broker_status::BrokerStatus;
use codemint_telemetry::metrics::recorder::Metrics;

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
    broker: Option<watch::Receiver<BrokerStatus>>,
    stopping: CancellationToken,
    /// When the store was last checked, and what was wrong with it.
    store_asked: Mutex<Option<(Instant, Option<String>)>>,
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

impl Health {
    /// Returns the health of a worker that has no open store yet. `broker` is `None` without a configured broker;
    /// `stopping` is cancelled when the worker takes no more work.
    pub fn new(metrics: Metrics, broker: Option<watch::Receiver<BrokerStatus>>, stopping: CancellationToken) -> Self {
        Self { metrics, store: OnceLock::new(), broker, stopping, store_asked: Mutex::default() }
    }

    pub(crate) async fn readiness(&self) -> ReadinessDocument {
        let missing = self.missing().await;
        let broker = self.broker.as_ref().map(|status| status.borrow().into_str().to_owned());
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

impl Missing {
    fn new(what: &str, reason: impl Into<String>) -> Self {
        Self { what: what.to_owned(), reason: reason.into() }
    }
}
