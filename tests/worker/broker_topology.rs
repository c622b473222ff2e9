//! Exchanges and queues: declared, found as expected, or found to differ.

use codemint_worker::broker::connection::BrokerConnection;
use codemint_worker::broker::error::{BrokerError, BrokerErrorClass};
use codemint_worker::broker::publish::Publisher;
use codemint_worker::broker::topology::{declare, queue_depth};
use lapin::ExchangeKind;
use lapin::options::{BasicGetOptions, BasicRejectOptions, ExchangeDeclareOptions};
use lapin::types::FieldTable;

use std::sync::Arc;

use codemint_test_support::amqp::{Peer, durable};
use codemint_test_support::broker_steps::{job_message, settings};
use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::rabbitmq;

#[tokio::test]
async fn declaring_the_topology_is_idempotent_and_messages_reach_their_queues() {
    let vhost = rabbitmq::shared().vhost();
    let settings = settings(&vhost.url());
    let connection = Arc::new(BrokerConnection::open(&settings, "test").await.expect("a connection"));
    declare(&connection, &settings).await.expect("a topology");
    declare(&connection, &settings).await.expect("the same again");
    let mut checked = settings.clone();
    checked.declare = false;
    declare(&connection, &checked).await.expect("everything there");

    let publisher = Publisher::open(Arc::clone(&connection)).await.expect("a publisher");
    publisher.publish(&job_message("one")).await.expect("a routed message");
    assert_eq!(queue_depth(&connection, "codemint.jobs").await.expect("a depth").messages, 1);
    let peer = Peer::connect(&vhost.url()).await;
    let channel = peer.channel().await;
    let taken = channel.basic_get("codemint.jobs".into(), BasicGetOptions::default()).await;
    let rejected = taken.expect("a queue").expect("a message").reject(BasicRejectOptions { requeue: false }).await;
    assert!(rejected.expect("a rejection"));
    assert_eq!(peer.take("codemint.jobs.dead").await.body, b"{}");
}

#[tokio::test]
async fn a_queue_that_exists_with_another_argument_is_reported_with_both_values() {
    let vhost = rabbitmq::shared().vhost();
    let mut settings = settings(&vhost.url());
    let connection = BrokerConnection::open(&settings, "test").await.expect("a connection");
    declare(&connection, &settings).await.expect("a topology");
    settings.delivery_limit = 7;
    let error = declare(&connection, &settings).await.expect_err("a mismatch");
    assert_eq!(error.class(), BrokerErrorClass::Permanent);
    let named = ["queue 'codemint.jobs'", "x-delivery-limit is 100", "wanted is 7", "amqp.delivery_limit = 100"];
    assert_names(&error.to_string(), &named);

    settings.delivery_limit = 100;
    settings.names.dead_exchange = "another.dead".to_owned();
    let error = declare(&connection, &settings).await.expect_err("a mismatch");
    assert_names(&error.to_string(), &["x-dead-letter-exchange is codemint.dead", "wanted is another.dead"]);
    declare(&connection, &codemint_test_support::broker_steps::settings(&vhost.url()))
        .await
        .expect("a connection that still works");
}

#[tokio::test]
async fn exchanges_and_queues_of_another_type_are_reported() {
    let vhost = rabbitmq::shared().vhost();
    let settings = settings(&vhost.url());
    let peer = Peer::connect(&vhost.url()).await;
    peer.declare("codemint.jobs", FieldTable::default()).await;
    let connection = BrokerConnection::open(&settings, "test").await.expect("a connection");
    let error = declare(&connection, &settings).await.expect_err("a classic queue");
    assert_names(
        &error.to_string(),
        &["queue 'codemint.jobs'", "x-dead-letter-exchange is none", "wanted is codemint.dead"],
    );

    let vhost = rabbitmq::shared().vhost();
    let channel = Peer::connect(&vhost.url()).await.channel().await;
    let (kind, options) = (ExchangeKind::Direct, ExchangeDeclareOptions::default());
    let declared = channel.exchange_declare("codemint.dead".into(), kind, options, FieldTable::default()).await;
    declared.expect("an exchange");
    let settings = codemint_test_support::broker_steps::settings(&vhost.url());
    let connection = BrokerConnection::open(&settings, "test").await.expect("a connection");
    let error = declare(&connection, &settings).await.expect_err("another exchange");
    assert_names(&error.to_string(), &["exchange 'codemint.dead'", "type is direct", "wanted is fanout"]);
}

#[tokio::test]
async fn everything_missing_is_reported_at_once_if_nothing_may_be_declared() {
    let vhost = rabbitmq::shared().vhost();
    let mut settings = settings(&vhost.url());
    settings.declare = false;
    let connection = BrokerConnection::open(&settings, "test").await.expect("a connection");
    let error = declare(&connection, &settings).await.expect_err("nothing there");
    assert_eq!(error.class(), BrokerErrorClass::Permanent);
    let named = ["exchange 'codemint.dead'", "queue 'codemint.jobs.dead'", "exchange 'codemint.jobs'"];
    assert_names(&error.to_string(), &named);
    assert_names(&error.to_string(), &["queue 'codemint.jobs'", "exchange 'codemint.events'", "amqp.declare"]);
    let error = queue_depth(&connection, "codemint.jobs").await.expect_err("no queue");
    assert!(matches!(error, BrokerError::Missing { .. }), "{error:?}");
}

#[tokio::test]
async fn the_error_of_a_user_who_may_not_declare_names_what_was_not_permitted() {
    let vhost = rabbitmq::shared().vhost();
    rabbitmq::shared().add_user("modest", "secret", &vhost, ["^$", ".*", ".*"]);
    let settings = settings(&vhost.url_of("modest", "secret"));
    let connection = BrokerConnection::open(&settings, "test").await.expect("a connection");
    let error = declare(&connection, &settings).await.expect_err("no permission");
    assert_names(&error.to_string(), &["does not permit", "exchange 'codemint.dead'", "user 'modest'"]);
    assert_eq!(error.class(), BrokerErrorClass::Permanent);
}

/// Looking through the dead queue puts every message back, which must never drop one.
#[tokio::test]
async fn the_dead_queue_keeps_messages_that_are_put_back_a_hundred_times() {
    let vhost = rabbitmq::shared().vhost();
    let settings = settings(&vhost.url());
    let connection = BrokerConnection::open(&settings, "test").await.expect("a connection");
    declare(&connection, &settings).await.expect("a topology");
    let peer = Peer::connect(&vhost.url()).await;
    peer.publish("codemint.dead", "", b"kept", durable()).await;
    let channel = peer.channel().await;
    for _ in 0..100 {
        let taken = channel.basic_get("codemint.jobs.dead".into(), BasicGetOptions::default()).await;
        let message = taken.expect("a queue").expect("a message");
        assert!(message.reject(BasicRejectOptions { requeue: true }).await.expect("put back"));
    }
    assert_eq!(queue_depth(&connection, "codemint.jobs.dead").await.expect("a depth").messages, 1);
}
