//! Stores of schema versions 1 and 2 with jobs in every state: once migrated, masks are known and jobs resume.

use std::path::Path;

use codemint_codes::job::state::State;
use codemint_store::connection::schema::SchemaStatus;
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection, SqliteConnection};
use uuid::Uuid;

use codemint_test_support::engine_steps::{assert_sound, codes_in, expect_refused, has_ended, mint, run};
use codemint_test_support::on_both_stores;
use codemint_test_support::postgres::Database;
use codemint_test_support::stores::{Kind, TestStore};

/// The jobs that are inserted into the old schema below, oldest first: state and number of done chunks.
const JOBS: [(State, u32); 7] = [
    (State::Queued, 0),
    (State::Running, 1),
    (State::Cancelling, 1),
    (State::Cancelled, 1),
    (State::Completed, 3),
    (State::Failed, 2),
    // This one has a mask of its own.
    (State::Completed, 1),
];

async fn first_migrations(kind: Kind, version: usize) -> Migrator {
    let name = if kind == Kind::Sqlite { "sqlite" } else { "postgres" };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(name);
    let entries = std::fs::read_dir(source).expect("migrations").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries.collect();
    files.sort();
    let directory = tempfile::tempdir().expect("a directory");
    for file in &files[..version] {
        std::fs::copy(file, directory.path().join(file.file_name().expect("a name"))).expect("a copy");
    }
    Migrator::new(directory.path()).await.expect("migrations")
}

/// Returns bytes, or an id of 16 bytes, as an SQL literal.
fn literal(kind: Kind, byte: u8, length: usize) -> String {
    let digits = format!("{byte:02x}").repeat(length);
    match kind {
        Kind::Sqlite => format!("x'{digits}'"),
        Kind::Postgres if length == 16 => format!("'{digits}'"),
        Kind::Postgres => format!("'\\x{digits}'"),
    }
}

/// Returns the SQL for the jobs: three chunks with slices of 20 codes of `[A-F]#` each, or one such chunk of `[89]#`.
fn rows(kind: Kind) -> String {
    let mut sql = String::new();
    for (no, (state, done)) in (1_u8..).zip(JOBS) {
        let (mask, chunks) = if no == 7 { ("[89]#", 1) } else { ("[A-F]#", 3) };
        let (id, digest) = (literal(kind, no, 16), literal(kind, no, 32));
        let ended = state.is_final();
        // A completed job has all the codes that it asked for.
        let count = if state == State::Completed { 4 * chunks } else { 8 * chunks };
        let (key, minted) = if ended {
            ("null".to_owned(), (4 * done).to_string())
        } else {
            (literal(kind, 100 + no, 32), "null".to_owned())
        };
        sql += &format!(
            "insert into jobs (id, mask, canonical_mask, count, state, key, generator_version, chunk_size, minted, rejected, digest)
             values ({id}, '{}', '{mask}', {count}, '{}', {key}, 1, 20, {minted}, {}, {});\n",
            mask.to_lowercase(),
            state.into_str(),
            if ended { "0" } else { "null" },
            if ended { &digest } else { "null" },
        );
        for chunk in 0..chunks {
            let is_done = chunk < done;
            let (first, last) = if no == 7 {
                ("80".to_owned(), "99".to_owned())
            } else {
                let letters = [("A", "B"), ("C", "D"), ("E", "F")][chunk as usize];
                (format!("{}0", letters.0), format!("{}9", letters.1))
            };
            let quota = count / chunks;
            let (chunk_state, minted) = match (is_done, ended) {
                (true, _) => ("done", 4),
                (false, true) => ("skipped", 0),
                (false, false) => ("open", 0),
            };
            sql += &format!(
                "insert into chunks (job_no, round, chunk_no, range_first, range_last, quota, state, minted, digest)
                 values ({no}, 0, {chunk}, '{first}', '{last}', {quota}, '{chunk_state}', {minted}, {});\n",
                if is_done { &digest } else { "null" },
            );
            // Jobs of one mask have different codes: two for each letter of the slice.
            let letter = first.as_bytes()[0];
            for at in 0..minted {
                let code = format!("{}{}", char::from(letter + at / 2), (no + 5 * (at % 2)) % 10);
                sql +=
                    &format!("insert into codes (code, run_no) values ('{code}', (select max(run_no) from chunks));\n");
            }
        }
    }
    sql
}

/// Returns stores of this kind and of old versions with these jobs, after today's program has opened them.
async fn migrated_stores(kind: Kind) -> [TestStore; 2] {
    match kind {
        Kind::Sqlite => [migrated_sqlite(1).await, migrated_sqlite(2).await],
        Kind::Postgres => [migrated_postgres(1).await, migrated_postgres(2).await],
    }
}

