//! The pages of jobs.

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::api_lists::job_id;
use codemint_test_support::console::{Console, text_of};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;
use serde_json::json;
use uuid::Uuid;

/// Starts a server without a worker, with a campaign and an order of codes for it.
async fn start(place: &TestStore) -> (ApiServer, String, String) {
    let server = ApiServer::start_with(place, &[], &["--no-worker"]).await;
    let key = create_key(place, "manage").await;
    server.create_campaign(&key, "spring", "private", "SPRING-[:safe:]{8}").await;
    let job = order(&server, &key, 1_200).await;
    (server, key, job)
}

async fn order(server: &ApiServer, key: &str, count: u64) -> String {
    let body = json!({ "count": count });
    job_id(&server.ask("POST", "/v1/campaigns/spring/codes", key, Some(body)).await.expect(202))
}

on_stores!([sqlite, postgres] a_job_is_followed_and_its_codes_are_downloaded);
async fn a_job_is_followed_and_its_codes_are_downloaded(place: TestStore) {
    let (server, key, job) = start(&place).await;
    let path = format!("/jobs/{job}");
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    let page = marketer.page(&path).await;
    let text = text_of(&page);
    for shown in [
        "1,200 codes",
        "spring",
        "queued",
        "0 of 1,200 codes",
        "Cancel the job",
        "Refresh",
        "(UTC)",
        "SPRING-[:safe:]{8}",
    ] {
        assert!(text.contains(shown), "{shown:?} is missing: {text}");
    }
    assert!(page.contains(&format!("data-refresh=\"{path}\"")) && !text.contains("Download"), "{page}");
    let part = marketer.part(&path).await;
    assert_eq!((part.status, part.header("x-again")), (200, Some("1")), "{part:?}");
    assert!(part.body.contains("<progress") && !part.body.contains("<main"), "{part:?}");
    assert_eq!(marketer.get(&format!("{path}/codes")).await.status, 409, "there are no codes yet");

    server.complete(&place, &key, &job).await;
    let part = marketer.part(&path).await;
    assert_eq!(part.header("x-again"), None, "nothing changes any more: {part:?}");
    let text = text_of(&marketer.page(&path).await);
    assert!(text.contains("1,200 of 1,200 codes") && text.contains("Download the codes"), "{text}");
    assert!(!text.contains("Cancel the job") && !text.contains("Refresh"), "{text}");
    let codes = marketer.get(&format!("{path}/codes")).await;
    assert_eq!((codes.status, codes.header("content-type")), (200, Some("text/csv; charset=utf-8")));
    let file = format!("attachment; filename=\"codes-{job}.csv\"");
    assert_eq!(codes.header("content-disposition"), Some(&*file));
    assert!(
        codes.body == server.codes(&key, &job, "", "text/csv").await.body,
        "the codes differ from those of the API"
    );
    let exports = place.texts("select actor from audit where action = 'export' order by no").await;
    assert_eq!(exports[..2], ["console user=marketer", "console user=marketer"], "begun and done");
    server.stop().await;
}

on_stores!([sqlite, postgres] a_job_is_cancelled_by_who_may_order_codes);
async fn a_job_is_cancelled_by_who_may_order_codes(place: TestStore) {
    let (server, key, job) = start(&place).await;
    let (path, cancel) = (format!("/jobs/{job}"), format!("/jobs/{job}/cancel"));
    let viewer = Console::sign_in(&server, &place, "viewer").await;
    let text = text_of(&viewer.page(&path).await);
    assert!(
        !text.contains("Cancel") && !text.contains("SPRING"),
        "a viewer sees neither the button nor the mask: {text}"
    );
    assert_eq!(viewer.post(&cancel, &[]).await.status, 403);
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    assert_eq!(
        marketer.post_with_token(&cancel, &[], &viewer.form_token).await.status,
        403,
        "the token of another session"
    );
    assert_eq!(place.number("select count(*) from jobs where state = 'queued'").await, 1);

    let cancelled = marketer.post(&cancel, &[]).await;
    assert_eq!(cancelled.expect_redirect(), format!("{path}?done=cancelled"));
    let text = text_of(&marketer.page(cancelled.expect_redirect()).await);
    assert!(text.contains("The job is cancelled.") && text.contains("cancelled 0 of 1,200 codes"), "{text}");
    let actors = place.texts("select actor from audit where action = 'cancel'").await;
    assert_eq!(actors, ["console user=marketer"]);

    let done = order(&server, &key, 5).await;
    server.complete(&place, &key, &done).await;
    let late = marketer.post(&format!("/jobs/{done}/cancel"), &[]).await;
    assert_eq!(late.status, 409);
    assert!(text_of(&late.body).contains("it is already completed"), "{late:?}");
    assert_eq!(viewer.get(&format!("/jobs/{done}/codes")).await.status, 403, "a viewer reads no codes");
    assert_eq!(viewer.get(&format!("/jobs/{}", Uuid::now_v7())).await.status, 404);
    server.stop().await;
}

on_stores!([sqlite] jobs_are_listed_by_campaign_and_state_page_by_page);
async fn jobs_are_listed_by_campaign_and_state_page_by_page(place: TestStore) {
    let server = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    let viewer = Console::sign_in(&server, &place, "viewer").await;
    let text = text_of(&viewer.page("/jobs").await);
    assert!(text.contains("There are no jobs yet"), "{text}");
    let enqueue = async |campaign: &str, count: &str| {
        let args = ["enqueue", "OTHER-[:safe:]{8}", "--count", count, "--campaign", campaign];
        place.codemint(args).run().await.expect_code(0);
    };
    for at in 0..51 {
        enqueue("many", &(at + 1).to_string()).await;
    }
    enqueue("<b>bold</b> & \"quoted\"", "77").await;
    let page = viewer.page("/jobs").await;
    assert_eq!(page.matches("<tr>").count(), 51, "a header and a page of 50");
    assert!(!page.contains("<b>") && text_of(&page).contains("<b>bold</b> & \"quoted\""), "{page}");
    let text = text_of(&viewer.page("/jobs?campaign=many&state=queued").await);
    assert!(text.contains("51 codes many") && text.contains(" 2 codes many") && !text.contains("77 codes"), "{text}");
    let page = viewer.page("/jobs?campaign=many&state=queued").await;
    let next = page.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a next page");
    let text = text_of(&viewer.page(&next.replace("&#38;", "&")).await);
    assert!(text.contains("1 code many") && !text.contains("2 codes many") && text.contains("First page"), "{text}");
    let text = text_of(&viewer.page("/jobs?state=failed").await);
    assert!(text.contains("No job matches"), "{text}");
    assert_eq!(server.send("GET", "/jobs", None, &[], None).await.expect_redirect(), "/sign-in?next=%2Fjobs");
    server.stop().await;
}
