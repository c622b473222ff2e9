//! Redemptions in the console: found by campaign, order, customer or code, and released or rolled back with a reason.

use serde_json::{Value, json};
use uuid::Uuid;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::console::Console;
use codemint_test_support::on_stores;
use codemint_test_support::redeem_steps::{cart, create_campaign, definition, judge_redemptions};
use codemint_test_support::stores::TestStore;

const ADDRESS: &str = "anna@example.org";
const SHORTENED: &str = "a***@example.org";

/// Starts a server with a public campaign of Berlin, whose code is PUBLIC, and returns it with a key of the shop.
async fn start(place: &TestStore) -> (ApiServer, String) {
    let fields = json!({ "zone": "Europe/Berlin", "limits": { "redeemed": 1000 } });
    create_campaign(place, &definition("open", "public", "PUBLIC", &fields), 1).await;
    (ApiServer::start_with(place, &[], &["--no-worker"]).await, create_key(place, "redeem").await)
}

async fn redeem(server: &ApiServer, key: &str, fields: Value) -> Uuid {
    let (id, mut request) = (Uuid::now_v7(), fields);
    request["code"] = "PUBLIC".into();
    server.ask("PUT", &format!("/v1/redemptions/{id}"), key, Some(request)).await.expect(201);
    id
}

async fn state(server: &ApiServer, key: &str, id: Uuid) -> Value {
    server.get(&format!("/v1/redemptions/{id}"), key).await.expect(200)["state"].clone()
}

/// Returns the actor and the detail of each audit entry about redemptions.
async fn audited(place: &TestStore) -> Vec<String> {
    place
        .texts("select actor || ' ' || action || ' ' || detail from audit where action like 'redemption%' order by no")
        .await
}

on_stores!([sqlite, postgres] redemptions_are_listed_by_campaign_order_customer_and_code);
async fn redemptions_are_listed_by_campaign_order_customer_and_code(place: TestStore) {
    let (server, key) = start(&place).await;
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    let mut ids = Vec::new();
    for number in 0..52 {
        ids.push(
            redeem(&server, &key, json!({ "order": format!("A-{number}"), "identity": ADDRESS, "cart": cart(1000) }))
                .await,
        );
    }
    let link = |id: &Uuid| format!("href=\"/redemptions/{id}\"");
    assert!(marketer.page("/redemptions").await.contains("Choose what to show"));
    let page = marketer.page("/redemptions?campaign=open").await;
    assert!(page.contains("Times in Europe/Berlin") && page.contains("1.00 EUR") && page.contains(SHORTENED), "{page}");
    let places: Vec<Option<usize>> = ids[2..].iter().map(|id| page.find(&link(id))).collect();
    assert!(places.iter().all(Option::is_some) && places.is_sorted_by(|a, b| a > b), "the newest 50, newest first");
    assert!(!page.contains(&link(&ids[1])));

    // Neither the customer nor the code stands in a URL, also not that of the next page.
    for (name, value) in [("identity", ADDRESS), ("code", "PUBLIC")] {
        let page = marketer.post("/redemptions", &[(name, value)]).await;
        let page = page.expect_page(200);
        assert!(page.contains(&format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">")), "{page}");
        let cursor =
            page.split("name=\"cursor\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a cursor");
        let next = marketer.post("/redemptions", &[(name, value), ("cursor", cursor)]).await;
        let next = next.expect_page(200);
        assert!(
            next.contains(&link(&ids[1])) && next.contains(&link(&ids[0])) && !next.contains(&link(&ids[2])),
            "{next}"
        );
        assert!(!next.contains("name=\"cursor\"") && next.contains("First page"), "{next}");
        assert!(!page.contains(&format!("={value}\"")) && !next.contains(&format!("?{name}")));
    }
    // What is no secret may be kept as an address.
    let answer = marketer.post("/redemptions", &[("campaign", "open"), ("order", "A-7"), ("identity", " ")]).await;
    assert_eq!(answer.expect_redirect(), "/redemptions?campaign=open&order=A-7");
    let page = marketer.page("/redemptions?campaign=open&order=A-7").await;
    assert!(page.contains(&link(&ids[7])) && page.matches("href=\"/redemptions/").count() == 1, "{page}");
    assert!(marketer.page("/redemptions?order=none").await.contains("No redemption matches"));
    let refused = marketer.get("/redemptions?campaign=%3Cb%3Enone").await;
    let refused = refused.expect_page(422);
    assert!(
        refused.contains("there is no campaign of this name") && refused.contains("value=\"&#60;b&#62;none\""),
        "{refused}"
    );
    let log = server.stop().await;
    assert!(!log.stderr.contains(ADDRESS), "{}", log.stderr);
}

on_stores!([sqlite, postgres] regression_marketers_see_addresses_of_customers_shortened);
async fn regression_marketers_see_addresses_of_customers_shortened(place: TestStore) {
    let (server, key) = start(&place).await;
    let id = redeem(&server, &key, json!({ "order": "A-1", "identity": ADDRESS })).await;
    redeem(&server, &key, json!({ "order": "A-2", "identity": "customer-17" })).await;
    for (role, shown, hidden) in
        [("marketer", SHORTENED, ADDRESS), ("support", ADDRESS, SHORTENED), ("admin", ADDRESS, SHORTENED)]
    {
        let console = Console::sign_in(&server, &place, role).await;
        let list = console.page("/redemptions?campaign=open").await;
        let details = console.page(&format!("/redemptions/{id}")).await;
        let code = console.post("/codes", &[("codes", "PUBLIC")]).await.expect_page(200).to_owned();
        for page in [&list, &details, &code] {
            assert!(page.contains(shown) && !page.contains(hidden), "{role}: {page}");
        }
        assert!(list.contains("customer-17") && code.contains("customer-17"), "only addresses are shortened");
        // Whoever knows the address finds its redemptions.
        let found = console.post("/redemptions", &[("identity", ADDRESS)]).await;
        let found = found.expect_page(200);
        assert!(found.contains(&format!("href=\"/redemptions/{id}\"")), "{role}: {found}");
        assert!(found.contains(&format!("<bdi>{shown}</bdi>")) && !found.contains("A-2"), "{role}: {found}");
    }
    server.stop().await;
}

