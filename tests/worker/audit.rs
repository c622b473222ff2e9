//! The audit log: every action leaves a row, no row is ever changed, and no row holds a code.

use std::fs::File;
use std::process::Stdio;

use codemint_codes::wire::trace::valid_traceparent;
use codemint_store::records::actor::{actor_of_message, name_of_user};
use serde_json::Value;
use sqlx::{Connection, Executor, PgConnection, SqliteConnection};
use uuid::Uuid;

use codemint_test_support::amqp::{Peer, durable};
use codemint_test_support::on_both_stores;
use codemint_test_support::rabbitmq;
use codemint_test_support::roles::url_of_member;
use codemint_test_support::site::{DEAD, JOBS, Site, request};
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::waiting::wait_until;

async fn run(place: &TestStore, args: &[&str], code: i32) -> String {
    place.codemint(args).run().await.expect_code(code).stdout
}

/// The log as `codemint audit` prints it.
async fn told(place: &TestStore, args: &[&str]) -> Vec<Value> {
    let listed = run(place, &[&["audit", "--json"], args].concat(), 0).await;
    listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// The action and the result of each row.
async fn told_shortly(place: &TestStore, args: &[&str]) -> Vec<String> {
    let text = |row: &Value, name: &str| row[name].as_str().expect(name).to_owned();
    told(place, args).await.iter().map(|row| format!("{} {}", text(row, "action"), text(row, "result"))).collect()
}

/// Panics if any row of the log holds a code of the store.
async fn assert_without_codes(place: &TestStore) {
    let codes = place.texts("select code from codes").await;
    let automaton = aho_corasick::AhoCorasick::new(&codes).expect("an automaton");
    let rows = "select actor || ' ' || coalesce(role, '') || ' ' || coalesce(mask, '') || ' ' || coalesce(campaign, '')
                    || ' ' || coalesce(detail, '') from audit";
    for row in place.texts(rows).await {
        assert!(automaton.find(&row).is_none(), "a code in {row}");
    }
}

on_both_stores!(each_action_on_a_job_leaves_one_row_for_the_request_and_one_for_the_outcome);
async fn each_action_on_a_job_leaves_one_row_for_the_request_and_one_for_the_outcome(place: TestStore) {
    let id = Uuid::now_v7().to_string();
    let generate = ["generate", "A###", "--count", "10", "--campaign", "spring", "--job-id", &id];
    run(&place, &generate, 0).await;
    assert_eq!(told_shortly(&place, &[]).await, ["request accepted", "end completed"]);
    run(&place, &generate, 0).await;
    run(&place, &["generate", "A###", "--count", "11", "--job-id", &id], 4).await;
    run(&place, &["export", &id], 0).await;
    run(&place, &["generate", "A###", "--count", "991"], 4).await;
    assert_eq!(
        told_shortly(&place, &[]).await[2..],
        ["request repeated", "request conflict", "export begun", "export done", "request refused"]
    );
    let rows = told(&place, &["--job", &id]).await;
    assert_eq!(rows.len(), 6);
    let job: Value = serde_json::from_str(&run(&place, &["jobs", "show", &id, "--json"], 0).await).expect("JSON");
    for row in &rows[..2] {
        assert_eq!((&row["mask"], &row["campaign"], &row["count"]), (&"A###".into(), &"spring".into(), &10.into()));
    }
    assert_eq!((&rows[1]["digest"], &rows[0]["digest"]), (&job["digest"], &Value::Null));
    assert_eq!((&rows[3]["count"], &rows[5]["digest"]), (&11.into(), &job["digest"]));

    let other = Uuid::now_v7().to_string();
    run(&place, &["enqueue", "B###", "--count", "10", "--job-id", &other], 0).await;
    run(&place, &["jobs", "cancel", &other], 0).await;
    run(&place, &["jobs", "cancel", &other], 0).await;
    let of_other = told_shortly(&place, &["--job", &other]).await;
    assert_eq!(of_other, ["request accepted", "cancel accepted", "end cancelled"]);
    assert_without_codes(&place).await;
}

on_both_stores!(an_export_that_ends_before_the_last_code_is_recorded_as_failed);
async fn an_export_that_ends_before_the_last_code_is_recorded_as_failed(place: TestStore) {
    let id = Uuid::now_v7().to_string();
    run(&place, &["generate", "FULL-????##", "--count", "20000", "--job-id", &id], 0).await;
    for order in ["code", "random"] {
        let full = File::options().write(true).open("/dev/full").expect("a device that is always full");
        let export = place.codemint(["export", &id, "--order", order]).stdout(Stdio::from(full));
        export.run().await.expect_code(1);
        let rows = told_shortly(&place, &["--job", &id, "--action", "export"]).await;
        assert_eq!(rows[rows.len() - 2..], ["export begun", "export failed"], "{order}");
    }
}

#[tokio::test]
async fn an_export_from_a_read_only_replica_is_refused_without_waiting() {
    let place = TestStore::postgres().await;
    let id = Uuid::now_v7().to_string();
    run(&place, &["generate", "COPY-???#", "--count", "10", "--job-id", &id], 0).await;
    let read_only = "do 'begin execute format(''alter database %I set default_transaction_read_only = on'', current_database()); end'";
    place.execute(read_only).await;
    let ran = place.codemint(["export", &id]).run().await.expect_code(2);
    assert!(ran.stderr.contains("use the primary server, not a replica"), "{}", ran.stderr);
    assert!(!ran.stdout.contains("COPY-"), "{}", ran.stdout);
}

on_both_stores!(reserved_masks_imports_and_literal_masks_are_recorded_without_a_code);
async fn reserved_masks_imports_and_literal_masks_are_recorded_without_a_code(place: TestStore) {
    run(&place, &["reserve", "add", "0#{9}", "--note", "references"], 0).await;
    run(&place, &["reserve", "add", "0#{9}"], 3).await;
    run(&place, &["reserve", "remove", "0#{9}"], 0).await;
    run(&place, &["reserve", "remove", "0#{9}"], 3).await;
    let told_so_far = ["reserve done", "reserve unchanged", "unreserve done", "unreserve unchanged"];
    assert_eq!(told_shortly(&place, &[]).await, told_so_far);
    assert_eq!(told(&place, &["--action", "reserve"]).await[0]["detail"], "references");

    let input = place.path().join("codes.txt");
    std::fs::write(&input, "OLD-1\nOLD-2\nOLD-2\n").expect("a file");
    let input = input.to_str().expect("a name");
    run(&place, &["import", input], 0).await;
    run(&place, &["import", input], 0).await;
    run(&place, &["generate", "summer24", "--count", "1"], 0).await;
    run(&place, &["reserve", "add", "ADMIN"], 0).await;
    let since = told(&place, &[]).await.split_off(4);
    let short: Vec<String> = since.iter().map(|row| format!("{} {}", row["action"], row["count"])).collect();
    let expected =
        ["import 2", "end 2", "import 2", "request 1", "end 1", "reserve null"].map(|row| row.replace(' ', "\" "));
    assert_eq!(short, expected.map(|row| format!("\"{row}")));
    assert!(since[0]["digest"].is_string() && since[0]["digest"] == since[2]["digest"]);
    // printf SUMMER24 | sha256sum
    let digest = "sha256:ee32bd8fb3d7b0fa56d23886c8ba018f1eac6667adcb32f2f73b07ea10ce8071";
    assert_eq!((&since[3]["mask"], &since[4]["mask"]), (&digest.into(), &digest.into()));
    assert!(since[5]["mask"].as_str().is_some_and(|mask| mask.starts_with("sha256:")), "{}", since[5]);
    assert_eq!(place.number("select count(*) from codes").await, 3);
    assert_without_codes(&place).await;
}

on_both_stores!(nobody_can_change_remove_or_replace_a_row);
/// Tries it as a superuser and as the owner of the file.
async fn nobody_can_change_remove_or_replace_a_row(place: TestStore) {
    run(&place, &["generate", "A###", "--count", "10"], 0).await;
    let before = told(&place, &[]).await;
    let statements: &[&str] = match place.kind {
        Kind::Postgres => &[
            "update audit set actor = 'nobody'",
            "delete from audit",
            "truncate audit",
            "set session_replication_role = replica; delete from audit",
        ],
        Kind::Sqlite => &[
            "update audit set actor = 'nobody'",
            "delete from audit",
            "insert or replace into audit (no, actor, action, result) values (1, 'nobody', 'end', 'completed')",
        ],
    };
    for sql in statements {
        let refused = match place.kind {
            Kind::Postgres => PgConnection::connect(&place.url).await.expect("a connection").execute(*sql).await,
            Kind::Sqlite => {
                let mut connection = SqliteConnection::connect(&place.url).await.expect("a connection");
                connection.execute(*sql).await.map(|_| Default::default())
            }
        };
        let error = refused.expect_err(sql);
        assert!(error.to_string().contains("the audit log is append-only"), "{sql}: {error}");
    }
    assert_eq!(told(&place, &[]).await, before);
}

#[tokio::test]
async fn no_member_of_a_role_can_forge_the_user_time_or_number_of_a_row() {
    let place = TestStore::postgres().await;
    for role in ["generator", "producer", "reader", "server"] {
        let url = url_of_member(&place.url, role).await;
        let mut connection = PgConnection::connect(&url).await.expect("a connection");
        for (columns, values) in [("role", "'nobody'"), ("at", "now() - interval '1 day'"), ("no", "1")] {
            let sql = format!(
                "insert into audit (actor, action, result, {columns}) values ('a', 'end', 'completed', {values})"
            );
            let error = connection.execute(&*sql).await.expect_err("not permitted");
            let known = ["permission denied", "cannot insert a non-DEFAULT value"];
            assert!(known.iter().any(|known| error.to_string().contains(known)), "{role}: {error}");
        }
        for sql in ["update audit set actor = 'a'", "delete from audit", "truncate audit"] {
            let error = connection.execute(sql).await.expect_err("not permitted");
            assert!(error.to_string().contains("permission denied"), "{role}: {error}");
        }
        connection.execute("insert into audit (actor, action, result) values ('a', 'x', 'y')").await.expect("a row");
        let user = place.texts("select role from audit order by no desc limit 1").await;
        assert!(user[0].ends_with(&format!("_user_{role}")), "{user:?}");
    }
}

on_both_stores!(messages_are_recorded_with_the_user_that_the_broker_authenticated);
async fn messages_are_recorded_with_the_user_that_the_broker_authenticated(place: TestStore) {
    let site = Site::new(place).await;
    let worker = site.start_ready().await;
    let user = format!("shop-{}", Uuid::now_v7().simple());
    rabbitmq::shared().add_user(&user, "secret", site.vhost(), ["^$", ".*", "^$"]);
    let peer = Peer::connect(&site.vhost().url_of(&user, "secret")).await;
    let id = Uuid::now_v7();
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let mut headers = lapin::types::FieldTable::default();
    headers.insert("traceparent".into(), lapin::types::AMQPValue::LongString(trace.into()));
    let properties = || durable().with_user_id(user.as_str().into()).with_app_id("Order\n desk".into());
    let send = async |message: &Value| {
        let properties = properties().with_headers(headers.clone());
        peer.publish(JOBS, JOBS, message.to_string().as_bytes(), properties).await;
    };
    let rows = async |count: i64| {
        let sql = "select count(*) from audit where action in ('request', 'end')";
        wait_until("rows", async || site.count(sql).await == count).await;
    };
    send(&request(id, "M####", 10)).await;
    rows(2).await;
    send(&request(id, "M####", 10)).await;
    rows(3).await;
    send(&request(id, "M####", 11)).await;
    send(&request(Uuid::now_v7(), "not a mask", 10)).await;
    rows(5).await;
    wait_until("a letter", async || site.peer().await.depth(DEAD).await == 1).await;
    worker.terminate().await.expect_code(0);

    let told = told(&site.store, &["--action", "request"]).await;
    let results: Vec<&str> = told.iter().map(|row| row["result"].as_str().expect("a result")).collect();
    assert_eq!(results[..2], ["accepted", "repeated"]);
    assert!(results[2..].contains(&"conflict") && results[2..].contains(&"refused"), "{results:?}");
    for row in &told {
        assert_eq!(row["actor"], format!("broker user={user} app=Order__desk"));
    }
    let refused = told.iter().find(|row| row["result"] == "refused").expect("a row");
    assert_eq!(refused["detail"], "invalid_mask");
    assert!(refused["mask"].as_str().is_some_and(|mask| mask.starts_with("sha256:")), "it may have been a code");
    let kept = site.store.texts("select traceparent from jobs order by no").await;
    assert_eq!(kept, [trace, trace]);
    assert_without_codes(&site.store).await;
}

#[tokio::test]
async fn the_log_is_filtered_by_time_and_printed_for_people() {
    let place = TestStore::sqlite().await;
    run(&place, &["reserve", "add", "A###", "--note", "a \u{202e}note"], 0).await;
    let listed = run(&place, &["audit"], 0).await;
    assert!(listed.contains("reserve              done") && listed.contains("detail a \\u{202e}note"), "{listed}");
    let at = told(&place, &[]).await[0]["at"].as_str().expect("a time").to_owned();
    assert_eq!(told(&place, &["--since", &at]).await.len(), 1);
    assert_eq!(told(&place, &["--until", &at]).await.len(), 0);
    assert_eq!(told(&place, &["--since", "2026-01-01", "--until", "9999-01-01"]).await.len(), 1);
    assert_eq!(told(&place, &["--since", "9999-01-01"]).await.len(), 0);
    for (args, named) in
        [(["audit", "--since", "yesterday"], "2026-11-25"), (["audit", "--action", "mint"], "write one of request")]
    {
        let refused = place.codemint(args).run().await.expect_code(2);
        assert!(refused.stderr.contains(named), "{}", refused.stderr);
    }
}

#[test]
fn names_in_actors_are_single_words_and_only_whole_traceparents_are_valid() {
    assert_eq!(actor_of_message(None, None), "broker");
    assert_eq!(
        actor_of_message(Some("a\u{0}b"), Some(&"x".repeat(255))),
        format!("broker user=a_b app={}", "x".repeat(100))
    );
    let users = "root:x:0:0:root:/root:/bin/sh\nmint:x:1000:1000::/home/mint:/bin/sh\nbroken\n";
    assert_eq!(name_of_user(users, 1000).as_deref(), Some("mint"));
    assert_eq!(name_of_user(users, 10), None);
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let whole = format!("00-{trace}-{span}-01");
    assert_eq!(valid_traceparent(&whole), Some(&*whole));
    let later = format!("cc-{trace}-{span}-01-what the future will be like");
    assert_eq!(valid_traceparent(&later), Some(&later[..55]));
    for text in [
        String::new(),
        "00-1-2-01".to_owned(),
        format!("{whole}-more"),
        format!("ff-{trace}-{span}-01"),
        format!("cc-{trace}-{span}-01.more"),
        format!("00-{}-{span}-01", trace.to_uppercase()),
        format!("00-{}-{span}-01", "0".repeat(32)),
        format!("00-{trace}-{}-01", "0".repeat(16)),
        format!("00-{trace}-{span}-0"),
        format!("00-{trace}{span}-01-"),
        "é".repeat(55),
    ] {
        assert_eq!(valid_traceparent(&text), None, "{text}");
    }
}
