//! `codemint dlq`: dead-lettered messages can be listed, shown, requeued and removed.

use std::sync::Arc;

use chrono::{TimeZone, Utc};
use codemint_codes::wire::message::Undecodable;
use codemint_store::connection::location::Location;
use codemint_store::connection::store::{Access, Store};
use codemint_worker::broker::connection::BrokerConnection;
use codemint_worker::broker::dead::dead_letter;
use codemint_worker::broker::publish::Publisher;
use codemint_worker::broker::topology::declare;
use lapin::BasicProperties;
use lapin::options::{BasicGetOptions, BasicRejectOptions};
use lapin::types::{AMQPValue, FieldTable};

use codemint_test_support::amqp::{Message, Peer, durable};
use codemint_test_support::broker_steps::settings;
use codemint_test_support::cli_steps::{EmptyPlace, assert_names};
use codemint_test_support::codemint::Ran;
use codemint_test_support::postgres::free_port;
use codemint_test_support::rabbitmq::{self, Depth, Vhost};
use codemint_test_support::waiting::wait_until_equal;

const JOBS: &str = "codemint.jobs";
const DEAD: &str = "codemint.jobs.dead";

/// A virtual host with the declared topology, and the program.
struct Desk {
    vhost: Vhost,
    place: EmptyPlace,
    peer: Peer,
    publisher: Publisher,
}

impl Desk {
    async fn new() -> Self {
        let vhost = rabbitmq::shared().vhost();
        let settings = settings(&vhost.url());
        let connection = Arc::new(BrokerConnection::open(&settings, "test").await.expect("a connection"));
        declare(&connection, &settings).await.expect("a topology");
        let publisher = Publisher::open(connection).await.expect("a publisher");
        let peer = Peer::connect(&vhost.url()).await;
        let place = EmptyPlace::create();
        // The store that the program uses by default.
        let location = Location::Sqlite(place.path().join("codemint.db"));
        Store::open(&location, Access::CreateFile).await.expect("a store").close().await.expect("a close");
        Self { vhost, place, peer, publisher }
    }

    async fn dlq(&self, args: &[&str], code: i32) -> Ran {
        let args: Vec<&str> = ["dlq"].iter().chain(args).copied().collect();
        self.place.run(&[("CODEMINT__AMQP__URL", &self.vhost.url())], &args, code).await
    }

    /// The rows of the audit log: action, result and count.
    async fn audit(&self) -> Vec<String> {
        let told = self.place.run(&[], &["audit", "--json"], 0).await.stdout;
        let rows = told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        rows.map(|row| format!("{} {} {}", row["action"], row["result"], row["count"])).collect()
    }

    /// Dead-letters a message as the intake does.
    async fn dead_letter(&self, properties: BasicProperties, body: &[u8], reason: &str, position: &str) {
        let names = settings(&self.vhost.url()).names;
        let now = Utc.with_ymd_and_hms(2026, 11, 24, 10, 30, 0).single().expect("a time");
        let why = Undecodable { reason: reason.to_owned(), position: position.to_owned() };
        let letter = dead_letter(&names, &names.jobs_queue, &properties, body, &why, now);
        self.publisher.publish(&letter).await.expect("a published message");
    }

    /// Waits until this many messages are ready and no consumer holds one.
    async fn expect_depth(&self, queue: &str, ready: u64) {
        let depth = || rabbitmq::shared().queue_depth(&self.vhost, queue);
        wait_until_equal(&format!("messages in {queue}"), &Depth { ready, unacknowledged: 0 }, async || depth()).await;
    }
}

fn named(id: &str) -> BasicProperties {
    durable().with_message_id(id.into()).with_content_type("application/json".into())
}

fn id_of(message: &Message) -> Option<String> {
    message.properties.message_id().as_ref().map(ToString::to_string)
}

