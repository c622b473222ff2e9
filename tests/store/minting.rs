//! The engine on real stores: which codes it stores, how it handles codes that exist already, when it stops.

use codemint_codes::batch::CodeBatch;
use codemint_codes::draw::Draw;
use codemint_codes::job::plan::{plan_round, slice_of_range};
use codemint_codes::job::record::Job;
use codemint_codes::job::request::{Limits, Request};
use codemint_codes::job::state::State;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::random::{Key, Stream};
use codemint_store::admission::submit::PutJob;
use codemint_store::connection::store::Store;
use codemint_worker::mint::engine::{ChunkOutcome, MintedChunk};
use codemint_worker::mint::error::MintError;
use codemint_worker::mint::task::MintSettings;
use codemint_worker::runner::job_execution::Share;
use codemint_worker::runner::single::{RunEnd, run_job};
use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use codemint_test_support::engine_steps::start;
use codemint_test_support::on_all_stores;
use codemint_test_support::stores::{Kind, TestStore};

const LIMITS: Limits = Limits { count_max: 1_000_000_000, guess_odds_min: 0 };

async fn put(store: &Store, mask: &str, count: i128, chunk_size: u64) -> Job {
    let request = Request::check(mask, count, None, chunk_size, LIMITS).expect("a request");
    match store.put_job(Uuid::now_v7(), &request).await.expect("a job") {
        PutJob::Stored(job) | PutJob::Repeated(job) => job,
        other => panic!("{other:?}"),
    }
}

async fn run(store: &Store, job: &Job) -> (Job, Share) {
    let (end, share) = run_job(store, job, &MintSettings::default(), &CancellationToken::new()).await.expect("an end");
    assert_eq!(end, RunEnd::Ended);
    (store.find_job(job.id).await.expect("an answer").expect("the job"), share)
}

on_all_stores!(a_job_over_the_whole_keyspace_mints_every_code_once);
async fn a_job_over_the_whole_keyspace_mints_every_code_once(place: TestStore) {
    let job = put(&place.store, "####", 10_000, 700).await;
    let (job, share) = run(&place.store, &job).await;
    assert_eq!((job.state, job.minted, job.rejections.total()), (State::Completed, 10_000, 0));
    assert_eq!((share.codes, share.chunks), (10_000, 15));
    let codes = place.texts("select code from codes order by code").await;
    assert!(codes.iter().enumerate().all(|(rank, code)| *code == format!("{rank:04}")));
}

/// Panics unless every chunk holds exactly the codes that follow from its row and the key.
async fn assert_codes_follow_from(place: &TestStore, job: &Job, key: &Key) {
    let keyspace = Keyspace::new(job.mask().expect("a mask"));
    let chunks = place.store.list_chunks(job.no).await.expect("chunks");
    // The row of a done chunk has the range of its codes; the plan has its slice.
    for (chunk, planned) in chunks.iter().zip(plan_round(&keyspace, key, 0, job.count, job.chunk_size)) {
        let slice = slice_of_range(&keyspace, &planned.range_first, &planned.range_last).expect("a slice");
        let drawn = Draw::new(key, Stream::chunk(0, chunk.planned.chunk_no), slice, chunk.planned.quota as usize);
        let expected = keyspace.batch(drawn.ranks());
        assert_eq!(place.store.read_codes(chunk).await.expect("codes").as_lines(), expected.as_lines());
        assert_eq!(chunk.digest.as_deref(), Some(&*Sha256::digest(expected.as_lines())));
    }
}

on_all_stores!(the_codes_of_a_chunk_follow_from_mask_key_round_and_chunk_number_alone);
async fn the_codes_of_a_chunk_follow_from_mask_key_round_and_chunk_number_alone(place: TestStore) {
    let job = put(&place.store, "[A_]{4}##", 500, 100).await;
    let key = place.store.read_key(job.no).await.expect("an answer").expect("a key");
    run(&place.store, &job).await;
    assert_eq!(place.number("select count(*) from chunks").await, 5);
    assert_codes_follow_from(&place, &job, &key).await;
}

on_all_stores!(a_chunk_drawn_ahead_is_dropped_when_another_process_writes_it);
async fn a_chunk_drawn_ahead_is_dropped_when_another_process_writes_it(place: TestStore) {
    let job = put(&place.store, "[A_]{4}##", 900, 100).await;
    let key = place.store.read_key(job.no).await.expect("an answer").expect("a key");
    let other = place.open_again().await;
    let mut minting = [start(&place.store, &job).await, start(&other, &job).await];
    // The order of turns: both guess their next chunk right and wrong, once and twice in a row.
    for turn in [0, 1, 0, 0, 0, 1, 1, 1, 0] {
        let step = minting[turn].mint_chunk(&place.store).await.expect("a step");
        assert!(matches!(step, ChunkOutcome::Minted { .. }), "{step:?}");
    }
    assert_codes_follow_from(&place, &job, &key).await;
    assert_eq!(place.number("select count(*) from codes").await, 900);
}

on_all_stores!(a_job_that_meets_codes_of_other_jobs_mints_exactly_what_is_left);
async fn a_job_that_meets_codes_of_other_jobs_mints_exactly_what_is_left(place: TestStore) {
    let first = put(&place.store, "####", 6_000, 500).await;
    run(&place.store, &first).await;
    let second = put(&place.store, "####", 4_000, 300).await;
    let (second, _) = run(&place.store, &second).await;
    assert_eq!((second.state, second.minted), (State::Completed, 4_000));
    assert!(second.rejections.existing > 0);
    assert_eq!(place.number("select count(*) from codes").await, 10_000);
    let further = place.number("select count(*) from chunks where round > 0").await;
    assert!(further > 0, "slices with too few free codes leave the rest to a further round");
    let mismatches = "select count(*) from chunks c
                       where minted <> (select count(*) from codes where codes.run_no = c.run_no)";
    assert_eq!(place.number(mismatches).await, 0);
}

