//! `codemint affiliate`: rules, exclusions, and what references become.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::campaigns::{campaign, definition};
use codemint_test_support::cli_steps::{EmptyPlace, assert_names, proposed};
use codemint_test_support::codemint::{Codemint, Ran, program};
use codemint_test_support::on_both_stores;
use codemint_test_support::shown::{blocks_below, run_shown};
use codemint_test_support::stores::TestStore;

const RULE: &str = r#"{ "mask": "0#########", "prefix": "fch", "campaign": "spring",
    "periods": [ { "from": "2020-01-01T00:00:00+01:00", "to": "2020-02-01T00:00:00Z" }, { "from": "2021-01-01T00:00:00Z" } ] }"#;

async fn run(place: &TestStore, args: &[&str], code: i32) -> Ran {
    place.codemint(["affiliate"]).args(args).run().await.expect_code(code)
}

/// Runs a command with this content in the file that it names last, before options.
async fn with_file(place: &TestStore, args: &[&str], content: impl AsRef<[u8]>, code: i32) -> Ran {
    let file = args.iter().find(|arg| arg.contains('.')).expect("a file");
    std::fs::write(place.path().join(file), content).expect("a file");
    run(place, args, code).await
}

async fn with_rule(place: &TestStore) {
    campaign(place, &["create"], &definition()).await.expect_code(0);
    with_file(place, &["rule", "set", "choc", "r.json"], RULE, 0).await;
}

on_both_stores!(a_rule_is_set_listed_shown_switched_and_removed);
async fn a_rule_is_set_listed_shown_switched_and_removed(place: TestStore) {
    let unknown = with_file(&place, &["rule", "set", "choc", "r.json"], RULE, 4).await.stderr;
    assert_names(&unknown, &["error: there is no campaign spring in this store; `codemint ", "campaign list` shows"]);
    campaign(&place, &["create"], &definition()).await.expect_code(0);
    assert_eq!(run(&place, &["rule", "list"], 0).await.stderr, "no rules\n");
    let set = with_file(&place, &["rule", "set", "choc", "r.json"], RULE, 0).await;
    assert_eq!(set.stdout, "rule choc was created\n");
    assert_eq!(with_file(&place, &["rule", "set", "choc", "r.json"], RULE, 0).await.stdout, "rule choc was replaced\n");
    let shown = run(&place, &["rule", "show", "choc"], 0).await.stdout;
    assert_names(
        &shown,
        &[
            "rule        choc\nmask        0#########\nprefix      FCH\ncampaign    spring\nactive      on\npriority    0\n",
            "period      2019-12-31T23:00:00Z to 2020-02-01T00:00:00Z\nperiod      from 2021-01-01T00:00:00Z\n",
        ],
    );
    assert_names(&run(&place, &["rule", "list"], 0).await.stdout, &["EXCLUSIONS", "on          0", "FCH", "  choc\n"]);
    // What is shown may be changed and set again.
    let shown = run(&place, &["rule", "show", "choc", "--json"], 0).await.stdout;
    let again = with_file(&place, &["rule", "set", "choc", "r.json", "--json"], &shown, 0).await.json();
    let known: Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!((&again["periods"], &again["mask"]), (&known["periods"], &json!("0#########")));
    assert_eq!(run(&place, &["rule", "off", "choc"], 0).await.stdout, "rule choc is off\n");
    assert_eq!(run(&place, &["rule", "off", "choc"], 0).await.stdout, "rule choc was off already\n");
    let off = run(&place, &["resolve", "0123456789"], 0).await.stdout;
    assert_eq!(off, "0123456789  unchanged: not-active\n");
    assert_eq!(run(&place, &["rule", "on", "choc", "--json"], 0).await.json()["active"], true);
    let audit = place.codemint(["audit", "--action", "affiliate_rule_change"]).run().await.expect_code(0).stdout;
    assert_names(
        &audit,
        &["detail choc: created", "detail choc: replaced", "detail choc: switched off", "choc: switched on"],
    );
    assert_eq!(run(&place, &["rule", "list", "--json"], 0).await.json()[0]["name"], "choc");
    assert_eq!(run(&place, &["rule", "remove", "choc"], 0).await.stdout, "rule choc was removed\n");
    for args in [&["rule", "show", "choc"][..], &["rule", "on", "choc"], &["exclusion", "add", "choc", "0123456789"]] {
        let missing = run(&place, args, 3).await.stderr;
        assert_names(
            &missing,
            &["error: there is no rule choc in this store; `codemint ", "rule list` shows its rules"],
        );
        proposed(&place, &missing).run().await.expect_code(0);
    }
}

