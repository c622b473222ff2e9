//! A list of identities whose command is killed at random moments while its server crashes: afterwards everybody has one code.
//! `CODEMINT_TEST_IDENTITIES` sets the length of the list.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::process::Child;

use codemint_telemetry::failpoint;
use codemint_test_support::cli_steps::job_id;
use codemint_test_support::codemint::{Codemint, Ran, send_signal};
use codemint_test_support::oracle::{Asked, Known, judge};
use codemint_test_support::owners_oracle::{KnownOwners, ListAsked};
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::stores::TestStore;

const LENGTH: &str = "CODEMINT_TEST_IDENTITIES";
const USUAL_LENGTH: usize = 20_000;
const CHUNKS: usize = 40;
/// Longer than a million identities take in a debug build.
const ENDED_WITHIN: Duration = Duration::from_secs(600);

/// A fault, in the share of the chunks in which it happens at a random moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    /// The command is killed and started again.
    Kill,
    /// The server crashes, and the command must endure that.
    Crash,
    /// The server crashes and the command is killed, so that the next one meets a server that recovers.
    CrashAndKill,
}

#[tokio::test]
async fn a_list_is_completed_although_its_command_is_killed_again_and_again() {
    let place = TestStore::sqlite().await;
    survive(&place, &[Fault::Kill, Fault::Kill, Fault::Kill], &|| {}).await;
}

#[tokio::test]
async fn a_list_is_completed_although_its_command_is_killed_and_its_server_crashes() {
    let server = Server::start(Durability::Full);
    create_database(&server.url("postgres"), "lists").await;
    let place = TestStore::postgres_at(&server.url("lists")).await;
    let crash = || {
        server.kill_9();
        server.start_again();
    };
    survive(&place, &[Fault::Kill, Fault::Crash, Fault::Kill, Fault::CrashAndKill, Fault::Crash], &crash).await;
}

async fn survive(place: &TestStore, faults: &[Fault], crash: &dyn Fn()) {
    let length = std::env::var(LENGTH).map_or(USUAL_LENGTH, |text| text.parse().expect("a number"));
    let identities: Vec<String> = (0..length).map(|number| format!("customer-{number}")).collect();
    create_campaign(place).await;
    std::fs::write(place.path().join("list.csv"), format!("identity\n{}\n", identities.join("\n"))).expect("a file");
    let command = || {
        let args = ["campaign", "codes", "owners", "--identities", "list.csv", "--json"];
        let minting = place.codemint(args).env("CODEMINT__JOB__CHUNK_SIZE", &(length / CHUNKS).to_string());
        // It is still at work when the kill comes after one of the last chunks.
        minting.env("FAILPOINTS", &format!("{}=1*return(stall)->off", failpoint::BEFORE_CLOSE))
    };

    // While the list is read and loaded.
    let mut child = command().start();
    tokio::time::sleep(Duration::from_millis(below(length / 100 + 1) as u64)).await;
    child = kill_and_restart(child, &command).await;
    let share = CHUNKS / (faults.len() + 1);
    for (number, fault) in faults.iter().enumerate() {
        let chunks = 1 + number * share + below(share);
        wait_for_chunks(place, &mut child, chunks).await;
        if matches!(fault, Fault::Crash | Fault::CrashAndKill) {
            crash();
        }
        if matches!(fault, Fault::Kill | Fault::CrashAndKill) {
            child = kill_and_restart(child, &command).await;
        }
    }
    let report = end_of(child).await.expect_code(0);
    let job = job_id(&report);
    assert_eq!((&report.json()["minted"], &report.json()["state"]), (&json!(length), &json!("completed")));

    let verdict = run(place.codemint(["verify", &job.to_string(), "--json"])).await.expect_code(0).json();
    assert_eq!(verdict["holds"], true, "{verdict}");
    assert_exported(place, &identities).await;
    let asked = [Asked { id: job, mask: "OWN-????????".to_owned(), count: length as u64 }];
    let lists = [ListAsked { job, identities }];
    let owners = KnownOwners { lists: &lists, ..KnownOwners::default() };
    let found = judge(place, &Known { asked: &asked, owners, ..Known::default() }).await;
    assert_eq!((found.owners.assigned, found.owners.pooled), (length as u64, 0));
}

async fn create_campaign(place: &TestStore) {
    let definition = json!({
        "name": "owners", "title": "Owners", "kind": "restricted", "active": true, "mask": "OWN-????????",
        "limits": { "issued": 1_000_000 },
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    std::fs::write(place.path().join("owners.json"), definition.to_string()).expect("a file");
    place.codemint(["campaign", "create", "owners.json"]).run().await.expect_code(0);
}

/// Panics unless the export has each identity once and each code once.
async fn assert_exported(place: &TestStore, identities: &[String]) {
    let export = ["export", "--campaign", "owners", "--output", "codes.csv"];
    run(place.codemint(export)).await.expect_code(0);
    let exported = std::fs::read_to_string(place.path().join("codes.csv")).expect("a file");
    let mut lines = exported.lines();
    assert_eq!(lines.next(), Some("code,identity"));
    let (codes, owners): (Vec<&str>, Vec<&str>) = lines.map(|line| line.split_once(',').expect("a pair")).unzip();
    assert_eq!(codes.len(), identities.len());
    assert_eq!(codes.into_iter().collect::<HashSet<_>>().len(), identities.len());
    assert_eq!(owners.into_iter().collect::<HashSet<_>>(), identities.iter().map(String::as_str).collect());
}

/// Kills the command, which must still be at work.
async fn kill_and_restart(child: Child, command: &impl Fn() -> Codemint) -> Child {
    send_signal("KILL", &child);
    end_of(child).await.expect_code(-9);
    command().start()
}

async fn wait_for_chunks(place: &TestStore, child: &mut Child, chunks: usize) {
    let started = Instant::now();
    while place.number("select count(*) from chunks where state = 'done'").await < chunks as i64 {
        assert!(child.try_wait().expect("its state").is_none(), "the command ended before chunk {chunks}");
        assert!(started.elapsed() < ENDED_WITHIN, "timed out waiting for chunk {chunks}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn run(command: Codemint) -> Ran {
    end_of(command.start()).await
}

async fn end_of(child: Child) -> Ran {
    let ended = tokio::time::timeout(ENDED_WITHIN, child.wait_with_output()).await;
    Ran::from(ended.expect("the program ends in time").expect("its output"))
}

fn below(bound: usize) -> usize {
    getrandom::u32().expect("random bytes") as usize % bound
}
