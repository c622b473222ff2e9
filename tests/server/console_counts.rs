//! What pages of campaigns count.

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::console::{Console, text_of};
use codemint_test_support::on_stores;
use codemint_test_support::redeem_steps::{cart, create_campaign, definition};
use codemint_test_support::referral_steps::create_friends;
use codemint_test_support::stores::TestStore;
use serde_json::{Value, json};
use uuid::Uuid;

async fn redeem(server: &ApiServer, key: &str, code: &str, fields: &Value) {
    let mut usage = json!({ "code": code, "cart": cart(2000) });
    usage.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    server.ask("PUT", &format!("/v1/redemptions/{}", Uuid::now_v7()), key, Some(usage)).await.expect(201);
}

on_stores!([sqlite, postgres] regression_the_list_and_the_page_of_a_campaign_count_the_same);
async fn regression_the_list_and_the_page_of_a_campaign_count_the_same(place: TestStore) {
    let budget = json!({ "limits": { "budget": { "currency": "EUR", "amount": 600 } } });
    for (name, code, limits) in [("open", "OPEN", &json!({})), ("spent", "SPENT", &budget)] {
        create_campaign(&place, &definition(name, "public", code, limits), 1).await;
    }
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "redeem").await);
    for code in ["OPEN", "SPENT"] {
        for fields in [json!({}), json!({}), json!({ "hold_seconds": 3600 })] {
            redeem(&server, &key, code, &fields).await;
        }
    }
    let viewer = Console::sign_in(&server, &place, "viewer").await;
    let list = text_of(&viewer.page("/campaigns").await);
    for (name, status, discounts) in [
        ("open", "active", "Discounts 6.00 EUR held ones included"),
        ("spent", "used up", "Discounts 6.00 EUR of 6.00 EUR, held ones included"),
    ] {
        let text = text_of(&viewer.page(&format!("/campaigns/{name}")).await);
        for shown in ["Redeemed 2 ", "Held 1 wait for the payment", discounts] {
            assert!(text.contains(shown), "{shown:?} is missing: {text}");
        }
        let row = format!("{name} {name} {status} one code for all 1 2 no dates");
        assert!(list.contains(&row), "{row:?} is missing: {list}");
    }
    server.stop().await;
}

on_stores!([sqlite, postgres] regression_active_campaigns_are_listed_apart_from_used_up_ones);
async fn regression_active_campaigns_are_listed_apart_from_used_up_ones(place: TestStore) {
    let names = ["budget", "code", "open", "redeemed", "private"];
    for (name, kind, limits) in [
        ("budget", "public", json!({ "budget": { "currency": "EUR", "amount": 200 } })),
        ("code", "public", json!({ "per_code": 1 })),
        ("open", "public", json!({ "redeemed": 2, "per_code": 2, "per_identity": 1 })),
        ("redeemed", "public", json!({ "redeemed": 1 })),
        ("private", "private", json!({ "per_code": 1 })),
    ] {
        let mask = if kind == "public" { name.to_uppercase() } else { format!("{}-#", name.to_uppercase()) };
        create_campaign(&place, &definition(name, kind, &mask, &json!({ "limits": limits })), 1).await;
    }
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "redeem").await);
    let codes = place.texts("select code from codes").await;
    assert_eq!(codes.len(), names.len());
    for code in &codes {
        redeem(&server, &key, code, &json!({ "identity": "ann" })).await;
    }
    let viewer = Console::sign_in(&server, &place, "viewer").await;
    for (status, word, expected) in [
        ("active", "active", vec!["open", "private"]),
        ("exhausted", "used up", vec!["budget", "code", "redeemed"]),
        ("off", "off", vec![]),
    ] {
        let page = viewer.page(&format!("/campaigns?status={status}")).await;
        let found: Vec<&str> =
            names.into_iter().filter(|name| page.contains(&format!("href=\"/campaigns/{name}\""))).collect();
        let mut expected = expected;
        expected.sort_unstable_by_key(|name| names.iter().position(|known| known == name));
        assert_eq!(found, expected, "{status}: {page}");
        assert_eq!(page.matches(&format!(">{word}</span>")).count(), expected.len(), "{status}: {page}");
    }
    server.stop().await;
}

on_stores!([sqlite] the_issued_codes_of_a_referral_campaign_are_counted);
async fn the_issued_codes_of_a_referral_campaign_are_counted(place: TestStore) {
    create_friends(&place, &json!({}), 9).await;
    let server = ApiServer::start(&place).await;
    let support = Console::sign_in(&server, &place, "support").await;
    support.post("/referrals", &[("campaign", "friends"), ("referrer", "ann@example.org")]).await.expect_redirect();
    let text = text_of(&support.page("/campaigns/friends").await);
    assert!(text.contains("Codes 9 Issued 1 Redeemed 0"), "{text}");
    let text = text_of(&support.page("/campaigns").await);
    assert!(text.contains("friends friends active many codes 9 1 0 no dates"), "{text}");
    server.stop().await;
}

on_stores!([sqlite, postgres] segments_that_do_not_exist_are_warned_of);
async fn segments_that_do_not_exist_are_warned_of(place: TestStore) {
    let member = json!({ "member": { "segment": "new" } });
    let fields = json!({ "segments": ["gold"], "condition": { "any": [member, { "not": member }] } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &fields), 1).await;
    let server = ApiServer::start(&place).await;
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    let warning = "nobody belongs there, unless the shop names it in its requests.";
    for (path, both) in [("/campaigns/spring", true), ("/campaigns/spring/edit", true), ("/new-campaign", false)] {
        let text = text_of(&marketer.page(path).await);
        let said = text.contains(&format!("There are no segments gold and new: {warning}"));
        assert_eq!(said, both, "{path}: {text}");
    }
    let gold = [
        ("name", "gold"),
        ("condition", "{ \"compare\": { \"attribute\": \"orders\", \"op\": \"ge\", \"value\": 10 } }"),
    ];
    marketer.post("/new-segment", &gold).await.expect_redirect();
    let text = text_of(&marketer.page("/campaigns/spring").await);
    assert!(text.contains(&format!("There is no segment new: {warning}")), "{text}");
    place.execute("insert into segments (name) values ('new')").await;
    let text = text_of(&marketer.page("/campaigns/spring").await);
    assert!(!text.contains("There is no segment"), "{text}");
    server.stop().await;
}
