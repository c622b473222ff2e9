//! The audit log over HTTP.

use serde_json::Value;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;

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
