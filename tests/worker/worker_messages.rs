//! Bad messages to workers, with good messages in between.

use chrono::{DateTime, Utc};
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable};
use serde_json::json;
use uuid::Uuid;

use codemint_test_support::amqp::{Inbox, Message, Peer, durable};
use codemint_test_support::bad_messages::{self, Becomes, Case, MARK};
use codemint_test_support::on_both_stores;
use codemint_test_support::rabbitmq;
use codemint_test_support::site::{DEAD, EVENTS, JOBS, Site, publish, request, wait_for_end};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

const CASE: &str = "x-test-case";

/// Adds everything that a producer may set and that must be preserved.
fn labelled(properties: BasicProperties, number: usize) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert(CASE.into(), AMQPValue::LongLongInt(number as i64));
    headers.insert("traceparent".into(), AMQPValue::LongString("00-1-2-01".into()));
    properties.with_headers(headers).with_app_id("shop".into()).with_timestamp(1_700_000_000).with_priority(3)
}

fn text(message: &Message, header: &str) -> String {
    match message.header(header) {
        Some(AMQPValue::LongString(text)) => text.to_string(),
        other => panic!("{header}: {other:?} in {message:?}"),
    }
}

fn letter_of(letters: &[Message], number: usize) -> &Message {
    let mut of_case = letters.iter().filter(|letter| letter.header(CASE) == Some(&(number as i64).into()));
    let letter = of_case.next().unwrap_or_else(|| panic!("no dead letter for case {number}"));
    assert!(of_case.next().is_none(), "case {number}");
    letter
}

fn assert_buried(letter: &Message, number: usize, case: &Case) {
    let Becomes::Dead { reason, position } = &case.becomes else { return };
    let (said, place) = (text(letter, "x-codemint-reason"), text(letter, "x-codemint-position"));
    assert!(said.contains(reason.as_str()), "case {number}: {said:?}, expected {reason:?}");
    // The position of a case is empty where the parser chooses it.
    assert!(*position == place || position.is_empty() && place.starts_with("line "), "case {number}: {place} {said}");
    let time: DateTime<Utc> = text(letter, "x-codemint-time").parse().expect("a time");
    assert!((Utc::now() - time).num_seconds().abs() < 300, "{time}");
    assert_eq!(text(letter, "traceparent"), "00-1-2-01");
    assert!(letter.body == case.body, "case {number}: the body differs");
    let mut kept = labelled(case.properties.clone(), number);
    kept = kept.with_headers(letter.properties.headers().clone().expect("headers"));
    assert_eq!(letter.properties, kept, "case {number}");
}

/// Publishes a good message; some of them are edge cases.
async fn publish_good(peer: &Peer, number: usize) -> Uuid {
    let id = Uuid::now_v7();
    let mut message = request(id, &format!("{MARK}G{number:03}####"), 7);
    let mut properties = durable();
    match number % 8 {
        0 => message["more"] = json!({ "unknown": [1, 2, { "a": null }] }),
        1 => properties = properties.with_content_type("Application/JSON; charset=UTF-8".into()),
        2 => properties = properties.with_type("codemint.job.v1".into()).with_content_encoding("UTF-8".into()),
        3 => {
            message["job_id"] = json!(null);
            properties = properties.with_message_id(id.to_string().into());
        }
        4 => message["more"] = json!("x".repeat(65_536 - message.to_string().len() - ",\"more\":\"\"".len())),
        5 => message["job_id"] = json!(id.simple().to_string().to_uppercase()),
        6 => {
            message["priority"] = json!(null);
            message["campaign"] = json!(null);
        }
        _ => message["more"] = (0..100).fold(json!(1), |inner, _| json!([inner])),
    }
    peer.publish(JOBS, JOBS, message.to_string().as_bytes(), properties).await;
    id
}

