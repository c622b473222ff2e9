//! What does a job cost in PostgreSQL, compared with the fastest way to load the same codes? For a million codes of
//! `MY_LITTLE_PROMO????##` into an empty table, `codemint generate`, from process start to process end, takes at most
//! 1.25 times as long as `psql \copy` of a ready-made, sorted file.
//!
//! Both write the same table with the same indexes, over TCP, into a new database right after a checkpoint, on a server
//! with default settings that really flushes. The file is the exported table of an earlier job. psql commits once,
//! codemint after every 100,000 codes; for comparison, psql with as many commits is measured too.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use codemint_store::connection::store::Store;
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;

use crate::measure::{CHUNK_SIZE, Pairs, SECONDS_HEADER, Turn, exit_code, seconds_row, turns};
use codemint_test_support::codemint::Codemint;
use codemint_test_support::postgres::{Durability, Server, create_database};

mod measure;
const RATIO_MAX: f64 = 1.25;
const MASK: &str = "MY_LITTLE_PROMO????##";
const COUNT: usize = 1_000_000;
const PAIRS: usize = 7;
const DATABASE: &str = "bench";

struct Bench {
    server: Server,
    directory: TempDir,
}

#[tokio::main]
async fn main() -> ExitCode {
    let bench = Bench { server: Server::start(Durability::Full), directory: tempfile::tempdir().expect("a directory") };
    let whole = bench.write_file_of_a_job().await;
    let pieces = split(&whole);
    let (one_copy, copy_a_chunk) = (copy_script(&[whole]), copy_script(&pieces));
    let mut pairs = Pairs::default();
    let mut with_commits = Vec::new();
    for pair in 0..PAIRS {
        for turn in turns(pair) {
            let seconds = match turn {
                Turn::Ours => bench.time_generate().await,
                Turn::Reference => bench.time_psql(&one_copy).await,
            };
            pairs.add(turn, seconds);
        }
        with_commits.push(bench.time_psql(&copy_a_chunk).await);
    }
    println!("{COUNT} codes of {MASK} into an empty table, {PAIRS} pairs");
    println!("{SECONDS_HEADER}");
    println!("{}", seconds_row("psql \\copy, commit every 100,000", &with_commits));
    exit_code(pairs.print(["codemint generate", "psql \\copy of the sorted file"], RATIO_MAX))
}

impl Bench {
    fn url(&self) -> String {
        self.server.url(DATABASE)
    }

    /// Creates a database as the program's first user finds it, with nothing left to flush from earlier work.
    async fn make_database(&self) {
        let server_url = self.server.url("postgres");
        let mut connection = PgConnection::connect(&server_url).await.expect("the server");
        let drop = format!("drop database if exists {DATABASE} with (force)");
        connection.execute(drop.as_str()).await.expect("no database");
        create_database(&server_url, DATABASE).await;
        Store::migrate(&self.url().parse().expect("a location")).await.expect("a schema");
        connection.execute("checkpoint").await.expect("a checkpoint");
    }

    /// Checks that the run left a full table; otherwise it has measured something else.
    async fn check_count(&self) {
        let mut connection = PgConnection::connect(&self.url()).await.expect("the database");
        let count: i64 =
            sqlx::query_scalar("select count(*) from codes").fetch_one(&mut connection).await.expect("a count");
        assert_eq!(count, COUNT as i64, "codes in the table");
    }

    async fn time_generate(&self) -> f64 {
        self.make_database().await;
        let codemint = Codemint::new(self.directory.path()).args(["--store", &self.url(), "generate", MASK]);
        let codemint = codemint.args(["--count", &COUNT.to_string()]);
        let started = Instant::now();
        let ran = codemint.run().await;
        let seconds = started.elapsed().as_secs_f64();
        ran.expect_code(0);
        self.check_count().await;
        seconds
    }

    async fn time_psql(&self, script: &str) -> f64 {
        self.make_database().await;
        let started = Instant::now();
        self.psql(script).await;
        let seconds = started.elapsed().as_secs_f64();
        self.check_count().await;
        seconds
    }

    async fn psql(&self, script: &str) {
        let file = self.directory.path().join("script.sql");
        fs::write(&file, script).expect("a script");
        let mut psql = Command::new(self.server.program("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", &self.url(), "--file"]).arg(file);
        let status = psql.status().await.expect("psql");
        assert!(status.success(), "psql: {status}");
    }

    async fn write_file_of_a_job(&self) -> PathBuf {
        let file = self.directory.path().join("codes.tsv");
        self.time_generate().await;
        self.psql(&format!("\\copy (select code, run_no from codes order by code) to '{}'\n", file.display())).await;
        file
    }
}

fn split(whole: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(whole).expect("the file of all codes");
    let lines: Vec<&str> = text.lines().collect();
    let write = |(number, piece): (usize, &[&str])| {
        let file = whole.with_extension(format!("{number}.tsv"));
        fs::write(&file, piece.join("\n") + "\n").expect("a file of one chunk");
        file
    };
    lines.chunks(CHUNK_SIZE).enumerate().map(write).collect()
}

fn copy_script(files: &[PathBuf]) -> String {
    files.iter().map(|file| format!("\\copy codes (code, run_no) from '{}'\n", file.display())).collect()
}
