//! The outbox: events in order per job, claimed by one process at a time, and never with a code or a key.

use std::collections::BTreeSet;

use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::Request;
use codemint_codes::job::state::JobError;
use codemint_store::admission::refused::{PutRefused, RefusedRequest};
use codemint_store::admission::submit::PutJob;
use codemint_store::connection::store::Store;
use codemint_store::records::outbox::OutboxEvent;
use uuid::Uuid;

use codemint_test_support::engine_steps::{put, request, run};
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::waiting::wait_until;
use codemint_test_support::{on_all_stores, on_both_stores};

fn asker(reply_to: &str, correlation_id: &str) -> JobOptions {
    let (reply_to, correlation_id) = (Some(reply_to.to_owned()), Some(correlation_id.to_owned()));
    JobOptions { reply_to, correlation_id, ..JobOptions::default() }
}

fn announced() -> JobOptions {
    JobOptions { emits_events: true, correlation_id: Some("request".to_owned()), ..JobOptions::default() }
}

async fn put_announced(store: &Store, request: Request, options: JobOptions) -> Job {
    match store.put_job(Uuid::now_v7(), &request.with_options(options)).await.expect("a job") {
        PutJob::Stored(job) => job,
        other => panic!("{other:?}"),
    }
}

/// Returns all waiting events without removing them.
async fn waiting(store: &Store) -> Vec<OutboxEvent> {
    let batch = store.claim_events().await.expect("an answer").expect("unclaimed events");
    let events = batch.events.clone();
    store.delete_events(batch, &[]).await.expect("an answer");
    events
}

fn ids(events: &[OutboxEvent]) -> Vec<&str> {
    events.iter().map(|event| event.message_id.as_str()).collect()
}

on_all_stores!(the_events_of_a_job_are_stored_in_order_with_ids_derived_from_it);
async fn the_events_of_a_job_are_stored_in_order_with_ids_derived_from_it(place: TestStore) {
    let options = JobOptions { reply_to: Some("answers".to_owned()), ..announced() };
    let job = put_announced(&place.store, request("####", 30, 10), options).await;
    run(&place.store, &job).await;
    let events = waiting(&place.store).await;
    let id = job.id;
    let wanted =
        [format!("{id}/accepted"), format!("{id}/progress/10"), format!("{id}/completed"), format!("{id}/completed")];
    assert_eq!(ids(&events), wanted, "in {:?}", place.kind);
    assert!(events.is_sorted_by_key(|event| event.no));
    assert_eq!(
        events.iter().map(|event| event.reply_to.as_deref()).collect::<Vec<_>>(),
        [None, None, None, Some("answers")]
    );
    for event in &events {
        let json: serde_json::Value = serde_json::from_str(&event.payload).expect("JSON");
        assert_eq!((&json["id"], &json["subject"]), (&event.message_id.as_str().into(), &id.to_string().into()));
        assert_eq!(json["type"], event.message_type);
        assert_eq!(event.message_type, format!("codemint.{}.v1", event.routing_key));
        assert_eq!(event.correlation_id.as_deref(), Some("request"));
    }
}

/// Makes the store reject rows that meet this condition.
async fn refuse(place: &TestStore, table: &str, condition: &str) {
    let sql = match place.kind {
        Kind::Postgres => format!("alter table {table} add constraint refused check (not ({condition})) not valid"),
        Kind::Sqlite => ["insert", "update"]
            .map(|verb| {
                let row = condition.replace("col:", "new.");
                format!(
                    "create trigger refused_{table}_{verb} before {verb} on {table} when {row}
                     begin select raise(abort, 'refused'); end;"
                )
            })
            .concat(),
    };
    place.execute(&sql.replace("col:", "")).await;
}

async fn allow(place: &TestStore, table: &str) {
    place
        .execute(&match place.kind {
            Kind::Postgres => format!("alter table {table} drop constraint refused"),
            Kind::Sqlite => format!("drop trigger refused_{table}_insert; drop trigger refused_{table}_update"),
        })
        .await;
}

