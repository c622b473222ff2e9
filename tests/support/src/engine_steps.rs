//! Steps that the tests of the engine share: storing and running jobs, strays, and the invariants of every store.

use std::collections::BTreeSet;
use std::sync::Arc;

use codemint_codes::check::CheckKey;
use codemint_codes::denied::DeniedWords;
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::{Limits, Request};
use codemint_codes::job::state::State;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::policy::Policy;
use codemint_store::admission::submit::PutJob;
use codemint_store::connection::store::Store;
use codemint_store::minting::closing::CloseJob;
use codemint_worker::mint::engine::Minting;
use codemint_worker::mint::task::{MintSettings, SharedMask};
use codemint_worker::runner::single::{RunEnd, run_job};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::small_masks::mask;
use crate::stores::{Kind, TestStore};

pub const fn has_ended(closed: &CloseJob) -> bool {
    matches!(closed, CloseJob::Ended(_))
}

pub fn request(mask: &str, count: i128, chunk_size: u64) -> Request {
    let limits = Limits { count_max: 1_000_000_000, guess_odds_min: 0 };
    Request::check(mask, count, None, chunk_size, limits).expect("a request")
}

/// A policy with these denied words.
pub fn denying(words: &[&str]) -> Policy {
    let denied = DeniedWords::new(words.iter().copied()).expect("words");
    Policy { denied: Some(Arc::new(denied)), ..Policy::default() }
}

/// A policy with a check key of this secret.
pub fn checking(secret: &str) -> Policy {
    let key = CheckKey::new(secret.as_bytes()).expect("a secret");
    Policy { check_key: Some(key), ..Policy::default() }
}

pub async fn put_request(store: &Store, request: &Request) -> Job {
    match store.put_job(Uuid::now_v7(), request).await.expect("a job") {
        PutJob::Stored(job) => job,
        other => panic!("{other:?}"),
    }
}

pub async fn put(store: &Store, mask: &str, count: i128, chunk_size: u64) -> Job {
    put_request(store, &request(mask, count, chunk_size)).await
}

/// The number of free codes that a refusal reports, and whether it is exact; panics if anything was stored.
pub async fn refusal_of(place: &TestStore, request: &Request) -> (u128, bool) {
    let tables = "select (select count(*) from jobs) + (select count(*) from chunks) + (select cast(coalesce(sum(codes), 0) as bigint) from masks)";
    let before = place.number(tables).await;
    let refused = match place.store.put_job(Uuid::now_v7(), request).await.expect("an answer") {
        PutJob::InsufficientKeyspace { free, exact, .. } => (free, exact),
        other => panic!("{other:?}"),
    };
    assert_eq!(place.number(tables).await, before);
    refused
}

/// Panics unless a job of `count` codes is refused with this exact number of free codes.
pub async fn expect_refused(place: &TestStore, mask: &str, count: i128, free: u128) {
    assert_eq!(
        refusal_of(place, &request(mask, count, 1000)).await,
        (free, true),
        "{count} of {mask} in {:?}",
        place.kind
    );
}

/// Panics unless it depends on unfinished jobs whether this many codes are free: `certain` are, and `possible` may be.
pub async fn expect_uncertain(place: &TestStore, mask: &str, count: i128, certain: u128, possible: u128) {
    let options = JobOptions { refuses_to_wait: true, ..JobOptions::default() };
    let put = place.store.put_job(Uuid::now_v7(), &request(mask, count, 1000).with_options(options)).await;
    let PutJob::RoomUncertain { certain: free, possible: most } = put.expect("an answer") else {
        panic!("{count} of {mask} in {:?}: certain", place.kind)
    };
    assert_eq!((free, most), (certain, possible), "{count} of {mask} in {:?}", place.kind);
}

pub async fn run_under(store: &Store, job: &Job, policy: &Policy) -> Job {
    let settings = MintSettings { policy: policy.clone(), ..MintSettings::default() };
    let (end, _) = run_job(store, job, &settings, &CancellationToken::new()).await.expect("an end");
    assert_eq!(end, RunEnd::Ended);
    store.find_job(job.id).await.expect("an answer").expect("the job")
}

pub async fn run(store: &Store, job: &Job) -> Job {
    run_under(store, job, &Policy::default()).await
}

/// Stores a job and runs it; panics unless it completes.
pub async fn mint(place: &TestStore, mask: &str, count: i128, chunk_size: u64) -> Job {
    mint_under(place, &Policy::default(), mask, count, chunk_size).await
}

pub async fn mint_under(place: &TestStore, policy: &Policy, mask: &str, count: i128, chunk_size: u64) -> Job {
    let request = request(mask, count, chunk_size).under(policy.clone()).expect("a request");
    let job = put_request(&place.store, &request).await;
    let job = run_under(&place.store, &job, policy).await;
    assert_eq!((job.state, i128::from(job.minted)), (State::Completed, count), "{mask} in {:?}: {job:?}", place.kind);
    job
}

