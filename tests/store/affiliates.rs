//! Rules and exclusions for affiliates in the store: conflicts, limits, lists, and what processes keep in memory.

use std::time::{Duration, Instant};

use chrono::DateTime;
use codemint_campaigns::affiliates::AffiliateBook;
use codemint_offers::affiliate::document::ResolvedDocument;
use codemint_offers::affiliate::exclusion::{Details, EXCLUSIONS_MAX, Exclusion, RULE_EXCLUSIONS_MAX};
use codemint_offers::affiliate::rule::{RULES_MAX, Rule};
use codemint_offers::read::affiliate::read_rule;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_store::affiliates::exclusions::{CHANGES_KEPT, EXCLUSIONS_AT_ONCE, Excluding, ReplacedExclusions};
use codemint_store::affiliates::kept::KeptAffiliates;
use codemint_store::affiliates::rules::{PutRule, SwitchRule};
use codemint_store::connection::store::Store;
use codemint_test_support::redeem_steps::definition;
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::waiting::wait_until;
use codemint_test_support::{on_all_stores, on_both_stores};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// A few more than what is inserted at once.
const MANY: usize = 2 * EXCLUSIONS_AT_ONCE + 7;

fn rule(name: &str, mask: &str, fields: &Value) -> Rule {
    let mut document = json!({ "mask": mask, "prefix": "FCH", "campaign": "choc" });
    document.as_object_mut().expect("an object").extend(fields.as_object().expect("fields").clone());
    read_rule(name, &document).expect("a rule")
}

async fn create_campaign(store: &Store) {
    let document = definition("choc", "private", "CHOC-[:safe:]{8}", &json!({}));
    store
        .create_campaign(&read_definition(&document, NameFrom::Document).expect("a definition"))
        .await
        .expect("a campaign");
}

async fn put(store: &Store, rule: &Rule) -> PutRule {
    store.put_affiliate_rule(rule, None).await.expect("an answer")
}

fn exclusion(number: usize) -> Exclusion {
    let details = Details { affiliate: Some(format!("affiliate {number}")), ..Details::default() };
    Exclusion { reference: format!("0{number:09}"), details }
}

fn batches(count: usize) -> impl Iterator<Item = Vec<Exclusion>> + Send {
    (0..count)
        .step_by(EXCLUSIONS_AT_ONCE)
        .map(move |first| (first..count.min(first + EXCLUSIONS_AT_ONCE)).map(exclusion).collect())
}

fn offered(reference: &str, rule: &str) -> ResolvedDocument {
    let (rule, campaign) = (Some(rule.to_owned()), Some("choc".to_owned()));
    ResolvedDocument { reference: reference.to_owned(), rule, campaign, reason: None }
}

fn unchanged(reference: &str, reason: &str) -> ResolvedDocument {
    ResolvedDocument { reference: reference.to_owned(), rule: None, campaign: None, reason: Some(reason.to_owned()) }
}

on_all_stores!(regression_a_rule_that_was_switched_meanwhile_is_not_replaced);
async fn regression_a_rule_that_was_switched_meanwhile_is_not_replaced(place: TestStore) {
    let store = &place.store;
    create_campaign(store).await;
    let first = rule("choc-2027", "0#########", &json!({}));
    let put_if = async |expected| store.put_affiliate_rule(&first, Some(expected)).await.expect("an answer");
    assert_eq!(put_if(DateTime::UNIX_EPOCH).await, PutRule::Stale, "no such rule");
    assert_eq!(put(store, &first).await, PutRule::Created);
    let find = async || store.find_affiliate_rule("choc-2027").await.expect("an answer").expect("a rule");
    let read_at = find().await.changed_at;
    // SQLite measures times in milliseconds.
    tokio::time::sleep(Duration::from_millis(2)).await;
    store.switch_affiliate_rule("choc-2027", false).await.expect("an answer");
    assert_eq!(put_if(read_at).await, PutRule::Stale);
    let switched = find().await;
    assert!(!switched.rule.active);
    assert_eq!(store.affiliates_version().await.expect("a version"), 2, "a stale change is no version");
    assert_eq!(put_if(switched.changed_at).await, PutRule::Replaced);
    assert!(find().await.rule.active);
}

