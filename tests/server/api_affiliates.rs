//! Affiliates over HTTP: rules, exclusions, and what references become.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

const RULE: &str = "/v1/affiliates/rules/choc-2027";
const LIST: &str = "/v1/affiliates/rules/choc-2027/exclusions";

fn rule() -> Value {
    json!({ "mask": "0#########", "prefix": "FCH", "campaign": "choc" })
}

/// Starts a server with a campaign, and returns it with a key for the team and one for the shop.
async fn start(place: &TestStore) -> (ApiServer, String, String) {
    let server = ApiServer::start_with(place, &[], &["--no-worker"]).await;
    let (manage, redeem) = (create_key(place, "manage").await, create_key(place, "redeem").await);
    server.create_campaign(&manage, "choc", "private", "CHOC-[:safe:]{8}").await;
    (server, manage, redeem)
}

async fn resolve(server: &ApiServer, key: &str, reference: &str) -> Value {
    server.get(&format!("/v1/affiliates/resolve?reference={reference}"), key).await.expect(200)
}

on_stores!([sqlite, postgres] a_rule_is_put_read_listed_and_removed_as_the_contract_says);
async fn a_rule_is_put_read_listed_and_removed_as_the_contract_says(place: TestStore) {
    let (server, key, shop) = start(&place).await;
    let put = async |path: &str, body: Value| server.ask("PUT", path, &key, Some(body)).await;
    let created = put(RULE, rule()).await.expect(201);
    let expected = json!({
        "name": "choc-2027", "mask": "0#########", "prefix": "FCH", "campaign": "choc", "active": true, "priority": 0, "periods": [],
        "exclusions": 0, "changed_at": created["changed_at"],
    });
    assert_eq!(created, expected);
    // What was read may be changed and sent back.
    let mut changed = server.get(RULE, &key).await.expect(200);
    changed["periods"] = json!([{ "from": "2020-01-01T01:00:00+01:00", "to": null }]);
    let changed = put(RULE, changed).await.expect(200);
    assert_eq!(changed["periods"], json!([{ "from": "2020-01-01T00:00:00Z", "to": null }]));
    assert_eq!(resolve(&server, &shop, "fch0123456789").await["reference"], "FCH0123456789");

    let broken = json!({ "mask": "0#{", "prefix": "F H", "active": 1, "periods": [{ "from": "x" }], "reward": 1 });
    let problem = put(RULE, broken).await.expect_problem(422, "invalid");
    let fields: Vec<&str> =
        problem["errors"].as_array().expect("errors").iter().filter_map(|e| e["field"].as_str()).collect();
    assert_eq!(fields, ["/reward", "/mask", "/prefix", "/campaign", "/active", "/periods/0/from"]);
    let nowhere = json!({ "mask": "1###", "campaign": "none" });
    let problem = put("/v1/affiliates/rules/b", nowhere).await.expect_problem(422, "invalid");
    assert_eq!(problem["errors"][0]["field"], "/campaign");
    let other = json!({ "mask": "*#########", "campaign": "choc", "active": false });
    let problem = put("/v1/affiliates/rules/b", other).await.expect_problem(422, "rule-conflict");
    let detail = problem["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("the rule b ") && detail.contains(" choc-2027 ") && detail.contains("another priority"),
        "{detail}"
    );
    let other = json!({ "mask": "*#########", "campaign": "choc", "priority": -1 });
    put("/v1/affiliates/rules/b", other).await.expect(201);
    put(&format!("/v1/affiliates/rules/{}", "x".repeat(201)), rule()).await.expect_problem(422, "invalid");

    let first = server.get("/v1/affiliates/rules?limit=1", &key).await.expect(200);
    assert_eq!(first["items"][0]["name"], "b");
    let next = first["next"].as_str().expect("another page");
    let second = server.get(&format!("/v1/affiliates/rules?cursor={next}"), &key).await.expect(200);
    assert_eq!((&second["items"][0]["name"], &second["next"]), (&"choc-2027".into(), &json!(null)));
    server.ask("DELETE", RULE, &key, None).await.expect(200);
    for (method, path) in [("GET", RULE), ("DELETE", RULE), ("GET", LIST)] {
        server.ask(method, path, &key, None).await.expect_problem(404, "not-found");
    }
    server.stop().await;
}

