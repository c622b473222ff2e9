//! `codemint report` and `codemint link`.

use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::{create_campaign, definition};
use codemint_test_support::stores::TestStore;
use serde_json::json;

on_both_stores!(what_happened_is_reported_for_people_and_programs_and_proved);
async fn what_happened_is_reported_for_people_and_programs_and_proved(place: TestStore) {
    create_campaign(&place, &definition("top", "public", "TOP", &json!({})), 1).await;
    let run = async |args: &[&str]| place.codemint(args).run().await;
    let none = run(&["report", "campaigns"]).await.expect_code(0);
    assert_eq!((&*none.stdout, &*none.stderr), ("", "nothing has happened\n"));
    for (file, currency) in [("euro.json", "EUR"), ("dollar.json", "USD")] {
        let cart = json!({ "currency": currency, "lines": [{ "sku": "A", "quantity": 1, "unit_amount": 123_450 }] });
        std::fs::write(place.path().join(file), cart.to_string()).expect("a file");
        run(&["redeem", "TOP", "--cart", file]).await.expect_code(0);
    }
    let report = run(&["report", "campaigns"]).await.expect_code(0).stdout;
    let header = "     ISSUED       CLICKS     REDEEMED  ROLLED BACK  CONVERSION           DISCOUNT            REVENUE  IN   CAMPAIGN\n";
    let euros = "          0            0            2            0           -             12,345            123,450  EUR  top\n";
    let dollars = format!("{:>62}             12,345            123,450  USD  top\n", "");
    assert_eq!(report, format!("{header}{euros}{dollars}"));
    let rows = run(&["report", "sources", "--json"]).await.expect_code(0).json();
    assert_eq!((&rows[0]["key"], &rows[0]["amounts"][1]["currency"]), (&json!(""), &json!("USD")));
    assert_names(&run(&["report", "sources"]).await.stdout, &["EUR  (none)\n"]);
    let svg = run(&["report", "days", "--svg"]).await.expect_code(0).stdout;
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"), "{svg}");
    assert_eq!(run(&["report", "ads", "--from", "2020-01-01", "--to", "2020-12-31", "--json"]).await.json(), json!([]));

    let proved = run(&["report", "recount"]).await.expect_code(0).stdout;
    assert_names(&proved, &["2 redemptions counted, 0 issued codes and 0 clicks: ", "sums equal them\n"]);
    place.execute("update tally_deltas set amount = amount + 1 where metric = 'redeemed'").await;
    place.execute("update tallies set amount = amount + 1 where metric = 'redeemed'").await;
    let wrong = run(&["report", "recount"]).await.expect_code(3);
    assert_names(&wrong.stdout, &["wrong\n  top, ", "redeemed: ", " instead of 2\n"]);
    let corrected = run(&["report", "recount", "--correct", "--json"]).await.expect_code(0).json();
    assert_eq!((&corrected["corrected"], &corrected["differences"][0]["counted"]), (&json!(true), &json!(2)));
    run(&["report", "recount"]).await.expect_code(0);

    let refused = run(&["report", "ads", "--from", "2027-03-02", "--to", "2027-03-01"]).await.expect_code(2);
    assert_eq!(refused.stderr, "error: --to is before --from; write the last day\n");
    assert_names(&run(&["report", "ads", "--campaign", "x"]).await.expect_code(3).stderr, &["there is no campaign x"]);
    assert_names(
        &run(&["report", "ads", "--from", "soon"]).await.expect_code(2).stderr,
        &["write a day such as 2027-03-01"],
    );
}

on_both_stores!(a_link_and_its_banner_are_printed_where_links_may_lead_to_the_page);
async fn a_link_and_its_banner_are_printed_where_links_may_lead_to_the_page(place: TestStore) {
    let offer = json!({ "offer": { "text": "Ten % off & more", "landing_url": "https://shop.example/sale" } });
    create_campaign(&place, &definition("top ten", "public", "TOP", &offer), 1).await;
    create_campaign(&place, &definition("bare", "public", "BARE", &json!({})), 1).await;
    let run = async |hosts: &str, args: &[&str]| {
        let command = place.codemint(["link"]).args(args).env("CODEMINT__LINKS__HOSTS", hosts);
        command.env("CODEMINT__LINKS__PUBLIC_URL", "https://go.shop.example").run().await
    };
    let shown = run("shop.example", &["top ten", "--source", "mail", "--ad", "a&b"]).await.expect_code(0).stdout;
    let url = "https://go.shop.example/go/top%20ten?source=mail&ad=a%26b";
    let html = "<a href=\"https://go.shop.example/go/top%20ten?source=mail&#38;ad=a%26b\" rel=\"sponsored noopener\">Ten % off &#38; more</a>";
    assert_eq!(shown, format!("{url}\n{html}\n"));
    let shown = run("shop.example", &["top ten", "--source", "mail", "--ad", "a&b", "--json"]).await.json();
    assert_eq!(shown, json!({ "url": url, "banner_html": html }));
    let refused = run("", &["top ten"]).await.expect_code(4).stderr;
    let advice = "error: links may not lead to the host of the landing page; an operator adds it to links.hosts\n";
    assert_eq!(refused, advice);
    let refused = run("shop.example", &["bare"]).await.expect_code(4).stderr;
    assert_eq!(refused, "error: the campaign names no page that links lead to (landing_url of its offer)\n");
    let wrong = run("https://shop.example", &["top ten"]).await.expect_code(2).stderr;
    assert_names(&wrong, &["links.hosts", "\"https://shop.example\" is not a host; write names such as shop.example"]);
}
