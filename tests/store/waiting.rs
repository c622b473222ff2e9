//! Jobs that wait for room: they start as soon as enough codes are certain to be free, whatever unfinished jobs take, and
//! fail only if too few are left in the end.

use std::collections::BTreeSet;

use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::Request;
use codemint_codes::job::state::State;
use codemint_codes::policy::Policy;
use codemint_store::admission::submit::PutJob;
use codemint_store::connection::store::Store;
use codemint_store::minting::closing::CloseJob;
use uuid::Uuid;

use codemint_test_support::engine_steps::{
    assert_sound, checking, denying, has_ended, import, put, put_request, refusal_of, request, run, run_under, start,
};
use codemint_test_support::stores::TestStore;
use codemint_test_support::{on_all_stores, on_both_stores};

/// Stores a job that must wait.
async fn put_waiting(place: &TestStore, mask: &str, count: i128) -> Job {
    let job = put(&place.store, mask, count, 100).await;
    assert!(job.waits_for.is_some(), "{count} of {mask} are certain to be free: {job:?}");
    job
}

/// Decides about all waiting jobs, and returns the numbers of those that no longer wait.
async fn decide(store: &Store) -> Vec<i64> {
    let decided = store.decide_waiting(&Policy::default()).await.expect("decisions");
    decided.into_iter().map(|decided| decided.job_no).collect()
}

async fn read(place: &TestStore, job: &Job) -> Job {
    place.store.find_job(job.id).await.expect("an answer").expect("the job")
}

async fn cancel(place: &TestStore, job: &Job) {
    place.store.mark_job_cancelling(job.no).await.expect("a mark");
    assert!(has_ended(&place.store.close_job(job.no).await.expect("closing")));
}

on_all_stores!(regression_a_job_is_not_refused_for_codes_that_overlapping_jobs_leave);
async fn regression_a_job_is_not_refused_for_codes_that_overlapping_jobs_leave(place: TestStore) {
    let imported: BTreeSet<String> = (0..7).map(|number| format!("AB{number:02}")).collect();
    import(&place, "AB##", &imported).await;
    // These may take 400 and 300 of the 1,200 codes of the third mask, so that 493 are certain.
    let (one, other) = (put(&place.store, "A?##", 600, 100).await, put(&place.store, "?B##", 600, 100).await);
    let waiting = put_waiting(&place, "[A-C][A-D]##", 600).await;
    assert_eq!(waiting.state, State::Queued);
    let reason = "493 codes are free for certain, up to 1193 if unfinished jobs take others; 600 were requested";
    assert_eq!(waiting.waits_for.as_deref(), Some(reason), "in {:?}", place.kind);
    assert_eq!(read(&place, &waiting).await.waits_for.as_deref(), Some(reason));
    assert_eq!(decide(&place.store).await, [] as [i64; 0]);
    assert_sound(&place).await;

    assert_eq!(run(&place.store, &one).await.minted, 600);
    assert_eq!(run(&place.store, &other).await.minted, 600);
    assert_eq!(decide(&place.store).await, [waiting.no], "in {:?}", place.kind);
    let waiting = read(&place, &waiting).await;
    assert_eq!((waiting.state, &waiting.waits_for), (State::Queued, &None));
    let ended = run(&place.store, &waiting).await;
    assert_eq!((ended.state, ended.minted), (State::Completed, 600), "in {:?}", place.kind);
    assert_sound(&place).await;
}

on_all_stores!(a_job_for_which_too_few_codes_are_left_fails_with_their_true_number);
async fn a_job_for_which_too_few_codes_are_left_fails_with_their_true_number(place: TestStore) {
    for turn in 0..10 {
        let other = put(&place.store, &format!("{turn}[AB]#"), 10, 3).await;
        let waiting = put_waiting(&place, &format!("{turn}A#"), 7).await;
        run(&place.store, &other).await;
        assert_eq!(decide(&place.store).await, [waiting.no]);
        let free = 10 - place.number(&format!("select count(*) from codes where code like '{turn}A%'")).await;
        let decided = read(&place, &waiting).await;
        if free >= 7 {
            assert_eq!(run(&place.store, &decided).await.minted, 7);
            continue;
        }
        assert_eq!((decided.state, decided.minted), (State::Failed, 0));
        let error = decided.error.expect("a reason");
        let codes = if free == 1 { "code" } else { "codes" };
        let message = format!("the mask has {free} free {codes}, 7 were requested; minted 0 of 7");
        assert_eq!((error.code.as_str(), error.message), ("insufficient_keyspace", message));
    }
    assert_sound(&place).await;
}

