//! `codemint bench`: it reports what it measured and leaves nothing behind, however it ends.

use std::path::Path;

use codemint_codes::job::bench;
use codemint_store::upkeep::benches::BenchJob;
use serde_json::Value;
use uuid::Uuid;

use codemint_test_support::cli_steps::{EmptyPlace, assert_names, generate, request, wait_for_a_chunk};
use codemint_test_support::codemint::{Codemint, finish, send_signal};
use codemint_test_support::postgres::{Durability, Server};
use codemint_test_support::roles::{url_of_member, url_of_owner};
use codemint_test_support::stores::{Kind, TestStore, Way};
use codemint_test_support::waiting::wait_until;
use codemint_test_support::{on_all_stores, on_both_stores};

const TABLES: [&str; 6] = ["jobs", "chunks", "codes", "masks", "outbox", "reserved"];

/// The number of rows of every table, and the number of codes that are claimed from masks.
async fn contents(place: &TestStore) -> Vec<(&'static str, i64)> {
    let mut contents = Vec::new();
    for table in TABLES {
        contents.push((table, place.number(&format!("select count(*) from {table}")).await));
    }
    let promised = "select cast(coalesce(sum(codes), 0) as bigint) from masks";
    contents.push(("promised", place.number(promised).await));
    contents
}

fn number(report: &Value, path: &str) -> f64 {
    report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number {path} in {report}"))
}

/// The names of the entries of a directory.
fn names_in(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

on_all_stores!(a_bench_reports_what_it_measured_and_leaves_nothing_behind);
async fn a_bench_reports_what_it_measured_and_leaves_nothing_behind(place: TestStore) {
    let other = generate(&place, &["FRESH-[:safe:]{8}", "--count", "300"]).await;
    let before = contents(&place).await;
    let bench = ["bench", "--codes", "2003", "--jobs", "4", "--workers", "2", "--json"];
    let ran = place.codemint(bench).env("CODEMINT__JOB__CHUNK_SIZE", "250").run().await.expect_code(0);
    let report = ran.json();
    assert_eq!(report["codes"], 2003);
    assert_eq!(report["jobs"], 4);
    assert_eq!(report["workers"], 2);
    assert_eq!(report["temporary"], false);
    assert_eq!(report["rejected"], 0);
    assert_eq!(number(&report, "/job_ms/count"), 4.0);
    // Jobs of 500 and 501 codes, in chunks of about 250: two or three each.
    assert!((8.0..=12.0).contains(&number(&report, "/chunk_ms/count")), "{report}");
    for times in ["chunk_ms", "job_ms"] {
        let times = ["p50", "p90", "p99", "max"].map(|name| number(&report, &format!("/{times}/{name}")));
        assert!(times[0] > 0.0 && times.is_sorted(), "{report}");
    }
    assert!(number(&report, "/job_ms/max") <= number(&report, "/seconds") * 1000.0 + 1.0);
    assert_eq!(report["server"].is_object(), place.kind == Kind::Postgres && place.way != Way::Pgbouncer);
    assert_eq!(contents(&place).await, before, "{:?}", place.way);
    place.codemint(["verify", &other.to_string(), "--everywhere"]).run().await.expect_code(0);
    assert_eq!(names_in(place.path()).iter().filter(|name| name.contains("bench")).count(), 0);
}

on_both_stores!(a_bench_on_a_mask_in_use_notes_the_overlap_and_leaves_the_mask_unchanged);
async fn a_bench_on_a_mask_in_use_notes_the_overlap_and_leaves_the_mask_unchanged(place: TestStore) {
    let other = generate(&place, &["CROWD####", "--count", "6000"]).await;
    let before = contents(&place).await;
    let bench = place.codemint(["bench", "--codes", "3000", "--mask", "CROWD####", "--json"]);
    let ran = bench.run().await.expect_code(0);
    assert_names(&ran.stderr, &["note: 1 masks in use share codes with CROWD####"]);
    assert!(number(&ran.json(), "/rejected") > 0.0, "six of ten candidates exist");
    assert_eq!(contents(&place).await, before);
    place.codemint(["verify", &other.to_string()]).run().await.expect_code(0);

    let full = place.codemint(["bench", "--codes", "5000", "--mask", "CROWD####"]).run().await.expect_code(4);
    assert_names(&full.stderr, &["4,000 codes of CROWD#### are free, 5,000 were requested"]);
    assert_eq!(contents(&place).await, before);
}

#[tokio::test]
async fn a_bench_prints_a_table_or_json_whose_fields_are_all_documented() {
    let place = TestStore::postgres().await;
    let bench = ["bench", "--codes", "1000", "--workers", "1"];
    let table = place.codemint(bench).run().await.expect_code(0);
    let words = ["store  ", "1,000 in 1 jobs", "codes/s", "p99", "checkpoint", "of the workers' time", "bytes a code"];
    assert_names(&table.stdout, &words);
    assert_names(&table.stdout, &["limit  ", "try  "]);

    let report = place.codemint(bench).args(["--json"]).run().await.expect_code(0).json();
    let documented = include_str!("../../docs/bench.md");
    let mut left = vec![&report];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    assert!(documented.contains(&format!("`{name}`")), "docs/bench.md does not document {name}");
                    left.push(value);
                }
            }
            Value::Array(values) => left.extend(values),
            _ => {}
        }
    }
    let phases: Vec<&str> =
        report["phases"].as_array().expect("phases").iter().filter_map(|phase| phase["phase"].as_str()).collect();
    assert_eq!(phases, ["claim", "prepare", "copy", "checkpoint", "commit", "give_way", "rest"]);
    let shares: f64 = (0..7).map(|at| number(&report, &format!("/phases/{at}/share"))).sum();
    assert!((0.95..1.05).contains(&shares), "the phases and the rest are all of the workers' time: {report}");
    assert!(number(&report, "/server/wal_bytes_per_code") > 30.0, "a code's row and its place in the index: {report}");
    assert!(number(&report, "/server/round_trip_ms") > 0.0);
}

