//! The same message more than once: one job, and every requester receives its end.

use lapin::types::{AMQPValue, FieldTable};
use serde_json::json;
use uuid::Uuid;

use codemint_test_support::amqp::{Inbox, Message, Peer, durable};
use codemint_test_support::on_both_stores;
use codemint_test_support::rabbitmq;
use codemint_test_support::site::{DEAD, EVENTS, JOBS, Site, publish, request, wait_for_end};
use codemint_test_support::stores::TestStore;

/// Waits for this number of final events of a job; they all have the same id.
async fn wait_for_ends(inbox: &mut Inbox, id: Uuid, count: usize) {
    let end = format!("{id}/completed");
    let is_end = |message: &&Message| message.json()["id"] == end;
    let what = format!("{count} ends of {id}");
    inbox.collect(&what, |messages| messages.iter().filter(is_end).count() >= count).await;
}

fn correlation_id(message: &Message) -> Option<String> {
    message.properties.correlation_id().as_ref().map(ToString::to_string)
}

on_both_stores!(the_same_message_five_times_from_two_producers_to_two_workers_is_one_job);
async fn the_same_message_five_times_from_two_producers_to_two_workers_is_one_job(store: TestStore) {
    let site = Site::new(store).await;
    let workers = [site.start_ready().await, site.start_ready().await];
    let (one, two) = (site.peer().await, site.peer().await);
    let mut inbox = one.listen(EVENTS, "job.*").await;
    let id = Uuid::now_v7();
    let message = request(id, "SPRING????##", 60_000);
    let ((), ()) = tokio::join!(
        async {
            for _ in 0..3 {
                publish(&one, &message).await;
            }
        },
        async {
            for _ in 0..2 {
                publish(&two, &message).await;
            }
        }
    );
    wait_for_end(&mut inbox, id).await;
    publish(&two, &message).await;
    wait_for_ends(&mut inbox, id, 2).await;
    for message in &inbox.messages {
        let event = message.json();
        assert_eq!(event["subject"], id.to_string());
        let sent_id = message.properties.message_id().as_ref().expect("an id").to_string();
        assert_eq!(event["id"], sent_id);
        if message.routing_key == "job.completed" {
            assert_eq!(sent_id, format!("{id}/completed"));
            assert_eq!(event["data"]["minted"], 60_000);
        }
    }
    for worker in workers {
        worker.terminate().await.expect_code(0);
    }
    assert_eq!(site.count("select count(*) from jobs").await, 1);
    assert_eq!(site.count("select count(*) from codes").await, 60_000);
    assert_eq!(one.depth(DEAD).await, 0);
}

on_both_stores!(a_different_request_with_a_used_id_is_dead_lettered_with_the_reason);
async fn a_different_request_with_a_used_id_is_dead_lettered_with_the_reason(store: TestStore) {
    let site = Site::new(store).await;
    let worker = site.start_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.completed").await;
    let id = Uuid::now_v7();
    let mut message = request(id, "a####", 10);
    message["campaign"] = json!("spring");
    publish(&peer, &message).await;
    wait_for_end(&mut inbox, id).await;
    let others = [
        ("mask", json!("b####")),
        ("count", json!(11)),
        ("count", json!(0)),
        ("mask", json!("[")),
        ("campaign", json!("autumn")),
        ("campaign", json!(null)),
    ];
    for (field, value) in others {
        let mut other = message.clone();
        other[field] = value;
        publish(&peer, &other).await;
        let letter = peer.take(DEAD).await;
        let reason = format!("job {id} exists already with another mask, count or campaign");
        assert_eq!(letter.header("x-codemint-reason"), Some(&AMQPValue::LongString(reason.into())));
        assert_eq!(letter.json(), other);
    }
    // The same codes, written differently.
    let mut same = message.clone();
    (same["mask"], same["priority"]) = (json!("A#{4}"), json!(9));
    publish(&peer, &same).await;
    wait_for_ends(&mut inbox, id, 2).await;
    worker.terminate().await.expect_code(0);
    assert_eq!(
        (site.count("select count(*) from jobs").await, site.count("select count(*) from codes").await),
        (1, 10)
    );
    assert_eq!(peer.depth(DEAD).await, 0);
}

