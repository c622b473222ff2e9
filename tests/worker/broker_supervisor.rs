//! The supervisor: sessions with the broker, one after another, whatever ends them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use codemint_telemetry::broker_status::BrokerStatus;
use codemint_worker::broker::error::BrokerError;
use codemint_worker::broker::settings::BrokerSettings;
use codemint_worker::broker::supervisor::{Session, supervise};
use futures_util::StreamExt;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueDeleteOptions};
use lapin::types::FieldTable;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use codemint_test_support::amqp::{Peer, durable};
use codemint_test_support::broker_steps::{job_message, settings};
use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::rabbitmq::{self, Broker, Vhost};
use codemint_test_support::waiting::{wait_until, wait_until_equal};

/// A running supervisor whose sessions acknowledge every message that arrives.
struct Supervised {
    stop: CancellationToken,
    status: watch::Receiver<BrokerStatus>,
    sessions: Arc<AtomicU32>,
    taken: Arc<AtomicU32>,
    prefetch: Arc<AtomicU32>,
    task: JoinHandle<Result<(), BrokerError>>,
}

impl Supervised {
    fn start(settings: BrokerSettings) -> Self {
        let stop = CancellationToken::new();
        let (sender, status) = watch::channel(BrokerStatus::Away { reason: "not yet".to_owned() });
        let counters: [Arc<AtomicU32>; 3] = Default::default();
        let [sessions, taken, prefetch] = counters.clone();
        let stopping = stop.clone();
        let task = tokio::spawn(async move {
            let work = |session: Arc<Session>| {
                let ([sessions, taken, prefetch], stop) = (counters.clone(), stopping.clone());
                async move {
                    prefetch.store(session.prefetch.into(), Ordering::SeqCst);
                    sessions.fetch_add(1, Ordering::SeqCst);
                    consume(&session, &taken, &stop).await
                }
            };
            supervise(&settings, None, &sender, &stopping, work).await
        });
        Self { stop, status, sessions, taken, prefetch, task }
    }

    async fn wait_for_status(&mut self, what: &str, is_it: impl Fn(&BrokerStatus) -> bool) -> BrokerStatus {
        let found = tokio::time::timeout(
            codemint_test_support::waiting::DEADLINE,
            self.status.wait_for(|status| is_it(status)),
        )
        .await;
        let found = found.unwrap_or_else(|_| panic!("timed out waiting until {what}"));
        found.expect("a running supervisor").clone()
    }

    async fn connected(&mut self) {
        self.wait_for_status("connected", |status| *status == BrokerStatus::Connected).await;
    }

    async fn away(&mut self) -> String {
        match self.wait_for_status("away", |status| matches!(status, BrokerStatus::Away { .. })).await {
            BrokerStatus::Away { reason } => reason,
            other => panic!("{other:?}"),
        }
    }

    async fn wait_until_taken(&self, count: u32) {
        let enough = async || self.taken.load(Ordering::SeqCst) >= count;
        wait_until(&format!("{count} messages"), enough).await;
    }

    async fn end(self) -> Result<(), BrokerError> {
        self.stop.cancel();
        self.task.await.expect("no panic")
    }
}

async fn consume(session: &Session, taken: &AtomicU32, stop: &CancellationToken) -> Result<(), BrokerError> {
    let lost = |error: lapin::Error| BrokerError::Lost { problem: error.to_string() };
    let channel = session.consuming.channel().await?;
    channel.basic_qos(session.prefetch, BasicQosOptions::default()).await.map_err(lost)?;
    let (queue, options) = ("codemint.jobs".into(), BasicConsumeOptions::default());
    let mut consumer = channel.basic_consume(queue, "".into(), options, FieldTable::default()).await.map_err(lost)?;
    loop {
        let next = tokio::select! {
            next = consumer.next() => next,
            () = stop.cancelled() => return Ok(()),
        };
        let Some(delivery) = next else { return Err(BrokerError::Lost { problem: "no consumer".to_owned() }) };
        let delivery = delivery.map_err(lost)?;
        if !delivery.ack(BasicAckOptions::default()).await.map_err(lost)? {
            return Err(BrokerError::Lost { problem: "not acknowledged".to_owned() });
        }
        taken.fetch_add(1, Ordering::SeqCst);
    }
}

/// Publishes a message to the job queue.
async fn send(vhost: &Vhost, body: &[u8]) {
    Peer::connect(&vhost.url()).await.publish("codemint.jobs", "codemint.jobs", body, durable()).await;
}

