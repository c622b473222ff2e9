//! Unusable stores, and the creation of the schema: `codemint migrate`.

use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};

use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::codemint::{Codemint, Ran};
use codemint_test_support::on_both_stores;
use codemint_test_support::postgres::{Database, Durability, Server, free_port};
use codemint_test_support::stores::TestStore;

const MINT: [&str; 4] = ["generate", "####", "--count", "10"];

async fn run(store: &str, args: &[&str], code: i32) -> Ran {
    let directory = tempfile::tempdir().expect("a directory");
    Codemint::new(directory.path()).args(["--store", store]).args(args).run().await.expect_code(code)
}

#[tokio::test]
async fn a_new_store_is_readable_by_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    Codemint::new(directory.path()).args(["generate", "A####", "--count", "10"]).run().await.expect_code(0);
    let metadata = std::fs::metadata(directory.path().join("codemint.db")).expect("the default store");
    assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_file_that_cannot_be_a_store_is_reported_with_the_reason_and_unchanged() {
    let directory = tempfile::tempdir().expect("a directory");
    let at = |name: &str| directory.path().join(name);
    std::fs::create_dir(at("directory")).expect("a directory");
    let text = "no database, but a text as long as the header of one\n".repeat(20);
    std::fs::write(at("text"), &text).expect("a file");
    let cases = [
        ("directory", "directory cannot be opened: it is a directory; name a file in it"),
        ("missing/store.db", "missing/store.db cannot be opened: there is no directory"),
        ("text", "text cannot be opened: file is not a database"),
        ("text/store.db", "text/store.db cannot be opened: there is no directory"),
    ];
    for (name, message) in cases {
        let ran = run(&format!("sqlite://{}", at(name).display()), &MINT, 2).await;
        assert_names(&ran.stderr, &[message]);
        assert_eq!(ran.stderr.lines().count(), 1);
    }
    let ran = run("sqlite:///proc/store.db", &MINT, 2).await;
    assert_names(&ran.stderr, &["/proc/store.db cannot be opened: "]);
    assert_eq!(std::fs::read_to_string(at("text")).expect("the file"), text);
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 2);
}

#[tokio::test]
async fn regression_a_database_of_another_program_is_refused_and_unchanged() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("theirs.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut theirs = sqlx::SqliteConnection::connect_with(&options).await.expect("a database");
    theirs.execute("create table orders (no integer primary key)").await.expect("a table");
    theirs.close().await.expect("an end");
    let before = std::fs::read(&file).expect("the file");
    for args in [&MINT[..], &["jobs", "list"], &["migrate"], &["migrate", "--check"]] {
        let ran = run(&format!("sqlite://{}", file.display()), args, 2).await;
        assert_names(&ran.stderr, &["tables of another application", "a file or a database of its own"]);
        assert!(std::fs::read(&file).expect("the file") == before, "{args:?} changed the file");
    }
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1);
}

