//! The definitions to import into a broker: they match what a worker declares and grant no more than is needed.

use std::path::Path;
use std::sync::Arc;

use codemint_worker::broker::connection::BrokerConnection;
use codemint_worker::broker::error::BrokerError;
use codemint_worker::broker::publish::{Outgoing, Publisher};
use codemint_worker::broker::supervisor::Session;
use codemint_worker::broker::topology::declare;
use lapin::options::{BasicGetOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

use codemint_test_support::amqp::Peer;
use codemint_test_support::broker_steps::{job_message, settings};
use codemint_test_support::rabbitmq::Broker;

/// A broker with the definitions, whose users cannot log in yet.
fn broker_with_definitions() -> Broker {
    let broker = Broker::start();
    broker.import_definitions(&Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/rabbitmq/definitions.json"));
    broker
}

/// Gives all three users the password `secret`.
fn set_passwords(broker: &Broker) {
    for user in ["producer", "worker", "reader"] {
        let change = "rabbit_auth_backend_internal:change_password";
        broker.ask(&format!("{change}(<<\"codemint-{user}\">>, <<\"secret\">>, <<\"test\">>)"));
    }
}

fn url(broker: &Broker, user: &str, password: &str) -> String {
    format!("amqp://codemint-{user}:{password}@127.0.0.1:{}/%2F", broker.port())
}

async fn publisher(url: &str) -> Publisher {
    let connection = BrokerConnection::open(&settings(url), "test").await.expect("a connection");
    Publisher::open(Arc::new(connection)).await.expect("a publisher")
}

fn not_permitted<T>(result: lapin::Result<T>) -> bool {
    result.is_err_and(|error| error.to_string().contains("ACCESS-REFUSED"))
}

#[tokio::test(flavor = "multi_thread")]
async fn imported_definitions_match_what_a_worker_declares_and_permit_all_that_it_does() {
    let broker = broker_with_definitions();
    for password in ["", "guest", "secret"] {
        let refused = BrokerConnection::open(&settings(&url(&broker, "worker", password)), "test").await;
        assert!(matches!(refused, Err(BrokerError::Credentials { .. })), "{password:?}: {refused:?}");
    }
    set_passwords(&broker);
    let mut settings = settings(&url(&broker, "worker", "secret"));
    let session = Session::open(&settings).await.expect("no mismatch, and everything permitted");
    settings.declare = false;
    declare(&session.consuming, &settings).await.expect("everything there");
    session.publisher.publish(&job_message("one")).await.expect("a requeued message");
    let to = |exchange: &str, routing_key: &str| Outgoing {
        exchange: exchange.to_owned(),
        routing_key: routing_key.to_owned(),
        ..job_message("two")
    };
    session.publisher.publish(&to("codemint.dead", "codemint.jobs")).await.expect("a dead message");
    session.publisher.publish(&to("codemint.triggers", "codemint.triggers")).await.expect("a requeued trigger");
    let event = Outgoing { mandatory: false, ..to("codemint.events", "job.accepted") };
    session.publisher.publish(&event).await.expect("an event");
    session.publisher.publish(&to("", "codemint.jobs.dead")).await.expect("an answer to a queue");
    for queue in ["codemint.jobs", "codemint.triggers", "codemint.jobs.dead"] {
        let channel = session.consuming.channel().await.expect("a channel");
        let taken = channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }).await;
        assert!(taken.expect("permission to read").is_some(), "{queue}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_producer_may_publish_jobs_and_nothing_else() {
    let broker = broker_with_definitions();
    set_passwords(&broker);
    let url = url(&broker, "producer", "secret");
    publisher(&url).await.publish(&job_message("one")).await.expect("a job");
    let trigger = Outgoing {
        exchange: "codemint.triggers".to_owned(),
        routing_key: "codemint.triggers".to_owned(),
        ..job_message("one")
    };
    publisher(&url).await.publish(&trigger).await.expect("a trigger");
    for exchange in ["codemint.events", "codemint.dead", ""] {
        let elsewhere = Outgoing { exchange: exchange.to_owned(), ..job_message("two") };
        let refused = publisher(&url).await.publish(&elsewhere).await;
        assert!(matches!(refused, Err(BrokerError::NotPermitted { .. })), "{exchange:?}: {refused:?}");
    }
    let peer = Peer::connect(&url).await;
    for queue in ["codemint.jobs", "codemint.jobs.dead"] {
        let channel = peer.channel().await;
        assert!(not_permitted(channel.basic_get(queue.into(), BasicGetOptions::default()).await), "{queue}");
    }
    let channel = peer.channel().await;
    let declared = channel.queue_declare("mine".into(), QueueDeclareOptions::durable(), FieldTable::default()).await;
    assert!(not_permitted(declared));
    let connection = BrokerConnection::open(&settings(&url), "test").await.expect("a connection");
    let declared = declare(&connection, &settings(&url)).await;
    assert!(matches!(declared, Err(BrokerError::NotPermitted { .. })), "{declared:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_reader_may_create_its_own_queues_but_not_read_or_publish_jobs() {
    let broker = broker_with_definitions();
    set_passwords(&broker);
    let peer = Peer::connect(&url(&broker, "reader", "secret")).await;
    peer.declare("codemint-events-shop", FieldTable::default()).await;
    peer.bind("codemint-events-shop", "codemint.events", "job.*").await;
    let event = Outgoing {
        exchange: "codemint.events".to_owned(),
        routing_key: "job.completed".to_owned(),
        ..job_message("one")
    };
    publisher(&url(&broker, "worker", "secret")).await.publish(&event).await.expect("a routed event");
    assert_eq!(peer.take("codemint-events-shop").await.routing_key, "job.completed");

    let channel = peer.channel().await;
    assert!(not_permitted(channel.basic_get("codemint.jobs".into(), BasicGetOptions::default()).await));
    let channel = peer.channel().await;
    let (queue, exchange) = ("codemint-events-shop".into(), "codemint.jobs".into());
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    assert!(not_permitted(channel.queue_bind(queue, exchange, "codemint.jobs".into(), options, none).await));
    let refused = publisher(&url(&broker, "reader", "secret")).await.publish(&job_message("two")).await;
    assert!(matches!(refused, Err(BrokerError::NotPermitted { .. })), "{refused:?}");
}
