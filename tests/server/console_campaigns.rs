//! The pages of campaigns.

use serde_json::json;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::console::{Console, field_of, text_of};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

/// A form that can be saved.
const SPRING: [(&str, &str); 9] = [
    ("name", "spring"),
    ("title", "Spring sale"),
    ("kind", "private"),
    ("effect", "percent"),
    ("percent", "12.5"),
    ("mask", "SPRING-[:safe:]{8}"),
    ("zone", "Europe/Berlin"),
    ("per_code", "1"),
    ("active", "on"),
];

/// Returns the form with these fields instead.
fn with<'a>(changes: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let kept = SPRING.iter().filter(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    kept.chain(changes).copied().collect()
}

on_stores!([sqlite, postgres] a_marketer_creates_changes_and_switches_a_campaign);
async fn a_marketer_creates_changes_and_switches_a_campaign(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let console = Console::sign_in(&server, &place, "marketer").await;
    assert!(console.page("/campaigns").await.contains("Create the first campaign"));
    let created = console.post("/new-campaign", &SPRING).await;
    assert_eq!(created.expect_redirect(), "/campaigns/spring?done=saved");
    let page = console.page("/campaigns/spring?done=saved").await;
    for shown in
        ["The campaign is saved.", "Takes 12.5 % off the whole order.", "Each code can be used once.", "active"]
    {
        assert!(page.contains(shown), "{shown}: {page}");
    }
    let list = console.page("/campaigns?q=SALE&status=active&kind=private").await;
    assert!(list.contains("href=\"/campaigns/spring\""), "{list}");
    for filter in ["q=winter", "status=off", "status=expired", "kind=public", "q=%25", "q=_"] {
        assert!(console.page(&format!("/campaigns?{filter}")).await.contains("No campaign matches"), "{filter}");
    }

    let form = console.page("/campaigns/spring/edit").await;
    assert_eq!(field_of(&form, "percent").as_deref(), Some("12.5"));
    let version = field_of(&form, "version").expect("a version");
    let changed = with(&[("version", &version), ("percent", "20"), ("ends_at", "2027-03-01T00:00")]);
    assert_eq!(console.post("/campaigns/spring/edit", &changed).await.status, 303);
    let stale = console.post("/campaigns/spring/edit", &changed).await;
    assert!(stale.status == 422 && stale.body.contains("somebody else has changed the campaign"), "{stale:?}");
    let versions = console.page("/campaigns/spring/versions").await;
    assert!(versions.contains("1250") && versions.contains("2000") && versions.contains("ends_at"), "{versions}");

    let off = console.post("/campaigns/spring/off", &[]).await;
    assert_eq!(off.expect_redirect(), "/campaigns/spring?done=off");
    assert!(console.page("/campaigns/spring").await.contains("Switch on"));
    assert_eq!(place.number("select count(*) from campaigns where active").await, 0);
    assert_eq!(console.post("/campaigns/spring/on", &[]).await.status, 303);
    assert_eq!(place.number("select count(*) from campaigns where active").await, 1);
    server.stop().await;
}

on_stores!([sqlite] every_problem_stands_at_its_field_and_nothing_is_lost);
async fn every_problem_stands_at_its_field_and_nothing_is_lost(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let console = Console::sign_in(&server, &place, "marketer").await;
    let sent =
        with(&[("title", ""), ("mask", "SPRING"), ("percent", "a lot"), ("offer_text", "Kept \"text\" & <b>more</b>")]);
    let refused = console.post("/new-campaign", &sent).await;
    assert_eq!(refused.status, 422);
    for shown in [
        "Nothing was saved.",
        "3 fields are wrong.",
        "id=\"title-problem\"",
        "id=\"mask-problem\"",
        "id=\"percent-problem\"",
    ] {
        assert!(refused.body.contains(shown), "{shown}: {}", refused.body);
    }
    assert!(
        refused.body.contains("Kept &#34;text&#34; &#38; &#60;b&#62;more&#60;/b&#62;</textarea>"),
        "{}",
        refused.body
    );
    assert_eq!(place.number("select count(*) from campaigns").await, 0);
    assert_eq!(console.post("/new-campaign", &SPRING).await.status, 303);
    let taken = console.post("/new-campaign", &SPRING).await;
    assert!(taken.status == 422 && taken.body.contains("there is a campaign with this name"), "{taken:?}");
    server.stop().await;
}

