//! What differs on the coordinator of a Citus cluster, staged on a plain PostgreSQL server: each test holds one cause.

use std::time::Duration;

use codemint_store::connection::error::StoreError;
use codemint_store::connection::location::Location;
use codemint_store::connection::store::Store;
use codemint_test_support::codemint::{Ran, finish};
use codemint_test_support::coordinator::{
    SHARDS, codemint_in_small_chunks, delay_a_write, fail_writes, stage, stage_tables,
};
use codemint_test_support::engine_steps::mint;
use codemint_test_support::postgres::{Durability, Server, Setup, create_database};
use codemint_test_support::roles;
use codemint_test_support::stores::TestStore;
use tokio::process::Command;

/// A mask with 6,760 codes.
const SMALL_MASK: &str = "X??#";

async fn coordinator() -> TestStore {
    stage(TestStore::postgres().await).await
}

async fn generate(place: &TestStore, mask: &str, count: u32) -> Ran {
    codemint_in_small_chunks(place, ["generate", mask, "--count", &count.to_string(), "--quiet"]).run().await
}

async fn job_ids(place: &TestStore) -> Vec<String> {
    place.texts("select id::text from jobs order by no").await
}

async fn assert_verifies(place: &TestStore, id: &str) {
    let verdict = place.codemint(["verify", id, "--json"]).run().await.expect_code(0).json();
    assert_eq!(verdict["holds"], true, "{verdict}");
}

#[tokio::test]
async fn codes_are_read_in_their_order_although_aggregates_lose_it() {
    let place = coordinator().await;
    assert!(place.store.is_distributed());
    generate(&place, SMALL_MASK, 2_500).await.expect_code(0);
    let id = job_ids(&place).await.remove(0);
    assert_verifies(&place, &id).await;
    let exported = place.codemint(["export", &id]).run().await.expect_code(0).stdout;
    let codes: Vec<&str> = exported.lines().skip(1).collect();
    assert_eq!(codes.len(), 2_500);
    assert!(codes.is_sorted());
    let scrambled =
        place.texts("select public.string_agg(code, '-') from (select code from codes order by code) c").await;
    assert_ne!(scrambled[0].split('-').collect::<Vec<_>>(), codes, "the stage keeps the order");
}

/// The second job looks up more codes than are asked for at once, and fills the mask up, so that it reads a crowd.
#[tokio::test]
async fn a_mask_is_filled_to_its_last_code_by_look_ups_at_the_nodes() {
    let place = coordinator().await;
    for count in [5_000, 1_760] {
        mint(&place, SMALL_MASK, count, 5_000).await;
    }
    assert_eq!(place.number("select count(*) from codes_at_nodes").await, 6_760);
    for id in job_ids(&place).await {
        assert_verifies(&place, &id).await;
    }
}

#[tokio::test]
async fn every_shard_is_asked_about_its_own_codes() {
    let server = Server::start_with(&Setup {
        durability: Durability::None,
        settings: "log_statement = all".to_owned(),
        access_rules: None,
        files: Vec::new(),
    });
    create_database(&server.url("postgres"), "shop").await;
    let place = stage(TestStore::postgres_at(&server.url("shop")).await).await;
    for _ in 0..2 {
        let generate = place.codemint(["generate", SMALL_MASK, "--count", "2000", "--quiet"]);
        generate.env("CODEMINT__PREFILTER__SCREENING", "look_up").run().await.expect_code(0);
    }
    let log = std::fs::read_to_string(server.directory().join("log")).expect("the log");
    let look_ups = log.lines().filter(|line| line.contains("select code from codes where code = any($1)")).count();
    assert!(look_ups as i64 >= SHARDS, "{look_ups} look-ups");
    // A coordinator would forward the whole message once for each setting.
    let joined = |line: &&str| line.contains("begin") && line.contains("set local");
    assert_eq!(log.lines().find(joined), None);
    assert!(!log.contains("local plan_cache_mode"));
}

