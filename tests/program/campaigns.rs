//! `codemint campaign`: definitions that are created, changed, listed, shown and switched.

use std::fs::File;
use std::process::Stdio;

use serde_json::{Value, json};

use codemint_test_support::cli_steps::{EmptyPlace, assert_names, proposed};
use codemint_test_support::codemint::{Codemint, Ran, finish};
use codemint_test_support::on_both_stores;
use codemint_test_support::roles::url_of_member;
use codemint_test_support::stores::TestStore;
use codemint_test_support::tools::root;

/// A definition of a private campaign named `spring`.
pub(crate) fn definition() -> Value {
    json!({
        "name": "spring", "title": "Spring sale", "kind": "private", "active": true, "mask": "SPRING-[:safe:]{8}",
        "discount": { "effect": { "type": "percent", "basis_points": 1250 }, "target": { "type": "order" } },
        "limits": { "per_code": 1, "redeemed": 5000 },
        "ends_at": "2037-04-01T00:00:00+02:00"
    })
}

/// Returns the definition with another value of a field.
pub(crate) fn with(mut definition: Value, field: &str, value: Value) -> Value {
    definition[field] = value;
    definition
}

/// Runs a command of campaigns whose last argument is the file of this definition.
pub(crate) async fn campaign(place: &TestStore, args: &[&str], definition: &Value) -> Ran {
    write(place, definition);
    place.codemint(["campaign"]).args(args).args(["campaign.json"]).run().await
}

fn write(place: &TestStore, definition: &Value) {
    std::fs::write(place.path().join("campaign.json"), definition.to_string()).expect("a file");
}

async fn show(place: &TestStore) -> Value {
    place.codemint(["campaign", "show", "spring", "--json"]).run().await.expect_code(0).json()
}

#[tokio::test]
async fn the_golden_path_starts_in_an_empty_folder() {
    let place = EmptyPlace::create();
    let example = root().join("docs/examples/private-amount.json").display().to_string();
    let name = "Ten euros off";
    let run = async |args: &[&str], code| place.run(&[], args, code).await;
    let created = run(&["campaign", "create", &example], 0).await;
    assert_eq!(created.stdout, "campaign Ten euros off was created; version 1, status active\n");
    let (note, advice) = created.stderr.split_once('\n').expect("two lines");
    assert!(note.starts_with("note: created the store /") && note.ends_with("/codemint.db"), "{note}");
    assert_eq!(advice, "`codemint campaign codes 'Ten euros off' --count N` mints its codes\n");
    let minted = run(&["campaign", "codes", name, "--count", "300"], 0).await;
    assert_names(&minted.stdout, &["\ncodes     300\n", "sqlite://codemint.db"]);
    let list = run(&["campaign", "list"], 0).await.stdout;
    let expected = "CAMPAIGN       KIND        STATUS             CODES  UNTIL                      LIMITS\n\
                    Ten euros off  private     active               300  -                          1 use per code\n";
    assert_eq!(list, expected);
    let shown = run(&["campaign", "show", name], 0).await.stdout;
    let lines = ["kind        private\n", "status      active\n", "version     1\n", "mask        NEWS-[:safe:]{8}\n"];
    assert_names(&shown, &lines);
    assert_names(&shown, &["discount    10.00 EUR off the order\n", "limits      1 use per code\n", "until       -\n"]);
    assert_names(&shown, &["sources     newsletter\n", "codes       300, 0 issued\n", "redeemed    0, 0 held\n"]);
    let exported = run(&["export", "--campaign", name, "--format", "txt"], 0).await.stdout;
    assert_eq!(exported.lines().filter(|code| code.starts_with("NEWS-")).count(), 300);
    let off = run(&["campaign", "deactivate", name], 0).await.stdout;
    assert_eq!(off, "campaign Ten euros off was switched off; version 2, status off\n");
    let on = run(&["campaign", "activate", name], 0).await.stdout;
    assert_eq!(on, "campaign Ten euros off was switched on; version 3, status active\n");
    let stale = run(&["campaign", "change", &example, "--version", "1"], 3).await.stderr;
    assert_names(&stale, &["error: campaign Ten euros off has version 3, not 1; nothing was changed; "]);
    assert_names(
        &stale,
        &["`codemint campaign show 'Ten euros off' --json` shows it, then `codemint campaign change "],
    );
    assert_names(&stale, &[" --version 3` replaces it\n"]);
    run(&["campaign", "codes", name, "--count", "200"], 0).await;
    let counts = &run(&["campaign", "show", name, "--json"], 0).await.json()["counts"];
    assert_eq!(*counts, json!({ "codes": 500, "issued": 0, "held": 0, "redeemed": 0, "discount": 0, "discounts": [] }));
}

