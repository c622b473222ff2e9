//! The pages of reports.

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::console::{Console, text_of};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;
use serde_json::json;
use uuid::Uuid;

/// A server with two campaigns and redemptions from two sources in two currencies.
async fn busy_server(place: &TestStore) -> (ApiServer, String) {
    let (server, key) = (ApiServer::start(place).await, create_key(place, "manage,redeem,report").await);
    for (name, mask) in [("spring", "SPRING"), ("autumn", "AUTUMN")] {
        server.create_campaign(&key, name, "public", mask).await;
    }
    for (code, source, currency) in [
        ("SPRING", "mail", "EUR"),
        ("SPRING", "<b>=cmd()</b>", "EUR"),
        ("SPRING", "mail", "JPY"),
        ("AUTUMN", "mail", "EUR"),
    ] {
        let cart = json!({ "currency": currency, "lines": [{ "sku": "A", "quantity": 2, "unit_amount": 500_000 }] });
        let usage = json!({ "code": code, "cart": cart, "context": { "source": source } });
        server.ask("PUT", &format!("/v1/redemptions/{}", Uuid::now_v7()), &key, Some(usage)).await.expect(201);
    }
    (server, key)
}

on_stores!([sqlite, postgres] a_report_shows_figures_with_their_money_and_a_chart);
async fn a_report_shows_figures_with_their_money_and_a_chart(place: TestStore) {
    let (server, key) = busy_server(&place).await;
    let viewer = Console::sign_in(&server, &place, "viewer").await;
    let page = viewer.page("/reports").await;
    let text = text_of(&page);
    for shown in [
        "Redeemed 4",
        "autumn 0 0 1 0 1,000.00 EUR 10,000.00 EUR",
        "3,000.00 EUR",
        "100,000 JPY",
        "30,000.00 EUR 1,000,000 JPY",
    ] {
        assert!(text.contains(shown), "{shown:?} is missing: {text}");
    }
    for explained in ["where no code or fewer codes than redeemed were issued", "twice for an order with two codes"] {
        assert!(text.contains(explained), "{explained:?} is missing: {text}");
    }
    let said = "aria-label=\"Redemptions by day from ";
    assert!(page.contains(said) && page.contains("4 redemptions in all") && page.contains("<svg "), "{page}");

    let page = viewer.page("/reports?report=sources&campaign=spring&from=2020-01-01").await;
    assert!(!page.contains("<b>") && text_of(&page).contains("<b>=cmd()</b> 0 0 1"), "markup is text: {page}");
    let csv = viewer.get("/reports/csv?report=sources&campaign=spring&from=2020-01-01").await;
    assert_eq!(csv.header("content-disposition"), Some("attachment; filename=\"report-sources.csv\""));
    let api = server.get("/v1/reports/sources?format=csv&campaign=spring&from=2020-01-01", &key).await;
    assert_eq!((csv.status, &csv.body), (200, &api.body));
    server.stop().await;
}

on_stores!([sqlite] a_report_about_nothing_and_a_wrong_one_say_so);
async fn a_report_about_nothing_and_a_wrong_one_say_so(place: TestStore) {
    let (server, _key) = busy_server(&place).await;
    let viewer = Console::sign_in(&server, &place, "affiliates").await;
    let text = text_of(&viewer.page("/reports?from=2020-01-01&to=2020-01-31").await);
    assert!(text.contains("Nothing happened in this time") && !text.contains("Download as CSV"), "{text}");
    for (query, advice) in [
        ("from=yesterday", "write a day such as 2027-03-01"),
        ("from=2027-03-02&to=2027-03-01", "the last day is on or after the first one"),
        ("from=&campaign=none", "there is no campaign none"),
    ] {
        let refused = viewer.get(&format!("/reports?report=days&{query}")).await;
        assert_eq!(refused.status, 422, "{query}");
        let text = text_of(&refused.body);
        assert!(text.contains(advice), "{advice:?} is missing: {text}");
    }
    let kept = viewer.get("/reports?report=days&from=2027-03-02&to=2027-03-01").await.body;
    assert!(kept.contains("value=\"2027-03-02\"") && kept.contains("value=\"days\" selected"), "{kept}");
    server.stop().await;
}
