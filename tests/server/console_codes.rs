//! "Find a code" in the console: what a customer typed is found as the checkout finds it, with its state and the reasons against it.

use serde_json::json;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::console::Console;
use codemint_test_support::on_stores;
use codemint_test_support::redeem_steps::{cart, create_campaign, definition};
use codemint_test_support::stores::TestStore;
use uuid::Uuid;

/// Returns the codes of a campaign with this prefix, in their order.
async fn codes(place: &TestStore, prefix: &str) -> Vec<String> {
    place.texts(&format!("select code from codes where code like '{prefix}%' order by code")).await
}

async fn redeem(server: &ApiServer, key: &str, code: &str, fields: serde_json::Value) -> Uuid {
    let (id, mut request) = (Uuid::now_v7(), fields);
    request["code"] = code.into();
    server.ask("PUT", &format!("/v1/redemptions/{id}"), key, Some(request)).await.expect(201);
    id
}

on_stores!([sqlite, postgres] a_pasted_code_is_found_with_its_uses_and_the_reasons_against_it);
async fn a_pasted_code_is_found_with_its_uses_and_the_reasons_against_it(place: TestStore) {
    let limits = json!({ "limits": { "per_code": 1 }, "title": "Dogs & <b>cats</b>" });
    create_campaign(&place, &definition("dogs", "private", "DOG-########", &limits), 3).await;
    let server = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    let (shop, support) = (create_key(&place, "redeem").await, Console::sign_in(&server, &place, "support").await);
    let all = codes(&place, "DOG-").await;
    let (used, fresh) = (&all[0], &all[1]);
    let id =
        redeem(&server, &shop, used, json!({ "identity": "customer-17", "order": "A-1", "cart": cart(1999) })).await;

    // With blanks, in lower case, without the hyphen, and with letters in place of digits.
    let typed = used.to_lowercase().replace('-', " ").replace('0', "O").replace('1', "l");
    let page = support.post("/codes", &[("codes", &typed)]).await;
    let page = page.expect_page(200);
    for text in [
        used.as_str(),
        "typed it in another way",
        "would be refused",
        "1 of 1",
        "any customer may use it",
        "customer-17",
        "A-1",
        "confirmed",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    assert!(page.contains("This code has been used as often as it can be."), "{page}");
    assert!(page.contains(&format!("href=\"/redemptions/{id}\"")), "{page}");
    assert!(page.contains("Dogs &#38; &#60;b&#62;cats&#60;/b&#62;") && !page.contains("<b>cats"), "{page}");

    let page = support.post("/codes", &[("codes", fresh)]).await;
    let page = page.expect_page(200);
    assert!(
        page.contains("would be accepted") && page.contains("0 of 1") && page.contains("was not used yet"),
        "{page}"
    );
    assert!(!page.contains("typed it in another way"), "{page}");

    // Switched off: explained to a person, and the verdict writes nothing.
    place.store.switch_campaign("dogs", false).await.expect("a switch");
    let page = support.post("/codes", &[("codes", fresh)]).await;
    assert!(page.expect_page(200).contains("This offer is switched off."), "{page:?}");
    assert_eq!(place.number("select count(*) from redemptions").await, 1);
    let log = server.stop().await;
    assert!(!log.stderr.contains(used.as_str()) && !log.stderr.contains("customer-17"), "{}", log.stderr);
}

on_stores!([sqlite, postgres] a_personal_code_is_shown_with_its_owner_or_in_the_pool);
async fn a_personal_code_is_shown_with_its_owner_or_in_the_pool(place: TestStore) {
    create_campaign(&place, &definition("vip", "restricted", "VIP-########", &json!({})), 2).await;
    let key = create_key(&place, "issue").await;
    let server = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    let support = Console::sign_in(&server, &place, "support").await;
    let issued = server.ask("PUT", "/v1/campaigns/vip/assignments/loc-1", &key, None).await.expect(201);
    let issued = issued["code"].as_str().expect("a code");
    let all = codes(&place, "VIP-").await;
    let pooled = all.iter().find(|code| *code != issued).expect("another code");

    let page = support.post("/codes", &[("codes", issued)]).await;
    let page = page.expect_page(200);
    assert!(page.contains("issued to <bdi>loc-1</bdi>") && page.contains("for <bdi>loc-1</bdi>"), "{page}");
    assert!(page.contains("would be accepted"), "{page}");
    let page = support.post("/codes", &[("codes", issued), ("identity", "loc-2")]).await;
    assert!(page.expect_page(200).contains("This code belongs to someone else, or to nobody yet."), "{page:?}");
    let page = support.post("/codes", &[("codes", pooled)]).await;
    let page = page.expect_page(200);
    assert!(page.contains("in the pool: nobody has it yet") && page.contains("would be refused"), "{page}");
    server.stop().await;
}

on_stores!([sqlite, postgres] regression_a_marketer_sees_the_address_of_an_owner_shortened);
async fn regression_a_marketer_sees_the_address_of_an_owner_shortened(place: TestStore) {
    create_campaign(&place, &definition("vip", "restricted", "VIP-########", &json!({})), 2).await;
    let key = create_key(&place, "issue").await;
    let server = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    let path = "/v1/campaigns/vip/assignments/email:YW5uYUBleGFtcGxlLm9yZw";
    let issued = server.ask("PUT", path, &key, None).await.expect(201);
    let issued = issued["code"].as_str().expect("a code");
    let several = format!("{issued}\n{issued}");
    for (role, shown, hidden) in [
        ("marketer", "a***@example.org", "anna@example.org"),
        ("support", "anna@example.org", "a***@example.org"),
        ("admin", "anna@example.org", "a***@example.org"),
    ] {
        let console = Console::sign_in(&server, &place, role).await;
        let page = console.post("/codes", &[("codes", issued)]).await;
        let page = page.expect_page(200);
        let (owner, asked_for) = (format!("issued to <bdi>{shown}</bdi>"), format!("for <bdi>{shown}</bdi>"));
        assert!(page.contains(&owner) && page.contains(&asked_for) && !page.contains(hidden), "{role}: {page}");
        let table = console.post("/codes", &[("codes", &several)]).await;
        let table = table.expect_page(200);
        assert!(table.contains(&owner) && !table.contains(hidden), "{role}: {table}");
        // The verdict holds for the address in full.
        let page = console.post("/codes", &[("codes", issued), ("identity", "anna@example.org")]).await;
        assert!(page.expect_page(200).contains("would be accepted"), "{role}: {page:?}");
    }
    server.stop().await;
}

on_stores!([sqlite, postgres] several_codes_give_a_table_and_wrong_ones_are_explained);
async fn several_codes_give_a_table_and_wrong_ones_are_explained(place: TestStore) {
    create_campaign(&place, &definition("dogs", "private", "DOG-########", &json!({})), 2).await;
    let server = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    let support = Console::sign_in(&server, &place, "support").await;
    let all = codes(&place, "DOG-").await;
    let pasted = format!("{}\r\n\r\n{}\r\n<i>\r\nDOG-\u{f8}\r\n", all[0], all[1]);
    let page = support.post("/codes", &[("codes", &pasted)]).await;
    let page = page.expect_page(200);
    assert!(page.contains("4 codes") && page.matches(">accepted<").count() == 2, "{page}");
    assert!(
        page.contains("no campaign has codes that look like this")
            && page.contains("&#60;i&#62;")
            && !page.contains("<i>"),
        "{page}"
    );
    assert!(page.contains("Character 5 occurs in no code"), "{page}");

    let never = support.post("/codes", &[("codes", "DOG-00000000X")]).await;
    assert!(never.expect_page(200).contains("There is no such code"), "{never:?}");
    let many = "A\n".repeat(101);
    let refused = support.post("/codes", &[("codes", &many), ("identity", "a\u{200b}b")]).await;
    let refused = refused.expect_page(422);
    assert!(refused.contains("101 codes; paste at most 100") && refused.contains("invisible characters"), "{refused}");
    assert!(support.post("/codes", &[("codes", " ")]).await.expect_page(422).contains("paste a code"));
    server.stop().await;
}

on_stores!([sqlite, postgres] uses_without_a_limit_are_counted_as_they_count);
async fn uses_without_a_limit_are_counted_as_they_count(place: TestStore) {
    create_campaign(&place, &definition("open", "public", "OPENDAY", &json!({})), 1).await;
    let server = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    let (shop, support) = (create_key(&place, "redeem").await, Console::sign_in(&server, &place, "support").await);
    let find = async || support.post("/codes", &[("codes", "openday")]).await.expect_page(200).to_owned();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(redeem(&server, &shop, "OPENDAY", json!({})).await);
    }
    for (id, keep_use) in [(ids[0], true), (ids[1], false)] {
        let body = json!({ "keep_use": keep_use });
        server.ask("POST", &format!("/v1/redemptions/{id}/rollback"), &shop, Some(body)).await.expect(200);
    }
    let page = find().await;
    assert!(page.contains("2, without a limit") && page.matches("href=\"/redemptions/").count() == 3, "{page}");
    let items: Vec<serde_json::Value> = (0..999).map(|_| json!({ "id": Uuid::now_v7(), "code": "OPENDAY" })).collect();
    server.ask("POST", "/v1/redemptions:batch", &shop, Some(json!({ "items": items }))).await.expect(200);
    let page = find().await;
    assert!(
        page.contains("more than 1,000, without a limit") && page.matches("href=\"/redemptions/").count() == 10,
        "{page}"
    );
    server.stop().await;
}

#[tokio::test]
async fn only_roles_that_help_customers_find_codes() {
    let place = TestStore::sqlite().await;
    let server = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    for (role, status) in [("viewer", 403), ("affiliates", 403), ("marketer", 200), ("support", 200), ("admin", 200)] {
        let console = Console::sign_in(&server, &place, role).await;
        assert_eq!(console.get("/codes").await.status, status, "{role:?}");
        assert_eq!(console.post("/codes", &[("codes", "A")]).await.status, status, "{role:?}");
        assert_eq!(console.page("/campaigns").await.contains("href=\"/codes\""), status == 200, "{role:?}");
        // A form of another page of the web has no token.
        assert_eq!(console.post_with_token("/codes", &[("codes", "A")], "").await.status, 403, "{role:?}");
    }
    assert_eq!(server.send("GET", "/codes", None, &[], None).await.expect_redirect(), "/sign-in?next=%2Fcodes");
    server.stop().await;
}