#[tokio::test]
async fn dead_messages_are_listed_and_shown_with_their_reason_and_stay_in_the_queue() {
    let desk = Desk::new().await;
    assert_names(&desk.dlq(&["list"], 0).await.stderr, &["no dead-lettered messages"]);
    desk.dead_letter(named("first"), br#"{"count": "12"}"#, "count is a string", "/count").await;
    desk.dead_letter(durable(), b"\x1b[2Jboo\r\n\xe2\x80\xae", "not \x1b[31mJSON", "line 1 column 1").await;
    desk.dead_letter(named("third"), b"\xff\xfe", "not UTF-8", "").await;

    for _ in 0..3 {
        let list = desk.dlq(&["list"], 0).await;
        let named = ["first", "count is a string (/count)", "2026-11-24T10:30:00Z", "not UTF-8\n"];
        assert_names(&list.stdout, &named);
        assert!(!list.stdout.contains('\x1b'), "{}", list.stdout);
        assert_eq!(list.stdout.lines().count(), 4);
    }
    let list = desk.dlq(&["list", "--limit", "2", "--json"], 0).await.json();
    assert_eq!(list.as_array().map(Vec::len), Some(2));
    assert_eq!((&list[0]["number"], &list[0]["message_id"]), (&1.into(), &"first".into()));
    assert_eq!((&list[0]["reason"], &list[0]["position"]), (&"count is a string".into(), &"/count".into()));
    assert_eq!((&list[0]["from"], &list[0]["bytes"]), (&JOBS.into(), &15.into()));
    assert_names(&desk.dlq(&["list", "--limit", "1"], 0).await.stderr, &["2 more; raise --limit"]);

    for wanted in ["1", "first"] {
        assert_names(&desk.dlq(&["show", wanted], 0).await.stdout, &["no        1", "/count", r#"{"count": "12"}"#]);
    }
    let shown = desk.dlq(&["show", "2"], 0).await;
    assert_names(&shown.stdout, &["\\u{1b}[2Jboo", "\\u{202e}"]);
    assert!(!shown.stdout.contains('\x1b'), "{}", shown.stdout);
    assert_eq!(desk.dlq(&["show", "2", "--raw"], 0).await.stdout, "\x1b[2Jboo\r\n\u{202e}");
    let shown = desk.dlq(&["show", "third", "--json"], 0).await.json();
    assert_eq!((&shown["body"], &shown["body_hex"]), (&serde_json::Value::Null, &"fffe".into()));
    assert_names(
        &desk.dlq(&["show", "fourth"], 3).await.stderr,
        &["no dead-lettered message \"fourth\" among 3", "dlq list"],
    );
    assert_names(&desk.dlq(&["show", "4"], 3).await.stderr, &["no dead-lettered message"]);
    desk.expect_depth(DEAD, 3).await;
}

#[tokio::test]
async fn regression_a_message_without_an_id_is_listed_and_found_by_the_job_id_in_its_body() {
    let desk = Desk::new().await;
    let id = "0193f0a4-6c1e-7b6e-9a53-2f6f0b1c9d77";
    let body = format!(r#"{{"job_id":"{id}","mask":"A#","count":1e3}}"#);
    desk.dead_letter(durable(), body.as_bytes(), "count is 1e3", "/count").await;
    desk.dead_letter(named("second"), br#"{"job_id":"x\u001b[2J"}"#, "mask is missing", "/mask").await;
    let list = desk.dlq(&["list"], 0).await.stdout;
    assert_names(&list, &[id, "count is 1e3", "second"]);
    let json = desk.dlq(&["list", "--json"], 0).await.json();
    assert_eq!((&json[0]["message_id"], &json[0]["job_id"]), (&serde_json::Value::Null, &id.into()));
    assert_names(&desk.dlq(&["show", id], 0).await.stdout, &["message   -", &format!("job       {id}"), "1e3"]);
    assert_names(&desk.dlq(&["show", "second"], 0).await.stdout, &["message   second", r"job       x\u{1b}[2J"]);
    desk.dlq(&["requeue", id], 0).await;
    desk.expect_depth(DEAD, 1).await;
    assert_eq!(desk.dlq(&["list", "-q", "--limit", "1"], 0).await.stderr, "");
}

#[tokio::test]
async fn a_long_message_is_cut_when_shown_and_complete_with_raw() {
    let desk = Desk::new().await;
    let body = "€".repeat(500_000);
    desk.dead_letter(named("long"), body.as_bytes(), "too long", "").await;
    let shown = desk.dlq(&["show", "1"], 0).await;
    assert!(shown.stdout.len() < 70_000, "{}", shown.stdout.len());
    assert_names(&shown.stderr, &["cut after 65,536 bytes", "--raw"]);
    assert_eq!(desk.dlq(&["show", "1", "--json"], 0).await.json()["cut"], true);
    assert_eq!(desk.dlq(&["show", "1", "--raw"], 0).await.stdout, body);
}

#[tokio::test]
async fn messages_dead_lettered_by_the_broker_are_listed_with_its_reason() {
    let desk = Desk::new().await;
    desk.peer.publish(JOBS, JOBS, b"{}", named("rejected")).await;
    let channel = desk.peer.channel().await;
    let taken = channel.basic_get(JOBS.into(), BasicGetOptions::default()).await.expect("a queue");
    let rejected = taken.expect("a message").reject(BasicRejectOptions { requeue: false }).await;
    assert!(rejected.expect("a rejection"));
    desk.expect_depth(DEAD, 1).await;
    let list = desk.dlq(&["list", "--json"], 0).await.json();
    assert_eq!(list[0]["reason"], "a consumer rejected it (rejected)");
    assert_eq!(list[0]["from"], JOBS);
    assert!(list[0]["dead_at"].is_string(), "{list}");
}

#[tokio::test]
async fn messages_are_requeued_unchanged_one_by_one_or_all() {
    let desk = Desk::new().await;
    let mut headers = FieldTable::default();
    headers.insert("traceparent".into(), AMQPValue::LongString("00-1-2-01".into()));
    let first = named("first").with_headers(headers).with_correlation_id("a-request".into()).with_priority(3);
    desk.dead_letter(first, b"one", "a reason", "/mask").await;
    for id in ["second", "third", "fourth"] {
        desk.dead_letter(named(id), id.as_bytes(), "a reason", "").await;
    }
    assert_names(&desk.dlq(&["requeue", "third"], 0).await.stdout, &["1 message put back into codemint.jobs"]);
    assert_eq!(id_of(&desk.peer.take(JOBS).await).as_deref(), Some("third"));
    desk.expect_depth(DEAD, 3).await;
    assert_names(&desk.dlq(&["requeue", "1"], 0).await.stdout, &["1 message put back"]);
    let back = desk.peer.take(JOBS).await;
    assert_eq!((id_of(&back).as_deref(), back.body.as_slice()), (Some("first"), b"one".as_slice()));
    assert_eq!(back.properties.correlation_id(), &Some("a-request".into()));
    assert_eq!((back.properties.priority(), back.properties.delivery_mode()), (&Some(3), &Some(2)));
    let left: Vec<&str> = back.properties.headers().iter().flatten().map(|(name, _)| name.as_str()).collect();
    assert!(left.iter().all(|name| ["traceparent", "x-delivery-count"].contains(name)), "{left:?}");

    desk.dlq(&["requeue"], 2).await;
    assert_names(&desk.dlq(&["requeue", "--all"], 0).await.stdout, &["2 messages put back"]);
    assert_eq!(id_of(&desk.peer.take(JOBS).await).as_deref(), Some("second"));
    assert_names(&desk.dlq(&["requeue", "--all"], 0).await.stdout, &["0 messages put back"]);
    assert_names(&desk.dlq(&["requeue", "1"], 3).await.stderr, &["no dead-lettered message"]);
}

#[tokio::test]
async fn purging_needs_a_confirmation() {
    let desk = Desk::new().await;
    desk.dead_letter(named("first"), b"one", "a reason", "").await;
    assert_names(&desk.dlq(&["purge"], 2).await.stderr, &["--yes"]);
    desk.expect_depth(DEAD, 1).await;
    assert_names(&desk.dlq(&["purge", "--yes"], 0).await.stdout, &["1 message removed"]);
    desk.expect_depth(DEAD, 0).await;
    assert_eq!(desk.audit().await, [r#""dead_purge" "begun" null"#, r#""dead_purge" "done" 1"#]);
}

#[tokio::test]
async fn requeues_and_purges_are_recorded_in_the_audit_log_or_not_done() {
    let desk = Desk::new().await;
    desk.dead_letter(named("first"), b"one", "a reason", "").await;
    desk.dlq(&["requeue", "second"], 3).await;
    desk.dlq(&["requeue", "first"], 0).await;
    let told = [
        r#""dead_requeue" "begun" null"#,
        r#""dead_requeue" "failed" 0"#,
        r#""dead_requeue" "begun" null"#,
        r#""dead_requeue" "done" 1"#,
    ];
    assert_eq!(desk.audit().await, told);
    desk.dead_letter(named("third"), b"three", "a reason", "").await;
    std::fs::remove_file(desk.place.path().join("codemint.db")).expect("a store");
    for args in [["purge", "--yes"], ["requeue", "--all"]] {
        assert_names(&desk.dlq(&args, 2).await.stderr, &["there is no store"]);
    }
    desk.expect_depth(DEAD, 1).await;
}

/// Each of these properties would cost the connection, or later the message.
#[tokio::test]
async fn properties_that_the_broker_would_not_accept_again_are_dropped() {
    let desk = Desk::new().await;
    rabbitmq::shared().add_user("producer", "secret", &desk.vhost, ["^$", ".*", "^$"]);
    let producer = Peer::connect(&desk.vhost.url_of("producer", "secret")).await;
    let mut headers = FieldTable::default();
    headers.insert("long".into(), AMQPValue::LongString("x".repeat(130_000).into()));
    let properties = named("odd").with_user_id("producer".into()).with_expiration("60000".into());
    producer.publish(JOBS, JOBS, b"odd", properties.with_headers(headers)).await;
    let message = desk.peer.take(JOBS).await;
    desk.dead_letter(message.properties, &message.body, &"long ".repeat(50_000), "").await;
    let buried = desk.peer.get(DEAD).await.expect("a message");
    assert_eq!((buried.properties.expiration(), buried.properties.user_id()), (&None, &None));
    assert_eq!(id_of(&buried).as_deref(), Some("odd"));
    assert!(buried.header("long").is_none() && buried.header("x-codemint-reason").is_some());
}

#[tokio::test]
async fn an_unreadable_message_is_reported_as_unreadable() {
    let desk = Desk::new().await;
    let exchange = format!("rabbit_misc:r(<<\"{}\">>, exchange, <<\"codemint.dead\">>)", desk.vhost.name);
    let broken = format!("rabbit_basic:publish({exchange}, <<>>, [{{message_id, <<255, 254>>}}], <<\"poison\">>)");
    rabbitmq::shared().ask(&broken);
    desk.expect_depth(DEAD, 1).await;
    assert_names(&desk.dlq(&["list"], 5).await.stderr, &["cannot be decoded", "invalid text blocks the queue"]);
    desk.expect_depth(DEAD, 1).await;
    desk.dlq(&["purge", "--yes"], 0).await;
}

#[tokio::test]
async fn without_a_broker_each_command_reports_what_is_missing() {
    let place = EmptyPlace::create();
    for args in [["dlq", "list"].as_slice(), &["dlq", "show", "1"], &["dlq", "purge", "--yes"], &["dead", "list"]] {
        assert_names(&place.run(&[], args, 2).await.stderr, &["amqp.url"]);
    }
    let away = format!("amqp://guest:hidden@127.0.0.1:{}/%2F", free_port());
    let ran = place.run(&[("CODEMINT__AMQP__URL", &away)], &["dlq", "list"], 5).await;
    assert_names(&ran.stderr, &["cannot be reached"]);
    assert!(!ran.stderr.contains("hidden"), "{}", ran.stderr);
    let empty = rabbitmq::shared().vhost().url();
    let ran = place.run(&[("CODEMINT__AMQP__URL", &empty)], &["dlq", "list"], 2).await;
    assert_names(&ran.stderr, &["does not have queue 'codemint.jobs.dead'"]);
}