on_both_stores!(the_json_of_a_campaign_is_its_definition_and_what_became_of_it);
async fn the_json_of_a_campaign_is_its_definition_and_what_became_of_it(place: TestStore) {
    let created = campaign(&place, &["create", "--json"], &definition()).await.expect_code(0).json();
    assert_eq!(created, show(&place).await);
    assert_eq!(
        (&created["name"], &created["version"], &created["status"]),
        (&json!("spring"), &json!(1), &json!("active"))
    );
    assert_eq!(created["limits"]["redeemed"], 5000);
    assert_eq!(created["mask"], "SPRING-[:safe:]{8}");
    assert_eq!(
        created["counts"],
        json!({ "codes": 0, "issued": 0, "held": 0, "redeemed": 0, "discount": 0, "discounts": [] })
    );
    assert!(created["created_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{created}");
    // What programs read is a definition again.
    let document = with(created.clone(), "title", json!("Summer sale"));
    let changed = campaign(&place, &["change", "--version", "1", "--json"], &document).await.expect_code(0).json();
    assert_eq!((&changed["title"], &changed["version"]), (&json!("Summer sale"), &json!(2)));
    let list = place.codemint(["campaign", "list", "--json"]).run().await.expect_code(0).json();
    assert_eq!(list, json!([changed]));
    let versions =
        place.codemint(["campaign", "show", "spring", "--versions", "--json"]).run().await.expect_code(0).json();
    let title = |no: usize| (&versions[no]["version"], &versions[no]["definition"]["title"]);
    assert_eq!([title(0), title(1)], [(&json!(2), &json!("Summer sale")), (&json!(1), &json!("Spring sale"))]);
    assert!(versions[1]["made_by"].as_str().is_some_and(|by| by.contains('@')), "{versions}");
    let listed = place.codemint(["campaign", "show", "spring", "--versions"]).run().await.expect_code(0).stdout;
    assert_names(
        &listed,
        &["VERSION  MADE                  SWITCHED   MADE BY\n      2  20", "\n      1  20", "Z  on         "],
    );
}

#[tokio::test]
async fn regression_what_show_prints_is_accepted_as_a_change() {
    let place = TestStore::sqlite().await;
    campaign(&place, &["create"], &definition()).await.expect_code(0);
    let shown = with(show(&place).await, "title", json!("Summer sale"));
    let changed = campaign(&place, &["change", "--version", "1", "--json"], &shown).await.expect_code(0).json();
    assert_eq!((&changed["title"], &changed["version"]), (&json!("Summer sale"), &json!(2)));
    campaign(&place, &["create"], &changed).await.expect_code(0);
    let refused = campaign(&place, &["change", "--version", "2"], &with(shown, "count", json!(1))).await.expect_code(4);
    assert_names(&refused.stderr, &["campaign.json has 1 problem", "/count: "]);
}

on_both_stores!(creating_twice_is_safe_and_another_definition_is_a_change);
async fn creating_twice_is_safe_and_another_definition_is_a_change(place: TestStore) {
    campaign(&place, &["create"], &definition()).await.expect_code(0);
    let again = campaign(&place, &["create"], &definition()).await.expect_code(0);
    assert_eq!(again.stdout, "campaign spring exists already with the same definition; version 1, status active\n");
    assert_eq!(campaign(&place, &["create", "--json"], &definition()).await.expect_code(0).json(), show(&place).await);

    let another = with(definition(), "title", json!("Summer sale"));
    let refused = campaign(&place, &["create"], &another).await.expect_code(3);
    let said =
        "error: campaign spring exists already with another definition, as version 1; nothing was changed; `codemint ";
    assert_names(&refused.stderr, &[said, " campaign change campaign.json --version 1` replaces it\n"]);
    let changed = proposed(&place, &refused.stderr).run().await.expect_code(0);
    assert_eq!(changed.stdout, "campaign spring was changed; version 2, status active\n");
    let again = campaign(&place, &["change", "--version", "2"], &another).await.expect_code(0);
    assert_eq!(again.stdout, "campaign spring has this definition already; version 2, status active\n");
    let stale = campaign(&place, &["change", "--version", "1"], &definition()).await.expect_code(3);
    assert_names(&stale.stderr, &["error: campaign spring has version 2, not 1; nothing was changed; "]);
    assert_eq!(show(&place).await["title"], "Summer sale");

    let audit = place.codemint(["audit"]).run().await.expect_code(0).stdout;
    let created = "campaign_create      done       ";
    assert_names(
        &audit,
        &[created, "campaign spring  detail version 1\n", "campaign_change      done", "detail version 1 to 2\n"],
    );
    let filtered = place.codemint(["audit", "--action", "campaign_change", "--json"]).run().await.expect_code(0).json();
    assert_eq!((&filtered["campaign"], &filtered["result"]), (&json!("spring"), &json!("done")));
}

on_both_stores!(a_change_of_what_never_changes_is_refused_with_every_problem);
async fn a_change_of_what_never_changes_is_refused_with_every_problem(place: TestStore) {
    campaign(&place, &["create"], &definition()).await.expect_code(0);
    place.execute("update allowances set taken = 40 where scope = 'campaign'").await;
    let other = with(with(definition(), "kind", json!("restricted")), "limits", json!({ "redeemed": 39 }));
    let refused = campaign(&place, &["change", "--version", "1"], &other).await.expect_code(4);
    assert_eq!(
        refused.stderr,
        "error: campaign.json has 2 problems; nothing was changed\n  \
         /kind: the kind of a campaign does not change; create another campaign instead\n  \
         /limits/redeemed: 40 are taken already; write 40 or more, or 0 for no limit\n"
    );
    let refused = campaign(&place, &["change", "--version", "1", "--json"], &other).await.expect_code(4).json();
    assert_eq!(refused["errors"][1]["field"], "/limits/redeemed");
    assert_eq!(show(&place).await["version"], 1);
}

#[tokio::test]
async fn every_problem_of_a_definition_is_reported_with_its_field() {
    let place = TestStore::sqlite().await;
    let broken = json!({ "name": "spring", "kind": "secret", "mask": "A B", "limits": { "per_code": -1 }, "a\nb": 1 });
    for command in [&["create"][..], &["change", "--version", "1"]] {
        let refused = campaign(&place, command, &broken).await.expect_code(4);
        let lines: Vec<&str> = refused.stderr.lines().collect();
        assert_eq!((lines.len(), lines[0]), (7, "error: campaign.json has 6 problems; nothing was changed"));
        let fields = ["  /a\\nb: ", "  /title: ", "  /kind: ", "  /mask: ", "  /limits/per_code: ", "  /discount: "];
        assert!(lines[1..].iter().zip(fields).all(|(line, field)| line.starts_with(field)), "{}", refused.stderr);
        assert_names(&refused.stderr, &["  /kind: found \"secret\"; one of public, private, restricted is expected\n"]);
        assert_eq!(refused.stdout, "");
        let refused = campaign(&place, &[command, &["--json"]].concat(), &broken).await.expect_code(4);
        let errors = refused.json()["errors"].clone();
        assert_eq!(errors.as_array().map(Vec::len), Some(6));
        assert_eq!(errors[1], json!({ "field": "/title", "message": "title is missing" }));
        assert_eq!(refused.stderr, "error: campaign.json has 6 problems; nothing was changed\n");
    }
    assert_eq!(place.number("select count(*) from campaigns").await, 0);
}

#[tokio::test]
async fn a_file_that_is_no_definition_is_refused_with_the_place() {
    let place = EmptyPlace::create();
    let refused = async |content: &[u8], code: i32| {
        std::fs::write(place.path().join("c.json"), content).expect("a file");
        place.run(&[], &["campaign", "create", "c.json"], code).await.stderr
    };
    assert_eq!(
        refused(b"{\n  \"name\": spring }", 4).await,
        "error: c.json is not JSON: expected value at line 2 column 11\n"
    );
    assert_names(&refused(b"", 4).await, &["c.json is not JSON: EOF while parsing a value at line 1 column 0"]);
    assert_names(
        &refused(b"{\"name\": \"\xff\"}", 4).await,
        &["is not JSON: invalid unicode code point at line 1 column"],
    );
    assert_names(&refused(b"[]", 4).await, &["has 1 problem; ", "  /: found a list; an object is expected\n"]);
    let large = format!("\"{}\"", "x".repeat(1 << 20));
    assert_eq!(refused(large.as_bytes(), 4).await, "error: c.json has more than 1,048,576 bytes; shorten it\n");
    let json = place.run(&[], &["campaign", "create", "c.json", "--json"], 4).await.json();
    assert_eq!(json, json!({ "errors": [{ "field": "", "message": "has more than 1,048,576 bytes; shorten it" }] }));
    let missing = place.run(&[], &["campaign", "create", "none.json"], 2).await.stderr;
    assert_names(&missing, &["error: none.json cannot be read: No such file"]);
    assert_names(&place.run(&[], &["campaign", "create", "."], 2).await.stderr, &["it is a directory; name a file"]);
    place.run(&[], &["campaign", "change", "c.json", "--version", "0"], 2).await;
    place.run(&[], &["campaign", "change", "c.json"], 2).await;
    assert!(!place.path().join("codemint.db").exists(), "nothing was created");
}

#[tokio::test]
async fn a_definition_is_read_from_standard_input_with_or_without_a_mark() {
    let place = EmptyPlace::create();
    place.write("c.json", &format!("\u{feff}{}", definition()));
    let input = || Stdio::from(File::open(place.path().join("c.json")).expect("a file"));
    let run = async |args: [&str; 3]| Codemint::new(place.path()).args(args).stdin(input()).run().await;
    run(["campaign", "create", "-"]).await.expect_code(0);
    place.write("c.json", &with(definition(), "active", json!(false)).to_string());
    let refused = run(["campaign", "create", "-"]).await.expect_code(3);
    assert_names(&refused.stderr, &["`codemint campaign change - --version 1` replaces it"]);
    place.write("c.json", "{}");
    let refused = run(["campaign", "create", "-"]).await.expect_code(4);
    assert_names(
        &refused.stderr,
        &["error: standard input has 5 problems; nothing was changed\n  /name: name is missing\n"],
    );
}

on_both_stores!(an_unknown_campaign_is_reported_with_the_command_that_lists_them);
async fn an_unknown_campaign_is_reported_with_the_command_that_lists_them(place: TestStore) {
    for args in
        [&["show", "spring"][..], &["activate", "spring"], &["deactivate", "spring"], &["codes", "spring", "-n", "1"]]
    {
        let refused = place.codemint(["campaign"]).args(args).run().await.expect_code(3);
        assert_names(
            &refused.stderr,
            &["error: there is no campaign spring in this store; `codemint ", "campaign list` shows"],
        );
        let listed = proposed(&place, &refused.stderr).run().await.expect_code(0);
        assert_eq!((&*listed.stdout, &*listed.stderr), ("", "no campaigns\n"));
    }
    let refused = campaign(&place, &["change", "--version", "1"], &definition()).await.expect_code(3);
    assert_names(&refused.stderr, &["there is no campaign spring in this store"]);
    assert_eq!(place.codemint(["campaign", "list", "--json"]).run().await.expect_code(0).json(), json!([]));
}

on_both_stores!(a_switch_is_idempotent_and_makes_a_version);
async fn a_switch_is_idempotent_and_makes_a_version(place: TestStore) {
    campaign(&place, &["create"], &with(definition(), "starts_at", json!("2036-01-01T00:00:00Z"))).await.expect_code(0);
    for (verb, line) in [
        ("activate", "was on already; version 1, status scheduled"),
        ("deactivate", "was switched off; version 2, status off"),
        ("deactivate", "was off already; version 2, status off"),
        ("activate", "was switched on; version 3, status scheduled"),
    ] {
        let ran = place.codemint(["campaign", verb, "spring"]).run().await.expect_code(0);
        assert_eq!(ran.stdout, format!("campaign spring {line}\n"));
    }
    let off = place.codemint(["campaign", "deactivate", "spring", "--json"]).run().await.expect_code(0).json();
    assert_eq!((&off["status"], &off["active"], &off["version"]), (&json!("off"), &json!(false), &json!(4)));
    let audit = place.codemint(["audit", "--action", "campaign_activate"]).run().await.expect_code(0).stdout;
    assert_names(&audit, &["campaign_activate    done ", "detail version 2 to 3\n"]);
}

on_both_stores!(of_two_processes_that_create_a_campaign_at_once_both_succeed);
async fn of_two_processes_that_create_a_campaign_at_once_both_succeed(place: TestStore) {
    for (name, kind, mask) in [("spring", "private", "SPRING-####"), ("summer", "public", "SUMMER10")] {
        let definition = with(with(with(definition(), "name", json!(name)), "kind", json!(kind)), "mask", json!(mask));
        write(&place, &definition);
        let start = || place.codemint(["campaign", "create", "campaign.json"]).start();
        let ran = [start(), start()].map(finish);
        let [first, second] = ran;
        let (first, second) = (first.await.expect_code(0), second.await.expect_code(0));
        let created = format!("campaign {name} was created; version 1, status active\n");
        let existed = format!("campaign {name} exists already with the same definition; version 1, status active\n");
        let mut lines = [first.stdout, second.stdout];
        lines.sort();
        assert_eq!(lines, if created < existed { [created, existed] } else { [existed, created] });
    }
    assert_eq!(place.number("select count(*) from campaign_versions").await, 2);
    assert_eq!(place.texts("select code from codes").await, ["SUMMER10"]);
}

#[tokio::test]
async fn a_store_that_is_away_is_exit_code_five() {
    let place = EmptyPlace::create();
    place.write("c.json", &definition().to_string());
    let away = [("CODEMINT__STORE__URL", "postgres://nobody@127.0.0.1:1/none")];
    for args in [&["campaign", "create", "c.json"][..], &["campaign", "list"], &["segment", "list"]] {
        place.run(&away, args, 5).await;
    }
}

#[tokio::test]
async fn the_role_for_marketing_manages_campaigns_and_leaves_minting_to_workers() {
    let place = TestStore::postgres().await;
    let url = url_of_member(&place.url, "marketer").await;
    let run = async |args: &[&str]| Codemint::new(place.path()).args(["--store", &url]).args(args).run().await;
    write(&place, &definition());
    std::fs::write(place.path().join("members.txt"), "ann\n").expect("a file");
    std::fs::write(place.path().join("segment.json"), "{}").expect("a file");
    for args in [
        &["campaign", "create", "campaign.json"][..],
        &["campaign", "deactivate", "spring"],
        &["campaign", "change", "campaign.json", "--version", "2"],
        &["campaign", "show", "spring", "--versions"],
        &["campaign", "codes", "spring", "--count", "10", "--no-wait"],
        &["campaign", "list"],
        &["segment", "set", "gold", "segment.json"],
        &["segment", "members", "gold", "members.txt"],
        &["segment", "show", "gold"],
        &["segment", "remove", "gold"],
        &["audit"],
    ] {
        run(args).await.expect_code(0);
    }
    let public =
        with(with(with(definition(), "name", json!("pub")), "kind", json!("public")), "mask", json!("SPRING10"));
    write(&place, &public);
    let created = run(&["campaign", "create", "campaign.json"]).await.expect_code(0);
    assert_names(&created.stdout, &["campaign pub was created"]);
    assert_names(
        &created.stderr,
        &["the code of campaign pub is only ordered, and a worker mints; `codemint", "jobs show "],
    );
    let ordered = run(&["campaign", "codes", "spring", "--count", "20"]).await.expect_code(0);
    assert_names(&ordered.stderr, &["the codes are only ordered, and a worker mints"]);
    assert_eq!(place.number("select count(*) from codes").await, 0);
    place.codemint(["worker", "--drain"]).env("CODEMINT__ADMIN__LISTEN", "off").run().await.expect_code(0);
    assert_eq!(place.number("select count(*) from codes").await, 31);
    run(&["campaign", "create", "campaign.json"]).await.expect_code(0);
    // A new limit counts the uses so far.
    run(&["campaign", "show", "pub"]).await.expect_code(0);
    write(&place, &with(public, "limits", json!({ "per_identity": 1, "redeemed": 9 })));
    run(&["campaign", "change", "campaign.json", "--version", "1"]).await.expect_code(0);
    // Earlier codes of a restricted campaign, and a list.
    let restricted = with(with(definition(), "name", json!("own")), "kind", json!("restricted"));
    place.codemint(["generate", "OLD-####", "--count", "3", "--campaign", "own"]).run().await.expect_code(0);
    write(&place, &restricted);
    run(&["campaign", "create", "campaign.json"]).await.expect_code(0);
    assert_eq!(place.number("select count(*) from pool").await, 3);
    run(&["campaign", "codes", "own", "--identities", "members.txt"]).await.expect_code(0);
    place.codemint(["worker", "--drain"]).env("CODEMINT__ADMIN__LISTEN", "off").run().await.expect_code(0);
    assert_eq!(place.number("select count(*) from assignments").await, 1);
}

#[tokio::test]
async fn regression_a_field_that_occurs_twice_is_refused_with_its_place() {
    let place = TestStore::sqlite().await;
    let text = definition().to_string();
    let twice = text.replacen("\"limits\":{", "\"limits\":{\"redeemed\":1,", 1);
    for (text, expected) in [
        (text.replacen('{', "{\"title\":\"a\",", 1), "\n  /title: the field occurs twice, again at line 1 column "),
        (twice, "\n  /limits/redeemed: the field occurs twice"),
    ] {
        std::fs::write(place.path().join("campaign.json"), text).expect("a file");
        let refused = place.codemint(["campaign", "create", "campaign.json"]).run().await.expect_code(4).stderr;
        assert_names(&refused, &["campaign.json has 1 problem; nothing was changed", expected]);
    }
    assert_eq!(place.number("select count(*) from campaigns").await, 0);
}
