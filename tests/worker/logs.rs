//! The log of a worker: lines in JSON with the documented fields, one for each step of a job, few during outages.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use uuid::Uuid;

use codemint_test_support::codemint::AS_PROGRAM;
use codemint_test_support::on_both_stores;
use codemint_test_support::oracle::Asked;
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::rabbitmq::Broker;
use codemint_test_support::site::{Site, publish, request};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::end_well_at;

const MASK: &str = "MY_LITTLE_PROMO????##";
const SMALL_CHUNKS: (&str, &str) = ("CODEMINT__JOB__CHUNK_SIZE", "1000");
const AWAY_FOR: Duration = Duration::from_secs(20);
/// Enough lines to report that each server is away and is back, and the errors of the work that was cut off.
const LINES_MAX: usize = 12;

/// Parses every line, and asserts the fields that every line must have.
fn lines(said: &str) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let lines: Vec<Value> = said.lines().map(line).collect();
    for line in &lines {
        for name in ["timestamp", "level", "target", "message"] {
            assert!(line[name].is_string(), "no {name} in {line}");
        }
        let time = line["timestamp"].as_str().expect("a time");
        assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
    }
    lines
}

fn about<'a>(lines: &'a [Value], message: &str, id: Uuid) -> Vec<&'a Value> {
    let id = id.to_string();
    lines.iter().filter(|line| line["message"] == message && line["job_id"] == *id).collect()
}

on_both_stores!(acceptance_start_and_end_of_a_job_are_logged_once_across_all_workers);
async fn acceptance_start_and_end_of_a_job_are_logged_once_across_all_workers(place: TestStore) {
    let site = Site::new(place).await;
    let peer = site.keep_events().await;
    let settings = [SMALL_CHUNKS, ("CODEMINT__LOG__LEVEL", "auto")];
    let workers = [site.start(&settings, &[]), site.start(&settings, &[])];
    for worker in &workers {
        worker.wait_until_ready().await;
    }
    let ids = [Uuid::now_v7(), Uuid::now_v7()];
    for id in ids {
        publish(&peer, &request(id, MASK, 20_000)).await;
    }
    wait_until("both ended", async || site.completed().await == 2).await;
    let mut said = String::new();
    for worker in workers {
        said += &worker.terminate().await.expect_code(0).stderr;
    }
    let lines = lines(&said);
    for id in ids {
        let count = |message: &str| about(&lines, message, id).len();
        let counts = ["a job was accepted", "a job is opened", "a job has ended", "minted a chunk"].map(count);
        assert_eq!(counts, [1, 1, 1, 0], "{said}");
        let ended = about(&lines, "a job has ended", id)[0];
        assert_eq!((&ended["state"], &ended["codes"]), (&"completed".into(), &20_000.into()));
        assert!(ended["seconds"].is_f64() && ended["rejected"].is_u64(), "{ended}");
        let job = site.codemint(&["jobs", "show", &id.to_string(), "--json"]).run().await.expect_code(0).json();
        assert_eq!(ended["digest"], job["digest"]);
        assert!(about(&lines, "a job is opened", id)[0]["waited_seconds"].is_f64());
    }
    let at_work = lines.iter().filter(|line| line["message"] == "the worker is at work");
    assert_eq!(at_work.count(), 2);
}

#[tokio::test]
async fn each_chunk_is_logged_at_debug_level_with_its_job() {
    let site = Site::new(TestStore::sqlite().await).await;
    let peer = site.keep_events().await;
    let id = Uuid::now_v7();
    publish(&peer, &request(id, MASK, 20_000)).await;
    let worker = site.codemint(&["worker", "--drain"]).env("CODEMINT__ADMIN__LISTEN", "off");
    let worker = worker.env("CODEMINT__LOG__LEVEL", "debug").env(SMALL_CHUNKS.0, SMALL_CHUNKS.1);
    let ran = worker.run().await.expect_code(0);
    let lines = lines(&ran.stderr);
    let chunks = about(&lines, "minted a chunk", id);
    let codes: u64 = chunks.iter().map(|chunk| chunk["codes"].as_u64().expect("codes")).sum();
    assert_eq!((chunks.len(), codes), (20, 20_000), "{}", ran.stderr);
}

