//! Campaigns in the store: versions, limits, switches, segments.

use std::time::Duration;

use chrono::DateTime;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::campaign::status::Status;
use codemint_offers::condition::document::SegmentDocument;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_store::campaigns::changes::{ChangeCampaign, CreateCampaign};
use codemint_store::campaigns::segments::PutSegment;
use codemint_test_support::engine_steps::mint;
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;
use serde_json::{Value, json};

fn document(name: &str) -> Value {
    json!({
        "name": name, "title": "Spring sale", "kind": "private", "active": true, "mask": "SPRING-[:safe:]{8}",
        "starts_at": "2020-03-01T00:00:00+01:00",
        "limits": { "redeemed": 100, "issued": 50, "budget": { "currency": "EUR", "amount": 100_000 } },
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    })
}

fn definition(document: &Value) -> Definition {
    read_definition(document, NameFrom::Document).expect("a definition")
}

fn changed(mut document: Value, field: &str, value: Value) -> Definition {
    *document.pointer_mut(field).expect("a field") = value;
    definition(&document)
}

const LIMITS: &str = "
    select scope || ' ' || subject || ' ' || cast(quota as text) || ' ' || cast(taken as text)
      from allowances order by scope";

on_both_stores!(a_campaign_is_created_once_and_read_back);
async fn a_campaign_is_created_once_and_read_back(place: TestStore) {
    let spring = definition(&document("spring"));
    assert_eq!(place.store.create_campaign(&spring).await.expect("an answer"), CreateCampaign::Created);
    let again = place.store.create_campaign(&spring).await.expect("an answer");
    assert_eq!(again, CreateCampaign::Exists { version: 1, is_same: true });
    let other = changed(document("spring"), "/title", json!("Other"));
    let again = place.store.create_campaign(&other).await.expect("an answer");
    assert_eq!(again, CreateCampaign::Exists { version: 1, is_same: false });

    let found = place.store.find_campaign("spring").await.expect("an answer").expect("a campaign");
    assert_eq!((found.version, &found.definition, found.status()), (1, &spring, Status::Active));
    assert!(place.store.find_campaign("summer").await.expect("an answer").is_none());
    assert_eq!(place.texts(LIMITS).await, ["budget EUR 100000 0", "campaign  100 0", "issued  50 0"]);
    let audited = "select action || ' ' || campaign || ' ' || detail from audit";
    assert_eq!(place.texts(audited).await, ["campaign_create spring version 1"]);
}

on_both_stores!(a_change_needs_the_current_version_and_makes_the_next_one);
async fn a_change_needs_the_current_version_and_makes_the_next_one(place: TestStore) {
    let store = &place.store;
    let spring = definition(&document("spring"));
    assert_eq!(store.change_campaign(&spring, 1).await.expect("an answer"), ChangeCampaign::Unknown);
    store.create_campaign(&spring).await.expect("a campaign");
    assert_eq!(store.change_campaign(&spring, 1).await.expect("an answer"), ChangeCampaign::Unchanged { version: 1 });
    let other = changed(document("spring"), "/limits", json!({ "per_code": 1 }));
    assert_eq!(store.change_campaign(&other, 2).await.expect("an answer"), ChangeCampaign::Stale { version: 1 });
    assert_eq!(store.change_campaign(&other, 1).await.expect("an answer"), ChangeCampaign::Changed { version: 2 });
    assert_eq!(store.change_campaign(&spring, 1).await.expect("an answer"), ChangeCampaign::Stale { version: 2 });
    assert_eq!(place.texts(LIMITS).await, Vec::<String>::new());
    let versions = store
        .list_campaign_versions(store.find_campaign("spring").await.expect("an answer").expect("a campaign").no)
        .await
        .expect("versions");
    let read: Vec<(u32, &Definition)> = versions.iter().map(|made| (made.version, &made.definition)).collect();
    assert_eq!(read, [(2, &other), (1, &spring)]);
}

