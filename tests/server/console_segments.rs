//! Segments in the console: their conditions, and their members from a list.

use serde_json::{Value, json};

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::console::{Console, field_of};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;

const NAME: &str = "gold & <b>";
const PATH: &str = "/segments/gold%20%26%20%3Cb%3E";

fn condition() -> Value {
    json!({ "compare": { "attribute": "vip", "op": "eq", "value": true } })
}

async fn start(place: &TestStore) -> ApiServer {
    ApiServer::start_with(place, &[], &["--no-worker"]).await
}

/// Returns what the audit log has about segments.
async fn audited(place: &TestStore) -> Vec<String> {
    place.texts("select actor || ' ' || detail from audit where action like 'segment%' order by no").await
}

on_stores!([sqlite, postgres] a_segment_is_created_changed_and_removed);
async fn a_segment_is_created_changed_and_removed(place: TestStore) {
    let (server, key) = (start(&place).await, create_key(&place, "manage").await);
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    assert!(marketer.page("/segments").await.contains("Create the first segment"));
    let text = condition().to_string();
    let created = marketer.post("/new-segment", &[("name", NAME), ("condition", &text)]).await;
    assert_eq!(created.expect_redirect(), format!("{PATH}?done=created"));
    let page = marketer.page(created.expect_redirect()).await;
    assert!(page.contains("The segment is created") && page.contains("&#34;attribute&#34;: &#34;vip&#34;"), "{page}");
    assert!(page.contains("gold &#38; &#60;b&#62;") && !page.contains("<b>"), "{page}");
    assert_eq!(server.get(&format!("/v1{PATH}"), &key).await.expect(200)["condition"], condition());
    let page = marketer.page("/segments").await;
    assert!(page.contains(&format!("href=\"{PATH}\"")), "{page}");

    // The form shows what is stored, and empties the condition.
    let form = marketer.page(&format!("{PATH}/edit")).await;
    assert!(form.contains("&#34;attribute&#34;: &#34;vip&#34;") && !form.contains("name=\"name\""), "{form}");
    let changed_at = field_of(&form, "changed_at").expect("a time");
    let sent = [("condition", " "), ("changed_at", &changed_at)];
    let changed = marketer.post(&format!("{PATH}/edit"), &sent).await;
    assert_eq!(changed.expect_redirect(), format!("{PATH}?done=changed"));
    assert_eq!(server.get(&format!("/v1{PATH}"), &key).await.expect(200)["condition"], Value::Null);
    assert!(marketer.page(PATH).await.contains("only the listed members"));

    let removed = marketer.post(&format!("{PATH}/delete"), &[]).await;
    assert_eq!(removed.expect_redirect(), "/segments?done=removed");
    marketer.get(PATH).await.expect_page(404);
    marketer.post(&format!("{PATH}/delete"), &[]).await.expect_page(404);
    let entries = audited(&place).await;
    assert_eq!(entries[0], format!("console user=marketer {NAME}: condition"));
    assert_eq!(entries.len(), 4, "{entries:?}");
    server.stop().await;
}

on_stores!([sqlite, postgres] regression_a_condition_that_somebody_else_changed_is_not_overwritten);
async fn regression_a_condition_that_somebody_else_changed_is_not_overwritten(place: TestStore) {
    let (server, key) = (start(&place).await, create_key(&place, "manage").await);
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    let text = condition().to_string();
    marketer.post("/new-segment", &[("name", "gold"), ("condition", &text)]).await.expect_redirect();
    let form = marketer.page("/segments/gold/edit").await;
    let changed_at = field_of(&form, "changed_at").expect("a time");
    server.ask("PUT", "/v1/segments/gold", &key, Some(json!({ "condition": null }))).await.expect(200);
    let typed = text.replace("vip", "age");
    // Sending the form once more does not help either, nor does leaving the time out.
    for changed_at in [&*changed_at, &*changed_at, ""] {
        let stale = marketer.post("/segments/gold/edit", &[("condition", &typed), ("changed_at", changed_at)]).await;
        let stale = stale.expect_page(422);
        assert!(stale.contains("somebody else has changed the segment meanwhile"), "{stale}");
        assert!(stale.contains(&typed.replace('"', "&#34;")), "what was typed stays: {stale}");
        assert_eq!(field_of(stale, "changed_at").as_deref(), Some(changed_at));
    }
    assert_eq!(server.get("/v1/segments/gold", &key).await.expect(200)["condition"], Value::Null);
    let form = marketer.page("/segments/gold/edit").await;
    let changed_at = field_of(&form, "changed_at").expect("a time");
    let saved = marketer.post("/segments/gold/edit", &[("condition", &typed), ("changed_at", &changed_at)]).await;
    assert_eq!(saved.expect_redirect(), "/segments/gold?done=changed");
    server.stop().await;
}

