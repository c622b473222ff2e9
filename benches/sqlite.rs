//! What does a job cost in SQLite, beyond the statements that store its codes? For a million codes of
//! `MY_LITTLE_PROMO????##`, `codemint generate` into a file that does not exist yet, from process start to process end,
//! takes at most 1.5 times as long as a bare loop in this process: open a file that has the schema, begin, insert and
//! commit once per chunk, with the codes already in the form that the statement needs, and close.
//!
//! From an empty directory to a file of codes: the same with `--output codes.csv` makes at least 1.5 million codes a
//! second (median), including process start and end.
//!
//! Both use the same statement, chunks and pragmas (write-ahead log, flushed at every commit). The loop omits: creating
//! the file and its schema, drawing, digests, checkpoints, and the pauses that let other processes have a turn.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use codemint_codes::batch::CodeBatch;
use codemint_codes::draw::Draw;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::random::{Key, Stream};
use codemint_codes::slice::quotas;
use codemint_store::connection::location::Location;
use codemint_store::connection::store::Store;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use crate::measure::{CHUNK_SIZE, Pairs, SECONDS_HEADER, Turn, exit_code, median, seconds_row, turns, verdict};
use codemint_test_support::codemint::Codemint;

mod measure;
const RATIO_MAX: f64 = 1.5;
const EXPORTED_CODES_PER_SECOND_MIN: f64 = 1.5e6;
const MASK: &str = "MY_LITTLE_PROMO????##";
const COUNT: u64 = 1_000_000;
const PAIRS: usize = 15;
const EXPORTING: [&str; 2] = ["--output", "codes.csv"];

#[tokio::main]
async fn main() -> ExitCode {
    let chunks = draw_chunks();
    // The first run of each finds cold caches, so it is not counted.
    time_generate(&EXPORTING).await;
    time_loop(&chunks).await;
    let (mut pairs, mut exporting) = (Pairs::default(), Vec::new());
    for pair in 0..PAIRS {
        for turn in turns(pair) {
            let seconds = match turn {
                Turn::Ours => time_generate(&[]).await,
                Turn::Reference => time_loop(&chunks).await,
            };
            pairs.add(turn, seconds);
        }
        exporting.push(time_generate(&EXPORTING).await);
    }
    println!("{COUNT} codes of {MASK} into a new file, {PAIRS} pairs");
    println!("{SECONDS_HEADER}");
    let pairs_hold = pairs.print(["codemint generate", "bare loop of the same inserts"], RATIO_MAX);
    println!("{}", seconds_row("codemint generate --output codes.csv", &exporting));
    let codes_per_second = COUNT as f64 / median(&exporting);
    let is_fast = codes_per_second >= EXPORTED_CODES_PER_SECOND_MIN;
    let bound = EXPORTED_CODES_PER_SECOND_MIN / 1e6;
    println!("million codes a second, median {:.2}, bound {bound:.1}: {}", codes_per_second / 1e6, verdict(is_fast));
    exit_code(pairs_hold && is_fast)
}

/// Draws the codes of every chunk, as JSON arrays.
fn draw_chunks() -> Vec<String> {
    let keyspace = Keyspace::new(&MASK.parse().expect("a mask"));
    let key = Key::new([7; Key::LENGTH_BYTES]);
    let slices = COUNT.div_ceil(CHUNK_SIZE as u64) as u32;
    let draw = |(chunk_no, (slice, quota))| {
        let draw = Draw::new(&key, Stream::chunk(0, chunk_no), slice, quota as usize);
        let batch = keyspace.batch_into(CodeBatch::default(), draw.ranks());
        serde_json::to_string(&batch.iter().collect::<Vec<_>>()).expect("text")
    };
    (0..).zip(quotas(&key, 0, keyspace.size(), COUNT, slices)).map(draw).collect()
}

async fn time_generate(output: &[&str]) -> f64 {
    let directory = tempfile::tempdir().expect("a directory");
    let codemint = Codemint::new(directory.path()).args(["--store", "sqlite://codes.db", "generate", MASK]);
    let codemint = codemint.args(["--count", &COUNT.to_string()]).args(output);
    let started = Instant::now();
    let ran = codemint.run().await;
    let seconds = started.elapsed().as_secs_f64();
    ran.expect_code(0);
    check_count(&directory.path().join("codes.db")).await;
    seconds
}

async fn time_loop(chunks: &[String]) -> f64 {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("codes.db");
    Store::migrate(&Location::Sqlite(file.clone())).await.expect("a schema");
    let started = Instant::now();
    insert_chunks(&file, chunks).await.expect("stored codes");
    let seconds = started.elapsed().as_secs_f64();
    check_count(&file).await;
    seconds
}

async fn insert_chunks(file: &Path, chunks: &[String]) -> Result<(), sqlx::Error> {
    let mut connection = open(file).await?;
    for (run_no, codes) in (1_i64..).zip(chunks) {
        let mut transaction = connection.begin_with("begin immediate").await?;
        sqlx::query("insert into codes (code, run_no) select value, $2 from json_each($1)")
            .bind(codes.as_str())
            .bind(run_no)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    connection.close().await
}

async fn open(file: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .disable_statement_logging();
    options.connect().await
}

/// Checks that the run left all codes in the file; otherwise it has measured something else.
async fn check_count(file: &Path) {
    let mut connection = open(file).await.expect("the file");
    let count: i64 =
        sqlx::query_scalar("select count(*) from codes").fetch_one(&mut connection).await.expect("a count");
    assert_eq!(count, COUNT as i64, "codes in the file");
}
