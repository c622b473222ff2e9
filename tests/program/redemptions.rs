//! `validate`, `redeem` and `redemption`: uses of codes from the command line.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Write;
use std::process::Stdio;

use codemint_test_support::cli_steps::{EmptyPlace, assert_names};
use codemint_test_support::codemint::{Codemint, Ran, finish, send_signal};
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::{cart, definition, judge_redemptions};
use codemint_test_support::roles::url_of_member;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use serde_json::{Value, json};
use uuid::Uuid;

/// Creates a public campaign `spring` with the code SPRING and 10 percent off the order.
pub(crate) async fn create(place: &TestStore, fields: &Value) {
    create_kind(place, "public", "SPRING", fields).await;
}

pub(crate) async fn create_kind(place: &TestStore, kind: &str, mask: &str, fields: &Value) {
    let document = definition("spring", kind, mask, fields);
    write(place, "campaign.json", &document);
    place.codemint(["campaign", "create", "campaign.json"]).run().await.expect_code(0);
}

fn write(place: &TestStore, name: &str, document: &Value) {
    std::fs::write(place.path().join(name), document.to_string()).expect("a file");
}

pub(crate) async fn run(place: &TestStore, args: &[&str], code: i32) -> Ran {
    place.codemint(args).run().await.expect_code(code)
}

fn id_of(redemption: &Value) -> String {
    redemption["id"].as_str().expect("an id").to_owned()
}

fn reasons(report: &Value) -> Vec<&str> {
    report["reasons"].as_array().expect("reasons").iter().filter_map(|reason| reason["code"].as_str()).collect()
}

fn fields(document: &Value) -> BTreeSet<&str> {
    document.as_object().expect("an object").keys().map(String::as_str).collect()
}

on_both_stores!(a_code_is_validated_used_and_refused_when_its_limit_is_reached);
async fn a_code_is_validated_used_and_refused_when_its_limit_is_reached(place: TestStore) {
    create(&place, &json!({ "limits": { "redeemed": 2, "per_code": 5 }, "offer": { "text": "10 % off" } })).await;
    write(&place, "cart.json", &cart(1999));
    let validated = run(&place, &["validate", " spring ", "--cart", "cart.json"], 0).await.stdout;
    let expected = "valid       the code may be used\n\
                    campaign    spring\n\
                    offer       10 % off\n\
                    discount    2.00 EUR\n            2.00 EUR off DOG-1\n\
                    remaining   5 uses of the code, 2 uses of the campaign\n";
    assert_eq!(validated, expected);
    assert_eq!(place.number("select count(*) from redemptions").await, 0, "a validation writes nothing");
    let used = run(&place, &["redeem", "spring", "--cart", "cart.json", "--order", "A-1"], 0).await.stdout;
    assert_names(
        &used,
        &["\nstate       confirmed\ncode        SPRING\ncampaign    spring, version 1\norder       A-1\n"],
    );
    assert_names(&used, &["discount    2.00 EUR\n            2.00 EUR off DOG-1\nmade        20", "\nended       20"]);
    let id = used.lines().next().and_then(|line| line.strip_prefix("redemption  ")).expect("an id").to_owned();
    assert_eq!(run(&place, &["redemption", "show", &id], 0).await.stdout, used);
    run(&place, &["redeem", "SPRING"], 0).await;
    let message = "campaign-limit-reached: this offer has been used as often as it can be";
    for args in [&["redeem", "SPRING"][..], &["validate", "SPRING"]] {
        let refused = run(&place, args, 3).await;
        assert_eq!((&*refused.stdout, &*refused.stderr), (&*format!("refused     {message}\n"), ""), "{args:?}");
    }
    let rolled_back = run(&place, &["redemption", "rollback", &id], 0).await.stdout;
    assert_names(&rolled_back, &["\nstate       rolled_back\n"]);
    run(&place, &["redeem", "SPRING"], 0).await;
    judge_redemptions(&place).await;
}

