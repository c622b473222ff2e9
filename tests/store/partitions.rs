//! The table `codes` in partitions: created once, while it is empty; its primary key still decides about duplicates.

use codemint_codes::screening::{FilterLimits, ScreeningMode};
use codemint_worker::mint::task::MintSettings;
use codemint_worker::runner::single::run_job;
use sqlx::{Connection, Executor, PgConnection};
use tokio_util::sync::CancellationToken;

use codemint_test_support::engine_steps::{assert_sound, codes_in, mint, put};
use codemint_test_support::psql::partition;
use codemint_test_support::stores::{PARTITIONS, TestStore};
use codemint_test_support::waiting::wait_until;

/// The maximum number of attempts until a deadlock is met.
const ATTEMPTS_MAX: usize = 20;

#[tokio::test]
async fn an_empty_store_is_partitioned_once_and_permanently() {
    let place = TestStore::postgres().await;
    let role = format!("reader_of_{}", place.url.rsplit('/').next().expect("a name"));
    place.execute(&format!("create role {role}; grant select, insert on codes to {role}")).await;
    let migrate = |args: &[&str]| place.codemint(["migrate", "--json"]).args(args).run();
    assert_eq!(migrate(&["--check"]).await.expect_code(0).json()["partitions"], 0);
    for _again in 0..2 {
        partition(&place.url, "3").await.expect_code(0);
        let report = migrate(&[]).await.expect_code(0).json();
        assert_eq!((&report["partitions"], &report["schema"]), (&3.into(), &"current".into()));
    }
    let checked = place.codemint(["migrate", "--check"]).run().await.expect_code(0);
    assert!(checked.stdout.contains("with 3 partitions"), "{}", checked.stdout);

    let other = partition(&place.url, "4").await.expect_code(3);
    assert!(other.stderr.contains("has 3 partitions already"), "{}", other.stderr);
    let rights = format!(
        "has_table_privilege('{role}', 'codes', 'select') and has_table_privilege('{role}', 'codes', 'insert')"
    );
    assert_eq!(place.number(&format!("select count(*) where {rights}")).await, 1, "rights are kept");
    let indexes = "select count(*) from pg_index where indrelid::regclass::text like 'codes\\__'";
    assert_eq!(place.number(&format!("{indexes} and indisunique")).await, 3);
    assert_eq!(place.number(indexes).await, 3, "every other index would slow each row down");
    let primary = "select count(*) from pg_index where indrelid = 'codes'::regclass and indisprimary";
    assert_eq!(place.number(primary).await, 1, "a code is unique in all of them");
    place.execute(&format!("drop owned by {role}; drop role {role}")).await;
}

#[tokio::test]
async fn a_store_that_holds_codes_is_not_partitioned() {
    let place = TestStore::postgres().await;
    mint(&place, "A###", 123, 100).await;
    let refused = partition(&place.url, "8").await.expect_code(3);
    assert!(refused.stderr.contains("holds 123 codes"), "{}", refused.stderr);
    assert_eq!(codes_in(&place).await.len(), 123);
    for number in ["", "0", "1", "1025", "-2", "2.5", "8x"] {
        let refused = partition(&place.url, number).await.expect_code(3);
        assert!(refused.stderr.contains("set it to a number from 2 to 1024"), "{number}: {}", refused.stderr);
    }
}

#[tokio::test]
async fn codes_are_spread_over_all_partitions_without_duplicates() {
    let place = TestStore::partitioned().await;
    mint(&place, "A###", 1_000, 100).await;
    let used = place.number("select count(distinct tableoid) from codes").await;
    assert_eq!(used, i64::from(PARTITIONS));
    assert_sound(&place).await;
}

/// Runs two jobs of the same mask, whose first chunks are released at the same moment. Without screening, every code
/// that they have in common is met in the index.
async fn mint_side_by_side(place: &TestStore, mask: &str) {
    let jobs = [put(&place.store, mask, 40_000, 20_000).await, put(&place.store, mask, 40_000, 20_000).await];
    let mut gate = PgConnection::connect(&place.url).await.expect("the server");
    gate.execute("begin; lock table codes in share mode").await.expect("a lock");
    let running = jobs.map(|job| {
        let store = place.store.clone();
        let filters = FilterLimits { mode: ScreeningMode::None, ..FilterLimits::default() };
        let settings = MintSettings { filters, ..MintSettings::default() };
        tokio::spawn(async move { run_job(&store, &job, &settings, &CancellationToken::new()).await })
    });
    let waiting = "select count(*) from pg_locks where relation = 'codes'::regclass and not granted";
    wait_until("both copies", async || place.number(waiting).await == 2).await;
    gate.execute("rollback").await.expect("an open gate");
    for run in running {
        let (_, share) = run.await.expect("a task").expect("an end");
        assert_eq!(share.codes, 40_000);
    }
}

/// A `COPY` writes its rows to one partition after the other, so two chunks with codes in common may each wait for the
/// codes of the other.
#[tokio::test]
async fn a_deadlock_of_two_jobs_costs_one_of_them_a_chunk_and_nothing_else() {
    let place = TestStore::partitioned().await;
    let deadlocks = "select deadlocks from pg_stat_database where datname = current_database()";
    let mut masks = 0;
    while masks < ATTEMPTS_MAX && place.number(deadlocks).await == 0 {
        let prefix = (b'A' + masks as u8) as char;
        mint_side_by_side(&place, &format!("{prefix}#####")).await;
        masks += 1;
    }
    assert!(place.number(deadlocks).await > 0, "no deadlock in {masks} attempts");
    assert_eq!(place.number("select count(*) from codes").await, 80_000 * masks as i64);
    assert_eq!(place.number("select count(distinct code) from codes").await, 80_000 * masks as i64);
    assert_sound(&place).await;
}