on_all_stores!(a_rule_is_read_back_as_it_was_put_and_each_change_has_a_version_and_an_audit_row);
async fn a_rule_is_read_back_as_it_was_put_and_each_change_has_a_version_and_an_audit_row(place: TestStore) {
    let store = &place.store;
    let periods =
        json!([{ "from": "2027-03-01T00:00:00.5+01:00", "to": null }, { "from": null, "to": "2027-01-01T00:00:00Z" }]);
    let first = rule("choc-2027", "0#########", &json!({ "priority": -3, "periods": periods }));
    assert_eq!(put(store, &first).await, PutRule::UnknownCampaign);
    create_campaign(store).await;
    assert_eq!(put(store, &first).await, PutRule::Created);
    let found = store.find_affiliate_rule("choc-2027").await.expect("an answer").expect("a rule");
    assert_eq!((&found.rule, found.exclusions), (&first, 0));
    assert_eq!(put(store, &first).await, PutRule::Replaced);
    let switch = async |active| store.switch_affiliate_rule("choc-2027", active).await.expect("an answer");
    assert_eq!(switch(false).await, SwitchRule::Switched);
    assert_eq!(switch(false).await, SwitchRule::Unchanged);
    assert!(!store.find_affiliate_rule("choc-2027").await.expect("an answer").expect("a rule").rule.active);
    let put = store.put_exclusion("choc-2027", &exclusion(1)).await.expect("an answer");
    assert_eq!(put, Excluding::Done(true));
    // A refused change, an unchanged one and a look are no versions.
    let short = Exclusion { reference: "1".to_owned(), ..exclusion(1) };
    let refused = store.put_exclusion("choc-2027", &short).await.expect("an answer");
    assert_eq!(refused, Excluding::NotDescribed { mask: "0#########".to_owned() });
    let none = store.delete_exclusion("choc-2027", "0000000009").await.expect("an answer");
    assert_eq!(none, Excluding::Done(false));
    assert_eq!(store.affiliates_version().await.expect("a version"), 4);
    assert!(store.delete_affiliate_rule("choc-2027").await.expect("an answer"));
    assert!(!store.delete_affiliate_rule("choc-2027").await.expect("an answer"));
    assert_eq!(place.number("select count(*) from affiliate_exclusions").await, 0);
    let audited = "select action || ' ' || result || ' ' || coalesce(campaign, '-') || ' ' || detail from audit
                    where action like 'affiliate%' order by no";
    let expected = [
        "affiliate_rule_change done choc choc-2027: created",
        "affiliate_rule_change done choc choc-2027: replaced",
        "affiliate_rule_change done choc choc-2027: switched off",
        "affiliate_rule_change unchanged choc choc-2027: switched off",
        "affiliate_exclusions_change done - choc-2027: exclusion added",
        "affiliate_exclusions_change unchanged - choc-2027: exclusion removed",
        "affiliate_rule_remove done - choc-2027: removed",
        "affiliate_rule_remove unchanged - choc-2027: removed",
    ];
    assert_eq!(place.texts(audited).await, expected);
}

on_both_stores!(of_rules_in_conflict_that_processes_put_at_once_one_is_stored);
async fn of_rules_in_conflict_that_processes_put_at_once_one_is_stored(place: TestStore) {
    create_campaign(&place.store).await;
    let mut stores = Vec::new();
    for _ in 0..8 {
        stores.push(place.open_again().await);
    }
    for _ in 0..5 {
        let mut puts = JoinSet::new();
        for (number, store) in stores.iter().cloned().enumerate() {
            let rule = rule(&format!("rule-{number}"), "0#########", &json!({}));
            puts.spawn(async move { put(&store, &rule).await });
        }
        let answers = puts.join_all().await;
        let stored: Vec<String> = place.texts("select name from affiliate_rules").await;
        assert_eq!(stored.len(), 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| **answer == PutRule::Created).count(), 1);
        let conflict = PutRule::Conflict(stored.clone());
        assert_eq!(answers.iter().filter(|answer| **answer == conflict).count(), 7, "{answers:?}");
        place.store.delete_affiliate_rule(&stored[0]).await.expect("an answer");
    }
    put(&place.store, &rule("lower", "0#########", &json!({}))).await;
    let in_turn = rule("higher", "0#########", &json!({ "priority": 1 }));
    assert_eq!(put(&place.store, &in_turn).await, PutRule::Created);
}