on_stores!([sqlite, postgres] wrong_fields_are_named_and_kept);
async fn wrong_fields_are_named_and_kept(place: TestStore) {
    let server = start(&place).await;
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    for (name, condition, advice) in [
        ("a", "{ \"all\": [", "this is not JSON, in line 1"),
        ("a", r#"{ "all": [{ "nonsense": 1 }] }"#, "at /all/0"),
        ("a", r#"{ "member": { "segment": "b" } }"#, "at /member"),
        ("", "", "the name of a segment has 1 to"),
    ] {
        let refused = marketer.post("/new-segment", &[("name", name), ("condition", condition)]).await;
        let refused = refused.expect_page(422);
        assert!(refused.contains(advice) && refused.contains("Nothing was saved"), "{advice}: {refused}");
        assert!(refused.contains(&condition.replace('"', "&#34;")), "{refused}");
    }
    assert_eq!(place.number("select count(*) from segments").await, 0);
    let new = [("name", "a"), ("condition", "")];
    marketer.post("/new-segment", &new).await.expect_redirect();
    let again = marketer.post("/new-segment", &new).await;
    assert!(again.expect_page(422).contains("there is a segment of this name already"), "{again:?}");
    let refused = marketer.post("/segments/a/edit", &[("condition", "[]")]).await;
    assert!(refused.expect_page(422).contains("action=\"/segments/a/edit\""), "{refused:?}");
    server.stop().await;
}

on_stores!([sqlite, postgres] members_are_replaced_by_a_list);
async fn members_are_replaced_by_a_list(place: TestStore) {
    let server = start(&place).await;
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    marketer.post("/new-segment", &[("name", "gold")]).await.expect_redirect();
    // Longer than any buffer, and than the body of a usual form.
    let list: String =
        std::iter::once("identity\n".to_owned()).chain((0..100_000).map(|n| format!("customer-{n}\n"))).collect();
    assert!(list.len() > 1 << 20);
    let done = marketer.upload("/segments/gold/members", &list).await;
    assert_eq!(done.expect_redirect(), "/segments/gold?done=members");
    assert!(marketer.page("/segments/gold").await.contains("100,000 members"));
    let entries = audited(&place).await;
    assert_eq!(entries.last().map(String::as_str), Some("console user=marketer gold: 0 members to 100000"));

    // A list with wrong lines changes nothing, and the page names them.
    let refused = marketer.upload("/segments/gold/members", "identity\nanna\na\u{200b}b\n").await;
    let refused = refused.expect_page(422);
    assert!(
        refused.contains("line 3: ")
            && refused.contains("lines that have no valid identity: 1; nothing was changed")
            && refused.contains("100,000 members"),
        "{refused}"
    );
    let refused = marketer.upload("/segments/gold/members", "").await;
    assert!(refused.expect_page(422).contains("no identities"), "{refused:?}");
    assert_eq!(place.number("select count(*) from segment_members").await, 100_000);

    // The token comes first; without it, nothing is read.
    for token in [None, Some(""), Some("wrong")] {
        marketer.upload_with_token("/segments/gold/members", "identity\n", token).await.expect_page(403);
    }
    assert_eq!(place.number("select count(*) from segment_members").await, 100_000);
    marketer.post("/segments/gold/members", &[("list", "identity")]).await.expect_page(415);
    marketer.upload("/segments/none/members", "identity\n").await.expect_page(404);
    let done = marketer.upload("/segments/gold/members", "identity\n").await;
    assert_eq!(done.expect_redirect(), "/segments/gold?done=members");
    assert_eq!(place.number("select count(*) from segment_members").await, 0);
    server.stop().await;
}

#[tokio::test]
async fn long_lists_of_segments_have_pages_and_other_roles_change_nothing() {
    let place = TestStore::sqlite().await;
    let server = start(&place).await;
    for number in 0..51 {
        let name = format!("s-{number:02}");
        place.store.put_segment(&name, &json!({ "condition": null }), None).await.expect("a segment");
    }
    let viewer = Console::sign_in(&server, &place, "viewer").await;
    let first = viewer.page("/segments").await;
    assert!(first.contains(">s-49<") && !first.contains(">s-50<") && !first.contains("New segment"), "{first}");
    let next = first.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a next page");
    let second = viewer.page(next).await;
    assert!(second.contains(">s-50<") && !second.contains(">s-49<") && second.contains("First page"), "{second}");
    let page = viewer.page("/segments/s-00").await;
    assert!(
        !page.contains("Replace the members") && !page.contains("Remove") && !page.contains("Change the condition"),
        "{page}"
    );
    for role in ["viewer", "affiliates", "support"] {
        let console = Console::sign_in(&server, &place, role).await;
        for path in ["/new-segment", "/segments/s-00/edit", "/segments/s-00/delete"] {
            console.post(path, &[("name", "x")]).await.expect_page(403);
        }
        console.get("/new-segment").await.expect_page(403);
        console.upload("/segments/s-00/members", "identity\na\n").await.expect_page(403);
    }
    assert_eq!(place.number("select count(*) from segments").await, 51);
    server.stop().await;
}