on_both_stores!(an_interrupted_bench_leaves_nothing_behind);
async fn an_interrupted_bench_leaves_nothing_behind(place: TestStore) {
    for ((signal, code), place) in [("INT", 130), ("TERM", 143)].into_iter().zip([place.another().await, place]) {
        let other = generate(&place, &["FRESH-[:safe:]{8}", "--count", "300"]).await;
        let before = contents(&place).await;
        let child = begin_long(&place).await;
        send_signal(signal, &child);
        let ran = finish(child).await.expect_code(code);
        assert_names(&ran.stderr, &["stopped; all test data is removed"]);
        assert_eq!(contents(&place).await, before);
        place.codemint(["verify", &other.to_string(), "--everywhere"]).run().await.expect_code(0);
    }
}

/// Starts a long bench and returns it once its first chunk is committed.
async fn begin_long(place: &TestStore) -> tokio::process::Child {
    let bench = ["bench", "--codes", "400000", "--jobs", "3"];
    let child = place.codemint(bench).env("CODEMINT__JOB__CHUNK_SIZE", "500").start();
    let done = "select count(*) from chunks where state = 'done' and quota = 500";
    wait_until("a chunk of the bench is committed", async || place.number(done).await > 0).await;
    child
}

on_both_stores!(a_bench_removes_what_a_killed_bench_left_and_nothing_else);
async fn a_bench_removes_what_a_killed_bench_left_and_nothing_else(place: TestStore) {
    let other = generate(&place, &["FRESH-[:safe:]{8}", "--count", "300"]).await;
    let before = contents(&place).await;
    let child = begin_long(&place).await;
    send_signal("KILL", &child);
    finish(child).await.expect_code(-9);
    assert_ne!(contents(&place).await, before);
    // Nothing resumes its jobs.
    let left = place.store.list_bench_jobs().await.expect("jobs");
    assert_eq!(left.len(), 3);
    assert_eq!(place.store.list_unfinished(10).await.expect("jobs"), []);
    let resumed = place.codemint(["jobs", "resume", &left[0].id.to_string()]).run().await.expect_code(3);
    assert_names(&resumed.stderr, &["the next `codemint bench` removes it"]);

    let ran = place.codemint(["bench", "--codes", "100", "--json"]).run().await.expect_code(0);
    assert_names(&ran.stderr, &["note: removed the leftovers of a killed bench: 3 jobs with "]);
    assert_eq!(contents(&place).await, before);
    place.codemint(["verify", &other.to_string(), "--everywhere"]).run().await.expect_code(0);
}

