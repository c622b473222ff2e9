//! Links: `/go/{campaign}` counts the click and leads to the landing page, and nowhere else.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::task::JoinSet;

use codemint_test_support::api::{Answer, ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::proxy::Proxy;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

const HOSTS: (&str, &str) = ("CODEMINT__LINKS__HOSTS", "shop.example, *.brand.example");

async fn follow(server: &ApiServer, path: &str) -> Answer {
    server.send("GET", path, None, &[], None).await
}

async fn put_campaign(server: &ApiServer, key: &str, name: &str, (kind, mask): (&str, &str), fields: Value) {
    let mut document = json!({
        "title": "Ten % off", "kind": kind, "active": true, "mask": mask,
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    document.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    server.ask("PUT", &format!("/v1/campaigns/{name}"), key, Some(document)).await.expect(201);
}

fn location(answer: &Answer) -> String {
    assert_eq!(answer.status, 302, "{answer:?}");
    let header = answer.headers.iter().find(|(name, _)| name == "location");
    header.map(|(_, value)| value.clone()).expect("a location")
}

/// The parameters of the address that a click leads to.
fn parameters(location: &str, page: &str) -> Vec<(String, String)> {
    let query = location.strip_prefix(page).unwrap_or_else(|| panic!("{location} is not {page}"));
    let pair = |pair: &str| pair.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    query.split('&').filter_map(pair).collect()
}

on_stores!([sqlite, postgres] a_click_is_counted_and_leads_to_the_landing_page_with_what_starts_the_coupon);
async fn a_click_is_counted_and_leads_to_the_landing_page_with_what_starts_the_coupon(place: TestStore) {
    let server = ApiServer::start_with(&place, &[HOSTS], &[]).await;
    let key = create_key(&place, "manage,report,redeem").await;
    let offer = json!({ "offer": { "landing_url": "https://shop.example/sale?lang=de" } });
    put_campaign(&server, &key, "top", ("public", "TOP-10"), offer.clone()).await;
    put_campaign(&server, &key, "own", ("private", "OWN-####"), offer).await;

    let found = location(&follow(&server, "/go/top?source=mail&ad=a%26b&affiliate=0123456789&fbclid=x").await);
    let found = parameters(&found, "https://shop.example/sale?");
    let click_id = found.iter().find(|(name, _)| name == "click_id").map(|(_, id)| id.clone()).expect("a click");
    let expected = [
        ("lang", "de"),
        ("code", "TOP-10"),
        ("click_id", &click_id),
        ("source", "mail"),
        ("ad", "a%26b"),
        ("affiliate", "0123456789"),
    ];
    assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let found = location(&follow(&server, "/go/own?source=mail").await);
    assert!(!found.contains("code="), "a private code is nobody's to publish: {found}");

    // Nobody has clicked: another method, a page that is fetched ahead, and a campaign that does not exist.
    assert_eq!(server.send("HEAD", "/go/top?source=head", None, &[], None).await.status, 302);
    for ahead in [("sec-purpose", "prefetch;prerender"), ("purpose", "prefetch")] {
        assert_eq!(server.send("GET", "/go/top?source=ahead", None, &[ahead], None).await.status, 302);
    }
    follow(&server, "/go/none").await.expect_problem(404, "not-found");

    // The click and its use meet in the report.
    let usage = json!({ "code": "TOP-10", "click_id": click_id, "context": { "source": "mail" } });
    let id = uuid::Uuid::now_v7();
    server.ask("PUT", &format!("/v1/redemptions/{id}"), &key, Some(usage)).await.expect(201);
    wait_until("the clicks are stored", async || place.number("select count(*) from clicks").await == 2).await;
    let report = server.get("/v1/reports/sources?campaign=top", &key).await.expect(200);
    let row = &report["items"][0];
    assert_eq!((&row["key"], &row["clicks"], &row["redeemed"]), (&json!("mail"), &json!(1), &json!(1)), "{report}");
    assert_eq!(report["items"].as_array().map(Vec::len), Some(1), "{report}");

    // Off, the page is shown without the code.
    server.ask("POST", "/v1/campaigns/top/deactivate", &key, None).await.expect(200);
    wait_until("the switch is known", async || !location(&follow(&server, "/go/top").await).contains("code=")).await;
    server.stop().await;
}

on_stores!([sqlite, postgres] a_click_counts_on_the_day_of_its_campaigns_zone);
async fn a_click_counts_on_the_day_of_its_campaigns_zone(place: TestStore) {
    let server = ApiServer::start_with(&place, &[HOSTS], &[]).await;
    let key = create_key(&place, "manage").await;
    // Between them, there are always two days.
    for (name, mask, zone) in [("east", "EAST", "Pacific/Kiritimati"), ("west", "WEST", "Pacific/Pago_Pago")] {
        let fields = json!({ "zone": zone, "offer": { "landing_url": "https://shop.example/" } });
        put_campaign(&server, &key, name, ("public", mask), fields).await;
        location(&follow(&server, &format!("/go/{name}")).await);
    }
    server.stop().await;
    assert_eq!(place.number("select count(distinct day) from clicks").await, 2);
}

on_stores!([sqlite] no_link_leads_to_a_host_that_is_not_listed);
async fn no_link_leads_to_a_host_that_is_not_listed(place: TestStore) {
    let server = ApiServer::start_with(&place, &[HOSTS], &[]).await;
    let key = create_key(&place, "manage").await;
    for (number, landing) in [
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://shop.example@evil.example/",
        "https://brand.example/",
        "https://evil.example/?next=https://shop.example/",
        "https://evil.example\\@shop.example/",
    ]
    .into_iter()
    .enumerate()
    {
        let (name, mask) = (format!("evil-{number}"), format!("EVIL-{number}"));
        put_campaign(&server, &key, &name, ("public", &mask), json!({ "offer": { "landing_url": landing } })).await;
        let answer = follow(&server, &format!("/go/{name}")).await;
        answer.expect_problem(404, "not-found");
        assert!(!answer.body.contains("evil.example"), "{}", answer.body);
        server.get(&format!("/v1/campaigns/{name}/link"), &key).await.expect_problem(422, "host-not-allowed");
    }
    put_campaign(&server, &key, "bare", ("public", "BARE"), json!({})).await;
    follow(&server, "/go/bare").await.expect_problem(404, "not-found");
    server.get("/v1/campaigns/bare/link", &key).await.expect_problem(422, "no-landing-page");
    put_campaign(
        &server,
        &key,
        "good",
        ("public", "GOOD"),
        json!({ "offer": { "landing_url": "https://a.brand.example" } }),
    )
    .await;
    // Whatever a link says, its host stays.
    for query in [
        "source=//evil.example",
        "url=https://evil.example",
        "source=%0d%0aLocation:%20https://evil.example",
        "%00",
        "source=%ff",
    ] {
        let answer = follow(&server, &format!("/go/good?{query}")).await;
        assert!(location(&answer).starts_with("https://a.brand.example/?code=GOOD&click_id="), "{answer:?}");
    }
    // A buyer gets to the shop, whatever others have appended to the link.
    for ad in ["x".repeat(201).as_str(), "a%09b"] {
        let answer = follow(&server, &format!("/go/good?ad={ad}&source=mail")).await;
        assert!(answer.status == 302 && location(&answer).ends_with("&source=mail"), "{answer:?}");
    }
    for path in ["/go/", "/go//evil.example", "/go/..%2f..%2fv1", "/go/good/x"] {
        assert_eq!(follow(&server, path).await.status, 404, "{path}");
    }
    server.stop().await;
}

on_stores!([sqlite, postgres] the_link_of_a_campaign_and_its_banner_are_escaped);
async fn the_link_of_a_campaign_and_its_banner_are_escaped(place: TestStore) {
    let public = ("CODEMINT__LINKS__PUBLIC_URL", "https://go.shop.example");
    let server = ApiServer::start_with(&place, &[HOSTS, public], &[]).await;
    let key = create_key(&place, "manage").await;
    let offer = json!({ "offer": { "landing_url": "https://shop.example", "text": "<b>Ten</b>", "image_url": "https://shop.example/a.png" } });
    put_campaign(&server, &key, "Ten%20off", ("public", "TEN"), offer).await;
    let shown = server.get("/v1/campaigns/Ten%20off/link?source=a%22b", &key).await.expect(200);
    let html = "<a href=\"https://go.shop.example/go/Ten%20off?source=a%22b\" rel=\"sponsored noopener\">\
                <img src=\"https://shop.example/a.png\" alt=\"&#60;b&#62;Ten&#60;/b&#62;\"></a>";
    assert_eq!(shown, json!({ "url": "https://go.shop.example/go/Ten%20off?source=a%22b", "banner_html": html }));
    assert_eq!(follow(&server, "/go/Ten%20off?source=a%22b").await.status, 302);
    let redeemer = create_key(&place, "redeem").await;
    server.get("/v1/campaigns/Ten%20off/link", &redeemer).await.expect_problem(403, "scope-missing");
    server.get("/v1/campaigns/none/link", &key).await.expect_problem(404, "not-found");
    server.stop().await;
}

on_stores!([sqlite, postgres] clicks_beyond_the_limit_of_an_address_lead_on_and_are_not_counted);
async fn clicks_beyond_the_limit_of_an_address_lead_on_and_are_not_counted(place: TestStore) {
    let limit = ("CODEMINT__LINKS__CLICKS_PER_MINUTE", "3");
    let environment = [HOSTS, limit, ("CODEMINT__SERVER__TRUSTED_PROXIES", "127.0.0.1")];
    let server = ApiServer::start_with(&place, &environment, &[]).await;
    let key = create_key(&place, "manage").await;
    let offer = json!({ "offer": { "landing_url": "https://shop.example/" } });
    put_campaign(&server, &key, "top", ("public", "TOP-10"), offer).await;
    let click = async |method: &str, client: &str, ahead: &[(&str, &str)]| {
        let headers: Vec<(&str, &str)> = ahead.iter().copied().chain([("x-forwarded-for", client)]).collect();
        location(&server.send(method, "/go/top", None, &headers, None).await)
    };
    // What is no click does not use up the limit.
    for _ in 0..4 {
        click("HEAD", "203.0.113.9", &[]).await;
        click("GET", "203.0.113.9", &[("sec-purpose", "prefetch")]).await;
    }
    for (client, clicks) in [("203.0.113.9", 6), ("203.0.113.10", 2), ("2001:db8:0:1::1", 2), ("2001:db8:0:1::2", 2)] {
        for _ in 0..clicks {
            let landing = click("GET", client, &[]).await;
            assert!(
                landing.contains("code=TOP-10") && landing.contains("click_id="),
                "a buyer is never stopped: {landing}"
            );
        }
    }
    let counted = "codemint_clicks_total{outcome=\"counted\"}";
    wait_until("the clicks are stored", async || server.process.metric(counted) == 8.0).await;
    assert_eq!(server.process.metric("codemint_clicks_total{outcome=\"throttled\"}"), 4.0);
    server.stop().await;
    assert_eq!(place.number("select count(*) from clicks").await, 8);
}

on_stores!([sqlite, postgres] no_click_is_lost_when_a_server_stops);
async fn no_click_is_lost_when_a_server_stops(place: TestStore) {
    let no_limit = ("CODEMINT__LINKS__CLICKS_PER_MINUTE", "0");
    let server = ApiServer::start_with(&place, &[HOSTS, no_limit], &[]).await;
    let key = create_key(&place, "manage").await;
    let offer = json!({ "offer": { "landing_url": "https://shop.example/" } });
    put_campaign(&server, &key, "top", ("public", "TOP-10"), offer).await;
    let server = std::sync::Arc::new(server);
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let server = std::sync::Arc::clone(&server);
        clients.spawn(async move {
            for number in 0..50 {
                location(&follow(&server, &format!("/go/top?source={client}&ad={number}")).await);
            }
        });
    }
    clients.join_all().await;
    let server = std::sync::Arc::into_inner(server).expect("the only one");
    server.stop().await;
    assert_eq!(place.number("select count(*) from clicks").await, 400);
    let sums = "select cast(sum(amount) as bigint) from (select amount from tallies where metric = 'clicks'
                union all select amount from tally_deltas where metric = 'clicks') changes";
    assert_eq!(place.number(sums).await, 400);
}

// The store takes no clicks for a while, or at all: a server that stops waits for it, and reports what it had to give up.
on_stores!([postgres] a_server_that_stops_waits_for_the_store_and_reports_clicks_that_are_lost);
async fn a_server_that_stops_waits_for_the_store_and_reports_clicks_that_are_lost(place: TestStore) {
    let mut other = PgConnection::connect(&place.url).await.expect("a connection");
    for (shutdown_seconds, is_lost) in [("60", false), ("1", true)] {
        let environment = [HOSTS, ("CODEMINT__WORKER__SHUTDOWN_SECONDS", shutdown_seconds)];
        let server = ApiServer::start_with(&place, &environment, &[]).await;
        if !is_lost {
            let key = create_key(&place, "manage").await;
            let offer = json!({ "offer": { "landing_url": "https://shop.example/" } });
            put_campaign(&server, &key, "top", ("public", "TOP-10"), offer).await;
        }
        let mut transaction = other.begin().await.expect("a transaction");
        let lock = sqlx::query("lock table clicks in exclusive mode").execute(&mut *transaction).await;
        lock.expect("a lock");
        for _ in 0..5 {
            location(&follow(&server, "/go/top").await);
        }
        server.process.signal("TERM");
        let ended = "the HTTP API has ended";
        if is_lost {
            server.process.wait_until_it_says(ended).await;
        } else {
            // A server that did not wait would end within this time.
            tokio::time::sleep(Duration::from_secs(1)).await;
            assert!(!server.process.said().contains(ended), "{}", server.process.said());
        }
        transaction.rollback().await.expect("an end");
        let ran = server.process.finish().await.expect_code(0);
        assert_eq!(ran.stderr.contains("\"lost\":5"), is_lost, "{}", ran.stderr);
        // A transaction that was under way when its server gave up may still be carried out.
        if !is_lost {
            assert_eq!(place.number("select count(*) from clicks").await, 5);
        }
    }
}

on_stores!([postgres] links_work_while_the_database_is_away_and_their_clicks_are_stored_later);
async fn links_work_while_the_database_is_away_and_their_clicks_are_stored_later(place: TestStore) {
    let proxy = Proxy::start(&place.url).await;
    let server = ApiServer::start_at(&place, &proxy.url, &[HOSTS]).await;
    let key = create_key(&place, "manage").await;
    let offer = json!({ "offer": { "landing_url": "https://shop.example/" } });
    put_campaign(&server, &key, "top", ("public", "TOP-10"), offer).await;
    location(&follow(&server, "/go/top").await);
    proxy.cut_after(1);
    tokio::time::sleep(Duration::from_millis(1200)).await;
    for _ in 0..5 {
        location(&follow(&server, "/go/top").await);
    }
    proxy.cut_after(0);
    wait_until("all clicks are stored", async || place.number("select count(*) from clicks").await == 6).await;
    server.stop().await;
}
