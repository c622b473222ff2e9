//! `identity`: the codes of an identity, and forgetting one while its limits stay in force.

use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::judge_redemptions;
use codemint_test_support::stores::TestStore;
use serde_json::{Value, json};

use crate::redemptions::{create, create_kind, run};

on_both_stores!(the_codes_of_an_identity_are_listed_with_what_remains);
async fn the_codes_of_an_identity_are_listed_with_what_remains(place: TestStore) {
    let fields = json!({ "limits": { "per_code": 3, "redeemed": 100 }, "offer": { "text": "For you" } });
    create_kind(&place, "restricted", "OWN-####", &fields).await;
    let none = run(&place, &["identity", "codes", "ann"], 0).await;
    assert_eq!((&*none.stdout, &*none.stderr), ("", "no codes\n"));
    run(&place, &["campaign", "codes", "spring", "--count", "10"], 0).await;
    let code = run(&place, &["issue", "spring", "ann"], 0).await.stdout.trim().to_owned();
    let codes = async || run(&place, &["identity", "codes", " ann ", "--json"], 0).await.json();
    let own = codes().await;
    assert_eq!(
        (&own[0]["code"], &own[0]["campaign"], &own[0]["status"]),
        (&json!(code), &json!("spring"), &json!("active"))
    );
    assert_eq!(own[0]["offer"], json!({ "text": "For you", "image_url": null }));
    let remaining = |code, campaign| json!({ "code": code, "identity": null, "campaign": campaign, "budget": null });
    assert_eq!(own[0]["remaining"], remaining(3, 100));
    run(&place, &["redeem", &code, "--identity", "ann"], 0).await;
    assert_eq!(codes().await[0]["remaining"], remaining(2, 99));
    let refused = run(&place, &["redeem", &code, "--identity", "bob", "--json"], 3).await.json();
    assert_eq!(refused["reasons"][0]["code"], "wrong-identity");
    let text = run(&place, &["identity", "codes", "ann"], 0).await.stdout;
    assert_names(
        &text,
        &["STATUS         REMAINING  ISSUED", "\nactive            2 uses  20", &format!("Z  {code}  spring\n")],
    );
    assert_names(&run(&place, &["identity", "codes", " "], 4).await.stderr, &["the identity is empty"]);
}

/// Returns the texts of the store in which this text occurs.
async fn rows_with(place: &TestStore, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (table, column) in [
        ("redemptions", "identity"),
        ("assignments", "identity_text"),
        ("segment_members", "identity"),
        ("audit", "detail"),
        ("outbox", "payload"),
    ] {
        let sql = format!("select cast({column} as text) from {table} where cast({column} as text) like '%{text}%'");
        found.extend(place.texts(&sql).await);
    }
    found
}

on_both_stores!(a_forgotten_identity_is_nowhere_and_its_limits_stay_in_force);
async fn a_forgotten_identity_is_nowhere_and_its_limits_stay_in_force(place: TestStore) {
    create_kind(&place, "restricted", "OWN-####", &json!({ "limits": { "per_identity": 2 } })).await;
    run(&place, &["campaign", "codes", "spring", "--count", "10"], 0).await;
    let code = run(&place, &["issue", "spring", "customer-17"], 0).await.stdout.trim().to_owned();
    std::fs::write(place.path().join("members.txt"), "customer-17\ncustomer-18\n").expect("a file");
    run(&place, &["segment", "members", "gold", "members.txt"], 0).await;
    let redeem = async |code_of_exit: i32| {
        run(&place, &["redeem", &code, "--identity", "customer-17", "--json"], code_of_exit).await.json()
    };
    let first = redeem(0).await;
    assert!(!rows_with(&place, "customer-17").await.is_empty());
    let forget = async |code: i32| run(&place, &["identity", "forget", " customer-17 "], code).await;
    let forgotten = forget(0).await.stdout;
    assert_eq!(forgotten, "the identity was forgotten in 1 redemption, 1 code, 1 segment and 0 triggers\n");
    assert_eq!(rows_with(&place, "customer-17").await, [] as [&str; 0]);
    assert_eq!(place.texts("select identity from segment_members").await, ["customer-18"]);
    assert_eq!(forget(0).await.stdout, "the identity was not stored, or was forgotten before\n");

    let list = ["redemption", "list", "--identity", "customer-17", "--json"];
    let listed = run(&place, &list, 0).await.json();
    assert_eq!((&listed[0]["id"], &listed[0]["identity"]), (&first["id"], &Value::Null));
    let again = run(&place, &["issue", "spring", "customer-17"], 0).await;
    assert_eq!(again.stdout.trim(), code, "the code still belongs to the identity");
    let second = redeem(0).await["id"].as_str().expect("an id").to_owned();
    let refused = redeem(3).await;
    assert_eq!(refused["reasons"][0]["code"], "identity-limit-reached");
    // What it takes is given back although the identity is gone.
    assert_eq!(
        forget(0).await.stdout,
        "the identity was forgotten in 1 redemption, 0 codes, 0 segments and 0 triggers\n"
    );
    run(&place, &["redemption", "rollback", &second], 0).await;
    redeem(0).await;
    judge_redemptions(&place).await;

    let audit = run(&place, &["audit", "--action", "identity_forget", "--json"], 0).await.stdout;
    let entries: Vec<Value> = audit.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let results: Vec<&str> = entries.iter().filter_map(|entry| entry["result"].as_str()).collect();
    assert_eq!(results, ["done", "unchanged", "done"]);
    assert_eq!(entries[0]["detail"], "redemptions 1, codes 1, segments 1, triggers 0");
    let digest = entries[0]["digest"].as_str().expect("a digest");
    assert_eq!(place.number(&format!("select count(*) from allowances where subject = '{digest}'")).await, 1);
}