on_both_stores!(the_json_of_validations_and_redemptions_has_the_fields_of_the_contract);
async fn the_json_of_validations_and_redemptions_has_the_fields_of_the_contract(place: TestStore) {
    let budget = json!({ "currency": "EUR", "amount": 1000 });
    let limits = json!({ "per_identity": 2, "redeemed": 2, "budget": budget });
    create(&place, &json!({ "limits": limits, "offer": { "text": "10 % off" } })).await;
    write(&place, "cart.json", &cart(1999));
    let args = ["SPRING", "--cart", "cart.json", "--identity", "ann", "--json"];
    let validated = run(&place, &[&["validate"][..], &args].concat(), 0).await.json();
    let discount = json!({ "currency": "EUR", "amount": 200, "lines": [{ "sku": "DOG-1", "amount": 200 }] });
    assert_eq!(
        validated,
        json!({
            "valid": true, "campaign": "spring", "discount": discount,
            "offer": { "text": "10 % off", "image_url": null },
            "remaining": { "code": null, "identity": 2, "campaign": 2, "budget": 1000 },
        })
    );
    let held = run(&place, &[&["redeem", "--order", "A-1", "--hold", "30m"][..], &args].concat(), 0).await.json();
    let names = ["id", "state", "campaign", "version", "discount", "held_at", "expires_at", "ended_at"];
    let more = ["code", "identity", "order", "keep_use"];
    assert_eq!(fields(&held), names.into_iter().chain(more).collect());
    assert_eq!((&held["state"], &held["discount"], &held["version"]), (&json!("held"), &discount, &json!(1)));
    assert_eq!((&held["identity"], &held["code"], &held["ended_at"]), (&json!("ann"), &json!("SPRING"), &Value::Null));
    let time = |name: &str| held[name].as_str().and_then(|at| at.parse::<chrono::DateTime<chrono::Utc>>().ok());
    let minutes = time("expires_at").zip(time("held_at")).map(|(until, from)| (until - from).num_minutes());
    assert_eq!(minutes, Some(30));
    let id = id_of(&held);
    assert_eq!(run(&place, &["redemption", "show", &id, "--json"], 0).await.json(), held);
    let confirmed = run(&place, &["redemption", "confirm", &id, "--json"], 0).await.json();
    assert_eq!((&confirmed["state"], confirmed["ended_at"].is_string()), (&json!("confirmed"), true));
    for filter in [["--identity", " ann "], ["--order", "A-1"], ["--campaign", "spring"]] {
        let listed = run(&place, &[&["redemption", "list", "--json"][..], &filter].concat(), 0).await.json();
        assert_eq!(listed, json!([confirmed]), "{filter:?}");
    }
    let others = ["redemption", "list", "--json", "--campaign", "spring", "--identity", "eve"];
    assert_eq!(run(&place, &others, 0).await.json(), json!([]));
    run(&place, &["redeem", "SPRING", "--cart", "cart.json", "--identity", "bob"], 0).await;
    let refused = run(&place, &[&["validate"][..], &args].concat(), 3).await.json();
    assert_eq!((&refused["valid"], reasons(&refused)), (&json!(false), vec!["campaign-limit-reached"]));
    run(&place, &["redeem", "--id", &id, "NONE"], 4).await;
    let new = Uuid::now_v7();
    let refused = run(&place, &["redeem", "--id", &new.simple().to_string(), "NONE", "--json"], 3).await;
    assert_eq!((id_of(&refused.json()), reasons(&refused.json())), (new.to_string(), vec!["code-not-found"]));
    assert!(refused.json()["reasons"][0]["message"].is_string());
}