on_stores!([sqlite] the_preview_says_what_the_campaign_does_and_shows_codes);
async fn the_preview_says_what_the_campaign_does_and_shows_codes(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let console = Console::sign_in(&server, &place, "marketer").await;
    let part = console.post("/new-campaign/preview", &with(&[("planned", "1000000")])).await;
    assert!(part.status == 200 && !part.body.contains("<html"), "{part:?}");
    for shown in ["Takes 12.5 % off the whole order.", "SPRING-", "Left after 1,000,000 codes", "1 in "] {
        assert!(part.body.contains(shown), "{shown}: {}", part.body);
    }
    let guessable = console.post("/new-campaign/preview", &with(&[("mask", "S-##"), ("planned", "200")])).await;
    assert!(guessable.body.contains("too few codes") && guessable.body.contains("easy to guess"), "{guessable:?}");
    let wrong = console.post("/new-campaign/preview", &with(&[("mask", "["), ("title", "")])).await;
    assert!(wrong.body.contains("The mask is not right yet") && wrong.body.contains("2 fields are missing or wrong"));
    let wrong = console.post("/new-campaign/preview", &with(&[("percent", "12,5")])).await;
    let said = "One field is missing or wrong. When it is right, a sentence here says what the campaign does. \
                Percentage: write a percentage with a point before at most two decimals, such as 12.5";
    assert!(text_of(&wrong.body).contains(said), "{wrong:?}");
    // Without scripts, a button does the same.
    let page = console.post("/new-campaign", &with(&[("check", "on")])).await;
    assert!(page.status == 200 && page.body.contains("Takes 12.5 % off the whole order."), "{page:?}");
    assert_eq!(place.number("select count(*) from campaigns").await, 0);
    server.stop().await;
}

on_stores!([sqlite] markup_in_names_is_text_and_a_duplicate_is_off_and_has_no_name);
async fn markup_in_names_is_text_and_a_duplicate_is_off_and_has_no_name(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let console = Console::sign_in(&server, &place, "marketer").await;
    let name = "<b>a/b?</b> \u{202e}&";
    let created = console.post("/new-campaign", &with(&[("name", name), ("title", "<script>alert(1)</script>")])).await;
    assert_eq!(created.status, 303, "{created:?}");
    let path = created.expect_redirect().split('?').next().expect("a path").to_owned();
    for page in [console.page(&path).await, console.page("/campaigns").await] {
        assert!(
            page.contains("&#60;script&#62;alert(1)&#60;/script&#62;") && !page.contains("<script>alert"),
            "{page}"
        );
        assert!(!page.contains("<b>a/b"), "{page}");
    }
    let copy = console.page(&format!("/new-campaign?from={}", &path["/campaigns/".len()..])).await;
    assert_eq!((field_of(&copy, "name").as_deref(), field_of(&copy, "percent").as_deref()), (Some(""), Some("12.5")));
    assert!(!copy.contains("name=\"active\" value=\"on\" checked"), "{copy}");
    server.stop().await;
}

on_stores!([sqlite] codes_are_ordered_once_however_often_the_form_is_sent);
async fn codes_are_ordered_once_however_often_the_form_is_sent(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let console = Console::sign_in(&server, &place, "marketer").await;
    console.post("/new-campaign", &SPRING).await;
    let page = console.page("/campaigns/spring").await;
    let job = field_of(&page, "job_id").expect("a job");
    let order = [("job_id", job.as_str()), ("count", "1,000")];
    for _ in 0..2 {
        let ordered = console.post("/campaigns/spring/codes", &order).await;
        assert_eq!(ordered.expect_redirect(), "/campaigns/spring?done=ordered");
    }
    wait_until("the codes", async || place.number("select count(*) from codes").await == 1000).await;
    let page = console.page("/campaigns/spring").await;
    assert!(page.contains(&format!("/jobs/{job}")) && page.contains("of 1,000"), "{page}");
    for (count, reason) in [("0", "count"), ("many", "write a whole number"), ("99999999999999999999", "whole number")]
    {
        let refused = console.post("/campaigns/spring/codes", &[("count", count)]).await;
        assert!(
            refused.status == 422 && refused.body.contains("id=\"count-problem\"") && refused.body.contains(reason)
        );
    }
    server.stop().await;
}

