//! Who may do what over HTTP, and what is answered to requests that cannot be read.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use uuid::Uuid;

use codemint_offers::access::scope::Scope;
use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::redeem_steps::{create_campaign, definition};
use codemint_test_support::roles::url_of_member;
use codemint_test_support::stores::TestStore;
use strum::VariantArray;

/// The operations that need a key: method, path and scope. Customers follow links without one.
fn operations(document: &Value) -> Vec<(String, String, String)> {
    let paths = document["paths"].as_object().expect("paths");
    let of_path = |(path, methods): (&String, &Value)| -> Vec<(String, String, String)> {
        let methods = methods.as_object().expect("methods").clone();
        let operation = |(method, operation): (String, Value)| {
            let scope = operation["security"][0]["key"][0].as_str().expect("a scope").to_owned();
            (method.to_uppercase(), path.clone(), scope)
        };
        methods.into_iter().filter(|_| path != "/go/{campaign}").map(operation).collect()
    };
    paths.iter().flat_map(of_path).collect()
}

/// Puts something where a parameter stands.
fn filled(path: &str) -> String {
    path.replace("{id}", &Uuid::now_v7().to_string())
        .replace("{name}", "none")
        .replace("{identity}", "nobody")
        .replace("{reference}", "0123")
        .replace("{subject}", "ads")
}

on_stores!([sqlite, postgres] each_operation_needs_its_scope_and_no_other_suffices);
async fn each_operation_needs_its_scope_and_no_other_suffices(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let document: Value = server.send("GET", "/openapi.json", None, &[], None).await.expect(200);
    let mut keys = Vec::new();
    for scope in Scope::VARIANTS {
        let name: &'static str = scope.into();
        keys.push((name, create_key(&place, name).await));
    }
    let operations = operations(&document);
    assert!(operations.len() >= 15, "{operations:?}");
    for (method, path, needed) in &operations {
        let path = filled(path);
        server.send(method, &path, None, &[], None).await.expect_problem(401, "unauthenticated");
        for (scope, key) in &keys {
            let answer = server.send(method, &path, Some(key), &[], None).await;
            match scope == needed {
                true => assert!(![401, 403].contains(&answer.status), "{method} {path} with {scope}: {answer:?}"),
                false => {
                    let problem = answer.expect_problem(403, "scope-missing");
                    let detail = problem["detail"].as_str().expect("a detail");
                    assert!(detail.contains(&format!("needs the scope {needed}")), "{method} {path}: {detail}");
                }
            }
        }
    }
    server.stop().await;
}

on_stores!([sqlite, postgres] keys_are_created_listed_and_revoked_within_a_second);
async fn keys_are_created_listed_and_revoked_within_a_second(place: TestStore) {
    let (server, other) = (ApiServer::start(&place).await, ApiServer::start_with(&place, &[], &["--no-worker"]).await);
    let admin = create_key(&place, "admin").await;
    let new = json!({ "scopes": ["manage", "redeem"], "name": "shop" });
    let created = server.ask("POST", "/v1/keys", &admin, Some(new)).await.expect(201);
    let (id, key) = (created["id"].as_str().expect("an id"), created["key"].as_str().expect("a key"));
    assert_eq!(created["scopes"], json!(["redeem", "manage"]), "{created}");
    for server in [&server, &other] {
        server.get("/v1/campaigns", key).await.expect(200);
    }
    let listed = server.get("/v1/keys", &admin).await.expect(200);
    assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["name"]), (&id.into(), &"shop".into()), "{listed}");
    assert!(!listed.to_string().contains(key));
    let revoked = server.ask("DELETE", &format!("/v1/keys/{id}"), &admin, None).await.expect(200);
    assert_eq!(revoked["state"], "revoked", "{revoked}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    for server in [&server, &other] {
        server.get("/v1/campaigns", key).await.expect_problem(401, "unauthenticated");
    }
    server.ask("DELETE", &format!("/v1/keys/{}", Uuid::now_v7()), &admin, None).await.expect_problem(404, "not-found");
    for wrong in [
        json!({}),
        json!({ "scopes": [] }),
        json!({ "scopes": ["all"] }),
        json!({ "scopes": ["redeem"], "name": "" }),
        json!({ "scopes": ["redeem"], "expires_at": "2020-01-01T00:00:00Z" }),
    ] {
        server.ask("POST", "/v1/keys", &admin, Some(wrong)).await.expect_problem(422, "invalid");
    }
    for server in [server, other] {
        let log = server.stop().await.stderr;
        assert!(!log.contains(key) && !log.contains(&admin) && !log.contains("cm_"), "{log}");
    }
}