#[tokio::test]
async fn duplicates_are_recognized_without_their_sqlstate() {
    let place = coordinator().await;
    let start = || {
        let args = ["generate", SMALL_MASK, "--count", "3000", "--quiet"];
        codemint_in_small_chunks(&place, args).env("CODEMINT__PREFILTER__SCREENING", "none").start()
    };
    let (one, other) = (start(), start());
    for ran in [finish(one).await, finish(other).await] {
        ran.expect_code(0);
    }
    assert_eq!(place.number("select count(distinct code) from codes_at_nodes").await, 6_000);
    assert!(place.number("select sum(conflicts)::bigint from jobs").await > 0, "no duplicate was met");
    assert_eq!(place.number("select sum(failures)::bigint from chunks").await, 0);
    for id in job_ids(&place).await {
        assert_verifies(&place, &id).await;
    }
}

#[tokio::test]
async fn errors_without_a_cause_are_retried_and_counted_for_nothing() {
    for (code, message) in [
        ("XX000", "Verklemmung entdeckt"),
        ("XX000", "failure on connection marked as essential: node:5432"),
        ("58030", "failed to COPY to shard 102029 on node:5432"),
        ("08006", "connection to the remote node mint@node:5432 failed with the following error: Connection refused"),
    ] {
        let place = coordinator().await;
        fail_writes(&place, 3, code, message).await;
        generate(&place, SMALL_MASK, 3_000).await.expect_code(0);
        assert_eq!(place.number("select count(*) from codes_at_nodes").await, 3_000, "{message}");
        assert_eq!(place.number("select sum(failures)::bigint from chunks").await, 0, "{message}");
    }
}

