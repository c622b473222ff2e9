//! Jobs that wait for room, on the command line: what is said, how to stop, how to refuse.

use codemint_test_support::cli_steps::{assert_names, catches_signals, proposed, request};
use codemint_test_support::codemint::{finish, send_signal};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use uuid::Uuid;

/// Stores a job that no process works on and that may take all codes of `A#`; returns its id.
async fn put_rival(place: &TestStore) -> String {
    let id = Uuid::now_v7();
    place.store.put_job(id, &request("[AB]#", 10)).await.expect("a job");
    id.to_string()
}

const GENERATE: [&str; 4] = ["generate", "A#", "--count", "1"];

/// Starts `generate` and waits until its job waits for room.
async fn start_waiting(place: &TestStore) -> tokio::process::Child {
    let child = place.codemint(GENERATE).args(["--output", "codes.txt"]).start();
    let waiting = "select count(*) from jobs where kind = 'waiting'";
    wait_until("the job waits", async || place.number(waiting).await == 1).await;
    child
}

on_both_stores!(regression_generate_waits_for_room_and_completes);
async fn regression_generate_waits_for_room_and_completes(place: TestStore) {
    let rival = put_rival(&place).await;
    let child = start_waiting(&place).await;
    let listed = place.codemint(["jobs", "list"]).run().await.expect_code(0).stdout;
    assert!(listed.lines().any(|line| line.ends_with("A#  waits for room")), "{listed}");
    place.codemint(["jobs", "cancel", &rival]).run().await.expect_code(0);
    let ran = finish(child).await.expect_code(0);
    let note = "waits for room: 0 codes are free for certain, up to 10 if unfinished jobs take others; 1 was requested";
    assert_names(&ran.stderr, &[note, "Ctrl-C stops waiting", "jobs cancel"]);
    let codes = std::fs::read_to_string(place.path().join("codes.txt")).expect("the output");
    assert_eq!(codes.lines().count(), 1);
}

on_both_stores!(an_interrupted_generate_leaves_a_job_that_still_waits);
async fn an_interrupted_generate_leaves_a_job_that_still_waits(place: TestStore) {
    let rival = put_rival(&place).await;
    let child = start_waiting(&place).await;
    catches_signals(child.id().expect("a running program")).await;
    send_signal("INT", &child);
    let ran = finish(child).await.expect_code(130);
    assert_names(&ran.stderr, &["still waits for room", "jobs resume", "--output codes.txt"]);
    let id = place.number("select no from jobs where kind = 'waiting'").await;
    assert_eq!(id, 2);
    let jobs = place.codemint(["jobs", "list", "--json"]).run().await.expect_code(0).json();
    assert_eq!((&jobs[0]["state"], jobs[0]["waits_for"].is_string()), (&"queued".into(), true));
    let shown = place.codemint(["jobs", "show", jobs[0]["job_id"].as_str().expect("an id")]).run().await.expect_code(0);
    assert!(shown.stdout.contains("waits for room: 0 codes are free for certain"), "{}", shown.stdout);
    place.codemint(["jobs", "resume", &rival]).run().await.expect_code(0);
    // No process has decided about the job yet; the one that resumes it does.
    let taken = place.number("select count(*) from codes where code like 'A%'").await;
    let (_note, stopped) = ran.stderr.split_once("stopped").expect("what was said last");
    let resumed = proposed(&place, stopped).run().await;
    if taken < 10 {
        resumed.expect_code(0);
        assert_eq!(place.number("select count(*) from codes").await, 11);
    } else {
        assert!(resumed.expect_code(3).stderr.contains("the mask has 0 free codes"));
    }
}

on_both_stores!(generate_can_refuse_to_wait_for_room);
async fn generate_can_refuse_to_wait_for_room(place: TestStore) {
    put_rival(&place).await;
    let ran = place.codemint(GENERATE).args(["--no-wait-for-room"]).run().await.expect_code(4);
    let refusal = "0 codes of A# are free for certain, 1 was requested; nothing was stored; up to 10 become free if unfinished jobs take others: leave out --no-wait-for-room to wait for them";
    assert_names(&ran.stderr, &[refusal]);
    assert_eq!(place.number("select count(*) from jobs").await, 1);
    let enqueued = place.codemint(["enqueue", "A#", "--count", "1"]).run().await.expect_code(0);
    assert_names(&enqueued.stderr, &["note: the job waits for room: 0 codes are free for certain"]);
}
