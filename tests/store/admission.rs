//! An admitted job has enough free codes until it ends: claims of unfinished jobs count, claims of ended jobs do not.

use std::collections::BTreeSet;

use codemint_codes::job::record::Job;
use codemint_codes::job::state::State;
use codemint_store::admission::submit::PutJob;
use codemint_store::records::reports::JobFilter;
use uuid::Uuid;

use codemint_test_support::engine_steps::{
    assert_sound, codes_in, denying, expect_refused, expect_uncertain, has_ended, import, insert_codes, mint,
    mint_under, put, refusal_of, request, run, start,
};
use codemint_test_support::on_all_stores;
use codemint_test_support::small_masks::mask;
use codemint_test_support::stores::{Kind, TestStore};

async fn cancel(place: &TestStore, job: &Job) {
    place.store.mark_job_cancelling(job.no).await.expect("a mark");
    assert!(has_ended(&place.store.close_job(job.no).await.expect("closing")));
}

/// Submits two jobs at the same time, of which only one fits, and returns that one. Each turn has new masks.
async fn admit_two(
    place: &TestStore,
    other: &codemint_store::connection::store::Store,
    masks: [String; 2],
    count: i128,
    free: &[u128],
) -> Job {
    let requests = masks.map(|mask| request(&mask, count, 20));
    let put = |store: &codemint_store::connection::store::Store, at: usize| {
        let (store, request) = (store.clone(), requests[at].clone());
        async move { store.put_job(Uuid::now_v7(), &request).await.expect("an answer") }
    };
    let answers = tokio::join!(put(&place.store, 0), put(other, 1));
    match answers {
        (PutJob::Stored(job), PutJob::InsufficientKeyspace { free: told, exact: true, .. })
        | (PutJob::InsufficientKeyspace { free: told, exact: true, .. }, PutJob::Stored(job)) => {
            assert!(free.contains(&told), "refused with {told} free codes");
            job
        }
        other => panic!("{other:?} in {:?}", place.kind),
    }
}

on_all_stores!(one_of_two_concurrent_jobs_that_do_not_both_fit_is_always_refused);
async fn one_of_two_concurrent_jobs_that_do_not_both_fit_is_always_refused(place: TestStore) {
    let other = place.open_again().await;
    let turns = if place.kind == Kind::Postgres { 100 } else { 40 };
    let mut jobs = Vec::new();
    for turn in 0..turns {
        let same = format!("{turn:03}-##");
        jobs.push(Box::pin(admit_two(&place, &other, [same.clone(), same], 60, &[40])).await);
    }
    for job in &jobs {
        let job = run(&place.store, job).await;
        assert_eq!((job.state, job.minted), (State::Completed, 60));
    }
    assert_sound(&place).await;
}

on_all_stores!(one_of_two_concurrent_jobs_of_overlapping_masks_is_refused_if_only_one_fits);
async fn one_of_two_concurrent_jobs_of_overlapping_masks_is_refused_if_only_one_fits(place: TestStore) {
    let other = place.open_again().await;
    let mut jobs = Vec::new();
    for turn in 0..40 {
        // The first mask has 100 codes, the second 90 of these: whichever job comes second finds too few.
        let masks = [format!("{turn:03}-##"), format!("{turn:03}-[0-8]#")];
        jobs.push(Box::pin(admit_two(&place, &other, masks, 60, &[30, 40])).await);
    }
    for job in &jobs {
        assert_eq!(run(&place.store, job).await.state, State::Completed);
    }
    assert_sound(&place).await;
}

on_all_stores!(one_of_two_concurrent_jobs_is_refused_even_if_both_counted_codes_first);
async fn one_of_two_concurrent_jobs_is_refused_even_if_both_counted_codes_first(place: TestStore) {
    let other = place.open_again().await;
    let mut jobs = Vec::new();
    for turn in 0..30 {
        // Between 20 and 30 of these 30 codes may match `##`: only counting shows whether 75 more codes fit.
        let imported =
            (0..20).map(|at| format!("{turn:03}-{:02}", at * 5)).chain((0..10).map(|at| format!("{turn:03}-X{at}")));
        import(&place, &format!("{turn:03}-[0-9X]#"), &imported.collect()).await;
        let same = format!("{turn:03}-##");
        jobs.push(Box::pin(admit_two(&place, &other, [same.clone(), same], 75, &[5])).await);
    }
    for job in &jobs {
        assert_eq!(run(&place.store, job).await.state, State::Completed);
    }
    assert_sound(&place).await;
}

