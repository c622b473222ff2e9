//! Campaigns over HTTP: versions, switches, and the codes of identities.

use serde_json::{Value, json};

use codemint_test_support::api::{Answer, ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;

fn document(kind: &str, mask: &str) -> Value {
    json!({
        "title": "Ten percent", "kind": kind, "active": true, "mask": mask,
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    })
}

async fn put(server: &ApiServer, key: &str, name: &str, version: Option<&str>, body: &Value) -> Answer {
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(version.map(|version| ("if-match", version)));
    server.send("PUT", &format!("/v1/campaigns/{name}"), Some(key), &headers, Some(body.to_string())).await
}

on_stores!([sqlite, postgres] a_campaign_is_created_once_and_changed_by_its_version);
async fn a_campaign_is_created_once_and_changed_by_its_version(place: TestStore) {
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "manage").await);
    let mut body = document("private", "SPRING-[:safe:]{8}");
    let created = put(&server, &key, "spring%20sale", None, &body).await;
    let campaign = created.expect(201);
    assert_eq!((created.header("etag"), &campaign["name"]), (Some("\"1\""), &"spring sale".into()));
    assert_eq!(
        (&campaign["version"], &campaign["status"], &campaign["zone"]),
        (&1.into(), &"active".into(), &"UTC".into())
    );
    assert_eq!(
        campaign["counts"],
        json!({ "codes": 0, "issued": 0, "held": 0, "redeemed": 0, "discount": 0, "discounts": [] })
    );
    put(&server, &key, "spring%20sale", None, &body).await.expect_problem(428, "version-required");

    body["title"] = "Twenty".into();
    let changed = put(&server, &key, "spring%20sale", Some("\"1\""), &body).await;
    assert_eq!((changed.header("etag"), &changed.expect(200)["title"]), (Some("\"2\""), &"Twenty".into()));
    // What was read may be sent back.
    put(&server, &key, "spring%20sale", Some("\"2\""), &changed.expect(200)).await.expect(200);
    body["title"] = "Thirty".into();
    put(&server, &key, "spring%20sale", Some("\"1\""), &body).await.expect_problem(412, "stale-version");
    put(&server, &key, "other", Some("\"1\""), &body).await.expect_problem(412, "stale-version");
    for wrong in ["", "*", "\"0\"", "\"-1\"", "\"1\", \"2\"", "W/\"2\"", "\"99999999999\""] {
        put(&server, &key, "spring%20sale", Some(wrong), &body).await.expect_problem(422, "invalid");
    }
    body["kind"] = "restricted".into();
    let refused = put(&server, &key, "spring%20sale", Some("\"2\""), &body).await.expect_problem(422, "invalid");
    assert_eq!(refused["errors"][0]["field"], "/kind", "{refused}");
    let read = server.get("/v1/campaigns/spring%20sale", &key).await;
    assert_eq!((read.header("etag"), &read.expect(200)["title"]), (Some("\"2\""), &"Twenty".into()));
    server.get("/v1/campaigns/none", &key).await.expect_problem(404, "not-found");
    server.stop().await;
}

on_stores!([sqlite, postgres] every_problem_of_a_definition_is_answered_with_its_field);
async fn every_problem_of_a_definition_is_answered_with_its_field(place: TestStore) {
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "manage").await);
    let mut body = document("public", "SPRING");
    body["limits"] = json!({ "per_code": -1 });
    body["titel"] = "typo".into();
    body["name"] = "another".into();
    let refused = put(&server, &key, "spring", None, &body).await.expect_problem(422, "invalid");
    let mut fields: Vec<&str> =
        refused["errors"].as_array().expect("errors").iter().filter_map(|e| e["field"].as_str()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["/limits/per_code", "/name", "/titel"], "{refused}");
    server.get("/v1/campaigns/spring", &key).await.expect_problem(404, "not-found");
    server.stop().await;
}

on_stores!([sqlite] regression_a_field_that_occurs_twice_is_refused_with_its_place);
async fn regression_a_field_that_occurs_twice_is_refused_with_its_place(place: TestStore) {
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "manage,redeem").await);
    let twice = document("public", "SPRING").to_string().replacen('{', r#"{"limits":{"per_code":1},"limits":{},"#, 1);
    for (method, path, body, field) in [
        ("PUT", "/v1/campaigns/dup", twice.as_str(), "/limits"),
        ("POST", "/v1/redemptions:batch", r#"{"items":[{"code":"A"},{"code":"A","c\u006fde":"B"}]}"#, "/items/1/code"),
    ] {
        let json = [("content-type", "application/json")];
        let refused = server.send(method, path, Some(&key), &json, Some(body.to_owned())).await;
        let problem = refused.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("occurs twice")), "{problem}");
    }
    server.get("/v1/campaigns/dup", &key).await.expect_problem(404, "not-found");
    server.stop().await;
}