on_stores!([sqlite, postgres] a_key_is_refused_once_it_has_expired);
async fn a_key_is_refused_once_it_has_expired(place: TestStore) {
    let (server, admin) = (ApiServer::start(&place).await, create_key(&place, "admin").await);
    let at = chrono::Utc::now() + Duration::from_secs(15);
    let new = json!({ "scopes": ["manage"], "expires_at": at.to_rfc3339() });
    let created = server.ask("POST", "/v1/keys", &admin, Some(new)).await.expect(201);
    let key = created["key"].as_str().expect("a key").to_owned();
    server.get("/v1/campaigns", &key).await.expect(200);
    tokio::time::sleep((at - chrono::Utc::now()).to_std().unwrap_or_default()).await;
    server.get("/v1/campaigns", &key).await.expect_problem(401, "unauthenticated");
    server.stop().await;
}

on_stores!([sqlite, postgres] regression_a_url_with_nul_or_a_year_that_no_store_holds_is_refused);
async fn regression_a_url_with_nul_or_a_year_that_no_store_holds_is_refused(place: TestStore) {
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "redeem,issue,manage,report").await);
    server.send("GET", "/go/%00", None, &[], None).await.expect_problem(404, "not-found");
    for path in [
        "/v1/campaigns/a%00b",
        "/v1/segments/%00",
        "/v1/affiliates/rules/%00",
        "/v1/affiliates/rules/%00/exclusions",
        "/v1/triggers/%00",
        "/v1/campaigns/a%2500b",
    ] {
        server.get(path, &key).await.expect_problem(404, "not-found");
    }
    // In base64url: "a\u0000", and a time in the year -262142 with an id.
    let name = "ImFcdTAwMDAi";
    let year = "WyItMjYyMTQyLTAxLTAxVDAwOjAwOjAwWiIsIjAwMDAwMDAwLTAwMDAtMDAwMC0wMDAwLTAwMDAwMDAwMDAwMCJd";
    for (path, field) in [
        ("/v1/redemptions?order=a%00", "query"),
        ("/v1/redemptions?campaign=%00", "query"),
        ("/v1/jobs?campaign=%00", "query"),
        ("/v1/reports/days?campaign=%00", "query"),
        ("/v1/affiliates/resolve?reference=%00", "query"),
        (&format!("/v1/campaigns?cursor={name}"), "cursor"),
        (&format!("/v1/segments?cursor={name}"), "cursor"),
        (&format!("/v1/redemptions?order=a&cursor={year}"), "cursor"),
        ("/v1/reports/days?from=-262142-01-01", "from"),
        ("/v1/reports/days?to=%2B262142-01-01", "to"),
    ] {
        let problem = server.get(path, &key).await.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["field"], field, "{path}: {problem}");
    }
    server.stop().await;
}