on_all_stores!(a_waiting_job_starts_as_soon_as_a_running_one_leaves_enough_for_certain);
async fn a_waiting_job_starts_as_soon_as_a_running_one_leaves_enough_for_certain(place: TestStore) {
    let mut other = put(&place.store, "[AB]#", 12, 1).await;
    let waiting = put_waiting(&place, "A#", 3).await;
    // Two codes of B are certain to be minted, but any chunk may be one of A.
    let mut decided = Vec::new();
    let mut chunks = 0;
    while decided.is_empty() {
        other = step(&place, &other, &mut chunks).await;
        let in_a = place.number("select count(*) from codes where code like 'A%'").await;
        let owed = i64::try_from(other.count - other.minted).expect("a small number");
        let free = 10 - in_a;
        decided = decide(&place.store).await;
        // Ten codes fit into B.
        let (is_certain, is_impossible) = (free - owed >= 3, free - (owed - 10).max(0) < 3);
        let message = format!("{free} free, {owed} owed in {:?}", place.kind);
        assert_eq!(!decided.is_empty(), is_certain || is_impossible, "{message}");
        assert!(chunks <= 12);
    }
    let waiting = read(&place, &waiting).await;
    if waiting.state == State::Queued {
        assert_eq!(run(&place.store, &waiting).await.minted, 3);
    }
    assert_sound(&place).await;
}

/// Mints one chunk of a job.
async fn step(place: &TestStore, job: &Job, chunks: &mut usize) -> Job {
    *chunks += 1;
    let mut minting = start(&place.store, job).await;
    minting.mint_chunk(&place.store).await.expect("a chunk");
    drop(minting);
    let closed = place.store.close_job(job.no).await.expect("closing");
    assert!(matches!(closed, CloseJob::ChunksOpen | CloseJob::NextRound | CloseJob::Ended(_)));
    read(place, job).await
}

on_all_stores!(jobs_that_wait_keep_their_order_and_block_no_others);
async fn jobs_that_wait_keep_their_order_and_block_no_others(place: TestStore) {
    let running = put(&place.store, "[AB]##", 100, 100).await;
    let first = put_waiting(&place, "A##", 60).await;
    // 40 codes of A1# and more would be free for it, were it not for the first one.
    let second = put_waiting(&place, "A[0-6]#", 30).await;
    // Nobody else wants these.
    for free in ["B####", "[D-F]##"] {
        let job = put(&place.store, free, 50, 100).await;
        assert_eq!(job.waits_for, None, "{free} in {:?}", place.kind);
        assert_eq!(run(&place.store, &job).await.minted, 50);
    }
    assert_eq!(decide(&place.store).await, [] as [i64; 0]);
    cancel(&place, &running).await;
    // The first one is certain of its codes; of the 70 that the second one may have, it leaves 10 or more.
    assert_eq!(decide(&place.store).await, [first.no], "in {:?}", place.kind);
    assert_eq!(run(&place.store, &read(&place, &first).await).await.minted, 60);
    assert_eq!(decide(&place.store).await, [second.no]);
    let free = 70 - place.number("select count(*) from codes where code between 'A00' and 'A69'").await;
    let second = read(&place, &second).await;
    assert_eq!(second.state == State::Failed, free < 30, "{free} free in {:?}", place.kind);
    assert_sound(&place).await;
}