async fn wait_for_ends(inbox: &mut Inbox, ids: &[Uuid]) {
    for id in ids {
        wait_for_end(inbox, *id).await;
    }
}

on_both_stores!(bad_messages_are_dead_lettered_or_fail_and_good_ones_in_between_are_served);
async fn bad_messages_are_dead_lettered_or_fail_and_good_ones_in_between_are_served(store: TestStore) {
    let site = Site::new(store).await;
    let worker = site.start_ready().await;
    let peer = site.peer().await;
    let mut letters = peer.listen("codemint.dead", "").await;
    let mut events = peer.listen(EVENTS, "job.*").await;
    let cases = bad_messages::all();
    assert!(cases.len() >= 300, "{}", cases.len());
    let mut good = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        peer.publish(JOBS, JOBS, &case.body, labelled(case.properties.clone(), number)).await;
        if number % 20 == 0 {
            good.push(publish_good(&peer, number / 20).await);
        }
    }
    let buried = cases.iter().filter(|case| matches!(case.becomes, Becomes::Dead { .. })).count();
    letters.collect_count(buried).await;
    wait_for_ends(&mut events, &good).await;
    for (number, case) in cases.iter().enumerate() {
        match case.becomes {
            Becomes::Dead { .. } => assert_buried(letter_of(&letters.messages, number), number, case),
            Becomes::Failed { id, code } => {
                assert_eq!(wait_for_end(&mut events, id).await, ["job.failed"], "case {number}");
                let event = events.messages.iter().find(|event| event.json()["subject"] == id.to_string());
                let event = event.expect("an event").json();
                assert_eq!(event["id"], format!("{id}/failed"));
                assert_eq!(
                    (&event["data"]["state"], &event["data"]["error"]["code"]),
                    (&"failed".into(), &code.into())
                );
                let job = site.store.store.find_job(id).await.expect("an answer").expect("the job");
                assert_eq!((job.error.expect("an error").code.as_str(), job.minted), (code, 0), "case {number}");
            }
        }
    }
    let depth = || rabbitmq::shared().queue_depth(site.vhost(), JOBS);
    wait_until("all messages are acknowledged", async || (depth().ready, depth().unacknowledged) == (0, 0)).await;
    assert_eq!(letters.messages.len(), buried);
    assert_eq!(peer.depth(DEAD).await as usize, buried);
    assert_eq!(site.count("select count(*) from codes").await, 7 * good.len() as i64);
    let ran = worker.terminate().await.expect_code(0);
    assert_eq!(ran.stderr.matches("connected to the broker").count(), 1, "{}", ran.stderr);
    assert!(!ran.stderr.contains("the broker is back") && !ran.stderr.contains("ERROR"), "{}", ran.stderr);
    assert!(!ran.stderr.contains(MARK), "a mask or a body is in the log");
}

#[tokio::test]
async fn regression_a_bad_message_with_user_and_expiration_stays_in_the_dead_queue() {
    let site = Site::new(TestStore::sqlite().await).await;
    rabbitmq::shared().add_user("shop", "shop", site.vhost(), [".*", ".*", ".*"]);
    let worker = site.start_ready().await;
    let shop = Peer::connect(&site.vhost().url_of("shop", "shop")).await;
    // The broker would refuse the name of another user, and drop an expired dead letter.
    let properties = durable().with_user_id("shop".into()).with_expiration("60000".into());
    shop.publish(JOBS, JOBS, b"no job", properties).await;
    let letter = shop.take(DEAD).await;
    assert_eq!(letter.body, b"no job");
    assert_eq!((letter.properties.user_id(), letter.properties.expiration()), (&None, &None));
    assert_eq!(text(&letter, "x-codemint-user-id"), "shop");
    assert_eq!(text(&letter, "x-codemint-expiration"), "60000");
    let id = Uuid::now_v7();
    let mut events = shop.listen(EVENTS, "job.*").await;
    publish(&shop, &request(id, "####", 5)).await;
    wait_for_end(&mut events, id).await;
    let ran = worker.terminate().await.expect_code(0);
    assert!(!ran.stderr.contains("the broker is back"), "{}", ran.stderr);
}