on_stores!([sqlite, postgres] exclusions_are_put_listed_replaced_and_removed);
async fn exclusions_are_put_listed_replaced_and_removed(place: TestStore) {
    let (server, key, shop) = start(&place).await;
    server.ask("PUT", &format!("{LIST}/0123456780"), &key, Some(json!({}))).await.expect_problem(404, "not-found");
    server.send_list("PUT", LIST, &key, "reference\n").await.expect_problem(404, "not-found");
    server.ask("PUT", RULE, &key, Some(rule())).await.expect(201);
    let put =
        async |reference: &str, body: Value| server.ask("PUT", &format!("{LIST}/{reference}"), &key, Some(body)).await;
    let rose = json!({ "affiliate": "Rose, Ltd", "promotion": "FGV", "note": null });
    let added = put("0123456780", rose.clone()).await.expect(201);
    assert_eq!(added, json!({ "reference": "0123456780", "affiliate": "Rose, Ltd", "promotion": "FGV", "note": null }));
    put("0123456780", rose).await.expect(200);
    let problem = put("123456780", json!({})).await.expect_problem(422, "invalid");
    assert_eq!(problem["errors"][0]["field"], "reference");
    let wrong = json!({ "affiliate": "x".repeat(201), "promotion": 7, "remove": true });
    let problem = put("0123456781", wrong).await.expect_problem(422, "invalid");
    assert_eq!(problem["errors"].as_array().map(Vec::len), Some(3), "{problem}");
    put("0123456799", json!({})).await.expect(201);
    assert_eq!(server.get(RULE, &key).await.expect(200)["exclusions"], 2);

    let page = server.get(&format!("{LIST}?limit=1"), &key).await.expect(200);
    assert_eq!((&page["items"][0]["reference"], &page["items"][0]["promotion"]), (&"0123456780".into(), &"FGV".into()));
    let next = page["next"].as_str().expect("another page");
    let page = server.get(&format!("{LIST}?limit=1&cursor={next}"), &key).await.expect(200);
    assert_eq!((&page["items"][0]["reference"], &page["next"]), (&"0123456799".into(), &json!(null)));
    let page = server.get(&format!("{LIST}?prefix=01234567"), &key).await.expect(200);
    assert_eq!(page["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(server.get(&format!("{LIST}?prefix=99"), &key).await.expect(200)["items"], json!([]));
    let csv = async |accept| server.send("GET", LIST, Some(&key), &[("accept", accept)], None).await;
    let whole = csv("text/csv").await;
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("text/csv; charset=utf-8")));
    assert_eq!(whole.body, "reference,affiliate,promotion,note\n0123456780,\"Rose, Ltd\",FGV,\n0123456799,,,\n");
    csv("image/png").await.expect_problem(406, "not-acceptable");

    let wrong = "reference,note\n0123456701,x\n123456780,\n0123456702,a,b\n";
    let problem = server.send_list("PUT", LIST, &key, wrong).await.expect_problem(422, "invalid");
    let fields: Vec<&str> =
        problem["errors"].as_array().expect("errors").iter().filter_map(|e| e["field"].as_str()).collect();
    assert_eq!(fields, ["line 3", "line 4"]);
    server.send_list("PUT", LIST, &key, "number\n0123456701\n").await.expect_problem(422, "invalid");
    server.ask("PUT", LIST, &key, Some(json!([]))).await.expect_problem(415, "unsupported-media-type");
    assert_eq!(csv("text/csv").await.body, whole.body, "nothing was changed");
    let many: String = (0..100_000).map(|number| format!("0{number:09},affiliate {number}\n")).collect();
    assert!(many.len() > 1 << 20);
    let list = format!("reference;affiliate\n{}", many.replace(',', ";"));
    let replaced = server.send_list("PUT", LIST, &key, &list).await.expect(200);
    assert_eq!(replaced, json!({ "rule": "choc-2027", "before": 2, "now": 100_000, "repeated": 0 }));
    assert_eq!(csv("text/csv").await.body.lines().count(), 100_001);
    assert_eq!(resolve(&server, &shop, "0000099999").await["reason"], "excluded");
    server.ask("DELETE", &format!("{LIST}/0000099999"), &key, None).await.expect(200);
    server.ask("DELETE", &format!("{LIST}/0000099999"), &key, None).await.expect_problem(404, "not-found");
    assert_eq!(server.get(RULE, &key).await.expect(200)["exclusions"], 99_999);
    let log = server.stop().await.stderr;
    assert!(!log.contains("0123456780") && !log.contains("0000099999") && !log.contains("Rose"), "{log}");
}

