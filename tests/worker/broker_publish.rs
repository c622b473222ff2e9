//! Publishing: every message gets a result, whatever the broker does.

use std::sync::Arc;
use std::time::{Duration, Instant};

use codemint_worker::broker::connection::BrokerConnection;
use codemint_worker::broker::error::{BrokerError, BrokerErrorClass};
use codemint_worker::broker::publish::{Outgoing, Publisher};
use codemint_worker::broker::topology::{declare, queue_depth};
use lapin::types::{AMQPValue, FieldTable};
use tokio_util::sync::CancellationToken;

use codemint_test_support::amqp::{Peer, quorum};
use codemint_test_support::broker_steps::{job_message, settings};
use codemint_test_support::rabbitmq::{self, Broker, Vhost};
use codemint_test_support::waiting::wait_until;

/// Declares the topology and opens a publisher.
async fn publisher(vhost: &Vhost) -> (Arc<BrokerConnection>, Publisher) {
    let settings = settings(&vhost.url());
    let connection = Arc::new(BrokerConnection::open(&settings, "test").await.expect("a connection"));
    declare(&connection, &settings).await.expect("a topology");
    let publisher = Publisher::open(Arc::clone(&connection)).await.expect("a publisher");
    (connection, publisher)
}

fn nowhere(id: &str) -> Outgoing {
    Outgoing { routing_key: "nowhere".to_owned(), ..job_message(id) }
}

fn is_unroutable(result: &Result<(), BrokerError>) -> bool {
    matches!(result, Err(BrokerError::Unroutable { routing_key, .. }) if routing_key == "nowhere")
}

#[tokio::test]
async fn messages_keep_their_order_and_exactly_the_unroutable_ones_are_reported() {
    let vhost = rabbitmq::shared().vhost();
    let (_connection, publisher) = publisher(&vhost).await;
    let mut messages: Vec<Outgoing> = (0..600).map(|number| job_message(&number.to_string())).collect();
    for lost in [0, 3, 4, 100, 101, 350, 598, 599] {
        messages[lost] = nowhere(&lost.to_string());
    }
    let results = publisher.publish_all(&messages).await;
    for (message, result) in messages.iter().zip(&results) {
        assert_eq!(is_unroutable(result), message.routing_key == "nowhere", "{:?}: {result:?}", message.message_id);
        assert_eq!(result.is_ok(), message.routing_key != "nowhere", "{:?}: {result:?}", message.message_id);
    }
    let peer = Peer::connect(&vhost.url()).await;
    let routed = messages.iter().filter(|message| message.routing_key != "nowhere");
    for (message, taken) in routed.zip(peer.take_in_order("codemint.jobs", 592).await) {
        assert_eq!(taken.properties.message_id().as_ref().map(ToString::to_string), message.message_id);
    }
}

#[tokio::test]
async fn a_message_is_persistent_and_names_its_sender_and_time() {
    let vhost = rabbitmq::shared().vhost();
    let (_connection, publisher) = publisher(&vhost).await;
    let message = Outgoing {
        message_type: Some("codemint.job.accepted.v1".to_owned()),
        correlation_id: Some("a-request".to_owned()),
        headers: vec![("traceparent", "00-1-2-01".to_owned())],
        ..job_message("one")
    };
    publisher.publish(&message).await.expect("a routed message");
    let taken = Peer::connect(&vhost.url()).await.take("codemint.jobs").await;
    let properties = &taken.properties;
    assert_eq!(properties.delivery_mode(), &Some(2));
    assert_eq!(properties.app_id(), &Some("codemint".into()));
    assert_eq!(properties.kind(), &Some("codemint.job.accepted.v1".into()));
    assert_eq!(properties.content_type(), &Some("application/json".into()));
    assert_eq!(properties.correlation_id(), &Some("a-request".into()));
    assert_eq!(taken.header("traceparent"), Some(&AMQPValue::LongString("00-1-2-01".into())));
    let age = chrono::Utc::now().timestamp().unsigned_abs().abs_diff(properties.timestamp().expect("a time"));
    assert!(age < 60, "{age}");
}

#[tokio::test]
async fn an_event_without_a_bound_queue_is_not_an_error() {
    let vhost = rabbitmq::shared().vhost();
    let (_connection, publisher) = publisher(&vhost).await;
    let exchange = "codemint.events".to_owned();
    let event = Outgoing { exchange, mandatory: false, ..job_message("one") };
    publisher.publish(&event).await.expect("no error without a bound queue");
    let missed = publisher.publish(&Outgoing { mandatory: true, ..event }).await.expect_err("no bound queue");
    assert!(matches!(missed, BrokerError::Unroutable { .. }), "{missed:?}");
}

#[tokio::test]
async fn a_name_too_long_for_the_protocol_fails_only_its_own_message() {
    let vhost = rabbitmq::shared().vhost();
    let (connection, publisher) = publisher(&vhost).await;
    let long = Outgoing { correlation_id: Some("x".repeat(256)), ..job_message("two") };
    let misled = Outgoing { routing_key: "x".repeat(256), ..job_message("three") };
    let results = publisher.publish_all(&[job_message("one"), long, misled, job_message("four")]).await;
    assert!(results[0].is_ok() && results[3].is_ok(), "{results:?}");
    assert_eq!(results[1], Err(BrokerError::TooLong { field: "correlation id", bytes: 256 }));
    assert_eq!(results[2], Err(BrokerError::TooLong { field: "routing key", bytes: 256 }));
    assert_eq!(queue_depth(&connection, "codemint.jobs").await.expect("a depth").messages, 2);
}