on_stores!([sqlite] a_code_is_tried_without_being_used_also_while_the_campaign_is_off);
async fn a_code_is_tried_without_being_used_also_while_the_campaign_is_off(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let console = Console::sign_in(&server, &place, "marketer").await;
    let public = with(&[("kind", "public"), ("mask", "SPRING"), ("per_code", ""), ("active", "")]);
    assert_eq!(console.post("/new-campaign", &public).await.status, 303);
    let form = console.page("/campaigns/spring/try").await;
    assert_eq!(field_of(&form, "code").as_deref(), Some("SPRING"));
    let cart = [("code", "spring"), ("currency", "EUR"), ("sku_0", "A"), ("quantity_0", "2"), ("price_0", "19.99")];
    let result = console.post("/campaigns/spring/try", &cart).await.body;
    assert!(
        result.contains("The code is refused:") && result.contains("-5.00 EUR") && result.contains("34.98 EUR"),
        "{result}"
    );
    console.post("/campaigns/spring/on", &[]).await;
    let result = console.post("/campaigns/spring/try", &cart).await.body;
    assert!(result.contains("The code can be used."), "{result}");
    let wrong =
        console.post("/campaigns/spring/try", &[("currency", "EUR"), ("sku_1", "A"), ("price_1", "1.999")]).await;
    assert!(wrong.status == 422 && wrong.body.contains("id=\"price_1-problem\""), "{wrong:?}");
    assert_eq!(place.number("select count(*) from redemptions").await, 0);
    server.stop().await;
}

on_stores!([sqlite, postgres] regression_only_roles_that_find_codes_try_one);
async fn regression_only_roles_that_find_codes_try_one(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    let public = with(&[("kind", "public"), ("mask", "BLOSSOM"), ("per_code", "")]);
    assert_eq!(marketer.post("/new-campaign", &public).await.status, 303);
    let other = with(&[("name", "other"), ("mask", "OTHER-####")]);
    assert_eq!(marketer.post("/new-campaign", &other).await.status, 303);
    for (role, finds_codes) in
        [("viewer", false), ("affiliates", false), ("marketer", true), ("support", true), ("admin", true)]
    {
        let console = Console::sign_in(&server, &place, role).await;
        let form = console.page("/campaigns/spring/try").await;
        assert_eq!(field_of(&form, "code").is_some(), finds_codes, "{role}: {form}");
        for path in ["/campaigns/spring/try", "/campaigns/other/try"] {
            for code in ["blossom", "NO-SUCH-CODE", "-"] {
                let answer = console.post(path, &[("code", code)]).await;
                let answer = answer.expect_page(200);
                let is_answered = ["The code can be used", "The code is refused", "belongs to another campaign"]
                    .iter()
                    .any(|verdict| answer.contains(verdict));
                assert_eq!(is_answered, finds_codes, "{role}, {path}, {code}: {answer}");
            }
        }
        // Everybody may try a cart.
        let cart =
            [("code", "blossom"), ("currency", "EUR"), ("sku_0", "A"), ("quantity_0", "2"), ("price_0", "19.99")];
        let result = console.post("/campaigns/spring/try", &cart).await;
        assert!(result.expect_page(200).contains("34.98 EUR"), "{role}: {result:?}");
    }
    server.stop().await;
}

