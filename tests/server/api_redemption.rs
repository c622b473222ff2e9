//! Redemption over HTTP, as a shop uses it.

use serde_json::{Value, json};
use uuid::Uuid;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::redeem_steps::{cart, create_campaign, definition, judge_redemptions};
use codemint_test_support::stores::TestStore;

const SCOPES: &str = "redeem,issue,manage,explain";

/// A server with a public campaign that takes 10 % off, three times.
async fn shop(place: &TestStore) -> (ApiServer, String) {
    let fields = json!({ "limits": { "redeemed": 3 } });
    create_campaign(place, &definition("spring", "public", "SPRING", &fields), 1).await;
    (ApiServer::start(place).await, create_key(place, SCOPES).await)
}

fn redemption(id: Uuid) -> String {
    format!("/v1/redemptions/{id}")
}

on_stores!([sqlite, postgres] a_checkout_validates_holds_confirms_and_rolls_back);
async fn a_checkout_validates_holds_confirms_and_rolls_back(place: TestStore) {
    let (server, key) = shop(&place).await;
    let request = json!({ "code": "spring", "order": "A-1", "cart": cart(2000), "hold_seconds": 600 });
    let mut asked = request.clone();
    asked.as_object_mut().expect("fields").remove("hold_seconds");
    let valid = server.ask("POST", "/v1/validations", &key, Some(asked)).await.expect(200);
    assert_eq!((&valid["valid"], &valid["campaign"]), (&true.into(), &"spring".into()), "{valid}");
    assert_eq!((&valid["discount"]["amount"], &valid["remaining"]["campaign"]), (&200.into(), &3.into()), "{valid}");

    let path = redemption(Uuid::now_v7());
    let held = server.ask("PUT", &path, &key, Some(request.clone())).await.expect(201);
    assert_eq!((&held["state"], &held["discount"]["amount"]), (&"held".into(), &200.into()), "{held}");
    let again = server.ask("PUT", &path, &key, Some(request.clone())).await.expect(200);
    assert_eq!(again, held, "the same request again is answered as before");
    let other = json!({ "code": "spring" });
    server.ask("PUT", &path, &key, Some(other)).await.expect_problem(409, "different-request");

    let paid = json!({ "cart": cart(1000) });
    let confirmed = server.ask("POST", &format!("{path}/confirm"), &key, Some(paid)).await.expect(200);
    assert_eq!((&confirmed["state"], &confirmed["discount"]["amount"]), (&"confirmed".into(), &100.into()));
    assert_eq!(server.get(&path, &key).await.expect(200), confirmed);
    server.ask("POST", &format!("{path}/release"), &key, None).await.expect_problem(409, "wrong-state")["detail"]
        .as_str()
        .map(|detail| assert_eq!(detail, "the redemption is confirmed: it can only be rolled back"))
        .expect("a detail");
    let rolled =
        server.ask("POST", &format!("{path}/rollback"), &key, Some(json!({ "keep_use": true }))).await.expect(200);
    assert_eq!((&rolled["state"], &rolled["keep_use"]), (&"rolled_back".into(), &true.into()));
    let other = server.ask("POST", &format!("{path}/rollback"), &key, None).await;
    other.expect_problem(409, "different-request");
    server.get(&redemption(Uuid::now_v7()), &key).await.expect_problem(404, "not-found");
    server.stop().await;
    judge_redemptions(&place).await;
}

on_stores!([sqlite, postgres] a_refusal_names_its_reasons_and_a_released_use_can_be_taken_again);
async fn a_refusal_names_its_reasons_and_a_released_use_can_be_taken_again(place: TestStore) {
    let (server, key) = shop(&place).await;
    let held: Vec<String> = (0..3).map(|_| redemption(Uuid::now_v7())).collect();
    for path in &held {
        let request = json!({ "code": "SPRING", "hold_seconds": 600 });
        server.ask("PUT", path, &key, Some(request)).await.expect(201);
    }
    let request = || Some(json!({ "code": "SPRING", "identity": "c-1" }));
    let last = redemption(Uuid::now_v7());
    let refused = server.ask("PUT", &last, &key, request()).await.expect_problem(422, "campaign-limit-reached");
    assert_eq!(refused["reasons"][0]["code"], "campaign-limit-reached", "{refused}");
    let validated = server.ask("POST", "/v1/validations", &key, request()).await.expect(200);
    assert_eq!((&validated["valid"], &validated["reasons"]), (&false.into(), &refused["reasons"]), "{validated}");
    let released = server.ask("POST", &format!("{}/release", held[0]), &key, None).await.expect(200);
    assert_eq!(released["state"], "released");
    server.ask("PUT", &last, &key, request()).await.expect(201);
    server.stop().await;
    judge_redemptions(&place).await;
}