#[tokio::test]
async fn a_rule_that_is_wrong_or_in_conflict_is_refused() {
    let place = TestStore::sqlite().await;
    with_rule(&place).await;
    let broken = r#"{ "mask": "0##{", "prefix": "F C", "priority": 0.5, "periods": [ { "from": "now" } ], "x": 1 }"#;
    let refused = with_file(&place, &["rule", "set", "b", "b.json"], broken, 4).await.stderr;
    assert_names(
        &refused,
        &["error: b.json has 6 problems; nothing was changed\n", "  /campaign: campaign is missing"],
    );
    assert_names(&refused, &["  /periods/0/from: found \"now\"; a time", "  /prefix: a prefix has at most 16 letters"]);
    let other = r#"{ "mask": "01########", "campaign": "spring", "active": false }"#;
    let refused = with_file(&place, &["rule", "set", "other", "b.json"], other, 4).await.stderr;
    assert_names(
        &refused,
        &["error: the rule other concerns references that choc concerns at the same time", "another priority"],
    );
    let other = r#"{ "mask": "01########", "campaign": "spring", "prefix": "FGV", "priority": 1 }"#;
    with_file(&place, &["rule", "set", "other", "b.json"], other, 0).await;
    let resolved = run(&place, &["resolve", "0123456789", "0223456789"], 0).await.stdout;
    assert_eq!(resolved, "FGV0123456789  rule other, campaign spring\nFCH0223456789  rule choc, campaign spring\n");
    let long = run(&place, &["rule", "show", &"x".repeat(201)], 3).await.stderr;
    assert_names(&long, &["there is no rule xxx"]);
    let named = with_file(&place, &["rule", "set", " ", "b.json"], other, 4).await.stderr;
    assert_eq!(named, "error: a rule name has 1 to 200 characters without control characters; write plain text\n");
}

on_both_stores!(exclusions_are_added_removed_listed_replaced_and_exported);
async fn exclusions_are_added_removed_listed_replaced_and_exported(place: TestStore) {
    with_rule(&place).await;
    let add = ["exclusion", "add", "choc", " 0123456780", "--affiliate", "Rose; Ltd", "--note", "\"own\" contract"];
    assert_eq!(run(&place, &add, 0).await.stdout, "0123456780 is excluded from rule choc\n");
    assert_names(&run(&place, &add, 0).await.stdout, &["already; its details were replaced"]);
    let short = run(&place, &["exclusion", "add", "choc", "123456780"], 4).await.stderr;
    assert_names(&short, &["error: the mask 0######### of the rule does not describe the reference; write all of it"]);
    let list = "Note;reference;Promotion\n;0000000001;FGV\nsecond;0000000002;\n;0000000001;twice\n";
    let replaced = with_file(&place, &["exclusion", "replace", "choc", "e.csv"], list, 0).await.stdout;
    assert_eq!(replaced, "rule choc has 2 exclusions, 1 before; 1 repeat left out\n");
    let listed = run(&place, &["exclusion", "list", "choc", "--json"], 0).await.stdout;
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let first = json!({ "reference": "0000000001", "affiliate": null, "promotion": "FGV", "note": null });
    assert_eq!((listed.len(), &listed[0], &listed[1]["note"]), (2, &first, &"second".into()));
    run(&place, &add, 0).await;
    let listed = run(&place, &["exclusion", "list", "choc", "--prefix", "012"], 0).await.stdout;
    assert_eq!(listed.lines().count(), 2, "{listed}");
    assert_names(&listed, &["0123456780            Rose; Ltd             -                     \"own\" contract\n"]);
    let export = run(&place, &["exclusion", "export", "choc"], 0).await.stdout;
    assert_names(
        &export,
        &["reference,affiliate,promotion,note\n0000000001,,FGV,\n", "0123456780,Rose; Ltd,,\"\"\"own\"\" contract\"\n"],
    );
    std::fs::write(place.path().join("export.csv"), &export).expect("a file");
    let input = Stdio::from(File::open(place.path().join("export.csv")).expect("a file"));
    let piped = place.codemint(["affiliate", "exclusion", "replace", "choc", "-", "--json"]).stdin(input).run().await;
    let counts = json!({ "rule": "choc", "before": 3, "now": 3, "repeated": 0 });
    assert_eq!(piped.expect_code(0).json(), counts);
    assert_eq!(run(&place, &["exclusion", "export", "choc"], 0).await.stdout, export);
    assert_eq!(run(&place, &["exclusion", "export", "choc", "--json"], 0).await.stdout.lines().count(), 3);
    let resolved = run(&place, &["resolve", "0000000001", "fch0000000003", "--json"], 0).await.json();
    assert_eq!(resolved[0], json!({ "reference": "0000000001", "rule": null, "campaign": null, "reason": "excluded" }));
    let offered = json!({ "reference": "FCH0000000003", "rule": "choc", "campaign": "spring", "reason": null });
    assert_eq!(resolved[1], offered);
    let removed = run(&place, &["exclusion", "remove", "choc", "0000000001"], 0).await.stdout;
    assert_eq!(removed, "0000000001 is no longer excluded from rule choc\n");
    let twice = run(&place, &["exclusion", "remove", "choc", "0000000001"], 3).await.stderr;
    assert_eq!(twice, "error: 0000000001 is not excluded from rule choc; nothing was changed\n");
    let audit = place.codemint(["audit", "--action", "affiliate_exclusions_change"]).run().await.expect_code(0).stdout;
    assert_names(
        &audit,
        &["detail choc: exclusion added", "detail choc: exclusions: 2 instead of 1", "choc: exclusion removed"],
    );
    assert!(!audit.contains("0000000001") && !audit.contains("Rose"), "{audit}");
    let none = with_file(&place, &["exclusion", "replace", "choc", "e.csv"], "reference\n", 0).await.stdout;
    assert_eq!(none, "rule choc has 0 exclusions, 2 before\n");
}