#[tokio::test]
async fn an_unreachable_server_is_reported_with_exit_code_5_after_ten_seconds() {
    let url = format!("postgres://mint:topsecret@127.0.0.1:{}/shop", free_port());
    let started = Instant::now();
    let ran = run(&url, &MINT, 5).await;
    let waited = started.elapsed();
    assert!(Duration::from_secs(8) < waited && waited < Duration::from_secs(30), "{waited:?}");
    assert_names(
        &ran.stderr,
        &[
            "the server at postgres://mint:***@127.0.0.1:",
            "/shop cannot be reached",
            "; check that it runs, and store.url",
        ],
    );
    assert!(ran.stderr.starts_with("note: waiting for postgres://mint:***@127.0.0.1:"), "{}", ran.stderr);
    assert!(!ran.stderr.contains("topsecret"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_refusal_by_the_server_is_reported_at_once_without_the_password() {
    let server = Server::start(Durability::None);
    let mut owner = PgConnection::connect(&server.url("postgres")).await.expect("the server");
    owner.execute("create role mint login password 'topsecret'").await.expect("a role");
    owner.close().await.expect("an end");
    server.demand_password_of("mint");
    let port = server.port();
    let cases = [
        (
            format!("mint:wr0ngsecret@127.0.0.1:{port}/postgres"),
            "password authentication failed for user \"mint\"; check the user and the password in store.url or the file of store.url_file",
        ),
        (format!("mint:topsecret@127.0.0.1:{port}/nowhere"), "database \"nowhere\" does not exist"),
        (format!("nobody:topsecret@127.0.0.1:{port}/postgres"), "role \"nobody\" does not exist"),
    ];
    for (place, reason) in cases {
        let started = Instant::now();
        let ran = run(&format!("postgres://{place}"), &MINT, 2).await;
        assert!(started.elapsed() < Duration::from_secs(8), "the server refused at once");
        assert_names(&ran.stderr, &["error: postgres://", "***@127.0.0.1", "cannot be opened", reason]);
        assert!(ran.stderr.trim_end().ends_with(reason), "nothing follows the reason: {}", ran.stderr);
        assert!(!ran.stderr.contains("secret"), "{}", ran.stderr);
    }
    let right = format!("postgres://mint:topsecret@127.0.0.1:{port}/postgres");
    assert_names(&run(&right, &MINT, 2).await.stderr, &["no schema yet; run `codemint migrate`"]);
}

#[tokio::test]
async fn regression_a_database_that_is_not_utf8_is_refused_before_anything_is_stored() {
    let database = Database::create().await;
    let mut connection = PgConnection::connect(&database.url).await.expect("the server");
    for encoding in ["LATIN1", "SQL_ASCII"] {
        let name = format!("{}_{}", database.url.rsplit('/').next().expect("a name"), encoding.to_lowercase());
        let create =
            format!("create database {name} template template0 encoding '{encoding}' locale_provider libc locale 'C'");
        connection.execute(create.as_str()).await.expect("a database");
        let url = database.url.replace(database.url.rsplit('/').next().expect("a name"), &name);
        for command in [&["migrate"][..], &["migrate", "--check"], &MINT, &["worker", "--no-wait"]] {
            let refused = run(&url, command, 2).await;
            assert_names(&refused.stderr, &[&format!("the encoding {encoding}"), "createdb --encoding UTF8"]);
        }
        connection.execute(format!("drop database {name}").as_str()).await.expect("no database");
    }
}

#[tokio::test]
async fn only_migrate_creates_a_postgres_schema() {
    let database = Database::create().await;
    let url = &database.url;
    for _ in 0..2 {
        let check = run(url, &["migrate", "--check"], 3).await;
        assert_eq!(check.stdout, "there is no schema; run `codemint migrate`\n");
        assert_eq!(run(url, &["migrate", "--check", "--json"], 3).await.json()["schema"], "missing");
        for command in [&MINT[..], &["jobs", "list"]] {
            let refused = run(url, command, 2).await;
            assert_names(&refused.stderr, &["no schema yet; run `codemint migrate` with the same --store"]);
        }
    }
    let migrated = run(url, &["migrate"], 0).await;
    assert_eq!(migrated.stdout, "the schema is current, version 13; it was created just now\n");
    for args in [&["migrate"][..], &["migrate", "--check"]] {
        assert_eq!(run(url, args, 0).await.stdout, "the schema is current, version 13\n");
    }
    let json = run(url, &["migrate", "--json"], 0).await.json();
    assert_eq!(json, serde_json::json!({ "schema": "current", "version": 13, "partitions": 0 }));
    run(url, &MINT, 0).await;
}

#[tokio::test]
async fn the_first_job_creates_an_sqlite_store_and_checking_creates_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("store.db");
    let url = format!("sqlite://{}", file.display());
    assert_names(&run(&url, &["migrate", "--check"], 3).await.stdout, &["there is no schema"]);
    assert!(!file.exists(), "checking creates no file");
    std::fs::write(&file, "").expect("an empty file");
    run(&url, &["migrate", "--check"], 3).await;
    assert_eq!(std::fs::read(&file).expect("the file"), b"", "checking writes nothing");
    run(&url, &MINT, 0).await;
    run(&url, &["migrate", "--check"], 0).await;
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1, "one file holds everything");
}

on_both_stores!(a_schema_of_a_newer_program_is_refused_by_every_command_that_opens_the_store);
async fn a_schema_of_a_newer_program_is_refused_by_every_command_that_opens_the_store(place: TestStore) {
    place.execute("update _sqlx_migrations set version = 99 where version = 8").await;
    for command in [&MINT[..], &["jobs", "list"], &["migrate"], &["migrate", "--check"]] {
        let ran = place.codemint(command).run().await.expect_code(2);
        assert_names(&ran.stderr, &["version 99, this program knows 13 at most"]);
    }
}