on_stores!([sqlite, postgres] support_releases_and_rolls_back_with_a_reason_in_the_audit_log);
async fn support_releases_and_rolls_back_with_a_reason_in_the_audit_log(place: TestStore) {
    let (server, key) = start(&place).await;
    let support = Console::sign_in(&server, &place, "support").await;
    let held = redeem(&server, &key, json!({ "order": "A-1", "hold_seconds": 600, "context": { "source": "mail", "ad": "<u>" }, "cart": cart(1999) })).await;
    let (first, second) = (redeem(&server, &key, json!({})).await, redeem(&server, &key, json!({})).await);
    let path = |id: Uuid| format!("/redemptions/{id}");

    let page = support.page(&path(held)).await;
    for text in ["held", "A-1", "mail", "&#60;u&#62;", "DOG-1", "2.00 EUR", "19.99 EUR", "(Europe/Berlin)", "Release"] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(!page.contains("Roll back") && !page.contains("Confirm") && !page.contains("<u>"), "{page}");
    let page = support.page(&path(first)).await;
    assert!(
        page.contains("Roll back") && page.contains("Keep the use counted") && page.contains("sent no cart"),
        "{page}"
    );

    // Without a reason, or with what the audit log does not hold, nothing happens.
    for (reason, advice) in
        [("", "write why"), ("public was stolen", "leave out the code"), (ADDRESS, "leave out the address")]
    {
        let refused = support.post(&format!("{}/release", path(held)), &[("reason", reason)]).await;
        let refused = refused.expect_page(422);
        assert!(refused.contains(advice) && refused.contains(&format!("value=\"{reason}\"")), "{refused}");
    }
    assert_eq!((state(&server, &key, held).await, audited(&place).await.len()), ("held".into(), 0));

    let done = support.post(&format!("{}/release", path(held)), &[("reason", "the order was given up")]).await;
    assert_eq!(done.expect_redirect(), format!("{}?done=released", path(held)));
    assert!(support.page(done.expect_redirect()).await.contains("Its use is given back"));
    let done = support
        .post(&format!("{}/rollback", path(first)), &[("reason", "refunded, ticket 7"), ("keep_use", "on")])
        .await;
    assert_eq!(done.expect_redirect(), format!("{}?done=rolled-back-kept", path(first)));
    assert!(support.page(&path(first)).await.contains("still counted"));
    let done = support.post(&format!("{}/rollback", path(second)), &[("reason", "refunded")]).await;
    assert_eq!(done.expect_redirect(), format!("{}?done=rolled-back", path(second)));
    let again = support.post(&format!("{}/rollback", path(second)), &[("reason", "refunded")]).await;
    assert_eq!(again.expect_redirect(), format!("{}?done=unchanged", path(second)));
    // A page that was open for long: the other action is no longer possible.
    let late = support.post(&format!("{}/release", path(second)), &[("reason", "given up")]).await;
    assert!(late.expect_page(422).contains("the redemption is rolled back: it has ended"), "{late:?}");

    let by = "console user=support";
    let expected = [
        format!("{by} redemption_release {held}: the order was given up"),
        format!("{by} redemption_rollback {first}: refunded, ticket 7"),
        format!("{by} redemption_rollback {second}: refunded"),
    ];
    assert_eq!(audited(&place).await, expected);
    assert_eq!(place.number("select taken from allowances where scope = 'campaign'").await, 1, "the use that was kept");
    judge_redemptions(&place).await;
    // A program that acts by the API is not a person, and leaves no entry.
    let third = redeem(&server, &key, json!({})).await;
    server.ask("POST", &format!("/v1/redemptions/{third}/rollback"), &key, None).await.expect(200);
    assert_eq!(audited(&place).await.len(), expected.len());
    server.stop().await;
}

#[tokio::test]
async fn roles_that_may_not_act_are_shown_no_actions_and_refused() {
    let place = TestStore::sqlite().await;
    let (server, key) = start(&place).await;
    let id = redeem(&server, &key, json!({})).await;
    let rollback = format!("/redemptions/{id}/rollback");
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    assert!(!marketer.page(&format!("/redemptions/{id}")).await.contains("Roll back"));
    for role in ["viewer", "affiliates", "marketer"] {
        let console = Console::sign_in(&server, &place, role).await;
        console.post(&rollback, &[("reason", "refunded")]).await.expect_page(403);
        let sees = role == "marketer";
        assert_eq!(console.get("/redemptions").await.status == 200, sees, "{role:?}");
        assert_eq!(console.get(&format!("/redemptions/{id}")).await.status == 200, sees, "{role:?}");
    }
    let support = Console::sign_in(&server, &place, "support").await;
    support.post_with_token(&rollback, &[("reason", "refunded")], &marketer.form_token).await.expect_page(403);
    assert_eq!(state(&server, &key, id).await, "confirmed");
    support.get(&format!("/redemptions/{}", Uuid::now_v7())).await.expect_page(404);
    server.stop().await;
}