on_both_stores!(rules_and_exclusions_have_limits);
async fn rules_and_exclusions_have_limits(place: TestStore) {
    let store = &place.store;
    create_campaign(store).await;
    place
        .execute(&format!(
            "insert into affiliate_rules (name, mask, prefix, campaign, active, priority, periods, exclusions_version, list_version)
             with recursive numbers (n) as (select 1 union all select n + 1 from numbers where n < {RULES_MAX} - 1)
             select 'r' || cast(n as text), '1###', '', 'choc', {}, n, '[]', 0, 0 from numbers",
            if place.kind == Kind::Sqlite { "1" } else { "true" }
        ))
        .await;
    let last = rule("last", "0#########", &json!({}));
    assert_eq!(put(store, &last).await, PutRule::Created);
    assert_eq!(put(store, &rule("one-more", "2###", &json!({}))).await, PutRule::TooMany);
    assert_eq!(put(store, &last).await, PutRule::Replaced);
    let set = async |name: &str, exclusions: u64| {
        place.execute(&format!("update affiliate_rules set exclusions = {exclusions} where name = '{name}'")).await;
    };
    let add = async |number| store.put_exclusion("last", &exclusion(number)).await.expect("an answer");
    assert_eq!(add(1).await, Excluding::Done(true));
    set("last", RULE_EXCLUSIONS_MAX).await;
    assert_eq!(add(2).await, Excluding::TooMany);
    assert_eq!(add(1).await, Excluding::Done(false), "a known one may be changed");
    set("last", 1).await;
    set("r1", EXCLUSIONS_MAX - 2).await;
    assert_eq!(add(2).await, Excluding::Done(true));
    assert_eq!(add(3).await, Excluding::TooMany);
    let replaced = store.replace_exclusions("last", batches(3)).await.expect("an answer");
    assert_eq!(replaced, Excluding::TooMany);
    assert_eq!(place.number("select count(*) from affiliate_exclusions").await, 2);
    let replaced = store.replace_exclusions("last", batches(2)).await.expect("an answer");
    assert_eq!(replaced, Excluding::Done(ReplacedExclusions { before: 2, now: 2 }));
}

on_both_stores!(a_list_replaces_all_exclusions_and_is_read_back_whole);
async fn a_list_replaces_all_exclusions_and_is_read_back_whole(place: TestStore) {
    let store = &place.store;
    create_campaign(store).await;
    put(store, &rule("choc-2027", "0#########", &json!({}))).await;
    store.put_exclusion("choc-2027", &exclusion(999_999)).await.expect("an answer");
    let replaced = store.replace_exclusions("choc-2027", batches(MANY)).await.expect("an answer");
    assert_eq!(replaced, Excluding::Done(ReplacedExclusions { before: 1, now: MANY as u64 }));
    let stored = store.find_affiliate_rule("choc-2027").await.expect("an answer").expect("a rule");
    assert_eq!(stored.exclusions, MANY as u64);
    let mut read = Vec::new();
    store.read_all_exclusions(stored.no, |page| read.extend(page)).await.expect("all");
    assert_eq!(read, (0..MANY).map(exclusion).collect::<Vec<_>>());
    let page = store.list_exclusions(stored.no, "000001", "0000010001", 3).await.expect("a page");
    assert_eq!(page, (10_002..10_005).map(exclusion).collect::<Vec<_>>());
    let missing = store.replace_exclusions("none", batches(1)).await.expect("an answer");
    assert_eq!(missing, Excluding::NoRule);
}

on_both_stores!(only_what_has_changed_is_read_again);
async fn only_what_has_changed_is_read_again(place: TestStore) {
    let store = &place.store;
    create_campaign(store).await;
    put(store, &rule("choc-2027", "0#########", &json!({}))).await;
    store.replace_exclusions("choc-2027", batches(10)).await.expect("an answer");
    let nothing = KeptAffiliates::default();
    let known = store.read_affiliates(&nothing).await.expect("all");
    let excluded = async |known: &KeptAffiliates| {
        let kept = store.read_affiliates(known).await.expect("all");
        let (_, excluded) = kept.rules().next().expect("a rule");
        (0..20).filter(|number| excluded.contains(&exclusion(*number).reference)).collect::<Vec<_>>()
    };
    // Nobody changes it so: it shows what is read.
    place.execute("update affiliate_exclusions set reference = 'X' where reference = '0000000000'").await;
    assert_eq!(excluded(&known).await, (0..10).collect::<Vec<_>>());
    for number in [15, 12, 3] {
        store.put_exclusion("choc-2027", &exclusion(number)).await.expect("an answer");
    }
    for number in [5, 9, 12] {
        store.delete_exclusion("choc-2027", &exclusion(number).reference).await.expect("an answer");
    }
    assert_eq!(excluded(&known).await, [0, 1, 2, 3, 4, 6, 7, 8, 15]);
    assert_eq!(excluded(&nothing).await, [1, 2, 3, 4, 6, 7, 8, 15]);
    assert_eq!(place.number("select count(*) from affiliate_exclusion_changes").await, 5);
    // Whoever is too far behind reads the whole list.
    let forget = format!("update kept_versions set version = version + {CHANGES_KEPT}");
    place.execute(&forget).await;
    store.put_exclusion("choc-2027", &exclusion(16)).await.expect("an answer");
    assert_eq!(excluded(&known).await, [1, 2, 3, 4, 6, 7, 8, 15, 16]);
    let known = store.read_affiliates(&nothing).await.expect("all");
    store.replace_exclusions("choc-2027", batches(3)).await.expect("an answer");
    store.put_exclusion("choc-2027", &exclusion(7)).await.expect("an answer");
    assert_eq!(excluded(&known).await, [0, 1, 2, 7]);
    store.delete_affiliate_rule("choc-2027").await.expect("an answer");
    put(store, &rule("choc-2027", "0#########", &json!({}))).await;
    assert_eq!(excluded(&known).await, Vec::<usize>::new());
}