on_stores!([sqlite] requests_that_cannot_be_read_are_answered_with_what_would_be_right);
async fn requests_that_cannot_be_read_are_answered_with_what_would_be_right(place: TestStore) {
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "redeem").await);
    let key = Some(key.as_str());
    let json = [("content-type", "application/json")];
    let post = async |headers: &[(&str, &str)], body: &str| {
        server.send("POST", "/v1/validations", key, headers, Some(body.to_owned())).await
    };
    for (body, part) in
        [("", "empty"), ("{\"code\":", "ends too early"), ("{\"code\": \"SECRET\"]", "line 1"), ("[]", "object")]
    {
        let problem = post(&json, body).await.expect_problem(422, "invalid");
        let detail = problem["detail"].as_str().expect("a detail");
        assert!(detail.contains(part) && !detail.contains("SECRET"), "{detail}");
    }
    let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    post(&json, &deep).await.expect_problem(422, "invalid");
    for content_type in ["text/plain", "application/json; charset=iso-8859-1", "multipart/form-data"] {
        post(&[("content-type", content_type)], "{}").await.expect_problem(415, "unsupported-media-type");
    }
    post(&[("content-type", "Application/JSON; charset=utf-8")], "{}").await.expect_problem(422, "invalid");
    let large = format!("{{\"code\":\"{}\"}}", "A".repeat(1 << 20));
    post(&json, &large).await.expect_problem(413, "too-large");
    let wrong = post(&json, r#"{"code":"X","quantity":1,"identity":""}"#).await.expect_problem(422, "invalid");
    let fields: Vec<&Value> = wrong["errors"].as_array().expect("errors").iter().map(|error| &error["field"]).collect();
    assert_eq!(fields, ["/quantity", "/identity"], "{wrong}");
    server.send("GET", "/v1/redemptions/not-an-id", key, &[], None).await.expect_problem(422, "invalid");
    server.send("GET", "/v1/none", key, &[], None).await.expect_problem(404, "not-found");
    let not_allowed = server.send("DELETE", "/v1/validations", key, &[], None).await;
    not_allowed.expect_problem(405, "method-not-allowed");
    assert_eq!(not_allowed.header("allow"), Some("POST"));
    for wrong in ["Bearer", "Bearer cm_short", "Basic abc", "Bearer  "] {
        let answer = server.send("GET", "/v1/campaigns", None, &[("authorization", wrong)], None).await;
        answer.expect_problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    server.stop().await;
}

on_stores!([sqlite] a_stop_answers_what_was_sent_and_ends_in_time);
async fn a_stop_answers_what_was_sent_and_ends_in_time(place: TestStore) {
    let server = ApiServer::start(&place).await;
    // A connection without a request does not delay the end.
    let idle = std::net::TcpStream::connect(server.address).expect("a connection");
    let started = Instant::now();
    server.stop().await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    drop(idle);
}

on_stores!([postgres] a_server_does_all_of_its_work_as_a_member_of_its_role);
async fn a_server_does_all_of_its_work_as_a_member_of_its_role(place: TestStore) {
    let url = url_of_member(&place.url, "server").await;
    create_campaign(&place, &definition("spring", "public", "SPRING", &json!({ "limits": { "redeemed": 5 } })), 1)
        .await;
    let loyal = definition("loyal", "restricted", "LOYAL-[:safe:]{8}", &json!({}));
    let server = ApiServer::start_at(&place, &url, &[("CODEMINT__STORE__REQUIRE_LEAST_PRIVILEGE", "true")]).await;
    let admin = create_key(&place, "admin").await;
    let new = json!({ "scopes": ["redeem", "issue", "manage", "explain"] });
    let created = server.ask("POST", "/v1/keys", &admin, Some(new)).await.expect(201);
    let key = created["key"].as_str().expect("a key");
    server.ask("PUT", "/v1/campaigns/loyal", key, Some(loyal)).await.expect(201);
    place.codemint(["campaign", "codes", "loyal", "--count", "1"]).run().await.expect_code(0);
    let issued = server.ask("PUT", "/v1/campaigns/loyal/assignments/c-1", key, None).await.expect(201);
    let path = format!("/v1/redemptions/{}", Uuid::now_v7());
    let request = json!({ "code": issued["code"], "identity": "c-1", "hold_seconds": 600 });
    server.ask("PUT", &path, key, Some(request)).await.expect(201);
    server.ask("POST", &format!("{path}/confirm"), key, None).await.expect(200);
    server.ask("POST", &format!("{path}/rollback"), key, None).await.expect(200);
    let path = format!("/v1/redemptions/{}", Uuid::now_v7());
    server.ask("PUT", &path, key, Some(json!({ "code": "SPRING" }))).await.expect(201);
    server.ask("POST", "/v1/campaigns/spring/deactivate", key, None).await.expect(200);
    let ordered = server.ask("POST", "/v1/campaigns/loyal/codes", key, Some(json!({ "count": 3 }))).await.expect(202);
    let job = format!("/v1/jobs/{}", ordered["job_id"].as_str().expect("an id"));
    server.get(&job, key).await.expect(200);
    server.ask("POST", &format!("{job}/cancel"), key, None).await.expect(200);
    let csv = [("content-type", "text/csv")];
    let list = || Some("identity\nc-2\nc-3\n".to_owned());
    server.send("POST", "/v1/campaigns/loyal/codes", Some(key), &csv, list()).await.expect(202);
    server.ask("PUT", "/v1/segments/gold", key, Some(json!({ "condition": null }))).await.expect(201);
    server.send("PUT", "/v1/segments/gold/members", Some(key), &csv, list()).await.expect(200);
    server.ask("DELETE", "/v1/segments/gold", key, None).await.expect(200);
    let rule = "/v1/affiliates/rules/choc";
    let document = json!({ "mask": "0###", "prefix": "FCH", "campaign": "spring" });
    server.ask("PUT", rule, key, Some(document)).await.expect(201);
    let list = Some("reference\n0123\n0124\n".to_owned());
    server.send("PUT", &format!("{rule}/exclusions"), Some(key), &csv, list).await.expect(200);
    server.ask("PUT", &format!("{rule}/exclusions/0125"), key, Some(json!({}))).await.expect(201);
    server.ask("DELETE", &format!("{rule}/exclusions/0124"), key, None).await.expect(200);
    let resolved = server.get("/v1/affiliates/resolve?reference=0124", key).await.expect(200);
    assert_eq!(resolved["reference"], "FCH0124");
    server.ask("DELETE", rule, key, None).await.expect(200);
    server.get("/v1/audit", &create_key(&place, "report").await).await.expect(200);
    let id = created["id"].as_str().expect("an id");
    server.ask("DELETE", &format!("/v1/keys/{id}"), &admin, None).await.expect(200);
    let log = server.stop().await.stderr;
    assert!(!log.contains("permission denied"), "{log}");
}