async fn migrated_sqlite(version: usize) -> TestStore {
    let directory = tempfile::tempdir().expect("a directory");
    let url = format!("sqlite://{}/store.db", directory.path().display());
    let mut sqlite = SqliteConnection::connect(&format!("{url}?mode=rwc")).await.expect("a file");
    first_migrations(Kind::Sqlite, 1).await.run(&mut sqlite).await.expect("a schema");
    sqlx::raw_sql(&rows(Kind::Sqlite)).execute(&mut sqlite).await.expect("rows");
    first_migrations(Kind::Sqlite, version).await.run(&mut sqlite).await.expect("a schema");
    sqlite.close().await.expect("a close");
    TestStore::sqlite_in(directory).await
}

async fn migrated_postgres(version: usize) -> TestStore {
    let database = Database::create().await;
    let mut postgres = PgConnection::connect(&database.url).await.expect("a database");
    first_migrations(Kind::Postgres, 1).await.run(&mut postgres).await.expect("a schema");
    sqlx::raw_sql(&rows(Kind::Postgres)).execute(&mut postgres).await.expect("rows");
    first_migrations(Kind::Postgres, version).await.run(&mut postgres).await.expect("a schema");
    postgres.close().await.expect("a close");
    let status =
        codemint_store::connection::store::Store::check_schema(&database.url.parse().expect("a location")).await;
    assert!(matches!(status, Ok(SchemaStatus::Older { found, .. }) if found == version as i64), "{status:?}");
    TestStore::postgres_in(database).await
}

async fn job(place: &TestStore, no: u8) -> codemint_codes::job::record::Job {
    place.store.find_job(Uuid::from_bytes([no; 16])).await.expect("an answer").expect("the job")
}

on_both_stores!(masks_of_old_jobs_are_in_use_with_the_codes_they_hold_or_may_still_mint);
async fn masks_of_old_jobs_are_in_use_with_the_codes_they_hold_or_may_still_mint(fresh: TestStore) {
    for place in migrated_stores(fresh.kind).await {
        let masks = place.texts("select mask || ' ' || code_length || ' ' || first_code || ' ' || last_code || ' ' || codes from masks order by mask").await;
        // Three unfinished jobs of 24 codes each; ended ones of 4, 12 and 8.
        assert_eq!(masks, ["[89]# 2 80 99 4", "[A-F]# 2 A0 F9 96"], "in {:?}", place.kind);
        assert_sound(&place).await;
    }
}

on_both_stores!(old_jobs_keep_their_states_counts_and_codes);
async fn old_jobs_keep_their_states_counts_and_codes(fresh: TestStore) {
    for place in migrated_stores(fresh.kind).await {
        for (no, (state, done)) in (1_u8..).zip(JOBS) {
            let job = job(&place, no).await;
            assert_eq!((job.state, job.minted), (state, u64::from(4 * done)), "job {no} in {:?}", place.kind);
            assert_eq!(place.store.read_key(job.no).await.expect("an answer").is_some(), !state.is_final());
            assert_eq!(job.rejections.total(), 0);
            // No events were requested for them.
            assert_eq!((job.options.priority, job.options.emits_events), (0, false));
        }
        assert_eq!(codes_in(&place).await.len(), 36);
        let kept = "select count(*) from chunks c join jobs j on j.no = c.job_no where c.mask_no = j.mask_no";
        assert_eq!((place.number(kept).await, place.number("select count(*) from chunks").await), (19, 19));
    }
}

on_both_stores!(a_refusal_that_an_earlier_version_stored_shows_the_current_error_code);
async fn a_refusal_that_an_earlier_version_stored_shows_the_current_error_code(fresh: TestStore) {
    for place in migrated_stores(fresh.kind).await {
        place.execute("update jobs set error_code = 'no_room', error_message = 'why' where no = 6").await;
        let error = job(&place, 6).await.error.expect("an error");
        assert_eq!((&*error.code, &*error.message), ("insufficient_keyspace", "why"), "in {:?}", place.kind);
    }
}

on_both_stores!(old_jobs_resume_and_new_ones_take_the_remaining_codes);
async fn old_jobs_resume_and_new_ones_take_the_remaining_codes(fresh: TestStore) {
    for place in migrated_stores(fresh.kind).await {
        // The mask has 60 codes; the old jobs hold 32 and are owed 3 * 24 - 8 more, which is more than are left.
        expect_refused(&place, "[A-F]#", 1, 0).await;
        place.store.mark_job_cancelling(job(&place, 1).await.no).await.expect("a mark");
        for no in [1, 3] {
            assert!(has_ended(&place.store.close_job(i64::from(no)).await.expect("closing")));
            assert_eq!(job(&place, no).await.state, State::Cancelled);
        }
        // 32 codes exist, and 20 are owed to the running job.
        expect_refused(&place, "[A-F]#", 9, 8).await;
        let running = run(&place.store, &job(&place, 2).await).await;
        assert_eq!((running.state, running.minted), (State::Completed, 24));
        mint(&place, "[A-F]#", 8, 3).await;
        expect_refused(&place, "[A-F]#", 1, 0).await;
        mint(&place, "[89]#", 16, 16).await;
        assert_eq!(codes_in(&place).await.len(), 80);
        assert_sound(&place).await;
    }
}
