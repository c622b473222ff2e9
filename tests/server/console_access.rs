//! Who may see and change what in the console: sessions, forms, roles, and what keeps others out.

use std::time::Duration;

use codemint_test_support::api::ApiServer;
use codemint_test_support::console::{Console, PASSWORD, add_user, cookie_of, field_of, post_openly};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use futures_util::future::join_all;

/// All pages for people.
const PAGES: [&str; 10] = [
    "/",
    "/campaigns",
    "/redemptions",
    "/affiliates",
    "/segments",
    "/referrals",
    "/reports",
    "/jobs",
    "/system",
    "/people",
];

on_stores!([sqlite] pages_lead_to_sign_in_also_before_anybody_exists);
async fn pages_lead_to_sign_in_also_before_anybody_exists(place: TestStore) {
    let server = ApiServer::start(&place).await;
    for path in PAGES {
        let answer = server.send("GET", path, None, &[], None).await;
        assert_eq!(answer.status, 303, "{path}");
        let next = path.replace('/', "%2F");
        assert_eq!(answer.expect_redirect(), format!("/sign-in?next={next}"));
    }
    let page = server.send("GET", "/sign-in", None, &[], None).await;
    assert!(page.status == 200 && page.body.contains("Nobody can sign in yet"), "{page:?}");
    add_user(&place, "ann", "admin").await;
    let page = server.send("GET", "/sign-in", None, &[], None).await;
    assert!(!page.body.contains("Nobody can sign in yet"));
    server.stop().await;
}

on_stores!([sqlite, postgres] the_first_person_becomes_administrator_by_the_printed_link_once);
async fn the_first_person_becomes_administrator_by_the_printed_link_once(place: TestStore) {
    let server = ApiServer::start(&place).await;
    wait_until("the link", async || server.process.said().contains("/invitation/")).await;
    let said = server.process.said();
    let link = said.split("/invitation/").nth(1).and_then(|rest| rest.split_whitespace().next()).expect("a link");
    let path = format!("/invitation/{link}");
    let short = [("login", "ann"), ("password", "short"), ("password_again", "short")];
    let refused = post_openly(&server, &path, &short).await;
    assert!(refused.status == 422 && refused.body.contains("at least 12 characters"), "{refused:?}");
    let other = [("login", "ann"), ("password", PASSWORD), ("password_again", "seven green lambs")];
    assert!(post_openly(&server, &path, &other).await.body.contains("the two passwords differ"));
    let chosen = [("login", "Ann"), ("password", PASSWORD), ("password_again", PASSWORD)];
    let accepted = post_openly(&server, &path, &chosen).await;
    assert_eq!((accepted.status, accepted.expect_redirect()), (303, "/campaigns?done=welcome"));
    let console = Console::with_cookie(&server, cookie_of(&accepted)).await;
    let page = console.page("/campaigns").await;
    assert!(page.contains("<bdi>ann</bdi>") && page.contains("admin"), "{page}");
    let again = post_openly(&server, &path, &chosen).await;
    assert!(again.status == 404 && again.body.contains("this link was used before"), "{again:?}");
    assert_eq!(place.number("select count(*) from users").await, 1);
    let log = server.stop().await;
    assert!(!log.stdout.contains(link) && !log.stderr.lines().any(|line| line.starts_with('{') && line.contains(link)));
}

