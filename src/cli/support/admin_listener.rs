//! The admin listener of a worker: it opens before anything else and answers until the worker has ended.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use codemint_codes::draw::GENERATOR_VERSION;
use codemint_server::admin::health::Health;
use codemint_server::admin::routes;
use codemint_store::connection::store::Store;
use codemint_telemetry::broker_status::BrokerStatus;
use codemint_telemetry::metrics::recorder::{self, Metrics};

/// The interval between two upkeeps of the metrics.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Says what may be the cause of an error of listening; empty if nothing is known.
pub fn advice_on(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => "; another worker or server may be listening there already",
        _ => "",
    }
}

/// The open listener; dropping it ends the service.
pub struct AdminListener {
    health: Arc<Health>,
    end: CancellationToken,
}

impl AdminListener {
    /// Opens the listener. `None` if it is off: then no metrics are counted either. `broker` is the status of the
    /// broker that a worker is configured for; `None` for a process that uses none.
    ///
    /// # Errors
    /// `usage` if the process cannot listen on the address.
    pub async fn open(
        context: &Context,
        broker: Option<watch::Receiver<BrokerStatus>>,
    ) -> Result<Option<Self>, Failure> {
        let Some(address) = context.config.admin else { return Ok(None) };
        let listener = TcpListener::bind(address).await.map_err(|error| {
            Failure::usage(format!(
                "admin.listen: cannot listen on {address}: {error}; set another address, or off{}",
                advice_on(&error)
            ))
        })?;
        let broker = broker.filter(|_| context.config.broker.is_some());
        let metrics = recorder::install(context.config.store.kind(), GENERATOR_VERSION, broker.is_some());
        let metrics = metrics.map_err(Failure::other)?;
        let health = Health::new(metrics, broker, context.stop.token().clone());
        let health = Arc::new(health);
        // A process opens one listener.
        let _set = context.health.set(Arc::clone(&health));
        tokio::spawn(file_metrics_away(health.metrics.clone()));
        let end = CancellationToken::new();
        let (asked, ended) = (Arc::clone(&health), end.clone());
        tokio::spawn(async move {
            if let Err(error) = routes::serve(listener, asked, ended).await {
                tracing::error!(%error, "the admin listener failed");
            }
        });
        Ok(Some(Self { health, end }))
    }

    /// Lets the listener report on the store from now on.
    pub fn set_store(&self, store: &Store) {
        // Nothing else sets it.
        let _set = self.health.store.set(store.clone());
    }
}

/// Runs the upkeep of the metrics; never returns.
async fn file_metrics_away(metrics: Metrics) {
    loop {
        tokio::time::sleep(UPKEEP_INTERVAL).await;
        metrics.file_away();
    }
}

impl Drop for AdminListener {
    fn drop(&mut self) {
        self.end.cancel();
    }
}
