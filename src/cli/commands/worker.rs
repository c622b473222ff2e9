//! `codemint worker`: takes jobs, mints them and publishes their progress, until a stop is requested.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::cli::support::admin_listener::AdminListener;
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::service;
use crate::config::policy_files;
use codemint_campaigns::keeping::RedemptionKeeper;
use codemint_campaigns::triggering::TriggerHandler;
use codemint_codes::text::plural;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_telemetry::broker_status::BrokerStatus;
use codemint_worker::broker::admit::JobAdmitter;
use codemint_worker::broker::error::BrokerError;
use codemint_worker::broker::supervisor::Session;
use codemint_worker::broker::work::{BrokerStops, BrokerWork};
use codemint_worker::mint::task::MintSettings;
use codemint_worker::runner::job_execution::Share;
use codemint_worker::runner::pool::Pool;
use codemint_worker::runner::redemption_upkeep::keep_redemptions;
use codemint_worker::runner::store_poller;
use codemint_worker::runner::trigger_upkeep::decide_triggers;

const DRAIN_LOOK_INTERVAL: Duration = Duration::from_millis(300);
/// The consecutive checks that must find nothing left: a message may be on its way from the queue to the store.
const DRAINED_LOOKS: u32 = 3;

/// Process jobs from the broker and the store until stopped
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint --store postgres://mint@db/shop worker
  CODEMINT__AMQP__URL=amqp://worker@broker codemint --store postgres://mint@db/shop worker
  codemint worker --drain

Any number of workers may share a store; they share jobs chunk by chunk. On SIGTERM a worker finishes \
its current chunks within worker.shutdown_seconds and exits; a second signal ends it immediately.")]
pub struct Worker {
    /// Exit when no job is left that this worker can mint, no message waits, no trigger is due and every event is published
    #[arg(long)]
    drain: bool,
    /// Exit with code 5 if the store or the broker is unreachable at the start, instead of waiting
    #[arg(long)]
    no_wait: bool,
}

impl Worker {
    /// Returns the worker that runs in the process of the HTTP API.
    pub const fn beside(no_wait: bool) -> Self {
        Self { drain: false, no_wait }
    }

    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let policy = policy_files::load(&context.config)?;
        let stop = context.stop.token();
        let (status, broker) = watch::channel(BrokerStatus::Away { reason: "not connected yet".to_owned() });
        let admin = AdminListener::open(context, Some(broker)).await?;
        service::report_ready();
        tokio::spawn(service::feed_watchdog());
        let Some(store) = service::open_store(context, self.no_wait).await? else { return Ok(()) };
        service::check_rights(context, &store, "codemint_generator").await?;
        if let Some(admin) = &admin {
            admin.set_store(&store);
        }
        let first = self.first_session(context).await?;
        let outbox_wake = Arc::new(Notify::new());
        let mint = MintSettings { policy: policy.clone(), filters: context.config.filters, import: None };
        let pool = Pool::new(store.clone(), mint, context.config.worker.concurrency, Arc::clone(&outbox_wake));
        let (limits, chunk_size) = (context.config.limits, context.config.chunk_size);
        let admitter = JobAdmitter { store: store.clone(), policy, limits, chunk_size };
        let triggers = TriggerHandler::new(store.clone(), context.job_options().emits_events);
        let work = context.config.broker.clone().map(|settings| {
            let (handler, wake) = (triggers.clone(), Arc::clone(&outbox_wake));
            Arc::new(BrokerWork::new(settings, admitter, handler, pool.clone(), wake, self.drain))
        });
        let keeper = RedemptionKeeper::new(store.clone(), context.job_options().emits_events);
        let (stops, stop) = (BrokerStops::default(), stop.clone());
        let running = Running { store, pool, work, keeper, triggers, outbox_wake, stops, stop };
        running.greet(context, admin.is_some());
        service::report_status("taking jobs");
        let ended = Box::pin(running.run(context, first, status, self.drain)).await;
        drop(admin);
        ended
    }

    /// Opens the first session if `--no-wait` requires the broker to be reachable.
    async fn first_session(&self, context: &Context) -> Result<Option<Session>, Failure> {
        match &context.config.broker {
            Some(settings) if self.no_wait => Ok(Some(Box::pin(Session::open(settings)).await?)),
            _ => Ok(None),
        }
    }
}

/// A running worker.
struct Running {
    store: Store,
    pool: Pool,
    work: Option<Arc<BrokerWork>>,
    keeper: RedemptionKeeper,
    triggers: TriggerHandler,
    outbox_wake: Arc<Notify>,
    stops: BrokerStops,
    /// Cancelled when a stop is requested.
    stop: CancellationToken,
}

