//! The pages of referrals.

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::console::{Console, text_of};
use codemint_test_support::on_stores;
use codemint_test_support::referral_steps::{create_friends, judge_referrals};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use uuid::Uuid;

on_stores!([sqlite, postgres] a_referrer_is_named_and_shown_with_the_friends);
async fn a_referrer_is_named_and_shown_with_the_friends(place: TestStore) {
    create_friends(&place, &json!({ "forward_template": "<b>{{code}}</b> & {{discount}}" }), 9).await;
    let server = ApiServer::start(&place).await;
    let support = Console::sign_in(&server, &place, "support").await;
    let text = text_of(&support.page("/referrals").await);
    assert!(text.contains("Nobody passes codes of this campaign on yet"), "{text}");

    let ann = [("campaign", "friends"), ("referrer", "Ann.Lee@Example.org")];
    let named = support.post("/referrals", &ann).await;
    let path = named.expect_redirect().trim_end_matches("?done=named").to_owned();
    assert!(path.starts_with("/referrals/") && !path.contains('?'), "{named:?}");
    let known = support.post("/referrals", &ann).await;
    assert_eq!(known.expect_redirect(), format!("{path}?done=known"));
    let codes = place.texts("select code from referrers").await;
    assert_eq!(codes.len(), 1, "one customer, one code");
    let page = support.page(named.expect_redirect()).await;
    let text = text_of(&page);
    for shown in ["ann.lee@example.org", &format!("<b>{}</b> & 10 %", codes[0]), "has a code to pass on", "Pending 0"] {
        assert!(text.contains(shown), "{shown:?} is missing: {text}");
    }
    assert!(!page.contains("<b>"), "{page}");

    let key = create_key(&place, "redeem").await;
    let usage = json!({ "code": codes[0], "identity": "bob@example.org" });
    server.ask("PUT", &format!("/v1/redemptions/{}", Uuid::now_v7()), &key, Some(usage)).await.expect(201);
    let text = text_of(&support.page(&path).await);
    for shown in ["Pending 1", "Friends with codes of their own", "bob@example.org", "no friend has ordered yet"] {
        assert!(text.contains(shown), "{shown:?} is missing: {text}");
    }
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    let text = text_of(&marketer.page("/referrals?campaign=friends").await);
    assert!(text.contains("a***@example.org 1 pending 1 friend with codes of their own b***@example.org"), "{text}");
    let text = text_of(&marketer.page(&path).await);
    assert!(text.contains("a***@example.org") && !text.contains("lee@"), "{text}");
    let log = server.stop().await.stderr;
    assert!(!log.contains("example.org") && !log.contains(&codes[0]), "{log}");
    judge_referrals(&place).await;
}

on_stores!([sqlite] a_wrong_address_is_shown_beside_its_field_and_roles_are_kept_out);
async fn a_wrong_address_is_shown_beside_its_field_and_roles_are_kept_out(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    let text = text_of(&marketer.page("/referrals").await);
    assert!(text.contains("There is no referral campaign yet"), "{text}");
    create_friends(&place, &json!({}), 1).await;
    let wrong = marketer.post("/referrals", &[("campaign", "friends"), ("referrer", "\"><b>ann")]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.body.contains("id=\"referrer-problem\"") && wrong.body.contains("aria-invalid"), "{wrong:?}");
    assert!(text_of(&wrong.body).contains("an address has one @") && !wrong.body.contains("<b>"), "{wrong:?}");
    assert!(wrong.body.contains("value=\"&#34;&#62;&#60;b&#62;ann\""), "what was typed is kept: {wrong:?}");
    let named = marketer.post("/referrals", &[("campaign", "friends"), ("referrer", "a@example.org")]).await;
    assert_eq!(named.status, 303, "{named:?}");
    let empty = marketer.post("/referrals", &[("campaign", "friends"), ("referrer", "b@example.org")]).await;
    assert_eq!(empty.status, 422);
    assert!(
        empty.body.contains("role=\"alert\"") && empty.body.contains("b@example.org"),
        "no code is left: {empty:?}"
    );
    let viewer = Console::sign_in(&server, &place, "viewer").await;
    assert_eq!(viewer.get("/referrals").await.status, 403);
    assert_eq!(viewer.post("/referrals", &[("campaign", "friends"), ("referrer", "c@example.org")]).await.status, 403);
    assert_eq!(marketer.get(&format!("/referrals/{}", Uuid::now_v7())).await.status, 404);
    server.stop().await;
}
