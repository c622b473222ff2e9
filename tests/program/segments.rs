//! `codemint segment`: conditions and members of segments.

use std::fs::File;
use std::process::Stdio;

use serde_json::json;

use codemint_test_support::cli_steps::{assert_names, proposed};
use codemint_test_support::codemint::Ran;
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;

const CONDITION: &str = r#"{ "condition": { "compare": { "attribute": "country", "op": "eq", "value": "DE" } } }"#;

/// Runs a command of segments with this content in the file `FILE`.
async fn segment(place: &TestStore, args: &[&str], content: impl AsRef<[u8]>) -> Ran {
    let file = args.iter().find(|arg| arg.contains('.')).expect("a file");
    std::fs::write(place.path().join(file), content).expect("a file");
    place.codemint(["segment"]).args(args).run().await
}

async fn members(place: &TestStore) -> Vec<String> {
    place.texts("select identity from segment_members order by identity").await
}

on_both_stores!(a_segment_is_set_listed_shown_and_removed);
async fn a_segment_is_set_listed_shown_and_removed(place: TestStore) {
    let run = async |args: &[&str]| place.codemint(["segment"]).args(args).run().await.expect_code(0);
    let none = run(&["list"]).await;
    assert_eq!((&*none.stdout, &*none.stderr), ("", "no segments\n"));
    assert_eq!(run(&["list", "--json"]).await.json(), json!([]));
    let set = segment(&place, &["set", "gold", "c.json"], CONDITION).await.expect_code(0);
    assert_eq!(set.stdout, "segment gold was created\n");
    let set = segment(&place, &["set", "gold", "c.json"], CONDITION).await.expect_code(0);
    assert_eq!(set.stdout, "segment gold has a new condition\n");
    segment(&place, &["members", "silver", "m.txt"], "ann\nbob\n").await.expect_code(0);
    let list = run(&["list"]).await.stdout;
    assert_names(
        &list,
        &["      MEMBERS  CONDITION  CHANGED               SEGMENT\n            0  yes        20", "Z  gold\n"],
    );
    assert_names(&list, &["            2  no         20", "Z  silver\n"]);
    let shown = run(&["show", "gold"]).await.stdout;
    let condition = r#"{"compare":{"attribute":"country","op":"eq","value":"DE"}}"#;
    assert_names(
        &shown,
        &["segment     gold\n", &format!("condition   {condition}\n"), "members     0\n", "changed     20"],
    );
    let json = run(&["show", "gold", "--json"]).await.json();
    assert_eq!((&json["name"], &json["members"]), (&json!("gold"), &json!(0)));
    assert_eq!(json["condition"]["compare"]["value"], "DE");
    let set =
        segment(&place, &["set", "gold", "c.json", "--json"], r#"{ "condition": null }"#).await.expect_code(0).json();
    assert_eq!((&set["condition"], &set["name"]), (&json!(null), &json!("gold")));
    assert_eq!(run(&["list", "--json"]).await.json()[1]["members"], 2);
    assert_eq!(run(&["remove", "silver"]).await.stdout, "segment silver was removed\n");
    assert_eq!(run(&["remove", "gold", "--json"]).await.json(), json!({ "name": "gold", "removed": true }));
    assert_eq!(place.number("select count(*) from segment_members").await, 0);

    let audit = place.codemint(["audit"]).run().await.expect_code(0).stdout;
    assert_names(
        &audit,
        &["segment_change       done ", "detail gold: condition\n", "detail silver: 0 members to 2\n"],
    );
    assert_names(&audit, &["segment_remove       done ", "detail silver\n"]);
    for args in [["show", "gold"], ["remove", "gold"]] {
        let refused = place.codemint(["segment"]).args(args).run().await.expect_code(3);
        assert_names(
            &refused.stderr,
            &["error: there is no segment gold in this store; `codemint ", "segment list` shows its segments\n"],
        );
        proposed(&place, &refused.stderr).run().await.expect_code(0);
    }
}

on_both_stores!(the_members_of_a_file_replace_all_others);
async fn the_members_of_a_file_replace_all_others(place: TestStore) {
    let first = segment(&place, &["members", "gold", "m.txt"], " ann \r\nbob\nann\nann").await.expect_code(0);
    assert_eq!(first.stdout, "segment gold has 2 members, 0 before; 2 repeats left out\n");
    assert_eq!(members(&place).await, ["ann", "bob"]);
    let csv = "name;identity\nEve;eve\nBob;bob\nJoe;\" joe \"\n";
    let second = segment(&place, &["members", "gold", "m.csv", "--json"], csv).await.expect_code(0).json();
    assert_eq!(second, json!({ "name": "gold", "before": 2, "now": 3, "repeated": 0 }));
    assert_eq!(members(&place).await, ["bob", "eve", "joe"]);
    std::fs::write(place.path().join("m.txt"), "zoe\n").expect("a file");
    let input = Stdio::from(File::open(place.path().join("m.txt")).expect("a file"));
    let piped = place.codemint(["segment", "members", "gold", "-"]).stdin(input).run().await.expect_code(0);
    assert_eq!(piped.stdout, "segment gold has 1 member, 3 before\n");
    let nobody = segment(&place, &["members", "gold", "m.csv"], "identity\n").await.expect_code(0);
    assert_eq!(nobody.stdout, "segment gold has 0 members, 1 before\n");
    let many: String = (0..25_000).map(|no| format!("customer-{no}\n")).collect();
    let filled = segment(&place, &["members", "gold", "m.txt"], many).await.expect_code(0);
    assert_eq!(filled.stdout, "segment gold has 25,000 members, 0 before\n");
}

on_both_stores!(a_list_with_wrong_lines_changes_nothing_and_names_them);
async fn a_list_with_wrong_lines_changes_nothing_and_names_them(place: TestStore) {
    segment(&place, &["members", "gold", "m.txt"], "ann\n").await.expect_code(0);
    let wrong = [b"bob\n\n\xff\xfe\n".to_vec(), "é".repeat(201).into_bytes(), b"\na\0b\n".to_vec()].concat();
    let refused = segment(&place, &["members", "gold", "m.txt"], &wrong).await.expect_code(4);
    assert_eq!(
        refused.stderr,
        "error: m.txt has 4 lines without an identity; nothing was changed\n  \
         line 2: the identity is empty\n  \
         line 3: the identity is not UTF-8 text\n  \
         line 4: the identity has more than 200 characters\n  \
         line 5: the identity contains control characters\n"
    );
    let json = segment(&place, &["members", "gold", "m.txt", "--json"], &wrong).await.expect_code(4).json();
    assert_eq!(json["errors"][1], json!({ "line": 3, "message": "the identity is not UTF-8 text" }));
    let blanks = segment(&place, &["members", "gold", "m.txt"], "\n".repeat(120)).await.expect_code(4).stderr;
    assert_names(&blanks, &["120 lines without an identity", "line 100: the identity is empty\n  and 20 more\n"]);
    let empty = segment(&place, &["members", "gold", "m.txt"], "").await.expect_code(4).stderr;
    assert_names(&empty, &["error: m.txt holds no identities; nothing was changed; for no members, write a line with"]);
    let columns = segment(&place, &["members", "gold", "m.csv"], "id,name\n1,Ann\n").await.expect_code(4).stderr;
    assert_names(&columns, &["the first row has several columns, and none is called identity"]);
    assert_eq!(members(&place).await, ["ann"]);
}

#[tokio::test]
async fn a_broken_segment_is_refused_with_every_problem() {
    let place = TestStore::sqlite().await;
    let broken =
        r#"{ "condition": { "any": [ { "member": { "segment": "x" } }, { "compare": { "op": "eq" } } ] }, "b": 1 }"#;
    let refused = segment(&place, &["set", "gold", "c.json"], broken).await.expect_code(4).stderr;
    assert_names(&refused, &["error: c.json has 4 problems; nothing was changed\n", "  /b: unknown field; "]);
    assert_names(&refused, &["  /condition/any/0/member: the condition of a segment cannot ask for a segment; "]);
    let json = segment(&place, &["set", "gold", "c.json", "--json"], broken).await.expect_code(4).json();
    assert_eq!(json["errors"].as_array().map(Vec::len), Some(4));
    let syntax = segment(&place, &["set", "gold", "c.json"], "{").await.expect_code(4).stderr;
    assert_eq!(syntax, "error: c.json is not JSON: EOF while parsing an object at line 1 column 1\n");
    for args in [["set", " ", "c.json"], ["members", &"x".repeat(201), "m.txt"]] {
        let refused = segment(&place, &args, CONDITION).await.expect_code(4).stderr;
        assert_eq!(
            refused,
            "error: a segment name has 1 to 200 characters without control characters; write plain text\n"
        );
    }
    assert_eq!(place.number("select count(*) from segments").await, 0);
}