on_both_stores!(no_fact_is_stored_without_its_event_and_no_event_without_its_fact);
async fn no_fact_is_stored_without_its_event_and_no_event_without_its_fact(place: TestStore) {
    let count = async |place: &TestStore, sql: &str| place.number(&format!("select count(*) from {sql}")).await;
    refuse(&place, "outbox", "col:routing_key = 'job.accepted'").await;
    let wish = request("A###", 30, 10).with_options(announced());
    place.store.put_job(Uuid::now_v7(), &wish).await.expect_err("no event");
    assert_eq!(count(&place, "jobs").await, 0, "a job without its event in {:?}", place.kind);
    allow(&place, "outbox").await;
    refuse(&place, "chunks", "true").await;
    place.store.put_job(Uuid::now_v7(), &wish).await.expect_err("no chunks");
    assert_eq!(count(&place, "outbox").await, 0, "an event without its job in {:?}", place.kind);
    allow(&place, "chunks").await;

    for (table, condition) in [("outbox", "col:routing_key = 'job.completed'"), ("jobs", "col:state = 'completed'")] {
        let job = put_announced(&place.store, request("####", 30, 10), announced()).await;
        refuse(&place, table, condition).await;
        let resume = ["jobs", "resume", &job.id.to_string()];
        let failed = place.codemint(resume).run().await;
        assert_ne!(failed.code, 0, "{}", failed.stderr);
        let mine = format!("jobs where no = {} and state = 'completed'", job.no);
        let told = format!("outbox where job_no = {} and routing_key = 'job.completed'", job.no);
        assert_eq!((count(&place, &mine).await, count(&place, &told).await), (0, 0), "{table} in {:?}", place.kind);
        allow(&place, table).await;
        place.codemint(resume).run().await.expect_code(0);
        assert_eq!((count(&place, &mine).await, count(&place, &told).await), (1, 1), "{table} in {:?}", place.kind);
    }
}

on_all_stores!(a_job_of_one_chunk_emits_progress_before_its_end);
async fn a_job_of_one_chunk_emits_progress_before_its_end(place: TestStore) {
    let job = put_announced(&place.store, request("####", 10, 10), announced()).await;
    run(&place.store, &job).await;
    let events = waiting(&place.store).await;
    let kinds: Vec<&str> = events.iter().map(|event| event.routing_key.as_str()).collect();
    assert_eq!(kinds, ["job.accepted", "job.progress", "job.completed"], "in {:?}", place.kind);
    let json: serde_json::Value = serde_json::from_str(&events[1].payload).expect("JSON");
    assert_eq!((&json["data"]["state"], &json["data"]["minted"]), (&"running".into(), &10.into()));
}

on_all_stores!(progress_is_emitted_at_most_once_a_second_across_all_processes);
async fn progress_is_emitted_at_most_once_a_second_across_all_processes(place: TestStore) {
    let job = put_announced(&place.store, request("####", 100, 10), announced()).await;
    let other = place.open_again().await;
    assert!(!other.announce_progress(job.no).await.expect("an answer"), "the job does not run yet");
    place.store.start_job(job.no).await.expect("a mark");
    let (one, two) = tokio::join!(place.store.announce_progress(job.no), other.announce_progress(job.no));
    assert_eq!(usize::from(one.expect("an answer")) + usize::from(two.expect("an answer")), 1, "in {:?}", place.kind);
    let (now, past) = match place.kind {
        Kind::Postgres => ("now()", "now() - interval '1.1 seconds'"),
        Kind::Sqlite => {
            ("strftime('%Y-%m-%dT%H:%M:%fZ', 'now')", "strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-1.1 seconds')")
        }
    };
    place.execute(&format!("update jobs set progress_at = {now}")).await;
    assert!(!other.announce_progress(job.no).await.expect("an answer"));
    place.execute(&format!("update jobs set progress_at = {past}")).await;
    assert!(other.announce_progress(job.no).await.expect("an answer"));
    place.execute(&format!("update jobs set state = 'cancelling', progress_at = {past}")).await;
    assert!(!other.announce_progress(job.no).await.expect("an answer"));
}

on_all_stores!(events_are_claimed_by_one_process_until_it_releases_them);
async fn events_are_claimed_by_one_process_until_it_releases_them(place: TestStore) {
    for _ in 0..3 {
        put_announced(&place.store, request("####", 10, 10), announced()).await;
    }
    let other = place.open_again().await;
    let batch = place.store.claim_events().await.expect("an answer").expect("events");
    assert_eq!(batch.events.len(), 3);
    let second = other.claim_events().await.expect("an answer");
    // SQLite has no lease on events: both may publish, each in order.
    assert_eq!(second.is_none(), place.kind == Kind::Postgres);
    drop(second);
    let numbers: Vec<i64> = batch.events.iter().map(|event| event.no).collect();
    place.store.delete_events(batch, &numbers[..2]).await.expect("an answer");
    let left = waiting(&other).await;
    assert_eq!(left.iter().map(|event| event.no).collect::<Vec<_>>(), numbers[2..]);
    assert_eq!(place.store.count_events().await.expect("an answer"), 1);
    // A dropped batch does not block other processes.
    drop(place.store.claim_events().await.expect("an answer"));
    // The server notices it a moment later.
    let is_free = async || match other.claim_events().await.expect("an answer") {
        Some(batch) => {
            let left = batch.events.len();
            other.delete_events(batch, &[]).await.expect("an answer");
            left == 1
        }
        None => false,
    };
    wait_until("the event of the dropped batch can be claimed", is_free).await;
}

