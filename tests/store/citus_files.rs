//! deploy/citus/distribute.sql, and deploy/postgres/partitions.sql on Citus: psql runs the real files. There is no Citus here;
//! its tables and functions are staged, with its names and signatures, and record what the files call.

use codemint_test_support::codemint::Ran;
use codemint_test_support::engine_steps::mint;
use codemint_test_support::psql::{distribute, partition, stage_cluster};
use codemint_test_support::roles::url_of_member;
use codemint_test_support::stores::TestStore;

const CALLS: &str = "select call from staged_calls order by no";
const NO_NODE: &str = "no active node may hold shards; run \"select citus_add_node('HOST', PORT)\" for each node, and see \
                       isactive and shouldhaveshards in pg_dist_node";

/// A store with a staged coordinator and nodes.
async fn coordinator(nodes: u32) -> TestStore {
    let place = TestStore::postgres().await;
    stage_cluster(&place.url, nodes).await;
    place
}

fn database(place: &TestStore) -> &str {
    place.url.rsplit('/').next().expect("a name")
}

#[track_caller]
fn assert_refused(ran: Ran, message: &str) {
    let ran = ran.expect_code(3);
    assert!(ran.stderr.contains(&format!("ERROR:  {message}\n")), "{message}\n{}", ran.stderr);
    assert_eq!(ran.stdout, "", "a refusal prints no success");
}

#[tokio::test]
async fn a_user_a_number_and_a_database_that_cannot_work_are_refused() {
    let place = TestStore::postgres().await;
    let name = database(&place).to_owned();
    let reader = url_of_member(&place.url, "reader").await;
    let message = format!(
        "role \"{name}_user_reader\" is not a superuser, and only superusers can distribute tables; run this file with the \
         URL of a superuser of database \"{name}\""
    );
    assert_refused(distribute(&reader, &[]).await, &message);

    for number in ["0", "1025", "-2", "2.5", "8x", "99999"] {
        let ran = distribute(&place.url, &["-v", &format!("shards={number}")]).await;
        let message = "set it to a number from 1 to 1024 with -v shards=N, or leave it out";
        assert_refused(ran, &format!("shards is \"{number}\"; {message}"));
    }

    let message = format!(
        "Citus is missing in database \"{name}\"; on EVERY machine, set shared_preload_libraries = 'citus', restart \
         PostgreSQL, and run \"create extension citus\" in database \"{name}\""
    );
    assert_refused(distribute(&place.url, &[]).await, &message);

    stage_cluster(&place.url, 2).await;
    place.execute("drop table codes").await;
    let message = format!("table \"codes\" is missing in database \"{name}\"; run \"codemint migrate\" first");
    assert_refused(distribute(&place.url, &[]).await, &message);
    assert_eq!(place.texts(CALLS).await, [""; 0]);
}

#[tokio::test]
async fn a_cluster_without_coordinator_or_nodes_for_shards_is_refused() {
    let place = coordinator(1).await;
    place.execute("update pg_dist_node set groupid = 7 where groupid = 0").await;
    let message = "the nodes do not know the host of the coordinator; run \"select citus_set_coordinator_host('HOST', \
                   PORT)\", with an address that all nodes can reach";
    assert_refused(distribute(&place.url, &[]).await, message);

    place.execute("update pg_dist_node set groupid = 0 where groupid = 7").await;
    for (change, back) in [
        ("isactive = false", "isactive = true"),
        ("shouldhaveshards = false", "shouldhaveshards = true"),
        ("noderole = 'secondary'", "noderole = 'primary'"),
    ] {
        place.execute(&format!("update pg_dist_node set {change} where groupid = 1")).await;
        assert_refused(distribute(&place.url, &[]).await, NO_NODE);
        place.execute(&format!("update pg_dist_node set {back} where groupid = 1")).await;
    }
    place.execute("delete from pg_dist_node where groupid = 1").await;
    // Shards on the coordinator alone gain nothing.
    place.execute("update pg_dist_node set shouldhaveshards = true").await;
    assert_refused(distribute(&place.url, &[]).await, NO_NODE);
    assert_eq!(place.texts(CALLS).await, [""; 0]);
}

#[tokio::test]
async fn each_node_gets_eight_shards_and_a_single_one_sixteen() {
    let place = coordinator(0).await;
    for (nodes, shards) in [(1, 16), (2, 16), (3, 24), (5, 40), (40, 320), (200, 1000), (1500, 1500)] {
        place.execute("truncate pg_dist_partition, pg_dist_shard, staged_calls").await;
        let add = format!("select citus_add_node('node-' || n, 5432) from generate_series(1, {nodes}) n");
        place.execute(&add).await;
        let ran = distribute(&place.url, &[]).await.expect_code(0);
        let expected = format!(
            "Table \"codes\" is now distributed over {shards} shards. Active nodes for shards: {nodes}\nNext: start the \
             workers again; a process that was running does not know that the table is distributed.\n"
        );
        assert_eq!((ran.stdout, ran.stderr), (expected, String::new()), "{nodes} nodes");
        assert_eq!(place.texts(CALLS).await, [format!("codes code hash none {shards}")], "{nodes} nodes");
    }
}

