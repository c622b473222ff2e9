//! The console in a browser: its main paths with scripts and without, and every page as a picture, judged by axe-core.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::browser::Browser;
use codemint_test_support::console::{Console, PASSWORD};
use codemint_test_support::redeem_steps::{create_campaign, definition};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use serde_json::{Value, json};
use uuid::Uuid;

/// The environment variable that names a directory to keep the screenshots in, such as docs/images.
const PICTURES: &str = "CODEMINT_TEST_PICTURES";

/// Pages, each with the name of its picture.
const PAGES: [(&str, &str); 22] = [
    ("campaigns", "/campaigns"),
    ("campaign", "/campaigns/spring"),
    ("campaign-new", "/new-campaign"),
    ("campaign-change", "/campaigns/spring/edit"),
    ("campaign-versions", "/campaigns/spring/versions"),
    ("campaign-try", "/campaigns/spring/try"),
    ("segments", "/segments"),
    ("segment", "/segments/gold"),
    ("affiliates", "/affiliates"),
    ("affiliate-rule", "/affiliates/flowers"),
    ("referrals", "/referrals?campaign=friends"),
    ("codes", "/codes"),
    ("redemptions", "/redemptions"),
    ("reports", "/reports"),
    ("report-days", "/reports?report=days"),
    ("jobs", "/jobs"),
    ("people", "/people"),
    ("password", "/password"),
    ("keys", "/keys"),
    ("audit", "/audit"),
    ("system", "/system"),
    ("missing", "/nowhere"),
];

const WIDTHS: [(u32, u32); 3] = [(1280, 900), (800, 1000), (390, 844)];

fn url(server: &ApiServer, path: &str) -> String {
    format!("http://{}{path}", server.address)
}

fn text(browser: &Browser, selector: &str) -> String {
    let text = browser.evaluate(&format!("document.querySelector({selector:?})?.innerText ?? ''"));
    text.as_str().unwrap_or_default().to_owned()
}

