//! Load tests from start to end: they report what they measured and leave nothing behind, however they end.

use std::path::Path;

use codemint_codes::job::request::{Limits, Request};
use codemint_store::connection::store::Store;
use codemint_test_support::codemint::{Codemint, Ran, finish, send_signal};
use codemint_test_support::pgbouncer::by_way_of_pgbouncer;
use codemint_test_support::postgres::{Database, Durability, Server};
use codemint_test_support::roles::{url_of_member, url_of_owner};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::Child;
use uuid::Uuid;

const TABLES: [&str; 7] = ["jobs", "chunks", "codes", "masks", "outbox", "reserved", "audit"];

/// Returns the program, in a directory.
fn loadtest_in(directory: &Path) -> Codemint {
    let program = std::env::var_os("CARGO_BIN_EXE_codemint-loadtest").expect("cargo names the program");
    Codemint::built_elsewhere(Path::new(&program), directory)
}

/// The place of a load test: a database that already holds a store, or a directory.
struct Ground {
    directory: TempDir,
    server: Option<TestStore>,
}

impl Ground {
    async fn both() -> [Self; 2] {
        [Self::file(), Self::server().await]
    }

    fn file() -> Self {
        Self { directory: tempfile::tempdir().expect("a directory"), server: None }
    }

    async fn server() -> Self {
        Self::at(TestStore::postgres().await).await
    }

    async fn at(place: TestStore) -> Self {
        let limits = Limits { count_max: 1_000_000_000, guess_odds_min: 0 };
        let request = Request::check("FRESH-[:safe:]{8}", 300, None, 100, limits).expect("a request");
        place.store.put_job(Uuid::now_v7(), &request).await.expect("a job");
        place.execute("insert into codes (code, run_no) select 'OLD-' || n, 0 from generate_series(1, 300) n").await;
        Self { server: Some(place), ..Self::file() }
    }

    fn loadtest(&self, args: &[&str]) -> Codemint {
        let url = self.server.as_ref().map(|place| ["--store", &place.url]);
        loadtest_in(self.directory.path()).args(url.iter().flatten()).args(args)
    }

    async fn run(&self, args: &[&str], code: i32) -> Ran {
        self.loadtest(args).run().await.expect_code(code)
    }

    /// The contents of the place: files, schemas, and the rows of the store that was there before.
    async fn contents(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).expect("a directory");
        let mut contents: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        if let Some(place) = &self.server {
            contents.extend(place.texts("select nspname::text from pg_namespace order by nspname").await);
            for table in TABLES {
                let digest = format!(
                    "select '{table} ' || coalesce(md5(string_agg(t::text, ' ' order by t::text)), '') from {table} t"
                );
                contents.extend(place.texts(&digest).await);
            }
        }
        contents
    }

    /// Starts a long load test and returns it once it has something to leave behind: in a schema, a chunk is committed.
    async fn begin_long(&self) -> Child {
        let before = self.schemas().await;
        let args = ["--codes", "4000000", "--jobs", "3", "--chunk-size", "500"];
        let child = self.loadtest(&args).start();
        wait_until("a chunk is committed, or a file is there", async || match &self.server {
            Some(place) => {
                let new = self.schemas().await.into_iter().find(|schema| !before.contains(schema));
                match new {
                    Some(schema) => has_a_chunk(place, &schema).await,
                    None => false,
                }
            }
            None => !self.contents().await.is_empty(),
        })
        .await;
        child
    }

    /// The names of the schemas of load tests.
    async fn schemas(&self) -> Vec<String> {
        let sql = r"select nspname::text from pg_namespace where nspname like 'codemint\_loadtest\_%' order by nspname";
        match &self.server {
            Some(place) => place.texts(sql).await,
            None => Vec::new(),
        }
    }
}

/// Returns true if a chunk is committed in a schema; checks that no event was written about it.
async fn has_a_chunk(place: &TestStore, schema: &str) -> bool {
    let table = format!("select count(*) where to_regclass('{schema}.schema_compatibility') is not null");
    if place.number(&table).await == 0 {
        return false;
    }
    let done = place.number(&format!("select count(*) from {schema}.chunks where state = 'done'")).await;
    assert_eq!(place.number(&format!("select count(*) from {schema}.outbox")).await, 0, "a load test emits no events");
    done > 0
}

fn number(report: &Value, path: &str) -> f64 {
    report.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("no number {path} in {report}"))
}

