//! `codemint jobs`: listing jobs, and showing, watching, resuming and cancelling one.

use chrono::DateTime;
use serde_json::Value;
use uuid::Uuid;

use codemint_telemetry::failpoint;
use codemint_test_support::cli_steps::{assert_names, exported, generate, job_id, request, wait_for_a_chunk};
use codemint_test_support::codemint::{Ran, finish};
use codemint_test_support::on_both_stores;
use codemint_test_support::schemas::{assert_fits, validator};
use codemint_test_support::stores::TestStore;

const KEYS: [&str; 18] = [
    "waits_for",
    "priority",
    "warnings",
    "job_id",
    "kind",
    "mask",
    "campaign",
    "state",
    "requested",
    "minted",
    "rejected",
    "rejected_by_reason",
    "false_positives",
    "created_at",
    "started_at",
    "finished_at",
    "digest",
    "error",
];

/// Stores a job that no process works on, and returns its id.
async fn queued(place: &TestStore) -> String {
    let id = Uuid::now_v7();
    place.store.put_job(id, &request("####", 10)).await.expect("a job");
    id.to_string()
}

fn ids(ran: &Ran) -> Vec<String> {
    let list = ran.json();
    let jobs = list.as_array().expect("a list");
    jobs.iter().map(|job| job["job_id"].as_str().expect("an id").to_owned()).collect()
}

on_both_stores!(jobs_are_listed_newest_first_by_page_state_and_campaign);
async fn jobs_are_listed_newest_first_by_page_state_and_campaign(place: TestStore) {
    let empty = place.codemint(["jobs", "list"]).run().await.expect_code(0);
    assert_eq!((&*empty.stdout, &*empty.stderr), ("", "no jobs\n"));
    assert_eq!(ids(&place.codemint(["jobs", "list", "--json"]).run().await), [] as [&str; 0]);

    let mut all = Vec::new();
    for campaign in ["spring", "autumn", "spring"] {
        all.push(generate(&place, &["*{8}", "--count", "1", "--campaign", campaign]).await.to_string());
    }
    all.push(queued(&place).await);
    all.reverse();
    let list =
        async |args: &[&str]| ids(&place.codemint(["jobs", "list", "--json"]).args(args).run().await.expect_code(0));
    assert_eq!(list(&[]).await, all);
    assert_eq!(list(&["--limit", "2"]).await, all[..2]);
    assert_eq!(list(&["--limit", "2", "--after", &all[1]]).await, all[2..]);
    assert_eq!(list(&["--state", "queued"]).await, all[..1]);
    assert_eq!(list(&["--campaign", "spring"]).await, [&*all[1], &*all[3]]);
    assert_eq!(list(&["--campaign", "Spring"]).await, [] as [&str; 0]);
    assert_eq!(list(&["--campaign", "spring", "--after", &all[1], "--state", "completed"]).await, [&*all[3]]);

    let text = place.codemint(["jobs", "list"]).run().await.expect_code(0).stdout;
    let lines: Vec<&str> = text.lines().collect();
    assert_names(lines[0], &["JOB", "STATE", "MINTED", "REQUESTED", "MASK"]);
    assert!(lines[1..].iter().zip(&all).all(|(line, id)| line.starts_with(id)), "{text}");
}

