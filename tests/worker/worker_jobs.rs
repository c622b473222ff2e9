//! Workers: from a message to codes and events.

use uuid::Uuid;

use codemint_test_support::on_both_stores;
use codemint_test_support::site::{EVENTS, Site, publish, request, wait_for_end};
use codemint_test_support::stores::TestStore;

on_both_stores!(a_published_job_is_minted_and_its_events_arrive_in_order);
async fn a_published_job_is_minted_and_its_events_arrive_in_order(store: TestStore) {
    let site = Site::new(store).await;
    let worker = site.start_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let id = Uuid::now_v7();
    publish(&peer, &request(id, "SPRING????##", 120_000)).await;

    let kinds = wait_for_end(&mut inbox, id).await;
    assert_eq!(kinds.first().map(String::as_str), Some("job.accepted"), "{kinds:?}");
    assert_eq!(kinds.last().map(String::as_str), Some("job.completed"), "{kinds:?}");
    assert!(kinds.iter().filter(|kind| *kind == "job.progress").count() >= 1, "{kinds:?}");
    let last = inbox.messages.last().expect("an event").json();
    assert_eq!(last["specversion"], "1.0");
    assert_eq!(last["type"], "codemint.job.completed.v1");
    assert_eq!(last["data"]["minted"], 120_000);
    assert_eq!(site.count("select count(*) from codes").await, 120_000);
    let ran = worker.terminate().await.expect_code(0);
    assert!(!ran.stderr.contains("ERROR"), "{}", ran.stderr);
    assert_eq!(site.count("select count(*) from outbox").await, 0);
}