on_both_stores!(a_list_of_exclusions_with_wrong_lines_changes_nothing_and_names_them);
async fn a_list_of_exclusions_with_wrong_lines_changes_nothing_and_names_them(place: TestStore) {
    with_rule(&place).await;
    run(&place, &["exclusion", "add", "choc", "0123456780"], 0).await;
    let long = "x".repeat(201);
    let wrong = format!("reference,note\n123456789,x\n\n0123456789,{long}\n0123456789,a,b\n,\n0123456789,fine\n");
    let refused = with_file(&place, &["exclusion", "replace", "choc", "e.csv"], &wrong, 4).await.stderr;
    assert_names(
        &refused,
        &[
            "error: e.csv has 5 wrong lines; nothing was changed\n  line 2: the mask 0######### of the rule does not describe",
            "\n  line 3: the line is empty\n  line 4: note has more than 200 characters\n",
            "  line 5: the row has more fields than the header\n  line 6: the reference is empty\n",
        ],
    );
    let json = with_file(&place, &["exclusion", "replace", "choc", "e.csv", "--json"], &wrong, 4).await.json();
    assert_eq!(json["errors"][1], json!({ "line": 3, "message": "the line is empty" }));
    let many = format!("reference\n{}", "x\n".repeat(120));
    let refused = with_file(&place, &["exclusion", "replace", "choc", "e.csv"], &many, 4).await.stderr;
    assert_names(&refused, &["120 wrong lines", "\n  line 101: ", "\n  and 20 more\n"]);
    for (text, problem) in [
        (
            "",
            "the first row has no column reference; write a header with the columns reference, affiliate, promotion, note",
        ),
        ("0123456789\n", "the first row has no column reference"),
        ("reference,promo\n0123456789,x\n", "the header has 1 unknown column; its columns are reference, affiliate"),
        ("reference,note,Note\n", "the header has the column note more than once"),
    ] {
        let refused = with_file(&place, &["exclusion", "replace", "choc", "e.csv"], text, 4).await.stderr;
        assert_names(&refused, &["error: e.csv: ", problem, "; nothing was changed\n"]);
    }
    assert_eq!(run(&place, &["exclusion", "export", "choc"], 0).await.stdout.lines().count(), 2);
}

#[tokio::test]
async fn the_commands_of_the_page_about_affiliates_do_what_it_says() {
    const PAGE: &str = "docs/affiliates.md";
    let place = EmptyPlace::create();
    let block = |heading: &str, language: &str| blocks_below(PAGE, heading, language).swap_remove(0);
    let (rules, exclusions) = ("## For the team: rules", "## For the team: exclusions");
    let campaign = json!({
        "name": "choc", "title": "Chocolate", "kind": "private", "mask": "CHOC-####",
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    place.write("campaign.json", &campaign.to_string());
    place.run(&[], &["campaign", "create", "campaign.json"], 0).await;
    place.write("choc.json", &block(rules, "json"));
    let path = format!("{}:/usr/bin:/bin", program().parent().expect("a directory").display());
    let shell = async |script: &str| {
        let shell = Codemint::built_elsewhere(Path::new("/bin/sh"), place.path()).args(["-ec", script]);
        shell.env("PATH", &path).run().await.expect_code(0)
    };
    let first = |script: &str| script.lines().next().expect("a command").to_owned();
    let (rules, exclusions) = (block(rules, "sh"), block(exclusions, "sh"));
    shell(&rules).await;
    shell(&first(&rules)).await;
    shell(&exclusions).await;
    shell(&first(&exclusions)).await;
    let shown = block("## What becomes of a reference", "console");
    assert_eq!(run_shown(&shown, place.path(), &[]).await, shown);
}