on_both_stores!(the_same_id_and_request_again_is_the_same_redemption);
async fn the_same_id_and_request_again_is_the_same_redemption(place: TestStore) {
    create(&place, &json!({ "limits": { "redeemed": 5 } })).await;
    let id = Uuid::now_v7().to_string();
    let args = ["redeem", "SPRING", "--id", &id, "--order", "A-1", "--actor", "till-3", "--json"];
    let first = run(&place, &args, 0).await;
    assert_eq!((id_of(&first.json()), &*first.stderr), (id.clone(), ""));
    let again = run(&place, &args, 0).await;
    assert_eq!(again.json(), first.json());
    assert_eq!(again.stderr, "note: the same request was granted before; this is its redemption\n");
    run(&place, &["redemption", "rollback", &id], 0).await;
    assert_eq!(run(&place, &args, 0).await.json()["state"], "rolled_back", "it is reported with its current state");
    for other in [&["--order", "A-2"][..], &[], &["--order", "A-1", "--hold", "1m"]] {
        let args = [&["redeem", "SPRING", "--id", &id, "--actor", "till-3", "--json"], other].concat();
        let conflict = run(&place, &args, 4).await;
        let message = format!("error: redemption {id} belongs to another request; nothing was changed; ");
        assert_names(&conflict.stderr, &[&message]);
        assert_eq!(conflict.stdout, "");
    }
    assert_eq!(place.number("select count(*) from redemptions").await, 1);
    let drawn = id_of(&run(&place, &["redeem", "SPRING", "--json"], 0).await.json());
    assert_eq!(drawn.parse::<Uuid>().expect("a UUID").get_version_num(), 7);
}

on_both_stores!(an_interrupted_attempt_names_the_id_that_finds_its_redemption);
async fn an_interrupted_attempt_names_the_id_that_finds_its_redemption(place: TestStore) {
    create(&place, &json!({ "limits": { "redeemed": 5 } })).await;
    let said = place.path().join("said");
    let failing = place.codemint(["-v", "redeem", "SPRING", "--order", "A-1"]);
    let failing = failing.env("FAILPOINTS", "redemptions-written=return(error)");
    let child = failing.stderr(File::create(&said).expect("a file").into()).start();
    let read = || std::fs::read_to_string(&said).expect("a log");
    wait_until("it is tried again and again", async || read().contains("a failpoint was reached")).await;
    send_signal("INT", &child);
    let stopped = finish(child).await.expect_code(130);
    let said = read();
    assert_names(&said, &["whether the code was used is unknown; the same command with --id "]);
    assert!(!said.contains("SPRING") && stopped.stdout.is_empty(), "{said}");
    let id = said.split("--id ").nth(1).and_then(|rest| rest.split(' ').next()).expect("an id");
    let args = ["redeem", "SPRING", "--order", "A-1", "--json", "--id", id];
    let lost = place.codemint(args).env("FAILPOINTS", "redemptions-committed=1*return(error)").run().await;
    assert_eq!(id_of(&lost.expect_code(0).json()), id, "the answer to the commit was lost");
    assert_eq!(id_of(&run(&place, &args, 0).await.json()), id);
    assert_eq!(place.number("select count(*) from redemptions").await, 1);
    judge_redemptions(&place).await;
}

