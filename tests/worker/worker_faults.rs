//! Servers that go away while workers use them: nothing is lost, nothing is minted twice.

use std::time::Duration;

use codemint_codes::job::options::JobOptions;
use uuid::Uuid;

use codemint_test_support::amqp::{Inbox, Message, Peer};
use codemint_test_support::on_both_stores;
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::rabbitmq::{self, Broker, Depth};
use codemint_test_support::site::{DEAD, EVENTS, JOBS, Site, publish, request, wait_for_end};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::{is_long, take_until_ended};

/// Panics unless each job was accepted, then progressed, then completed; repeats are ignored.
fn assert_in_order(events: &[Message], ids: &[Uuid]) {
    for id in ids {
        let of_job = events.iter().filter(|event| event.json()["subject"] == id.to_string());
        let mut seen = Vec::new();
        for event in of_job {
            let event_id = event.json()["id"].as_str().expect("an id").to_owned();
            if !seen.contains(&event_id) {
                seen.push(event_id);
            }
        }
        assert_eq!(seen.first(), Some(&format!("{id}/accepted")), "{seen:?}");
        assert_eq!(seen.last(), Some(&format!("{id}/completed")), "{seen:?}");
        let progress: Vec<u64> = seen[1..seen.len() - 1]
            .iter()
            .map(|event| event.strip_prefix(&format!("{id}/progress/")).and_then(|n| n.parse().ok()).expect("progress"))
            .collect();
        assert!(!progress.is_empty() && progress.is_sorted(), "{seen:?}");
    }
}

async fn publish_jobs(peer: &Peer, prefix: &str, count: usize, codes: u64) -> Vec<Uuid> {
    let mut ids = Vec::new();
    for number in 0..count {
        let id = Uuid::now_v7();
        publish(peer, &request(id, &format!("{prefix}{number:03}?????"), codes)).await;
        ids.push(id);
    }
    ids
}

#[tokio::test]
async fn while_the_broker_is_away_minting_continues_and_events_arrive_afterwards() {
    let broker = Broker::start();
    let site = Site::at(TestStore::postgres().await, &broker).await;
    let worker = site.start(&[("CODEMINT__JOB__CHUNK_SIZE", "2000")], &[]);
    worker.wait_until_ready().await;
    let peer = site.keep_events().await;
    let ids = publish_jobs(&peer, "A", 3, 150_000).await;
    let codes = "select cast(coalesce(sum(minted), 0) as bigint) from chunks";
    wait_until("all are accepted, and codes are made", async || {
        site.count("select count(*) from jobs").await == 3 && site.count(codes).await > 0
    })
    .await;
    broker.stop_app();
    worker.wait_until_it_says("no connection to the broker").await;
    // The status changes after the log.
    wait_until("it is not ready", async || {
        worker.readiness().is_some_and(|(status, body)| status == 503 && body["broker"] == "away")
    })
    .await;
    let before = site.count(codes).await;
    wait_until("minting continues", async || site.count(codes).await > before || before == 450_000).await;
    // The passing of time itself is tested here: longer than the longest backoff between two attempts.
    tokio::time::sleep(Duration::from_secs(if is_long() { 20 } else { 4 })).await;
    wait_until("the jobs end without it", async || site.completed().await == 3).await;
    assert!(site.count("select count(*) from outbox").await > 0, "events wait");
    broker.start_app();
    worker.wait_until_ready().await;
    let events = take_until_ended(&site.peer().await, &ids).await;
    assert_in_order(&events, &ids);
    wait_until("the outbox is empty", async || site.count("select count(*) from outbox").await == 0).await;
    worker.terminate().await.expect_code(0);
    assert_eq!(site.count("select count(*) from codes").await, 450_000);
}

#[tokio::test]
async fn a_killed_broker_loses_no_job_and_no_event() {
    let broker = Broker::start();
    let site = Site::at(TestStore::sqlite().await, &broker).await;
    let worker = site.start_ready().await;
    let peer = site.keep_events().await;
    let ids = publish_jobs(&peer, "K", 20, 500).await;
    broker.kill_9();
    worker.wait_until_it_says("no connection to the broker").await;
    broker.start_again();
    let events = take_until_ended(&site.peer().await, &ids).await;
    assert_in_order(&events, &ids);
    worker.terminate().await.expect_code(0);
    assert_eq!(site.count("select count(*) from codes").await, 10_000);
    assert_eq!(site.count("select count(*) from jobs").await, 20);
}

#[tokio::test]
async fn connections_closed_ten_times_during_two_hundred_jobs_lose_nothing() {
    let site = Site::new(TestStore::postgres().await).await;
    let workers = [site.start_ready().await, site.start_ready().await];
    site.keep_events().await;
    let mut ids = Vec::new();
    for round in 0..10 {
        ids.extend(publish_jobs(&site.peer().await, &format!("C{round}"), 20, 10).await);
        rabbitmq::shared().close_connections_of(site.vhost());
    }
    let events = take_until_ended(&site.peer().await, &ids).await;
    assert_in_order(&events, &ids);
    for worker in workers {
        worker.terminate().await.expect_code(0);
    }
    assert_eq!(site.completed().await, 200);
    assert_eq!(site.count("select count(*) from codes").await, 2_000);
    assert_eq!(site.peer().await.depth(DEAD).await, 0);
}

/// Returns a store on a server of its own.
async fn own_store(durability: Durability) -> (Server, TestStore) {
    let server = Server::start(durability);
    create_database(&server.url("postgres"), "faults").await;
    let store = TestStore::postgres_at(&server.url("faults")).await;
    (server, store)
}

