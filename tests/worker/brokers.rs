//! The brokers that other tests rely on: they do what a test makes them do, and lose nothing else.

use lapin::Event;
use lapin::types::FieldTable;

use codemint_test_support::amqp::{Peer, durable, quorum};
use codemint_test_support::authority::Authority;
use codemint_test_support::rabbitmq::{self, Broker, Depth, Setup};
use codemint_test_support::waiting::wait_until;

#[tokio::test]
async fn a_message_arrives_with_its_properties_and_only_in_its_own_virtual_host() {
    let (vhost, other) = (rabbitmq::shared().vhost(), rabbitmq::shared().vhost());
    let peer = Peer::connect(&vhost.url()).await;
    let mut inbox = peer.listen("amq.topic", "job.*").await;
    let stranger = Peer::connect(&other.url()).await;
    let mut foreign = stranger.listen("amq.topic", "#").await;

    let mut headers = FieldTable::default();
    headers.insert("attempt".into(), 3i32.into());
    let properties = durable().with_message_id("one".into()).with_headers(headers);
    peer.publish("amq.topic", "job.completed", br#"{"count":10}"#, properties).await;

    let message = &inbox.collect_count(1).await[0];
    assert_eq!((message.exchange.as_str(), message.routing_key.as_str()), ("amq.topic", "job.completed"));
    assert_eq!(message.json()["count"], 10);
    assert_eq!(message.properties.message_id().as_ref().map(|id| id.as_str()), Some("one"));
    assert_eq!(message.header("attempt"), Some(&3i32.into()));
    stranger.publish("amq.topic", "job.completed", b"the first that arrives there", durable()).await;
    assert_eq!(foreign.collect_count(1).await[0].body, b"the first that arrives there");
}

#[tokio::test]
async fn the_depth_of_a_queue_counts_ready_and_unacknowledged_messages() {
    let vhost = rabbitmq::shared().vhost();
    let peer = Peer::connect(&vhost.url()).await;
    for (queue, arguments) in [("replicated", quorum()), ("plain", FieldTable::default())] {
        peer.declare(queue, arguments).await;
        for _ in 0..3 {
            peer.publish("", queue, b"a body", durable()).await;
        }
        let channel = peer.channel().await;
        let held = channel.basic_get(queue.into(), lapin::options::BasicGetOptions::default()).await;
        assert!(held.expect("a queue").is_some());
        let depth = || rabbitmq::shared().queue_depth(&vhost, queue);
        assert_eq!(depth(), Depth { ready: 2, unacknowledged: 1 }, "{queue}");
        assert_eq!(peer.depth(queue).await, 2, "{queue}");
        assert_eq!(peer.take(queue).await.body, b"a body");
        wait_until("the message is gone", async || depth() == Depth { ready: 1, unacknowledged: 1 }).await;
        peer.purge(queue).await;
        assert!(peer.get(queue).await.is_none());
    }
}

#[tokio::test]
async fn two_servers_start_at_once_and_a_killed_one_keeps_a_durable_message() {
    let starting = || tokio::task::spawn_blocking(Broker::start);
    let (one, two) = tokio::join!(starting(), starting());
    let (one, two) = (one.expect("a server"), two.expect("a server"));
    let (killed, living) = (one.vhost(), two.vhost());
    let unharmed = Peer::connect(&living.url()).await;
    let mut inbox = unharmed.listen("amq.topic", "#").await;
    let peer = Peer::connect(&killed.url()).await;
    peer.declare("jobs", quorum()).await;
    peer.publish("", "jobs", b"kept", durable()).await;

    one.kill_9();
    assert!(Peer::try_connect(&killed.url(), None).await.is_err());
    unharmed.publish("amq.topic", "still.there", b"unharmed", durable()).await;
    assert_eq!(inbox.collect_count(1).await[0].body, b"unharmed");
    one.start_again();

    let message = Peer::connect(&killed.url()).await.take("jobs").await;
    assert_eq!(message.body, b"kept");
}

#[tokio::test]
async fn clients_of_a_server_are_disconnected_blocked_and_accepted_again() {
    let broker = Broker::start();
    let vhost = broker.vhost();
    let peer = Peer::connect(&vhost.url()).await;
    let told = peer.wait_for_event("an error", |event| matches!(event, Event::Error(_)));
    tokio::join!(told, async { broker.close_all_connections() });

    broker.stop_app();
    assert!(Peer::try_connect(&vhost.url(), None).await.is_err());
    broker.start_app();
    let peer = Peer::connect(&vhost.url()).await;
    peer.declare("jobs", quorum()).await;

    broker.set_vm_memory_high_watermark(0.0001);
    // A message that arrives before the alarm is confirmed.
    wait_until("an alarm", async || broker.ask("rabbit_alarm:get_alarms()") != "[]").await;
    let publishing = peer.try_publish("", "jobs", b"late", durable());
    let blocked = peer.wait_for_event("the broker blocks", |event| matches!(event, Event::ConnectionBlocked(_)));
    let freed = async {
        blocked.await;
        broker.set_vm_memory_high_watermark(0.4);
    };
    let (published, ()) = tokio::join!(publishing, freed);
    assert!(published.expect("a confirm").is_ack());

    broker.add_user("reader", "a \"secret\"", &vhost, ["^$", "^$", ".*"]);
    assert!(broker.ctl(&["list_user_permissions", "reader"]).contains("^$"));
    let reader = Peer::connect(&vhost.url_of("reader", "a%20%22secret%22")).await;
    assert_eq!(reader.take("jobs").await.body, b"late");
}

#[tokio::test]
async fn a_server_is_reached_over_tls_only_with_its_own_authority() {
    let authority = Authority::create();
    let (certificate, key) = authority.server_certificate("localhost");
    let settings = "listeners.ssl.default = 127.0.0.1:{tls_port}\nssl_options.certfile = {directory}/server.crt\n\
                    ssl_options.keyfile = {directory}/server.key\nconsumer_timeout = 60000";
    let broker = Broker::start_with(&Setup {
        settings: settings.to_owned(),
        files: vec![("server.crt".to_owned(), certificate), ("server.key".to_owned(), key)],
    });
    let url = broker.vhost().tls_url();
    let peer = Peer::try_connect(&url, Some(authority.certificate_pem())).await.expect("a connection");
    peer.declare("jobs", quorum()).await;
    peer.publish("", "jobs", b"sealed", durable()).await;
    assert_eq!(peer.take("jobs").await.body, b"sealed");
    assert!(Peer::try_connect(&url, Some(Authority::create().certificate_pem())).await.is_err());
}
