//! Filters only save work: whatever they answer and whatever happened to them, the minted codes are right.

use std::collections::BTreeSet;

use codemint_codes::job::record::Job;
use sha2::{Digest, Sha256};

use codemint_test_support::engine_steps::{
    assert_sound, bytes, codes_in, expect_refused, import, mint, put, run, start,
};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::{Kind, TestStore};

/// The offset of what the checksum covers, after the format and the checksum: the library's filter.
const LIBRARY_START: usize = 9;
/// The offset of the bits, after the library's header.
const BITS_START: usize = LIBRARY_START + 45;

/// Rewrites every stored filter.
async fn rewrite_filters(place: &TestStore, rewritten: impl Fn(Vec<u8>) -> Vec<u8>) {
    let shown = match place.kind {
        Kind::Sqlite => "select run_no || ' ' || hex(filter) from chunks where filter is not null",
        Kind::Postgres => "select run_no || ' ' || encode(filter, 'hex') from chunks where filter is not null",
    };
    let stored = place.texts(shown).await;
    assert!(!stored.is_empty(), "there are filters");
    for row in stored {
        let (run_no, digits) = row.split_once(' ').expect("a number and a filter");
        let filter =
            (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("a byte"));
        let filter: String = rewritten(filter.collect()).iter().map(|byte| format!("{byte:02x}")).collect();
        place.execute(&format!("update chunks set filter = {} where run_no = {run_no}", bytes(place, &filter))).await;
    }
}

/// A filter of the right format whose every byte of bits is this one, with a valid checksum.
fn all_bits(mut filter: Vec<u8>, byte: u8) -> Vec<u8> {
    filter[BITS_START..].fill(byte);
    let checksum = Sha256::digest(&filter[LIBRARY_START..]);
    filter[1..LIBRARY_START].copy_from_slice(&checksum[..8]);
    filter
}

async fn always_maybe(place: &TestStore) {
    rewrite_filters(place, |filter| all_bits(filter, 0xff)).await;
}

async fn always_no(place: &TestStore) {
    rewrite_filters(place, |filter| all_bits(filter, 0)).await;
}

async fn screened_by(place: &TestStore, job: &Job, screening: &str) -> i64 {
    place.number(&format!("select count(*) from chunks where job_no = {} and screening = '{screening}'", job.no)).await
}

/// Mints the second of two jobs that share the mask `####`: 4,000 codes, then 3,000.
async fn second_job(place: &TestStore) -> Job {
    let job = mint(place, "####", 3_000, 1_000).await;
    assert!(screened_by(place, &job, "filter").await > 0, "in {:?}", place.kind);
    job
}

async fn first_job(place: &TestStore) {
    mint(place, "####", 4_000, 1_000).await;
}

/// Mints all codes of the mask that are still free.
async fn fill_up(place: &TestStore) {
    mint(place, "####", 3_000, 1_000).await;
    assert_eq!(codes_in(place).await.len(), 10_000);
    expect_refused(place, "####", 1, 0).await;
    assert_sound(place).await;
}

on_both_stores!(filters_save_look_ups_and_cause_no_conflict);
async fn filters_save_look_ups_and_cause_no_conflict(place: TestStore) {
    first_job(&place).await;
    let job = second_job(&place).await;
    assert_eq!(job.rejections.conflicts, 0);
    assert!(job.rejections.existing > 500, "{:?}", job.rejections);
    assert!(job.rejections.false_positives < 50, "{:?}", job.rejections);
    fill_up(&place).await;
}

on_both_stores!(filters_that_always_answer_maybe_cost_look_ups_and_nothing_else);
async fn filters_that_always_answer_maybe_cost_look_ups_and_nothing_else(place: TestStore) {
    first_job(&place).await;
    always_maybe(&place).await;
    let job = second_job(&place).await;
    assert_eq!(job.rejections.conflicts, 0);
    assert!(job.rejections.existing > 500 && job.rejections.false_positives > 1_000, "{:?}", job.rejections);
    always_maybe(&place).await;
    fill_up(&place).await;
}

on_both_stores!(if_filters_always_answer_no_the_unique_index_finds_the_duplicates);
async fn if_filters_always_answer_no_the_unique_index_finds_the_duplicates(place: TestStore) {
    first_job(&place).await;
    always_no(&place).await;
    let job = second_job(&place).await;
    assert!(job.rejections.conflicts > 500, "{:?}", job.rejections);
    assert_eq!(job.rejections.false_positives, 0);
    always_no(&place).await;
    fill_up(&place).await;
}