/// Panics unless the text contains all these parts.
fn assert_names(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

#[tokio::test]
async fn a_load_test_reports_what_it_measured_and_leaves_nothing_behind() {
    for place in Ground::both().await {
        let before = place.contents().await;
        let args = ["--codes", "2003", "--jobs", "4", "--workers", "2", "--chunk-size", "250", "--json"];
        let report = place.run(&args, 0).await.json();
        assert_eq!(report["codes"], 2003);
        assert_eq!(report["jobs"], 4);
        assert_eq!(report["workers"], 2);
        assert_eq!(report["temporary"], place.server.is_none());
        assert_eq!(report["rejected"], 0);
        assert_eq!(number(&report, "/job_ms/count"), 4.0);
        // Jobs of 500 and 501 codes, in chunks of about 250: two or three each.
        assert!((8.0..=12.0).contains(&number(&report, "/chunk_ms/count")), "{report}");
        for times in ["chunk_ms", "job_ms"] {
            let times = ["p50", "p90", "p99", "max"].map(|name| number(&report, &format!("/{times}/{name}")));
            assert!(times[0] > 0.0 && times.is_sorted(), "{report}");
        }
        assert!(number(&report, "/job_ms/max") <= number(&report, "/seconds") * 1000.0 + 1.0);
        assert_eq!(report["server"].is_object(), place.server.is_some());
        assert_eq!(place.contents().await, before);
    }
}

#[tokio::test]
async fn a_crowded_mask_costs_rejections_and_one_with_too_few_codes_is_refused() {
    for place in Ground::both().await {
        let before = place.contents().await;
        let crowded = ["--mask", "CROWD####", "--jobs", "3", "--chunk-size", "1000", "--json"];
        let report = place.run(&[&crowded[..], &["--codes", "9000"]].concat(), 0).await.json();
        assert!(number(&report, "/rejected") > 0.0, "six of ten candidates of the last job exist: {report}");
        assert_eq!(place.contents().await, before);

        let full = place.run(&[&crowded[..], &["--codes", "12000"]].concat(), 4).await;
        assert_names(&full.stderr, &["2,000 codes of CROWD#### are free, 4,000 were requested"]);
        assert_eq!(place.contents().await, before);
    }
}

#[tokio::test]
async fn a_load_test_prints_a_table_or_json_whose_fields_are_all_documented() {
    let place = Ground::server().await;
    let args = ["--codes", "1000", "--workers", "1"];
    let table = place.run(&args, 0).await;
    let words = ["store  ", "1,000 in 1 job,", "codes/s", "p99", "checkpoint", "of the workers' time", "bytes a code"];
    assert_names(&table.stdout, &words);
    assert_names(&table.stdout, &["limit  ", "try  "]);

    let report = place.run(&[&args[..], &["--json"]].concat(), 0).await.json();
    let documented = include_str!("../../../docs/loadtest.md");
    let mut left = vec![&report];
    while let Some(value) = left.pop() {
        match value {
            Value::Object(fields) => {
                for (name, value) in fields {
                    assert!(documented.contains(&format!("`{name}`")), "docs/loadtest.md does not document {name}");
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

#[tokio::test]
async fn an_interrupted_load_test_leaves_nothing_behind() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        for place in Ground::both().await {
            let before = place.contents().await;
            let child = place.begin_long().await;
            send_signal(signal, &child);
            let ran = finish(child).await.expect_code(code);
            assert_names(&ran.stderr, &["stopped; all test data is removed"]);
            assert_eq!(place.contents().await, before);
        }
    }
}

#[tokio::test]
async fn a_load_test_removes_what_a_killed_one_left_and_nothing_else() {
    for place in Ground::both().await {
        if let Some(server) = &place.server {
            for schema in ["codemint_loadtest_results", "codemint_loadtest_0123456789abcdef0", "loadtest"] {
                server.execute(&format!("create schema {schema}; create table {schema}.kept (n integer)")).await;
            }
        }
        let before = place.contents().await;
        let child = place.begin_long().await;
        send_signal("KILL", &child);
        finish(child).await.expect_code(-9);
        assert_eq!(place.contents().await.len(), before.len() + 1);

        let ran = place.run(&["--codes", "100", "--json"], 0).await;
        if place.server.is_some() {
            assert_names(
                &ran.stderr,
                &["note: removed the schema codemint_loadtest_", "that a killed load test had left"],
            );
        }
        assert_eq!(place.contents().await, before);
    }
}

#[tokio::test]
async fn a_load_test_waits_for_a_crashed_server_and_leaves_nothing_behind() {
    let server = Server::start(Durability::Full);
    let place = Ground::at(TestStore::postgres_at(&server.url("postgres")).await).await;
    let before = place.contents().await;
    let child = place.loadtest(&["--codes", "60000", "--jobs", "3", "--chunk-size", "500", "--json"]).start();
    let store = place.server.as_ref().expect("a server");
    wait_until("a chunk is committed", async || match place.schemas().await.first() {
        Some(schema) => has_a_chunk(store, schema).await,
        None => false,
    })
    .await;
    server.crash_and_restart();
    let report = finish(child).await.expect_code(0).json();
    assert_eq!(report["codes"], 60_000);
    wait_until("the server answers", async || store.store.ping().await.is_ok()).await;
    assert_eq!(place.contents().await, before);
}

#[tokio::test]
async fn two_load_tests_at_once_do_not_disturb_each_other() {
    for place in Ground::both().await {
        let before = place.contents().await;
        let child = place.begin_long().await;
        let schemas = place.schemas().await;
        let other = place.run(&["--codes", "2000", "--json"], 0).await;
        assert_eq!(other.json()["codes"], 2000);
        assert!(!other.stderr.contains("removed"), "{}", other.stderr);
        assert_eq!(place.schemas().await, schemas, "the first one still works in its schema");
        send_signal("INT", &child);
        finish(child).await.expect_code(130);
        assert_eq!(place.contents().await, before);
    }
}

#[tokio::test]
async fn workers_of_a_store_in_the_same_database_do_not_see_the_jobs() {
    let place = Ground::server().await;
    let store: &Store = &place.server.as_ref().expect("a server").store;
    let child = place.begin_long().await;
    assert_eq!(store.list_unfinished(10).await.expect("jobs").len(), 1, "the job that was there before");
    send_signal("INT", &child);
    finish(child).await.expect_code(130);
}

#[tokio::test]
async fn arguments_out_of_bounds_are_refused_before_anything_is_done() {
    let place = Ground::file();
    for (args, code, said) in [
        (&["--codes", "0"][..], 4, "count is 0"),
        (&["--codes", "x"], 2, "write a whole number"),
        (&["--codes", "5", "--jobs", "6"], 2, "--jobs is 6, --codes is 5; a job needs at least 1 code"),
        (&["--jobs", "0"], 2, "--jobs is 0; write a number from 1 to 10000"),
        (&["--jobs", "10001"], 2, "--jobs is 10001"),
        (&["--workers", "65"], 2, "--workers is 65; write a number from 1 to 64"),
        (&["--mask", "A{"], 4, "mask, byte 2: found {"),
        (&["--mask", "A#", "--codes", "11"], 4, "the mask A# has 10 codes in all"),
        (&["--codes", "2000000000"], 4, "a job has at most 1000000000 codes"),
        (&["--chunk-size", "0"], 4, "chunk size must be between 1 and 1048576, got 0"),
        (&["--store", "sqlite://none.db"], 2, "a load test of SQLite creates a temporary file"),
        (&["--store", "mysql://host"], 2, "found the scheme \"mysql\""),
    ] {
        let refused = place.run(args, code).await;
        assert_names(&refused.stderr, &[said]);
    }
    assert_eq!(place.contents().await, [] as [&str; 0]);
}

#[tokio::test]
async fn a_user_who_may_not_create_a_schema_is_refused_with_the_grant() {
    let place = TestStore::postgres().await;
    let generator = url_of_member(&place.url, "generator").await;
    let refused = loadtest_in(place.path()).args(["--store", &generator]).run().await.expect_code(2);
    assert_names(&refused.stderr, &["permission denied for database", "grant create on database NAME to USER"]);
}

#[tokio::test]
async fn a_member_of_the_owner_role_may_run_it_and_sees_what_the_server_does() {
    let database = Database::create().await;
    let owner = url_of_owner(&database.url).await;
    let name = database.url.rsplit('/').next().expect("a name").to_owned();
    let place = TestStore::postgres_in(database).await;
    place.execute(&format!("grant create on database {name} to {name}_owner")).await;
    let loadtest = loadtest_in(place.path()).args(["--store", &owner, "--codes", "200000", "--json"]);
    let report = loadtest.run().await.expect_code(0).json();
    assert!(number(&report, "/shares/database_cpu") > 0.0, "a user with another role set: {report}");
}

#[tokio::test]
async fn a_pgbouncer_is_refused_because_it_loses_the_schema() {
    let place = Ground::server().await;
    let before = place.contents().await;
    let url = by_way_of_pgbouncer(&place.server.as_ref().expect("a server").url);
    let refused = loadtest_in(place.directory.path()).args(["--store", &url]).run().await.expect_code(2);
    assert_names(&refused.stderr, &["is a pgbouncer; a load test needs a direct connection"]);
    assert_eq!(place.contents().await, before);
}

#[tokio::test]
async fn regression_a_path_with_control_characters_is_escaped_in_the_report() {
    let parent = tempfile::tempdir().expect("a directory");
    let directory = parent.path().join("a\x1b[2J\nFORGED");
    std::fs::create_dir(&directory).expect("a directory");
    let ran = loadtest_in(&directory).args(["--codes", "100", "--jobs", "1"]).run().await.expect_code(0);
    assert_names(&ran.stdout, &[r"a\u{1b}[2J\nFORGED"]);
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains('\x1b') && !text.lines().any(|line| line.starts_with("FORGED")), "{text:?}");
    }
}
