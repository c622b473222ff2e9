//! Reports over HTTP, as JSON, CSV and a picture.

use serde_json::json;
use uuid::Uuid;

use codemint_test_support::api::{Answer, ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;

/// A server with two campaigns and four redemptions from two sources.
async fn busy_server(place: &TestStore) -> (ApiServer, String) {
    let (server, key) = (ApiServer::start(place).await, create_key(place, "manage,redeem,report").await);
    for (name, mask) in [("spring", "SPRING"), ("autumn", "AUTUMN")] {
        server.create_campaign(&key, name, "public", mask).await;
    }
    for (code, source, currency) in
        [("SPRING", "mail", "EUR"), ("SPRING", "=cmd()", "EUR"), ("SPRING", "mail", "USD"), ("AUTUMN", "mail", "EUR")]
    {
        let cart = json!({ "currency": currency, "lines": [{ "sku": "A", "quantity": 2, "unit_amount": 500 }] });
        let usage = json!({ "code": code, "cart": cart, "context": { "source": source } });
        server.ask("PUT", &format!("/v1/redemptions/{}", Uuid::now_v7()), &key, Some(usage)).await.expect(201);
    }
    (server, key)
}

fn is_of_type(answer: &Answer, content_type: &str) -> bool {
    answer.status == 200 && answer.headers.iter().any(|(name, value)| name == "content-type" && value == content_type)
}

on_stores!([sqlite, postgres] a_report_is_read_by_page_as_csv_and_as_a_picture);
async fn a_report_is_read_by_page_as_csv_and_as_a_picture(place: TestStore) {
    let (server, key) = busy_server(&place).await;
    let first = server.get("/v1/reports/campaigns?limit=1", &key).await.expect(200);
    let autumn = json!({
        "key": "autumn", "issued": 0, "clicks": 0, "redeemed": 1, "rolled_back": 0, "conversion": null, "discount": 100, "revenue": 1000,
        "currency": "EUR", "amounts": [{ "currency": "EUR", "discount": 100, "revenue": 1000 }],
    });
    assert_eq!(first["items"], json!([autumn]));
    let next = first["next"].as_str().expect("a cursor");
    let second = server.get(&format!("/v1/reports/campaigns?limit=1&cursor={next}"), &key).await.expect(200);
    assert_eq!((&second["items"][0]["key"], &second["next"]), (&json!("spring"), &json!(null)));
    assert_eq!(second["items"][0]["currency"], json!(null));

    let csv = server.get("/v1/reports/sources?format=csv", &key).await;
    assert!(is_of_type(&csv, "text/csv; charset=utf-8"), "{csv:?}");
    // A source that a spreadsheet would compute is shown as text.
    let expected = "key,issued,clicks,redeemed,rolled_back,conversion,discount,revenue,currency\n\
                    '=cmd(),0,0,1,0,,100,1000,EUR\nmail,0,0,3,0,,200,2000,EUR\nmail,,,,,,100,1000,USD\n";
    assert_eq!(csv.body, expected);
    let printed = place.codemint(["report", "sources", "--csv"]).run().await.expect_code(0).stdout;
    assert_eq!(printed, expected);

    let today = chrono::Utc::now().date_naive();
    let days = server.get(&format!("/v1/reports/days?campaign=spring&from={today}&to={today}"), &key).await.expect(200);
    assert_eq!((&days["items"][0]["key"], &days["items"][0]["redeemed"]), (&json!(today.to_string()), &json!(3)));
    let svg = server.get("/v1/reports/days?format=svg&from=2027-03-01&to=2027-03-31", &key).await;
    assert!(is_of_type(&svg, "image/svg+xml"), "{svg:?}");
    assert!(svg.body.starts_with("<svg ") && svg.body.contains("2027-03-01"), "{}", svg.body);
    // An empty time has a picture as well.
    assert!(is_of_type(&server.get("/v1/reports/days?format=svg&campaign=autumn", &key).await, "image/svg+xml"));
    server.stop().await;
}

on_stores!([sqlite] a_wrong_report_is_refused_by_name);
async fn a_wrong_report_is_refused_by_name(place: TestStore) {
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "report").await);
    for (query, field) in [
        ("sources?from=yesterday", "from"),
        ("sources?to=2027-02-30", "to"),
        ("sources?from=2027-03-02&to=2027-03-01", "to"),
        ("sources?format=xml", "format"),
        ("sources?format=svg", "format"),
        ("days?format=svg&from=1900-01-01&to=2027-03-01", "to"),
        ("ads?limit=0", "limit"),
        ("ads?cursor=x", "cursor"),
    ] {
        let problem = server.get(&format!("/v1/reports/{query}"), &key).await.expect_problem(422, "invalid");
        assert_eq!(problem["errors"][0]["field"], field, "{query}: {problem}");
    }
    for path in ["/v1/reports/people", "/v1/reports/sources?campaign=none"] {
        server.get(path, &key).await.expect_problem(404, "not-found");
    }
    let redeemer = create_key(&place, "redeem,manage").await;
    server.get("/v1/reports/sources", &redeemer).await.expect_problem(403, "scope-missing");
    server.stop().await;
}