pub async fn start(store: &Store, job: &Job) -> Minting {
    let started = Minting::start(store, job, &MintSettings::default(), &SharedMask::default()).await;
    started.expect("a start").expect("a job to do")
}

/// All codes of the store in ascending order.
pub async fn codes_in(place: &TestStore) -> Vec<String> {
    place.texts("select code from codes order by code").await
}

/// Bytes as a literal in the SQL of the store.
pub fn bytes(place: &TestStore, hexadecimal: &str) -> String {
    match place.kind {
        Kind::Sqlite => format!("x'{hexadecimal}'"),
        Kind::Postgres => format!("'\\x{hexadecimal}'::bytea"),
    }
}

pub fn uuid(place: &TestStore, uuid: Uuid) -> String {
    match place.kind {
        Kind::Sqlite => format!("x'{}'", uuid.simple()),
        Kind::Postgres => format!("'{uuid}'"),
    }
}

pub fn quoted(code: &str) -> String {
    format!("'{}'", code.replace('\'', "''"))
}

/// Stores codes of a mask, with all the rows that a finished import leaves behind.
pub async fn import(place: &TestStore, mask_text: &str, codes: &BTreeSet<String>) {
    let keyspace = Keyspace::new(&mask(mask_text));
    assert!(codes.iter().all(|code| keyspace.contains(code)), "codes of {mask_text}");
    let (count, length) = (codes.len(), keyspace.code_length());
    let [first, last] =
        [keyspace.first_code(0), keyspace.last_code(keyspace.size() - 1)].map(|code| quoted(&code.expect("a code")));
    let [lowest, highest] = [codes.first(), codes.last()].map(|code| quoted(code.expect("a code")));
    let (id, digest, text) = (uuid(place, Uuid::now_v7()), bytes(place, "00"), quoted(&mask(mask_text).to_string()));
    let next = place.number("select coalesce(max(run_no), 0) + 1 from chunks").await;
    place
        .execute(&format!(
            "insert into masks (mask, code_length, first_code, last_code, codes) values ({text}, {length}, {first}, {last}, {count})
                 on conflict (mask) do update set codes = masks.codes + excluded.codes;
             insert into jobs (id, kind, count, state, generator_version, chunk_size, source_digest, minted, rejected, digest)
                 values ({id}, 'import', {count}, 'completed', 1, {count}, {digest}, {count}, 0, {digest});
             insert into chunks (job_no, mask_no, round, chunk_no, range_first, range_last, quota, state, minted, digest)
                 values ((select max(no) from jobs), (select mask_no from masks where mask = {text}), 0, 0,
                         {lowest}, {highest}, {count}, 'done', {count}, {digest})"
        ))
        .await;
    assert_eq!(place.number("select max(run_no) from chunks").await, next);
    insert_codes(place, codes, next).await;
}

/// Stores codes alone: strays that no other table knows.
pub async fn insert_codes(place: &TestStore, codes: impl IntoIterator<Item = impl AsRef<str>>, run_no: i64) {
    let rows: Vec<String> = codes.into_iter().map(|code| format!("({}, {run_no})", quoted(code.as_ref()))).collect();
    place.execute(&format!("insert into codes (code, run_no) values {}", rows.join(", "))).await;
}

/// Panics unless each done run has the range of its codes: neither wider, which would cost look-ups, nor narrower.
pub async fn assert_ranges_are_those_of_the_codes(place: &TestStore) {
    let wrong = "select count(*) from chunks c where minted > 0
                    and (range_first <> (select min(code) from codes where codes.run_no = c.run_no)
                         or range_last <> (select max(code) from codes where codes.run_no = c.run_no))";
    assert_eq!(place.number(wrong).await, 0, "in {:?}", place.kind);
}

/// Panics unless the invariants of a store hold: counts are counts of rows, codes lie in the ranges of their runs, and
/// the codes claimed from a mask are those that its jobs hold or may still mint.
pub async fn assert_sound(place: &TestStore) {
    for wrong in [
        "select count(*) from chunks c where minted <> (select count(*) from codes where codes.run_no = c.run_no)",
        "select count(*) from chunks c join codes k on k.run_no = c.run_no
          where k.code < c.range_first or k.code > c.range_last",
        "select count(*) from jobs j
          where minted is not null and minted <> (select sum(c.minted) from chunks c where c.job_no = j.no)",
        "select count(*) from chunks where rejected < conflicts + reserved + denied",
        "select count(*) from masks m
          where codes <> (select coalesce(sum(coalesce(j.minted, j.count)), 0) from jobs j
                           where m.mask_no = j.mask_no
                              or m.mask_no in (select c.mask_no from chunks c where c.job_no = j.no))",
    ] {
        assert_eq!(place.number(wrong).await, 0, "{wrong} in {:?}", place.kind);
    }
}
