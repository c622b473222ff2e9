//! Referrals over HTTP, as a shop uses them.

use serde_json::json;
use uuid::Uuid;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::redeem_steps::{create_campaign, definition, judge_redemptions};
use codemint_test_support::referral_steps::{create_friends, create_thanks, judge_referrals};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

on_stores!([sqlite, postgres] a_referrer_gets_a_text_to_forward_and_a_friend_a_code_of_their_own);
async fn a_referrer_gets_a_text_to_forward_and_a_friend_a_code_of_their_own(place: TestStore) {
    create_friends(&place, &json!({ "forward_template": "<{{code}}> & {{discount}}" }), 2).await;
    create_campaign(&place, &definition("plain", "private", "PLAIN-####", &json!({})), 1).await;
    let server = ApiServer::start(&place).await;
    let key = create_key(&place, "redeem,issue").await;
    let path = format!("/v1/referrals/{}", Uuid::now_v7());
    let ann = |campaign: &str| Some(json!({ "campaign": campaign, "referrer": "Ann+1@Example.org" }));
    let created = server.ask("PUT", &path, &key, ann("friends")).await.expect(201);
    let code = created["code"].as_str().expect("a code").to_owned();
    assert_eq!(created["forward_text"], format!("<{code}> & 10 %"));
    assert_eq!(created["forward_html"], format!("&lt;{code}&gt; &amp; 10 %"));
    assert_eq!((&created["already_generated"], &created["campaign"]), (&false.into(), &"friends".into()));
    let again = server.ask("PUT", &path, &key, ann("friends")).await.expect(200);
    assert_eq!((&again["already_generated"], &again["code"]), (&true.into(), &created["code"]));
    let other_id = format!("/v1/referrals/{}", Uuid::now_v7());
    let alias = Some(json!({ "campaign": "friends", "referrer": "ann@example.org" }));
    let alias = server.ask("PUT", &other_id, &key, alias).await.expect(200);
    assert_eq!((&alias["id"], &alias["code"]), (&created["id"], &created["code"]));
    server.ask("PUT", &path, &key, ann("plain")).await.expect_problem(409, "different-request");
    server.ask("PUT", &other_id, &key, ann("plain")).await.expect_problem(422, "not-referral");
    server.ask("PUT", &other_id, &key, ann("none")).await.expect_problem(404, "not-found");
    let wrong = json!({ "campaign": "friends", "referrer": "ann" });
    let wrong = server.ask("PUT", &other_id, &key, Some(wrong)).await.expect_problem(422, "invalid");
    assert_eq!(wrong["errors"][0]["field"], "/referrer", "{wrong}");

    let friend = format!("/v1/redemptions/{}", Uuid::now_v7());
    let usage = json!({ "code": code, "identity": "bob@example.org", "hold_seconds": 600 });
    let held = server.ask("PUT", &friend, &key, Some(usage)).await.expect(201);
    assert_eq!((&held["referral"], &held["issued_code"]), (&json!(null), &json!(null)));
    let confirmed = server.ask("POST", &format!("{friend}/confirm"), &key, None).await.expect(200);
    assert_eq!(confirmed["referral"], json!({ "state": "pending" }));
    assert!(confirmed["issued_code"].is_string(), "{confirmed}");
    assert_eq!(server.get(&friend, &key).await.expect(200), confirmed);
    let own = json!({ "code": code, "identity": "ann@example.org" });
    let own = server.ask("PUT", &format!("/v1/redemptions/{}", Uuid::now_v7()), &key, Some(own)).await;
    own.expect_problem(422, "self-referral");
    let shown = server.get(&path, &key).await.expect(200);
    assert_eq!((&shown["children"], &shown["depth"], &shown["parent"]), (&1.into(), &0.into(), &json!(null)));
    assert_eq!(shown["referrals"], json!({ "pending": 1, "rewarded": 0, "void": 0 }));
    assert_eq!(shown["latest"][0]["redemption_id"], confirmed["id"]);
    assert!(!shown.to_string().contains("example.org"), "{shown}");
    let rolled = server.ask("POST", &format!("{friend}/rollback"), &key, None).await.expect(200);
    assert_eq!(rolled["referral"], json!({ "state": "void" }));
    // Both codes are handed out.
    let cid = json!({ "campaign": "friends", "referrer": "cid@example.org" });
    server.ask("PUT", &other_id, &key, Some(cid)).await.expect_problem(422, "pool-empty");
    server.get(&other_id, &key).await.expect_problem(404, "not-found");
    let redeems = create_key(&place, "redeem").await;
    server.get(&path, &redeems).await.expect_problem(403, "scope-missing");
    let log = server.process.said();
    assert!(!log.contains("example.org") && !log.contains(&code), "{log}");
    for (series, count) in [
        ("codemint_referrers_total{outcome=\"new\"}", 1.0),
        ("codemint_referrers_total{outcome=\"repeated\"}", 2.0),
        ("codemint_referrers_total{outcome=\"different_request\"}", 1.0),
        ("codemint_referrers_total{outcome=\"refused\"}", 3.0),
        ("codemint_referrers_total{outcome=\"failed\"}", 0.0),
        ("codemint_referrals_total{state=\"pending\"}", 1.0),
        ("codemint_referrals_total{state=\"rewarded\"}", 0.0),
        ("codemint_referrals_total{state=\"void\"}", 1.0),
    ] {
        assert_eq!(server.process.metric(series), count, "{series}");
    }
    server.stop().await;
    judge_referrals(&place).await;
    judge_redemptions(&place).await;
}

// On SQLite, a server has a worker.
on_stores!([sqlite] rewards_are_counted_and_a_use_that_is_kept_ends_no_referral);
async fn rewards_are_counted_and_a_use_that_is_kept_ends_no_referral(place: TestStore) {
    create_friends(&place, &json!({ "reward_campaign": "thanks" }), 10).await;
    create_thanks(&place, 5).await;
    let server = ApiServer::start(&place).await;
    let key = create_key(&place, "redeem,issue").await;
    let ann = json!({ "campaign": "friends", "referrer": "ann@example.org" });
    let path = format!("/v1/referrals/{}", Uuid::now_v7());
    let created = server.ask("PUT", &path, &key, Some(ann)).await.expect(201);
    let friend = format!("/v1/redemptions/{}", Uuid::now_v7());
    let usage = json!({ "code": created["code"], "identity": "bob@example.org" });
    server.ask("PUT", &friend, &key, Some(usage.clone())).await.expect(201);
    server.ask("PUT", &friend, &key, Some(usage)).await.expect(200);
    let rewarded = "codemint_referrals_total{state=\"rewarded\"}";
    wait_until("the referrer is rewarded", async || server.process.metric(rewarded) == 1.0).await;
    let keep = json!({ "keep_use": true });
    server.ask("POST", &format!("{friend}/rollback"), &key, Some(keep)).await.expect(200);
    assert_eq!(server.process.metric("codemint_referrals_total{state=\"pending\"}"), 1.0, "a repeated request is none");
    assert_eq!(server.process.metric("codemint_referrals_total{state=\"void\"}"), 0.0);
    assert_eq!(server.process.metric(rewarded), 1.0, "it is rewarded once");
    server.stop().await;
    judge_referrals(&place).await;
}
