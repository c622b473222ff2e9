//! How workers end: by a graceful shutdown, by force, or because no work is left.

use uuid::Uuid;

use codemint_test_support::codemint::Codemint;
use codemint_test_support::on_both_stores;
use codemint_test_support::postgres::Database;
use codemint_test_support::site::{EVENTS, Site, publish, request};
use codemint_test_support::stores::TestStore;

on_both_stores!(a_worker_that_drains_ends_when_no_work_is_left);
async fn a_worker_that_drains_ends_when_no_work_is_left(store: TestStore) {
    let site = Site::new(store).await;
    // Nothing exists yet, not even the queue.
    site.drain().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.completed").await;
    let ids: Vec<Uuid> = (0..30).map(|_| Uuid::now_v7()).collect();
    for (number, id) in ids.iter().enumerate() {
        publish(&peer, &request(*id, &format!("D{number:02}####"), 500)).await;
    }
    let ran = site.drain().await;
    assert!(ran.stderr.contains("it minted 15000 codes in 30 chunks"), "{}", ran.stderr);
    assert_eq!(site.count("select count(*) from outbox").await, 0);
    assert_eq!(inbox.collect_count(30).await.len(), 30);
    assert_eq!(peer.depth(codemint_test_support::site::JOBS).await, 0);
}

on_both_stores!(without_a_broker_a_worker_serves_the_stores_own_jobs_and_stores_no_events);
async fn without_a_broker_a_worker_serves_the_stores_own_jobs_and_stores_no_events(place: TestStore) {
    let enqueue = |mask: &str| place.codemint(["enqueue", mask, "--count", "300"]);
    for mask in ["A####", "B####"] {
        enqueue(mask).run().await.expect_code(0);
    }
    let worker = || place.codemint(["worker", "--drain"]).env("CODEMINT__ADMIN__LISTEN", "off");
    let ran = worker().run().await.expect_code(0);
    assert!(ran.stderr.contains("no broker"), "{}", ran.stderr);
    worker().run().await.expect_code(0);
    assert_eq!(place.number("select count(*) from codes").await, 600);
    assert_eq!(place.number("select count(*) from outbox").await, 0);
    assert_eq!(place.texts("select distinct state from jobs").await, ["completed"]);
}

#[tokio::test]
async fn a_store_that_was_never_migrated_is_an_error_that_names_the_fix() {
    let database = Database::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let worker = Codemint::new(directory.path()).args(["--store", &database.url, "worker", "--drain"]);
    let ran = worker.env("CODEMINT__ADMIN__LISTEN", "off").run().await.expect_code(2);
    assert!(ran.stderr.contains("migrate"), "{}", ran.stderr);
}
