//! Words that help: notes and errors name what is missing and what to do, numbers agree with their nouns, `-q` prints
//! errors only.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use uuid::Uuid;

use codemint_test_support::cli_steps::{EmptyPlace, assert_names, files_beside_the_store, generate, proposed, request};
use codemint_test_support::codemint::{Codemint, finish, program, send_signal};
use codemint_test_support::on_both_stores;
use codemint_test_support::processes::reserved_port;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

#[tokio::test]
async fn regression_a_missing_job_may_still_wait_in_the_queue_of_the_broker() {
    let place = TestStore::sqlite().await;
    let id = Uuid::now_v7().to_string();
    for command in [&["jobs", "show", &id][..], &["export", &id], &["verify", &id], &["audit", "--job", &id]] {
        let with_broker = place.codemint(command).env("CODEMINT__AMQP__URL", "amqp://localhost/");
        let ran = with_broker.env("CODEMINT__AMQP__JOBS_QUEUE", "orders").run().await.expect_code(3);
        assert_names(&ran.stderr, &[&id, "its message may still wait in the broker's queue orders", "jobs list`"]);
        let ran = place.codemint(command).run().await.expect_code(3);
        assert!(!ran.stderr.contains("queue"), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn regression_a_quiet_command_prints_errors_only() {
    let place = TestStore::sqlite().await;
    let misnamed = ("CODEMINT_JOB_CHUNK_SIZE", "5");
    for args in [&["jobs", "list"][..], &["audit"], &["reserve", "list"]] {
        let loud = place.codemint(args).run().await.expect_code(0);
        assert_eq!(loud.stderr.lines().count(), 1, "{args:?}: {}", loud.stderr);
        let quiet = place.codemint(args).args(["-q"]).env(misnamed.0, misnamed.1).run().await.expect_code(0);
        assert_eq!((&*quiet.stdout, &*quiet.stderr), ("", ""), "{args:?}");
    }
    let to_stdout = ["generate", "####", "-n", "1", "-o", "-", "--format", "txt"];
    assert_names(&place.codemint(to_stdout).run().await.expect_code(0).stderr, &["codes     1\n"]);
    let quiet = place.codemint(to_stdout).args(["-q"]).run().await.expect_code(0);
    assert_eq!((quiet.stdout.lines().count(), &*quiet.stderr), (1, ""));
    let report = place.codemint(to_stdout).args(["-q", "--json"]).run().await.expect_code(0).stderr;
    assert!(report.starts_with("{\"job_id\""), "a report that was asked for: {report}");
    let list = place.codemint(["-q", "jobs", "list", "--limit", "1"]).run().await.expect_code(0);
    assert_eq!((list.stdout.lines().count(), &*list.stderr), (2, ""));
    let id = Uuid::now_v7().to_string();
    assert_names(&place.codemint(["-q", "jobs", "show", &id]).run().await.expect_code(3).stderr, &["error: ", &id]);
}

on_both_stores!(regression_a_cut_list_of_jobs_names_the_rest_and_the_command_that_lists_it);
async fn regression_a_cut_list_of_jobs_names_the_rest_and_the_command_that_lists_it(place: TestStore) {
    for _ in 0..4 {
        place.store.put_job(Uuid::now_v7(), &request("####", 1)).await.expect("a job");
    }
    generate(&place, &["??", "--count", "1"]).await;
    let list = async |args: &[&str]| place.codemint(["jobs", "list"]).args(args).run().await.expect_code(0);
    let first = list(&["--state", "queued", "--limit", "2"]).await;
    assert_names(&first.stderr, &["2 jobs more; `codemint ", " lists the next ones\n"]);
    let second = proposed(&place, &first.stderr).run().await.expect_code(0);
    assert_eq!((second.stdout.lines().count(), &*second.stderr), (3, ""), "{}", second.stdout);
    assert!(!second.stdout.contains("completed"), "the filters stay: {}", second.stdout);
    assert_names(&list(&["--limit", "4"]).await.stderr, &["1 job more; "]);
    for args in [&["--limit", "5"][..], &["--limit", "6"], &["--limit", "2", "--json"]] {
        assert_eq!(list(args).await.stderr, "", "{args:?}");
    }
}

on_both_stores!(regression_the_audit_log_of_an_unknown_job_is_an_error);
async fn regression_the_audit_log_of_an_unknown_job_is_an_error(place: TestStore) {
    let id = Uuid::now_v7().to_string();
    for args in [&["audit", "--job", &id][..], &["audit", "--job", &id, "--json"]] {
        let ran = place.codemint(args).run().await.expect_code(3);
        assert_eq!(ran.stdout, "");
        assert_names(&ran.stderr, &[&format!("there is no job {id} in this store"), "jobs list`"]);
    }
    let id = generate(&place, &["##", "--count", "1"]).await.to_string();
    place.codemint(["audit", "--job", &id]).run().await.expect_code(0);
    let filtered = place.codemint(["audit", "--job", &id, "--until", "2000-01-01"]).run().await.expect_code(0);
    assert_eq!(filtered.stderr, "no audit entries\n");
}

#[tokio::test]
async fn regression_one_thing_is_named_in_the_singular() {
    let place = TestStore::sqlite().await;
    let out = async |args: &[&str]| place.codemint(args).run().await.expect_code(0).stdout;
    let id = generate(&place, &["A[BC]", "--count", "1"]).await.to_string();
    assert_names(&out(&["verify", &id]).await, &["1 of 1 code found"]);
    assert_names(&out(&["reserve", "add", "ADMIN"]).await, &["ADMIN is reserved: 1 code\n"]);
    assert_names(&out(&["mask", "explain", "#", "-n", "1"]).await, &["length    1 character\n", "\n1 code: feasible"]);
    assert_names(&out(&["mask", "explain", "A", "--samples", "0"]).await, &["keyspace  1 code ("]);
    let prune = out(&["jobs", "prune", "--older-than", "1h", "--dry-run"]).await;
    assert_names(&prune, &["0 events and 0 filters, 0 bytes, of 0 jobs"]);
    let said = async |args: &[&str]| place.codemint(args).run().await.expect_code(4).stderr;
    assert_names(&said(&["generate", "A", "-n", "2"]).await, &["the mask A has 1 code in all"]);
    let conflict = said(&["generate", "??", "-n", "3", "--job-id", &id]).await;
    assert_names(&conflict, &["another request: 1 code of A[BC], no campaign"]);
    assert_names(&said(&["generate", "A[BC]", "-n", "2"]).await, &["1 code of A[BC] is free, 2 were requested"]);
}

#[tokio::test]
async fn regression_odds_near_certainty_are_not_called_one_guess_in_one() {
    let place = TestStore::sqlite().await;
    let explained = place.codemint(["mask", "explain", "#", "-n", "9"]).run().await.expect_code(0).stdout;
    assert_names(&explained, &["more than 1 guess in 2 hits"]);
    let ran = place.codemint(["generate", "#", "-n", "9", "--json"]).run().await.expect_code(0).json();
    assert_eq!(ran["warnings"][0], "more than 1 random guess in 2 hits a code; use more placeholders");
    let refused = place.codemint(["generate", "B#", "-n", "9"]).env("CODEMINT__LIMITS__GUESS_ODDS_MIN", "2");
    let refused = refused.run().await.expect_code(4).stderr;
    assert_names(&refused, &["more than 1 random guess in 2 would hit a code", "1 in 2 or better"]);
}

#[tokio::test]
async fn regression_a_variable_that_is_not_read_is_named_with_the_right_name() {
    let place = EmptyPlace::create();
    let show = ["config", "show"];
    let warned = place.run(&[("CODEMINT_JOB_CHUNK_SIZE", "7"), ("CODEMINT_SERVICE_HOST", "1.2.3.4")], &show, 0).await;
    let warning =
        "the environment variable CODEMINT_JOB_CHUNK_SIZE is not read; did you mean CODEMINT__JOB__CHUNK_SIZE?";
    assert_eq!(warned.stderr, format!("warning: {warning}\n"));
    assert_names(&warned.stdout, &["job.chunk_size", "100000"]);
    let refused = place.run(&[("CODEMINT__JOB_CHUNK_SIZE", "7")], &show, 2).await;
    assert_names(&refused.stderr, &["is not a known key; did you mean job.chunk_size?"]);
    let drain = ["worker", "--drain", "--log-format", "json"];
    let off = ("CODEMINT__ADMIN__LISTEN", "off");
    let log = place.run(&[("CODEMINT_JOB_CHUNK_SIZE", "7"), off], &drain, 0).await.stderr;
    let first: serde_json::Value = serde_json::from_str(log.lines().next().expect("a line")).expect("JSON");
    assert_eq!((&first["level"], &first["message"]), (&"WARN".into(), &warning.into()));
}

#[tokio::test]
async fn regression_a_probe_without_an_answer_names_the_reason() {
    let place = EmptyPlace::create();
    let health = async |address: &str| {
        let args = ["health", "--timeout", "1"];
        place.run(&[("CODEMINT__ADMIN__LISTEN", address)], &args, 5).await.stderr
    };
    let absent = format!("127.0.0.1:{}", reserved_port());
    assert_names(&health(&absent).await, &[&absent, "(admin.listen): nothing listens there; start a worker"]);

    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("an address").to_string();
    assert_names(&health(&address).await, &["no answer from", &address, "within 1 s", "raise --timeout"]);

    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        let (mut stream, _) = other.accept().expect("a connection");
        let _sent = stream.write_all(b"220 mail.example ESMTP\r\n");
        std::thread::sleep(Duration::from_secs(2));
    });
    assert_names(&health(&address).await, &["no worker answers at", "something else does", "correct the address"]);
}

#[tokio::test]
async fn regression_a_half_done_migration_of_a_file_names_the_way_out() {
    let place = TestStore::sqlite().await;
    place.execute("update _sqlx_migrations set success = false where version = 3").await;
    let ran = place.codemint(["jobs", "list"]).run().await.expect_code(2);
    assert_names(&ran.stderr, &["migration 3 was left half done", "restore the store from a backup", "SQLite file"]);
}

/// The action under which an export stalls for a while after its second chunk.
const STALLS: (&str, &str) = ("FAILPOINTS", "export-half-written=1*off->1*return(stall)");

async fn six_chunks(place: &TestStore) -> String {
    generate(place, &["*{6}", "--count", "600", "--chunk-size", "100"]).await.to_string()
}

/// Waits until there is a temporary file that only its owner can access.
async fn wait_for_a_private_file(place: &TestStore) {
    let is_private = |name: &String| {
        let metadata = std::fs::metadata(place.path().join(name));
        name.ends_with("codemint-tmp") && metadata.is_ok_and(|file| file.permissions().mode() & 0o777 == 0o600)
    };
    let begun = "select count(*) from audit where action = 'export' and result = 'begun'";
    wait_until("the export has begun", async || place.number(begun).await == 1).await;
    wait_until("a private file", async || files_beside_the_store(place.path()).iter().any(is_private)).await;
}

#[tokio::test]
async fn regression_an_export_that_is_hung_up_leaves_no_readable_file() {
    let place = TestStore::sqlite().await;
    let id = six_chunks(&place).await;
    let program = program().display().to_string();
    // Tests may run where hangups are ignored.
    let command = ["--default-signal=HUP", &program, "export", &id, "--output", "codes.txt"];
    let env = Codemint::built_elsewhere(Path::new("/usr/bin/env"), place.path()).args(command);
    let child = env.env("CODEMINT__STORE__URL", &place.url).env(STALLS.0, STALLS.1).start();
    wait_for_a_private_file(&place).await;
    send_signal("HUP", &child);
    let ran = finish(child).await.expect_code(129);
    assert_names(&ran.stderr, &["stopped before everything was written"]);
    assert_eq!(files_beside_the_store(place.path()), [] as [&str; 0]);
}

#[tokio::test]
async fn regression_a_hangup_that_is_ignored_stays_ignored() {
    let place = TestStore::sqlite().await;
    let id = six_chunks(&place).await;
    let script = format!("exec nohup {} export {id} --output codes.txt", program().display());
    let shell = Codemint::built_elsewhere(Path::new("/bin/sh"), place.path()).args(["-c", &script]);
    let child = shell.env("CODEMINT__STORE__URL", &place.url).env(STALLS.0, STALLS.1).start();
    wait_for_a_private_file(&place).await;
    send_signal("HUP", &child);
    finish(child).await.expect_code(0);
    let written = std::fs::read_to_string(place.path().join("codes.txt")).expect("the output");
    assert_eq!(written.lines().count(), 600);
}
