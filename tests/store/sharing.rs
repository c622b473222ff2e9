//! Several processes that work on one job.

use std::time::Duration;

use codemint_codes::job::record::Job;
use codemint_codes::job::request::{Limits, Request};
use codemint_store::admission::submit::PutJob;
use uuid::Uuid;

use codemint_test_support::codemint::finish;
use codemint_test_support::on_all_stores;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

const CANCELS: usize = 200;

async fn put(place: &TestStore, mask: &str, count: i128, chunk_size: u64) -> Job {
    let request = Request::check(mask, count, None, chunk_size, Limits { count_max: 1_000_000, guess_odds_min: 0 })
        .expect("a request");
    match place.store.put_job(Uuid::now_v7(), &request).await.expect("a job") {
        PutJob::Stored(job) | PutJob::Repeated(job) => job,
        other => panic!("{other:?}"),
    }
}

on_all_stores!(two_processes_that_resume_a_job_share_it);
async fn two_processes_that_resume_a_job_share_it(place: TestStore) {
    let job = put(&place, "MY_LITTLE_PROMO????##", 400_000, 5_000).await;
    let id = job.id.to_string();
    let first = place.codemint(["jobs", "resume", &id, "--json"]).start();
    let second = place.codemint(["jobs", "resume", &id, "--json"]).start();
    let (first, second) = tokio::join!(finish(first), finish(second));
    let shares: Vec<u64> = [first, second]
        .into_iter()
        .map(|ran| ran.expect_code(0).json()["minted_here"].as_u64().expect("a number"))
        .collect();
    assert!(shares.iter().all(|&share| share > 0), "on {:?}: {shares:?}", place.kind);
    assert_eq!(shares.iter().sum::<u64>(), 400_000, "on {:?}", place.kind);
    assert_eq!(place.number("select count(*) from codes").await, 400_000);
    place.codemint(["verify", &id]).run().await.expect_code(0);
}

/// Cancels a job at a random moment while two processes mint it, or begin to. Returns true if that was in the middle.
async fn cancel_once(place: &TestStore, has_begun: bool) -> bool {
    let job = put(place, "[:safe:]{12}", 10_000, 100).await;
    let id = job.id.to_string();
    let minting = [0, 1].map(|_| place.codemint(["jobs", "resume", &id]).start());
    let delay_ms = getrandom::u64().expect("randomness") % 150;
    if has_begun {
        wait_until("it has begun", async || rows_of(place, &job).await > 0).await;
    } else {
        tokio::time::sleep(Duration::from_millis(delay_ms)).await;
    }
    let cancelled = place.codemint(["jobs", "cancel", &id, "--json"]).run().await;
    let answer = cancelled.json();
    let at_once = rows_of(place, &job).await;
    for child in minting {
        let ran = finish(child).await;
        assert!([0, 3].contains(&ran.code), "{ran:?}");
    }
    let minted = answer["minted"].as_i64().expect("a number");
    assert_eq!(at_once, minted, "right after the cancel");
    assert_eq!(rows_of(place, &job).await, minted, "after both processes have stopped");
    assert_eq!(place.number(&format!("select minted from jobs where no = {}", job.no)).await, minted);
    let completed = minted == 10_000;
    assert_eq!(answer["state"], if completed { "completed" } else { "cancelled" });
    assert_eq!(cancelled.code, if completed { 3 } else { 0 });
    minted > 0 && !completed
}

async fn rows_of(place: &TestStore, job: &Job) -> i64 {
    let of_job =
        format!("select count(*) from codes where run_no in (select run_no from chunks where job_no = {})", job.no);
    place.number(&of_job).await
}

#[tokio::test]
async fn a_cancelled_jobs_count_is_the_number_of_its_rows_two_hundred_times() {
    let place = TestStore::postgres().await;
    let mut in_the_middle = 0;
    for round in 0..CANCELS {
        in_the_middle += usize::from(cancel_once(&place, round % 2 == 0).await);
    }
    assert!(in_the_middle >= CANCELS / 4, "only {in_the_middle} of {CANCELS} cancels met a running job");
}

#[tokio::test]
async fn a_cancelled_jobs_count_is_the_number_of_its_rows_in_sqlite_too() {
    let place = TestStore::sqlite().await;
    for _ in 0..20 {
        cancel_once(&place, false).await;
    }
}