#[tokio::test]
async fn the_message_id_alone_identifies_a_job_and_a_request_is_refused_once() {
    let site = Site::new(TestStore::postgres().await).await;
    let worker = site.start_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let (good, bad) = (Uuid::now_v7(), Uuid::now_v7());
    for _ in 0..3 {
        for (id, mask) in [(good, "####"), (bad, "[")] {
            let properties = durable().with_message_id(id.to_string().into());
            let body = json!({ "mask": mask, "count": 5 }).to_string();
            peer.publish(JOBS, JOBS, body.as_bytes(), properties).await;
        }
    }
    wait_for_end(&mut inbox, good).await;
    let refused = format!("{bad}/failed");
    let is_refusal = |message: &&Message| message.json()["id"] == refused;
    inbox.collect("three refusals", |messages| messages.iter().filter(is_refusal).count() == 3).await;
    worker.terminate().await.expect_code(0);
    assert_eq!(site.count("select count(*) from jobs").await, 2);
    assert_eq!(site.count("select count(*) from codes").await, 5);
}

/// Sends a request with this reply queue.
async fn ask(peer: &Peer, id: Uuid, reply_to: &str, correlation_id: &str) {
    let properties = durable().with_reply_to(reply_to.into()).with_correlation_id(correlation_id.into());
    peer.publish(JOBS, JOBS, request(id, "R?????##", 1_000).to_string().as_bytes(), properties).await;
}

on_both_stores!(every_requester_receives_the_end_with_its_own_correlation_id);
async fn every_requester_receives_the_end_with_its_own_correlation_id(store: TestStore) {
    let site = Site::new(store).await;
    let worker = site.start_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    for queue in ["answers", "other-answers"] {
        peer.declare(queue, FieldTable::default()).await;
    }
    let id = Uuid::now_v7();
    ask(&peer, id, "answers", "request-1").await;
    let answer = peer.take("answers").await;
    assert_eq!((answer.exchange.as_str(), answer.routing_key.as_str()), ("", "answers"));
    assert_eq!(
        (&answer.json()["id"], answer.json()["data"]["minted"].as_u64()),
        (&format!("{id}/completed").into(), Some(1_000))
    );
    assert_eq!(correlation_id(&answer).as_deref(), Some("request-1"));
    wait_for_end(&mut inbox, id).await;
    assert!(inbox.messages.iter().all(|event| correlation_id(event).as_deref() == Some("request-1")));

    ask(&peer, id, "other-answers", "request-2").await;
    let answer = peer.take("other-answers").await;
    assert_eq!(answer.json()["id"], format!("{id}/completed"));
    assert_eq!(correlation_id(&answer).as_deref(), Some("request-2"), "regression: the first request's id");
    wait_for_ends(&mut inbox, id, 2).await;
    assert!(peer.get("answers").await.is_none());
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn an_undeliverable_reply_does_not_block_other_events() {
    let site = Site::new(TestStore::postgres().await).await;
    let peer = site.peer().await;
    site.drain().await;
    // This user may do everything but publish to a reply queue.
    rabbitmq::shared().add_user("mute", "mute", site.vhost(), [".*", "codemint.*", ".*"]);
    let muted = site.vhost().url_of("mute", "mute");
    for (url, queue) in [(&site.amqp_url, "nowhere"), (&muted, "answers")] {
        peer.declare("answers", FieldTable::default()).await;
        let worker = site.start(&[("CODEMINT__AMQP__URL", url)], &[]);
        worker.wait_until_ready().await;
        let mut inbox = peer.listen(EVENTS, "job.*").await;
        let ids = [0; 10].map(|_| Uuid::now_v7());
        for id in ids {
            ask(&peer, id, queue, "request").await;
        }
        for id in ids {
            let kinds = wait_for_end(&mut inbox, id).await;
            assert_eq!(kinds.last().map(String::as_str), Some("job.completed"), "{kinds:?}");
        }
        worker.terminate().await.expect_code(0);
        assert_eq!(site.count("select count(*) from outbox where reply_to is null").await, 0);
        assert!(peer.get("answers").await.is_none());
    }
}