#[tokio::test]
async fn a_crash_of_postgresql_during_a_hundred_jobs_loses_none_and_fails_none() {
    let (server, store) = own_store(Durability::Full).await;
    let site = Site::new(store).await;
    let worker = site.start(&[("CODEMINT__JOB__CHUNK_SIZE", "200")], &[]);
    worker.wait_until_ready().await;
    let peer = site.keep_events().await;
    let ids = publish_jobs(&peer, "P", 100, 1_000).await;
    wait_until("some are done", async || site.completed().await >= 5).await;
    server.crash_and_restart();
    let events = take_until_ended(&peer, &ids).await;
    assert_in_order(&events, &ids);
    worker.terminate().await.expect_code(0);
    assert_eq!(peer.depth(DEAD).await, 0);
    // The test's own connections were lost too.
    let store = TestStore::postgres_at(&server.url("faults")).await;
    assert_eq!(store.number("select count(*) from codes").await, 100_000);
    assert_eq!(store.number("select count(*) from jobs where state = 'completed'").await, 100);
    assert_eq!(store.number("select sum(failures) from chunks").await, 0);
}

#[tokio::test]
async fn while_the_store_is_away_messages_are_requeued_once_and_are_served_later() {
    let (server, store) = own_store(Durability::None).await;
    let site = Site::new(store).await;
    let environment = [("CODEMINT__AMQP__PREFETCH", "8"), ("CODEMINT__AMQP__DELIVERY_TIMEOUT_SECONDS", "20")];
    let worker = site.start(&environment, &[]);
    worker.wait_until_ready().await;
    let peer = site.keep_events().await;
    server.signal_all("STOP");
    let ids = publish_jobs(&peer, "S", 30, 10).await;
    let depth = || rabbitmq::shared().queue_depth(site.vhost(), JOBS);
    wait_until("eight are held", async || depth() == Depth { ready: 22, unacknowledged: 8 }).await;
    worker.wait_until_it_says("messages go back to their queue until it answers").await;
    wait_until("all are back", async || depth() == Depth { ready: 30, unacknowledged: 0 }).await;
    let (status, body) = worker.readiness().expect("an answer");
    assert_eq!((status, &body["missing"][0]["what"]), (503, &"store".into()), "{body}");
    // No worker consumes meanwhile.
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(depth(), Depth { ready: 30, unacknowledged: 0 });
    server.signal_all("CONT");
    let events = take_until_ended(&peer, &ids).await;
    assert_in_order(&events, &ids);
    let ran = worker.terminate().await.expect_code(0);
    assert_eq!(ran.stderr.matches("messages go back").count(), 1, "{}", ran.stderr);
    assert!(!ran.stderr.contains("the broker is back"), "{}", ran.stderr);
    assert_eq!(peer.depth(DEAD).await, 0);
    assert_eq!(site.count("select count(*) from codes").await, 300);
    assert_eq!(site.count("select count(*) from jobs").await, 30);
}

#[tokio::test]
async fn a_blocked_broker_still_delivers_jobs_and_receives_the_events_later() {
    let broker = Broker::start();
    let site = Site::at(TestStore::postgres().await, &broker).await;
    let worker = site.start_ready().await;
    let peer = site.keep_events().await;
    // Enough jobs to keep the worker busy when the alarm is raised.
    let ids = publish_jobs(&peer, "B", 40, 2_000).await;
    peer.publish(JOBS, JOBS, b"no job", codemint_test_support::amqp::durable()).await;
    broker.set_vm_memory_high_watermark(0.0001);
    wait_until("the jobs are minted", async || site.completed().await == 40).await;
    let of_end = site.store.store.find_job(ids[0]).await.expect("an answer").expect("a job");
    // This event makes the worker notice the alarm, if it was raised after the last event.
    site.store.store.repeat_event(of_end.no, &JobOptions::default()).await.expect("an event");
    wait_until("readiness reports blocked", async || {
        worker.readiness().is_some_and(|(status, body)| status == 200 && body["broker"] == "blocked")
    })
    .await;
    assert!(site.count("select count(*) from outbox").await > 0);
    broker.set_vm_memory_high_watermark(0.4);
    let events = take_until_ended(&peer, &ids).await;
    assert_in_order(&events, &ids);
    assert_eq!(peer.take(DEAD).await.body, b"no job");
    let ran = worker.terminate().await.expect_code(0);
    assert!(
        !ran.stderr.contains("the broker is back"),
        "regression: a waiting dead letter costs no connection: {}",
        ran.stderr
    );
}

on_both_stores!(a_worker_that_is_killed_amid_many_jobs_loses_none);
async fn a_worker_that_is_killed_amid_many_jobs_loses_none(store: TestStore) {
    let site = Site::new(store).await;
    let worker = site.start_ready().await;
    let peer = site.peer().await;
    let mut inbox: Inbox = peer.listen(EVENTS, "job.*").await;
    let ids = publish_jobs(&peer, "W", 60, 300).await;
    wait_until("some are done", async || site.completed().await >= 10).await;
    worker.signal("KILL");
    worker.finish().await.expect_code(-9);
    site.drain().await;
    for id in &ids {
        wait_for_end(&mut inbox, *id).await;
    }
    assert_in_order(&inbox.messages, &ids);
    assert_eq!(site.count("select count(*) from codes").await, 18_000);
    assert_eq!(site.count("select count(*) from jobs").await, 60);
}
