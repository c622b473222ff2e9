//! Stores that cannot be used, and how a schema gets into one: `codemint migrate`.

use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};

use crate::cli_steps::assert_names;
use crate::support::codemint::{Codemint, Ran};
use crate::support::postgres::{Database, Durability, Server, free_port};
use crate::support::stores::TestStore;

const MINT: [&str; 4] = ["generate", "####", "--count", "10"];

async fn run(store: &str, args: &[&str], code: i32) -> Ran {
    let directory = tempfile::tempdir().expect("a directory");
    Codemint::new(directory.path()).args(["--store", store]).args(args).run().await.expect_code(code)
}

#[tokio::test]
async fn regression_a_database_of_something_else_is_refused_without_a_change() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("theirs.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&file).create_if_missing(true);
    let mut theirs = sqlx::SqliteConnection::connect_with(&options).await.expect("a database");
    theirs.execute("create table orders (no integer primary key)").await.expect("a table");
    theirs.close().await.expect("an end");
    let before = std::fs::read(&file).expect("the file");
    for args in [&MINT[..], &["jobs", "list"], &["migrate"], &["migrate", "--check"]] {
        let ran = run(&format!("sqlite://{}", file.display()), args, 2).await;
        assert_names(&ran.stderr, &["tables of something else", "a file or a database of its own"]);
        assert!(std::fs::read(&file).expect("the file") == before, "{args:?} changed the file");
    }
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_waited_for_ten_seconds_and_reported_with_exit_code_5() {
    let url = format!("postgres://mint:topsecret@127.0.0.1:{}/shop", free_port());
    let started = Instant::now();
    let ran = run(&url, &MINT, 5).await;
    let waited = started.elapsed();
    assert!(Duration::from_secs(8) < waited && waited < Duration::from_secs(30), "{waited:?}");
    assert_names(&ran.stderr, &["the server at postgres://mint:***@127.0.0.1:", "/shop cannot be reached"]);
    assert!(!ran.stderr.contains("topsecret"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_postgres_schema_is_made_by_migrate_alone() {
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
    for args in [&["migrate"][..], &["migrate"], &["migrate", "--check"]] {
        assert_names(&run(url, args, 0).await.stdout, &["the schema is current, version 1"]);
    }
    let json = run(url, &["migrate", "--json"], 0).await.json();
    assert_eq!(json, serde_json::json!({ "schema": "current", "version": 1 }));
    run(url, &MINT, 0).await;
}

#[tokio::test]
async fn an_sqlite_store_is_made_by_the_first_job_and_checking_makes_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("store.db");
    let url = format!("sqlite://{}", file.display());
    assert_names(&run(&url, &["migrate", "--check"], 3).await.stdout, &["there is no schema"]);
    assert!(!file.exists(), "checking makes no file");
    std::fs::write(&file, "").expect("an empty file");
    run(&url, &["migrate", "--check"], 3).await;
    assert_eq!(std::fs::read(&file).expect("the file"), b"", "checking writes nothing");
    run(&url, &MINT, 0).await;
    run(&url, &["migrate", "--check"], 0).await;
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 1, "one file holds everything");
}

#[tokio::test]
async fn a_schema_of_a_newer_program_is_refused_by_every_command_that_opens_the_store() {
    for place in TestStore::both().await {
        place.execute("update _sqlx_migrations set version = 99").await;
        for command in [&MINT[..], &["jobs", "list"], &["migrate"], &["migrate", "--check"]] {
            let ran = place.codemint(command).run().await.expect_code(2);
            assert_names(&ran.stderr, &["version 99, this program knows 1 at most"]);
        }
    }
}
