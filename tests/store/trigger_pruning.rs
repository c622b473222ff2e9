//! Old triggers are removed with their results, and nobody gets a second code for it.

use chrono::{DateTime, Utc};
use codemint_offers::trigger::record::Trigger;
use codemint_store::triggers::handle::TriggerOutcome;
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::{DEADLINE, wait_until};
use serde_json::json;
use sqlx::{Connection, PgConnection, Postgres, Transaction};
use tokio::time::timeout;

use crate::triggers::{campaign, decide_due, handle, handler, trigger};

const AGE: &str = "update triggers set at = '2020-01-01T00:00:00.000Z'";

fn cut() -> DateTime<Utc> {
    "2021-01-01T00:00:00Z".parse().expect("a time")
}

/// Prunes page by page, and returns the number of removed triggers.
async fn prune(place: &TestStore) -> u64 {
    let (mut after, mut removed) = (String::new(), 0);
    loop {
        let page = place.store.list_prunable_triggers(cut(), &after).await.expect("a page");
        assert!(page.prunable.len() <= 1000, "a page is bounded");
        removed += place.store.prune_triggers(cut(), &page.prunable).await.expect("an answer");
        match page.last {
            Some(last) => after = last,
            None => return removed,
        }
    }
}

async fn ids(place: &TestStore) -> Vec<String> {
    place.texts("select id from triggers order by id").await
}

on_both_stores!(old_triggers_are_removed_unless_they_wait_and_nobody_gets_a_second_code);
async fn old_triggers_are_removed_unless_they_wait_and_nobody_gets_a_second_code(place: TestStore) {
    campaign(&place, "welcome", 10, &json!({})).await;
    campaign(&place, "gold", 10, &json!({ "segments": ["gold"] })).await;
    let back = json!({ "wait_days_after_deactivation": 30, "use_cases": ["location.closed"] });
    campaign(&place, "back", 10, &back).await;
    let closed = json!({ "type": "location.closed", "deactivated_at": Utc::now() });
    handle(&place, trigger("t-1", "loc-1", &json!({}))).await;
    handle(&place, trigger("t-2", "loc-2", &closed)).await;
    handle(&place, trigger("t-3", "loc-3", &json!({ "type": "location.moved" }))).await;
    place.execute(AGE).await;
    handle(&place, trigger("t-4", "loc-4", &json!({}))).await;
    let assignments = "select trigger_id || ' ' || identity || ' ' || code from assignments order by 1";
    let issued = place.texts(assignments).await;
    let page = place.store.list_prunable_triggers(cut(), "").await.expect("a page");
    assert_eq!((page.prunable, page.last), (vec!["t-1".to_owned(), "t-3".to_owned()], Some("t-4".to_owned())));
    assert_eq!(ids(&place).await.len(), 4, "a look removes nothing");

    assert_eq!((prune(&place).await, prune(&place).await), (2, 0));
    assert_eq!(ids(&place).await, ["t-2", "t-4"], "one waits, one is young");
    assert_eq!(place.texts("select distinct trigger_id from trigger_results order by 1").await, ["t-2", "t-4"]);
    assert_eq!(place.texts(assignments).await, issued, "codes stay with their identities");
    let log = place.texts("select result || ' ' || detail || ' ' || count from audit where action = 'prune'").await;
    assert_eq!(log, ["done triggers 2"]);
    // The same trigger is new again: an identity with a code gets no second one, and other campaigns decide anew.
    let again = trigger("t-1", "loc-1", &json!({ "segments": ["trial", "gold"] }));
    assert_eq!(handle(&place, again.clone()).await, shown(&[("gold", "issued"), ("welcome", "already-generated")]));
    place.execute(AGE).await;
    prune(&place).await;
    let expected = shown(&[("gold", "already-generated"), ("welcome", "already-generated")]);
    assert_eq!(handle(&place, again).await, expected);
    assert_eq!(place.number("select count(*) from assignments").await, 3);
    // What waited is decided, and goes with the next pruning.
    place.execute("update trigger_results set due_at = '2020-01-01T00:00:00.000Z' where state = 'waiting'").await;
    assert_eq!(decide_due(&place).await.issued, 1);
    place.execute(AGE).await;
    prune(&place).await;
    assert_eq!(ids(&place).await, [""; 0]);
    let answer = handle(&place, trigger("t-2", "loc-2", &closed)).await;
    assert_eq!(answer, shown(&[("back", "already-generated")]), "it waits for nothing");
}