/// The message is acknowledged only once it is in the dead queue, or it would be lost if the worker died in between.
#[tokio::test]
async fn a_bad_message_that_the_dead_queue_refuses_outlives_a_killed_worker() {
    let site = Site::new(TestStore::sqlite().await).await;
    let worker = site.start_ready().await;
    let peer = site.peer().await;
    let mut events = peer.listen(EVENTS, "job.*").await;
    let broker = rabbitmq::shared();
    peer.publish("", DEAD, b"an earlier one", durable()).await;
    broker.close_when_filled(site.vhost(), DEAD);
    wait_until("the dead queue is full", async || {
        peer.try_publish("", DEAD, b"one more", durable()).await.is_ok_and(|confirmed| confirmed.is_nack())
    })
    .await;
    let before = peer.depth(DEAD).await;
    peer.publish(JOBS, JOBS, b"no job", durable()).await;
    let id = Uuid::now_v7();
    publish(&peer, &request(id, "####", 5)).await;
    wait_for_end(&mut events, id).await;
    let depth = || rabbitmq::shared().queue_depth(site.vhost(), JOBS);
    wait_until("the bad one is held", async || (depth().ready, depth().unacknowledged) == (0, 1)).await;
    worker.signal("KILL");
    worker.finish().await.expect_code(-9);
    wait_until("the bad one is back", async || (depth().ready, depth().unacknowledged) == (1, 0)).await;
    assert_eq!(peer.depth(DEAD).await, before);

    broker.open_queues(site.vhost());
    let worker = site.start_ready().await;
    wait_until("the bad one is dead-lettered", async || peer.depth(DEAD).await == before + 1).await;
    wait_until("all messages are acknowledged", async || (depth().ready, depth().unacknowledged) == (0, 0)).await;
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn a_change_of_the_check_key_is_refused_unless_the_message_accepts_it() {
    let site = Site::new(TestStore::postgres().await).await;
    let key = |name: &str, secret: &str| {
        let path = site.store.path().join(name);
        std::fs::write(&path, secret).expect("a file");
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("permissions");
        path.display().to_string()
    };
    let (first, second) = (key("first", "0123456789abcdef"), key("second", "fedcba9876543210"));
    let peer = site.peer().await;
    let order = async |more: serde_json::Value| {
        let id = Uuid::now_v7();
        let mut message = request(id, "####[:check:]", 5);
        more.as_object().expect("an object").iter().for_each(|(name, value)| message[name] = value.clone());
        publish(&peer, &message).await;
        id
    };
    let worker = site.start(&[("CODEMINT__CHECK__KEY_FILE", &first)], &[]);
    worker.wait_until_ready().await;
    let mut events = peer.listen(EVENTS, "job.*").await;
    let id = order(json!({})).await;
    assert_eq!(wait_for_end(&mut events, id).await.last().map(String::as_str), Some("job.completed"));
    worker.terminate().await.expect_code(0);

    let worker = site.start(&[("CODEMINT__CHECK__KEY_FILE", &second)], &[]);
    worker.wait_until_ready().await;
    let id = order(json!({ "new_check_key": false })).await;
    assert_eq!(wait_for_end(&mut events, id).await, ["job.failed"]);
    let error = site.store.store.find_job(id).await.expect("an answer").expect("the job").error.expect("an error");
    assert_eq!(error.code, "other_check_key");
    assert!(error.message.contains("\"new_check_key\": true"), "{}", error.message);
    for more in [json!({ "new_check_key": true }), json!({})] {
        let id = order(more).await;
        assert_eq!(wait_for_end(&mut events, id).await.last().map(String::as_str), Some("job.completed"));
    }
    worker.terminate().await.expect_code(0);
}