#[tokio::test]
async fn an_error_without_a_cause_that_never_ends_is_reported() {
    let place = coordinator().await;
    fail_writes(&place, 1_000_000, "XX000", "invalid page in block 7").await;
    let ran = generate(&place, SMALL_MASK, 1_000).await.expect_code(1);
    assert!(ran.stderr.contains("times in a row without naming a cause"), "{}", ran.stderr);
    assert!(ran.stderr.contains("invalid page in block 7"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_node_that_refuses_the_role_is_no_outage() {
    let place = coordinator().await;
    let refusal = "connection to the remote node mint@node:5432 failed with the following error: FATAL:  role \"mint\" is \
                   not permitted to log in";
    fail_writes(&place, 1_000_000, "08006", refusal).await;
    let ran = generate(&place, SMALL_MASK, 1_000).await.expect_code(1);
    assert!(ran.stderr.contains("is not permitted to log in; let this role log in at each node"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_role_that_may_not_log_in_is_refused_at_once() {
    let place = TestStore::postgres().await;
    let url = roles::url_of_member(&place.url, "owner").await;
    let (user, owner) = url
        .split_once("//")
        .and_then(|(_, rest)| rest.split_once(':'))
        .map_or(("", ""), |(user, _)| (user, user.strip_suffix("_user_owner").unwrap_or_default()));
    place.execute(&format!("alter role {user} set role {owner}_owner")).await;
    stage_tables(&place).await;
    let location: Location = url.parse().expect("a location");
    let refused = Store::open(&location, codemint_store::connection::store::Access::Existing).await;
    let role = format!("{owner}_owner");
    assert!(matches!(&refused, Err(StoreError::RoleWithoutLogin { role: found }) if *found == role), "{refused:?}");
    let ran = place.codemint(["jobs", "list", "--store", &url]).run().await.expect_code(2);
    assert!(ran.stderr.contains(&format!("as the role {role}, and that role may not log in")), "{}", ran.stderr);
}

#[tokio::test]
async fn a_session_that_looks_idle_while_nodes_work_is_not_given_up() {
    let place = coordinator().await;
    delay_a_write(&place, 14).await;
    let ran = generate(&place, SMALL_MASK, 10).await.expect_code(0);
    assert!(!ran.stderr.contains("gave up"), "{}", ran.stderr);
    assert_eq!(place.number("select last_value from faults_met").await, 10, "the codes were written twice");
}

#[tokio::test]
async fn codes_that_a_node_has_yet_to_commit_are_not_reported_as_lost() {
    let server = Server::start_with(&Setup {
        durability: Durability::None,
        settings: "max_prepared_transactions = 5".to_owned(),
        access_rules: None,
        files: Vec::new(),
    });
    create_database(&server.url("postgres"), "shop").await;
    let place = stage(TestStore::postgres_at(&server.url("shop")).await).await;
    generate(&place, SMALL_MASK, 500).await.expect_code(0);
    let id = job_ids(&place).await.remove(0);
    let taken = "create table taken as select * from codes_at_nodes order by code limit 10;
                 delete from codes_at_nodes where code in (select code from taken)";
    place.execute(taken).await;
    let failed = place.codemint(["verify", &id]).run().await.expect_code(3);
    assert!(failed.stdout.contains("verification FAILED"), "{}", failed.stdout);

    place.execute("begin; insert into codes_at_nodes select * from taken; prepare transaction 'citus_0_1_2_3'").await;
    for command in ["verify", "export"] {
        let ran = place.codemint([command, &id]).run().await.expect_code(5);
        assert!(ran.stderr.contains("codes are still being recovered at a node"), "{command}: {}", ran.stderr);
        assert!(!ran.stdout.contains("FAILED"), "{command}: {}", ran.stdout);
    }
    place.execute("commit prepared 'citus_0_1_2_3'").await;
    assert_verifies(&place, &id).await;
}

/// Only `codes` is distributed: a migration changes the other tables, and its role need not exist at the nodes.
#[tokio::test]
async fn migrations_are_carried_out_by_the_coordinator_alone() {
    const PROPAGATED: &str = "
        create function refuse() returns event_trigger language plpgsql as $$
        begin
            if current_setting('citus.enable_ddl_propagation', true) is distinct from 'off' then
                raise exception 'connection to the remote node owner@node:5432 failed';
            end if;
        end $$;
        create event trigger at_nodes on ddl_command_start execute function refuse()";
    let database = codemint_test_support::postgres::Database::create().await;
    let eyes = sqlx::PgPool::connect(&database.url).await.expect("the server");
    sqlx::raw_sql(PROPAGATED).execute(&eyes).await.expect("a trigger");
    let location: Location = database.url.parse().expect("a location");
    assert!(Store::migrate(&location).await.expect("a schema").is_usable());
    assert!(sqlx::raw_sql("create table propagated ()").execute(&eyes).await.is_err(), "the stage lets all of it pass");
}

/// Writes the self-signed certificate of version 1 that Citus creates when it is installed, and its key.
async fn certificate_of_version_1() -> [(String, String); 2] {
    let directory = tempfile::tempdir().expect("a directory");
    let openssl = async |args: &str| {
        let ran = Command::new("openssl").args(args.split(' ')).current_dir(directory.path()).output().await;
        let ran = ran.expect("openssl");
        assert!(ran.status.success(), "openssl {args}: {ran:?}");
        String::from_utf8_lossy(&ran.stdout).into_owned()
    };
    openssl("req -new -newkey rsa:2048 -nodes -subj /CN=citus-auto-ssl -keyout server.key -out request.pem").await;
    openssl("x509 -req -in request.pem -signkey server.key -days 3650 -out server.crt").await;
    let read = |name: &str| std::fs::read_to_string(directory.path().join(name)).expect("a file");
    assert!(openssl("x509 -noout -text -in server.crt").await.contains("Version: 1 (0x0)"));
    ["server.crt", "server.key"].map(|name| (name.to_owned(), read(name)))
}

#[tokio::test]
async fn a_certificate_of_version_1_stops_only_those_modes_that_demand_more() {
    let server = Server::start_with(&Setup {
        durability: Durability::None,
        settings: "ssl = on\nssl_cert_file = '{directory}/server.crt'\nssl_key_file = '{directory}/server.key'"
            .to_owned(),
        access_rules: None,
        files: certificate_of_version_1().await.into(),
    });
    create_database(&format!("{}?sslmode=disable", server.url("postgres")), "shop").await;
    let url = server.url("shop");
    let place = TestStore::postgres_at(&format!("{url}?sslmode=disable")).await;
    for parameters in ["", "?sslmode=prefer"] {
        let generate = ["generate", SMALL_MASK, "--count", "10", "--quiet", "--store", &format!("{url}{parameters}")];
        place.codemint(generate).run().await.expect_code(0);
    }
    assert_eq!(place.number("select count(*) from codes").await, 20);
    let list = ["jobs", "list", "--store", &format!("{url}?sslmode=require")];
    let refused = tokio::time::timeout(Duration::from_secs(30), place.codemint(list).run()).await.expect("an answer");
    let stderr = refused.expect_code(2).stderr;
    assert!(stderr.contains("give the server a certificate of X.509 version 3, or set sslmode=prefer"), "{stderr}");
}
