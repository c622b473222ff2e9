//! The audit log over HTTP.

use serde_json::{Value, json};

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;

on_stores!([sqlite, postgres] changes_over_http_are_those_of_the_key_that_asked_for_them);
async fn changes_over_http_are_those_of_the_key_that_asked_for_them(place: TestStore) {
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "manage,admin").await);
    let own = server.get("/v1/keys", &key).await.expect(200)["items"][0]["id"].as_str().expect("an id").to_owned();
    server.create_campaign(&key, "spring", "private", "SPRING-[:safe:]{8}").await;
    server.ask("POST", "/v1/campaigns/spring/deactivate", &key, None).await.expect(200);
    server.ask("PUT", "/v1/segments/gold", &key, Some(json!({ "condition": null }))).await.expect(201);
    server.send_list("PUT", "/v1/segments/gold/members", &key, "ann\n").await.expect(200);
    server.ask("DELETE", "/v1/segments/gold", &key, None).await.expect(200);
    let made = server.ask("POST", "/v1/keys", &key, Some(json!({ "scopes": ["redeem"] }))).await.expect(201);
    let made = made["id"].as_str().expect("an id");
    server.ask("DELETE", &format!("/v1/keys/{made}"), &key, None).await.expect(200);
    let actors = place.texts("select action || ' ' || actor from audit order by no").await;
    let expected = ["campaign_create", "campaign_deactivate", "segment_change", "segment_change", "segment_remove"];
    let expected = expected.into_iter().chain(["key_create", "key_revoke"]);
    // The first entry is that of the key itself.
    let expected: Vec<String> = expected.map(|action| format!("{action} api key={own}")).collect();
    assert_eq!(actors[1..], expected);
    let made_by = place.texts("select distinct made_by from campaign_versions").await;
    assert_eq!(made_by, [format!("api key={own}")]);
    server.stop().await;
}

on_stores!([sqlite, postgres] the_audit_log_is_read_page_by_page_as_on_the_command_line);
async fn the_audit_log_is_read_page_by_page_as_on_the_command_line(place: TestStore) {
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "report").await);
    for number in 0..3 {
        let mask = format!("A{number}-####");
        place.codemint(["enqueue", &mask, "--count", "1"]).run().await.expect_code(0);
    }
    let (mut read, mut path) = (Vec::new(), "/v1/audit?action=request&limit=2&since=2026-01-01".to_owned());
    loop {
        let page = server.get(&path, &key).await.expect(200);
        read.extend(page["items"].as_array().expect("items").clone());
        let Value::String(next) = &page["next"] else { break };
        path = format!("/v1/audit?action=request&limit=2&cursor={next}");
    }
    let printed = place.codemint(["audit", "--action", "request", "--json"]).run().await.expect_code(0).stdout;
    let printed: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((read.len(), &read), (3, &printed));
    let none = server.get("/v1/audit?until=2026-01-01", &key).await.expect(200);
    assert_eq!(none["items"].as_array().map(Vec::len), Some(0));
    for wrong in ["since=yesterday", "action=steal", "limit=501", "job=x", "cursor=x", "who=me"] {
        server.get(&format!("/v1/audit?{wrong}"), &key).await.expect_problem(422, "invalid");
    }
    let manager = create_key(&place, "manage").await;
    server.get("/v1/audit", &manager).await.expect_problem(403, "scope-missing");
    server.stop().await;
}
