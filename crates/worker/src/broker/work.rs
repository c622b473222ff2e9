//! The work of a worker on a session: intake and relay, until a stop is requested or the session is over.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::broker::admit::JobAdmitter;
use crate::broker::error::BrokerError;
use crate::broker::intake::Intake;
use crate::broker::publish::Publisher;
use crate::broker::relay::relay;
use crate::broker::settings::BrokerSettings;
use crate::broker::supervisor::{Session, supervise};
use crate::broker::topology::{QueueDepth, queue_depth};
use crate::runner::pool::Pool;
use codemint_store::connection::store::Store;
use codemint_telemetry::broker_status::BrokerStatus;
use codemint_telemetry::metrics::broker as metrics;

/// Interval between two polls of the queues, normally and while a caller waits for them to be empty.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);
const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// The work of a worker with the broker.
#[derive(Debug)]
pub struct BrokerWork {
    settings: BrokerSettings,
    store: Store,
    intake: Intake,
    outbox_wake: Arc<Notify>,
    /// True if a caller waits for the queue to be empty.
    drains: bool,
    /// True if no message waited in the job queue at the last poll.
    is_empty: AtomicBool,
}

/// The stop signals of its parts: intake stops first, so that nothing new comes in; the relay after the last event.
#[derive(Clone, Debug, Default)]
pub struct BrokerStops {
    pub intake: CancellationToken,
    pub relay: CancellationToken,
}

impl BrokerWork {
    pub fn new(
        settings: BrokerSettings,
        admitter: JobAdmitter,
        pool: Pool,
        outbox_wake: Arc<Notify>,
        drains: bool,
    ) -> Self {
        let store = admitter.store.clone();
        let intake = Intake::new(admitter, settings.clone(), pool, Arc::clone(&outbox_wake));
        Self { settings, store, intake, outbox_wake, drains, is_empty: AtomicBool::new(false) }
    }

    /// Works on one session after another until both parts were stopped. `first` is a session that is open already.
    ///
    /// # Errors
    /// A permanent error before the first session.
    pub async fn run(
        &self,
        first: Option<Session>,
        status: &watch::Sender<BrokerStatus>,
        stops: &BrokerStops,
    ) -> Result<(), BrokerError> {
        // A panic ends the session, like a failure of the connection.
        let work = |session: Arc<Session>| {
            let work = async move { self.work(&session, stops).await };
            Box::pin(AssertUnwindSafe(work).catch_unwind().map(|ended| ended.unwrap_or_else(|_| Err(fault()))))
        };
        supervise(&self.settings, first, status, &stops.relay, work).await
    }

    /// Returns true if no message waits in the queue, or is held by this process.
    pub fn is_drained(&self) -> bool {
        self.is_empty.load(Ordering::Relaxed) && self.intake.unsettled() == 0
    }

    async fn work(&self, session: &Session, stops: &BrokerStops) -> Result<(), BrokerError> {
        let intake_publisher = Arc::new(Publisher::open(Arc::clone(&session.publishing)).await?);
        let ends = BrokerStops { intake: stops.intake.child_token(), relay: stops.relay.child_token() };
        let intake = async {
            let ended = self.intake.run(&session.consuming, session.prefetch, &intake_publisher, &ends.intake).await;
            if ended.is_err() {
                ends.relay.cancel();
            }
            ended
        };
        let events = &self.settings.names.events_exchange;
        let relay = async {
            let ended = relay(&self.store, &session.publisher, events, &self.outbox_wake, &ends.relay).await;
            ends.intake.cancel();
            ended
        };
        let mut both = Box::pin(async { tokio::join!(intake, relay) });
        let mut watching = Box::pin(self.watch_queues(session));
        let (intake, relay) = loop {
            tokio::select! {
                ended = &mut both => break ended,
                () = session.over.cancelled(), if !ends.relay.is_cancelled() => {
                    ends.intake.cancel();
                    ends.relay.cancel();
                }
                () = &mut watching => {}
            }
        };
        intake.and(relay)
    }

    /// Polls the queues and never returns. A failure here is one of the session, which is reported elsewhere.
    async fn watch_queues(&self, session: &Session) {
        let mut pace = interval(if self.drains { DRAIN_LOOK_INTERVAL } else { LOOK_INTERVAL });
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let names = &self.settings.names;
        loop {
            pace.tick().await;
            let jobs = queue_depth(&session.consuming, &names.jobs_queue).await;
            self.is_empty.store(jobs.as_ref().is_ok_and(|jobs| jobs.messages == 0), Ordering::Relaxed);
            if let Ok(QueueDepth { messages, consumers }) = jobs {
                metrics::queue_seen("jobs", messages);
                metrics::consumers_seen(consumers);
            }
            if let Ok(QueueDepth { messages, .. }) = queue_depth(&session.consuming, &names.dead_queue).await {
                metrics::queue_seen("dead", messages);
            }
        }
    }
}

/// Returns the error for a panic, which the panic hook has already reported.
fn fault() -> BrokerError {
    BrokerError::Lost { problem: "a fault in the program".to_owned() }
}
