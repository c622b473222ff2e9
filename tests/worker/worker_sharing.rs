//! Several workers on the same jobs: large ones are shared chunk by chunk, small ones do not wait for large ones.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use uuid::Uuid;

use codemint_test_support::engine_steps::import;
use codemint_test_support::on_both_stores;
use codemint_test_support::site::{EVENTS, Site, publish, request, wait_for_end};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::{chunks_said, codes_minted, is_long};

async fn wait_for_chunks(site: &Site, chunks: i64) {
    let done = "select count(*) from chunks where state = 'done'";
    wait_until("chunks are done", async || site.count(done).await >= chunks).await;
}

#[tokio::test]
async fn of_three_workers_one_is_killed_one_is_stopped_and_one_completes_the_job() {
    let site = Site::new(TestStore::postgres().await).await;
    let (count, chunk_size) = if is_long() { (5_000_000, "20000") } else { (1_500_000, "6000") };
    let environment = [("CODEMINT__JOB__CHUNK_SIZE", chunk_size), ("CODEMINT__LOG__LEVEL", "debug")];
    let [killed, stopped, last] = [0; 3].map(|_| site.start(&environment, &[]));
    for worker in [&killed, &stopped, &last] {
        worker.wait_until_ready().await;
    }
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let id = Uuid::now_v7();
    publish(&peer, &request(id, "[:safe:]{12}", count)).await;

    wait_until("all three work", async || {
        [&killed, &stopped, &last].into_iter().all(|worker| chunks_said(worker) >= 3)
    })
    .await;
    killed.signal("KILL");
    let killed_chunks = chunks_said(&killed);
    killed.finish().await.expect_code(-9);
    let stopped = stopped.terminate().await.expect_code(0);
    let still_open = site.count("select count(*) from chunks where state = 'open'").await;
    assert!(still_open > 0, "the job ended too early");
    let kinds = wait_for_end(&mut inbox, id).await;
    assert_eq!(kinds.last().map(String::as_str), Some("job.completed"), "{kinds:?}");
    let last = last.terminate().await.expect_code(0);

    let count = i64::try_from(count).expect("a small number");
    assert_eq!(site.count("select count(*) from codes").await, count);
    let shares = [codes_minted(&stopped), codes_minted(&last)];
    let share_of_the_killed = count - shares.iter().sum::<i64>();
    assert!(shares.iter().all(|share| *share > 0) && killed_chunks > 0, "{shares:?} {killed_chunks}");
    let chunk = chunk_size.parse::<i64>().expect("a number");
    let said_by_the_killed = chunk * i64::try_from(killed_chunks).expect("a small number");
    // The worker may have committed one more chunk in each slot before it could log it.
    assert!(
        (said_by_the_killed..=said_by_the_killed + 2 * chunk).contains(&share_of_the_killed),
        "{share_of_the_killed}"
    );
    site.codemint(&["verify", &id.to_string()]).run().await.expect_code(0);
}

/// Starts a job that takes minutes, and waits until it is well under way.
pub async fn start_large_job(site: &Site, peer: &codemint_test_support::amqp::Peer, message: &Value) -> Uuid {
    publish(peer, message).await;
    wait_for_chunks(site, 2).await;
    message["job_id"].as_str().expect("an id").parse().expect("an id")
}

on_both_stores!(a_job_of_higher_priority_goes_first);
async fn a_job_of_higher_priority_goes_first(store: TestStore) {
    let site = Site::new(store).await;
    let worker = site.start(&[("CODEMINT__JOB__CHUNK_SIZE", "2000")], &[]);
    worker.wait_until_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.completed").await;
    let mut low = request(Uuid::now_v7(), "L[:safe:]{10}", 600_000);
    low["priority"] = json!(1);
    let low_id = start_large_job(&site, &peer, &low).await;
    let mut high = request(Uuid::now_v7(), "H[:safe:]{10}", 100_000);
    high["priority"] = json!(8);
    publish(&peer, &high).await;
    let high_id: Uuid = high["job_id"].as_str().and_then(|id| id.parse().ok()).expect("an id");
    wait_for_end(&mut inbox, high_id).await;
    // During the high one's fifty chunks, the low one got at most those in progress.
    let of = |priority: u8| {
        format!("from chunks c join jobs j on j.no = c.job_no where j.priority = {priority} and c.state = 'done'")
    };
    let (low, high) = (of(1), of(8));
    let (first, last) = (format!("select min(c.done_at) {high}"), format!("select max(c.done_at) {high}"));
    let got = site.count(&format!("select count(*) {low} and c.done_at > ({first}) and c.done_at < ({last})")).await;
    assert!(got < 20, "{got} on {:?}", site.store.kind);
    assert_eq!(inbox.messages.len(), 1);
    wait_for_end(&mut inbox, low_id).await;
    worker.terminate().await.expect_code(0);
}

on_both_stores!(regression_overlapping_jobs_that_come_together_all_complete);
async fn regression_overlapping_jobs_that_come_together_all_complete(store: TestStore) {
    let site = Site::new(store).await;
    // 715 codes are in the way of all three.
    let imported: BTreeSet<String> = (0..715).map(|number| format!("AB{number:04}")).collect();
    import(&site.store, "AB####", &imported).await;
    site.drain().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let ids = [Uuid::now_v7(), Uuid::now_v7(), Uuid::now_v7()];
    for (id, mask) in ids.iter().zip(["A?####", "?B####", "[A-C][A-D]####"]) {
        publish(&peer, &request(*id, mask, 60_000)).await;
    }
    let worker = site.start(&[("CODEMINT__JOB__CHUNK_SIZE", "5000")], &[]);
    worker.wait_until_ready().await;
    for id in ids {
        let kinds = wait_for_end(&mut inbox, id).await;
        assert_eq!(kinds.last().map(String::as_str), Some("job.completed"), "{kinds:?}");
    }
    assert_eq!(site.count("select count(*) from codes").await, 180_715);
    let accepted: Vec<Value> =
        inbox.messages.iter().filter(|event| event.routing_key == "job.accepted").map(|event| event.json()).collect();
    let mut reasons = accepted.iter().filter_map(|event| event["data"]["waits_for"].as_str());
    let reason = reasons.next_back().expect("the third job waits");
    assert!(reason.ends_with("if unfinished jobs take others; 60000 were requested"), "{reason}");
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn a_draining_worker_also_does_the_jobs_that_wait_for_the_others() {
    let site = Site::new(TestStore::postgres().await).await;
    site.drain().await;
    let peer = site.peer().await;
    let ids = [Uuid::now_v7(), Uuid::now_v7()];
    publish(&peer, &request(ids[0], "[AB]###", 900)).await;
    publish(&peer, &request(ids[1], "A###", 50)).await;
    let ran = site.drain().await;
    assert!(ran.stderr.contains("it minted 950 codes"), "{}", ran.stderr);
    assert_eq!(site.completed().await, 2);
}