#[tokio::test]
async fn a_second_run_changes_nothing() {
    let place = coordinator(2).await;
    let again =
        "Table \"codes\" is distributed already, over 48 shards; nothing was changed. Active nodes for shards: 2\n";
    let given = ["-v", "shards=48"];
    distribute(&place.url, &given).await.expect_code(0);
    for arguments in [&given[..], &[]] {
        let ran = distribute(&place.url, arguments).await.expect_code(0);
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), (again, ""));
    }
    let message = "table \"codes\" is distributed over 48 shards already; to have 64 shards, stop all workers and run \
                   \"select alter_distributed_table('codes', shard_count => 64)\"";
    assert_refused(distribute(&place.url, &["-v", "shards=64"]).await, message);
    // Nodes that are away do not matter to a table that is distributed.
    place.execute("update pg_dist_node set isactive = false").await;
    distribute(&place.url, &[]).await.expect_code(0);
    assert_eq!(place.texts(CALLS).await, ["codes code hash none 48"]);
}

#[tokio::test]
async fn codes_left_on_the_coordinator_are_named() {
    let place = coordinator(2).await;
    mint(&place, "A###", 10, 10).await;
    let ran = distribute(&place.url, &[]).await.expect_code(0);
    assert!(ran.stdout.contains("select truncate_local_data_after_distributing_table('codes')"), "{}", ran.stdout);
}

#[tokio::test]
async fn the_setting_that_floods_the_log_is_reset() {
    let place = coordinator(2).await;
    let name = database(&place).to_owned();
    let settings = format!(
        "select unnest(setconfig) from pg_db_role_setting where setrole = 0
            and setdatabase = (select oid from pg_database where datname = '{name}') order by 1"
    );
    let reset = "Reset citus.propagate_set_commands of the database, which an earlier version of this file had set.\n";
    place.execute(&format!("alter database {name} set work_mem = '8MB'")).await;
    for run in ["the first run", "a run on a distributed table"] {
        place.execute(&format!("alter database {name} set citus.propagate_set_commands = 'local'")).await;
        let ran = distribute(&place.url, &[]).await.expect_code(0);
        assert!(ran.stdout.starts_with(reset), "{run}: {}", ran.stdout);
        assert_eq!(place.texts(&settings).await, ["work_mem=8MB"], "{run}");
    }
    // Another value is the operator's.
    place.execute(&format!("alter database {name} set citus.propagate_set_commands = 'none'")).await;
    let ran = distribute(&place.url, &[]).await.expect_code(0);
    assert!(!ran.stdout.contains("propagate_set_commands"), "{}", ran.stdout);
    assert_eq!(place.texts(&settings).await, ["citus.propagate_set_commands=none", "work_mem=8MB"]);
}

#[tokio::test]
async fn roles_that_cannot_log_in_at_a_node_are_named() {
    let place = coordinator(3).await;
    let name = database(&place).to_owned();
    for role in ["generator", "reader", "producer"] {
        url_of_member(&place.url, role).await;
    }
    let ran = distribute(&place.url, &[]).await.expect_code(0);
    assert_eq!(ran.stderr, "", "all roles can log in at all nodes");

    // At the first node, one role is missing and another cannot log in; the third node does not answer.
    let staged = format!(
        r#"create role {name}_no_member login;
           create schema "node-1";
           create view "node-1".pg_roles as
           select rolname, rolcanlogin and rolname <> '{name}_user_producer' as rolcanlogin
             from pg_catalog.pg_roles where rolname not in ('{name}_user_generator', '{name}_no_member');
           create schema "node-3";
           create table "node-3".unreachable ();"#
    );
    place.execute(&staged).await;
    let ran = distribute(&place.url, &[]).await.expect_code(0);
    let (missing, silent) = (
        format!(
            "WARNING:  at node node-1:5432, these roles cannot log in, so their statements on codes will fail: \
             \"{name}_user_generator\", \"{name}_user_producer\"\n"
        ),
        "WARNING:  node node-3:5432 did not answer which roles can log in there: connection refused\n",
    );
    assert!(ran.stderr.contains(&missing) && ran.stderr.contains(silent), "{}", ran.stderr);
    assert!(ran.stderr.contains("set citus.enable_ddl_propagation = off; create role ROLE login"), "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("WARNING:").count(), 2, "{}", ran.stderr);
}

#[tokio::test]
async fn a_distributed_table_is_not_partitioned() {
    let place = coordinator(2).await;
    let name = database(&place).to_owned();
    url_of_member(&place.url, "generator").await;
    let table = "select format('%s %s %s %s', oid, relkind, relowner::regrole, relacl) from pg_class
                  where oid = 'codes'::regclass";
    let before = place.texts(table).await;
    distribute(&place.url, &[]).await.expect_code(0);
    let message = "table \"codes\" is distributed over the nodes of Citus, and must be partitioned before it is distributed; \
                   create a new store, partition it, run deploy/citus/distribute.sql there, and move the contents of this one \
                   there, as described in docs/scaling.md";
    assert_refused(partition(&place.url, "8").await, message);
    assert_eq!(place.texts(table).await, before);
    assert!(before[0].contains(&format!("{name}_generator=ar/")), "{before:?}");
}

#[tokio::test]
async fn a_table_in_partitions_is_distributed() {
    let place = coordinator(2).await;
    partition(&place.url, "3").await.expect_code(0);
    distribute(&place.url, &[]).await.expect_code(0);
    assert_eq!(place.texts(CALLS).await, ["codes code hash none 16"]);
    // Repeating either file changes nothing.
    partition(&place.url, "3").await.expect_code(0);
    distribute(&place.url, &[]).await.expect_code(0);
    assert_eq!(place.number("select count(*) from pg_inherits where inhparent = 'codes'::regclass").await, 3);
    assert_eq!(partition(&place.url, "4").await.code, 3);
}
