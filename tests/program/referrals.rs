//! `codemint referral`: codes to pass on, and the tree of referrers.

use serde_json::{Value, json};
use uuid::Uuid;

use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::codemint::{Codemint, Ran};
use codemint_test_support::on_both_stores;
use codemint_test_support::referral_steps::{create_friends, create_thanks, friends, judge_referrals, refer};
use codemint_test_support::roles::url_of_member;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

async fn referral(place: &TestStore, args: &[&str]) -> Ran {
    place.codemint(["referral"]).args(args).run().await
}

on_both_stores!(regression_a_missing_campaign_of_rewards_is_noted);
async fn regression_a_missing_campaign_of_rewards_is_noted(place: TestStore) {
    let document = friends(&json!({ "reward_campaign": "thanks" }));
    std::fs::write(place.path().join("friends.json"), document.to_string()).expect("a file");
    let create = async || place.codemint(["campaign", "create", "friends.json"]).run().await.expect_code(0).stderr;
    let note = "note: there is no restricted campaign thanks; rewards wait until there is one";
    assert_names(&create().await, &[note]);
    create_thanks(&place, 1).await;
    assert!(!create().await.contains("rewards"));
}

on_both_stores!(a_person_is_added_shown_and_stands_in_the_tree);
async fn a_person_is_added_shown_and_stands_in_the_tree(place: TestStore) {
    create_friends(&place, &json!({ "forward_template": "Use {{code}}\nsoon" }), 3).await;
    assert_eq!(referral(&place, &["tree", "friends"]).await.expect_code(0).stderr, "no referrers\n");
    let added = referral(&place, &["add", "friends", "Ann@example.org"]).await.expect_code(0);
    assert_names(&added.stdout, &["id          ", "code        FRIEND-", "forward     Use FRIEND-"]);
    let again = referral(&place, &["add", "friends", "ann+2@example.org", "--json"]).await.expect_code(0).json();
    let (id, code) = (again["id"].as_str().expect("an id"), again["code"].as_str().expect("a code"));
    assert_names(&added.stdout, &[id, code]);
    assert_eq!(
        (&again["already_generated"], &again["forward_text"]),
        (&true.into(), &format!("Use {code}\nsoon").into())
    );
    let redeemed = place.codemint(["redeem", code, "--identity", "bob@example.org", "--json"]).run().await;
    let redeemed = redeemed.expect_code(0).json();
    assert_eq!(redeemed["referral"]["state"], "pending", "{redeemed}");
    assert!(redeemed["issued_code"].is_string(), "{redeemed}");
    let own_code = redeemed["issued_code"].as_str().expect("a code");
    let friend = ["redemption", "show", redeemed["id"].as_str().expect("an id")];
    let friend = place.codemint(friend).run().await.expect_code(0).stdout;
    assert_names(&friend, &["\nreferral    pending\n", &format!("\nown code    {own_code}\n")]);
    let shown = referral(&place, &["show", id]).await.expect_code(0).stdout;
    assert_names(&shown, &["campaign    friends\n", "children    1\n", "referrals   1 pending, 0 rewarded, 0 void\n"]);
    assert!(!shown.contains('@'), "{shown}");
    let tree = referral(&place, &["tree", "friends"]).await.expect_code(0).stdout;
    let lines: Vec<&str> = tree.lines().collect();
    assert_eq!(lines[0], format!("{id}  1"), "{tree}");
    assert!(lines.len() == 2 && lines[1].starts_with("  ") && lines[1].ends_with("  0"), "{tree}");
    let cut = referral(&place, &["tree", "friends", "--rows", "1"]).await.expect_code(0);
    assert_names(&cut.stderr, &["there are more referrers", "--rows"]);
    let below = lines[1].split_whitespace().next().expect("an id");
    let tree = referral(&place, &["tree", "friends", "--root", below, "--json"]).await.expect_code(0).json();
    assert_eq!(tree, json!([{ "id": below, "parent": id, "depth": 1, "children": 0 }]));
    let flat: Value = referral(&place, &["tree", "friends", "--depth", "0", "--json"]).await.expect_code(0).json();
    assert_eq!(flat.as_array().map(Vec::len), Some(1));

    let unknown = Uuid::now_v7().to_string();
    for (args, exit, parts) in [
        (&["add", "none", "ann@example.org"][..], 3, &["no campaign none", "campaign list"][..]),
        (&["add", "friends", "ann"], 4, &["one @"]),
        (&["add", "friends", "bob@example.org", "--id", id], 3, &["another person", id, "--id"]),
        (&["show", &unknown], 3, &["there is no referrer", &unknown, "referral tree"]),
        (&["tree", "friends", "--root", &unknown], 3, &["has no referrer", &unknown]),
        (&["show", "x"], 2, &["a UUID"]),
    ] {
        let refused = referral(&place, args).await;
        assert_eq!(refused.code, exit, "{args:?}: {}", refused.stderr);
        assert_names(&refused.stderr, parts);
    }
    referral(&place, &["add", "friends", "cid@example.org"]).await.expect_code(0);
    let empty = referral(&place, &["add", "friends", "dan@example.org"]).await.expect_code(3);
    assert_names(&empty.stderr, &["pool of campaign friends is empty", "campaign codes friends --count N"]);
    judge_referrals(&place).await;
}

