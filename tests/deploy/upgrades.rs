//! Upgrades while workers run: first the schema, with the new program's `migrate`, then the workers, one by one. Old
//! programs keep running, and start again where the schema declares that they may. Here the newer schema is one of the future.

use std::path::Path;

use codemint_store::connection::schema::SchemaStatus;
use codemint_store::connection::store::Store;
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection, SqliteConnection};
use uuid::Uuid;

use codemint_test_support::amqp::Peer;
use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::on_both_stores;
use codemint_test_support::oracle::Asked;
use codemint_test_support::site::{Site, Worker, publish, request};
use codemint_test_support::stores::{Kind, TestStore, Way};
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::{chunks_said, end_well};

const OPEN: &str = "select count(*) from chunks where state = 'open'";
const COUNT: u64 = 600_000;

/// Returns the version of the schema that this program knows.
async fn known(place: &TestStore) -> i64 {
    let location = place.url.parse().expect("a location");
    match Store::check_schema(&location).await.expect("a status") {
        SchemaStatus::Current { version } => version,
        other => panic!("{other:?}"),
    }
}

/// Migrates the schema as a newer program would: to the next version, with these statements.
async fn migrate_further(place: &TestStore, database_url: &str, version: i64, sql: &str) {
    let name = if place.kind == Kind::Sqlite { "sqlite" } else { "postgres" };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(name);
    let directory = tempfile::tempdir().expect("a directory");
    for file in std::fs::read_dir(source).expect("migrations").map(|entry| entry.expect("an entry")) {
        std::fs::copy(file.path(), directory.path().join(file.file_name())).expect("a copy");
    }
    std::fs::write(directory.path().join(format!("{version:04}_newer.sql")), sql).expect("a migration");
    let migrator = Migrator::new(directory.path()).await.expect("migrations");
    match place.kind {
        Kind::Sqlite => {
            let mut file = SqliteConnection::connect(database_url).await.expect("the file");
            migrator.run(&mut file).await.expect("a newer schema");
        }
        Kind::Postgres => {
            let mut database = PgConnection::connect(database_url).await.expect("the database");
            migrator.run(&mut database).await.expect("a newer schema");
        }
    }
}

/// Returns SQL for a newer schema that declares from which version on programs work with it; `None` declares nothing.
fn newer_schema(version: i64, programs_from: Option<i64>) -> String {
    let declared = programs_from.map(|from| {
        format!("insert into schema_compatibility (schema_version, programs_from) values ({version}, {from});")
    });
    format!(
        "alter table jobs add column newer text;
         create table newer (no integer primary key);
         {}",
        declared.unwrap_or_default()
    )
}

on_both_stores!(the_newest_migration_declares_which_programs_work_with_it);
async fn the_newest_migration_declares_which_programs_work_with_it(place: TestStore) {
    let known = known(&place).await;
    let said = format!("select count(*) from schema_compatibility where schema_version = {known}");
    assert_eq!(place.number(&said).await, 1, "version {known} in {:?}", place.kind);
}

on_both_stores!(a_newer_schema_that_declares_compatibility_is_used_and_left_unchanged);
async fn a_newer_schema_that_declares_compatibility_is_used_and_left_unchanged(place: TestStore) {
    let known = known(&place).await;
    let next = known + 1;
    migrate_further(&place, &place.url, next, &newer_schema(next, Some(known))).await;
    place.codemint(["generate", "####", "--count", "10"]).run().await.expect_code(0);
    place.codemint(["jobs", "list"]).run().await.expect_code(0);
    for args in [&["migrate"][..], &["migrate", "--check"]] {
        let told = place.codemint(args).run().await.expect_code(0);
        assert_names(&told.stdout, &[&format!("version {next}, this program knows {known} and works with it")]);
    }
    let told = place.codemint(["migrate", "--check", "--json"]).run().await.expect_code(0).json();
    assert_eq!((&told["schema"], &told["found"], &told["known"]), (&"newer".into(), &next.into(), &known.into()));
    assert_eq!(place.number("select max(version) from _sqlx_migrations").await, next);
}