on_both_stores!(a_hold_is_released_confirmed_or_runs_out_and_every_state_is_final_but_one);
async fn a_hold_is_released_confirmed_or_runs_out_and_every_state_is_final_but_one(place: TestStore) {
    create(&place, &json!({ "limits": { "redeemed": 1 } })).await;
    let hold = async |code: i32| run(&place, &["redeem", "SPRING", "--hold", "60s", "--json"], code).await.json();
    let act = async |verb: &str, id: &str, code: i32| run(&place, &["redemption", verb, id], code).await;
    let first = id_of(&hold(0).await);
    assert_eq!(reasons(&hold(3).await), ["campaign-limit-reached"]);
    let wrong = act("rollback", &first, 3).await.stderr;
    let expected = format!("error: redemption {first} is held and cannot be rolled back; nothing was changed\n");
    assert_eq!(wrong, expected);
    assert_names(&act("release", &first, 0).await.stdout, &["\nstate       released\n"]);
    let again = act("release", &first, 0).await;
    assert_eq!(again.stderr, "note: the redemption was released before\n");
    assert_names(
        &act("confirm", &first, 3).await.stderr,
        &["is released and cannot be confirmed; nothing was changed"],
    );

    let second = id_of(&hold(0).await);
    place.execute("update redemptions set expires_at = held_at where state = 'held'").await;
    let third = id_of(&hold(0).await);
    assert_names(&act("show", &second, 0).await.stdout, &["\nstate       expired\n"]);
    let late = act("confirm", &second, 3).await;
    assert_names(&late.stdout, &["refused     campaign-limit-reached: "]);
    act("release", &third, 0).await;
    assert_names(&act("confirm", &second, 0).await.stdout, &["\nstate       confirmed\n"]);
    let kept = run(&place, &["redemption", "rollback", &second, "--keep-use"], 0).await.stdout;
    assert_names(&kept, &["\nstate       rolled_back, still counts\n"]);
    assert_names(
        &act("rollback", &second, 4).await.stderr,
        &["was rolled back before, but with another --cart or --keep-use"],
    );
    assert_eq!(reasons(&hold(3).await), ["campaign-limit-reached"]);
    judge_redemptions(&place).await;
}

on_both_stores!(a_confirmation_with_the_paid_cart_computes_the_discount_anew);
async fn a_confirmation_with_the_paid_cart_computes_the_discount_anew(place: TestStore) {
    create(&place, &json!({ "limits": { "budget": { "currency": "EUR", "amount": 500 } } })).await;
    write(&place, "cart.json", &cart(2000));
    write(&place, "paid.json", &cart(3000));
    write(&place, "dear.json", &cart(9000));
    let args = ["redeem", "SPRING", "--cart", "cart.json", "--hold", "2h", "--json"];
    let id = id_of(&run(&place, &args, 0).await.json());
    let confirm = async |cart: &str, code: i32| {
        run(&place, &["redemption", "confirm", &id, "--cart", cart, "--json"], code).await
    };
    assert_eq!(reasons(&confirm("dear.json", 3).await.json()), ["budget-exhausted"]);
    let malformed = r#"{ "currency": "EUR", "lines": [] }"#;
    std::fs::write(place.path().join("empty.json"), malformed).expect("a file");
    assert_eq!(confirm("empty.json", 4).await.json()["errors"][0]["field"], "/lines");
    let confirmed = confirm("paid.json", 0).await.json();
    assert_eq!((&confirmed["state"], &confirmed["discount"]["amount"]), (&json!("confirmed"), &json!(300)));
    assert_eq!(confirm("paid.json", 0).await.json(), confirmed);
    assert_names(&confirm("cart.json", 4).await.stderr, &["was confirmed before, but with another --cart"]);
    judge_redemptions(&place).await;
}

on_both_stores!(an_unknown_redemption_is_exit_code_three_for_every_command);
async fn an_unknown_redemption_is_exit_code_three_for_every_command(place: TestStore) {
    create(&place, &json!({})).await;
    let id = Uuid::now_v7().to_string();
    for verb in ["show", "confirm", "release", "rollback"] {
        for json in [&[][..], &["--json"]] {
            let ran = run(&place, &[&["redemption", verb, &id], json].concat(), 3).await;
            let message = format!("error: there is no redemption {id} in this store; check the id\n");
            assert_eq!((&*ran.stdout, &*ran.stderr), ("", &*message), "{verb}");
        }
        assert_names(
            &run(&place, &["redemption", verb, "A-1"], 2).await.stderr,
            &["write the id of a redemption, a UUID"],
        );
    }
    let listed = run(&place, &["redemption", "list", "--order", "A-1"], 0).await;
    assert_eq!((&*listed.stdout, &*listed.stderr), ("", "no redemptions\n"));
    assert_names(&run(&place, &["redemption", "list", "--campaign", "x"], 3).await.stderr, &["there is no campaign x"]);
    run(&place, &["redemption", "list"], 2).await;
}

