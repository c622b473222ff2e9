//! Affiliates in the console: rules with their periods, and the references that are excluded from them.

use serde_json::{Value, json};

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::console::{Console, field_of};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

const PATH: &str = "/affiliates/choc-2027";
const RULE: [(&str, &str); 5] =
    [("name", "choc-2027"), ("mask", "0#########"), ("prefix", "fch"), ("campaign", "choc"), ("active", "on")];

/// Starts a server with a campaign of Berlin, and returns it with a key of the team.
async fn start(place: &TestStore) -> (ApiServer, String) {
    let server = ApiServer::start_with(place, &[], &["--no-worker"]).await;
    let key = create_key(place, "manage").await;
    let campaign = json!({
        "title": "Chocolate", "kind": "private", "active": true, "mask": "CHOC-[:safe:]{8}", "zone": "Europe/Berlin",
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    server.ask("PUT", "/v1/campaigns/choc", &key, Some(campaign)).await.expect(201);
    (server, key)
}

async fn rule(server: &ApiServer, key: &str) -> Value {
    server.get("/v1/affiliates/rules/choc-2027", key).await.expect(200)
}

on_stores!([sqlite, postgres] a_rule_is_created_changed_switched_and_removed);
async fn a_rule_is_created_changed_switched_and_removed(place: TestStore) {
    let (server, key) = start(&place).await;
    let team = Console::sign_in(&server, &place, "affiliates").await;
    assert!(team.page("/affiliates").await.contains("Create the first rule"));
    let mut fields = RULE.to_vec();
    fields.extend([("from_0", "2027-03-01T00:00"), ("to_0", "2027-07-01T00:00"), ("from_2", "2028-01-01T00:00")]);
    let created = team.post("/new-affiliate-rule", &fields).await;
    assert_eq!(created.expect_redirect(), format!("{PATH}?done=created"));
    let stored = rule(&server, &key).await;
    // On the clock of the campaign.
    let periods = json!([{ "from": "2027-02-28T23:00:00Z", "to": "2027-06-30T22:00:00Z" }, { "from": "2027-12-31T23:00:00Z", "to": null }]);
    assert_eq!((&stored["periods"], &stored["prefix"], &stored["active"]), (&periods, &"FCH".into(), &true.into()));
    let page = team.page("/affiliates").await;
    for text in [
        "0#########",
        "FCH",
        "1 Mar 2027, 00:00 – 1 Jul 2027, 00:00",
        "from 1 Jan 2028, 00:00",
        "Europe/Berlin",
        "Switch off",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }

    // The form shows the times of the zone; sent back as it is, it changes nothing.
    let form = team.page(&format!("{PATH}/edit")).await;
    for text in [
        "value=\"2027-03-01T00:00\"",
        "value=\"2028-01-01T00:00\"",
        "value=\"Europe/Berlin\"",
        "name=\"from_4\"",
        "checked",
    ] {
        assert!(form.contains(text), "{text}: {form}");
    }
    assert!(!form.contains("name=\"from_5\"") && !form.contains("name=\"name\""), "three spare rows: {form}");
    let mut changed = RULE[1..].to_vec();
    let changed_at = field_of(&form, "changed_at").expect("a time");
    changed.extend([("priority", "-3"), ("zone", "UTC"), ("from_7", "2027-03-01T00:00"), ("changed_at", &changed_at)]);
    let changed = team.post(&format!("{PATH}/edit"), &changed).await;
    assert_eq!(changed.expect_redirect(), format!("{PATH}?done=changed"));
    let stored = rule(&server, &key).await;
    assert_eq!(
        (&stored["periods"], &stored["priority"]),
        (&json!([{ "from": "2027-03-01T00:00:00Z", "to": null }]), &json!(-3))
    );

    let switched = team.post(&format!("{PATH}/switch"), &[("active", "off"), ("back", "list")]).await;
    assert_eq!(switched.expect_redirect(), "/affiliates?done=off");
    assert_eq!(rule(&server, &key).await["active"], false);
    assert!(team.page(switched.expect_redirect()).await.contains("The rule is switched off."));
    let removed = team.post(&format!("{PATH}/delete"), &[]).await;
    assert_eq!(removed.expect_redirect(), "/affiliates?done=removed");
    team.get(PATH).await.expect_page(404);
    let actors = place.texts("select distinct actor from audit where action like 'affiliate_rule%'").await;
    assert_eq!(actors, ["console user=affiliates"]);
    server.stop().await;
}

on_stores!([sqlite, postgres] regression_a_rule_that_somebody_else_switched_off_stays_off);
async fn regression_a_rule_that_somebody_else_switched_off_stays_off(place: TestStore) {
    let (server, key) = start(&place).await;
    let team = Console::sign_in(&server, &place, "affiliates").await;
    team.post("/new-affiliate-rule", &RULE).await.expect_redirect();
    let changed_at = field_of(&team.page(&format!("{PATH}/edit")).await, "changed_at").expect("a time");
    let other = Console::sign_in(&server, &place, "marketer").await;
    other.post(&format!("{PATH}/switch"), &[("active", "off")]).await.expect_redirect();
    let save = async |changed_at: &str, priority: &str| {
        let mut sent = RULE[1..].to_vec();
        sent.extend([("priority", priority), ("changed_at", changed_at)]);
        team.post(&format!("{PATH}/edit"), &sent).await
    };
    // Sending the form once more does not help either, nor does leaving the time out.
    for changed_at in [&*changed_at, &*changed_at, ""] {
        let stale = save(changed_at, "7").await;
        let stale = stale.expect_page(422);
        assert!(stale.contains("somebody else has changed the rule meanwhile; open it again"), "{stale}");
        assert_eq!(field_of(stale, "priority").as_deref(), Some("7"), "what was typed stays");
        assert_eq!(field_of(stale, "changed_at").as_deref(), Some(changed_at));
    }
    let stored = rule(&server, &key).await;
    assert_eq!((&stored["active"], &stored["priority"]), (&false.into(), &0.into()));
    // Opened again, the form shows the rule as it is, and can be saved.
    let changed_at = field_of(&team.page(&format!("{PATH}/edit")).await, "changed_at").expect("a time");
    assert_eq!(save(&changed_at, "8").await.expect_redirect(), format!("{PATH}?done=changed"));
    assert_eq!(rule(&server, &key).await["priority"], 8);
    server.stop().await;
}

on_stores!([sqlite, postgres] wrong_rules_and_conflicts_are_explained_at_their_fields);
async fn wrong_rules_and_conflicts_are_explained_at_their_fields(place: TestStore) {
    let (server, _key) = start(&place).await;
    let team = Console::sign_in(&server, &place, "affiliates").await;
    let wrong = [
        ("name", "<i>"),
        ("mask", "0#{"),
        ("prefix", "F H"),
        ("campaign", "none"),
        ("priority", "high"),
        ("zone", "Mars"),
        ("from_1", "2027-03-28T02:30"),
        ("from_3", "2027-05-01T00:00"),
        ("to_3", "2027-04-01T00:00"),
    ];
    let refused = team.post("/new-affiliate-rule", &wrong).await;
    let refused = refused.expect_page(422);
    for field in ["mask", "prefix", "priority", "zone", "to_3"] {
        assert!(refused.contains(&format!("id=\"{field}-problem\"")), "{field}: {refused}");
    }
    assert!(refused.contains("value=\"&#60;i&#62;\"") && !refused.contains("<i>"), "{refused}");
    let mut skipped = RULE.to_vec();
    skipped.push(("from_1", "2027-03-28T02:30"));
    let refused = team.post("/new-affiliate-rule", &skipped).await;
    assert!(refused.expect_page(422).contains("id=\"from_1-problem\""), "{refused:?}");
    let mut nowhere = RULE.to_vec();
    nowhere[3] = ("campaign", "none");
    let refused = team.post("/new-affiliate-rule", &nowhere).await;
    assert!(refused.expect_page(422).contains("there is no campaign none; create it first"), "{refused:?}");

    team.post("/new-affiliate-rule", &RULE).await.expect_redirect();
    let again = team.post("/new-affiliate-rule", &RULE).await;
    assert!(again.expect_page(422).contains("there is a rule of this name already"), "{again:?}");
    let mut other = RULE.to_vec();
    (other[0], other[1]) = (("name", "b"), ("mask", "*#########"));
    let refused = team.post("/new-affiliate-rule", &other).await;
    let refused = refused.expect_page(422);
    assert!(refused.contains("the rule b concerns references that choc-2027 concerns at the same time"), "{refused}");
    assert!(refused.contains("value=\"*#########\""), "{refused}");
    assert_eq!(place.number("select count(*) from affiliate_rules").await, 1);
    server.stop().await;
}

on_stores!([sqlite, postgres] references_are_excluded_searched_uploaded_and_downloaded);
async fn references_are_excluded_searched_uploaded_and_downloaded(place: TestStore) {
    let (server, _key) = start(&place).await;
    let team = Console::sign_in(&server, &place, "affiliates").await;
    team.post("/new-affiliate-rule", &RULE).await.expect_redirect();
    assert!(team.page(PATH).await.contains("No reference is excluded"));
    let exclude = async |reference: &str, note: &str| {
        team.post(
            &format!("{PATH}/exclusions"),
            &[("reference", reference), ("affiliate", "Rose & <b>"), ("note", note)],
        )
        .await
    };
    assert_eq!(exclude("0123456780", "").await.expect_redirect(), format!("{PATH}?done=excluded"));
    assert_eq!(exclude("0123456780", "own contract").await.expect_redirect(), format!("{PATH}?done=details"));
    let page = team.page(PATH).await;
    assert!(
        page.contains("Exclusions: 1") && page.contains("own contract") && page.contains("Rose &#38; &#60;b&#62;"),
        "{page}"
    );
    let again = team.post(&format!("{PATH}/exclusions"), &[("reference", "0123456780"), ("promotion", "5 %")]).await;
    assert_eq!(again.expect_redirect(), format!("{PATH}?done=details"));
    let page = team.page(PATH).await;
    for kept in ["Exclusions: 1", "own contract", "Rose &#38; &#60;b&#62;", "5 %"] {
        assert!(page.contains(kept), "an empty field keeps what was noted: {kept}: {page}");
    }
    let refused = exclude("9123456780", &"x".repeat(201)).await;
    let refused = refused.expect_page(422);
    assert!(refused.contains("id=\"note-problem\"") && refused.contains("value=\"9123456780\""), "{refused}");
    assert!(exclude("9123456780", "").await.expect_page(422).contains("id=\"reference-problem\""));

    let list: String =
        std::iter::once("reference,note\n".to_owned()).chain((0..120).map(|n| format!("01{n:08},n{n}\n"))).collect();
    assert_eq!(
        team.upload(&format!("{PATH}/exclusion-list"), &list).await.expect_redirect(),
        format!("{PATH}?done=list")
    );
    let first = team.page(PATH).await;
    assert!(
        first.contains("Exclusions: 120") && first.contains("0100000049") && !first.contains("0100000050"),
        "{first}"
    );
    let next = first.split("rel=\"next\" href=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a next page");
    assert!(team.page(next).await.contains("0100000050"));
    let found = team.page(&format!("{PATH}?prefix=010000011")).await;
    assert!(
        found.contains("0100000119") && !found.contains("0100000109") && !found.contains("rel=\"next\""),
        "{found}"
    );
    assert!(
        team.get(&format!("{PATH}?prefix={}", "0".repeat(65))).await.expect_page(422).contains("id=\"prefix-problem\"")
    );

    let refused = team.upload(&format!("{PATH}/exclusion-list"), "reference\n9123456780\n").await;
    assert!(refused.expect_page(422).contains("line 2: "), "{refused:?}");
    let included = team.post(&format!("{PATH}/exclusions/remove"), &[("reference", "0100000000")]).await;
    assert_eq!(included.expect_redirect(), format!("{PATH}?done=included"));
    let file = team.get(&format!("{PATH}/exclusions.csv")).await;
    assert_eq!((file.status, file.header("content-type")), (200, Some("text/csv; charset=utf-8")));
    assert!(
        file.header("content-disposition").is_some_and(|value| value.starts_with("attachment")),
        "{:?}",
        file.headers
    );
    let lines: Vec<&str> = file.body.lines().collect();
    assert_eq!((lines.len(), lines[0], lines[1]), (120, "reference,affiliate,promotion,note", "0100000001,,,n1"));
    // What was downloaded may be uploaded.
    team.upload(&format!("{PATH}/exclusion-list"), &file.body).await.expect_redirect();
    assert_eq!(place.number("select count(*) from affiliate_exclusions").await, 119);
    server.stop().await;
}

on_stores!([sqlite, postgres] a_reference_is_resolved_as_the_shop_resolves_it);
async fn a_reference_is_resolved_as_the_shop_resolves_it(place: TestStore) {
    let (server, _key) = start(&place).await;
    let team = Console::sign_in(&server, &place, "affiliates").await;
    let ask = async |reference: &str| team.page(&format!("/affiliates?reference={reference}")).await;
    assert!(ask("0123456789").await.contains("No rule has a mask for such references."));
    team.post("/new-affiliate-rule", &RULE).await.expect_redirect();
    team.post(&format!("{PATH}/exclusions"), &[("reference", "0123456780")]).await.expect_redirect();
    wait_until("the server follows the rule", async || ask("0123456789").await.contains("FCH0123456789")).await;
    let page = ask("0123456789").await;
    assert!(page.contains(&format!("href=\"{PATH}\"")) && page.contains("href=\"/campaigns/choc\""), "{page}");
    assert!(ask("0123456780").await.contains("It is excluded"));
    team.post(&format!("{PATH}/switch"), &[("active", "off")]).await.expect_redirect();
    wait_until("the rule is off", async || ask("0123456789").await.contains("it is switched off")).await;
    assert!(team.get("/affiliates?reference=%20").await.expect_page(422).contains("id=\"reference-problem\""));
    server.stop().await;
}

#[tokio::test]
async fn other_roles_see_rules_and_change_nothing() {
    let place = TestStore::sqlite().await;
    let (server, _key) = start(&place).await;
    let team = Console::sign_in(&server, &place, "affiliates").await;
    team.post("/new-affiliate-rule", &RULE).await.expect_redirect();
    for role in ["viewer", "support"] {
        let console = Console::sign_in(&server, &place, role).await;
        for path in ["/affiliates", PATH] {
            let page = console.page(path).await;
            assert!(
                page.contains("choc-2027")
                    && !page.contains("Switch o")
                    && !page.contains("New rule")
                    && !page.contains("Remove"),
                "{page}"
            );
        }
        for path in ["edit", "switch", "delete", "exclusions", "exclusions/remove"] {
            console.post(&format!("{PATH}/{path}"), &RULE).await.expect_page(403);
        }
        console.post("/new-affiliate-rule", &RULE).await.expect_page(403);
        console.upload(&format!("{PATH}/exclusion-list"), "reference\n").await.expect_page(403);
    }
    team.post_with_token(&format!("{PATH}/delete"), &[], "").await.expect_page(403);
    assert_eq!(place.number("select count(*) from affiliate_rules").await, 1);
    server.stop().await;
}