on_both_stores!(every_process_resolves_by_a_change_within_a_second_of_it);
async fn every_process_resolves_by_a_change_within_a_second_of_it(place: TestStore) {
    let store = &place.store;
    create_campaign(store).await;
    let books = [AffiliateBook::new(store.clone()), AffiliateBook::new(place.open_again().await)];
    let resolve = async |book: &AffiliateBook| book.resolve("0000000001").await.expect("an answer");
    let all_say = async |expected: ResolvedDocument, what: &str| {
        let changed = Instant::now();
        loop {
            let (first, second) = (resolve(&books[0]).await, resolve(&books[1]).await);
            // Asked later than a second after the change, both must know it.
            let is_late = changed.elapsed() > Duration::from_secs(1);
            let (first_late, second_late) = match is_late {
                true => (resolve(&books[0]).await, resolve(&books[1]).await),
                false => (first, second),
            };
            if first_late == expected && second_late == expected {
                return;
            }
            assert!(!is_late, "{what}: {first_late:?} {second_late:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    all_say(unchanged("0000000001", "no-rule"), "no rule").await;
    put(store, &rule("choc-2027", "0#########", &json!({}))).await;
    all_say(offered("FCH0000000001", "choc-2027"), "a new rule").await;
    store.put_exclusion("choc-2027", &exclusion(1)).await.expect("an answer");
    all_say(unchanged("0000000001", "excluded"), "a new exclusion").await;
    store.replace_exclusions("choc-2027", batches(1)).await.expect("an answer");
    all_say(offered("FCH0000000001", "choc-2027"), "another list").await;
    store.switch_affiliate_rule("choc-2027", false).await.expect("an answer");
    all_say(unchanged("0000000001", "not-active"), "a switch").await;
    store.delete_affiliate_rule("choc-2027").await.expect("an answer");
    all_say(unchanged("0000000001", "no-rule"), "no rule any more").await;
}

on_both_stores!(resolving_writes_nothing);
async fn resolving_writes_nothing(place: TestStore) {
    create_campaign(&place.store).await;
    put(&place.store, &rule("choc-2027", "0#########", &json!({}))).await;
    let tables = match place.kind {
        Kind::Sqlite => "select name from sqlite_master where type = 'table' order by name",
        Kind::Postgres => {
            "select table_name::text from information_schema.tables where table_schema = 'public' order by 1"
        }
    };
    let tables = place.texts(tables).await;
    assert!(tables.len() > 20, "{tables:?}");
    let rows = async || {
        let mut rows = Vec::new();
        for table in &tables {
            rows.push(place.number(&format!("select count(*) from \"{table}\"")).await);
        }
        rows
    };
    let before = rows().await;
    let book = AffiliateBook::new(place.store.clone());
    for number in 0..2000 {
        let reference = format!("0{number:09}");
        let resolved = book.resolve(&reference).await.expect("an answer");
        assert_eq!(resolved.reference, format!("FCH{reference}"));
    }
    assert_eq!(rows().await, before);
    assert_eq!(place.store.affiliates_version().await.expect("a version"), 1);
}

#[tokio::test]
async fn while_the_store_is_away_references_are_resolved_for_a_second_and_then_no_longer() {
    let place = TestStore::postgres().await;
    create_campaign(&place.store).await;
    put(&place.store, &rule("choc-2027", "0#########", &json!({}))).await;
    let other = place.open_again().await;
    let book = AffiliateBook::new(other.clone());
    let asked = Instant::now();
    assert_eq!(book.resolve("0000000001").await.expect("an answer"), offered("FCH0000000001", "choc-2027"));
    other.close().await.expect("closed");
    let resolved = book.resolve("0000000001").await;
    // On a machine that is very busy, a second may have passed already.
    assert!(resolved.is_ok() || asked.elapsed() > Duration::from_millis(500), "{resolved:?}");
    wait_until("the book is too old", async || book.resolve("0000000001").await.is_err()).await;
    let again = book.resolve("0000000001").await;
    assert!(again.is_err(), "{again:?}");
}