on_both_stores!(workers_keep_the_pool_of_a_referral_campaign_filled);
async fn workers_keep_the_pool_of_a_referral_campaign_filled(place: TestStore) {
    create_friends(&place, &json!({}), 5).await;
    for no in 0..5 {
        refer(&place.store, &format!("r{no}@example.org")).await;
    }
    assert_eq!(place.number("select count(*) from pool").await, 0);
    wait_until("the pool is filled", async || {
        let worker = place.codemint(["worker", "--drain"]).env("CODEMINT__ADMIN__LISTEN", "off");
        worker.run().await.expect_code(0);
        place.number("select count(*) from pool").await == 5
    })
    .await;
    judge_referrals(&place).await;
}

#[tokio::test]
async fn each_role_with_the_documented_rights_does_its_part_of_a_referral() {
    let place = TestStore::postgres().await;
    create_friends(&place, &json!({ "reward_campaign": "thanks" }), 9).await;
    create_thanks(&place, 9).await;
    let (server, redeemer) = (url_of_member(&place.url, "server").await, url_of_member(&place.url, "redeemer").await);
    let (generator, producer) =
        (url_of_member(&place.url, "generator").await, url_of_member(&place.url, "producer").await);
    let run = async |url: &str, args: &[&str]| {
        let codemint = Codemint::new(place.path()).args(["--store", url]).args(args);
        codemint.env("CODEMINT__ADMIN__LISTEN", "off").run().await.expect_code(0)
    };
    let ann = run(&server, &["referral", "add", "friends", "ann@example.org", "--json"]).await.json();
    let code = ann["code"].as_str().expect("a code");
    let bob = run(&redeemer, &["redeem", code, "--identity", "bob@example.org", "--json"]).await.json();
    assert!(bob["issued_code"].is_string(), "{bob}");
    let rewarded = "select count(*) from referrals where state = 'rewarded'";
    wait_until("a worker rewards", async || {
        run(&generator, &["worker", "--drain"]).await;
        place.number(rewarded).await == 1
    })
    .await;
    run(&redeemer, &["redemption", "rollback", bob["id"].as_str().expect("an id")]).await;
    assert_eq!(place.number("select count(*) from assignments where revoked_at is not null").await, 1);
    run(&producer, &["enqueue", "FRIEND-[:safe:]{6}", "--count", "5", "--campaign", "friends"]).await;
    assert_eq!(place.number("select count(*) from jobs where restricted_to = 'pool'").await, 3);
    judge_referrals(&place).await;
}