on_stores!([sqlite, postgres] a_public_campaign_has_its_code_when_it_is_created_and_is_switched_at_once);
async fn a_public_campaign_has_its_code_when_it_is_created_and_is_switched_at_once(place: TestStore) {
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "manage,redeem,explain").await);
    let created = put(&server, &key, "spring", None, &document("public", "SPRING10")).await.expect(201);
    assert_eq!(created["counts"]["codes"], 1, "{created}");
    // The code exists already.
    put(&server, &key, "summer", None, &document("public", "SPRING10")).await.expect_problem(422, "invalid");
    let ask =
        async || server.ask("POST", "/v1/validations", &key, Some(json!({ "code": "SPRING10" }))).await.expect(200);
    assert_eq!(ask().await["valid"], true);
    for _ in 0..2 {
        let off = server.ask("POST", "/v1/campaigns/spring/deactivate", &key, None).await.expect(200);
        assert_eq!((&off["status"], &off["version"]), (&"off".into(), &2.into()), "{off}");
    }
    assert_eq!(ask().await["reasons"][0]["code"], "campaign-not-active");
    let on = server.ask("POST", "/v1/campaigns/spring/activate", &key, None).await.expect(200);
    assert_eq!((&on["status"], &on["version"]), (&"active".into(), &3.into()), "{on}");
    assert_eq!(ask().await["valid"], true);
    server.ask("POST", "/v1/campaigns/none/activate", &key, None).await.expect_problem(404, "not-found");
    server.stop().await;
}

on_stores!([sqlite, postgres] an_identity_gets_one_code_of_a_pool_and_finds_it_again);
async fn an_identity_gets_one_code_of_a_pool_and_finds_it_again(place: TestStore) {
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "manage,redeem,issue").await);
    put(&server, &key, "loyal", None, &document("restricted", "LOYAL-[:safe:]{8}")).await.expect(201);
    let path = "/v1/campaigns/loyal/assignments/customer-17";
    server.ask("PUT", path, &key, None).await.expect_problem(422, "pool-empty");
    place.codemint(["campaign", "codes", "loyal", "--count", "2"]).run().await.expect_code(0);
    let first = server.ask("PUT", path, &key, None).await.expect(201);
    let code = first["code"].as_str().expect("a code");
    assert_eq!(
        first,
        json!({ "code": code, "campaign": "loyal", "identity": "customer-17", "already_generated": false })
    );
    let again = server.ask("PUT", path, &key, None).await.expect(200);
    assert_eq!((&again["code"], &again["already_generated"]), (&first["code"], &true.into()));
    let own = server.get("/v1/identities/customer-17/codes", &key).await.expect(200);
    assert_eq!((&own["items"][0]["code"], &own["items"][0]["status"]), (&first["code"], &"active".into()), "{own}");
    assert_eq!(server.get("/v1/identities/nobody/codes", &key).await.expect(200), json!({ "items": [] }));
    put(&server, &key, "open", None, &document("private", "OPEN-[:safe:]{8}")).await.expect(201);
    server.ask("PUT", "/v1/campaigns/open/assignments/x", &key, None).await.expect_problem(422, "not-restricted");
    server.ask("PUT", "/v1/campaigns/none/assignments/x", &key, None).await.expect_problem(404, "not-found");
    let log = server.stop().await.stderr;
    assert!(!log.contains(code) && !log.contains("customer-17") && !log.contains(&key), "{log}");
}

on_stores!([sqlite, postgres] campaigns_are_listed_by_name_page_by_page);
async fn campaigns_are_listed_by_name_page_by_page(place: TestStore) {
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "manage").await);
    for number in 0..5 {
        let mask = format!("C{number}-[:safe:]{{8}}");
        put(&server, &key, &format!("c{number}"), None, &document("private", &mask)).await.expect(201);
    }
    let (mut names, mut path) = (Vec::new(), "/v1/campaigns?limit=2".to_owned());
    loop {
        let page = server.get(&path, &key).await.expect(200);
        names.extend(page["items"].as_array().expect("items").iter().map(|item| item["name"].clone()));
        let Value::String(next) = &page["next"] else { break };
        path = format!("/v1/campaigns?limit=2&cursor={next}");
    }
    assert_eq!(names, ["c0", "c1", "c2", "c3", "c4"]);
    server.stop().await;
}