/// Closes the connections of a virtual host beside the test.
fn close_connections_of(vhost: &Vhost) -> JoinHandle<()> {
    let vhost = vhost.clone();
    tokio::task::spawn_blocking(move || rabbitmq::shared().close_connections_of(&vhost))
}

fn connections_of(broker: &Broker, vhost: &Vhost) -> String {
    let condition = format!("Vhost =:= <<\"{}\">>", vhost.name);
    let all = rabbitmq::connections("vhost, client_properties");
    broker.ask(&format!("[Properties || [{{vhost, Vhost}}, {{_, Properties}}] <- {all}, {condition}]"))
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_ended_by_the_broker_are_replaced_and_a_stop_closes_all_connections() {
    let (broker, vhost) = (rabbitmq::shared(), rabbitmq::shared().vhost());
    let mut supervised = Supervised::start(settings(&vhost.url()));
    for round in 1..=4 {
        supervised.connected().await;
        send(&vhost, b"{}").await;
        supervised.wait_until_taken(round).await;
        // The next session may begin before the broker has answered.
        let closing = close_connections_of(&vhost);
        assert_names(&supervised.away().await, &["lost", "closed by a test"]);
        closing.await.expect("no panic");
    }
    supervised.connected().await;
    let names = connections_of(broker, &vhost);
    assert_names(&names, &["codemint ", &format!("pid {} consumer", std::process::id()), "publisher"]);
    // The status changes before the work begins.
    wait_until_equal("sessions", &5, async || supervised.sessions.load(Ordering::SeqCst)).await;
    assert_eq!(supervised.prefetch.load(Ordering::SeqCst), 64);
    supervised.end().await.expect("a clean end");
    wait_until("the connections are closed", async || connections_of(broker, &vhost) == "[]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_starts_late_or_goes_away_is_waited_for() {
    let broker = Broker::start();
    let vhost = broker.vhost();
    broker.stop_app();
    let mut supervised = Supervised::start(settings(&vhost.url()));
    let refused = supervised.wait_for_status("a reason", |status| status.trouble() != Some("not yet".to_owned())).await;
    assert_names(&refused.trouble().expect("a reason"), &["cannot be reached", "127.0.0.1"]);
    broker.start_app();
    supervised.connected().await;
    send(&vhost, b"{}").await;
    supervised.wait_until_taken(1).await;
    broker.kill_9();
    supervised.away().await;
    broker.start_again();
    supervised.connected().await;
    send(&vhost, b"{}").await;
    supervised.wait_until_taken(2).await;

    broker.kill_9();
    supervised.away().await;
    let started = Instant::now();
    supervised.end().await.expect("a clean end");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_broker_is_noticed_by_its_missing_heartbeats() {
    let broker = Broker::start();
    let vhost = broker.vhost();
    let mut supervised = Supervised::start(settings(&format!("{}?heartbeat=1", vhost.url())));
    supervised.connected().await;
    broker.signal_all("STOP");
    assert_names(&supervised.away().await, &["lost", "heartbeat"]);
    broker.signal_all("CONT");
    supervised.connected().await;
    supervised.end().await.expect("a clean end");
}

/// The work may take ten seconds to end, in which readiness and metrics must not say "connected".
#[tokio::test(flavor = "multi_thread")]
async fn regression_a_lost_connection_is_reported_while_the_work_still_ends() {
    let (broker, vhost) = (rabbitmq::shared(), rabbitmq::shared().vhost());
    let (settings, stop, work_ended) = (settings(&vhost.url()), CancellationToken::new(), CancellationToken::new());
    let (sender, mut status) = watch::channel(BrokerStatus::Away { reason: "not yet".to_owned() });
    let guarded = work_ended.clone();
    let supervisor = tokio::spawn(async move {
        let work = |_session: Arc<Session>| {
            let guard = guarded.clone().drop_guard();
            async move {
                let _guard = guard;
                std::future::pending().await
            }
        };
        supervise(&settings, None, &sender, &stop, work).await
    });
    status.wait_for(|status| *status == BrokerStatus::Connected).await.expect("a running supervisor");
    broker.close_connections_of(&vhost);
    status.wait_for(|status| status.trouble().is_some()).await.expect("a running supervisor");
    assert!(!work_ended.is_cancelled());
    supervisor.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_error_ends_the_supervisor_at_the_start_and_is_retried_later_on() {
    let vhost = rabbitmq::shared().vhost();
    let wrong = Supervised::start(settings(&vhost.url_of("guest", "wrong"))).task.await.expect("no panic");
    assert!(matches!(wrong, Err(BrokerError::Credentials { .. })), "{wrong:?}");

    let mut supervised = Supervised::start(settings(&vhost.url()));
    supervised.connected().await;
    let peer = Peer::connect(&vhost.url()).await;
    let channel = peer.channel().await;
    channel.queue_delete("codemint.jobs".into(), QueueDeleteOptions::default()).await.expect("deleted");
    peer.declare("codemint.jobs", FieldTable::default()).await;
    let closing = close_connections_of(&vhost);
    let told = supervised.wait_for_status("a mismatch", |status| {
        status.trouble().is_some_and(|reason| reason.contains("exists with other arguments"))
    });
    told.await;
    closing.await.expect("no panic");
    let channel = Peer::connect(&vhost.url()).await.channel().await;
    channel.queue_delete("codemint.jobs".into(), QueueDeleteOptions::default()).await.expect("deleted");
    supervised.connected().await;
    supervised.end().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_deleted_under_its_consumer_is_declared_again() {
    let vhost = rabbitmq::shared().vhost();
    let mut supervised = Supervised::start(settings(&vhost.url()));
    supervised.connected().await;
    send(&vhost, b"{}").await;
    supervised.wait_until_taken(1).await;
    let peer = Peer::connect(&vhost.url()).await;
    let channel = peer.channel().await;
    channel.queue_delete("codemint.jobs".into(), QueueDeleteOptions::default()).await.expect("deleted");
    supervised.away().await;
    supervised.connected().await;
    send(&vhost, b"{}").await;
    supervised.wait_until_taken(2).await;
    supervised.end().await.expect("a clean end");
}

#[tokio::test(flavor = "multi_thread")]
async fn blocking_and_unblocking_by_the_broker_show_in_the_status() {
    let broker = Broker::start();
    let vhost = broker.vhost();
    let settings = settings(&vhost.url());
    let session = Session::open(&settings).await.expect("a session");
    let stop = CancellationToken::new();
    let (sender, mut status) = watch::channel(BrokerStatus::Connected);
    let work = |session: Arc<Session>| {
        let stop = stop.clone();
        async move {
            let message = job_message("one");
            while !stop.is_cancelled() {
                // Fails while the broker blocks; only the status matters here.
                let _blocked = session.publisher.publish(&message).await;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Ok(())
        }
    };
    let watching = async {
        let blocked = status.wait_for(|status| matches!(status, BrokerStatus::Blocked { .. })).await;
        assert!(format!("{:?}", *blocked.expect("a status")).contains("memory"));
        broker.set_vm_memory_high_watermark(0.4);
        status.wait_for(|status| *status == BrokerStatus::Connected).await.expect("a status");
        stop.cancel();
    };
    broker.set_vm_memory_high_watermark(0.0001);
    let all = async { tokio::join!(supervise(&settings, Some(session), &sender, &stop, work), watching) };
    let (ended, ()) = tokio::time::timeout(codemint_test_support::waiting::DEADLINE, all).await.expect("in time");
    ended.expect("a clean end");
}

/// The library cannot read a message whose id is not text, as a producer in another language can send it, and loses the
/// connection. The message comes back until its delivery limit; meanwhile no other message may be counted with it.
#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_message_is_dead_lettered_and_takes_no_other_with_it() {
    let (broker, vhost) = (rabbitmq::shared(), rabbitmq::shared().vhost());
    let mut settings = settings(&vhost.url());
    settings.delivery_limit = 5;
    Session::open(&settings).await.expect("a session").close().await;
    let jobs = "<<\"codemint.jobs\">>";
    let exchange = format!("rabbit_misc:r(<<\"{}\">>, exchange, {jobs})", vhost.name);
    broker.ask(&format!("rabbit_basic:publish({exchange}, {jobs}, [{{message_id, <<255, 254>>}}], <<\"poison\">>)"));
    for _ in 0..20 {
        send(&vhost, b"{}").await;
    }
    let supervised = Supervised::start(settings);
    supervised.wait_until_taken(20).await;
    let dead = async || broker.queue_depth(&vhost, "codemint.jobs.dead").ready == 1;
    wait_until("the message is dead-lettered", dead).await;
    let sessions = supervised.sessions.load(Ordering::SeqCst);
    assert!((3..=10).contains(&sessions), "{sessions}");
    supervised.end().await.expect("a clean end");
}
