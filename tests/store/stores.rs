//! One contract for both stores: every operation, what it changes and what it leaves alone.

use codemint_codes::batch::CodeBatch;
use codemint_codes::job::record::Job;
use codemint_codes::job::record::Rejections;
use codemint_codes::job::request::{Limits, Request};
use codemint_codes::job::state::State;
use codemint_codes::prefilter::Filter;
use codemint_codes::screening::Screening;
use codemint_store::admission::submit::PutJob;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::schema::SchemaStatus;
use codemint_store::connection::store::{Access, Store};
use codemint_store::minting::chunks::{Checkpoint, ClaimedChunk, PutCodes};
use codemint_store::minting::closing::{CloseJob, job_digest};
use codemint_store::minting::write_order::WriteOrder;
use codemint_store::records::reports::JobFilter;
use sha2::{Digest, Sha256};
use sqlx::Connection;
use uuid::Uuid;

use codemint_test_support::engine_steps::{has_ended, put_request as put, request};
use codemint_test_support::on_all_stores;
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::waiting::wait_until;

const LIMITS: Limits = Limits { count_max: 1_000_000_000, guess_odds_min: 0 };

/// Returns the first codes of the chunk's range, as many as its quota; its mask is `####`.
fn codes_of(chunk: &ClaimedChunk) -> CodeBatch {
    let first: u32 = chunk.chunk.range_first.parse().expect("digits");
    CodeBatch::from_lines((first..first + chunk.chunk.quota).map(|code| format!("{code:04}\n")).collect())
}

fn checkpoint(codes: &CodeBatch, rejected: u64) -> Checkpoint {
    Checkpoint {
        minted: codes.len() as u32,
        rejections: Rejections { existing: rejected, ..Rejections::default() },
        screening: Screening::NothingOverlaps,
        digest: Sha256::digest(codes.as_lines()).into(),
        range: codes.first().zip(codes.last()).map(|(first, last)| (first.to_owned(), last.to_owned())),
        filter: Filter::bytes_of(codes, 0.001),
    }
}

async fn put_codes(chunk: &mut ClaimedChunk, store: &Store, codes: &CodeBatch) -> Result<PutCodes, StoreError> {
    chunk.put_codes(&store.encode_codes(chunk.chunk.run_no, codes, WriteOrder::Ascending)).await
}

async fn commit(mut chunk: ClaimedChunk, checkpoint: Checkpoint) {
    chunk.write_checkpoint(&checkpoint).await.expect("a checkpoint");
    chunk.commit().await.expect("a commit");
}

async fn claim(store: &Store, job: &Job) -> ClaimedChunk {
    store.claim_chunk(job.no).await.expect("an answer").expect("an open chunk")
}

async fn mint_one(store: &Store, job: &Job) {
    let mut chunk = claim(store, job).await;
    let codes = codes_of(&chunk);
    assert!(matches!(put_codes(&mut chunk, store, &codes).await.expect("codes"), PutCodes::Stored));
    commit(chunk, checkpoint(&codes, 0)).await;
}

async fn found(store: &Store, job: &Job) -> Job {
    store.find_job(job.id).await.expect("an answer").expect("the job")
}

on_all_stores!(a_stored_job_is_found_as_it_was_requested);
async fn a_stored_job_is_found_as_it_was_requested(place: TestStore) {
    let asked = Request::check("ab-####", 1000, Some("Spring & Co."), 300, LIMITS).expect("a request");
    let job = put(&place.store, &asked).await;
    let found = found(&place.store, &job).await;
    assert_eq!((found.title(), found.mask().expect("a mask").to_string().as_str()), ("ab-####", "AB-####"));
    assert_eq!((found.count, found.chunk_size, found.generator_version), (1000, 300, 1));
    assert_eq!(found.campaign.as_deref(), Some("Spring & Co."));
    assert_eq!((found.state, found.minted, found.rejections.total()), (State::Queued, 0, 0));
    assert_eq!((found.started_at, found.finished_at, found.digest, found.error), (None, None, None, None));
    assert!((chrono::Utc::now() - found.created_at).num_seconds().abs() < 60);
    assert!(place.store.find_job(Uuid::now_v7()).await.expect("an answer").is_none());
}