on_all_stores!(a_waiting_job_can_be_cancelled_and_leaves_its_codes_to_the_next);
async fn a_waiting_job_can_be_cancelled_and_leaves_its_codes_to_the_next(place: TestStore) {
    put(&place.store, "[AB]#", 10, 10).await;
    let (first, second) = (put_waiting(&place, "A#", 8).await, put_waiting(&place, "A[0-7]", 1).await);
    cancel(&place, &first).await;
    let first = read(&place, &first).await;
    assert_eq!((first.state, first.minted, first.waits_for), (State::Cancelled, 0, None));
    // The running job may still take all of A.
    assert_eq!(decide(&place.store).await, [] as [i64; 0]);
    let running = place.store.find_job_by_no(1).await.expect("an answer").expect("the job");
    cancel(&place, &running).await;
    assert_eq!(decide(&place.store).await, [second.no]);
    assert_eq!(run(&place.store, &read(&place, &second).await).await.minted, 1);
    assert_sound(&place).await;
}

on_all_stores!(a_job_that_is_not_decided_cannot_be_started_or_closed);
async fn a_job_that_is_not_decided_cannot_be_started_or_closed(place: TestStore) {
    put(&place.store, "[AB]#", 10, 10).await;
    let waiting = put_waiting(&place, "A#", 8).await;
    let started = place.store.start_job(waiting.no).await.expect("an answer");
    assert!(started.waited.is_none());
    assert!(place.store.claim_chunk(waiting.no).await.expect("an answer").is_none());
    assert_eq!(place.store.close_job(waiting.no).await.expect("closing"), CloseJob::ChunksOpen);
    let unfinished = place.store.list_unfinished(10).await.expect("jobs");
    assert_eq!(unfinished.iter().map(|(no, _)| *no).collect::<Vec<_>>(), [1], "in {:?}", place.kind);
    assert_eq!(read(&place, &waiting).await.state, State::Queued);
    // The request comes again: nothing changes.
    let again = place.store.put_job(waiting.id, &request("A#", 8, 100)).await.expect("an answer");
    assert!(matches!(&again, PutJob::Repeated(job) if job.waits_for == waiting.waits_for), "{again:?}");
}

on_all_stores!(a_request_that_refuses_to_wait_stores_nothing);
async fn a_request_that_refuses_to_wait_stores_nothing(place: TestStore) {
    put(&place.store, "[AB]#", 10, 10).await;
    let options = JobOptions { refuses_to_wait: true, ..JobOptions::default() };
    let request = request("A#", 8, 100).with_options(options);
    let put = place.store.put_job(Uuid::now_v7(), &request).await.expect("an answer");
    assert!(matches!(put, PutJob::RoomUncertain { certain: 0, possible: 10 }), "{put:?} in {:?}", place.kind);
    assert_eq!(place.number("select count(*) from jobs").await, 1);
}

on_all_stores!(only_a_process_of_the_same_policy_decides_about_a_waiting_job);
async fn only_a_process_of_the_same_policy_decides_about_a_waiting_job(place: TestStore) {
    let policies = [denying(&["77"]), checking("one secret of sixteen bytes")];
    for (policy, (mask, rival)) in policies.iter().zip([("A##", 99), ("A#[:check:]", 10)]) {
        let under =
            |mask: &str, count| -> Request { request(mask, count, 100).under(policy.clone()).expect("a request") };
        let running = put_request(&place.store, &under(&mask.replace('A', "[AB]"), rival)).await;
        let waiting = put_request(&place.store, &under(mask, 8)).await;
        assert!(waiting.waits_for.is_some(), "{mask}");
        cancel(&place, &running).await;
        assert_eq!(decide(&place.store).await, [] as [i64; 0], "{mask} in {:?}", place.kind);
        let decided = place.store.decide_waiting(policy).await.expect("decisions");
        assert_eq!(decided.len(), 1);
        let ended = run_under(&place.store, &read(&place, &waiting).await, policy).await;
        assert_eq!((ended.state, ended.minted), (State::Completed, 8));
    }
}