/// Waits until an element of the page shows a text.
async fn wait_for(browser: &Browser, selector: &str, shown: &str) {
    for _ in 0..600 {
        if text(browser, selector).contains(shown) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{selector} does not show {shown:?}: {}", text(browser, "body"));
}

/// Returns the path of the link that the server has printed for the first person.
async fn first_link(server: &ApiServer) -> String {
    wait_until("the link", async || server.process.said().contains("/invitation/")).await;
    let said = server.process.said();
    let token = said.split("/invitation/").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a link");
    format!("/invitation/{token}")
}

/// A new administrator signs in, creates a campaign and orders codes, by clicks alone.
async fn use_the_console(browser: &Browser, server: &ApiServer, has_scripts: bool) {
    browser.open(&url(server, "/"));
    assert!(text(browser, "main").contains("Nobody can sign in yet"));
    browser.open(&url(server, &first_link(server).await));
    browser.fill("#login", "ann");
    browser.fill("#password", PASSWORD);
    browser.fill("#password_again", PASSWORD);
    browser.click("button");
    wait_for(browser, "main", "There are no campaigns yet").await;
    browser.click("main a.button");
    for (field, value) in
        [("#title", "Spring sale"), ("#name", "spring"), ("#percent", "12.5"), ("#mask", "SPRING-[:safe:]{8}")]
    {
        browser.fill(field, value);
    }
    if !has_scripts {
        browser.click("button[name=check]");
    }
    wait_for(browser, "#preview", "Takes 12.5 % off the whole order.").await;
    assert!(text(browser, "#preview li.code").starts_with("SPRING-"));
    let hidden = browser.evaluate("document.querySelector('#buy_quantity').checkVisibility()");
    assert_eq!(hidden, json!(!has_scripts), "without scripts, all fields can be reached");
    browser.click("form[data-preview] button.main");
    wait_for(browser, "[role=status]", "The campaign is saved.").await;
    browser.fill("#count", "1000");
    browser.click("form[action$='/codes'] button");
    wait_for(browser, "[role=status]", "The codes are ordered.").await;
    browser.click("a[href^='/jobs/']");
    // All codes are there shortly before the job is completed.
    wait_until("the job is completed", async || {
        if !has_scripts {
            browser.open(browser.evaluate("location.href").as_str().expect("an address"));
        }
        text(browser, "main").contains("completed")
    })
    .await;
    assert!(text(browser, "main").contains("1,000 of 1,000"), "{}", text(browser, "main"));
    let link = browser.evaluate("document.querySelector('a[download]')?.getAttribute('href')");
    assert!(link.as_str().is_some_and(|link| link.starts_with("/jobs/")), "{link}");
    browser.open(&url(server, "/campaigns/spring"));
    browser.click("form[action$='/off'] button");
    wait_for(browser, "main", "Switch on").await;
    browser.click(".who button");
    wait_for(browser, "main", "You have signed out.").await;
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_administrator_gets_codes_by_clicks_alone() {
    let place = TestStore::sqlite().await;
    let server = ApiServer::start(&place).await;
    use_the_console(&Browser::start(), &server, true).await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_console_works_without_scripts() {
    let place = TestStore::sqlite().await;
    let server = ApiServer::start(&place).await;
    let browser = Browser::start();
    browser.forbid_scripts(true);
    use_the_console(&browser, &server, false).await;
    server.stop().await;
}

/// Fills a store with something for every page.
async fn fill(place: &TestStore, console: &Console<'_>) {
    let campaign = async |fields: &[(&str, &str)]| {
        console.post("/new-campaign", fields).await.expect_redirect();
    };
    let common = [("effect", "percent"), ("target", "order"), ("zone", "Europe/Berlin"), ("active", "on")];
    let with = |own: &[(&'static str, &'static str)]| [&common[..], own].concat();
    campaign(&with(&[
        ("name", "spring"),
        ("title", "Spring sale"),
        ("kind", "private"),
        ("percent", "12.5"),
        ("mask", "SPRING-[:safe:]{8}"),
        ("per_code", "1"),
        ("ends_at", "2027-06-01T00:00"),
        ("offer_text", "12.5 % off everything"),
    ]))
    .await;
    campaign(&with(&[
        ("name", "opening"),
        ("title", "Opening day: everything for everybody who comes \u{2014} \u{5e9}\u{5dc}\u{5d5}\u{5dd}"),
        ("kind", "public"),
        ("percent", "20"),
        ("mask", "OPENING"),
        ("starts_at", "2027-01-01T00:00"),
    ]))
    .await;
    campaign(&with(&[
        ("name", "friends"),
        ("title", "Bring a friend"),
        ("kind", "private"),
        ("purpose", "referral"),
        ("percent", "10"),
        ("mask", "FRIEND-[:safe:]{8}"),
        ("per_identity", "1"),
    ]))
    .await;
    for (name, count) in [("spring", "500"), ("friends", "100")] {
        console.post(&format!("/campaigns/{name}/codes"), &[("count", count)]).await.expect_redirect();
    }
    wait_until("codes", async || place.number("select count(*) from codes").await >= 600).await;
    let codes = place.texts("select code from codes where code like 'SPRING-%' order by code limit 3").await;
    let cart = r#"{"currency": "EUR", "lines": [{"sku": "DOG-1", "quantity": 2, "unit_amount": 1999}]}"#;
    let file = place.path().join("cart.json");
    fs::write(&file, cart).expect("a file");
    let file = file.to_str().expect("a path");
    for code in &codes {
        place.codemint(["redeem", code, "--cart", file, "--identity", "customer-17"]).run().await.expect_code(0);
    }
    let segment = [
        ("name", "gold"),
        ("condition", "{ \"compare\": { \"attribute\": \"orders\", \"op\": \"ge\", \"value\": 10 } }"),
    ];
    console.post("/new-segment", &segment).await.expect_redirect();
    let rule = [
        ("name", "flowers"),
        ("mask", "0#########"),
        ("prefix", "FCH"),
        ("campaign", "spring"),
        ("priority", "1"),
        ("active", "on"),
    ];
    console.post("/new-affiliate-rule", &rule).await.expect_redirect();
    let excluded =
        console.post("/affiliates/flowers/exclusions", &[("reference", "0123456789"), ("note", "left in May")]).await;
    excluded.expect_redirect();
    let friend =
        [("campaign", "friends"), ("id", "01912d68-783e-7a03-8467-5661c1243ad4"), ("referrer", "ann@example.org")];
    let named = console.post("/referrals", &friend).await;
    assert!(named.status == 200 || named.status == 303, "{named:?}");
}

/// Judges the page that is open.
fn judge(browser: &Browser, axe: &str, what: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let overflow = browser.evaluate("document.documentElement.scrollWidth - window.innerWidth");
    if overflow != 0 {
        faults.push(format!("{what}: scrolls sideways by {overflow}"));
    }
    browser.run(axe);
    let found = browser.evaluate_later(
        "axe.run().then(({ violations }) => violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target).join(', ')}`))",
    );
    let violations = found.as_array().unwrap_or_else(|| panic!("{what}: {found}"));
    faults.extend(violations.iter().map(|violation| format!("{what}: {violation}")));
    faults
}

fn keep(picture: &[u8], name: &str) {
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 3000, "a screenshot that is not empty");
    let directory = std::env::var_os(PICTURES).map_or_else(|| PathBuf::from("target/pictures"), PathBuf::from);
    fs::create_dir_all(&directory).expect("a directory");
    fs::write(directory.join(name), picture).expect("a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_is_accessible_and_fits_at_each_width_in_light_and_dark() {
    let axe = fs::read_to_string("target/axe/node_modules/axe-core/axe.min.js").expect("axe-core, of tests/install");
    let place = TestStore::sqlite().await;
    let server = ApiServer::start(&place).await;
    let console = Console::sign_in(&server, &place, "admin").await;
    fill(&place, &console).await;
    let browser = Browser::start();
    let (name, value) = console.cookie.split_once('=').expect("a cookie");
    browser.set_size(1280, 900);
    for path in ["/sign-in", "/docs"] {
        browser.open(&url(&server, path));
        assert_eq!(judge(&browser, &axe, path), Vec::<String>::new());
    }
    browser.keep_cookie(&url(&server, "/"), name, value);
    let mut faults = Vec::new();
    for (width, height) in WIDTHS {
        browser.set_size(width, height);
        for scheme in ["light", "dark"] {
            browser.prefer_colors(scheme);
            for (picture, path) in PAGES {
                browser.open(&url(&server, path));
                assert_eq!(browser.evaluate("document.querySelectorAll('h1').length"), 1, "{path}");
                let loaded = browser.evaluate(
                    "performance.getEntriesByType('resource').every(({ name }) => name.startsWith(location.origin))",
                );
                assert_eq!(loaded, Value::Bool(true), "{path} loads something of others");
                faults.extend(judge(&browser, &axe, &format!("{path} at {width} in {scheme}")));
                let shown = match (width, scheme) {
                    (1280, scheme) => Some(scheme),
                    (390, "light") => Some("phone"),
                    _ => None,
                };
                if let Some(shown) = shown {
                    keep(&browser.picture(), &format!("console-{picture}-{shown}.png"));
                }
            }
        }
    }
    let complaints = browser.complaints();
    faults.extend(complaints.into_iter().filter(|complaint| !complaint.contains("/nowhere")));
    assert_eq!(faults, Vec::<String>::new());
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn regression_large_amounts_stay_in_their_tiles_and_charts_show_the_newest_days() {
    let place = TestStore::sqlite().await;
    create_campaign(&place, &definition("million", "public", "MILLION", &json!({})), 1).await;
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "redeem").await);
    for (currency, amount) in [("EUR", 119_525_000), ("EUR", 999_999_999_999_999_i64), ("JPY", 999_999_999_999_999)] {
        let cart = json!({ "currency": currency, "lines": [{ "sku": "A", "quantity": 1, "unit_amount": amount }] });
        let usage = json!({ "code": "MILLION", "cart": cart });
        server.ask("PUT", &format!("/v1/redemptions/{}", Uuid::now_v7()), &key, Some(usage)).await.expect(201);
    }
    let console = Console::sign_in(&server, &place, "viewer").await;
    let (name, value) = console.cookie.split_once('=').expect("a cookie");
    let browser = Browser::start();
    browser.open(&url(&server, "/sign-in"));
    browser.keep_cookie(&url(&server, "/"), name, value);
    for (width, height) in WIDTHS {
        browser.set_size(width, height);
        for path in ["/reports", "/campaigns/million"] {
            browser.open(&url(&server, path));
            let overflow = browser.evaluate("document.documentElement.scrollWidth - window.innerWidth");
            assert_eq!(overflow, 0, "{path} at {width} scrolls sideways");
            let outside =
                "[...document.querySelectorAll('.figures dd')].filter((dd) => dd.scrollWidth > dd.clientWidth).length";
            assert_eq!(browser.evaluate(outside), 0, "{path} at {width}: amounts cross the borders of their tiles");
            let newest = "(() => { const right = (element) => element.getBoundingClientRect().right;
                const bars = [...document.querySelectorAll('.chart rect')].map(right);
                return Math.max(...bars) < right(document.querySelector('.chart')); })()";
            assert_eq!(browser.evaluate(newest), true, "{path} at {width}: the newest day is out of view");
        }
    }
    server.stop().await;
}
