//! The page of the system.

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::console::{Console, text_of};
use codemint_test_support::on_stores;
use codemint_test_support::site::{Site, publish, request};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use serde_json::json;
use uuid::Uuid;

on_stores!([sqlite] the_page_of_the_system_shows_this_process_and_the_jobs);
async fn the_page_of_the_system_shows_this_process_and_the_jobs(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let support = Console::sign_in(&server, &place, "support").await;
    server.process.wait_until_ready().await;
    let text = text_of(&support.page("/system").await);
    assert!(
        text.contains("No job is being minted.") && text.contains("None of the latest 50 jobs has ended."),
        "{text}"
    );

    let key = create_key(&place, "manage").await;
    server.create_campaign(&key, "spring", "private", "SPRING-[:safe:]{8}").await;
    server.ask("POST", "/v1/campaigns/spring/codes", &key, Some(json!({ "count": 700 }))).await.expect(202);
    wait_until("the job has ended and is counted", async || {
        let text = text_of(&support.part("/system").await.body);
        text.contains("700 of 700 codes") && text.contains("completed here 1")
    })
    .await;
    let page = support.page("/system").await;
    let text = text_of(&page);
    for shown in [
        "ready",
        "Jobs",
        "Codes",
        "minted here 700",
        "Store",
        "answers yes",
        "Process",
        "memory",
        "Latest finished jobs",
        "spring",
        "Version",
    ] {
        assert!(text.contains(shown), "{shown:?} is missing: {text}");
    }
    assert!(!text.contains("Broker") && !text.contains("SPRING-"), "neither a broker nor a mask: {text}");
    assert!(page.contains("data-refresh=\"/system\""), "{page}");
    let part = support.part("/system").await;
    assert_eq!((part.status, part.header("x-again")), (200, Some("1")));
    assert!(!part.body.contains("<main") && part.body.contains("Latest finished jobs"), "{part:?}");

    let marketer = Console::sign_in(&server, &place, "marketer").await;
    assert_eq!(marketer.get("/system").await.status, 403);
    assert!(!text_of(&marketer.page("/jobs").await).contains("System"), "what a role may not see has no link");
    server.stop().await;
}

on_stores!([postgres] a_server_without_a_worker_shows_no_minting);
async fn a_server_without_a_worker_shows_no_minting(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let support = Console::sign_in(&server, &place, "support").await;
    let text = text_of(&support.page("/system").await);
    assert!(text.contains("queued 0") && text.contains("Process") && !text.contains("completed here"), "{text}");
    assert!(!text.contains("minted here") && !text.contains("Broker"), "{text}");
    // The page that was there names the paths that are left.
    let (status, paths) = server.process.get("/").expect("an answer");
    assert_eq!(status, 200);
    assert!(["/livez", "/readyz", "/metrics"].iter().all(|path| paths.contains(path)), "{paths}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn regression_a_campaign_cannot_reorder_the_text_of_a_page() {
    let site = Site::new(TestStore::postgres().await).await;
    let worker = site.start_ready().await;
    let id = Uuid::now_v7();
    let mut message = request(id, "##", 5);
    message["campaign"] = "a\u{202e}b\u{9b}c\nd<".into();
    let peer = site.keep_events().await;
    publish(&peer, &message).await;
    wait_until("the job has ended", async || site.count("select count(*) from jobs where state = 'failed'").await == 1)
        .await;
    let server = ApiServer::start(&site.store).await;
    let admin = Console::sign_in(&server, &site.store, "admin").await;
    for path in ["/system".to_owned(), "/jobs".to_owned(), format!("/jobs/{id}")] {
        let page = admin.page(&path).await;
        assert!(page.contains(r"a\u{202e}b\u{9b}c\nd&#60;"), "{path}: {page}");
    }
    server.stop().await;
    worker.terminate().await.expect_code(0);
}