impl Running {
    fn greet(&self, context: &Context, has_admin: bool) {
        let broker = context.config.broker.as_ref().map_or("no broker".to_owned(), |broker| broker.url.to_string());
        let admin = context.config.admin.filter(|_| has_admin).map_or("off".to_owned(), |at| format!("http://{at}"));
        let (version, store, concurrency) =
            (env!("CARGO_PKG_VERSION"), &context.config.store, context.config.worker.concurrency);
        tracing::info!(version, %store, broker, admin, concurrency, "the worker is at work");
    }

    async fn run(
        &self,
        context: &Context,
        first: Option<Session>,
        status: watch::Sender<BrokerStatus>,
        drain: bool,
    ) -> Result<(), Failure> {
        let broker = self.start_broker(first, status);
        let minting_end = CancellationToken::new();
        let (pool, end) = (self.pool.clone(), minting_end.clone());
        let minting = tokio::spawn(async move { pool.run(&end).await });
        let (store, end) = (self.store.clone(), minting_end.clone());
        tokio::spawn(async move { store_poller::poll(&store, &end).await });
        let (keeper, wake, end) = (self.keeper.clone(), Arc::clone(&self.outbox_wake), minting_end.clone());
        let keeping = tokio::spawn(async move { keep_redemptions(&keeper, &wake, &end).await });
        let (handler, wake, end) = (self.triggers.clone(), Arc::clone(&self.outbox_wake), minting_end.clone());
        let deciding = tokio::spawn(async move { decide_triggers(&handler, &wake, &end).await });
        self.wait_for_the_end(drain, &broker).await;
        service::report_stopping();
        let ending = async {
            self.stops.intake.cancel();
            minting_end.cancel();
            // A panic there has been reported already.
            let _ended = tokio::join!(minting, keeping, deciding);
            self.stops.relay.cancel();
            broker.ended().await
        };
        match timeout(context.config.worker.shutdown, ending).await {
            Ok(ended) => {
                ended?;
                let Share { chunks, codes } = self.pool.minted();
                let minted = format!("{codes} {} in {chunks} {}", plural(codes, "code"), plural(chunks, "chunk"));
                tracing::info!(codes, chunks, "the worker has ended; it minted {minted}");
                Ok(())
            }
            Err(_elapsed) => {
                tracing::warn!(
                    "the current chunks did not end in time and were dropped; the next worker mints them again; raise \
                     worker.shutdown_seconds to leave more time"
                );
                // A return would wait for the unfinished work of the runtime.
                std::process::exit(0)
            }
        }
    }

    fn start_broker(&self, first: Option<Session>, status: watch::Sender<BrokerStatus>) -> BrokerTask {
        let Some(work) = self.work.clone() else { return BrokerTask::default() };
        let stops = self.stops.clone();
        let ended = CancellationToken::new();
        let guard = ended.clone().drop_guard();
        let task = tokio::spawn(async move {
            let _guard = guard;
            work.run(first, &status, &stops).await
        });
        BrokerTask { task: Some(task), ended }
    }

    /// Waits until a stop is requested, nothing is left to do, or the broker turns out to be misconfigured.
    async fn wait_for_the_end(&self, drain: bool, broker: &BrokerTask) {
        tokio::select! {
            () = self.stop.cancelled() => {}
            () = self.drained(), if drain => {}
            () = broker.ended.cancelled() => {}
        }
    }

    async fn drained(&self) {
        let mut looks = 0;
        while looks < DRAINED_LOOKS {
            sleep(DRAIN_LOOK_INTERVAL).await;
            let is_idle = self.pool.is_idle() && self.work.as_ref().is_none_or(|work| work.is_drained());
            looks = if is_idle && self.is_store_drained().await { looks + 1 } else { 0 };
        }
    }

    /// Returns true if no trigger is due, and no event is left to publish; also without a broker, as this worker could not publish any.
    async fn is_store_drained(&self) -> bool {
        if !matches!(self.store.has_due_triggers().await, Ok(false)) {
            return false;
        }
        let counted: Result<u64, StoreError> = match &self.work {
            Some(_) => self.store.count_events().await,
            None => Ok(0),
        };
        matches!(counted, Ok(0))
    }
}

/// The task that works with the broker.
#[derive(Default)]
struct BrokerTask {
    task: Option<JoinHandle<Result<(), BrokerError>>>,
    ended: CancellationToken,
}

impl BrokerTask {
    /// Waits until the task has ended.
    async fn ended(self) -> Result<(), BrokerError> {
        match self.task {
            Some(task) => task.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic())),
            None => Ok(()),
        }
    }
}
