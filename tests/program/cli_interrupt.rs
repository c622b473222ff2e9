//! Interrupted commands: what they report, what they leave behind, and how they are resumed.

use uuid::Uuid;

use codemint_telemetry::failpoint;
use codemint_test_support::cli_steps::{
    assert_names, catches_signals, files_beside_the_store, job_id, proposed, wait_for_a_chunk,
};
use codemint_test_support::codemint::{finish, send_signal};
use codemint_test_support::on_both_stores;
use codemint_test_support::postgres::free_port;
use codemint_test_support::stores::{Kind, TestStore};

const COUNT: i64 = 100_000;

/// Starts a job of many small chunks, interrupts it after the first ones and returns its standard error.
async fn interrupted(place: &TestStore, signal: &str, code: i32, args: &[&str]) -> String {
    // The signal comes amid the chunks: the later ones wait for five seconds each. A chunk takes longer on a server.
    let chunk_size = if place.kind == Kind::Sqlite { "200" } else { "1000" };
    let generate = ["generate", "*{10}", "--count", "100000", "--chunk-size", chunk_size, "--output", "codes.txt"];
    let generate = place.codemint(generate).args(args);
    let child = generate.env("FAILPOINTS", &format!("{}=50*off->return(stall)", failpoint::CHUNK_CLAIMED)).start();
    wait_for_a_chunk(place).await;
    send_signal(signal, &child);
    let ran = finish(child).await.expect_code(code);
    assert_eq!(ran.stdout, "");
    assert!(!ran.stderr.contains("error"), "an interruption is not an error: {}", ran.stderr);
    let codes = place.number("select count(*) from codes").await;
    let checkpoints = place.number("select coalesce(sum(minted), 0) from chunks").await;
    assert!(codes < COUNT, "the job ended before the signal");
    assert_eq!(codes, checkpoints, "no chunk is half done");
    ran.stderr
}

on_both_stores!(an_interrupted_command_names_the_command_that_completes_the_job);
async fn an_interrupted_command_names_the_command_that_completes_the_job(place: TestStore) {
    std::fs::write(place.path().join("codes.txt"), "what was there\n").expect("a file");
    let said = interrupted(&place, "INT", 130, &[]).await;
    assert_eq!(files_beside_the_store(place.path()), ["codes.txt"], "no temporary file is left");
    let kept = std::fs::read_to_string(place.path().join("codes.txt")).expect("the file");
    assert_eq!(kept, "what was there\n");

    assert_eq!(place.number("select count(*) from jobs").await, 1);
    assert_names(&said, &["jobs resume", "then export it with --output codes.txt"]);
    let resumed = proposed(&place, &said).args(["--json"]).run().await.expect_code(0);
    assert_eq!(place.number("select count(*) from codes").await, COUNT);
    place.codemint(["verify", &job_id(&resumed).to_string()]).run().await.expect_code(0);
}

on_both_stores!(a_terminated_command_is_completed_by_repeating_it_with_the_whole_file);
async fn a_terminated_command_is_completed_by_repeating_it_with_the_whole_file(place: TestStore) {
    let id = Uuid::now_v7().to_string();
    let said = interrupted(&place, "TERM", 143, &["--job-id", &id]).await;
    assert_names(&said, &[&format!("jobs resume {id}`")]);
    assert_eq!(files_beside_the_store(place.path()), [] as [&str; 0]);

    let generate = ["generate", "*{10}", "--count", "100000", "--output", "codes.txt", "--json", "--job-id", &id];
    let summary = place.codemint(generate).run().await.expect_code(0).json();
    assert_eq!(summary["minted"], COUNT);
    assert!(summary["minted_here"].as_i64().expect("a number") < COUNT, "what was committed is kept");
    let codes = std::fs::read_to_string(place.path().join("codes.txt")).expect("the output");
    assert_eq!(codes.lines().count() as i64, COUNT);
    assert!(codes.lines().is_sorted_by(|a, b| a < b), "every code once");
    place.codemint(["verify", &id]).run().await.expect_code(0);
}

on_both_stores!(interrupting_jobs_watch_does_not_affect_the_job);
async fn interrupting_jobs_watch_does_not_affect_the_job(place: TestStore) {
    let id = Uuid::now_v7();
    place.store.put_job(id, &codemint_test_support::cli_steps::request("####", 10)).await.expect("a job");
    // No process works on the job, so it would be watched forever.
    let child = place.codemint(["jobs", "watch", &id.to_string()]).start();
    catches_signals(child.id().expect("a running program")).await;
    send_signal("INT", &child);
    let ran = finish(child).await.expect_code(130);
    // The signal may come before the first look at the job.
    assert!(ran.stderr.starts_with("stopped "), "{}", ran.stderr);
    assert_eq!(place.texts("select state from jobs").await, ["queued"]);
}

#[tokio::test]
async fn regression_an_interrupt_ends_the_wait_for_the_server() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("postgres://postgres@127.0.0.1:{}/none", free_port());
    let started = std::time::Instant::now();
    let child = codemint_test_support::codemint::Codemint::new(directory.path())
        .args(["--store", &url, "jobs", "list"])
        .start();
    catches_signals(child.id().expect("a running program")).await;
    send_signal("INT", &child);
    let ran = finish(child).await.expect_code(130);
    assert_names(&ran.stderr, &["stopped before the store was open"]);
    assert!(started.elapsed().as_secs() < 8, "it did not wait for the server");
}