on_all_stores!(a_store_without_a_broker_stores_no_events);
async fn a_store_without_a_broker_stores_no_events(place: TestStore) {
    let job = put(&place.store, "####", 30, 10).await;
    run(&place.store, &job).await;
    let cancelled = put(&place.store, "####", 30, 10).await;
    place.store.start_job(cancelled.no).await.expect("a mark");
    assert!(!place.store.announce_progress(cancelled.no).await.expect("an answer"));
    place.store.mark_job_cancelling(cancelled.no).await.expect("a mark");
    place.store.close_job(cancelled.no).await.expect("an end");
    let failed = put(&place.store, "####", 30, 10).await;
    let error = JobError { code: "chunk_failed".to_owned(), message: "why".to_owned() };
    place.store.fail_job(failed.no, error).await.expect("an end");
    assert_eq!(place.store.count_events().await.expect("an answer"), 0);
    assert_eq!(place.number("select count(*) from jobs where state in ('completed', 'cancelled', 'failed')").await, 3);
}

on_all_stores!(a_refused_request_emits_one_failed_event_however_often_it_arrives);
async fn a_refused_request_emits_one_failed_event_however_often_it_arrives(place: TestStore) {
    let refused = RefusedRequest {
        id: Uuid::now_v7(),
        mask_text: "[".to_owned(),
        count: 0,
        campaign: None,
        options: announced(),
        error: JobError { code: "invalid_mask".to_owned(), message: "why".to_owned() },
    };
    for again in [false, true, true] {
        let put = place.store.put_refused(&refused).await.expect("an answer");
        assert_eq!(matches!(put, PutRefused::Repeated(_)), again);
    }
    assert_eq!(ids(&waiting(&place.store).await), [format!("{}/failed", refused.id)]);
    assert_eq!(place.number("select count(*) from jobs").await, 1);
}

on_all_stores!(a_repeated_request_is_answered_at_its_reply_queue);
async fn a_repeated_request_is_answered_at_its_reply_queue(place: TestStore) {
    let job = put_announced(&place.store, request("####", 5, 5), announced()).await;
    let without_queue = JobOptions { reply_to: None, ..asker("none", "zero") };
    place.store.repeat_event(job.no, &without_queue).await.expect("an answer");
    let kept = place.texts("select correlation_id from jobs").await;
    assert_eq!(kept, ["request"], "the id of the first message, which had no queue either");
    place.store.repeat_event(job.no, &asker("first", "one")).await.expect("an answer");
    place.store.repeat_event(job.no, &asker("second", "two")).await.expect("an answer");
    run(&place.store, &job).await;
    place.store.repeat_event(job.no, &asker("third", "three")).await.expect("an answer");
    let answers: Vec<(String, Option<String>)> = waiting(&place.store)
        .await
        .into_iter()
        .filter_map(|event| Some((event.reply_to?, event.correlation_id)))
        .collect();
    // An unfinished job keeps the reply queue of one requester only.
    let wanted = [("first", "one"), ("third", "three")];
    assert_eq!(answers, wanted.map(|(queue, id)| (queue.to_owned(), Some(id.to_owned()))), "in {:?}", place.kind);
    let ends = waiting(&place.store).await.iter().filter(|event| event.routing_key == "job.completed").count();
    assert_eq!(ends, 4);
}

on_both_stores!(no_event_holds_a_code_or_a_key);
async fn no_event_holds_a_code_or_a_key(place: TestStore) {
    let job = put_announced(&place.store, request("[:safe:]{9}", 200, 50), announced()).await;
    let key = place.store.read_key(job.no).await.expect("an answer").expect("a key");
    let key: String = key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    run(&place.store, &job).await;
    let codes: BTreeSet<String> = place.texts("select code from codes").await.into_iter().collect();
    assert_eq!(codes.len(), 200);
    for event in waiting(&place.store).await {
        let told = serde_json::to_string(&event.payload).expect("text");
        assert!(
            !told.to_lowercase().contains(&key) && codes.iter().all(|code| !told.contains(code.as_str())),
            "{told}"
        );
    }
}
