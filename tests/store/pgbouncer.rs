//! The store through a pgbouncer in transaction mode: Codemint leaves nothing in its sessions, and these are shared.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use codemint_store::connection::location::Location;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Executor, Row};

use codemint_test_support::codemint::{Codemint, finish};
use codemint_test_support::engine_steps::mint;
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

/// The settings of each transaction of Codemint.
const SETTINGS: [(&str, &str); 4] = [
    ("lock_timeout", "30s"),
    ("statement_timeout", "5min"),
    ("idle_in_transaction_session_timeout", "1min"),
    ("client_connection_check_interval", "10s"),
];

/// The number of sessions that the tests' pgbouncer has for a database.
const SESSIONS: usize = 5;

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    let row = connection.fetch_one(format!("select current_setting('{name}')").as_str()).await.expect("a setting");
    row.get(0)
}

/// Opens clients that know nothing of Codemint, each in a transaction and so in its own session: they use all sessions.
async fn strangers(place: &TestStore) -> Vec<PgConnection> {
    let options: PgConnectOptions = place.url.parse().expect("options");
    let mut strangers = Vec::new();
    for _ in 0..SESSIONS {
        let mut stranger =
            PgConnection::connect_with(&options.clone().extra_float_digits(None)).await.expect("pgbouncer");
        stranger.execute("begin").await.expect("a session");
        strangers.push(stranger);
    }
    strangers
}

#[tokio::test]
async fn every_transaction_has_its_timeouts_and_its_isolation_level() {
    let place = TestStore::pgbouncer().await;
    for (name, value) in SETTINGS {
        let sql = format!("select current_setting('{name}')");
        let alone: String = place.store.query(&sql).fetch_value().await.expect("a setting");
        assert_eq!(alone, value, "{name} for a query by itself");
        let mut reading = place.store.begin_reading().await.expect("a transaction");
        let inside: String = reading.query(&sql).fetch_value().await.expect("a setting");
        assert_eq!(inside, value, "{name} in a transaction");
        let isolation = "select current_setting('transaction_isolation')";
        let isolation: String = reading.query(isolation).fetch_value().await.expect("it");
        assert_eq!(isolation, "repeatable read");
        reading.rollback().await.expect("an end");
    }
}

#[tokio::test]
async fn a_session_keeps_no_setting_and_no_prepared_statement_of_a_transaction() {
    let place = TestStore::pgbouncer().await;
    let mut before = BTreeMap::new();
    for stranger in &mut strangers(&place).await {
        for (name, _) in SETTINGS {
            before.insert(name, setting(stranger, name).await);
        }
    }
    assert_eq!(before["statement_timeout"], "0");
    mint(&place, "A####", 2_000, 100).await;
    mint(&place, "###[0-9A]#", 2_000, 100).await;
    place.codemint(["jobs", "list"]).run().await.expect_code(0);
    for stranger in &mut strangers(&place).await {
        for (name, value) in &before {
            assert_eq!(setting(stranger, name).await, *value, "{name}");
        }
        let prepared = stranger.fetch_one("select count(*) from pg_prepared_statements").await.expect("a number");
        assert_eq!(prepared.get::<i64, _>(0), 0);
        let locks = "select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()";
        assert_eq!(stranger.fetch_one(locks).await.expect("a number").get::<i64, _>(0), 0);
    }
}

on_stores!([postgres, pgbouncer] an_abandoned_transaction_is_rolled_back);
async fn an_abandoned_transaction_is_rolled_back(place: TestStore) {
    for _ in 0..20 {
        // The future is dropped while it waits for the server.
        let _given_up = tokio::time::timeout(Duration::from_micros(50), place.store.begin_reading()).await;
    }
    let open = "select count(*) from pg_stat_activity where datname = current_database()
                   and application_name like 'codemint pid%' and state like 'idle in transaction%'";
    wait_until("no transaction is open", async || place.number(open).await == 0).await;
    mint(&place, "A###", 100, 10).await;
}

#[tokio::test]
async fn processes_that_share_a_job_share_the_sessions() {
    let place = TestStore::pgbouncer().await;
    let put = place.codemint(["generate", "MY_LITTLE_PROMO????##", "-n", "200000", "--chunk-size", "1000", "--json"]);
    let first = put.start();
    let jobs = async || place.texts("select cast(id as text) from jobs").await;
    while jobs().await.is_empty() {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let id = jobs().await.remove(0);
    let others = [(); 2].map(|()| place.codemint(["jobs", "resume", &id, "--json"]).start());
    let running = async {
        let mut minted = finish(first).await.expect_code(0).json()["minted_here"].as_i64().expect("a number");
        for other in others {
            minted += finish(other).await.expect_code(0).json()["minted_here"].as_i64().expect("a number");
        }
        minted
    };
    let mut users: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let watching = async {
        loop {
            let sql = "select pid || ' ' || application_name from pg_stat_activity
                        where datname = current_database() and application_name like 'codemint pid%'";
            for line in place.texts(sql).await {
                let (session, user) = line.split_once(' ').expect("two words");
                users.entry(session.to_owned()).or_default().insert(user.to_owned());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let minted = tokio::select! { minted = running => minted, () = watching => 0 };
    assert_eq!(minted, 200_000, "the sum of what they minted");
    assert_eq!(place.number("select count(distinct code) from codes").await, 200_000);
    assert!(users.values().any(|users| users.len() > 1), "no session served two processes: {users:?}");
    place.codemint(["verify", &id]).run().await.expect_code(0);
}

#[tokio::test]
async fn a_pgbouncer_that_is_configured_as_a_server_is_detected() {
    let place = TestStore::pgbouncer().await;
    let refused = Codemint::new(place.path()).args(["--store", &place.url, "jobs", "list"]).run().await.expect_code(2);
    assert!(refused.stderr.contains("set store.pgbouncer to true"), "{}", refused.stderr);
}

#[tokio::test]
async fn a_schema_is_migrated_only_at_the_server_and_checked_through_pgbouncer_too() {
    let place = TestStore::pgbouncer().await;
    let current = place.codemint(["migrate"]).run().await.expect_code(0);
    assert!(current.stdout.contains("the schema is current"), "a current schema needs nothing: {}", current.stdout);
    place.codemint(["migrate", "--check"]).run().await.expect_code(0);
    place.execute("delete from _sqlx_migrations where version > 1").await;
    place.codemint(["migrate", "--check"]).run().await.expect_code(3);
    let refused = place.codemint(["migrate"]).run().await.expect_code(2);
    assert!(refused.stderr.contains("migrations need a direct connection to the server"), "{}", refused.stderr);
}

#[test]
fn urls_that_pgbouncer_cannot_serve_are_refused_with_the_configuration() {
    let refusal = |url: &str| {
        let location: Location = url.parse().expect("a location");
        location.through_pgbouncer().expect_err("a refusal").to_string()
    };
    assert!(refusal("sqlite://codemint.db").contains("an SQLite store cannot be reached through pgbouncer"));
    assert!(refusal("postgres://a@b/c?options=-c%20work_mem=1MB").contains("alter role"));
}
