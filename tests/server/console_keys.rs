//! The pages of API keys and of the audit log.

use codemint_test_support::api::ApiServer;
use codemint_test_support::console::{Console, text_of};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

on_stores!([sqlite, postgres] a_key_is_shown_once_permits_its_scopes_and_is_revoked);
async fn a_key_is_shown_once_permits_its_scopes_and_is_revoked(place: TestStore) {
    let server = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    let admin = Console::sign_in(&server, &place, "admin").await;
    let text = text_of(&admin.page("/keys").await);
    assert!(text.contains("There are no keys yet"), "{text}");
    let fields =
        [("name", "<b>shop</b>"), ("scopes", "redeem"), ("scopes", "report"), ("expires_at", "2099-12-31T12:00")];
    let created = admin.post("/keys", &fields).await;
    assert_eq!(created.status, 200, "{created:?}");
    let shown = created.body.split("<code id=\"key\">").nth(1).and_then(|rest| rest.split('<').next());
    let key = shown.expect("a key").to_owned();
    assert_eq!(server.get("/v1/reports/campaigns", &key).await.status, 200);
    server.get("/v1/keys", &key).await.expect_problem(403, "scope-missing");
    let page = admin.page("/keys").await;
    let text = text_of(&page);
    assert!(
        text.contains("<b>shop</b>") && text.contains("usable redeem, report") && text.contains("31 Dec 2099, 12:00"),
        "{text}"
    );
    assert!(!page.contains(&key) && !page.contains("<b>"), "{page}");

    let id = page.split("/keys/").nth(1).and_then(|rest| rest.split('/').next()).expect("an id").to_owned();
    let support = Console::sign_in(&server, &place, "support").await;
    assert_eq!(support.post(&format!("/keys/{id}/revoke"), &[]).await.status, 403);
    assert_eq!(admin.post(&format!("/keys/{id}/revoke"), &[]).await.expect_redirect(), "/keys?done=revoked");
    let page = admin.page("/keys?done=revoked").await;
    assert!(text_of(&page).contains("The key is revoked.") && !page.contains("/revoke\""), "{page}");
    wait_until("the key is refused", async || server.get("/v1/reports/campaigns", &key).await.status == 401).await;
    let log = server.stop().await.stderr;
    assert!(!log.contains(&key), "{log}");
}

on_stores!([sqlite] every_problem_of_a_key_is_shown_beside_its_field);
async fn every_problem_of_a_key_is_shown_beside_its_field(place: TestStore) {
    let server = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    let admin = Console::sign_in(&server, &place, "admin").await;
    let long = "x".repeat(101);
    let refused = admin.post("/keys", &[("name", &long), ("expires_at", "2001-01-01T00:00")]).await;
    assert_eq!(refused.status, 422);
    for field in ["name", "scopes", "expires_at"] {
        assert!(refused.body.contains(&format!("id=\"{field}-problem\"")), "{field}: {refused:?}");
    }
    assert!(refused.body.contains(&long), "what was typed is kept: {refused:?}");
    let refused = admin.post("/keys", &[("scopes", "redeem"), ("expires_at", "soon")]).await;
    assert!(refused.status == 422 && refused.body.contains("id=\"expires_at-problem\""), "{refused:?}");
    assert!(refused.body.contains("value=\"redeem\" checked"), "{refused:?}");
    assert_eq!(place.number("select count(*) from api_keys").await, 0);
    let viewer = Console::sign_in(&server, &place, "viewer").await;
    assert_eq!((viewer.get("/keys").await.status, viewer.get("/audit").await.status), (403, 403));
    assert_eq!(viewer.post("/keys", &[("scopes", "admin")]).await.status, 403);
    server.stop().await;
}

on_stores!([sqlite, postgres] the_audit_log_is_searched_newest_first_page_by_page);
async fn the_audit_log_is_searched_newest_first_page_by_page(place: TestStore) {
    let server = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    let admin = Console::sign_in(&server, &place, "admin").await;
    for at in 0..52 {
        admin.post("/people", &[("login", &format!("person-{at}@example.org")), ("role", "viewer")]).await;
    }
    place.codemint(["enqueue", "OTHER-####", "--count", "7", "--campaign", "<b>"]).run().await.expect_code(0);
    let page = admin.page("/audit").await;
    assert_eq!(page.matches("<tr>").count(), 51, "a header and a page of 50");
    let text = text_of(&page);
    assert!(text.contains("request accepted <b> job") && !page.contains("<b>"), "{text}");
    let found = admin.post("/audit", &[("actor", "USER=admin"), ("action", "user_add")]).await;
    let text = text_of(&found.body);
    assert!(
        text.contains("person-51@example.org") && !text.contains("person-1@") && !text.contains("request accepted"),
        "{text}"
    );
    let cursor =
        found.body.split("name=\"cursor\" value=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("more");
    let rest = admin.post("/audit", &[("actor", "USER=admin"), ("action", "user_add"), ("cursor", cursor)]).await;
    let text = text_of(&rest.body);
    assert!(
        text.contains("person-0@example.org") && text.contains("person-1@") && !text.contains("person-2@"),
        "{text}"
    );
    for (subject, expected) in [("person-7@", 2), ("<b>", 1), ("100%", 0)] {
        let found = admin.post("/audit", &[("subject", subject)]).await;
        assert_eq!(found.body.matches("<tr>").count().saturating_sub(1), expected, "{subject}: {found:?}");
    }
    let today = chrono::Utc::now().date_naive().to_string();
    for (from, to, status, shown) in [
        (&*today, &*today, 200, "person-51"),
        ("", "2001-01-01", 200, "No entry matches"),
        ("2027-03-02", "2027-03-01", 422, "the last day is on or after"),
    ] {
        let answer = admin.post("/audit", &[("from", from), ("to", to)]).await;
        assert_eq!(answer.status, status, "{from} to {to}");
        assert!(text_of(&answer.body).contains(shown), "{shown:?} is missing: {answer:?}");
    }
    assert!(!server.stop().await.stderr.contains("example.org"), "an address is in the log");
}