#[tokio::test]
async fn a_long_list_is_cut_newest_first_with_a_note() {
    let place = TestStore::sqlite().await;
    create(&place, &json!({})).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(id_of(&run(&place, &["redeem", "SPRING", "--json"], 0).await.json()));
    }
    let list =
        async |limit: &str| run(&place, &["redemption", "list", "--campaign", "spring", "--limit", limit], 0).await;
    let cut = list("2").await;
    let lines: Vec<&str> = cut.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{}", cut.stdout);
    assert!(lines[0].starts_with("REDEMPTION ") && lines[1].starts_with(&ids[2]) && lines[2].starts_with(&ids[1]));
    assert_names(lines[1], &["  confirmed    20", "                 -  SPRING  spring"]);
    assert_eq!(cut.stderr, "note: there are more redemptions; a higher --limit lists them\n");
    assert_eq!(list("3").await.stderr, "");
}

on_both_stores!(every_problem_of_a_request_is_reported_with_its_pointer);
async fn every_problem_of_a_request_is_reported_with_its_pointer(place: TestStore) {
    create(&place, &json!({})).await;
    let broken = json!({ "currency": "euro", "lines": [
        { "sku": "DOG-1", "quantity": 0, "unit_amount": 100 }, { "quantity": 1, "unit_amount": -1, "price": 2 } ] });
    write(&place, "cart.json", &broken);
    write(&place, "context.json", &json!({ "source": 7, "colour": "red" }));
    let (long, longer) = ("SECRET".repeat(40), "SECRET".repeat(50));
    let args = [&*longer, "--cart", "cart.json", "--context", "context.json", "--identity", &long, "--order", " "];
    let pointers = [
        "/code",
        "/identity",
        "/order",
        "/cart/currency",
        "/cart/lines/0/quantity",
        "/cart/lines/1/price",
        "/cart/lines/1/sku",
        "/cart/lines/1/unit_amount",
        "/context/colour",
        "/context/source",
    ];
    for verb in ["validate", "redeem"] {
        let refused = run(&place, &[&[verb][..], &args].concat(), 4).await;
        let mut lines = refused.stderr.lines();
        assert_eq!(lines.next(), Some("error: the request has 10 problems; nothing was changed"));
        let found: BTreeSet<&str> = lines.filter_map(|line| line.trim().split(':').next()).collect();
        assert_eq!(found, pointers.into_iter().collect());
        assert!(!refused.stderr.contains("SECR") && refused.stdout.is_empty(), "{}", refused.stderr);
        let errors = run(&place, &[&[verb, "--json"][..], &args].concat(), 4).await.json()["errors"].clone();
        let found: BTreeSet<&str> =
            errors.as_array().expect("errors").iter().filter_map(|error| error["field"].as_str()).collect();
        assert_eq!(found, pointers.into_iter().collect());
    }
    assert_eq!(place.number("select count(*) from redemptions").await, 0);
}