on_stores!([sqlite, postgres] two_servers_resolve_references_by_a_change_within_a_second_of_it);
async fn two_servers_resolve_references_by_a_change_within_a_second_of_it(place: TestStore) {
    let (first, key, shop) = start(&place).await;
    let second = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    first.ask("PUT", RULE, &key, Some(rule())).await.expect(201);
    let offered = json!({ "reference": "FCH0123456789", "rule": "choc-2027", "campaign": "choc", "reason": null });
    let unchanged =
        |reason: &str| json!({ "reference": "0123456789", "rule": null, "campaign": null, "reason": reason });
    let both_say = async |expected: Value| {
        let changed = Instant::now();
        loop {
            // A second after the change, every answer is right.
            let is_late = changed.elapsed() > Duration::from_secs(1);
            let said = [resolve(&first, &shop, "0123456789").await, resolve(&second, &shop, "0123456789").await];
            if said.iter().all(|said| *said == expected) {
                return;
            }
            assert!(!is_late, "{said:?} instead of {expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    both_say(offered.clone()).await;
    let one = format!("{LIST}/0123456789");
    second.ask("PUT", &one, &key, Some(json!({}))).await.expect(201);
    both_say(unchanged("excluded")).await;
    first.ask("DELETE", &one, &key, None).await.expect(200);
    both_say(offered).await;
    let mut off = rule();
    off["active"] = json!(false);
    second.ask("PUT", RULE, &key, Some(off)).await.expect(200);
    both_say(unchanged("not-active")).await;
    second.ask("DELETE", RULE, &key, None).await.expect(200);
    both_say(unchanged("no-rule")).await;
    for wrong in ["", &"x".repeat(65), "a%0Ab"] {
        let path = format!("/v1/affiliates/resolve?reference={wrong}");
        first.get(&path, &shop).await.expect_problem(422, "invalid");
    }
    first.get("/v1/affiliates/resolve", &shop).await.expect_problem(422, "invalid");
    first.get("/v1/affiliates/resolve?reference=0123456789", &key).await.expect_problem(403, "scope-missing");
    first.get(RULE, &shop).await.expect_problem(403, "scope-missing");
    // A reference that no rule concerns is answered as it was sent.
    assert_eq!(resolve(&first, &shop, "%20ab%C3%A9%20").await["reference"], " abé ");
    first.stop().await;
    second.stop().await;
}

on_stores!([sqlite, postgres] references_are_counted_by_what_they_become_and_rules_are_measured);
async fn references_are_counted_by_what_they_become_and_rules_are_measured(place: TestStore) {
    let (server, key, shop) = start(&place).await;
    server.ask("PUT", RULE, &key, Some(rule())).await.expect(201);
    let off = json!({ "mask": "1###", "campaign": "choc", "active": false });
    server.ask("PUT", "/v1/affiliates/rules/off", &key, Some(off)).await.expect(201);
    for excluded in ["0123456780", "0123456781", "0123456782"] {
        server.ask("PUT", &format!("{LIST}/{excluded}"), &key, Some(json!({}))).await.expect(201);
    }
    for reference in ["0123456789", "FCH0123456789", "0123456780", "1234", "none", "none"] {
        resolve(&server, &shop, reference).await;
    }
    let metric = |name: &str, outcome: &str| server.process.metric(&format!("codemint_affiliate_{name}{outcome}"));
    let resolved = |outcome: &str| metric("resolves_total", &format!("{{outcome=\"{outcome}\"}}"));
    let refreshed = |outcome: &str| metric("refreshes_total", &format!("{{outcome=\"{outcome}\"}}"));
    let outcomes = ["resolved", "excluded", "not_active", "no_rule", "failed"];
    assert_eq!(outcomes.map(resolved), [2.0, 1.0, 1.0, 2.0, 0.0]);
    assert_eq!((metric("rules", ""), metric("exclusions", "")), (2.0, 3.0));
    assert_eq!((refreshed("read"), refreshed("failed")), (1.0, 0.0), "what does not change is read once");
    wait_until("a look finds no change", async || {
        resolve(&server, &shop, "none").await;
        refreshed("unchanged") >= 1.0
    })
    .await;
    assert_eq!(refreshed("read"), 1.0);
    place.execute("alter table kept_versions rename to hidden").await;
    wait_until("the rules are too old to answer", async || {
        server.get("/v1/affiliates/resolve?reference=none", &shop).await.status != 200
    })
    .await;
    assert!(resolved("failed") >= 1.0 && refreshed("failed") >= 1.0);
    place.execute("alter table hidden rename to kept_versions").await;
    server.ask("DELETE", "/v1/affiliates/rules/off", &key, None).await.expect(200);
    wait_until("the change is read", async || {
        server.get("/v1/affiliates/resolve?reference=none", &shop).await;
        (refreshed("read"), metric("rules", "")) == (2.0, 1.0)
    })
    .await;
    server.stop().await;
}