on_both_stores!(a_job_in_json_has_the_same_keys_everywhere_and_times_in_utc);
async fn a_job_in_json_has_the_same_keys_everywhere_and_times_in_utc(place: TestStore) {
    let id = generate(&place, &["####", "--count", "5", "--campaign", "Spring \"24\""]).await.to_string();
    let mut job = place.codemint(["jobs", "show", &id, "--json"]).run().await.expect_code(0).json();
    let screenings = job.as_object_mut().expect("an object").remove("screenings").expect("a field of show alone");
    assert_eq!((&screenings[0]["screening"], &screenings[0]["chunks"]), (&"look_up_few_codes".into(), &1.into()));
    let keys: Vec<&String> = job.as_object().expect("an object").keys().collect();
    let mut sorted = KEYS.to_vec();
    sorted.sort_unstable();
    assert_eq!(keys, sorted);
    for key in ["created_at", "started_at", "finished_at"] {
        let time = job[key].as_str().expect("a time");
        assert!(time.ends_with('Z'), "{key}: {time}");
        DateTime::parse_from_rfc3339(time).expect("a time as RFC 3339 writes it");
    }
    assert_eq!((&job["state"], &job["error"]), (&"completed".into(), &Value::Null));
    assert_eq!(job["campaign"], "Spring \"24\"");
    assert_eq!(job["digest"].as_str().expect("a digest").len(), 64);

    let watched = place.codemint(["jobs", "watch", &id, "--json"]).run().await.expect_code(0);
    assert_eq!(watched.json(), job);
    let list = place.codemint(["jobs", "list", "--json"]).run().await.expect_code(0).json();
    assert_eq!(list[0], job);
    let text = place.codemint(["jobs", "show", &id]).run().await.expect_code(0).stdout;
    assert_names(&text, &[&id, "####", "completed", "requested 5", "minted    5", "Spring \"24\""]);
}

on_both_stores!(a_missing_job_is_reported_with_exit_code_3);
async fn a_missing_job_is_reported_with_exit_code_3(place: TestStore) {
    let id = Uuid::now_v7().to_string();
    let commands: [&[&str]; 7] = [
        &["jobs", "show", &id],
        &["jobs", "watch", &id],
        &["jobs", "resume", &id],
        &["jobs", "cancel", &id],
        &["jobs", "list", "--after", &id],
        &["export", &id],
        &["verify", &id],
    ];
    for command in commands {
        let ran = place.codemint(command).run().await.expect_code(3);
        assert_eq!(ran.stdout, "");
        assert!(
            ran.stderr.starts_with(&format!("error: there is no job {id} in this store; `codemint ")),
            "{}",
            ran.stderr
        );
        assert!(ran.stderr.ends_with(" jobs list` shows its jobs\n"), "{}", ran.stderr);
    }
}

on_both_stores!(a_queued_job_is_resumed_to_its_end_and_resuming_again_is_a_no_op);
async fn a_queued_job_is_resumed_to_its_end_and_resuming_again_is_a_no_op(place: TestStore) {
    let id = queued(&place).await;
    let first = place.codemint(["jobs", "resume", &id, "--json"]).run().await.expect_code(0).json();
    let again = place.codemint(["jobs", "resume", &id, "--json"]).run().await.expect_code(0).json();
    assert_eq!((&first["minted"], &first["minted_here"]), (&10.into(), &10.into()));
    assert_eq!((&again["minted"], &again["minted_here"]), (&10.into(), &0.into()));
    assert_eq!((&first["job_id"], &first["digest"]), (&again["job_id"], &again["digest"]));
    assert_eq!(place.number("select count(*) from codes").await, 10);
}

on_both_stores!(a_cancelled_job_stays_cancelled_whatever_command_names_it);
async fn a_cancelled_job_stays_cancelled_whatever_command_names_it(place: TestStore) {
    let id = queued(&place).await;
    for _ in 0..2 {
        let job = place.codemint(["jobs", "cancel", &id, "--json"]).run().await.expect_code(0).json();
        assert_eq!((&job["state"], &job["minted"]), (&"cancelled".into(), &0.into()));
        assert_eq!(job["error"]["code"], "cancelled");
        assert_eq!(job["error"]["message"], "cancelled after 0 of 10 codes");
    }
    let mint = ["generate", "####", "--count", "10", "--job-id", &id];
    for command in [&["jobs", "resume", &id][..], &["jobs", "watch", &id], &mint] {
        let ran = place.codemint(command).run().await.expect_code(3);
        assert_names(&ran.stderr, &[&format!("job {id} is cancelled: cancelled after 0 of 10 codes")]);
    }
    assert_eq!(place.number("select count(*) from codes").await, 0);
}

on_both_stores!(a_completed_job_cannot_be_cancelled);
async fn a_completed_job_cannot_be_cancelled(place: TestStore) {
    let id = generate(&place, &["####", "--count", "5"]).await.to_string();
    let ran = place.codemint(["jobs", "cancel", &id]).run().await.expect_code(3);
    assert_names(&ran.stderr, &[&id, "cannot be cancelled", "already completed"]);
    assert_eq!(place.texts("select state from jobs").await, ["completed"]);
}

