//! Every failpoint with an error, a panic, an abort and a stall, on both stores: afterwards the store is consistent.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use uuid::Uuid;

use codemint_telemetry::failpoint;

use codemint_test_support::on_both_stores;
use codemint_test_support::oracle::{Asked, Known, judge};
use codemint_test_support::site::{Site, Worker, publish, request};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::end_well;

const ACTIONS: [&str; 4] = ["error", "panic", "abort", "stall"];
const MASK: &str = "MY_LITTLE_PROMO????##";
/// The exit code of `abort`: the negative number of its signal.
const ABORTED: i32 = -6;

/// Runs two jobs whose codes overlap those of a third past the failpoint, which acts the second time that it is reached
/// if it is reached more than once.
async fn survive(place: TestStore, point: &'static str, action: &str) {
    let what = format!("{point} {action} {:?}", place.kind);
    let before = Uuid::now_v7();
    let generated = place.codemint(["generate", MASK, "--count", "2000", "--job-id", &before.to_string()]);
    generated.run().await.expect_code(0);
    let site = Site::new(place).await;
    let peer = site.keep_events().await;
    let chunks = ("CODEMINT__JOB__CHUNK_SIZE", "1000");
    let mut asked = vec![Asked { id: before, mask: MASK.to_owned(), count: 2000 }];
    let skipped = if [failpoint::JOB_COMMITTED, failpoint::BEFORE_CLOSE].contains(&point) { "" } else { "1*off->" };
    let actions = format!("{point}={skipped}1*return({action})->off");
    let worker = site.start(&[("FAILPOINTS", &actions), chunks], &[]);
    worker.wait_until_ready().await;
    for _ in 0..2 {
        let id = Uuid::now_v7();
        publish(&peer, &request(id, MASK, 5000)).await;
        asked.push(Asked { id, mask: MASK.to_owned(), count: 5000 });
    }
    let has_reached = |worker: &Worker| {
        let said = worker.said();
        said.contains("a failpoint was reached") && said.contains(point)
    };
    let mut worker = worker;
    wait_until(&what, async || has_reached(&worker)).await;
    if action == "abort" {
        worker.finish().await.expect_code(ABORTED);
        worker = site.start(&[chunks], &[]);
    }
    end_well(&what, site, worker, &asked).await;
}

/// Every action at once, each on a store like this one.
async fn survive_all(place: &TestStore, point: &'static str) {
    join_all(ACTIONS.map(async |action| survive(place.another().await, point, action).await)).await;
}

on_both_stores!(a_failure_before_a_committed_job_is_acknowledged_is_survived);
async fn a_failure_before_a_committed_job_is_acknowledged_is_survived(place: TestStore) {
    survive_all(&place, failpoint::JOB_COMMITTED).await;
}

on_both_stores!(a_failure_after_a_chunk_is_claimed_is_survived);
async fn a_failure_after_a_chunk_is_claimed_is_survived(place: TestStore) {
    survive_all(&place, failpoint::CHUNK_CLAIMED).await;
}

on_both_stores!(a_failure_while_filters_are_loaded_is_survived);
async fn a_failure_while_filters_are_loaded_is_survived(place: TestStore) {
    survive_all(&place, failpoint::FILTERS_LOADING).await;
}

on_both_stores!(a_failure_with_half_of_the_codes_written_is_survived);
async fn a_failure_with_half_of_the_codes_written_is_survived(place: TestStore) {
    survive_all(&place, failpoint::CODES_HALF_WRITTEN).await;
}

on_both_stores!(a_failure_between_codes_and_their_checkpoint_is_survived);
async fn a_failure_between_codes_and_their_checkpoint_is_survived(place: TestStore) {
    survive_all(&place, failpoint::BEFORE_CHECKPOINT).await;
}

on_both_stores!(a_failure_before_the_commit_of_a_chunk_is_survived);
async fn a_failure_before_the_commit_of_a_chunk_is_survived(place: TestStore) {
    survive_all(&place, failpoint::BEFORE_COMMIT).await;
}

on_both_stores!(a_failure_after_the_commit_of_a_chunk_is_survived);
async fn a_failure_after_the_commit_of_a_chunk_is_survived(place: TestStore) {
    survive_all(&place, failpoint::AFTER_COMMIT).await;
}

on_both_stores!(a_failure_before_a_job_is_closed_is_survived);
async fn a_failure_before_a_job_is_closed_is_survived(place: TestStore) {
    survive_all(&place, failpoint::BEFORE_CLOSE).await;
}

on_both_stores!(a_failure_before_published_events_are_deleted_is_survived);
async fn a_failure_before_published_events_are_deleted_is_survived(place: TestStore) {
    survive_all(&place, failpoint::EVENTS_PUBLISHED).await;
}

on_both_stores!(a_failure_amid_an_export_leaves_no_partial_file);
async fn a_failure_amid_an_export_leaves_no_partial_file(place: TestStore) {
    let id = Uuid::now_v7().to_string();
    let generate = ["generate", MASK, "--count", "3000", "--chunk-size", "1000", "--job-id", &id];
    place.codemint(generate).run().await.expect_code(0);
    for action in ACTIONS {
        let file = place.path().join(format!("{action}.txt"));
        let export = || place.codemint(["export", &id, "--output"]).args([&file]);
        let actions = format!("{}=1*off->1*return({action})", failpoint::EXPORT_HALF_WRITTEN);
        let code = match action {
            "error" => 1,
            "panic" => 101,
            "abort" => ABORTED,
            _ => 0,
        };
        let ran = export().env("FAILPOINTS", &actions).run().await.expect_code(code);
        assert!(ran.stderr.contains("a failpoint was reached"), "{}", ran.stderr);
        assert_eq!(file.exists(), code == 0, "{action}: a file appears whole or not at all");
        export().run().await.expect_code(0);
        let exported = std::fs::read_to_string(&file).expect("a file");
        let stored = place.texts("select code from codes").await;
        assert_eq!(exported.lines().count(), 3000);
        assert_eq!(exported.lines().collect::<BTreeSet<_>>(), stored.iter().map(String::as_str).collect());
    }
    let asked = [Asked { id: id.parse().expect("an id"), mask: MASK.to_owned(), count: 3000 }];
    let directories = vec![place.path()];
    judge(&place, &Known { asked: &asked, directories, ..Known::default() }).await;
}

/// Fails for a failpoint that no test names, which would go unnoticed.
#[test]
fn every_failpoint_has_a_test() {
    let here =
        [include_str!("failpoints.rs"), include_str!("owner_failpoints.rs"), include_str!("redemption_failpoints.rs")]
            .concat();
    let source = include_str!("../../crates/telemetry/src/failpoint.rs");
    let names: Vec<&str> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const ")?.split_once(": &str"))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names.len(), failpoint::ALL.len());
    for name in names {
        assert!(here.contains(&format!("failpoint::{name}")), "{name}");
    }
}