on_both_stores!(codes_of_runs_with_broken_filters_are_looked_up);
async fn codes_of_runs_with_broken_filters_are_looked_up(place: TestStore) {
    let breaks: [fn(&mut Vec<u8>); 2] = [|filter| filter[100] ^= 4, |filter| filter.truncate(60)];
    for (break_one, place) in breaks.into_iter().zip([place.another().await, place]) {
        first_job(&place).await;
        rewrite_filters(&place, |mut filter| {
            break_one(&mut filter);
            filter
        })
        .await;
        let job = second_job(&place).await;
        assert_eq!(job.rejections.conflicts, 0, "{:?}", job.rejections);
        fill_up(&place).await;
    }
}

on_both_stores!(codes_of_runs_without_a_filter_of_this_format_are_looked_up);
/// Filters of an earlier format are as useless as missing ones: look-ups are chosen, and no filter is loaded in vain.
async fn codes_of_runs_without_a_filter_of_this_format_are_looked_up(place: TestStore) {
    for (is_outdated, place) in [false, true].into_iter().zip([place.another().await, place]) {
        first_job(&place).await;
        if is_outdated {
            rewrite_filters(&place, |mut filter| {
                filter[0] = 2;
                filter
            })
            .await;
        } else {
            place.execute("update chunks set filter = null").await;
        }
        let job = mint(&place, "####", 3_000, 1_000).await;
        assert_eq!(job.rejections.conflicts, 0);
        assert!(job.rejections.existing > 500 && screened_by(&place, &job, "look_up_cheaper").await > 0);
        fill_up(&place).await;
    }
}

on_both_stores!(every_false_positive_of_a_filter_is_counted);
async fn every_false_positive_of_a_filter_is_counted(place: TestStore) {
    mint(&place, "######", 1_000, 1_000).await;
    always_maybe(&place).await;
    // The ranges become so wide that every candidate is inside.
    place.execute("update chunks set range_first = '000000', range_last = '999999'").await;
    let job = mint(&place, "######", 1_000, 1_000).await;
    assert_eq!(screened_by(&place, &job, "filter").await, 1);
    assert_eq!(
        (job.rejections.false_positives, job.rejections.conflicts),
        (1_000, 0),
        "every accepted candidate was a false positive"
    );
}

on_both_stores!(runs_of_one_code_are_screened_without_a_stored_filter);
async fn runs_of_one_code_are_screened_without_a_stored_filter(place: TestStore) {
    mint(&place, "###", 400, 1).await;
    assert_eq!(place.number("select count(*) from chunks where filter is not null and minted < 2").await, 0);
    let job = mint(&place, "###", 300, 300).await;
    assert_eq!(screened_by(&place, &job, "filter").await, 1);
    assert!(job.rejections.conflicts == 0 && job.rejections.existing > 50, "{:?}", job.rejections);
    mint(&place, "###", 300, 300).await;
    assert_eq!(codes_in(&place).await.len(), 1_000);
    assert_sound(&place).await;
}

on_both_stores!(a_chunk_that_overlaps_no_other_run_needs_no_look_up);
async fn a_chunk_that_overlaps_no_other_run_needs_no_look_up(place: TestStore) {
    let others: BTreeSet<String> = (0..500).map(|number| format!("B{number:04}")).collect();
    import(&place, "B####", &others).await;
    mint(&place, "A###", 500, 500).await;
    let job = mint(&place, "A####", 1_000, 500).await;
    assert_eq!(screened_by(&place, &job, "nothing_overlaps").await, 2);
    let job = mint(&place, "?####", 1_000, 500).await;
    assert_eq!(screened_by(&place, &job, "nothing_overlaps").await, 1, "B is in the first half");
}

on_both_stores!(codes_stored_by_others_after_screening_are_replaced_and_counted);
async fn codes_stored_by_others_after_screening_are_replaced_and_counted(place: TestStore) {
    let jobs = [put(&place.store, "[0-9A]###", 4_000, 500).await, put(&place.store, "[0-9B]###", 4_000, 500).await];
    let mut minting = [start(&place.store, &jobs[0]).await, start(&place.store, &jobs[1]).await];
    // A chunk is screened while the one before it is written; in between the other job writes the same range.
    for turn in [0, 1, 1, 0, 0, 1, 1, 0, 0, 1, 1] {
        minting[turn].mint_chunk(&place.store).await.expect("a step");
    }
    let jobs = [run(&place.store, &jobs[0]).await, run(&place.store, &jobs[1]).await];
    assert_eq!(jobs.each_ref().map(|job| job.minted), [4_000, 4_000]);
    assert!(jobs.iter().map(|job| job.rejections.conflicts).sum::<u64>() > 0, "in {:?}", place.kind);
    assert_eq!(codes_in(&place).await.len(), 8_000);
    assert_sound(&place).await;
}