#[tokio::test]
async fn a_bench_waits_for_a_crashed_server_and_leaves_nothing_behind() {
    let server = Server::start(Durability::Full);
    let place = TestStore::postgres_at(&server.url("postgres")).await;
    let before = contents(&place).await;
    let bench = ["bench", "--codes", "60000", "--jobs", "3", "--json"];
    let child = place.codemint(bench).env("CODEMINT__JOB__CHUNK_SIZE", "500").start();
    wait_for_a_chunk(&place).await;
    server.crash_and_restart();
    let report = finish(child).await.expect_code(0).json();
    assert_eq!(report["codes"], 60_000);
    wait_until("the server answers", async || place.store.ping().await.is_ok()).await;
    assert_eq!(contents(&place).await, before);
}

on_both_stores!(a_second_bench_on_the_same_store_is_refused);
async fn a_second_bench_on_the_same_store_is_refused(place: TestStore) {
    let child = begin_long(&place).await;
    let refused = place.codemint(["bench", "--codes", "100"]).run().await.expect_code(1);
    assert_names(&refused.stderr, &["another `codemint bench` runs on this store"]);
    assert_eq!(place.store.list_bench_jobs().await.expect("jobs").len(), 3, "they are the other one's");
    send_signal("INT", &child);
    finish(child).await.expect_code(130);
    place.codemint(["bench", "--codes", "100"]).run().await.expect_code(0);
}

on_both_stores!(a_job_that_only_looks_like_a_bench_job_is_never_removed);
async fn a_job_that_only_looks_like_a_bench_job_is_never_removed(place: TestStore) {
    let named = codemint_codes::job::request::Request {
        campaign: Some(bench::campaign(Uuid::now_v7(), 0)),
        ..request("####", 10)
    };
    place.store.put_job(Uuid::now_v7(), &named).await.expect("a job of that campaign");
    place.store.put_job(bench::FIRST_ID, &request("A###", 10)).await.expect("a job of such an id");
    let before = contents(&place).await;
    place.codemint(["bench", "--codes", "100"]).run().await.expect_code(0);
    assert_eq!(contents(&place).await, before);
    let none: Vec<BenchJob> = place.store.list_bench_jobs().await.expect("jobs");
    assert!(none.is_empty());
}

on_both_stores!(workers_ignore_the_jobs_of_a_bench);
async fn workers_ignore_the_jobs_of_a_bench(place: TestStore) {
    let campaign = bench::campaign(Uuid::now_v7(), 7);
    let named = codemint_codes::job::request::Request { campaign: Some(campaign.clone()), ..request("A####", 10) };
    place.store.put_job(bench::id_of(&campaign), &named).await.expect("a job");
    place.store.put_job(Uuid::now_v7(), &request("B####", 10)).await.expect("a job");
    let worker = place.codemint(["worker", "--drain"]).env("CODEMINT__ADMIN__LISTEN", "off");
    worker.run().await.expect_code(0);
    let states = "select state from jobs order by no";
    assert_eq!(place.texts(states).await, ["queued", "completed"]);
}