on_both_stores!(a_job_cancelled_while_it_is_minted_keeps_and_counts_its_committed_codes);
async fn a_job_cancelled_while_it_is_minted_keeps_and_counts_its_committed_codes(place: TestStore) {
    let id = Uuid::now_v7().to_string();
    let args = ["generate", "*{10}", "--count", "100000", "--chunk-size", "200", "--output", "codes.txt"];
    // The later chunks wait for five seconds each.
    let slow = format!("{}=50*off->return(stall)", failpoint::CHUNK_CLAIMED);
    let writer = place.codemint(args).args(["--job-id", &id]).env("FAILPOINTS", &slow).start();
    let watcher = {
        wait_for_a_chunk(&place).await;
        place.codemint(["jobs", "watch", &id, "--json"]).start()
    };
    let cancelled = place.codemint(["jobs", "cancel", &id, "--json"]).run().await.expect_code(0);
    assert_eq!(job_id(&cancelled).to_string(), id);
    let minted = cancelled.json()["minted"].as_i64().expect("a number");
    assert!(0 < minted && minted < 100_000, "{minted}");

    let writer = finish(writer).await.expect_code(3);
    assert_names(&writer.stderr, &[&id, &format!("cancelled after {minted} of 100000 codes")]);
    assert!(!place.path().join("codes.txt").exists());
    assert_eq!(finish(watcher).await.expect_code(3).stdout, cancelled.stdout);

    assert_eq!(place.number("select count(*) from codes").await, minted);
    assert_eq!(exported(&place, job_id(&cancelled)).await.len() as i64, minted);
    place.codemint(["verify", &id]).run().await.expect_code(0);
}

on_both_stores!(a_watched_job_is_followed_until_another_process_completes_it);
async fn a_watched_job_is_followed_until_another_process_completes_it(place: TestStore) {
    let id = queued(&place).await;
    let watcher = place.codemint(["jobs", "watch", &id, "--json"]).start();
    let resumed = place.codemint(["jobs", "resume", &id, "--json"]).run().await.expect_code(0);
    let watched = finish(watcher).await.expect_code(0);
    assert_eq!(watched.json()["digest"], resumed.json()["digest"]);
    assert_eq!(watched.stderr, "", "no progress bar without a terminal");
}

#[tokio::test]
async fn invalid_options_of_a_list_are_refused_with_the_valid_values() {
    let place = TestStore::sqlite().await;
    let cases: [(&[&str], &str); 4] = [
        (&["--state", "done"], "queued, running, cancelling, cancelled, completed, failed"),
        (&["--limit", "0"], "write a whole number from 1 to 10000"),
        (&["--limit", "10001"], "write a whole number from 1 to 10000"),
        (&["--after", "yesterday"], "--after <JOB>"),
    ];
    for (args, expected) in cases {
        let ran = place.codemint(["jobs", "list"]).args(args).run().await.expect_code(2);
        assert_names(&ran.stderr, &[expected]);
    }
}

#[tokio::test]
async fn jobs_of_all_kinds_and_states_fit_their_schema() {
    let place = TestStore::sqlite().await;
    let schema = validator("job");
    let codes = place.path().join("codes.txt");
    std::fs::write(&codes, "OLD-1\nOLD-2\n").expect("a file");
    let codes = codes.to_str().expect("a path");
    for args in [
        &["generate", "A##", "--count", "90", "--campaign", "spring", "--json"][..],
        &["import", codes, "--json"],
        &["enqueue", "B####", "--count", "10", "--priority", "9"],
    ] {
        place.codemint(args).run().await.expect_code(0);
    }
    let listed = place.codemint(["jobs", "list", "--json"]).run().await.expect_code(0).json();
    let jobs = listed.as_array().expect("jobs");
    assert_eq!(jobs.len(), 3, "{listed}");
    for job in jobs {
        assert_fits(&schema, job);
    }
    let mut other = jobs[0].clone();
    other["state"] = "done".into();
    assert!(!schema.is_valid(&other));
}