#[tokio::test]
async fn files_that_are_no_documents_and_wrong_arguments_have_their_exit_codes() {
    let place = TestStore::sqlite().await;
    create(&place, &json!({})).await;
    for (content, problem) in [("{", "is not JSON: "), ("null", "has 1 problem; "), ("[]", "/cart: found a list")] {
        std::fs::write(place.path().join("c.json"), content).expect("a file");
        assert_names(&run(&place, &["validate", "SPRING", "--cart", "c.json"], 4).await.stderr, &[problem]);
    }
    for args in [
        &["validate", "SPRING", "--cart", "none.json"][..],
        &["validate", "-", "--cart", "-"],
        &["redeem", "SPRING", "--hold", "59s"],
        &["redeem", "SPRING", "--hold", "8d"],
        &["redeem", "SPRING", "--id", "7"],
        &["redeem"],
    ] {
        run(&place, args, 2).await;
    }
    for args in [&["validate", "SPRING"][..], &["redeem", "SPRING"], &["redemption", "list", "--order", "A-1"]] {
        let empty = EmptyPlace::create();
        assert_names(&empty.run(&[], args, 2).await.stderr, &["there is no store at"]);
        let away = [("CODEMINT__STORE__URL", "postgres://nobody@127.0.0.1:1/none")];
        let refused = empty.run(&away, args, 5).await;
        assert_eq!(refused.stdout, "");
        assert!(!refused.stderr.contains("SPRING"), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn a_code_is_read_from_standard_input_as_it_was_typed() {
    let place = TestStore::sqlite().await;
    create(&place, &json!({})).await;
    let pipe = async |args: &[&str], input: &[u8]| {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(input).expect("bytes");
        std::io::Seek::rewind(&mut file).expect("a file");
        place.codemint(args).stdin(Stdio::from(file)).run().await
    };
    pipe(&["validate", "-"], b"\n spring\r\n").await.expect_code(0);
    let id = Uuid::now_v7().to_string();
    pipe(&["redeem", "-", "--id", &id], b"spring\n").await.expect_code(0);
    // The end of the line is not a part of the request.
    run(&place, &["redeem", "spring", "--id", &id], 0).await;
    assert_names(&pipe(&["validate", "-"], b"A\nB\n").await.expect_code(2).stderr, &["more than one line"]);
    assert_names(&pipe(&["validate", "-"], &[b' '; 300]).await.expect_code(2).stderr, &["more than 256 bytes"]);
    let cart = cart(1000).to_string();
    pipe(&["validate", "SPRING", "--cart", "-"], cart.as_bytes()).await.expect_code(0);
}

on_both_stores!(changes_by_hand_are_in_the_audit_log_without_code_and_identity);
async fn changes_by_hand_are_in_the_audit_log_without_code_and_identity(place: TestStore) {
    create(&place, &json!({ "limits": { "redeemed": 1 } })).await;
    let hold = async || {
        let args = ["redeem", "SPRING", "--identity", "ann", "--hold", "1m", "--json"];
        id_of(&run(&place, &args, 0).await.json())
    };
    let first = hold().await;
    run(&place, &["redemption", "release", &first], 0).await;
    run(&place, &["redemption", "release", &first], 0).await;
    let second = hold().await;
    place.execute("update redemptions set expires_at = held_at where state = 'held'").await;
    run(&place, &["campaign", "deactivate", "spring"], 0).await;
    run(&place, &["redemption", "confirm", &second], 3).await;
    run(&place, &["campaign", "activate", "spring"], 0).await;
    run(&place, &["redemption", "confirm", &second], 0).await;
    run(&place, &["redemption", "rollback", &second], 0).await;
    let entries = run(&place, &["audit", "--json"], 0).await.stdout;
    let entries: Vec<Value> = entries.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let by_hand: Vec<&Value> = entries
        .iter()
        .filter(|entry| entry["action"].as_str().is_some_and(|name| name.starts_with("redemption_")))
        .collect();
    let found: Vec<(&str, &str, &str)> = by_hand
        .iter()
        .map(|entry| ["action", "result", "detail"].map(|name| entry[name].as_str().unwrap_or_default()).into())
        .collect();
    assert_eq!(
        found,
        [
            ("redemption_release", "done", &*first),
            ("redemption_confirm", "refused", &*second),
            ("redemption_confirm", "done", &*second),
            ("redemption_rollback", "done", &*second),
        ]
    );
    assert!(by_hand.iter().all(|entry| entry["campaign"] == "spring"));
    for text in ["SPRING", "ann\""] {
        assert!(by_hand.iter().all(|entry| !entry.to_string().contains(text)), "{text}");
    }
    let filtered = run(&place, &["audit", "--action", "redemption_rollback"], 0).await.stdout;
    assert_names(&filtered, &["redemption_rollback  done ", "campaign spring", &second]);
}

#[tokio::test]
async fn neither_code_nor_identity_appears_in_logs_and_errors() {
    let place = TestStore::postgres().await;
    create_kind(&place, "public", "SECRET7", &json!({ "limits": { "per_identity": 1 } })).await;
    let id = Uuid::now_v7().to_string();
    for args in [
        &["validate", "SECRET7", "--identity", "somebody"][..],
        &["redeem", "SECRET7", "--identity", "somebody", "--id", &id],
        &["redeem", "SECRET7", "--identity", "somebody"],
        &["redeem", "SECRET7", "--id", &id],
        &["redemption", "rollback", &id],
        &["identity", "forget", "somebody"],
    ] {
        let ran = place.codemint(["-vvv"]).args(args).run().await;
        assert!(!ran.stderr.contains("SECRET7") && !ran.stderr.contains("somebody"), "{args:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn the_role_for_redeeming_can_redeem_and_nothing_else() {
    let place = TestStore::postgres().await;
    let url = url_of_member(&place.url, "redeemer").await;
    let redeem = async |args: &[&str]| Codemint::new(place.path()).args(["--store", &url]).args(args).run().await;
    redeem(&["validate", "SPRING"]).await.expect_code(3);
    let limits =
        json!({ "per_code": 9, "per_identity": 9, "redeemed": 9, "budget": { "currency": "EUR", "amount": 9999 } });
    let condition = json!({ "not": { "member": { "segment": "gold" } } });
    create(&place, &json!({ "limits": limits, "condition": condition })).await;
    write(&place, "cart.json", &cart(1000));
    let request = ["SPRING", "--cart", "cart.json", "--identity", "ann", "--order", "A-1"];
    redeem(&[&["validate"][..], &request].concat()).await.expect_code(0);
    let hold = [&["redeem", "--json", "--hold", "5m"][..], &request].concat();
    let first = id_of(&redeem(&hold).await.expect_code(0).json());
    redeem(&["redemption", "show", &first]).await.expect_code(0);
    redeem(&["redemption", "confirm", &first, "--cart", "cart.json"]).await.expect_code(0);
    redeem(&["redemption", "rollback", &first]).await.expect_code(0);
    let second = id_of(&redeem(&hold).await.expect_code(0).json());
    redeem(&["redemption", "release", &second]).await.expect_code(0);
    for filter in [["--identity", "ann"], ["--order", "A-1"], ["--campaign", "spring"]] {
        redeem(&[&["redemption", "list"][..], &filter].concat()).await.expect_code(0);
    }
    redeem(&["identity", "codes", "ann"]).await.expect_code(0);
    judge_redemptions(&place).await;
    for args in [
        &["campaign", "deactivate", "spring"][..],
        &["generate", "####", "--count", "1"],
        &["identity", "forget", "ann"],
        &["audit"],
    ] {
        assert_names(&redeem(args).await.expect_code(1).stderr, &["permission denied"]);
    }
}

on_both_stores!(regression_what_a_campaign_gave_is_shown_in_each_currency);
async fn regression_what_a_campaign_gave_is_shown_in_each_currency(place: TestStore) {
    create(&place, &json!({ "limits": { "redeemed": 9, "per_code": 9 } })).await;
    write(&place, "euros.json", &cart(2000));
    let mut yen = cart(5000);
    yen["currency"] = json!("JPY");
    write(&place, "yen.json", &yen);
    run(&place, &["redeem", "spring", "--cart", "euros.json"], 0).await;
    let shown = run(&place, &["campaign", "show", "spring"], 0).await.stdout;
    assert_names(&shown, &["given       2.00 EUR\n"]);
    run(&place, &["redeem", "spring", "--cart", "yen.json", "--hold", "1h"], 0).await;
    let shown = run(&place, &["campaign", "show", "spring"], 0).await.stdout;
    assert_names(&shown, &["given       2.00 EUR, 500 JPY\n"]);
    let counts = &run(&place, &["campaign", "show", "spring", "--json"], 0).await.json()["counts"];
    let discounts = json!([{ "currency": "EUR", "amount": 200 }, { "currency": "JPY", "amount": 500 }]);
    assert_eq!((&counts["discount"], &counts["discounts"]), (&json!(0), &discounts));
}
