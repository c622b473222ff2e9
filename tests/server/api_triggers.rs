//! Triggers over HTTP.

use serde_json::{Value, json};

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

async fn campaign(server: &ApiServer, place: &TestStore, key: &str, name: &str, changes: &Value) {
    let mut document = json!({
        "title": name, "kind": "restricted", "active": true, "mask": format!("{name}-####"),
        "use_cases": ["location.created", "preset"], "segments": ["trial"], "limits": { "per_code": 1 },
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    for (field, value) in changes.as_object().expect("fields") {
        document[field] = value.clone();
    }
    server.ask("PUT", &format!("/v1/campaigns/{name}"), key, Some(document)).await.expect(201);
    place.codemint(["campaign", "codes", name, "--count", "5"]).run().await.expect_code(0);
}

on_stores!([sqlite, postgres] a_trigger_issues_a_code_that_its_identity_uses);
async fn a_trigger_issues_a_code_that_its_identity_uses(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let key = create_key(&place, "redeem,issue,manage,explain").await;
    campaign(&server, &place, &key, "WELCOME", &json!({})).await;
    campaign(&server, &place, &key, "BACK", &json!({ "wait_days_after_deactivation": 30 })).await;
    let created = json!({ "type": "location.created", "identity": "loc-1", "segments": ["trial"], "attributes": {},
        "deactivated_at": null });
    let put =
        async |id: &str, body: &Value| server.ask("PUT", &format!("/v1/triggers/{id}"), &key, Some(body.clone())).await;
    let answer = put("t-1", &created).await.expect(200);
    let code = answer["issued"][0]["code"].as_str().expect("a code").to_owned();
    assert_eq!(answer["issued"], json!([{ "campaign": "WELCOME", "code": code }]));
    assert_eq!(answer["skipped"], json!([{ "campaign": "BACK", "reason": "waits-for-deactivation" }]));
    assert_eq!(put("t-1", &created).await.expect(200), answer, "the same answer");
    assert_eq!(server.get("/v1/triggers/t-1", &key).await.expect(200), answer);
    server.get("/v1/triggers/t-0", &key).await.expect_problem(404, "not-found");
    let other = json!({ "type": "location.created", "identity": "loc-2" });
    put("t-1", &other).await.expect_problem(409, "different-request");
    let again = put("t-2", &created).await.expect(200);
    assert_eq!(again["skipped"][1], json!({ "campaign": "WELCOME", "reason": "already-generated" }));
    let own = server.get("/v1/identities/loc-1/codes", &key).await.expect(200);
    assert_eq!(own["items"][0]["code"], code.as_str());

    let broken =
        put("t-3", &json!({ "type": "preset", "identity": "", "more": 1 })).await.expect_problem(422, "invalid");
    let fields: Vec<&str> =
        broken["errors"].as_array().expect("errors").iter().filter_map(|error| error["field"].as_str()).collect();
    assert_eq!(fields, ["/more", "/type", "/identity"]);
    let reader = create_key(&place, "redeem").await;
    let asked = server.ask("PUT", "/v1/triggers/t-4", &reader, Some(created.clone())).await;
    asked.expect_problem(403, "scope-missing");

    // An unknown code that was picked is no preset; without the scope explain, all unknown codes look alike.
    let picked = |code: &str| json!({ "code": code, "identity": "loc-1", "context": { "use_case": "preset", "segments": ["trial"] } });
    let ask =
        async |key: &str, code: &str| server.ask("POST", "/v1/validations", key, Some(picked(code))).await.expect(200);
    let codes = |answer: Value| -> Vec<String> {
        let reasons = answer["reasons"].as_array().cloned().unwrap_or_default();
        reasons.iter().map(|reason| reason["code"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(codes(ask(&key, "NOTHING").await), ["code-not-found", "preset-not-found"]);
    assert_eq!(codes(ask(&reader, "NOTHING").await), ["code-not-found"]);
    assert_eq!(ask(&reader, &code).await["valid"], true);

    if place.kind == codemint_test_support::stores::Kind::Sqlite {
        let gone = json!({ "type": "location.created", "identity": "loc-9", "segments": ["trial"],
            "deactivated_at": "2020-01-01T00:00:00Z" });
        assert_eq!(put("t-9", &gone).await.expect(200)["waiting"][0]["campaign"], "BACK");
        // The worker in the process of the server decides it.
        wait_until("the decision", async || {
            server.get("/v1/triggers/t-9", &key).await.expect(200)["waiting"] == json!([])
        })
        .await;
        let decided = server.get("/v1/triggers/t-9", &key).await.expect(200);
        assert_eq!(decided["issued"].as_array().map(Vec::len), Some(2), "{decided}");
    }
    server.stop().await;
}