on_all_stores!(a_job_is_stored_with_its_chunks_whose_ranges_partition_the_keyspace);
async fn a_job_is_stored_with_its_chunks_whose_ranges_partition_the_keyspace(place: TestStore) {
    let job = put(&place.store, &request("####", 1000, 300)).await;
    let chunks = place.store.list_chunks(job.no).await.expect("chunks");
    let ranges: Vec<(&str, &str)> = chunks.iter().map(|c| (&*c.planned.range_first, &*c.planned.range_last)).collect();
    assert_eq!(ranges, [("0000", "2499"), ("2500", "4999"), ("5000", "7499"), ("7500", "9999")]);
    assert_eq!(chunks.iter().map(|c| u64::from(c.planned.quota)).sum::<u64>(), 1000);
    assert!(chunks.iter().all(|c| c.planned.quota == 250 && c.state == "open" && c.minted == 0 && c.digest.is_none()));
    assert_eq!(
        chunks.iter().map(|c| (c.planned.round, c.planned.chunk_no)).collect::<Vec<_>>(),
        [(0, 0), (0, 1), (0, 2), (0, 3)]
    );
}

on_all_stores!(storing_a_job_again_changes_nothing_whatever_the_request);
async fn storing_a_job_again_changes_nothing_whatever_the_request(place: TestStore) {
    let job = put(&place.store, &request("####", 10, 5)).await;
    for again in [request("####", 10, 5), request("####", 11, 5)] {
        match place.store.put_job(job.id, &again).await.expect("an answer") {
            PutJob::Repeated(known) => {
                assert_eq!((known.no, known.count, again.count), (job.no, 10, 10));
                assert!(known.asks_the_same_as(&again));
            }
            PutJob::Conflict(known) => {
                assert_eq!((known.no, known.count, again.count), (job.no, 10, 11));
                assert!(!known.asks_the_same_as(&again));
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(place.number("select count(*) from jobs").await, 1);
    assert_eq!(place.number("select count(*) from chunks").await, 2);
}

on_all_stores!(every_job_has_a_key_of_its_own_until_it_ends);
async fn every_job_has_a_key_of_its_own_until_it_ends(place: TestStore) {
    let jobs = [put(&place.store, &request("####", 2, 2)).await, put(&place.store, &request("####", 2, 2)).await];
    let keys = [
        place.store.read_key(jobs[0].no).await.expect("an answer").expect("a key"),
        place.store.read_key(jobs[1].no).await.expect("an answer").expect("a key"),
    ];
    assert_ne!(keys[0], keys[1]);
    place.store.mark_job_cancelling(jobs[0].no).await.expect("a mark");
    assert!(has_ended(&place.store.close_job(jobs[0].no).await.expect("closing")));
    assert_eq!(place.store.read_key(jobs[0].no).await.expect("an answer"), None);
    assert_eq!(place.number("select count(*) from jobs where key is not null").await, 1);
}

on_all_stores!(unfinished_jobs_with_the_same_request_are_found);
async fn unfinished_jobs_with_the_same_request_are_found(place: TestStore) {
    let spring = Request::check("x###", 10, Some("spring"), 5, LIMITS).expect("a request");
    let job = put(&place.store, &spring).await;
    let like =
        async |request: &Request| place.store.find_unfinished_like(request).await.expect("an answer").map(|j| j.id);
    let same = Request::check("X#{3}", 10, Some("spring"), 7, LIMITS).expect("a request");
    assert_eq!(like(&same).await, Some(job.id));
    for (mask, count, campaign) in [("y###", 10, Some("spring")), ("x###", 9, Some("spring")), ("x###", 10, None)] {
        let other = Request::check(mask, count, campaign, 5, LIMITS).expect("a request");
        assert_eq!(like(&other).await, None, "{mask} {count} {campaign:?}");
    }
    place.store.mark_job_cancelling(job.no).await.expect("a mark");
    place.store.close_job(job.no).await.expect("closing");
    assert_eq!(like(&same).await, None);
}

on_all_stores!(jobs_are_listed_newest_first_page_by_page_and_by_filter);
async fn jobs_are_listed_newest_first_page_by_page_and_by_filter(place: TestStore) {
    let mut jobs = Vec::new();
    for at in 0..5 {
        let campaign = (at % 2 == 0).then_some("even");
        jobs.push(put(&place.store, &Request::check("####", 1, campaign, 1, LIMITS).expect("a request")).await);
    }
    place.store.start_job(jobs[3].no).await.expect("a mark");
    let list = async |filter: JobFilter| {
        let listed = place.store.list_jobs(&filter).await.expect("jobs");
        listed.iter().map(|job| jobs.iter().position(|j| j.id == job.id).expect("a known job")).collect::<Vec<_>>()
    };
    let all = JobFilter { limit: 10, ..JobFilter::default() };
    assert_eq!(list(all.clone()).await, [4, 3, 2, 1, 0]);
    assert_eq!(list(JobFilter { limit: 2, ..all.clone() }).await, [4, 3]);
    assert_eq!(list(JobFilter { limit: 2, before_no: Some(jobs[3].no), ..all.clone() }).await, [2, 1]);
    assert_eq!(list(JobFilter { campaign: Some("even".to_owned()), ..all.clone() }).await, [4, 2, 0]);
    assert_eq!(list(JobFilter { state: Some(State::Running), ..all.clone() }).await, [3]);
    assert_eq!(list(JobFilter { state: Some(State::Failed), ..all }).await, [] as [usize; 0]);
}

on_all_stores!(a_queued_job_starts_running_once);
async fn a_queued_job_starts_running_once(place: TestStore) {
    let job = put(&place.store, &request("####", 2, 2)).await;
    place.store.start_job(job.no).await.expect("a mark");
    let first = found(&place.store, &job).await;
    assert_eq!(first.state, State::Running);
    assert!(first.started_at.is_some());
    place.store.start_job(job.no).await.expect("a mark");
    assert_eq!(found(&place.store, &job).await.started_at, first.started_at);
    place.store.mark_job_cancelling(job.no).await.expect("a mark");
    place.store.start_job(job.no).await.expect("a mark");
    assert_eq!(found(&place.store, &job).await.state, State::Cancelling);
}

on_all_stores!(chunks_are_claimed_in_ascending_order_and_committed_with_their_codes);
async fn chunks_are_claimed_in_ascending_order_and_committed_with_their_codes(place: TestStore) {
    let job = put(&place.store, &request("####", 40, 10)).await;
    let mut chunk = claim(&place.store, &job).await;
    assert_eq!((chunk.chunk.round, chunk.chunk.chunk_no), (0, 0));
    let codes = codes_of(&chunk);
    put_codes(&mut chunk, &place.store, &codes).await.expect("codes");
    let run_no = chunk.chunk.run_no;
    commit(chunk, checkpoint(&codes, 3)).await;

    assert!(place.store.is_chunk_done(run_no).await.expect("an answer"));
    let stored = &place.store.list_chunks(job.no).await.expect("chunks")[0];
    assert_eq!((&*stored.state, stored.minted), ("done", 10));
    assert_eq!(stored.digest.as_deref(), Some(&*Sha256::digest(codes.as_lines())));
    assert_eq!(place.store.read_codes(stored).await.expect("codes"), codes);
    let job = found(&place.store, &job).await;
    assert_eq!((job.minted, job.rejections.total()), (10, 3));
    assert_eq!(claim(&place.store, &job).await.chunk.chunk_no, 1);
}

on_all_stores!(a_dropped_claim_leaves_the_chunk_open_and_no_code_behind);
async fn a_dropped_claim_leaves_the_chunk_open_and_no_code_behind(place: TestStore) {
    let job = put(&place.store, &request("####", 40, 10)).await;
    let mut chunk = claim(&place.store, &job).await;
    let codes = codes_of(&chunk);
    put_codes(&mut chunk, &place.store, &codes).await.expect("codes");
    let run_no = chunk.chunk.run_no;
    drop(chunk);
    assert!(!place.store.is_chunk_done(run_no).await.expect("an answer"));
    assert_eq!(place.number("select count(*) from codes").await, 0);
    assert_eq!(claim(&place.store, &job).await.chunk.run_no, run_no);
}

on_all_stores!(existing_codes_are_reported_and_leave_the_claim_usable);
async fn existing_codes_are_reported_and_leave_the_claim_usable(place: TestStore) {
    let job = put(&place.store, &request("####", 40, 10)).await;
    place.execute("insert into codes (code, run_no) values ('0003', 0), ('0007', 0)").await;
    let mut chunk = claim(&place.store, &job).await;
    let codes = codes_of(&chunk);
    assert!(matches!(put_codes(&mut chunk, &place.store, &codes).await.expect("an answer"), PutCodes::DuplicateMet));
    let mut snapshot = place.store.begin_reading().await.expect("a snapshot");
    assert_eq!(snapshot.find_present(&codes).await.expect("codes"), ["0003", "0007"]);
    let others = CodeBatch::from_lines("0010\n0011\n".to_owned());
    assert_eq!(snapshot.find_present(&others).await.expect("codes"), [] as [&str; 0]);
    assert!(matches!(put_codes(&mut chunk, &place.store, &others).await.expect("an answer"), PutCodes::Stored));
    commit(chunk, checkpoint(&others, 8)).await;
    let all = place.texts("select code from codes order by code").await;
    assert_eq!(all, ["0003", "0007", "0010", "0011"], "nothing of the rejected batch was stored");
}

on_all_stores!(a_checkpoint_that_changes_no_row_commits_nothing);
async fn a_checkpoint_that_changes_no_row_commits_nothing(place: TestStore) {
    let job = put(&place.store, &request("####", 40, 10)).await;
    // The database swallows the update, as a rule or a trigger of its owner might.
    place
        .execute(match place.kind {
            Kind::Sqlite => "create trigger swallow before update on chunks begin select raise(ignore); end",
            Kind::Postgres => {
                "create function swallow() returns trigger language plpgsql as 'begin return null; end';
             create trigger swallow before update on chunks for each row execute function swallow()"
            }
        })
        .await;
    let mut chunk = claim(&place.store, &job).await;
    let codes = codes_of(&chunk);
    put_codes(&mut chunk, &place.store, &codes).await.expect("codes");
    let error = chunk.write_checkpoint(&checkpoint(&codes, 0)).await.expect_err("no checkpoint");
    drop(chunk);
    assert!(matches!(error, StoreError::RowCount { changed: 0, expected: 1, .. }), "{error}");
    assert_eq!(place.number("select count(*) from codes").await, 0);
    assert_eq!(place.number("select count(*) from chunks where state = 'open'").await, 4);
}

#[tokio::test]
async fn two_writers_never_hold_the_same_chunk() {
    let place = TestStore::postgres().await;
    let other = place.open_again().await;
    let job = put(&place.store, &request("####", 20, 10)).await;
    let first = claim(&place.store, &job).await;
    let second = claim(&other, &job).await;
    assert_eq!((first.chunk.chunk_no, second.chunk.chunk_no), (0, 1));
    assert!(place.store.claim_chunk(job.no).await.expect("an answer").is_none(), "other writers hold the open chunks");
    assert_eq!(place.store.close_job(job.no).await.expect("closing"), CloseJob::ChunksOpen);
}

#[tokio::test]
async fn a_second_sqlite_writer_waits_for_the_first() {
    let place = TestStore::sqlite().await;
    let other = place.open_again().await;
    let job = put(&place.store, &request("####", 20, 10)).await;
    let mut first = claim(&place.store, &job).await;
    let waiting = tokio::spawn({
        let job_no = job.no;
        async move { other.claim_chunk(job_no).await.expect("an answer").expect("a chunk").chunk.chunk_no }
    });
    let codes = codes_of(&first);
    put_codes(&mut first, &place.store, &codes).await.expect("codes");
    assert!(!waiting.is_finished());
    commit(first, checkpoint(&codes, 0)).await;
    assert_eq!(waiting.await.expect("an end"), 1);
}

on_all_stores!(a_job_is_completed_with_the_digest_over_its_chunks_and_without_its_key);
async fn a_job_is_completed_with_the_digest_over_its_chunks_and_without_its_key(place: TestStore) {
    let job = put(&place.store, &request("####", 20, 10)).await;
    assert_eq!(place.store.close_job(job.no).await.expect("closing"), CloseJob::ChunksOpen);
    mint_one(&place.store, &job).await;
    assert_eq!(place.store.close_job(job.no).await.expect("closing"), CloseJob::ChunksOpen);
    mint_one(&place.store, &job).await;
    assert!(has_ended(&place.store.close_job(job.no).await.expect("closing")));
    assert!(has_ended(&place.store.close_job(job.no).await.expect("closing")), "closing is idempotent");

    let ended = found(&place.store, &job).await;
    assert_eq!((ended.state, ended.minted), (State::Completed, 20));
    assert!(ended.finished_at.is_some());
    let chunks = place.store.list_chunks(job.no).await.expect("chunks");
    let digests: Vec<Vec<u8>> = chunks.into_iter().filter_map(|chunk| chunk.digest).collect();
    assert_eq!(digests.len(), 2);
    assert_eq!(ended.digest, Some(job_digest(&digests).to_vec()));
    assert_eq!(place.store.read_key(job.no).await.expect("an answer"), None);
    assert!(place.store.claim_chunk(job.no).await.expect("an answer").is_none());
}

on_all_stores!(a_cancelled_job_keeps_what_was_committed_and_skips_the_rest);
async fn a_cancelled_job_keeps_what_was_committed_and_skips_the_rest(place: TestStore) {
    let job = put(&place.store, &request("####", 40, 10)).await;
    mint_one(&place.store, &job).await;
    place.store.mark_job_cancelling(job.no).await.expect("a mark");
    assert!(place.store.claim_chunk(job.no).await.expect("an answer").is_none(), "no further chunk is claimed");
    assert!(has_ended(&place.store.close_job(job.no).await.expect("closing")));
    let ended = found(&place.store, &job).await;
    assert_eq!((ended.state, ended.minted), (State::Cancelled, 10));
    let error = ended.error.expect("a reason");
    assert_eq!((&*error.code, &*error.message), ("cancelled", "cancelled after 10 of 40 codes"));
    assert_eq!(place.number("select count(*) from chunks where state = 'skipped'").await, 3);
    assert_eq!(place.number("select count(*) from codes").await, 10);
    place.store.mark_job_cancelling(job.no).await.expect("no change");
    assert_eq!(found(&place.store, &job).await.state, State::Cancelled);
}

#[tokio::test]
async fn cancelling_waits_for_a_chunk_that_is_being_written_and_counts_it() {
    let place = TestStore::postgres().await;
    let other = place.open_again().await;
    let job = put(&place.store, &request("####", 40, 10)).await;
    let mut chunk = claim(&place.store, &job).await;
    let codes = codes_of(&chunk);
    put_codes(&mut chunk, &place.store, &codes).await.expect("codes");
    other.mark_job_cancelling(job.no).await.expect("a mark");
    let closing = tokio::spawn({
        let job_no = job.no;
        async move { other.close_job(job_no).await.expect("closing") }
    });
    wait_until("closing waits for the lock", async || lock_waiters(&place).await == 1).await;
    commit(chunk, checkpoint(&codes, 0)).await;
    assert!(has_ended(&closing.await.expect("an end")));
    let ended = found(&place.store, &job).await;
    assert_eq!((ended.state, ended.minted), (State::Cancelled, 10));
}

/// Returns the number of sessions of the test's database that wait for a lock.
async fn lock_waiters(place: &TestStore) -> i64 {
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    place.number(waits).await
}

#[tokio::test]
async fn resolving_an_unknown_commit_waits_until_it_has_finished() {
    let place = TestStore::postgres().await;
    let other = place.open_again().await;
    let job = put(&place.store, &request("####", 10, 10)).await;
    let mut chunk = claim(&place.store, &job).await;
    let codes = codes_of(&chunk);
    put_codes(&mut chunk, &place.store, &codes).await.expect("codes");
    let asking = tokio::spawn({
        let run_no = chunk.chunk.run_no;
        async move { other.is_chunk_done(run_no).await.expect("an answer") }
    });
    wait_until("the query waits", async || lock_waiters(&place).await == 1).await;
    commit(chunk, checkpoint(&codes, 0)).await;
    assert!(asking.await.expect("an end"), "a commit that finishes a moment later counts as done");
}

#[tokio::test]
async fn of_two_processes_that_close_a_job_at_once_one_plans_the_next_round() {
    let place = TestStore::postgres().await;
    let job = put(&place.store, &request("####", 20, 20)).await;
    mint_one_with(&place.store, &job, "0000\n").await;
    let mut lock = sqlx::PgConnection::connect(&place.url).await.expect("the server");
    sqlx::raw_sql("begin; select from jobs for update").execute(&mut lock).await.expect("a lock");
    let closing = [place.open_again().await, place.open_again().await].map(|store| {
        let job_no = job.no;
        tokio::spawn(async move { store.close_job(job_no).await.expect("closing") })
    });
    wait_until("both wait", async || lock_waiters(&place).await == 2).await;
    sqlx::raw_sql("commit").execute(&mut lock).await.expect("no lock");
    let mut closed = Vec::new();
    for task in closing {
        closed.push(task.await.expect("an end"));
    }
    closed.sort_by_key(|closed| *closed == CloseJob::NextRound);
    assert_eq!(closed, [CloseJob::ChunksOpen, CloseJob::NextRound]);
    assert_eq!(place.number("select count(*) from chunks where round = 1").await, 1);
}

on_all_stores!(the_next_round_owes_what_a_round_could_not_mint);
async fn the_next_round_owes_what_a_round_could_not_mint(place: TestStore) {
    let job = put(&place.store, &request("####", 20, 10)).await;
    mint_one(&place.store, &job).await;
    let mut chunk = claim(&place.store, &job).await;
    let few = CodeBatch::from_lines("5000\n5001\n5002\n".to_owned());
    put_codes(&mut chunk, &place.store, &few).await.expect("codes");
    commit(chunk, checkpoint(&few, 7)).await;
    assert_eq!(place.store.close_job(job.no).await.expect("closing"), CloseJob::NextRound);
    let chunks = place.store.list_chunks(job.no).await.expect("chunks");
    let next: Vec<_> = chunks.iter().filter(|chunk| chunk.planned.round == 1).collect();
    assert_eq!(next.len(), 1);
    assert_eq!(
        (&*next[0].planned.range_first, &*next[0].planned.range_last, next[0].planned.quota),
        ("0000", "9999", 7)
    );
    assert_eq!(found(&place.store, &job).await.state, State::Queued);
}

on_all_stores!(a_job_that_finds_no_free_code_in_a_further_round_fails_with_its_true_count);
async fn a_job_that_finds_no_free_code_in_a_further_round_fails_with_its_true_count(place: TestStore) {
    let job = put(&place.store, &request("####", 20, 20)).await;
    mint_one_with(&place.store, &job, "0000\n0001\n").await;
    assert_eq!(place.store.close_job(job.no).await.expect("closing"), CloseJob::NextRound);
    mint_one_with(&place.store, &job, "").await;
    assert!(has_ended(&place.store.close_job(job.no).await.expect("closing")));
    let ended = found(&place.store, &job).await;
    assert_eq!((ended.state, ended.minted), (State::Failed, 2));
    assert_eq!(ended.error.expect("a reason").code, "keyspace_exhausted");
}

async fn mint_one_with(store: &Store, job: &Job, lines: &str) {
    let mut chunk = claim(store, job).await;
    let codes = CodeBatch::from_lines(lines.to_owned());
    put_codes(&mut chunk, store, &codes).await.expect("codes");
    commit(chunk, checkpoint(&codes, 0)).await;
}

#[tokio::test]
async fn codes_compare_by_byte_whatever_the_databases_collation_is() {
    let place = TestStore::postgres().await;
    let linguistic = "select case when '_' collate \"default\" < 'A' collate \"default\" then 1 else 0 end::bigint";
    assert_eq!(place.number(linguistic).await, 1, "the test database must not sort by byte");
    let columns = "select attrelid::regclass || '.' || attname
                     from pg_attribute a join pg_collation c on c.oid = a.attcollation
                    where collname = 'C' and attrelid in ('codes'::regclass, 'chunks'::regclass)
                    order by 1";
    assert_eq!(place.texts(columns).await, ["chunks.range_first", "chunks.range_last", "codes.code"]);
}

#[tokio::test]
async fn a_schema_is_created_once_and_a_missing_newer_or_altered_one_is_refused() {
    let place = TestStore::postgres().await;
    let location = place.url.parse().expect("a location");
    assert_eq!(Store::migrate(&location).await.expect("no change"), SchemaStatus::Current { version: 13 });
    assert_eq!(Store::check_schema(&location).await.expect("a status"), SchemaStatus::Current { version: 13 });
    let refusal = async || Store::open(&location, Access::Existing).await.expect_err("a refusal").to_string();

    place.execute("update _sqlx_migrations set checksum = '\\x00'").await;
    assert!(refusal().await.contains("differs from that of this program"));
    place.execute("update _sqlx_migrations set version = 99 where version = 2").await;
    assert!(refusal().await.contains("version 99, this program knows 13"));
    assert!(Store::migrate(&location).await.is_err(), "a newer schema is left alone");
    place.execute("update _sqlx_migrations set success = false").await;
    assert!(refusal().await.contains("half done"));
    place.execute("delete from _sqlx_migrations").await;
    assert!(refusal().await.contains("run `codemint migrate`"));
}

/// A connection is given back by a task of its own, and the driver's pool can be closed before that task ends.
#[tokio::test]
async fn regression_a_closed_sqlite_file_is_alone_although_connections_were_just_used() {
    for steps in 0..10 {
        let place = TestStore::sqlite().await;
        for _ in 0..4 {
            place.store.require_schema().await.expect("a schema");
            put(&place.store, &request("A##", 10, 10)).await;
        }
        for _ in 0..steps {
            tokio::task::yield_now().await;
        }
        place.store.close().await.expect("a close");
        for log in ["store.db-wal", "store.db-shm"] {
            assert!(!place.path().join(log).exists(), "{log} after {steps} steps");
        }
    }
}

#[tokio::test]
async fn an_sqlite_file_of_another_or_of_a_newer_program_is_refused() {
    let place = TestStore::sqlite().await;
    let refusal = async |url: &str| {
        let location = url.parse().expect("a location");
        Store::open(&location, Access::Existing).await.expect_err("a refusal").to_string()
    };
    place.execute("update _sqlx_migrations set version = 99 where version = 2").await;
    assert!(refusal(&place.url).await.contains("version 99, this program knows 13"));
    place.execute("pragma application_id = 1").await;
    assert!(refusal(&place.url).await.contains("tables of another application"));
    let text = place.path().join("text.db");
    std::fs::write(&text, "not a database, but a text that is long enough to have a header".repeat(20))
        .expect("a file");
    assert!(refusal(&format!("sqlite://{}", text.display())).await.contains("not a database"));
}
