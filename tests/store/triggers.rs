//! Triggers on both stores: which codes are issued, what waits, and that nothing happens twice.

use std::collections::BTreeSet;

use chrono::{Duration, Utc};
use codemint_campaigns::triggering::{TriggerHandler, Triggers};
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_offers::read::trigger::{IdFrom, read_trigger};
use codemint_offers::trigger::record::Trigger;
use codemint_offers::trigger::result::TriggerResult;
use codemint_store::campaigns::changes::ChangeCampaign;
use codemint_store::redemptions::forgetting::Forget;
use codemint_store::triggers::due::DecidedDue;
use codemint_store::triggers::handle::TriggerOutcome;
use codemint_test_support::engine_steps::{put_request, request, run};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::DEADLINE;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

/// Creates a restricted campaign that new locations of the segment `trial` concern, with these changes, and fills its pool.
pub async fn campaign(place: &TestStore, name: &str, codes: i128, changes: &Value) {
    let mask = format!("{}-####", name.to_uppercase());
    let mut document = json!({
        "name": name, "title": name, "kind": "restricted", "active": true, "mask": mask,
        "use_cases": ["location.created", "preset"], "segments": ["trial"],
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    for (field, value) in changes.as_object().expect("fields") {
        document[field] = value.clone();
    }
    let definition = read_definition(&document, NameFrom::Document).expect("a definition");
    place.store.create_campaign(&definition).await.expect("a campaign");
    fill(place, name, codes).await;
}

async fn fill(place: &TestStore, name: &str, codes: i128) {
    if codes > 0 {
        let mut request = request(&format!("{}-####", name.to_uppercase()), codes, 1000);
        request.campaign = Some(name.to_owned());
        let job = put_request(&place.store, &request).await;
        run(&place.store, &job).await;
    }
}

pub fn trigger(id: &str, identity: &str, changes: &Value) -> Trigger {
    let mut document = json!({ "type": "location.created", "identity": identity, "segments": ["trial"] });
    for (field, value) in changes.as_object().expect("fields") {
        document[field] = value.clone();
    }
    read_trigger(&document, IdFrom::Path(id)).expect("a trigger")
}

pub fn handler(place: &TestStore) -> TriggerHandler {
    TriggerHandler::new(place.store.clone(), true)
}

/// What became of a trigger, by campaign: `issued`, the reason, or `waiting`.
fn shown(outcome: &TriggerOutcome) -> Vec<(String, &'static str)> {
    let TriggerOutcome::Handled { trigger, .. } = outcome else { return vec![(String::new(), "different")] };
    let word = |result: &TriggerResult| match result {
        TriggerResult::Issued { .. } => "issued",
        TriggerResult::Skipped { reason } => (*reason).into(),
        TriggerResult::Waiting { .. } => "waiting",
    };
    trigger.results.iter().map(|(campaign, result)| (campaign.clone(), word(result))).collect()
}

pub async fn handle(place: &TestStore, trigger: Trigger) -> Vec<(String, &'static str)> {
    shown(&handler(place).handle(&[trigger]).await.expect("answers")[0])
}

/// What a trigger means for the only campaign.
async fn handled(place: &TestStore, trigger: Trigger) -> &'static str {
    let shown = handle(place, trigger).await;
    assert_eq!(shown.len(), 1, "{shown:?}");
    shown[0].1
}

async fn stands(place: &TestStore, id: &str) -> &'static str {
    let trigger = place.store.find_trigger(id).await.expect("an answer").expect("a trigger");
    shown(&TriggerOutcome::Handled { trigger, is_new: false })[0].1
}

pub async fn decide_due(place: &TestStore) -> DecidedDue {
    handler(place).decide_due().await.expect("an answer")
}

