//! `codemint jobs prune`: it removes only what ended jobs no longer need, and it never lets a code be minted twice.

use codemint_codes::job::record::Job;
use serde_json::Value;

use codemint_test_support::cli_steps::{assert_names, exported};
use codemint_test_support::codemint::Codemint;
use codemint_test_support::engine_steps::{assert_sound, codes_in, expect_refused, has_ended, mint, put, start};
use codemint_test_support::roles::url_of_member;
use codemint_test_support::stores::TestStore;
use codemint_test_support::{on_all_stores, on_both_stores};

const LONG_AGO: &str = "'2020-01-01T00:00:00.000Z'";
const FILTERS: &str = "select count(*) from chunks where filter is not null";
/// More events than are removed in one transaction.
const EVENTS: usize = 1_200;

/// Backdates the end of this job.
async fn age(place: &TestStore, job_no: i64) {
    place.execute(&format!("update jobs set finished_at = {LONG_AGO} where no = {job_no}")).await;
}

/// Inserts events of a job that no broker has confirmed.
async fn put_events(place: &TestStore, job_no: i64, count: usize, created_at: &str) {
    let row = format!("({job_no}, 'an id', 'a type', 'a key', 'ten bytes!', {created_at})");
    let rows = vec![row; count].join(", ");
    let columns = "job_no, message_id, message_type, routing_key, payload, created_at";
    place.execute(&format!("insert into outbox ({columns}) values {rows}")).await;
}

async fn prune(place: &TestStore, args: &[&str]) -> Value {
    let prune = ["jobs", "prune", "--older-than", "90d", "--json"];
    let mut told = place.codemint(prune).args(args).run().await.expect_code(0).json();
    let report = told.as_object_mut().expect("an object");
    assert!(report.remove("ended_before").is_some_and(|time| time.as_str().is_some_and(|time| time.ends_with('Z'))));
    told
}

fn removed(dry_run: bool, jobs: usize, events: usize, filters: usize, bytes: i64) -> Value {
    serde_json::json!({ "dry_run": dry_run, "jobs": jobs, "events": events, "filters": filters, "redemption_events": 0, "lists": 0, "bytes": bytes })
}

/// Returns what must not change: the contents of all tables but filters and events.
async fn all_else(place: &TestStore) -> Vec<String> {
    let mut rows = codes_in(place).await;
    let chunks = "select run_no || ' ' || job_no || ' ' || state || ' ' || minted || ' ' || range_first || range_last
                    from chunks order by run_no";
    let jobs = "select no || ' ' || state || ' ' || count || ' ' || coalesce(minted, -1) from jobs order by no";
    for sql in [chunks, jobs, "select mask || ' ' || codes from masks order by mask"] {
        rows.extend(place.texts(sql).await);
    }
    rows
}

/// Stores an old completed job, an old cancelled one, and two that pruning must leave alone: one that ended just now
/// and one that is still in progress.
async fn put_jobs(place: &TestStore) -> [Job; 4] {
    let completed = mint(place, "A####", 2_400, 20).await;
    let cancelled = put(&place.store, "B####", 900, 300).await;
    start(&place.store, &cancelled).await.mint_chunk(&place.store).await.expect("a step");
    place.store.mark_job_cancelling(cancelled.no).await.expect("a mark");
    while !has_ended(&place.store.close_job(cancelled.no).await.expect("closing")) {}
    let young = mint(place, "C####", 900, 300).await;
    let unfinished = put(&place.store, "D####", 900, 300).await;
    start(&place.store, &unfinished).await.mint_chunk(&place.store).await.expect("a step");
    for job in [&completed, &cancelled] {
        age(place, job.no).await;
    }
    [completed, cancelled, young, unfinished]
}

