//! The cost of a killed worker: the chunks that it was writing. The time that it costs is among the deadlines.

use uuid::Uuid;

use codemint_test_support::on_stores;
use codemint_test_support::oracle::Asked;
use codemint_test_support::site::{Site, publish, request};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::end_well;
use codemint_test_support::worker_steps::is_long;

const MASK: &str = "MY_LITTLE_PROMO????##";
const CHUNK: u64 = 10_000;
/// The number of writers of one worker: the default of `worker.concurrency`.
const WRITERS: u64 = 2;

on_stores!([sqlite, postgres] a_killed_worker_costs_at_most_one_chunk_per_writer (flavor = "multi_thread"));
async fn a_killed_worker_costs_at_most_one_chunk_per_writer(place: TestStore) {
    let count = if is_long() { 2_000_000 } else { 400_000 };
    let site = Site::new(place).await;
    let peer = site.keep_events().await;
    let settings = [("CODEMINT__JOB__CHUNK_SIZE", "10000")];
    let worker = site.start(&settings, &[]);
    worker.wait_until_ready().await;
    let id = Uuid::now_v7();
    publish(&peer, &request(id, MASK, count)).await;
    let done = "select count(*) from chunks where state = 'done'";
    wait_until("some chunks", async || site.count(done).await >= 7).await;
    let claimed = worker.metric("codemint_chunks_claimed_total") as u64;
    worker.signal("KILL");
    worker.finish().await.expect_code(-9);
    let survived = site.count(done).await.unsigned_abs();
    assert!(claimed <= survived + WRITERS, "{claimed} chunks were claimed, {survived} are done");
    let next = site.start(&settings, &[]);
    wait_until("the end", async || site.completed().await == 1).await;
    let left = count / CHUNK - survived;
    assert_eq!(next.metric("codemint_chunks_claimed_total") as u64, left, "no finished chunk is claimed again");
    next.wait_until_metric("codemint_chunks_minted_total", |minted| minted as u64 == left).await;
    end_well("after a death", site, next, &[Asked { id, mask: MASK.to_owned(), count }]).await;
}