on_all_stores!(masks_that_begin_or_end_anywhere_inside_another_reduce_its_free_codes);
async fn masks_that_begin_or_end_anywhere_inside_another_reduce_its_free_codes(place: TestStore) {
    let mut free = 10_000;
    for part in ["5###", "0###", "9###", "###0", "###9", "#5##", "4667", "[6-8]#[1-3]#"] {
        put(&place.store, part, if part == "4667" { 1 } else { 100 }, 50).await;
        free -= if part == "4667" { 1 } else { 100 };
        expect_refused(&place, "####", free + 1, free as u128).await;
    }
    expect_refused(&place, "4667", 1, 0).await;
    for job in 1..=8 {
        let id = place.store.list_jobs(&JobFilter { limit: 9, ..JobFilter::default() }).await.expect("jobs");
        let job = id.iter().find(|found| found.no == job).expect("the job");
        assert_eq!(run(&place.store, job).await.state, State::Completed);
    }
    mint(&place, "####", free, 500).await;
    assert_eq!(codes_in(&place).await.len(), 10_000);
    assert_sound(&place).await;
}

on_all_stores!(codes_that_unfinished_jobs_may_still_mint_are_not_free);
async fn codes_that_unfinished_jobs_may_still_mint_are_not_free(place: TestStore) {
    let first = put(&place.store, "A##", 60, 20).await;
    expect_refused(&place, "A##", 41, 40).await;
    // Between 10 and 50 codes of the first job will match this mask.
    expect_uncertain(&place, "A#[0-4]", 1, 0, 40).await;
    expect_refused(&place, "A#[0-4]", 41, 40).await;
    let second = put(&place.store, "A##", 40, 20).await;
    expect_refused(&place, "A##", 1, 0).await;
    start(&place.store, &second).await.mint_chunk(&place.store).await.expect("a step");
    expect_refused(&place, "A##", 1, 0).await;
    for job in [first, second] {
        assert_eq!(run(&place.store, &job).await.state, State::Completed);
    }
    assert_eq!(codes_in(&place).await.len(), 100);
    assert_sound(&place).await;
}

on_all_stores!(a_cancelled_job_frees_all_codes_that_it_did_not_mint);
async fn a_cancelled_job_frees_all_codes_that_it_did_not_mint(place: TestStore) {
    let job = put(&place.store, "A##", 100, 10).await;
    expect_refused(&place, "A##", 1, 0).await;
    cancel(&place, &job).await;
    let job = put(&place.store, "A##", 100, 10).await;
    let mut minting = start(&place.store, &job).await;
    for _ in 0..3 {
        minting.mint_chunk(&place.store).await.expect("a step");
    }
    drop(minting);
    place.store.mark_job_cancelling(job.no).await.expect("a mark");
    expect_uncertain(&place, "A##", 1, 0, 70).await;
    cancel(&place, &job).await;
    expect_refused(&place, "A##", 71, 70).await;
    mint(&place, "A##", 70, 7).await;
    assert_eq!(codes_in(&place).await.len(), 100);
    assert_sound(&place).await;
}

on_all_stores!(a_failed_job_frees_all_codes_that_it_did_not_mint);
async fn a_failed_job_frees_all_codes_that_it_did_not_mint(place: TestStore) {
    insert_codes(&place, (0..10).map(|number| format!("A{:02}", number * 9)), 0).await;
    let job = put(&place.store, "A##", 95, 20).await;
    let job = run(&place.store, &job).await;
    assert_eq!((job.state, job.minted), (State::Failed, 90));
    assert_eq!(place.number("select codes from masks").await, 90);
    place.execute("delete from codes where run_no = 0").await;
    expect_refused(&place, "A##", 11, 10).await;
    mint(&place, "A##", 10, 10).await;
    assert_sound(&place).await;
}

on_all_stores!(codes_of_partially_overlapping_masks_are_counted);
async fn codes_of_partially_overlapping_masks_are_counted(place: TestStore) {
    mint(&place, "[0-9A-F]#", 90, 30).await;
    mint(&place, "#[5-9A-Z]", 100, 30).await;
    let taken =
        place.number("select count(*) from codes where code between '00' and '99' and substr(code, 2, 1) <= '9'");
    let free = 100 - taken.await;
    assert!((1..90).contains(&free));
    expect_refused(&place, "##", i128::from(free) + 1, free as u128).await;
    mint(&place, "##", free.into(), 7).await;
    expect_refused(&place, "##", 1, 0).await;
    assert_sound(&place).await;
}

on_all_stores!(codes_still_owed_by_jobs_of_partially_overlapping_masks_are_not_free);
async fn codes_still_owed_by_jobs_of_partially_overlapping_masks_are_not_free(place: TestStore) {
    let other = put(&place.store, "[0-9A]###", 6_000, 500).await;
    let mut minting = start(&place.store, &other).await;
    for _ in 0..4 {
        minting.mint_chunk(&place.store).await.expect("a step");
    }
    drop(minting);
    // The codes that exist consist of digits, and those still to be minted may, too.
    let free = 10_000 - 6_000;
    assert_eq!(place.number("select count(*) from codes where code >= 'A'").await, 0);
    let uncertain = 1_000;
    expect_uncertain(&place, "####", i128::from(free) + 1, free as u128, (free + uncertain) as u128).await;
    expect_refused(&place, "####", i128::from(free + uncertain) + 1, (free + uncertain) as u128).await;
    let job = put(&place.store, "####", free.into(), 500).await;
    expect_uncertain(&place, "####", 1, 0, uncertain as u128).await;
    for job in [job, other] {
        assert_eq!(run(&place.store, &job).await.state, State::Completed);
    }
    assert_sound(&place).await;
}