fn shown(results: &[(&str, &'static str)]) -> Vec<(String, &'static str)> {
    results.iter().map(|(campaign, word)| ((*campaign).to_owned(), *word)).collect()
}

on_both_stores!(many_triggers_are_removed_page_by_page);
async fn many_triggers_are_removed_page_by_page(place: TestStore) {
    let moved = json!({ "type": "location.moved" });
    let triggers: Vec<Trigger> =
        (0..2500).map(|number| trigger(&format!("t-{number:04}"), &format!("loc-{number}"), &moved)).collect();
    for some in triggers.chunks(1000) {
        handler(&place).handle(some).await.expect("answers");
    }
    place.execute(AGE).await;
    // Between the old ones are young ones.
    place.execute("update triggers set at = '2022-01-01T00:00:00.000Z' where id like 't-%7'").await;
    assert_eq!(prune(&place).await, 2250);
    assert_eq!(place.number("select count(*) from triggers where id like 't-%7'").await, 250);
    assert_eq!(place.number("select count(*) from triggers").await, 250);
    let log = "select cast(sum(count) as bigint) from audit where action = 'prune' and detail = 'triggers'";
    assert_eq!(place.number(log).await, 2250);
}

/// Pruning never waits for a trigger that somebody handles.
#[tokio::test]
async fn a_trigger_that_is_being_handled_stays() {
    let place = TestStore::postgres().await;
    for number in 1..=2 {
        handle(&place, trigger(&format!("t-{number}"), "loc-1", &json!({}))).await;
    }
    place.execute(AGE).await;
    let mut other = PgConnection::connect(&place.url).await.expect("a connection");
    let transaction = begin(&mut other, "select 1 from triggers where id = 't-1' for key share").await;
    assert_eq!(timeout(DEADLINE, prune(&place)).await.expect("nobody waits for the lock"), 1);
    assert_eq!(ids(&place).await, ["t-1"]);
    transaction.rollback().await.expect("an end");
    assert_eq!(prune(&place).await, 1);
}

/// Waits until a statement of the store waits for a lock.
async fn wait_until_locked(place: &TestStore) {
    let waiting =
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    wait_until("a statement waits", async || place.number(waiting).await == 1).await;
}

async fn begin<'c>(connection: &'c mut PgConnection, sql: &str) -> Transaction<'c, Postgres> {
    let mut transaction = connection.begin().await.expect("a transaction");
    sqlx::query(sql).execute(&mut *transaction).await.expect(sql);
    transaction
}

/// A trigger that comes again while it is being removed is a new one, and not another one under its id.
#[tokio::test]
async fn a_trigger_that_comes_again_while_it_is_removed_is_new() {
    let place = TestStore::postgres().await;
    campaign(&place, "welcome", 10, &json!({})).await;
    let (first, second) = (trigger("t-1", "loc-1", &json!({})), trigger("t-2", "loc-2", &json!({})));
    handle(&place, first.clone()).await;
    let mut other = PgConnection::connect(&place.url).await.expect("a connection");
    let of_second =
        "insert into triggers (id, request_digest, type, identity, payload) values ('t-2', '', '', '', '{}')";
    let transaction = begin(&mut other, of_second).await;
    let again = tokio::spawn({
        let (handler, both) = (handler(&place), [first, second]);
        async move { handler.handle(&both).await }
    });
    // The first one was found, and the second one is awaited: now the first one goes.
    wait_until_locked(&place).await;
    place.execute("delete from triggers where id = 't-1'").await;
    transaction.rollback().await.expect("an end");
    let answers = timeout(DEADLINE, again).await.expect("in time").expect("no panic").expect("answers");
    let is_new = |answer: &TriggerOutcome| matches!(answer, TriggerOutcome::Handled { is_new: true, .. });
    assert!(answers.iter().all(is_new), "{answers:?}");
    assert_eq!(place.texts("select identity_text from assignments order by 1").await, ["loc-1", "loc-2"]);
}

/// A trigger that comes again is not removed before it is answered, so the answer has all that became of it.
#[tokio::test]
async fn a_repeated_trigger_stays_until_it_is_answered() {
    let place = TestStore::postgres().await;
    campaign(&place, "welcome", 10, &json!({})).await;
    let (first, second) = (trigger("t-1", "loc-1", &json!({})), trigger("t-2", "loc-2", &json!({})));
    let before = handler(&place).handle(std::slice::from_ref(&first)).await.expect("answers").remove(0);
    place.execute(AGE).await;
    let mut other = PgConnection::connect(&place.url).await.expect("a connection");
    let transaction = begin(&mut other, "lock table trigger_results in exclusive mode").await;
    let again = tokio::spawn({
        let (handler, both) = (handler(&place), [first, second]);
        async move { handler.handle(&both).await }
    });
    // The results of the second one cannot be written yet.
    wait_until_locked(&place).await;
    assert_eq!(timeout(DEADLINE, prune(&place)).await.expect("nobody waits for the answer"), 0);
    transaction.rollback().await.expect("an end");
    let answers = timeout(DEADLINE, again).await.expect("in time").expect("no panic").expect("answers");
    let TriggerOutcome::Handled { trigger, is_new: true } = before else { panic!("{before:?}") };
    assert_eq!(answers[0], TriggerOutcome::Handled { trigger, is_new: false });
    assert_eq!(prune(&place).await, 1);
}
