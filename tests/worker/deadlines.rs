//! What must be done within seconds. `tests/run` runs these tests one at a time, because a machine that is busy with
//! other tests delays a worker as well.

use std::time::{Duration, Instant};

use uuid::Uuid;

use codemint_telemetry::failpoint;

use codemint_test_support::on_both_stores;
use codemint_test_support::oracle::Asked;
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::site::{EVENTS, Site, publish, request, wait_for_end};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::end_well;

use crate::worker_sharing::start_large_job;

#[tokio::test]
async fn a_small_job_is_done_in_two_seconds_beside_a_large_one_that_can_be_cancelled() {
    let site = Site::new(TestStore::postgres().await).await;
    let worker = site.start_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let large = start_large_job(&site, &peer, &request(Uuid::now_v7(), "[:safe:]{12}", 50_000_000)).await;

    let (small, started) = (Uuid::now_v7(), Instant::now());
    publish(&peer, &request(small, "TEN????####", 10)).await;
    wait_for_end(&mut inbox, small).await;
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());

    let started = Instant::now();
    let cancelled = site.codemint(&["jobs", "cancel", &large.to_string(), "--json"]).run().await.expect_code(0).json();
    // A chunk takes a fraction of a second.
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    let kinds = wait_for_end(&mut inbox, large).await;
    assert_eq!(kinds.last().map(String::as_str), Some("job.cancelled"), "{kinds:?}");
    worker.terminate().await.expect_code(0);
    let minted = site.count("select count(*) from codes").await - 10;
    assert_eq!(cancelled["minted"], minted);
    let event = inbox.messages.iter().find(|event| event.routing_key == "job.cancelled").expect("the end").json();
    assert_eq!((&event["data"]["minted"], &event["data"]["state"]), (&minted.into(), &"cancelled".into()));
}

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

on_both_stores!(the_chunk_of_a_killed_worker_is_taken_over_within_two_seconds);
async fn the_chunk_of_a_killed_worker_is_taken_over_within_two_seconds(place: TestStore) {
    let site = Site::new(place).await;
    let peer = site.keep_events().await;
    // The worker holds its only chunk for as long as the stall takes, which is longer than the time allowed.
    let stall = format!("{}=1*return(stall)->off", failpoint::BEFORE_COMMIT);
    let holder = site.start(&[("FAILPOINTS", &stall)], &[]);
    holder.wait_until_ready().await;
    let (id, mask) = (Uuid::now_v7(), "MY_LITTLE_PROMO????##");
    publish(&peer, &request(id, mask, 1000)).await;
    holder.wait_until_it_says("a failpoint was reached").await;
    let next = site.start_ready().await;
    holder.signal("KILL");
    let released = Instant::now();
    holder.finish().await.expect_code(-9);
    wait_until("the end", async || site.completed().await == 1).await;
    assert!(released.elapsed() < Duration::from_secs(2), "{:?}", released.elapsed());
    end_well("taken over", site, next, &[Asked { id, mask: mask.to_owned(), count: 1000 }]).await;
}