on_all_stores!(a_job_that_cannot_fit_whatever_the_others_take_is_refused_at_once);
async fn a_job_that_cannot_fit_whatever_the_others_take_is_refused_at_once(place: TestStore) {
    // Twelve codes do not fit into the ten of B, so two or more are of A.
    put(&place.store, "[AB]#", 12, 10).await;
    assert_eq!(refusal_of(&place, &request("A#", 9, 100)).await, (8, true), "in {:?}", place.kind);
    put_waiting(&place, "A#", 8).await;
    // With check characters under the same key, too.
    let policy = checking("one secret of sixteen bytes");
    let under = |count| request("C#[:check:]", count, 100).under(policy.clone()).expect("a request");
    put_request(&place.store, &under(6)).await;
    assert_eq!(refusal_of(&place, &under(5)).await, (4, true), "in {:?}", place.kind);
}

on_all_stores!(regression_a_later_job_does_not_take_codes_that_an_earlier_one_needs);
async fn regression_a_later_job_does_not_take_codes_that_an_earlier_one_needs(place: TestStore) {
    // The first job needs 90 of its 120 codes, which the second one could take.
    let first = put(&place.store, "[A-C][A-D]#", 90, 30).await;
    let second = put_waiting(&place, "[A-D][A-D]#", 60).await;
    let reason = "30 codes are free for certain, up to 60 if unfinished jobs take others; 60 were requested";
    assert_eq!(second.waits_for.as_deref(), Some(reason), "in {:?}", place.kind);
    let mut started = vec![first];
    for (mask, count, leaves_enough) in [("[A-D][A-D]#", 10, true), ("[C-K]D#", 10, false)] {
        let job = put(&place.store, mask, count, 100).await;
        assert_eq!(job.waits_for.is_none(), leaves_enough, "{count} of {mask} in {:?}", place.kind);
        started.extend(leaves_enough.then_some(job));
    }
    // The first job is the last to take its codes.
    for job in started.iter().rev() {
        assert_eq!(run(&place.store, job).await.state, State::Completed, "{} in {:?}", job.title(), place.kind);
    }
    let unfinished = [second.no, second.no + 2];
    for job_no in unfinished {
        decide(&place.store).await;
        let job = place.store.find_job_by_no(job_no).await.expect("an answer").expect("the job");
        assert_eq!(job.waits_for, None, "all it depends on has ended");
        if !job.state.is_final() {
            assert_eq!(run(&place.store, &job).await.state, State::Completed, "in {:?}", place.kind);
        }
    }
    assert_sound(&place).await;
}

on_both_stores!(jobs_that_overlap_at_random_never_fail_for_want_of_codes_once_they_have_started);
async fn jobs_that_overlap_at_random_never_fail_for_want_of_codes_once_they_have_started(place: TestStore) {
    const MASKS: [&str; 6] = ["A?#", "?B#", "[A-C][A-D]#", "[A-D][A-D]#", "[A-C][B-D]#", "[B-E][A-C]#"];
    let mut seed = 7_u64;
    let mut random = |below: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) % below
    };
    let mut started: Vec<Job> = Vec::new();
    for _ in 0..60 {
        let (mask, count) = (MASKS[random(6) as usize], 5 + random(60));
        let put = place.store.put_job(Uuid::now_v7(), &request(mask, i128::from(count), 7)).await.expect("an answer");
        if let PutJob::Stored(job) = put
            && job.waits_for.is_none()
        {
            started.push(job);
        }
        for _ in 0..random(6) {
            let Some(at) = (!started.is_empty()).then(|| random(started.len() as u64) as usize) else { break };
            let mut chunks = 0;
            started[at] = step(&place, &started[at].clone(), &mut chunks).await;
            if started[at].state.is_final() {
                let ended = started.swap_remove(at);
                assert_eq!(ended.state, State::Completed, "{ended:?} in {:?}", place.kind);
            }
        }
        for job_no in decide(&place.store).await {
            let job = place.store.find_job_by_no(job_no).await.expect("an answer").expect("the job");
            if !job.state.is_final() {
                started.push(job);
            }
        }
    }
    for job in started {
        let ended = run(&place.store, &job).await;
        assert_eq!(ended.state, State::Completed, "{ended:?} in {:?}", place.kind);
    }
    assert_sound(&place).await;
}