#[tokio::test]
async fn a_newer_schema_is_checked_through_pgbouncer_too() {
    let place = TestStore::pgbouncer().await;
    assert_eq!(place.way, Way::Pgbouncer);
    let known = place.number("select max(version) from _sqlx_migrations").await;
    // The rows that a migration would write.
    place
        .execute(&format!(
            "insert into _sqlx_migrations select {known} + 1, 'newer', now(), true, '', 0;
             insert into schema_compatibility (schema_version, programs_from) values ({known} + 1, {known})"
        ))
        .await;
    place.codemint(["generate", "####", "--count", "10"]).run().await.expect_code(0);
    place.execute("delete from schema_compatibility").await;
    place.codemint(["generate", "####", "--count", "10"]).run().await.expect_code(2);
}

on_both_stores!(every_command_refuses_a_newer_schema_that_does_not_declare_compatibility);
async fn every_command_refuses_a_newer_schema_that_does_not_declare_compatibility(place: TestStore) {
    let known = known(&place).await;
    let next = known + 1;
    migrate_further(&place, &place.url, next, &newer_schema(next, None)).await;
    let commands: [&[&str]; 4] =
        [&["generate", "####", "--count", "10"], &["jobs", "list"], &["migrate"], &["migrate", "--check"]];
    for command in commands {
        let refused = place.codemint(command).run().await.expect_code(2);
        assert_names(&refused.stderr, &[&format!("version {next}, this program knows {known} at most")]);
    }
    let declare = format!("insert into schema_compatibility (schema_version, programs_from) values ({next}, {next})");
    place.execute(&declare).await;
    for command in commands {
        let refused = place.codemint(command).run().await.expect_code(2);
        let programs = format!("version {next}, which works with programs from version {next} on");
        assert_names(&refused.stderr, &[&programs, &format!("this one knows {known} at most")]);
    }
    assert_eq!(place.number("select count(*) from jobs").await, 0);
}

on_both_stores!(a_newer_schema_with_other_older_migrations_is_refused);
async fn a_newer_schema_with_other_older_migrations_is_refused(place: TestStore) {
    let known = known(&place).await;
    migrate_further(&place, &place.url, known + 1, &newer_schema(known + 1, Some(known))).await;
    let other = if place.kind == Kind::Sqlite { "x'00'" } else { "'\\x00'" };
    place.execute(&format!("update _sqlx_migrations set checksum = {other} where version = 1")).await;
    let refused = place.codemint(["jobs", "list"]).run().await.expect_code(2);
    assert_names(&refused.stderr, &["migration 1 in the store differs from that of this program"]);
}

async fn ask(peer: &Peer, mask: &str) -> Asked {
    let asked = Asked { id: Uuid::now_v7(), mask: mask.to_owned(), count: COUNT };
    publish(peer, &request(asked.id, mask, COUNT)).await;
    asked
}

/// Waits until each of these workers has committed some more chunks.
pub async fn wait_until_all_work(workers: &[&Worker]) {
    let before: Vec<usize> = workers.iter().map(|worker| chunks_said(worker)).collect();
    wait_until("all work", async || {
        workers.iter().zip(&before).all(|(worker, before)| chunks_said(worker) > before + 3)
    })
    .await;
}

on_both_stores!(a_worker_continues_and_another_starts_when_the_schema_is_migrated_under_them);
async fn a_worker_continues_and_another_starts_when_the_schema_is_migrated_under_them(place: TestStore) {
    let known = known(&place).await;
    let owner_url = place.url.clone();
    let site = Site::new(place).await;
    let peer = site.keep_events().await;
    let settings = [("CODEMINT__JOB__CHUNK_SIZE", "3000"), ("CODEMINT__LOG__LEVEL", "debug")];
    let running = site.start(&settings, &[]);
    running.wait_until_ready().await;
    let mut asked = vec![ask(&peer, "U???????").await];
    wait_until_all_work(&[&running]).await;
    migrate_further(&site.store, &owner_url, known + 1, &newer_schema(known + 1, Some(known))).await;
    assert!(site.count(OPEN).await > 0, "the job ended too early");
    let started = site.start(&settings, &[]);
    started.wait_until_ready().await;
    started.wait_until_it_says("belongs to a newer program").await;
    asked.push(ask(&peer, "U???????").await);
    wait_until_all_work(&[&running, &started]).await;
    for worker in [&running, &started] {
        let readiness = worker.readiness();
        assert!(matches!(readiness, Some((200, _))), "a newer schema leaves the worker ready: {readiness:?}");
    }
    running.terminate().await.expect_code(0);
    end_well("a newer schema", site, started, &asked).await;
}