on_stores!([sqlite, postgres] lists_are_read_page_by_page);
async fn lists_are_read_page_by_page(place: TestStore) {
    let fields = json!({ "limits": { "redeemed": 100 }, "exclusive": false });
    create_campaign(&place, &definition("spring", "public", "SPRING", &fields), 1).await;
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, SCOPES).await);
    let ids: Vec<Uuid> = (0..5).map(|_| Uuid::now_v7()).collect();
    for id in &ids {
        let request = json!({ "code": "SPRING", "identity": "a@example.org", "order": "A-1" });
        server.ask("PUT", &redemption(*id), &key, Some(request)).await.expect(201);
    }
    // `a@example.org` in base64url.
    for of in ["identity=email:YUBleGFtcGxlLm9yZw", "order=A-1", "campaign=spring"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = server.get(&format!("/v1/redemptions?{of}&limit=2{cursor}"), &key).await.expect(200);
            let items = page["items"].as_array().expect("items");
            assert!((1..=2).contains(&items.len()), "{page}");
            seen.extend(items.iter().map(|item| item["id"].clone()));
            let Value::String(next) = &page["next"] else { break };
            cursor = format!("&cursor={next}");
        }
        let newest_first: Vec<Value> = ids.iter().rev().map(|id| id.to_string().into()).collect();
        assert_eq!(seen, newest_first, "{of}");
    }
    for wrong in
        ["", "?limit=1", "?order=A-1&limit=0", "?order=A-1&limit=501", "?order=A-1&cursor=x", "?order=A-1&more=1"]
    {
        server.get(&format!("/v1/redemptions{wrong}"), &key).await.expect_problem(422, "invalid");
    }
    server.get("/v1/redemptions?campaign=none", &key).await.expect_problem(404, "not-found");
    server.get("/v1/redemptions?identity=a@example.org", &key).await.expect_problem(422, "invalid");
    let log = server.stop().await.stderr;
    assert!(!log.contains("example") && !log.contains("SPRING") && !log.contains("A-1"), "{log}");
}

on_stores!([sqlite, postgres] a_batch_answers_each_request_as_by_itself);
async fn a_batch_answers_each_request_as_by_itself(place: TestStore) {
    let (server, key) = shop(&place).await;
    let id = Uuid::now_v7();
    let with = |id: Value, code: &str| json!({ "id": id, "code": code });
    let new = || json!(Uuid::now_v7().to_string());
    let items = json!([
        with(json!(id), "SPRING"), with(json!(id), "SPRING"), with(new(), "SPRING"), with(new(), "SPRING"), with(new(), "SPRING"),
        with(new(), "NONE"), with(json!("x"), "SPRING"), { "id": new() }, 7,
    ]);
    let answers = server.ask("POST", "/v1/redemptions:batch", &key, Some(json!({ "items": items }))).await.expect(200);
    let answers = answers["items"].as_array().expect("items").clone();
    let granted = answers.iter().filter(|answer| answer["state"] == "confirmed").count();
    assert_eq!((answers.len(), granted), (9, 4), "three uses, of which one was asked for twice: {answers:?}");
    assert_eq!((&answers[0], &answers[0]["id"]), (&answers[1], &json!(id)));
    let codes: Vec<&Value> = answers[5..].iter().map(|answer| &answer["code"]).collect();
    assert_eq!(codes, ["code-not-found", "invalid", "invalid", "invalid"], "{answers:?}");
    for wrong in [json!({}), json!({ "items": [] }), json!({ "items": [], "more": 1 }), json!([])] {
        server.ask("POST", "/v1/redemptions:batch", &key, Some(wrong)).await.expect_problem(422, "invalid");
    }
    let many: Vec<Value> = (0..1001).map(|_| with(new(), "SPRING")).collect();
    let many = server.ask("POST", "/v1/redemptions:batch", &key, Some(json!({ "items": many }))).await;
    many.expect_problem(422, "invalid");
    server.stop().await;
    judge_redemptions(&place).await;
}

on_stores!([sqlite, postgres] unknown_foreign_and_dead_codes_are_refused_in_the_same_words);
/// Unless the key has the scope `explain`.
async fn unknown_foreign_and_dead_codes_are_refused_in_the_same_words(place: TestStore) {
    let ended = json!({ "starts_at": "2020-01-01T00:00:00Z", "ends_at": "2020-02-01T00:00:00Z" });
    create_campaign(&place, &definition("ended", "public", "ENDED", &ended), 1).await;
    create_campaign(&place, &definition("off", "public", "OFFCODE", &json!({ "active": false })), 1).await;
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "redeem").await);
    let explaining = create_key(&place, "redeem,explain").await;
    let mut answers = Vec::new();
    for (code, reason) in [("NOBODYS", "code-not-found"), ("ENDED", "expired"), ("OFFCODE", "campaign-not-active")] {
        let request = || Some(json!({ "code": code }));
        let refused = server.ask("PUT", &redemption(Uuid::now_v7()), &key, request()).await;
        let problem = refused.expect_problem(422, "code-not-found");
        assert_eq!(problem["detail"], "this code cannot be used");
        let id = problem["request_id"].as_str().expect("an id").to_owned();
        let names: Vec<String> = refused.headers.iter().map(|(name, _)| name.clone()).collect();
        answers.push((refused.body.replace(&id, ""), names));
        let explained = server.ask("PUT", &redemption(Uuid::now_v7()), &explaining, request()).await;
        explained.expect_problem(422, reason);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    // Also under an id that was granted.
    create_campaign(&place, &definition("free", "public", "FREE", &json!({})), 1).await;
    let granted = redemption(Uuid::now_v7());
    server.ask("PUT", &granted, &key, Some(json!({ "code": "FREE" }))).await.expect(201);
    for code in ["NOBODYS", "ENDED", "OFFCODE"] {
        let other = server.ask("PUT", &granted, &key, Some(json!({ "code": code }))).await;
        other.expect_problem(409, "different-request");
    }
    let unknown = server.ask("PUT", &redemption(Uuid::now_v7()), &explaining, Some(json!({ "code": "NOBODYS" }))).await;
    assert_eq!(unknown.expect_problem(422, "code-not-found")["detail"], "no campaign has this code");
    server.stop().await;
}