/// Every issued result has the assignment of its trigger, and the other way round; nobody has two codes.
async fn assert_exact(place: &TestStore) {
    let results = place
        .texts(
            "select r.trigger_id || ' ' || r.identity || ' ' || r.code from trigger_results r where r.state = 'issued'",
        )
        .await;
    let assignments = place
        .texts("select trigger_id || ' ' || identity || ' ' || code from assignments where cause = 'trigger'")
        .await;
    let set = |texts: &[String]| texts.iter().cloned().collect::<BTreeSet<_>>();
    assert_eq!(set(&results), set(&assignments));
    assert_eq!(set(&results).len(), results.len());
    let owned = place.number("select count(*) from pool where code in (select code from assignments)").await;
    assert_eq!(owned, 0);
}

on_both_stores!(a_trigger_issues_the_codes_of_the_campaigns_that_it_concerns_once);
async fn a_trigger_issues_the_codes_of_the_campaigns_that_it_concerns_once(place: TestStore) {
    campaign(&place, "welcome", 10, &json!({})).await;
    campaign(&place, "second", 10, &json!({ "use_cases": ["location.created", "location.added"] })).await;
    campaign(&place, "other", 10, &json!({ "use_cases": ["onboarding.finished"] })).await;
    campaign(&place, "off", 10, &json!({ "active": false })).await;
    campaign(&place, "gold", 10, &json!({ "segments": ["gold"] })).await;
    campaign(&place, "empty", 0, &json!({})).await;
    campaign(&place, "full", 10, &json!({ "limits": { "issued": 1 } })).await;
    let skipped = [("empty", "pool-empty"), ("gold", "segment-not-met"), ("off", "campaign-not-active")];
    let expect = |named: &[(&str, &'static str)]| {
        let mut all: Vec<(String, &'static str)> =
            named.iter().chain(&skipped).map(|(name, word)| ((*name).to_owned(), *word)).collect();
        all.sort();
        all
    };
    let first = trigger("t-1", "loc-1", &json!({}));
    let answered = handler(&place).handle(std::slice::from_ref(&first)).await.expect("answers");
    assert_eq!(shown(&answered[0]), expect(&[("full", "issued"), ("second", "issued"), ("welcome", "issued")]));
    let again = handler(&place).handle(&[first, trigger("t-1", "loc-9", &json!({}))]).await.expect("answers");
    let TriggerOutcome::Handled { trigger: handled, is_new: true } = &answered[0] else { panic!("{answered:?}") };
    assert_eq!(again[0], TriggerOutcome::Handled { trigger: handled.clone(), is_new: false });
    assert_eq!(again[1], TriggerOutcome::DifferentRequest);
    assert_eq!(place.store.find_trigger("t-1").await.expect("an answer").as_ref(), Some(handled));
    assert_eq!(place.store.find_trigger("t-2").await.expect("an answer"), None);
    // Once per identity, and the limit is reached.
    let same = [("full", "already-generated"), ("second", "already-generated"), ("welcome", "already-generated")];
    assert_eq!(handle(&place, trigger("t-2", "loc-1", &json!({}))).await, expect(&same));
    let next = [("full", "issue-limit-reached"), ("second", "issued"), ("welcome", "issued")];
    assert_eq!(handle(&place, trigger("t-3", "loc-2", &json!({}))).await, expect(&next));
    assert_eq!(handle(&place, trigger("t-4", "loc-3", &json!({ "type": "location.moved" }))).await, []);
    assert_exact(&place).await;
    assert_eq!(place.number("select count(*) from triggers").await, 4);
    // One event for each trigger, without codes and identities.
    let events =
        place.texts("select cast(payload as text) from outbox where message_type = 'codemint.trigger.handled.v1'");
    let events = events.await;
    assert_eq!(events.len(), 4);
    let codes = place.texts("select code from assignments").await;
    for event in &events {
        assert!(!event.contains("loc-") && codes.iter().all(|code| !event.contains(code)), "{event}");
    }
}

on_both_stores!(stored_members_and_conditions_of_segments_count_for_triggers);
async fn stored_members_and_conditions_of_segments_count_for_triggers(place: TestStore) {
    campaign(&place, "welcome", 10, &json!({ "segments": ["listed", "german"] })).await;
    let german = json!({ "condition": { "compare": { "attribute": "country", "op": "eq", "value": "DE" } } });
    place.store.put_segment("german", &german, None).await.expect("a segment");
    place.execute("insert into segments (name) values ('listed')").await;
    place.execute("insert into segment_members (segment, identity) values ('listed', 'loc-1')").await;
    assert_eq!(handled(&place, trigger("t-1", "loc-1", &json!({ "segments": [] }))).await, "issued");
    assert_eq!(handled(&place, trigger("t-2", "loc-2", &json!({}))).await, "segment-not-met");
    let country = json!({ "attributes": { "country": "DE" } });
    assert_eq!(handled(&place, trigger("t-3", "loc-2", &country)).await, "issued");
}

on_both_stores!(one_batch_answers_each_trigger_as_if_it_came_alone);
async fn one_batch_answers_each_trigger_as_if_it_came_alone(place: TestStore) {
    campaign(&place, "welcome", 2, &json!({})).await;
    let batch = [
        trigger("t-9", "loc-1", &json!({})),
        trigger("t-1", "loc-1", &json!({})),
        trigger("t-9", "loc-1", &json!({})),
        trigger("t-9", "loc-2", &json!({})),
        trigger("t-3", "loc-2", &json!({})),
        trigger("t-2", "loc-3", &json!({})),
    ];
    let outcomes = handler(&place).handle(&batch).await.expect("answers");
    let words: Vec<&str> = outcomes.iter().map(|outcome| shown(outcome)[0].1).collect();
    assert_eq!(words, ["issued", "already-generated", "issued", "different", "issued", "pool-empty"]);
    let is_new = |outcome: &TriggerOutcome| matches!(outcome, TriggerOutcome::Handled { is_new: true, .. });
    assert_eq!(outcomes.iter().map(is_new).collect::<Vec<_>>(), [true, true, false, false, true, true]);
    assert_eq!(outcomes, {
        let again = handler(&place).handle(&batch).await.expect("answers");
        let first = outcomes.clone().into_iter().zip(again.clone());
        first.map(|(first, again)| if shown(&first) == shown(&again) { first } else { again }).collect::<Vec<_>>()
    });
    assert_exact(&place).await;
}

on_both_stores!(a_campaign_that_waits_issues_when_the_days_are_over);
async fn a_campaign_that_waits_issues_when_the_days_are_over(place: TestStore) {
    campaign(&place, "back", 10, &json!({ "wait_days_after_deactivation": 30 })).await;
    assert_eq!(handled(&place, trigger("t-0", "loc-0", &json!({}))).await, "waits-for-deactivation");
    let past = json!({ "deactivated_at": Utc::now() - Duration::days(31) });
    let fresh = json!({ "deactivated_at": Utc::now() - Duration::days(29) });
    assert_eq!(handled(&place, trigger("t-1", "loc-1", &past)).await, "waiting");
    assert_eq!(handled(&place, trigger("t-2", "loc-2", &fresh)).await, "waiting");
    let not_member = json!({ "deactivated_at": Utc::now() - Duration::days(31), "segments": [] });
    assert_eq!(handled(&place, trigger("t-3", "loc-3", &not_member)).await, "waiting");
    assert!(place.store.has_due_triggers().await.expect("an answer"));
    assert_eq!(decide_due(&place).await, DecidedDue { issued: 1, skipped: 1, waiting: 0 });
    assert_eq!(decide_due(&place).await, DecidedDue::default());
    assert!(!place.store.has_due_triggers().await.expect("an answer"));
    assert_eq!(stands(&place, "t-1").await, "issued");
    assert_eq!(stands(&place, "t-2").await, "waiting");
    assert_eq!(stands(&place, "t-3").await, "segment-not-met");
    // The same trigger again: what became of it.
    assert_eq!(handled(&place, trigger("t-1", "loc-1", &past)).await, "issued");
    // An identity that has a code does not wait for another one.
    assert_eq!(handled(&place, trigger("t-4", "loc-1", &past)).await, "already-generated");
    // Whatever is decided later has an event of its own.
    let events = "select count(*) from outbox where message_type = 'codemint.trigger.handled.v1'";
    assert_eq!(place.number(events).await, 7);
    assert_exact(&place).await;
}

on_both_stores!(the_later_deactivation_of_an_identity_wins);
async fn the_later_deactivation_of_an_identity_wins(place: TestStore) {
    campaign(&place, "back", 10, &json!({ "wait_days_after_deactivation": 30 })).await;
    let at = |days: i64| json!({ "deactivated_at": Utc::now() - Duration::days(days) });
    assert_eq!(handled(&place, trigger("t-1", "loc-1", &at(40))).await, "waiting");
    assert_eq!(handled(&place, trigger("t-2", "loc-1", &at(10))).await, "waiting");
    assert_eq!(stands(&place, "t-1").await, "superseded");
    assert_eq!(handled(&place, trigger("t-3", "loc-1", &at(20))).await, "superseded");
    // Of equal deactivations, the first stays, in one transaction and in several.
    let same = at(60);
    let batch = [trigger("t-7", "loc-3", &same), trigger("t-8", "loc-3", &same)];
    let outcomes = handler(&place).handle(&batch).await.expect("answers");
    assert_eq!(outcomes.iter().map(|outcome| shown(outcome)[0].1).collect::<Vec<_>>(), ["waiting", "superseded"]);
    assert_eq!(handled(&place, trigger("t-9", "loc-3", &same)).await, "superseded");
    assert_eq!(decide_due(&place).await, DecidedDue { issued: 1, skipped: 0, waiting: 0 });
    let batch = [trigger("t-4", "loc-2", &at(50)), trigger("t-5", "loc-2", &at(35)), trigger("t-6", "loc-2", &at(45))];
    let outcomes = handler(&place).handle(&batch).await.expect("answers");
    let words: Vec<&str> = outcomes.iter().map(|outcome| shown(outcome)[0].1).collect();
    assert_eq!(words, ["superseded", "waiting", "superseded"]);
    assert_eq!(place.number("select count(*) from trigger_results where state = 'waiting'").await, 2);
    assert_eq!(decide_due(&place).await, DecidedDue { issued: 1, skipped: 0, waiting: 0 });
    assert_eq!([stands(&place, "t-2").await, stands(&place, "t-5").await], ["waiting", "issued"]);
    // One when it began to wait, and one when another took its place.
    let events = "select count(*) from outbox where cast(payload as text) like '%\"subject\":\"t-1\"%'";
    assert_eq!(place.number(events).await, 2);
    assert_exact(&place).await;
}

on_both_stores!(a_trigger_that_is_due_is_decided_with_the_campaign_as_it_is);
async fn a_trigger_that_is_due_is_decided_with_the_campaign_as_it_is(place: TestStore) {
    let past = json!({ "deactivated_at": Utc::now() - Duration::days(31) });
    for name in ["off", "changed", "shorter", "empty", "asked"] {
        campaign(&place, name, i128::from(name != "empty"), &json!({ "wait_days_after_deactivation": 30 })).await;
    }
    let waiting = handle(&place, trigger("t-1", "loc-1", &past)).await;
    assert!(waiting.iter().all(|(_, word)| *word == "waiting"), "{waiting:?}");
    place.store.switch_campaign("off", false).await.expect("a switch");
    for (name, field, value) in [
        ("changed", "use_cases", json!(["location.added"])),
        // The time at which it is due stays.
        ("shorter", "wait_days_after_deactivation", json!(0)),
    ] {
        let found = place.store.find_campaign(name).await.expect("an answer").expect("a campaign");
        let mut document = serde_json::to_value(&found.definition).expect("JSON");
        document[field] = value;
        document["wait_days_after_deactivation"] = json!(0);
        let definition = read_definition(&document, NameFrom::Document).expect("a definition");
        let changed = place.store.change_campaign(&definition, found.version).await.expect("an answer");
        assert!(matches!(changed, ChangeCampaign::Changed { .. }), "{changed:?}");
    }
    place.codemint(["issue", "asked", "loc-1"]).run().await.expect_code(0);
    assert_eq!(decide_due(&place).await, DecidedDue { issued: 1, skipped: 3, waiting: 1 });
    let stands = handle(&place, trigger("t-1", "loc-1", &past)).await;
    let expected = [
        ("asked", "already-generated"),
        ("changed", "use-case-not-met"),
        ("empty", "waiting"),
        ("off", "campaign-not-active"),
        ("shorter", "issued"),
    ];
    assert_eq!(stands, expected.map(|(name, word)| (name.to_owned(), word)));
    // An empty pool is tried again a minute later.
    assert_eq!(decide_due(&place).await, DecidedDue::default());
    fill(&place, "empty", 1).await;
    place.execute("update trigger_results set due_at = '2020-01-01T00:00:00.000Z' where state = 'waiting'").await;
    assert_eq!(decide_due(&place).await, DecidedDue { issued: 1, skipped: 0, waiting: 0 });
    assert_exact(&place).await;
}

/// A worker that decides a trigger does not keep others from deciding the rest.
#[tokio::test]
async fn a_trigger_that_another_worker_decides_is_left_to_it() {
    let place = TestStore::postgres().await;
    campaign(&place, "back", 10, &json!({ "wait_days_after_deactivation": 30 })).await;
    let past = json!({ "deactivated_at": Utc::now() - Duration::days(31) });
    for number in 1..=2 {
        handle(&place, trigger(&format!("t-{number}"), &format!("loc-{number}"), &past)).await;
    }
    let mut other = PgConnection::connect(&place.url).await.expect("a connection");
    let mut transaction = other.begin().await.expect("a transaction");
    let lock = sqlx::query("select 1 from trigger_results where trigger_id = 't-1' for update");
    lock.execute(&mut *transaction).await.expect("a lock");
    let decided = timeout(DEADLINE, decide_due(&place)).await.expect("nobody waits for the lock");
    assert_eq!(decided, DecidedDue { issued: 1, skipped: 0, waiting: 0 });
    assert_eq!([stands(&place, "t-1").await, stands(&place, "t-2").await], ["waiting", "issued"]);
    transaction.rollback().await.expect("an end");
    assert_eq!(decide_due(&place).await, DecidedDue { issued: 1, skipped: 0, waiting: 0 });
    assert_exact(&place).await;
}

on_both_stores!(a_forgotten_identity_gets_no_code_and_leaves_no_trace_in_triggers);
async fn a_forgotten_identity_gets_no_code_and_leaves_no_trace_in_triggers(place: TestStore) {
    campaign(&place, "welcome", 10, &json!({})).await;
    campaign(&place, "back", 10, &json!({ "wait_days_after_deactivation": 30 })).await;
    let stated =
        json!({ "deactivated_at": Utc::now() - Duration::days(31), "attributes": { "mail": "ann@example.org" } });
    let of_ann = trigger("t-1", "ann", &stated);
    handle(&place, of_ann.clone()).await;
    let forgotten = place.store.forget_identity("ann").await.expect("an answer");
    assert!(matches!(forgotten, Forget::Done(forgotten) if forgotten.triggers == 1), "{forgotten:?}");
    let rows = place.texts("select coalesce(identity_text, '') || cast(payload as text) from triggers").await;
    assert_eq!(rows, ["{}"]);
    assert_eq!(decide_due(&place).await, DecidedDue::default());
    let answer = handle(&place, of_ann).await;
    assert_eq!(answer, [("back".to_owned(), "identity-forgotten"), ("welcome".to_owned(), "issued")]);
    assert_exact(&place).await;
}

on_both_stores!(many_callers_in_several_processes_issue_one_code_for_each_identity);
async fn many_callers_in_several_processes_issue_one_code_for_each_identity(place: TestStore) {
    campaign(&place, "welcome", 500, &json!({ "limits": { "issued": 400 } })).await;
    campaign(&place, "second", 1000, &json!({})).await;
    campaign(&place, "back", 1000, &json!({ "wait_days_after_deactivation": 1 })).await;
    let others = [TriggerHandler::new(place.store.clone(), true), TriggerHandler::new(place.open_again().await, true)];
    let services: Vec<Triggers> = others.iter().cloned().map(Triggers::start).collect();
    // Meanwhile both decide what is due.
    let deciding: Vec<_> = others
        .iter()
        .cloned()
        .map(|handler| {
            tokio::spawn(async move {
                for _ in 0..40 {
                    if let Err(error) = handler.decide_due().await {
                        assert!(error.is_retryable(), "{error}");
                    }
                    tokio::time::sleep(std::time::Duration::from_millis(25)).await;
                }
            })
        })
        .collect();
    let at = Utc::now() - Duration::days(2);
    let calls: Vec<_> = (0..40_usize)
        .map(|caller| {
            let services = services.clone();
            tokio::spawn(async move {
                for number in 0..25_usize {
                    // Neighbouring callers name some of the same identities, and some of the same triggers.
                    let identity = format!("loc-{}", (caller / 2) * 25 + number);
                    let id = format!("t-{}-{identity}", caller % 2);
                    let state = json!({ "deactivated_at": at + Duration::seconds(caller as i64 % 2) });
                    let service = &services[(caller + number) % 2];
                    for one in [trigger(&id, &identity, &state), trigger(&id, &identity, &state)] {
                        service.handle(one).await.expect("an answer");
                    }
                }
            })
        })
        .collect();
    for call in calls {
        call.await.expect("a caller");
    }
    for one in deciding {
        one.await.expect("no panic");
    }
    while decide_due(&place).await != DecidedDue::default() {}
    assert_exact(&place).await;
    let issued = async |name: &str| {
        let of = format!(
            "select count(*) from assignments a join campaigns p on p.no = a.campaign_no where p.name = '{name}'"
        );
        place.number(&of).await
    };
    assert_eq!([issued("welcome").await, issued("second").await, issued("back").await], [400, 500, 500]);
    assert_eq!(place.number("select taken from allowances where scope = 'issued'").await, 400);
    assert_eq!(place.number("select count(*) from triggers").await, 1000);
    let waiting = place.number("select count(*) from trigger_results where state = 'waiting'").await;
    assert_eq!(waiting, 0);
}

on_both_stores!(a_failure_at_any_point_of_a_trigger_is_survived);
async fn a_failure_at_any_point_of_a_trigger_is_survived(place: TestStore) {
    campaign(&place, "welcome", 100, &json!({})).await;
    campaign(&place, "back", 100, &json!({ "wait_days_after_deactivation": 1 })).await;
    let mut identities = 0;
    for point in ["pool-taken", "before-issue-commit", "after-issue-commit"] {
        for action in ["error", "panic", "abort"] {
            identities += 1;
            let (id, identity) = (format!("t-{point}-{action}"), format!("loc-{identities}"));
            let document = json!({ "type": "location.created", "identity": identity, "segments": ["trial"],
                "deactivated_at": "2020-01-01T00:00:00Z" });
            std::fs::write(place.path().join("t.json"), document.to_string()).expect("a file");
            let send = ["trigger", "send", "t.json", "--id", &id];
            let failpoints = format!("{point}=1*return({action})->off");
            place.codemint(send).env("FAILPOINTS", &failpoints).run().await;
            let sent = place.codemint(send).run().await.expect_code(0);
            assert!(sent.stdout.contains("issued ") && sent.stdout.contains("waiting "), "{}", sent.stdout);
            let drain = place.codemint(["worker", "--drain"]).env("CODEMINT__ADMIN__LISTEN", "off");
            drain.env("FAILPOINTS", &failpoints).run().await;
            let drain = place.codemint(["worker", "--drain"]).env("CODEMINT__ADMIN__LISTEN", "off");
            drain.run().await.expect_code(0);
            assert_eq!(place.number("select count(*) from assignments").await, identities * 2, "{point} {action}");
            assert_exact(&place).await;
        }
    }
}
