//! The pages of people and of the own password.

use codemint_test_support::api::{Answer, ApiServer};
use codemint_test_support::console::{Console, cookie_of, post_openly, text_of};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;

const PASSWORD: &str = "seven green lamps";

/// Returns the path of the link that a page shows.
fn link_of(page: &Answer) -> String {
    assert_eq!(page.status, 200, "{page:?}");
    let shown = page.body.split("<code id=\"link\">").nth(1).and_then(|rest| rest.split('<').next());
    let url = shown.unwrap_or_else(|| panic!("no link: {page:?}"));
    let at = url.find("/invitation/").unwrap_or_else(|| panic!("another link: {url}"));
    assert!(url.starts_with("http://127.0.0.1:"), "the address of the server: {url}");
    url[at..].to_owned()
}

/// Returns the path of the only person with this login.
async fn path_of(place: &TestStore, admin: &Console<'_>, login: &str) -> String {
    let page = admin.page("/people").await;
    let row = page.split("<tr>").skip(1).find(|row| row.contains(&format!("<bdi>{login}</bdi>"))).expect("a row");
    assert_eq!(place.number(&format!("select count(*) from users where login = '{login}'")).await, 1);
    row.split("href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a path").to_owned()
}

async fn choose(server: &ApiServer, link: &str, password: &str) -> Answer {
    post_openly(server, link, &[("password", password), ("password_again", password)]).await
}

async fn sign_in(server: &ApiServer, login: &str, password: &str) -> Answer {
    post_openly(server, "/sign-in", &[("login", login), ("password", password)]).await
}

on_stores!([sqlite, postgres] a_person_is_added_by_a_link_gets_another_role_and_is_removed);
async fn a_person_is_added_by_a_link_gets_another_role_and_is_removed(place: TestStore) {
    let server = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    let admin = Console::sign_in(&server, &place, "admin").await;
    let ann = [("login", "Ann@Example.org"), ("role", "marketer"), ("id", "01912d68-783e-7a03-8467-5661c1243ad4")];
    let link = link_of(&admin.post("/people", &ann).await);
    let text = text_of(&admin.page("/people").await);
    assert!(text.contains("ann@example.org marketer not chosen yet never"), "{text}");
    assert!(!text.contains("/invitation/"), "the link is shown once: {text}");
    let taken = admin.post("/people", &[("login", "ANN@example.org"), ("role", "viewer")]).await;
    assert_eq!(taken.status, 422);
    assert!(text_of(&taken.body).contains("somebody has this name already"), "{taken:?}");
    assert_eq!(choose(&server, &link, PASSWORD).await.expect_redirect(), "/campaigns?done=welcome");
    assert_eq!(choose(&server, &link, PASSWORD).await.status, 404, "the link is valid once");

    let path = path_of(&place, &admin, "ann@example.org").await;
    assert!(!path.contains("ann"), "no address in a URL: {path}");
    let changed = admin.post(&format!("{path}/role"), &[("role", "support")]).await;
    assert_eq!(changed.expect_redirect(), format!("{path}?done=role"));
    let page = admin.page(&path).await;
    assert!(page.contains("value=\"support\" selected"), "{page}");
    let link = link_of(&admin.post(&format!("{path}/link"), &[]).await);
    assert_eq!(choose(&server, &link, "eight blue lamps!").await.status, 303, "a forgotten password");
    assert_eq!(sign_in(&server, "ann@example.org", PASSWORD).await.status, 422, "the password before");
    assert_eq!(admin.post(&format!("{path}/remove"), &[]).await.expect_redirect(), "/people?done=removed");
    assert_eq!(sign_in(&server, "ann@example.org", "eight blue lamps!").await.status, 422);
    assert_eq!(admin.get(&path).await.status, 404);
    let acts = place.texts("select action from audit where actor = 'console user=admin' order by no").await;
    assert_eq!(acts, ["user_add", "user_invite", "user_role", "user_invite", "user_remove"]);
    let log = server.stop().await.stderr;
    assert!(!log.contains("example.org") && !log.contains(PASSWORD) && !log.contains(&link), "{log}");
}

on_stores!([sqlite] the_last_administrator_stays_and_others_manage_nobody);
async fn the_last_administrator_stays_and_others_manage_nobody(place: TestStore) {
    let server = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    let admin = Console::sign_in(&server, &place, "admin").await;
    let path = path_of(&place, &admin, "admin").await;
    for (change, fields) in [("remove", &[][..]), ("role", &[("role", "viewer")])] {
        let refused = admin.post(&format!("{path}/{change}"), fields).await;
        assert_eq!(refused.status, 422, "{change}");
        assert!(text_of(&refused.body).contains("This is the last administrator"), "{refused:?}");
    }
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    for (method, path) in [("GET", "/people".to_owned()), ("GET", path.clone()), ("POST", format!("{path}/link"))] {
        let answer = if method == "GET" { marketer.get(&path).await } else { marketer.post(&path, &[]).await };
        assert_eq!(answer.status, 403, "{method} {path}");
    }
    let wrong = admin.post("/people", &[("login", "<b>a b</b>"), ("role", "king")]).await;
    assert_eq!(wrong.status, 422);
    assert!(wrong.body.contains("id=\"login-problem\"") && !wrong.body.contains("<b>"), "{wrong:?}");
    assert_eq!(admin.post_with_token("/people", &[("login", "eve"), ("role", "admin")], "another").await.status, 403);
    assert_eq!(place.number("select count(*) from users").await, 2);
    server.stop().await;
}

on_stores!([sqlite, postgres] a_password_is_changed_by_who_knows_the_old_one);
async fn a_password_is_changed_by_who_knows_the_old_one(place: TestStore) {
    let server = ApiServer::start_with(&place, &[], &["--no-worker"]).await;
    let admin = Console::sign_in(&server, &place, "admin").await;
    let link = link_of(&admin.post("/people", &[("login", "ann"), ("role", "viewer")]).await);
    let chosen = choose(&server, &link, PASSWORD).await;
    let ann = Console::with_cookie(&server, cookie_of(&chosen)).await;
    let change = async |old: &str, new: &str, again: &str| {
        ann.post("/password", &[("old", old), ("password", new), ("password_again", again)]).await
    };
    let new = "eight blue lamps!";
    for (old, new, again, problem) in [
        ("wrong password", new, new, "This is not your password."),
        (PASSWORD, "short", "short", "a password has at least 12 characters"),
        (PASSWORD, new, "eight red lamps!!", "the two passwords differ"),
    ] {
        let refused = change(old, new, again).await;
        assert_eq!(refused.status, 422, "{problem}");
        assert!(text_of(&refused.body).contains(problem), "{problem:?} is missing: {refused:?}");
        assert!(!refused.body.contains("lamps"), "no password is repeated: {refused:?}");
    }
    let changed = change(PASSWORD, new, new).await;
    assert_eq!(changed.expect_redirect(), "/password?done=changed");
    assert!(changed.header("set-cookie").is_some_and(|cookie| cookie.contains("HttpOnly")), "{changed:?}");
    assert_eq!(sign_in(&server, "ann", PASSWORD).await.status, 422);
    assert_eq!(sign_in(&server, "ann", new).await.status, 303);
    server.stop().await;
}