on_all_stores!(a_job_that_runs_out_of_free_codes_fails_with_its_true_count);
async fn a_job_that_runs_out_of_free_codes_fails_with_its_true_count(place: TestStore) {
    for ((count, chunk_size), place) in [(95, 1), (95, 7)].into_iter().zip([place.another().await, place]) {
        place.execute("insert into codes (code, run_no) values ('03', 0), ('04', 0), ('05', 0), ('06', 0), ('07', 0), ('99', 0)").await;
        let job = put(&place.store, "##", count, chunk_size).await;
        let (job, _) = run(&place.store, &job).await;
        assert_eq!((job.state, job.minted), (State::Failed, 94), "chunk size {chunk_size}");
        let error = job.error.expect("a reason");
        assert_eq!(error.message, "no free code is left in the keyspace; minted 94 of 95");
        assert_eq!(place.number("select count(*) from codes").await, 100);
    }
}

on_all_stores!(a_single_free_code_is_found);
async fn a_single_free_code_is_found(place: TestStore) {
    let all: Vec<String> = (0..1000).filter(|&n| n != 613).map(|n| format!("('{n:03}', 0)")).collect();
    place.execute(&format!("insert into codes (code, run_no) values {}", all.join(", "))).await;
    let job = put(&place.store, "###", 1, 1).await;
    let (job, _) = run(&place.store, &job).await;
    assert_eq!((job.state, job.minted), (State::Completed, 1));
    assert_eq!(place.texts("select code from codes where run_no > 0").await, ["613"]);
}

on_all_stores!(a_mask_without_placeholders_gives_its_one_code_once);
async fn a_mask_without_placeholders_gives_its_one_code_once(place: TestStore) {
    let public = put(&place.store, "WELCOME", 1, 50_000).await;
    assert_eq!(run(&place.store, &public).await.0.state, State::Completed);
    let again = Request::check("WELCOME", 1, None, 50_000, LIMITS).expect("a request");
    let refused = place.store.put_job(Uuid::now_v7(), &again).await.expect("an answer");
    assert!(matches!(refused, PutJob::InsufficientKeyspace { free: 0, mintable: 1, exact: true }), "{refused:?}");
    assert_eq!(place.texts("select code from codes").await, ["WELCOME"]);
}

on_all_stores!(a_stopped_job_resumes_where_it_stopped);
async fn a_stopped_job_resumes_where_it_stopped(place: TestStore) {
    let job = put(&place.store, "######", 1_000, 100).await;
    let stop = CancellationToken::new();
    stop.cancel();
    let (end, share) = run_job(&place.store, &job, &MintSettings::default(), &stop).await.expect("an end");
    assert_eq!((end, share.codes), (RunEnd::Stopped, 0));

    let mut minting = start(&place.store, &job).await;
    for _ in 0..3 {
        assert!(matches!(
            minting.mint_chunk(&place.store).await.expect("a step"),
            ChunkOutcome::Minted { minted: MintedChunk { codes: 100, .. }, .. }
        ));
    }
    let (job, share) = run(&place.store, &job).await;
    assert_eq!((job.state, job.minted, share.codes), (State::Completed, 1_000, 700));
}

on_all_stores!(a_job_of_another_generator_version_is_left_alone);
async fn a_job_of_another_generator_version_is_left_alone(place: TestStore) {
    let job = put(&place.store, "####", 10, 5).await;
    place.execute("update jobs set generator_version = 2").await;
    let job = place.store.find_job(job.id).await.expect("an answer").expect("the job");
    let error =
        run_job(&place.store, &job, &MintSettings::default(), &CancellationToken::new()).await.expect_err("a refusal");
    assert!(matches!(error, MintError::GeneratorVersion { found: 2 }), "{error}");
    assert_eq!(place.number("select count(*) from codes").await, 0);
}

#[tokio::test]
async fn a_duplicate_that_cannot_be_found_ends_in_an_error_and_not_in_a_loop() {
    let place = TestStore::postgres().await;
    // Every insert reports a duplicate, as with a broken index.
    place
        .execute(
            "create function refuse() returns trigger language plpgsql as
               'begin raise exception using errcode = ''23505'', message = ''phantom''; end';
             create trigger refuse before insert on codes for each row execute function refuse()",
        )
        .await;
    let job = put(&place.store, "####", 10, 5).await;
    let error =
        run_job(&place.store, &job, &MintSettings::default(), &CancellationToken::new()).await.expect_err("an error");
    assert!(matches!(error, MintError::PhantomDuplicate { .. }), "{error}");
}

on_all_stores!(codes_are_stored_in_byte_order_whatever_the_databases_collation);
async fn codes_are_stored_in_byte_order_whatever_the_databases_collation(place: TestStore) {
    let job = put(&place.store, "[A_\\-0]{6}", 4_096, 100).await;
    run(&place.store, &job).await;
    let mut read = Vec::new();
    for chunk in place.store.list_chunks(job.no).await.expect("chunks") {
        let codes: CodeBatch = place.store.read_codes(&chunk).await.expect("codes");
        read.extend(codes.iter().map(str::to_owned));
    }
    assert_eq!(read.len(), 4_096, "on {:?}", place.kind);
    assert!(read.is_sorted_by(|a, b| a < b), "on {:?}", place.kind);
    if place.kind == Kind::Postgres {
        let by_language = place.texts("select code from codes order by code collate \"default\"").await;
        assert_ne!(read, by_language, "the mask must show the difference");
    }
}
