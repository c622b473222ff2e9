//! Tests that take minutes by their nature; `./tests/run --long` runs them too.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt;
use lapin::options::{BasicConsumeOptions, QueueDeclareOptions};
use lapin::types::FieldTable;
use uuid::Uuid;

use codemint_test_support::amqp::{Message, Peer, durable};
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::rabbitmq::{Broker, Setup};
use codemint_test_support::site::{DEAD, EVENTS, JOBS, Site, publish, request};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

/// Longer than the broker waits for an acknowledgement, plus the time until it notices the lack of one.
const OUTAGE: Duration = Duration::from_secs(180);
const RUNNING_JOBS: usize = 4;
const WAITING_JOBS: usize = 24;
const RUNNING_COUNT: u64 = 400_000;
const WAITING_COUNT: u64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes four minutes"]
async fn a_store_that_hangs_beyond_the_brokers_acknowledgement_timeout_loses_nothing() {
    let setup = Setup { settings: "consumer_timeout = 60000\n".to_owned(), files: Vec::new() };
    let broker = Broker::start_with(&setup);
    let server = Server::start(Durability::None);
    create_database(&server.url("postgres"), "codemint").await;
    let site = Site::at(TestStore::postgres_at(&server.url("codemint")).await, &broker).await;
    let environment = [("CODEMINT__AMQP__DELIVERY_TIMEOUT_SECONDS", "30"), ("CODEMINT__AMQP__PREFETCH", "16")];
    let worker = site.start(&environment, &[]);
    worker.wait_until_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let careless = tokio::spawn(consume_without_acknowledging(site.amqp_url.clone()));

    let mut asked = BTreeSet::new();
    for _ in 0..RUNNING_JOBS {
        asked.insert(ask(&peer, RUNNING_COUNT).await);
    }
    let minted = async || site.count("select count(*) from codes").await > 0;
    wait_until("the first codes", minted).await;
    server.signal_all("STOP");
    for _ in 0..WAITING_JOBS {
        asked.insert(ask(&peer, WAITING_COUNT).await);
    }
    tokio::time::sleep(OUTAGE).await;
    assert_eq!(broker.queue_depth(site.vhost(), JOBS).unacknowledged, 0, "the messages went back");
    server.signal_all("CONT");

    // An event that was published, but not yet removed from the outbox when the store hung, is published again.
    let ended = |messages: &[Message]| {
        let ends = messages.iter().filter(|message| message.routing_key == "job.completed");
        ends.map(|message| message.json()["subject"].to_string()).collect::<BTreeSet<String>>()
    };
    let count = asked.len();
    inbox.collect("all jobs", |messages| ended(messages).len() >= count).await;
    assert_eq!(ended(&inbox.messages), asked, "these jobs and no other");
    assert_eq!(peer.depth(DEAD).await, 0, "no valid message is dead-lettered");
    let codes = (RUNNING_JOBS as u64 * RUNNING_COUNT + WAITING_JOBS as u64 * WAITING_COUNT) as i64;
    assert_eq!(site.count("select count(*) from codes").await, codes);
    assert_eq!(site.completed().await, count as i64);
    let error = careless.await.expect("the control");
    assert!(error.contains("delivery acknowledgement") || error.contains("PRECONDITION"), "the control: {error}");
    worker.terminate().await.expect_code(0);
}

/// Publishes a request, and returns the job's id as JSON shows it.
async fn ask(peer: &Peer, count: u64) -> String {
    let id = Uuid::now_v7();
    publish(peer, &request(id, "LONG[:safe:]{8}", count)).await;
    format!("\"{id}\"")
}

/// Consumes as a worker would that waits for its store without returning messages, and returns the broker's error.
async fn consume_without_acknowledging(url: String) -> String {
    let peer = Peer::connect(&url).await;
    let channel = peer.channel().await;
    let none = FieldTable::default;
    channel.queue_declare("careless".into(), QueueDeclareOptions::durable(), none()).await.expect("a queue");
    peer.publish("", "careless", b"never acknowledged", durable()).await;
    let consuming = channel.basic_consume("careless".into(), "".into(), BasicConsumeOptions::default(), none()).await;
    let mut consumer = consuming.expect("a consumer");
    consumer.next().await.expect("a message").expect("a message");
    match consumer.next().await {
        Some(Err(error)) => error.to_string(),
        Some(Ok(_)) => "it was delivered twice on one channel".to_owned(),
        None => "the consumer ended without an error".to_owned(),
    }
}