on_all_stores!(pruning_removes_only_events_and_filters_of_jobs_that_ended_before);
async fn pruning_removes_only_events_and_filters_of_jobs_that_ended_before(place: TestStore) {
    let [completed, cancelled, young, unfinished] = put_jobs(&place).await;
    put_events(&place, completed.no, EVENTS, LONG_AGO).await;
    // A producer has just repeated its request.
    put_events(&place, completed.no, 1, "current_timestamp").await;
    for job in [&young, &unfinished] {
        put_events(&place, job.no, 1, LONG_AGO).await;
    }
    let of_the_old = format!("job_no in ({}, {})", completed.no, cancelled.no);
    let filter_bytes =
        place.number(&format!("select cast(sum(length(filter)) as bigint) from chunks where {of_the_old}")).await;
    let kept = place.number(&format!("{FILTERS} and not {of_the_old}")).await;
    assert_eq!(kept, 3 + 1, "in {:?}", place.kind);
    let before = all_else(&place).await;

    let bytes = filter_bytes + 10 * EVENTS as i64;
    assert_eq!(prune(&place, &["--dry-run"]).await, removed(true, 2, EVENTS, 121, bytes), "in {:?}", place.kind);
    assert_eq!(place.number(FILTERS).await, kept + 121, "a dry run changes nothing");
    assert_eq!(place.number("select count(*) from outbox").await, EVENTS as i64 + 3);

    assert_eq!(prune(&place, &[]).await, removed(false, 2, EVENTS, 121, bytes), "in {:?}", place.kind);
    let told = "select detail || ' ' || cast(sum(count) as bigint) from audit where action = 'prune' group by detail
                 order by detail";
    assert_eq!(place.texts(told).await, [format!("events {EVENTS}"), "filters 121".to_owned()]);
    assert_eq!(place.number(FILTERS).await, kept);
    assert_eq!(place.number(&format!("{FILTERS} and {of_the_old}")).await, 0);
    assert_eq!(place.number("select count(*) from outbox").await, 3);
    assert_eq!(all_else(&place).await, before);
    assert_eq!(prune(&place, &[]).await, removed(false, 0, 0, 0, 0), "nothing is left to prune");
}

on_both_stores!(a_job_on_a_pruned_mask_repeats_no_earlier_code_until_the_mask_is_full);
async fn a_job_on_a_pruned_mask_repeats_no_earlier_code_until_the_mask_is_full(place: TestStore) {
    let first = mint(&place, "####", 4_000, 1_000).await;
    age(&place, first.no).await;
    assert_eq!(prune(&place, &[]).await["filters"], 4);
    let second = mint(&place, "####", 3_000, 1_000).await;
    assert_eq!(second.rejections.conflicts, 0, "earlier codes are looked up: {:?}", second.rejections);
    assert!(second.rejections.existing > 500, "{:?}", second.rejections);
    // This job meets runs with a filter beside runs without one.
    mint(&place, "####", 3_000, 1_000).await;
    assert_eq!(codes_in(&place).await.len(), 10_000);
    expect_refused(&place, "####", 1, 0).await;
    assert_sound(&place).await;
}

on_both_stores!(a_pruned_job_is_exported_and_verified_as_before);
async fn a_pruned_job_is_exported_and_verified_as_before(place: TestStore) {
    let job = mint(&place, "A####", 3_000, 1_000).await;
    let before = exported(&place, job.id).await;
    age(&place, job.no).await;
    assert_eq!(prune(&place, &[]).await["filters"], 3);
    assert_eq!(exported(&place, job.id).await, before);
    assert_eq!(before.len(), 3_000);
    for check in [&["verify"][..], &["verify", "--everywhere"]] {
        place.codemint(check).args([job.id.to_string()]).run().await.expect_code(0);
    }
}

on_both_stores!(events_about_redemptions_are_removed_by_their_own_age);
async fn events_about_redemptions_are_removed_by_their_own_age(place: TestStore) {
    let columns = "job_no, message_id, message_type, routing_key, payload, created_at";
    for created_at in [LONG_AGO, LONG_AGO, "current_timestamp"] {
        let row = format!("(null, 'an id', 'a type', 'redemption.confirmed', 'ten bytes!', {created_at})");
        place.execute(&format!("insert into outbox ({columns}) values {row}")).await;
    }
    let dry = prune(&place, &["--dry-run"]).await;
    assert_eq!((&dry["redemption_events"], &dry["events"], &dry["bytes"]), (&2.into(), &0.into(), &20.into()));
    assert_eq!(place.number("select count(*) from outbox").await, 3);
    let text = place.codemint(["jobs", "prune", "--older-than", "90d"]).run().await.expect_code(0).stdout;
    assert_names(&text, &["; 2 events about redemptions\n"]);
    assert_eq!(place.number("select count(*) from outbox").await, 1);
}

