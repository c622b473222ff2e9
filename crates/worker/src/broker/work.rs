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
use crate::broker::admit_jobs::JobIntake;
use crate::broker::admit_triggers::TriggerIntake;
use crate::broker::error::BrokerError;
use crate::broker::intake::Intake;
use crate::broker::publish::Publisher;
use crate::broker::relay::relay;
use crate::broker::settings::BrokerSettings;
use crate::broker::supervisor::{Session, supervise};
use crate::broker::topology::{QueueDepth, queue_depth};
use crate::runner::pool::Pool;
use codemint_campaigns::triggering::TriggerHandler;
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
    jobs: Intake<JobIntake>,
    triggers: Intake<TriggerIntake>,
    outbox_wake: Arc<Notify>,
    /// True if a caller waits for the queue to be empty.
    drains: bool,
    /// True if no message waited in the queues of jobs and triggers at the last poll.
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
        handler: TriggerHandler,
        pool: Pool,
        outbox_wake: Arc<Notify>,
        drains: bool,
    ) -> Self {
        let store = admitter.store.clone();
        let jobs = JobIntake { admitter, pool, outbox_wake: Arc::clone(&outbox_wake) };
        let triggers = TriggerIntake { handler, outbox_wake: Arc::clone(&outbox_wake) };
        Self {
            jobs: Intake::new(jobs, settings.clone()),
            triggers: Intake::new(triggers, settings.clone()),
            settings,
            store,
            outbox_wake,
            drains,
            is_empty: AtomicBool::new(false),
        }
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

    /// Returns true if no message waits in the queues, or is held by this process.
    pub fn is_drained(&self) -> bool {
        self.is_empty.load(Ordering::Relaxed) && self.jobs.unsettled() + self.triggers.unsettled() == 0
    }

    async fn work(&self, session: &Session, stops: &BrokerStops) -> Result<(), BrokerError> {
        let intake_publisher = Arc::new(Publisher::open(Arc::clone(&session.publishing)).await?);
        let ends = BrokerStops { intake: stops.intake.child_token(), relay: stops.relay.child_token() };
        let intake = async {
            let (consuming, prefetch) = (&session.consuming, session.prefetch);
            let jobs = self.jobs.run(consuming, prefetch, &intake_publisher, &ends.intake);
            let triggers = self.triggers.run(consuming, prefetch, &intake_publisher, &ends.intake);
            let end_others = |ended: &Result<(), BrokerError>| {
                if ended.is_err() {
                    ends.intake.cancel();
                    ends.relay.cancel();
                }
            };
            let (jobs, triggers) = tokio::join!(jobs.inspect(end_others), triggers.inspect(end_others));
            jobs.and(triggers)
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
            let mut is_empty = true;
            for (name, queue) in [("jobs", &names.jobs_queue), ("triggers", &names.triggers_queue)] {
                let depth = queue_depth(&session.consuming, queue).await;
                is_empty &= depth.as_ref().is_ok_and(|depth| depth.messages == 0);
                if let Ok(QueueDepth { messages, consumers }) = depth {
                    metrics::queue_seen(name, messages);
                    metrics::consumers_seen(name, consumers);
                }
            }
            self.is_empty.store(is_empty, Ordering::Relaxed);
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