#[tokio::test]
async fn without_a_store_a_bench_uses_a_temporary_file_and_removes_an_abandoned_one() {
    let place = EmptyPlace::new();
    let report = place.run(&[], &["bench", "--codes", "1000", "--json"], 0).await.json();
    assert_eq!(report["temporary"], true);
    assert_eq!(names_in(place.path()), [] as [&str; 0]);

    let child = Codemint::new(place.path()).args(["bench", "--codes", "50000000"]).start();
    wait_until("the file is there", async || !names_in(place.path()).is_empty()).await;
    send_signal("KILL", &child);
    finish(child).await.expect_code(-9);
    assert_eq!(names_in(place.path()).len(), 1);
    place.run(&[], &["bench", "--codes", "1000"], 0).await;
    assert_eq!(names_in(place.path()), [] as [&str; 0]);
}

#[tokio::test]
async fn arguments_out_of_bounds_are_refused_before_anything_is_done() {
    let place = EmptyPlace::new();
    for (args, code, said) in [
        (&["--codes", "0"][..], 4, "count is 0"),
        (&["--codes", "x"], 2, "write a whole number"),
        (&["--codes", "5", "--jobs", "6"], 2, "--jobs is 6, --codes is 5; a job needs at least 1 code"),
        (&["--jobs", "0"], 2, "--jobs is 0; write a number from 1 to 10000"),
        (&["--jobs", "10001"], 2, "--jobs is 10001"),
        (&["--workers", "65"], 2, "--workers is 65; write a number from 1 to 64"),
        (&["--mask", "A{"], 4, "mask, byte 2: found {"),
        (&["--mask", "A#", "--codes", "11"], 4, "the mask A# has 10 codes in all"),
        (&["--codes", "2000000000"], 4, "limits.count_max allows"),
    ] {
        let refused = place.run(&[], &[&["bench"], args].concat(), code).await;
        assert_names(&refused.stderr, &[said]);
    }
    let refused = place.run(&[], &["--store", "sqlite://none.db", "bench"], 2).await;
    assert_names(&refused.stderr, &["there is no store at none.db"]);
    assert_eq!(names_in(place.path()), [] as [&str; 0]);
}

#[tokio::test]
async fn a_user_who_could_not_clean_up_is_refused_before_a_code_is_minted() {
    let place = TestStore::postgres().await;
    let generator = url_of_member(&place.url, "generator").await;
    let bench = |url: &str| Codemint::new(place.path()).args(["--store", url, "bench", "--codes", "2000"]);
    let refused = bench(&generator).run().await.expect_code(2);
    assert_names(&refused.stderr, &["may not delete from jobs, chunks, masks, codes, so", "codemint_owner"]);
    assert_eq!(place.number("select count(*) from jobs").await, 0);
}

#[tokio::test]
async fn a_member_of_the_owner_role_may_run_it_and_sees_what_the_server_does() {
    let database = codemint_test_support::postgres::Database::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let owner = url_of_owner(&database.url).await;
    let codemint = |args: &[&str]| Codemint::new(directory.path()).args(["--store", &owner]).args(args);
    codemint(&["migrate"]).run().await.expect_code(0);
    let report = codemint(&["bench", "--codes", "200000", "--json"]).run().await.expect_code(0).json();
    assert!(number(&report, "/shares/database_cpu") > 0.0, "a user with another role set: {report}");
}

on_both_stores!(a_bench_emits_no_events);
async fn a_bench_emits_no_events(place: TestStore) {
    wait_for_no_event(&place).await;
}

/// Configures a broker, for which the jobs of other commands would emit events. Nothing connects to it here.
async fn wait_for_no_event(place: &TestStore) {
    let bench = place.codemint(["bench", "--codes", "400000"]).env("CODEMINT__JOB__CHUNK_SIZE", "500");
    let child = bench.env("CODEMINT__AMQP__URL", "amqp://nobody@127.0.0.1:1/").start();
    wait_for_a_chunk(place).await;
    assert_eq!(place.number("select count(*) from outbox").await, 0);
    let announced = "select count(*) from jobs where announced = (1 = 1)";
    assert_eq!(place.number(announced).await, 0);
    send_signal("INT", &child);
    finish(child).await.expect_code(130);
}