on_both_stores!(the_end_of_a_cancelled_job_is_logged_and_other_commands_log_nothing);
async fn the_end_of_a_cancelled_job_is_logged_and_other_commands_log_nothing(place: TestStore) {
    let id = Uuid::now_v7();
    let name = id.to_string();
    place.codemint(["enqueue", MASK, "--count", "10", "--job-id", &name]).run().await.expect_code(0);
    let ran = place.codemint(["-v", "jobs", "cancel", &name]).run().await.expect_code(0);
    let told = lines(&ran.stderr);
    assert_eq!(about(&told, "a job has ended", id)[0]["state"], "cancelled");

    let quiet = place.codemint(["generate", "A###", "--count", "10"]).run().await.expect_code(0);
    assert_eq!(quiet.stderr, "", "commands other than a worker report on standard output");
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_are_logged_once_per_server_in_a_bounded_number_of_lines() {
    let postgres = Server::start(Durability::Full);
    create_database(&postgres.url("postgres"), "codemint").await;
    let broker = Broker::start();
    let site = Site::at(TestStore::postgres_at(&postgres.url("codemint")).await, &broker).await;
    let peer = site.keep_events().await;
    let worker = site.start(&[SMALL_CHUNKS, ("CODEMINT__WORKER__CONCURRENCY", "4")], &[]);
    worker.wait_until_ready().await;
    let (id, count) = (Uuid::now_v7(), 1_000_000);
    publish(&peer, &request(id, MASK, count)).await;
    let done = "select count(*) from chunks where state = 'done'";
    wait_until("chunks", async || site.count(done).await >= 10).await;
    let before = worker.said().lines().count();
    postgres.kill_9();
    broker.kill_9();
    // No event marks the end of this wait: the passing of time itself is tested.
    tokio::time::sleep(AWAY_FOR).await;
    let said = worker.said();
    let away: Vec<Value> = lines(&said).split_off(before);
    assert!((2..=LINES_MAX).contains(&away.len()), "{} lines: {away:#?}", away.len());
    let mut by_message: BTreeMap<String, usize> = BTreeMap::new();
    for line in &away {
        *by_message.entry(line["message"].to_string()).or_default() += 1;
    }
    for once in ["the store is away", "no connection to the broker"] {
        let times: usize = by_message.iter().filter(|(text, _)| text.contains(once)).map(|(_, times)| times).sum();
        assert_eq!(times, 1, "{once}: {away:#?}");
    }
    broker.start_again();
    postgres.start_again();
    worker.wait_until_it_says("the store answers again").await;
    worker.wait_until_it_says("the broker is back").await;
    let asked = [Asked { id, mask: MASK.to_owned(), count }];
    end_well_at(&broker, "after an outage", site, worker, &asked).await;
}

#[tokio::test]
async fn the_last_log_line_of_a_worker_that_fails_gives_the_reason() {
    let site = Site::new(TestStore::sqlite().await).await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let ran = site.codemint(&["worker"]).env("CODEMINT__ADMIN__LISTEN", &address).run().await.expect_code(2);
    let lines = lines(&ran.stderr);
    let last = lines.last().expect("a line");
    assert_eq!((&last["level"], &last["exit_code"]), (&"ERROR".into(), &2.into()));
    assert!(last["message"].as_str().is_some_and(|text| text.contains("admin.listen")), "{last}");
}

/// `script` gives the worker a terminal.
#[test]
fn on_a_terminal_log_lines_are_plain_text() {
    let directory = tempfile::tempdir().expect("a directory");
    let program = env!("CARGO_BIN_EXE_codemint");
    let command = format!("{program} worker --drain");
    let ran = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env(AS_PROGRAM, "1")
        .env("CODEMINT__ADMIN__LISTEN", "off")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .expect("script, of Debian's bsdutils");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}");
    assert!(said.contains("INFO") && said.contains("the worker is at work") && !said.contains("{\""), "{said}");
}