on_both_stores!(a_hold_of_a_forgotten_identity_expires_when_its_use_is_wanted);
async fn a_hold_of_a_forgotten_identity_expires_when_its_use_is_wanted(place: TestStore) {
    create(&place, &json!({ "limits": { "per_identity": 1 } })).await;
    let redeem = async |code: i32| run(&place, &["redeem", "SPRING", "--identity", "ann", "--hold", "1m"], code).await;
    redeem(0).await;
    run(&place, &["identity", "forget", "ann"], 0).await;
    assert_names(&redeem(3).await.stdout, &["identity-limit-reached"]);
    place.execute("update redemptions set expires_at = held_at").await;
    redeem(0).await;
    judge_redemptions(&place).await;
}

on_both_stores!(an_identity_in_the_list_of_an_unfinished_job_is_not_forgotten);
async fn an_identity_in_the_list_of_an_unfinished_job_is_not_forgotten(place: TestStore) {
    create_kind(&place, "restricted", "OWN-####", &json!({})).await;
    std::fs::write(place.path().join("list.csv"), "customer-1\ncustomer-17\nCUSTOMER-2\n").expect("a file");
    let args = ["campaign", "codes", "spring", "--identities", "list.csv", "--no-wait"];
    let job = run(&place, &args, 0).await.stdout.trim().to_owned();
    for identity in ["customer-17", "customer-1", "CUSTOMER-2"] {
        let refused = run(&place, &["identity", "forget", identity], 3).await.stderr;
        let message =
            format!("error: job {job} is unfinished and binds a code to this identity; nothing was changed; ");
        assert_names(&refused, &[&message, &format!("jobs resume {job}` resumes it")]);
        assert!(!refused.contains(identity), "{refused}");
    }
    for other in ["customer", "customer-2", "1", "customer-1\u{a0}7"] {
        run(&place, &["identity", "forget", other], 0).await;
    }
    run(&place, &["jobs", "resume", &job], 0).await;
    let forgotten = run(&place, &["identity", "forget", "customer-17", "--json"], 0).await.json();
    assert_eq!(forgotten, json!({ "redemptions": 0, "codes": 1, "segments": 0, "triggers": 0 }));
    assert_eq!(place.number("select count(*) from assignments where identity_text is null").await, 1);
    run(&place, &["verify", &job], 0).await;
    let exported = run(&place, &["export", &job], 0).await.stdout;
    assert_eq!(exported.lines().filter(|line| line.ends_with(',')).count(), 1, "{exported}");
    assert!(!exported.contains("customer-17"), "{exported}");
}

#[tokio::test]
async fn more_redemptions_than_one_transaction_changes_are_forgotten_in_steps() {
    let place = TestStore::sqlite().await;
    create(&place, &json!({})).await;
    run(&place, &["redeem", "SPRING", "--identity", "ann"], 0).await;
    place
        .execute(
            "insert into redemptions (id, campaign_no, version, code, identity, state, request_digest, held_at, ended_at)
             with recursive n(i) as (select 1 union all select i + 1 from n where i < 12000)
             select randomblob(16), r.campaign_no, 1, r.code, 'ann', 'released', r.request_digest, r.held_at, r.held_at
               from n, redemptions r",
        )
        .await;
    let forgotten = run(&place, &["identity", "forget", "ann"], 0).await.stdout;
    assert_eq!(forgotten, "the identity was forgotten in 12,001 redemptions, 0 codes, 0 segments and 0 triggers\n");
    assert_eq!(place.number("select count(*) from redemptions where identity = 'ann'").await, 0);
    let audit = run(&place, &["audit", "--action", "identity_forget"], 0).await.stdout;
    assert_names(&audit, &["detail redemptions 10000, codes 0", "detail redemptions 2001, codes 0"]);
}
