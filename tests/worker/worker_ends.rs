//! How workers end: by a graceful shutdown, by force, or because no work is left.

use std::time::{Duration, Instant};

use uuid::Uuid;

use codemint_test_support::codemint::Codemint;
use codemint_test_support::on_both_stores;
use codemint_test_support::postgres::{Database, Durability, Server, create_database};
use codemint_test_support::site::{EVENTS, Site, publish, request, wait_for_end};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

on_both_stores!(a_worker_shuts_down_in_time_and_the_next_one_resumes_its_job);
async fn a_worker_shuts_down_in_time_and_the_next_one_resumes_its_job(store: TestStore) {
    let site = Site::new(store).await;
    let worker = site.start(&[("CODEMINT__WORKER__SHUTDOWN_SECONDS", "5")], &[]);
    worker.wait_until_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let id = Uuid::now_v7();
    publish(&peer, &request(id, "[:safe:]{12}", 800_000)).await;
    wait_until("a chunk is done", async || site.count("select count(*) from chunks where state = 'done'").await > 0)
        .await;
    let started = Instant::now();
    let ran = worker.terminate().await.expect_code(0);
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    assert!(site.count("select count(*) from codes").await < 800_000, "the job ended too early: {}", ran.stderr);
    site.drain().await;
    let kinds = wait_for_end(&mut inbox, id).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "job.completed").count(), 1, "{kinds:?}");
    assert_eq!(site.count("select count(*) from codes").await, 800_000);
}

#[tokio::test]
async fn a_worker_whose_server_hangs_ends_at_its_deadline_or_at_a_second_signal() {
    let server = Server::start(Durability::None);
    create_database(&server.url("postgres"), "hanging").await;
    let site = Site::new(TestStore::postgres_at(&server.url("hanging")).await).await;
    let environment = [("CODEMINT__WORKER__SHUTDOWN_SECONDS", "2")];
    let workers = [site.start(&environment, &[]), site.start(&[("CODEMINT__WORKER__SHUTDOWN_SECONDS", "600")], &[])];
    for worker in &workers {
        worker.wait_until_ready().await;
    }
    let peer = site.peer().await;
    publish(&peer, &request(Uuid::now_v7(), "[:safe:]{12}", 5_000_000)).await;
    wait_until("a chunk is done", async || site.count("select count(*) from chunks where state = 'done'").await > 2)
        .await;
    server.signal_all("STOP");
    let [one, other] = workers;
    let started = Instant::now();
    let ran = one.terminate().await.expect_code(0);
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(ran.stderr.contains("did not end in time"), "{}", ran.stderr);

    other.signal("TERM");
    wait_until(
        "it stops",
        async || matches!(other.get("/readyz"), Some((503, body)) if body.contains("it is stopping")),
    )
    .await;
    let started = Instant::now();
    other.terminate().await.expect_code(143);
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    server.signal_all("CONT");
}

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
