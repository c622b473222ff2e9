//! `codemint enqueue`: it publishes a request to the broker or puts it into the store.

use std::fs::{File, read_to_string};

use serde_json::Value;
use uuid::Uuid;

use codemint_test_support::codemint::{Codemint, Ran, finish};
use codemint_test_support::on_both_stores;
use codemint_test_support::postgres::free_port;
use codemint_test_support::site::{DEAD, EVENTS, JOBS, Site, wait_for_end};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

/// The id on standard output, which must hold nothing else but a line break.
fn id_of(ran: &Ran) -> Uuid {
    let id: Uuid = ran.stdout.trim_end().parse().unwrap_or_else(|_| panic!("no id: {:?}", ran.stdout));
    assert_eq!(ran.stdout, format!("{id}\n"));
    id
}

#[tokio::test]
async fn a_request_is_published_as_any_producer_would_and_the_store_is_not_touched() {
    let site = Site::new(TestStore::sqlite().await).await;
    site.drain().await;
    let args = ["enqueue", "spring????", "--count", "70", "--campaign", "spring", "--priority", "7"];
    // This store does not exist: a client that publishes need not reach a store.
    let id =
        id_of(&site.codemint(&args).env("CODEMINT__STORE__URL", "sqlite:///not/there.db").run().await.expect_code(0));
    let peer = site.peer().await;
    let message = peer.take(JOBS).await;
    let wanted =
        serde_json::json!({ "job_id": id, "mask": "spring????", "count": 70, "campaign": "spring", "priority": 7 });
    assert_eq!(message.json(), wanted);
    assert_eq!(message.properties.delivery_mode(), &Some(2));
    assert_eq!(message.properties.message_id().as_ref().map(ToString::to_string), Some(id.to_string()));
    assert_eq!(message.properties.kind(), &Some("codemint.job.v1".into()));
    assert_eq!(message.properties.content_type(), &Some("application/json".into()));
    assert_eq!(site.count("select count(*) from jobs").await, 0);
}

on_both_stores!(an_enqueued_job_is_minted_and_waited_for_with_and_without_a_broker);
async fn an_enqueued_job_is_minted_and_waited_for_with_and_without_a_broker(store: TestStore) {
    let site = Site::new(store).await;
    let worker = site.start_ready().await;
    let args = ["enqueue", "W????##", "--count", "900", "--wait"];
    let published = site.codemint(&args).run().await.expect_code(0);
    let json = site.codemint(&args).args(["--json"]).run().await.expect_code(0).json();
    let inserted = site.store.codemint(args).run().await.expect_code(0);
    assert_eq!((&json["state"], &json["minted"]), (&"completed".into(), &900.into()));
    let ids = [id_of(&published), id_of(&inserted)].map(|id| id.to_string());
    assert!(!ids.contains(&json["job_id"].as_str().expect("an id").to_owned()));
    assert_eq!(site.count("select count(*) from codes").await, 2_700);
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn waiting_for_a_job_that_no_worker_takes_is_noted() {
    let site = Site::new(TestStore::sqlite().await).await;
    let said = site.store.path().join("said");
    let enqueue = site.store.codemint(["enqueue", "W????##", "--count", "900", "--wait"]);
    let waiting = enqueue.stderr(File::create(&said).expect("a file").into()).start();
    let notes = || read_to_string(&said).expect("a log").matches("no worker has taken").count();
    wait_until("the note", async || notes() > 0).await;
    site.store.codemint(["worker", "--drain"]).run().await.expect_code(0);
    finish(waiting).await.expect_code(0);
    assert_eq!(notes(), 1, "it is noted once");
}

on_both_stores!(enqueuing_an_id_twice_gives_one_job_and_another_request_under_it_is_refused);
async fn enqueuing_an_id_twice_gives_one_job_and_another_request_under_it_is_refused(store: TestStore) {
    let site = Site::new(store).await;
    let worker = site.start_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.completed").await;
    let id = Uuid::now_v7().to_string();
    let enqueue = |count: &str| site.codemint(&["enqueue", "####", "--job-id", &id, "--count", count]);
    for _ in 0..2 {
        assert_eq!(id_of(&enqueue("20").run().await.expect_code(0)).to_string(), id);
    }
    wait_for_end(&mut inbox, id.parse().expect("an id")).await;
    let other = enqueue("21").args(["--wait"]).run().await.expect_code(3);
    assert!(other.stderr.contains("belongs to another request"), "{}", other.stderr);
    assert_eq!(peer.take(DEAD).await.json()["count"], 21);
    let other = site.store.codemint(["enqueue", "####", "--job-id", &id, "--count", "21"]).run().await;
    assert!(other.code != 0 && other.stdout.is_empty() && other.stderr.contains(&id), "{other:?}");
    worker.terminate().await.expect_code(0);
    assert_eq!(site.count("select count(*) from codes").await, 20);
}

#[tokio::test]
async fn impossible_requests_are_refused_before_anything_is_published() {
    let site = Site::new(TestStore::sqlite().await).await;
    site.drain().await;
    for (args, says) in [
        (["[", "5"], "mask, byte 1"),
        (["##", "101"], "100 codes in all"),
        (["##", "0"], "at least 1"),
        (["##", "-5"], "at least 1"),
    ] {
        for codemint in [site.codemint(&["enqueue"]), site.store.codemint(["enqueue"])] {
            let ran = codemint.args([args[0], "--count", args[1]]).run().await.expect_code(4);
            assert!(ran.stdout.is_empty() && ran.stderr.contains(says), "{ran:?}");
        }
    }
    for (flag, value) in [("--priority", "10"), ("--priority", "-1"), ("--job-id", "5"), ("--count", "5.5")] {
        let ran = site.codemint(&["enqueue", "##", "--count", "5", flag, value]).run().await;
        assert!(ran.code == 2 && ran.stdout.is_empty(), "{flag} {value}: {ran:?}");
    }
    assert_eq!(site.peer().await.depth(JOBS).await, 0);
    assert_eq!(site.count("select count(*) from jobs").await, 0);
}

#[tokio::test]
async fn a_missing_queue_or_broker_is_an_error_and_prints_no_id() {
    let site = Site::new(TestStore::sqlite().await).await;
    let enqueue = || site.codemint(&["enqueue", "##", "--count", "5"]);
    let no_exchange = enqueue().run().await;
    assert!(no_exchange.code != 0 && no_exchange.stdout.is_empty(), "{no_exchange:?}");
    assert!(no_exchange.stderr.contains("codemint.jobs"), "{no_exchange:?}");
    site.drain().await;
    let unroutable = enqueue().env("CODEMINT__AMQP__JOBS_QUEUE", "elsewhere").run().await.expect_code(1);
    assert!(unroutable.stdout.is_empty() && unroutable.stderr.contains("no queue is bound"), "{unroutable:?}");
    assert!(unroutable.stderr.contains("start a worker, which creates the queue"), "{unroutable:?}");
    let away = format!("amqp://guest:secret@127.0.0.1:{}/", free_port());
    let away: Codemint = enqueue().env("CODEMINT__AMQP__URL", &away);
    let away = away.run().await.expect_code(5);
    assert!(away.stdout.is_empty() && !away.stderr.contains("secret"), "{away:?}");
}

#[tokio::test]
async fn with_json_the_id_is_a_field() {
    let place = TestStore::sqlite().await;
    let json: Value = place.codemint(["enqueue", "##", "--count", "5", "--json"]).run().await.expect_code(0).json();
    let id: Uuid = json["job_id"].as_str().expect("an id").parse().expect("an id");
    assert!(place.store.find_job(id).await.expect("an answer").is_some());
}