#[tokio::test]
async fn a_queue_that_rejects_because_it_is_full_is_a_retryable_error() {
    let vhost = rabbitmq::shared().vhost();
    let (_connection, publisher) = publisher(&vhost).await;
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    Peer::connect(&vhost.url()).await.declare("small", arguments).await;
    let to_small = |id: &str| Outgoing { exchange: String::new(), routing_key: "small".to_owned(), ..job_message(id) };
    publisher.publish(&to_small("one")).await.expect("space in the queue");
    let error = publisher.publish(&to_small("two")).await.expect_err("a full queue");
    assert_eq!(error, BrokerError::NotTaken);
    assert_eq!(error.class(), BrokerErrorClass::Away);
    publisher.publish(&job_message("three")).await.expect("a publisher that still works");
}

#[tokio::test]
async fn a_missing_exchange_fails_the_message_and_ends_the_connection() {
    let vhost = rabbitmq::shared().vhost();
    let (connection, publisher) = publisher(&vhost).await;
    let lost = Outgoing { exchange: "gone".to_owned(), ..job_message("one") };
    let (ended, result) = tokio::join!(connection.ended(|_| ()), publisher.publish(&lost));
    assert!(matches!(ended, BrokerError::Missing { .. }), "{ended:?}");
    assert_eq!(result, Err(ended));
}

#[tokio::test]
async fn an_interrupted_publisher_continues_on_a_new_channel() {
    let vhost = rabbitmq::shared().vhost();
    let (_connection, publisher) = publisher(&vhost).await;
    let unroutable: Vec<Outgoing> = (0..50).map(|number| nowhere(&number.to_string())).collect();
    for pause_us in [0, 50, 200, 1000, 3000] {
        let publishing = publisher.publish_all(&unroutable);
        let _interrupted = tokio::time::timeout(Duration::from_micros(pause_us), publishing).await;
        // A late confirm of an interrupted message must not be taken for the confirm of this one.
        publisher.publish(&job_message("one")).await.expect("a routed message");
        assert!(is_unroutable(&publisher.publish(&nowhere("x")).await));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocking_broker_is_noticed_and_waiting_messages_arrive_once_it_unblocks() {
    let broker = Broker::start();
    let vhost = broker.vhost();
    let (connection, publisher) = publisher(&vhost).await;
    let hasty = Publisher::open(Arc::clone(&connection)).await.expect("a publisher");
    let hasty = hasty.with_confirm_timeout(Duration::from_millis(500));
    broker.set_vm_memory_high_watermark(0.0001);
    wait_until("an alarm", async || broker.ask("rabbit_alarm:get_alarms()") != "[]").await;

    let first = job_message("first");
    let publishing = publisher.publish(&first);
    let meanwhile = async {
        wait_until("blocked", async || connection.is_blocked()).await;
        let started = Instant::now();
        assert_eq!(hasty.publish(&job_message("second")).await, Err(BrokerError::Blocked));
        assert!(started.elapsed() < Duration::from_secs(5));
        let (second, stop) = (job_message("second"), CancellationToken::new());
        let free = async { broker.set_vm_memory_high_watermark(0.4) };
        let (taken, ()) = tokio::join!(hasty.publish_until_taken(&second, &stop), free);
        taken.expect("a message taken in the end");
    };
    let (published, ()) = tokio::join!(publishing, meanwhile);
    published.expect("a confirmed message");
    wait_until("the broker takes messages again", async || !connection.is_blocked()).await;
    let (third, stop) = (job_message("third"), CancellationToken::new());
    hasty.publish_until_taken(&third, &stop).await.expect("a publisher that can be used again");
}

#[tokio::test(flavor = "multi_thread")]
async fn publishing_to_a_frozen_broker_times_out() {
    let broker = Broker::start();
    let vhost = broker.vhost();
    let (_connection, publisher) = publisher(&vhost).await;
    let hasty = publisher.with_confirm_timeout(Duration::from_millis(300));
    broker.signal_all("STOP");
    let result = hasty.publish(&job_message("one")).await;
    assert_eq!(result, Err(BrokerError::NotConfirmed { seconds: 0 }));
    broker.signal_all("CONT");
    let message = job_message("two");
    wait_until("the broker answers again", async || hasty.publish(&message).await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_messages_are_confirmed_faster_together_than_one_by_one() {
    let vhost = rabbitmq::shared().vhost();
    let (_connection, publisher) = publisher(&vhost).await;
    Peer::connect(&vhost.url()).await.declare("many", quorum()).await;
    let messages: Vec<Outgoing> = (0..1000).map(|number| job_message(&number.to_string())).collect();
    let started = Instant::now();
    let results = publisher.publish_all(&messages).await;
    let together = started.elapsed();
    assert!(results.iter().all(Result::is_ok));
    let started = Instant::now();
    for message in &messages[..50] {
        publisher.publish(message).await.expect("a routed message");
    }
    let one_by_one = started.elapsed() * 20;
    assert!(together < one_by_one, "{together:?} together, {one_by_one:?} one by one");
}
