//! Triggers by message: each is handled once, whatever happens to the worker; what is no trigger is dead-lettered.

use std::collections::BTreeSet;

use codemint_test_support::amqp::{Message, Peer, durable, quorum};
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::site::{DEAD, EVENTS, KEPT, Site};
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::waiting::{wait_until, wait_until_equal};
use codemint_test_support::worker_steps::is_long;
use codemint_test_support::{on_both_stores, on_stores};
use serde_json::{Value, json};

const TRIGGERS: &str = "codemint.triggers";

async fn campaign(place: &TestStore, name: &str, codes: usize, changes: &Value) {
    let mut document = json!({
        "name": name, "title": name, "kind": "restricted", "active": true, "mask": format!("{name}-######"),
        "use_cases": ["location.created"], "segments": ["trial"],
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    for (field, value) in changes.as_object().expect("fields") {
        document[field] = value.clone();
    }
    std::fs::write(place.path().join("c.json"), document.to_string()).expect("a file");
    place.codemint(["campaign", "create", "c.json"]).run().await.expect_code(0);
    place.codemint(["campaign", "codes", name, "--count", &codes.to_string()]).run().await.expect_code(0);
}

fn trigger(id: &str, identity: &str) -> Value {
    json!({ "id": id, "type": "location.created", "identity": identity, "segments": ["trial"],
        "deactivated_at": "2020-01-01T00:00:00Z" })
}

async fn publish(peer: &Peer, body: &[u8]) {
    peer.publish(TRIGGERS, TRIGGERS, body, durable()).await;
}

/// Every issued result has its assignment and the other way round, and no identity has two codes of a campaign.
async fn assert_exact(site: &Site, issued: i64) {
    let pairs = "select count(*) from trigger_results r join assignments a on a.code = r.code and a.trigger_id = r.trigger_id \
                 and a.identity = r.identity and a.campaign_no = r.campaign_no where r.state = 'issued'";
    assert_eq!(site.count(pairs).await, issued);
    assert_eq!(site.count("select count(*) from assignments").await, issued);
    assert_eq!(site.count("select count(distinct code) from assignments").await, issued);
    assert_eq!(site.count("select count(*) from trigger_results where state = 'issued'").await, issued);
    assert_eq!(site.count("select count(*) from pool where code in (select code from assignments)").await, 0);
}

on_both_stores!(messages_with_triggers_are_handled_once_and_others_are_dead_lettered);
async fn messages_with_triggers_are_handled_once_and_others_are_dead_lettered(place: TestStore) {
    campaign(&place, "WELCOME", 10, &json!({})).await;
    campaign(&place, "BACK", 10, &json!({ "wait_days_after_deactivation": 30 })).await;
    let site = Site::new(place).await;
    site.drain().await;
    let peer = site.peer().await;
    peer.declare(KEPT, quorum()).await;
    peer.bind(KEPT, EVENTS, "trigger.*").await;
    for body in [trigger("t-1", "loc-1"), trigger("t-1", "loc-1"), trigger("t-2", "loc-2"), trigger("t-3", "loc-1")] {
        publish(&peer, body.to_string().as_bytes()).await;
    }
    publish(&peer, b"{\"type\": \"location.created\"").await;
    publish(&peer, json!({ "id": "t-4", "type": "preset", "identity": "secret-7" }).to_string().as_bytes()).await;
    let worker = site.start_ready().await;
    // Batches are handled at the same time, so which of two requests under one id comes first is certain only now.
    wait_until_equal("the triggers are stored", &3, async || site.count("select count(*) from triggers").await).await;
    publish(&peer, trigger("t-1", "loc-5").to_string().as_bytes()).await;
    // The states of results, then the messages that are left in the outbox, in the queue and in the dead-letter queue.
    wait_until_equal("all are settled", &(vec!["issued 4".to_owned()], 0, 0, 3), async || {
        let states = "select state || ' ' || count(*) from trigger_results where state <> 'skipped' group by state order by state";
        let outbox = site.count("select count(*) from outbox").await;
        (site.store.texts(states).await, outbox, peer.depth(TRIGGERS).await, peer.depth(DEAD).await)
    })
    .await;
    // A message in the dead-letter queue may not be counted yet.
    for (outcome, count) in [("new", 3.0), ("repeated", 1.0), ("dead_lettered", 3.0)] {
        let series = format!("codemint_triggers_total{{outcome=\"{outcome}\"}}");
        worker.wait_until_metric(&series, |counted| counted == count).await;
    }
    let ran = worker.terminate().await.expect_code(0);
    assert!(!ran.stderr.contains("secret-7") && !ran.stderr.contains("loc-"), "{}", ran.stderr);
    assert_exact(&site, 4).await;
    let codes = site.store.texts("select code from assignments").await;
    let mut inbox = peer.consume(KEPT).await;
    // Three triggers, of which two were decided again when they were due, and one was superseded or came too late.
    let count = site.count("select count(*) from triggers").await;
    assert_eq!(count, 3);
    inbox
        .collect("an event about each trigger", |messages| {
            messages.iter().map(|message| message.json()["subject"].to_string()).collect::<BTreeSet<_>>().len() == 3
        })
        .await;
    for message in &inbox.messages {
        let text = message.json().to_string();
        assert_eq!(message.json()["type"], "codemint.trigger.handled.v1");
        assert!(!text.contains("loc-") && codes.iter().all(|code| !text.contains(code)), "{text}");
    }
    // What was dead-lettered goes back to where it came from.
    let listed = site.codemint(&["dlq", "list", "--json"]).run().await.expect_code(0).stdout;
    assert!(listed.contains("/type") && listed.contains("/id"), "{listed}");
    let back = site.codemint(&["dlq", "requeue", "--all"]).run().await.expect_code(0).stdout;
    assert_eq!(back, "3 messages put back into codemint.triggers\n");
    assert_eq!(peer.depth(TRIGGERS).await, 3);
}

on_stores!([sqlite, postgres] killed_workers_handle_each_trigger_once (flavor = "multi_thread"));
async fn killed_workers_handle_each_trigger_once(place: TestStore) {
    let kills: usize = std::env::var("CODEMINT_TEST_KILLS").ok().and_then(|kills| kills.parse().ok()).unwrap_or(5);
    let triggers = if is_long() { 20_000 } else { 4_000 };
    campaign(&place, "WELCOME", triggers, &json!({})).await;
    campaign(&place, "BACK", triggers, &json!({ "wait_days_after_deactivation": 30 })).await;
    let is_sqlite = place.kind == Kind::Sqlite;
    let site = Site::new(place).await;
    site.drain().await;
    let peer = site.peer().await;
    // Each identity comes twice, under two ids, and each third message comes twice.
    let identities = triggers / 2;
    for number in 0..triggers {
        let message = trigger(&format!("t-{number}"), &format!("loc-{}", number % identities)).to_string();
        publish(&peer, message.as_bytes()).await;
        if number % 3 == 0 {
            publish(&peer, message.as_bytes()).await;
        }
    }
    let handled = async || site.count("select count(*) from triggers").await;
    for kill in 1..=kills {
        // Each time somewhere else: after this share of the triggers.
        let share = (triggers * kill / (kills + 1)) as i64;
        let count = if is_sqlite { 1 } else { 2 };
        let workers: Vec<_> = (0..count).map(|_| site.start(&[], &[])).collect();
        wait_until("some triggers", async || handled().await >= share).await;
        for worker in workers {
            worker.signal("KILL");
            worker.finish().await.expect_code(-9);
        }
    }
    site.drain().await;
    assert_eq!((peer.depth(TRIGGERS).await, peer.depth(DEAD).await), (0, 0));
    assert_eq!(handled().await, triggers as i64);
    assert_eq!(site.count("select count(*) from trigger_results where state = 'waiting'").await, 0);
    let per_campaign =
        "select count(*) from (select campaign_no, identity from assignments group by campaign_no, identity) a";
    assert_eq!(site.count(per_campaign).await, identities as i64 * 2);
    assert_exact(&site, identities as i64 * 2).await;
    assert_eq!(site.count("select count(*) from trigger_results").await, triggers as i64 * 2);
}

/// Nothing that was acknowledged may be lost with the server, and nothing that was not may be handled twice.
#[tokio::test(flavor = "multi_thread")]
async fn crashes_of_postgresql_while_triggers_are_handled_lose_none_and_repeat_none() {
    const TRIGGERS_SENT: usize = 1_200;
    let server = Server::start(Durability::Full);
    create_database(&server.url("postgres"), "triggers").await;
    let place = TestStore::postgres_at(&server.url("triggers")).await;
    campaign(&place, "WELCOME", TRIGGERS_SENT, &json!({})).await;
    campaign(&place, "BACK", TRIGGERS_SENT, &json!({ "wait_days_after_deactivation": 30 })).await;
    let mut site = Site::new(place).await;
    site.drain().await;
    let peer = site.peer().await;
    peer.declare(KEPT, quorum()).await;
    peer.bind(KEPT, EVENTS, "trigger.*").await;
    // Each identity comes twice, under two ids.
    let identities = TRIGGERS_SENT / 2;
    for number in 0..TRIGGERS_SENT {
        let message = trigger(&format!("t-{number}"), &format!("loc-{}", number % identities));
        publish(&peer, message.to_string().as_bytes()).await;
    }
    // Small transactions, so that the crashes come between many of them.
    let environment = [("CODEMINT__AMQP__PREFETCH", "1")];
    let workers = [site.start(&environment, &[]), site.start(&environment, &[])];
    let mut before = Vec::new();
    for share in [TRIGGERS_SENT / 4, TRIGGERS_SENT / 2] {
        wait_until("some triggers", async || site.count("select count(*) from triggers").await >= share as i64).await;
        server.crash_and_restart();
        // The test's own connections were lost too. The workers still write into the directory of the first store.
        let store = TestStore::postgres_at(&server.url("triggers")).await;
        before.push(std::mem::replace(&mut site.store, store));
        let handled = site.count("select count(*) from triggers").await;
        assert!(handled < TRIGGERS_SENT as i64, "{handled} were handled before the crash");
    }
    wait_until("all are settled", async || {
        let waiting = site.count("select count(*) from trigger_results where state = 'waiting'").await;
        peer.depth(TRIGGERS).await == 0
            && site.count("select count(*) from triggers").await == TRIGGERS_SENT as i64
            && waiting + site.count("select count(*) from outbox").await == 0
    })
    .await;
    for worker in workers {
        worker.terminate().await.expect_code(0);
    }
    assert_eq!((peer.depth(TRIGGERS).await, peer.depth(DEAD).await), (0, 0));
    assert_exact(&site, identities as i64 * 2).await;
    let per_campaign =
        "select count(*) from (select campaign_no, identity from assignments group by campaign_no, identity) a";
    assert_eq!(site.count(per_campaign).await, identities as i64 * 2);
    assert_eq!(site.count("select count(*) from trigger_results").await, TRIGGERS_SENT as i64 * 2);
    let mut inbox = peer.consume(KEPT).await;
    let subjects = |messages: &[Message]| {
        messages.iter().map(|message| message.json()["subject"].to_string()).collect::<BTreeSet<_>>().len()
    };
    inbox
        .collect("an event about each trigger", |messages| {
            messages.len() >= TRIGGERS_SENT && subjects(messages) == TRIGGERS_SENT
        })
        .await;
}