on_both_stores!(a_limit_below_what_is_taken_is_refused_and_changes_nothing);
async fn a_limit_below_what_is_taken_is_refused_and_changes_nothing(place: TestStore) {
    let store = &place.store;
    store.create_campaign(&definition(&document("spring"))).await.expect("a campaign");
    place.execute("update allowances set taken = 40 where scope = 'campaign'").await;
    place.execute("update allowances set taken = 9000 where scope = 'budget'").await;
    for (field, value, problem) in [
        ("/limits/redeemed", json!(39), "/limits/redeemed: 40 are taken already; write 40 or more, or 0 for no limit"),
        ("/limits/budget/amount", json!(8999), "/limits/budget/amount: 9000 are spent already; write 9000 or more"),
        (
            "/limits/budget/currency",
            json!("USD"),
            "/limits/budget/currency: 9000 of the budget are spent; keep its currency",
        ),
        (
            "/kind",
            json!("restricted"),
            "/kind: the kind of a campaign does not change; create another campaign instead",
        ),
    ] {
        let refused = store.change_campaign(&changed(document("spring"), field, value), 1).await.expect("an answer");
        let ChangeCampaign::Refused(problems) = refused else { panic!("{field}: {refused:?}") };
        assert_eq!(problems.iter().map(ToString::to_string).collect::<Vec<_>>(), [problem]);
    }
    assert_eq!(place.texts(LIMITS).await, ["budget EUR 100000 9000", "campaign  100 40", "issued  50 0"]);
    let lower = changed(document("spring"), "/limits/redeemed", json!(40));
    assert_eq!(store.change_campaign(&lower, 1).await.expect("an answer"), ChangeCampaign::Changed { version: 2 });
    assert_eq!(place.texts(LIMITS).await, ["budget EUR 100000 9000", "campaign  40 40", "issued  50 0"]);
}

on_both_stores!(a_switch_makes_a_version_unless_it_is_there_already);
async fn a_switch_makes_a_version_unless_it_is_there_already(place: TestStore) {
    let store = &place.store;
    assert_eq!(store.switch_campaign("spring", true).await.expect("an answer"), ChangeCampaign::Unknown);
    store.create_campaign(&definition(&document("spring"))).await.expect("a campaign");
    for (active, answer, status) in [
        (true, ChangeCampaign::Unchanged { version: 1 }, Status::Active),
        (false, ChangeCampaign::Changed { version: 2 }, Status::Off),
        (false, ChangeCampaign::Unchanged { version: 2 }, Status::Off),
        (true, ChangeCampaign::Changed { version: 3 }, Status::Active),
    ] {
        assert_eq!(store.switch_campaign("spring", active).await.expect("an answer"), answer);
        let found = store.find_campaign("spring").await.expect("an answer").expect("a campaign");
        assert_eq!(found.status(), status);
    }
    let audited = "select action || ': ' || detail from audit order by no";
    let entries =
        ["campaign_create: version 1", "campaign_deactivate: version 1 to 2", "campaign_activate: version 2 to 3"];
    assert_eq!(place.texts(audited).await, entries);
}

on_both_stores!(of_many_changes_at_once_of_one_version_one_succeeds);
async fn of_many_changes_at_once_of_one_version_one_succeeds(place: TestStore) {
    place.store.create_campaign(&definition(&document("spring"))).await.expect("a campaign");
    let changes = (0..16).map(|number| {
        let (store, title) = (place.store.clone(), json!(format!("Title {number}")));
        tokio::spawn(async move {
            let definition = changed(document("spring"), "/title", title);
            loop {
                match store.change_campaign(&definition, 1).await {
                    Ok(answer) => return answer,
                    Err(error) => assert!(error.is_retryable(), "{error}"),
                }
            }
        })
    });
    let mut succeeded = 0;
    for change in changes.collect::<Vec<_>>() {
        match change.await.expect("a change") {
            ChangeCampaign::Changed { version: 2 } => succeeded += 1,
            answer => assert_eq!(answer, ChangeCampaign::Stale { version: 2 }),
        }
    }
    assert_eq!(succeeded, 1);
}

