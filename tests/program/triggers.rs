//! `codemint trigger`: sending triggers by hand, and what became of them.

use serde_json::{Value, json};

use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::codemint::{Codemint, Ran};
use codemint_test_support::on_both_stores;
use codemint_test_support::roles::url_of_member;
use codemint_test_support::stores::{Kind, TestStore};

async fn send(place: &TestStore, document: &Value, args: &[&str]) -> Ran {
    std::fs::write(place.path().join("t.json"), document.to_string()).expect("a file");
    place.codemint(["trigger", "send", "t.json"]).args(args).run().await
}

async fn campaign(place: &TestStore, name: &str, changes: &Value) {
    let mut document = json!({
        "name": name, "title": name, "kind": "restricted", "active": true, "mask": format!("{name}-####"),
        "use_cases": ["location.created"], "segments": ["trial"], "limits": { "per_code": 1 },
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    for (field, value) in changes.as_object().expect("fields") {
        document[field] = value.clone();
    }
    std::fs::write(place.path().join("c.json"), document.to_string()).expect("a file");
    place.codemint(["campaign", "create", "c.json"]).run().await.expect_code(0);
    place.codemint(["campaign", "codes", name, "--count", "5"]).run().await.expect_code(0);
}

on_both_stores!(a_trigger_is_sent_repeated_shown_and_its_code_used);
async fn a_trigger_is_sent_repeated_shown_and_its_code_used(place: TestStore) {
    campaign(&place, "BACK", &json!({ "wait_days_after_deactivation": 30 })).await;
    campaign(&place, "GOLD", &json!({ "segments": ["gold"] })).await;
    campaign(&place, "WELCOME", &json!({})).await;
    let created = json!({ "type": "location.created", "identity": "loc-1", "segments": ["trial"],
        "deactivated_at": "2900-01-01T00:00:00Z" });
    let sent = send(&place, &created, &["--id", "t-1"]).await.expect_code(0).stdout;
    let code = sent.strip_prefix("issued   ").and_then(|rest| rest.split(' ').next()).expect("a code").to_owned();
    let expected = format!(
        "issued   {code}  WELCOME\nwaiting  until 2900-01-31T00:00:00Z  BACK\nskipped  segment-not-met  GOLD\n"
    );
    assert_eq!(sent, expected);
    assert_eq!(send(&place, &created, &["--id", "t-1"]).await.expect_code(0).stdout, expected);
    assert_eq!(place.codemint(["trigger", "show", "t-1"]).run().await.expect_code(0).stdout, expected);
    let shown = place.codemint(["trigger", "show", "t-1", "--json"]).run().await.expect_code(0).json();
    assert_eq!(shown["issued"], json!([{ "campaign": "WELCOME", "code": code }]));
    assert_eq!(shown["waiting"][0]["due_at"], "2900-01-31T00:00:00Z");
    let other = json!({ "id": "t-1", "type": "location.created", "identity": "loc-2" });
    let refused = send(&place, &other, &[]).await.expect_code(3).stderr;
    assert_names(
        &refused,
        &["error: trigger t-1 exists already with another content; ", "send new triggers under new ids"],
    );
    let moved = json!({ "id": "t-2", "type": "location.moved", "identity": "loc-1" });
    assert_eq!(send(&place, &moved, &[]).await.expect_code(0).stdout, "the trigger concerns no campaign\n");
    let missing = place.codemint(["trigger", "show", "t-3"]).run().await.expect_code(3).stderr;
    assert_eq!(missing, "error: there is no trigger t-3 in this store\n");
    // The type of the trigger does not restrict the use of the code, and the segment does.
    std::fs::write(place.path().join("x.json"), r#"{ "segments": ["trial"], "use_case": "preset" }"#).expect("a file");
    let validate = ["validate", &code, "--identity", "loc-1"];
    let refused = place.codemint(validate).run().await.expect_code(3).stdout;
    assert_names(&refused, &["segment-not-met"]);
    place.codemint(validate).args(["--context", "x.json"]).run().await.expect_code(0);
    let unknown = place.codemint(["validate", "NOTHING", "--context", "x.json"]).run().await.expect_code(3).stdout;
    assert_names(&unknown, &["code-not-found", "preset-not-found"]);
}

#[tokio::test]
async fn a_broken_trigger_is_refused_with_every_problem() {
    let place = TestStore::sqlite().await;
    let broken = json!({ "id": "a b", "type": "preset", "identity": "" });
    let refused = send(&place, &broken, &[]).await.expect_code(4).stderr;
    assert_names(&refused, &["t.json has 3 problems", "  /id: ", "  /type: ", "  /identity: the identity is empty"]);
    let unnamed = json!({ "type": "location.created", "identity": "loc-1" });
    let refused = send(&place, &unnamed, &["--json"]).await.expect_code(4).json();
    assert_eq!(refused["errors"][0]["field"], "/id");
    let both = json!({ "id": "a", "type": "location.created", "identity": "loc-1" });
    assert_names(&send(&place, &both, &["--id", "b"]).await.expect_code(4).stderr, &["/id: the id differs"]);
    assert_eq!(place.number("select count(*) from triggers").await, 0);
}

on_both_stores!(old_triggers_are_pruned_by_command_after_a_dry_run);
async fn old_triggers_are_pruned_by_command_after_a_dry_run(place: TestStore) {
    campaign(&place, "BACK", &json!({ "wait_days_after_deactivation": 30, "use_cases": ["location.closed"] })).await;
    campaign(&place, "WELCOME", &json!({})).await;
    let created =
        |id: &str| json!({ "id": id, "type": "location.created", "identity": "loc-1", "segments": ["trial"] });
    send(&place, &created("t-1"), &[]).await.expect_code(0);
    let closed = json!({ "id": "t-2", "type": "location.closed", "identity": "loc-1", "segments": ["trial"],
        "deactivated_at": "2900-01-01T00:00:00Z" });
    send(&place, &closed, &[]).await.expect_code(0);
    place.execute("update triggers set at = '2020-01-01T00:00:00.000Z'").await;
    send(&place, &created("t-3"), &[]).await.expect_code(0);
    let url = match place.kind {
        Kind::Sqlite => place.url.clone(),
        Kind::Postgres => url_of_member(&place.url, "redeemer").await,
    };
    let prune = ["trigger", "prune", "--older-than", "400d"];
    let prune = async |args: &[&str]| {
        Codemint::new(place.path()).args(["--store", &url]).args(prune).args(args).run().await.expect_code(0)
    };
    let dry = prune(&["--dry-run", "--json"]).await.json();
    assert_eq!((&dry["dry_run"], &dry["triggers"]), (&true.into(), &1.into()), "{dry}");
    assert!(dry["came_before"].as_str().expect("a time").starts_with("20"), "{dry}");
    assert_eq!(place.number("select count(*) from triggers").await, 3, "a dry run changes nothing");
    assert_names(&prune(&["--dry-run"]).await.stdout, &["would be removed: 1 trigger that came before 20"]);
    assert_names(&prune(&[]).await.stdout, &["removed: 1 trigger that came before 20"]);
    assert_names(&prune(&[]).await.stdout, &["removed: 0 triggers"]);
    assert_eq!(place.texts("select id from triggers order by id").await, ["t-2", "t-3"]);
    assert_eq!(place.texts("select detail || ' ' || count from audit where action = 'prune'").await, ["triggers 1"]);
    let again = send(&place, &created("t-1"), &[]).await.expect_code(0).stdout;
    assert_eq!(again, "skipped  already-generated  WELCOME\n");
    assert_eq!(place.number("select count(*) from assignments").await, 1);
    let missing = place.codemint(["trigger", "prune"]).run().await.expect_code(2).stderr;
    assert_names(&missing, &["--older-than <AGE>"]);
}