on_all_stores!(existing_codes_that_are_also_reserved_or_denied_are_subtracted_once);
async fn existing_codes_that_are_also_reserved_or_denied_are_subtracted_once(place: TestStore) {
    let first = mint(&place, "[A-D]{5}", 300, 100).await;
    place.store.put_reserved(&mask("A[A-D]{4}"), None).await.expect("a row");
    let policy = denying(&["bb", "cdc"]);
    let denied = policy.denied_in(&mask("[A-D]{5}")).expect("words");
    let is_allowed = |code: &&String| !code.starts_with('A') && !denied.is_denied(code.as_bytes());
    let allowed: Vec<String> =
        codemint_test_support::small_masks::codes_of(mask("[A-D]{5}").positions()).into_iter().collect();
    let existing = codes_in(&place).await;
    let (all, taken) = (allowed.iter().filter(is_allowed).count(), existing.iter().filter(is_allowed).count());
    assert!(taken > 20 && existing.len() - taken > 50 && first.minted == 300);
    let free = (all - taken) as i128;
    let under = |count| request("[A-D]{5}", count, 100).under(policy.clone()).expect("a request");
    assert_eq!(refusal_of(&place, &under(free + 1)).await, (free as u128, true));
    mint_under(&place, &policy, "[A-D]{5}", free, 100).await;
    assert_eq!(refusal_of(&place, &under(1)).await, (0, true));
    assert_sound(&place).await;
}

on_all_stores!(codes_inside_the_range_of_a_mask_that_do_not_match_it_are_not_counted);
async fn codes_inside_the_range_of_a_mask_that_do_not_match_it_are_not_counted(place: TestStore) {
    let codes: BTreeSet<String> = ["A-3", "B-0", "B-9", "AX3", "B/0", "BX9"].map(str::to_owned).into();
    import(&place, "[A-C][\\-/X]#", &codes).await;
    expect_refused(&place, "[A-C]-#", 28, 27).await;
    mint(&place, "[A-C]-#", 27, 10).await;
    expect_refused(&place, "[A-C]-#", 1, 0).await;
    assert_sound(&place).await;
}

on_all_stores!(an_import_occupies_its_own_codes_and_no_others);
async fn an_import_occupies_its_own_codes_and_no_others(place: TestStore) {
    let codes: BTreeSet<String> =
        (0..40).map(|at| format!("{:02}", at * 2)).chain((0..9).map(|at| format!("X{at}"))).collect();
    import(&place, "[0-9X]#", &codes).await;
    expect_refused(&place, "##", 61, 60).await;
    mint(&place, "##", 60, 9).await;
    expect_refused(&place, "##", 1, 0).await;
    expect_refused(&place, "X#", 2, 1).await;
    assert_sound(&place).await;
}

on_all_stores!(requests_submitted_together_are_admitted_only_if_they_fit_together);
async fn requests_submitted_together_are_admitted_only_if_they_fit_together(place: TestStore) {
    let (large, small, other) = (request("####", 4_000, 1_000), request("####", 1_500, 1_000), request("Z###", 10, 10));
    let ids: Vec<Uuid> = (0..5).map(|_| Uuid::now_v7()).collect();
    let asked = [
        (ids[0], &large),
        (ids[1], &large),
        (ids[2], &other),
        // 2,000 are left.
        (ids[3], &large),
        (ids[4], &small),
        // The same request again.
        (ids[0], &large),
    ];
    let answers = place.store.put_jobs(&asked).await.expect("answers");
    let shown: Vec<String> = answers
        .iter()
        .map(|answer| match answer {
            PutJob::Stored(job) => format!("stored {} of {}", job.count, job.title()),
            PutJob::Repeated(job) => format!("known {}", job.count),
            PutJob::Conflict(job) => format!("conflict with {}", job.count),
            PutJob::InsufficientKeyspace { free, .. } => format!("{free} free"),
            PutJob::RoomUncertain { certain, .. } => format!("{certain} free for certain"),
            PutJob::OtherCheckKey(other) => other.to_string(),
        })
        .collect();
    // A refusal reports the codes that are free after the other requests are in.
    let wanted = [
        "stored 4000 of ####",
        "stored 4000 of ####",
        "stored 10 of Z###",
        "500 free",
        "stored 1500 of ####",
        "known 4000",
    ];
    assert_eq!(shown, wanted, "in {:?}", place.kind);
    assert_eq!(place.number("select count(*) from jobs").await, 4);
    for answer in answers {
        if let PutJob::Stored(job) = answer {
            let job = run(&place.store, &job).await;
            assert_eq!((job.state, job.minted), (State::Completed, job.count));
        }
    }
    assert_sound(&place).await;
}