on_both_stores!(codes_that_were_minted_before_the_campaign_belong_to_it);
async fn codes_that_were_minted_before_the_campaign_belong_to_it(place: TestStore) {
    mint(&place, "SPRING-####", 300, 100).await;
    place.execute("update jobs set campaign = 'spring'").await;
    mint(&place, "OTHER-####", 200, 100).await;
    place.store.create_campaign(&definition(&document("spring"))).await.expect("a campaign");
    let found = place.store.find_campaign("spring").await.expect("an answer").expect("a campaign");
    assert_eq!(found.counts.codes, 300);
    let listed = place.store.list_campaigns("", 10).await.expect("campaigns");
    assert_eq!(listed.iter().map(|campaign| &*campaign.definition.name).collect::<Vec<_>>(), ["spring"]);
    assert!(place.store.list_campaigns("spring", 10).await.expect("campaigns").is_empty());
}

on_both_stores!(regression_a_segment_that_was_changed_meanwhile_is_not_replaced);
async fn regression_a_segment_that_was_changed_meanwhile_is_not_replaced(place: TestStore) {
    let tree = json!({ "condition": null });
    let put = async |expected| place.store.put_segment("gold", &tree, expected).await.expect("an answer");
    let changed_at = async || place.store.find_segment("gold").await.expect("an answer").expect("a segment").changed_at;
    assert_eq!(put(Some(DateTime::UNIX_EPOCH)).await, PutSegment::Stale, "no such segment");
    assert_eq!(put(None).await, PutSegment::Created);
    let read_at = changed_at().await;
    // SQLite measures times in milliseconds.
    tokio::time::sleep(Duration::from_millis(2)).await;
    assert_eq!(put(None).await, PutSegment::Replaced);
    assert_eq!(put(Some(read_at)).await, PutSegment::Stale);
    // Of two people who have read the same segment, one wins.
    let read_at = changed_at().await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    let mut came = [PutSegment::Stale; 2];
    (came[0], came[1]) = tokio::join!(put(Some(read_at)), put(Some(read_at)));
    came.sort_by_key(|put| *put == PutSegment::Stale);
    assert_eq!(came, [PutSegment::Replaced, PutSegment::Stale]);
}

on_both_stores!(the_members_of_a_segment_are_replaced_as_a_whole);
async fn the_members_of_a_segment_are_replaced_as_a_whole(place: TestStore) {
    let store = &place.store;
    let batches = |names: &[&str]| vec![names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()].into_iter();
    let replaced = store.replace_members("gold", batches(&["ann", "bob"])).await.expect("members");
    assert_eq!((replaced.before, replaced.now), (0, 2));
    let put = store.put_segment("gold", &json!({ "condition": null }), None).await.expect("a segment");
    assert_eq!(put, PutSegment::Replaced);
    let replaced = store.replace_members("gold", batches(&["bob", "eve", "joe"])).await.expect("members");
    assert_eq!((replaced.before, replaced.now), (2, 3));
    let members = "select identity from segment_members where segment = 'gold' order by identity";
    assert_eq!(place.texts(members).await, ["bob", "eve", "joe"]);
    let found = store.find_segment("gold").await.expect("an answer").expect("a segment");
    assert!(found.tree.is_some());
    let found = SegmentDocument::try_from(found).expect("a document");
    assert_eq!((found.members, found.condition.is_null()), (3, true));
    assert!(store.delete_segment("gold").await.expect("an answer"));
    assert!(!store.delete_segment("gold").await.expect("an answer"));
    assert_eq!(place.number("select count(*) from segment_members").await, 0);
    assert!(store.list_segments("", 10).await.expect("segments").is_empty());
}
