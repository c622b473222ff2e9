//! A server of the HTTP API on a streaming standby, as docs/capacity.md describes: what only reads is answered, what changes
//! something is refused and changes nothing.

use serde_json::json;
use uuid::Uuid;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::codemint::Codemint;
use codemint_test_support::console::{Console, text_of};
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::redeem_steps::{create_campaign, definition};
use codemint_test_support::roles::url_of_member;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

/// Pages of the console that only read.
const PAGES: [&str; 12] = [
    "/campaigns",
    "/campaigns/spring",
    "/codes",
    "/redemptions",
    "/reports",
    "/reports?report=days",
    "/jobs",
    "/audit",
    "/people",
    "/keys",
    "/segments",
    "/system",
];

#[tokio::test]
async fn a_server_on_a_replica_validates_reports_and_shows_pages_but_changes_nothing() {
    let primary = Server::start(Durability::None);
    create_database(&primary.url("postgres"), "codemint").await;
    let place = TestStore::postgres_at(&primary.url("codemint")).await;
    let limits = json!({ "limits": { "per_code": 1 } });
    create_campaign(&place, &definition("spring", "private", "SPRING??????", &limits), 100).await;
    let key = create_key(&place, "redeem,manage,issue,report").await;
    let url = url_of_member(&place.url, "server").await;
    let standby = primary.start_standby();
    let replica_url = url.replace(&format!(":{}/", primary.port()), &format!(":{}/", standby.port()));
    let first = ApiServer::start_at(&place, &url, &[]).await;
    let second = ApiServer::start_at(&place, &replica_url, &[]).await;
    let codes = place.texts("select code from codes order by code limit 2").await;
    let id = Uuid::now_v7();
    let redeem = json!({ "code": codes[0] });
    first.ask("PUT", &format!("/v1/redemptions/{id}"), &key, Some(redeem.clone())).await.expect(201);

    let valid = async |code: &str| {
        let answer = second.ask("POST", "/v1/validations", &key, Some(json!({ "code": code }))).await;
        answer.expect(200)["valid"].as_bool().expect("a verdict")
    };
    // The standby knows of the redemption a moment later.
    wait_until("the standby follows", async || !valid(&codes[0]).await).await;
    assert!(valid(&codes[1]).await);
    for path in
        ["/v1/campaigns", "/v1/campaigns/spring", "/v1/jobs", &format!("/v1/redemptions/{id}"), "/v1/reports/campaigns"]
    {
        second.get(path, &key).await.expect(200);
    }
    let changes = [
        ("PUT", format!("/v1/redemptions/{}", Uuid::now_v7()), Some(json!({ "code": codes[1] }))),
        ("POST", format!("/v1/redemptions/{id}/rollback"), None),
        ("POST", "/v1/campaigns/spring/deactivate".to_owned(), None),
        ("POST", "/v1/campaigns/spring/codes".to_owned(), Some(json!({ "count": 1 }))),
    ];
    for (method, path, body) in changes {
        let refused = second.ask(method, &path, &key, body).await.expect_problem(503, "store-away");
        assert!(refused["detail"].as_str().is_some_and(|detail| detail.contains("read-only")), "{path}: {refused}");
    }
    let signed_in = Console::sign_in(&first, &place, "admin").await;
    wait_until("the standby knows the session", async || {
        let answer = second.send("GET", "/campaigns", None, &[("cookie", &signed_in.cookie)], None).await;
        answer.status == 200
    })
    .await;
    let on_replica = Console::with_cookie(&second, signed_in.cookie.clone()).await;
    for page in PAGES {
        on_replica.page(page).await;
    }
    let refused = on_replica.post("/campaigns/spring/off", &[]).await;
    assert!(refused.status == 503 && text_of(&refused.body).contains("read-only"), "{refused:?}");

    let command =
        async |args: &[&str]| Codemint::new(place.path()).args(["--store", &replica_url]).args(args).run().await;
    let job = place.texts("select cast(id as text) from jobs").await.remove(0);
    for args in [&["verify", &*job][..], &["report", "recount"], &["jobs", "list"], &["migrate", "--check"]] {
        command(args).await.expect_code(0);
    }
    let refused = command(&["export", &job]).await.expect_code(2);
    assert!(refused.stderr.contains("use the primary server, not a replica"), "{refused:?}");
    first.stop().await;
    assert_eq!(place.number("select count(*) from redemptions").await, 1);

    standby.promote();
    let path = format!("/v1/redemptions/{}", Uuid::now_v7());
    let redeem = json!({ "code": codes[1] });
    wait_until("the server on the promoted standby redeems", async || {
        second.ask("PUT", &path, &key, Some(redeem.clone())).await.status < 300
    })
    .await;
    second.stop().await;
}
