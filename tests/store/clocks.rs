//! A clock that was set back: times of the past lie in the future, and nothing waits for them.

use std::time::Duration;

use codemint_codes::job::options::JobOptions;
use codemint_codes::job::state::State;

use codemint_test_support::engine_steps::{assert_sound, put, put_request, request, run, start};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;

const IN_THE_FUTURE: &str = "'2999-01-01T00:00:00.000Z'";

on_both_stores!(regression_progress_is_published_although_the_last_event_lies_in_the_future);
async fn regression_progress_is_published_although_the_last_event_lies_in_the_future(place: TestStore) {
    let options = JobOptions { emits_events: true, ..JobOptions::default() };
    let job = put_request(&place.store, &request("A####", 900, 300).with_options(options)).await;
    start(&place.store, &job).await.mint_chunk(&place.store).await.expect("a step");
    place.execute(&format!("update jobs set progress_at = {IN_THE_FUTURE}")).await;
    assert!(place.store.announce_progress(job.no).await.expect("an event"));
    assert!(!place.store.announce_progress(job.no).await.expect("no event"), "still at most one per second");
}

on_both_stores!(a_job_from_the_future_is_minted_like_any_other);
async fn a_job_from_the_future_is_minted_like_any_other(place: TestStore) {
    let job = put(&place.store, "A####", 900, 300).await;
    place.execute(&format!("update jobs set created_at = {IN_THE_FUTURE}")).await;
    assert_eq!(place.store.read_backlog().await.expect("figures").oldest_waiting, Duration::ZERO);
    assert_eq!(place.store.start_job(job.no).await.expect("a start").waited, Some(Duration::ZERO));
    place.execute(&format!("update jobs set started_at = {IN_THE_FUTURE}")).await;
    let ended = run(&place.store, &job).await;
    assert_eq!((ended.state, ended.minted), (State::Completed, 900));
    assert_sound(&place).await;
    let id = job.id.to_string();
    for args in [&["jobs", "list"][..], &["jobs", "show", &id], &["verify", &id]] {
        place.codemint(args).run().await.expect_code(0);
    }
    place.execute(&format!("update jobs set finished_at = {IN_THE_FUTURE}")).await;
    let pruned = place.codemint(["jobs", "prune", "--older-than", "1h", "--json"]).run().await.expect_code(0).json();
    assert_eq!(pruned["filters"], 0, "what ended in the future is kept");
}