on_stores!([sqlite] a_session_begins_anew_at_sign_in_and_ends_at_sign_out);
async fn a_session_begins_anew_at_sign_in_and_ends_at_sign_out(place: TestStore) {
    let server = ApiServer::start(&place).await;
    add_user(&place, "ann", "viewer").await;
    // A cookie that somebody has planted in the browser does not become a session.
    let planted = format!("codemint={}", "A".repeat(43));
    let headers = [("cookie", planted.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let body = format!("login=ann&password={}&next=%2Freports", PASSWORD.replace(' ', "+"));
    let answer = server.send("POST", "/sign-in", None, &headers, Some(body)).await;
    assert_eq!((answer.status, answer.expect_redirect()), (303, "/reports"));
    let cookie = cookie_of(&answer);
    assert_ne!(cookie, planted);
    let set = &answer.headers.iter().find(|(name, _)| name == "set-cookie").expect("a cookie").1;
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax") && set.contains("Path=/"), "{set}");
    let console = Console::with_cookie(&server, cookie.clone()).await;
    let out = console.post("/sign-out", &[]).await;
    assert_eq!(out.expect_redirect(), "/sign-in?done=signed-out");
    assert!(cookie_of(&out) == "codemint=");
    assert_eq!(console.get("/campaigns").await.status, 303);
    assert_eq!(server.send("GET", "/campaigns", None, &[("cookie", &planted)], None).await.status, 303);
    server.stop().await;
}

on_stores!([sqlite] a_wrong_password_and_an_unknown_name_get_the_same_page);
async fn a_wrong_password_and_an_unknown_name_get_the_same_page(place: TestStore) {
    let server = ApiServer::start(&place).await;
    add_user(&place, "ann", "viewer").await;
    let attempt = async |login: &str| {
        let answer = post_openly(&server, "/sign-in", &[("login", login), ("password", "a wrong password")]).await;
        (answer.status, answer.body.replace(&format!("value=\"{login}\""), "value"))
    };
    let (known, unknown) = (attempt("ann").await, attempt("bob").await);
    assert_eq!(known.0, 422);
    assert_eq!(known, unknown);
    let log = server.stop().await;
    assert!(!log.stderr.contains("a wrong password") && !log.stderr.contains("\"ann\""));
}

on_stores!([sqlite] guessing_a_password_is_slowed_down);
async fn guessing_a_password_is_slowed_down(place: TestStore) {
    let limit = [("CODEMINT__SERVER__FAILURES_PER_MINUTE", "3")];
    let server = ApiServer::start_with(&place, &limit, &[]).await;
    add_user(&place, "ann", "viewer").await;
    let mut statuses = Vec::new();
    for _ in 0..5 {
        let answer = post_openly(&server, "/sign-in", &[("login", "ann"), ("password", "a wrong password")]).await;
        statuses.push(answer.status);
    }
    assert_eq!(statuses, [422, 422, 422, 422, 429]);
    let right = post_openly(&server, "/sign-in", &[("login", "ann"), ("password", PASSWORD)]).await;
    assert!(right.status == 429 && right.body.contains("too many wrong passwords"), "{right:?}");
    server.stop().await;
}

on_stores!([sqlite] regression_many_sign_ins_at_once_guess_no_more_than_one_after_the_other);
async fn regression_many_sign_ins_at_once_guess_no_more_than_one_after_the_other(place: TestStore) {
    let limit = [("CODEMINT__SERVER__FAILURES_PER_MINUTE", "3")];
    let server = ApiServer::start_with(&place, &limit, &[]).await;
    add_user(&place, "ann", "viewer").await;
    let wrong = [("login", "ann"), ("password", "a wrong password")];
    let answers = join_all((0..20).map(|_| post_openly(&server, "/sign-in", &wrong))).await;
    let count = |status| answers.iter().filter(|answer| answer.status == status).count();
    assert_eq!((count(422), count(429)), (4, 16), "{answers:?}");
    server.stop().await;
}

on_stores!([sqlite] a_form_without_its_token_or_from_another_site_changes_nothing);
async fn a_form_without_its_token_or_from_another_site_changes_nothing(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let console = Console::sign_in(&server, &place, "admin").await;
    let other = Console::sign_in(&server, &place, "admin").await;
    let sent =
        [("name", "spring"), ("title", "Spring"), ("kind", "private"), ("mask", "SPRING-####"), ("percent", "10")];
    for token in ["", "AAAA", other.form_token.as_str()] {
        let answer = console.post_with_token("/new-campaign", &sent, token).await;
        assert_eq!(answer.status, 403, "{answer:?}");
    }
    let headers = [
        ("cookie", console.cookie.as_str()),
        ("content-type", "application/x-www-form-urlencoded"),
        ("sec-fetch-site", "cross-site"),
    ];
    let body = format!(
        "form_token={}&name=spring&title=S&kind=private&mask=SPRING-%23%23%23%23&percent=10",
        console.form_token
    );
    assert_eq!(server.send("POST", "/new-campaign", None, &headers, Some(body.clone())).await.status, 403);
    assert_eq!(place.number("select count(*) from campaigns").await, 0);
    let own = [headers[0], headers[1], ("sec-fetch-site", "same-origin")];
    assert_eq!(server.send("POST", "/new-campaign", None, &own, Some(body)).await.status, 303);
    assert_eq!(place.number("select count(*) from campaigns").await, 1);
    // A planted sign-in form would make somebody work in the account of another person.
    let foreign = [headers[1], headers[2]];
    let body = format!("login=admin&password={}", PASSWORD.replace(' ', "+"));
    assert_eq!(server.send("POST", "/sign-in", None, &foreign, Some(body)).await.status, 403);
    server.stop().await;
}

on_stores!([sqlite] sign_in_leads_only_to_pages_of_the_console);
async fn sign_in_leads_only_to_pages_of_the_console(place: TestStore) {
    let server = ApiServer::start(&place).await;
    add_user(&place, "ann", "viewer").await;
    for next in ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"] {
        let fields = [("login", "ann"), ("password", PASSWORD), ("next", next)];
        let answer = post_openly(&server, "/sign-in", &fields).await;
        assert_eq!((answer.status, answer.expect_redirect()), (303, "/"), "{next}");
    }
    server.stop().await;
}

on_stores!([sqlite] pages_are_not_framed_or_cached_and_load_only_from_this_server);
async fn pages_are_not_framed_or_cached_and_load_only_from_this_server(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let console = Console::sign_in(&server, &place, "admin").await;
    for answer in [console.get("/campaigns").await, server.send("GET", "/sign-in", None, &[], None).await] {
        let header = |wanted: &str| {
            answer.headers.iter().find(|(name, _)| name == wanted).map_or("", |(_, value)| value.as_str())
        };
        let policy = header("content-security-policy");
        for rule in [
            "default-src 'none'",
            "script-src 'self'",
            "frame-ancestors 'none'",
            "form-action 'self'",
            "base-uri 'none'",
        ] {
            assert!(policy.contains(rule), "{rule}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!((header("cache-control"), header("x-frame-options")), ("no-store", "DENY"));
        assert_eq!((header("x-content-type-options"), header("referrer-policy")), ("nosniff", "same-origin"));
        assert!(!answer.body.contains("style=\"") && !answer.body.contains("onclick"), "{}", answer.body);
        assert!(!answer.body.contains("src=\"http") && !answer.body.contains("href=\"http"), "{}", answer.body);
    }
    server.stop().await;
}

on_stores!([sqlite] each_role_sees_the_sections_that_it_may_use);
async fn each_role_sees_the_sections_that_it_may_use(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let all = [
        "campaigns",
        "segments",
        "affiliates",
        "referrals",
        "codes",
        "redemptions",
        "reports",
        "jobs",
        "people",
        "keys",
        "audit",
        "system",
    ];
    for (role, hidden) in [
        ("viewer", &["referrals", "codes", "redemptions", "people", "keys", "audit", "system"][..]),
        ("affiliates", &["referrals", "codes", "redemptions", "people", "keys", "audit", "system"]),
        ("marketer", &["people", "keys", "audit", "system"]),
        ("support", &["people", "keys", "audit"]),
        ("admin", &[]),
    ] {
        let console = Console::sign_in(&server, &place, role).await;
        let page = console.page("/campaigns").await;
        for section in all {
            let is_shown = page.contains(&format!("<a href=\"/{section}\""));
            assert_eq!(is_shown, !hidden.contains(&section), "{role}: {section}");
            let status = console.get(&format!("/{section}")).await.status;
            assert_eq!(status, if is_shown { 200 } else { 403 }, "{role}: {section}");
        }
        let may_edit = ["marketer", "admin"].contains(&role);
        assert_eq!(page.contains("/new-campaign"), may_edit, "{role}");
        let sent =
            [("name", role), ("title", "Spring"), ("kind", "private"), ("mask", "SPRING-####"), ("percent", "10")];
        let status = console.post("/new-campaign", &sent).await.status;
        assert_eq!(status, if may_edit { 303 } else { 403 }, "{role}");
    }
    assert_eq!(place.number("select count(*) from campaigns").await, 2);
    server.stop().await;
}

on_stores!([sqlite] a_removed_person_is_out_within_a_second);
async fn a_removed_person_is_out_within_a_second(place: TestStore) {
    let server = ApiServer::start(&place).await;
    add_user(&place, "ann", "admin").await;
    let console = Console::sign_in(&server, &place, "marketer").await;
    assert_eq!(console.get("/campaigns").await.status, 200);
    place.codemint(["users", "remove", "marketer"]).run().await.expect_code(0);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(console.get("/campaigns").await.status, 303);
    assert_eq!(console.post("/new-campaign", &[("name", "x")]).await.status, 303);
    server.stop().await;
}

on_stores!([sqlite] what_a_person_changes_is_recorded_under_their_name);
async fn what_a_person_changes_is_recorded_under_their_name(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let console = Console::sign_in(&server, &place, "marketer").await;
    let sent =
        [("name", "spring"), ("title", "Spring"), ("kind", "private"), ("mask", "SPRING-####"), ("percent", "10")];
    assert_eq!(console.post("/new-campaign", &sent).await.status, 303);
    let by = "select count(*) from audit where actor = 'console user=marketer'";
    assert_eq!(place.number(by).await, 1);
    let page = console.page("/campaigns/spring/versions").await;
    assert!(page.contains("console user=marketer"), "{page}");
    server.stop().await;
}

on_stores!([sqlite, postgres] regression_a_form_with_nul_is_refused);
async fn regression_a_form_with_nul_is_refused(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let console = Console::sign_in(&server, &place, "marketer").await;
    let sent = [("name", "a\0b"), ("title", "A"), ("kind", "private"), ("mask", "A-####"), ("percent", "10")];
    console.post("/new-campaign", &sent).await.expect_page(422);
    post_openly(&server, "/sign-in", &[("login", "a\0b"), ("password", PASSWORD)]).await.expect_page(422);
    server.stop().await;
}

on_stores!([sqlite] an_unknown_page_is_a_page_for_people_and_a_problem_for_programs);
async fn an_unknown_page_is_a_page_for_people_and_a_problem_for_programs(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let page = server.send("GET", "/nowhere", None, &[("accept", "text/html")], None).await;
    assert!(page.status == 404 && page.body.contains("<!doctype html>") && page.body.contains("does not exist"));
    for (path, accept) in [("/nowhere", "*/*"), ("/v1/nowhere", "text/html")] {
        let problem = server.send("GET", path, None, &[("accept", accept)], None).await;
        assert_eq!(problem.expect(404)["code"], "not-found");
    }
    let console = Console::sign_in(&server, &place, "viewer").await;
    let missing = console.get("/campaigns/none").await;
    assert!(missing.status == 404 && missing.body.contains("there is no campaign none"), "{missing:?}");
    assert!(field_of(&missing.body, "form_token").is_some(), "the page has its sections");
    server.stop().await;
}

on_stores!([sqlite] a_trusted_proxy_signs_people_in_and_nobody_else_does);
async fn a_trusted_proxy_signs_people_in_and_nobody_else_does(place: TestStore) {
    let believed =
        [("CODEMINT__SERVER__SIGN_IN_HEADER", "X-Remote-User"), ("CODEMINT__SERVER__TRUSTED_PROXIES", "127.0.0.1")];
    let server = ApiServer::start_with(&place, &believed, &[]).await;
    add_user(&place, "ann@example.org", "marketer").await;
    let named = |login: &'static str| [("x-remote-user", login)];
    let answer = server.send("GET", "/sign-in?next=%2Freports", None, &named("Ann@Example.org"), None).await;
    assert_eq!(answer.expect_redirect(), "/reports");
    let cookie = cookie_of(&answer);
    let get = async |login: &'static str| {
        let headers = [("cookie", cookie.as_str()), ("x-remote-user", login)];
        server.send("GET", "/campaigns", None, &headers, None).await.status
    };
    assert_eq!(get("ann@example.org").await, 200);
    // Somebody else uses the browser now.
    assert_eq!(get("ben@example.org").await, 303);
    let unknown = server.send("GET", "/sign-in", None, &named("ben@example.org"), None).await;
    assert!(unknown.expect_page(403).contains("nobody has added you"), "{unknown:?}");
    let log = server.stop().await;
    assert!(!log.stderr.contains("ann@example.org"));

    let elsewhere = [believed[0], ("CODEMINT__SERVER__TRUSTED_PROXIES", "192.0.2.1")];
    let server = ApiServer::start_with(&place, &elsewhere, &[]).await;
    let answer = server.send("GET", "/sign-in", None, &named("ann@example.org"), None).await;
    assert!(answer.expect_page(200).contains("Password"), "the sender of a request is not believed");
    server.stop().await;
    let without = place.codemint(["config", "show"]).env("CODEMINT__SERVER__SIGN_IN_HEADER", "X-Remote-User");
    let refused = without.run().await.expect_code(2);
    assert!(refused.stderr.contains("server.sign_in_header: name the proxy"), "{}", refused.stderr);
}