on_stores!([sqlite, postgres] regression_only_roles_that_download_codes_see_masks_of_campaigns);
async fn regression_only_roles_that_download_codes_see_masks_of_campaigns(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let marketer = Console::sign_in(&server, &place, "marketer").await;
    let public = with(&[("name", "open"), ("kind", "public"), ("mask", "BLOSSOM"), ("per_code", "")]);
    let before = with(&[("mask", "BLOSSOM-###")]);
    let after = with(&[("mask", "BLOSSOM-####"), ("version", "1")]);
    for (path, form) in [("/new-campaign", public), ("/new-campaign", before), ("/campaigns/spring/edit", after)] {
        let saved = marketer.post(path, &form).await;
        assert_eq!(saved.status, 303, "{saved:?}");
    }
    for (role, sees_masks) in
        [("viewer", false), ("affiliates", false), ("support", false), ("marketer", true), ("admin", true)]
    {
        let console = Console::sign_in(&server, &place, role).await;
        for path in ["/campaigns/spring", "/campaigns/spring/versions", "/campaigns/open", "/campaigns/open/try"] {
            let page = console.page(path).await;
            assert_eq!(page.contains("BLOSSOM"), sees_masks, "{role}, {path}: {page}");
        }
        let page = console.page("/campaigns/spring/versions").await;
        assert_eq!(page.contains(">hidden<"), !sees_masks, "the change itself is shown to {role}: {page}");
        assert!(!console.page("/campaigns").await.contains("BLOSSOM"), "{role}");
    }
    server.stop().await;
}

on_stores!([sqlite, postgres] a_list_of_identities_gets_a_code_each);
async fn a_list_of_identities_gets_a_code_each(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let console = Console::sign_in(&server, &place, "marketer").await;
    console.post("/new-campaign", &with(&[("kind", "restricted")])).await;
    for path in ["/campaigns/spring/list", "/campaigns/spring/list"] {
        let done = console.upload(path, "identity\nann\nbob\n").await;
        assert!(done.expect_redirect().starts_with("/campaigns/spring?done="), "{done:?}");
    }
    assert_eq!(place.number("select count(*) from jobs where kind = 'restricted' and count = 2").await, 1);
    let refused = console.upload("/campaigns/spring/list", "identity\n").await;
    assert!(refused.expect_page(422).contains("no valid identity"), "{refused:?}");
    assert_eq!(console.upload_with_token("/campaigns/spring/list", "carl\n", None).await.status, 403);
    let viewer = Console::sign_in(&server, &place, "viewer").await;
    assert_eq!(viewer.upload("/campaigns/spring/list", "carl\n").await.status, 403);
    assert_eq!(place.number("select count(*) from jobs").await, 1);
    server.stop().await;
}

on_stores!([sqlite, postgres] regression_saving_a_campaign_leaves_one_of_almost_the_same_name_alone);
async fn regression_saving_a_campaign_leaves_one_of_almost_the_same_name_alone(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let key = create_key(&place, "manage").await;
    let console = Console::sign_in(&server, &place, "marketer").await;
    for (name, points) in [("/v1/campaigns/spring", 1000), ("/v1/campaigns/%20spring%20", 9900)] {
        let campaign = json!({
            "title": "Spring sale", "kind": "private", "active": true, "mask": "SPRING-[:safe:]{8}", "offer": { "text": "one\ntwo" },
            "discount": { "effect": { "type": "percent", "basis_points": points }, "target": { "type": "order" } },
        });
        server.ask("PUT", name, &key, Some(campaign)).await.expect(201);
    }
    let changed = with(&[("version", "1"), ("percent", "98"), ("offer_text", "one\r\ntwo")]);
    let saved = console.post("/campaigns/%20spring%20/edit", &changed).await;
    assert_eq!(saved.expect_redirect(), "/campaigns/%20spring%20?done=saved");
    for (name, version, points) in [("/v1/campaigns/spring", 1, 1000), ("/v1/campaigns/%20spring%20", 2, 9800)] {
        let campaign = server.get(name, &key).await.expect(200);
        assert_eq!(campaign["version"], version, "{campaign}");
        assert_eq!(campaign["discount"]["effect"]["basis_points"], points, "{campaign}");
    }
    let campaign = server.get("/v1/campaigns/%20spring%20", &key).await.expect(200);
    assert_eq!(campaign["offer"]["text"], "one\ntwo", "{campaign}");
}
