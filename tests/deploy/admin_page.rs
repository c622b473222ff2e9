//! The admin page of a worker, viewed in a browser.

use std::fs;
use std::path::PathBuf;

use serde_json::json;
use uuid::Uuid;

use codemint_test_support::amqp::durable;
use codemint_test_support::browser::Browser;
use codemint_test_support::site::{EVENTS, JOBS, Site, Worker, publish, request, wait_for_end};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

/// The environment variable that names a directory to keep the screenshots in, such as docs/images.
const PICTURES: &str = "CODEMINT_TEST_PICTURES";

/// Starts a worker and returns it amid its work: a job in progress, three ended jobs, a dead letter.
async fn busy_site() -> (Site, Worker) {
    let site = Site::new(TestStore::postgres().await).await;
    let worker = site.start(&[("CODEMINT__JOB__CHUNK_SIZE", "20000")], &[]);
    worker.wait_until_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    for (mask, count, campaign) in [
        ("SPRING????##", 50_000, "spring"),
        ("####", 20_000, "too many"),
        ("<b>???###", 5_000, "<b>bold</b> & \"quoted\""),
    ] {
        let id = Uuid::now_v7();
        let mut message = request(id, mask, count);
        message["campaign"] = json!(campaign);
        publish(&peer, &message).await;
        wait_for_end(&mut inbox, id).await;
    }
    peer.publish(JOBS, JOBS, b"no job", durable()).await;
    let mut message = request(Uuid::now_v7(), "SUMMER-??????##", 20_000_000);
    message["campaign"] = json!("summer");
    publish(&peer, &message).await;
    wait_until("a part of it", async || site.count("select count(*) from chunks where state = 'done'").await > 40)
        .await;
    worker.wait_until_metric("codemint_broker_queue_messages{queue=\"dead\"}", |dead| dead == 1.0).await;
    (site, worker)
}

fn keep(picture: &[u8], name: &str) {
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 10_000, "a screenshot that is not empty");
    let directory = std::env::var_os(PICTURES).map_or_else(|| PathBuf::from("target/pictures"), PathBuf::from);
    fs::create_dir_all(&directory).expect("a directory");
    fs::write(directory.join(name), picture).expect("a file");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_the_worker_and_its_jobs_in_light_and_dark_and_on_a_phone() {
    let (site, worker) = busy_site().await;
    let browser = Browser::start();
    browser.set_size(1280, 900);
    browser.prefer_colors("light");
    let url = format!("http://{}/", worker.admin);
    browser.open(&url);
    let text = |selector: &str| {
        let text = browser.evaluate(&format!("document.querySelector({selector:?})?.innerText ?? ''"));
        text.as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(text("header .state"), "ready");
    let page = text("main");
    for shown in [
        "Jobs in progress",
        "summer",
        "of 20,000,000",
        "/s",
        "<b>bold</b> & \"quoted\"",
        "spring",
        "50,000",
        "completed",
        "failed",
        "keyspace too small",
        "connected",
    ] {
        assert!(page.contains(shown), "{shown:?} is missing: {page}");
    }
    assert!(!page.contains("####"), "the page shows no mask, which may be a code: {page}");
    let value = browser.evaluate("document.querySelector('progress').value");
    assert!(value.as_f64().is_some_and(|value| value >= 400_000.0), "{value}");
    assert_eq!(browser.evaluate("document.querySelectorAll('b').length"), 0, "texts are not interpreted as markup");
    let alarms = "Array.from(document.querySelectorAll('dd.bad')).map(dd => dd.previousElementSibling.innerText)";
    assert_eq!(browser.evaluate(alarms), json!(["dead letters"]));
    let loaded = "performance.getEntriesByType('resource').map(entry => entry.name).filter(name => !name.endsWith('/favicon.ico'))";
    assert_eq!(browser.evaluate(loaded), json!([]), "the page loads no other resource");
    keep(&browser.picture(), "page-light.png");

    browser.prefer_colors("dark");
    browser.open(&url);
    assert_eq!(browser.evaluate("getComputedStyle(document.body).backgroundColor"), "rgb(18, 22, 29)");
    keep(&browser.picture(), "page-dark.png");

    browser.prefer_colors("light");
    browser.set_size(390, 844);
    browser.open(&url);
    let overflow = "document.documentElement.scrollWidth - window.innerWidth";
    assert_eq!(browser.evaluate(overflow), 0, "no horizontal scrolling");
    assert_eq!(browser.evaluate("window.innerWidth"), 390);
    keep(&browser.picture(), "page-phone.png");

    worker.terminate().await.expect_code(0);
    drop(site);
}

#[tokio::test]
async fn the_page_forbids_scripts_and_frames_and_is_not_cached() {
    let site = Site::new(TestStore::sqlite().await).await;
    let worker = site.start(&[("CODEMINT__AMQP__URL", "")], &[]);
    worker.wait_until_ready().await;
    let head = worker.get_head("/").expect("an answer").to_ascii_lowercase();
    for line in [
        "content-security-policy: default-src 'none';",
        "cache-control: no-store",
        "x-content-type-options: nosniff",
        "content-type: text/html; charset=utf-8",
    ] {
        assert!(head.contains(line), "{line}: {head}");
    }
    let (_, page) = worker.get("/").expect("an answer");
    assert!(
        page.contains("No job is being minted.") && page.contains("None of the latest 50 jobs has ended."),
        "{page}"
    );
    assert!(!page.contains("Broker"), "the page shows no broker if none is configured");
    worker.terminate().await.expect_code(0);
}