#[tokio::test]
async fn a_generator_can_prune_and_a_reader_can_only_see_what_would_be_pruned() {
    let place = TestStore::postgres().await;
    let job = mint(&place, "A####", 900, 300).await;
    age(&place, job.no).await;
    put_events(&place, job.no, 2, LONG_AGO).await;
    let (reader, generator) = (url_of_member(&place.url, "reader").await, url_of_member(&place.url, "generator").await);
    let prune = |url: &str, args: &[&str]| {
        Codemint::new(place.path()).args(["--store", url, "jobs", "prune", "--older-than", "12h"]).args(args)
    };
    let seen = prune(&reader, &["--dry-run"]).run().await.expect_code(0);
    assert_names(
        &seen.stdout,
        &["would be removed: 2 events and 3 filters, ", " bytes, of 1 job that ended before 20"],
    );
    assert_names(&prune(&reader, &[]).run().await.expect_code(1).stderr, &["permission denied"]);
    let pruned = prune(&generator, &[]).run().await.expect_code(0);
    assert_names(&pruned.stdout, &["removed: 2 events and 3 filters, "]);
    assert_eq!(place.number(FILTERS).await + place.number("select count(*) from outbox").await, 0);
}

#[tokio::test]
async fn an_invalid_age_is_refused_with_the_valid_form() {
    let place = TestStore::sqlite().await;
    let prune = |age: &str| place.codemint(["jobs", "prune", "--dry-run", &format!("--older-than={age}")]).run();
    for wrong in ["", "90", "d", "0d", "-1d", "+5d", "1.5d", "5 d", "9m", "90D", "99999999999d", "7ä"] {
        let refused = prune(wrong).await.expect_code(2);
        assert_names(&refused.stderr, &[wrong, "write a whole number from 1 and h, d or w"]);
    }
    for right in ["12h", "90d", "4w"] {
        prune(right).await.expect_code(0);
    }
    let refused = prune("4294967295w").await.expect_code(2);
    assert_names(&refused.stderr, &["choose a shorter time"]);
    let missing = place.codemint(["jobs", "prune"]).run().await.expect_code(2);
    assert_names(&missing.stderr, &["--older-than <AGE>"]);
}

on_both_stores!(regression_lists_without_a_job_are_removed_after_a_day);
async fn regression_lists_without_a_job_are_removed_after_a_day(place: TestStore) {
    let definition = serde_json::json!({
        "name": "owners", "title": "Owners", "kind": "restricted", "mask": "OWN-####",
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    std::fs::write(place.path().join("owners.json"), definition.to_string()).expect("a file");
    place.codemint(["campaign", "create", "owners.json"]).run().await.expect_code(0);
    std::fs::write(place.path().join("list.txt"), "ann\nbob\n").expect("a file");
    let order = ["campaign", "codes", "owners", "--identities", "list.txt", "--no-wait"];
    place.codemint(order).run().await.expect_code(0);
    let lists = "select count(distinct list_id) from job_identities";
    let pages = || (0..3).map(|page| format!("eve-{page}\n"));
    place.store.put_list(uuid::Uuid::now_v7(), pages()).await.expect("a list");
    assert_eq!(prune(&place, &[]).await["lists"], 0, "its job may be about to be accepted");
    place.execute(&format!("update job_identities set loaded_at = {LONG_AGO}")).await;
    place.store.put_list(uuid::Uuid::now_v7(), pages()).await.expect("a list");
    assert_eq!(place.number(lists).await, 3);
    let dry = prune(&place, &["--dry-run"]).await;
    assert_eq!((&dry["lists"], &dry["bytes"], place.number(lists).await), (&1.into(), &18.into(), 3));
    let text = place.codemint(["jobs", "prune", "--older-than", "90d"]).run().await.expect_code(0).stdout;
    assert_names(&text, &["; 1 list of identities without a job\n"]);
    assert_eq!(place.number(lists).await, 2, "a new one, and that of a job");
    place.codemint(order).run().await.expect_code(0);
}
