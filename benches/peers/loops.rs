//! Other ways to create codes, each in a process of its own over one connection: (d) to (h) of the table.
//!
//! The loops of the shops are ports from their published sources: the same statements in the same order, in Rust
//! instead of PHP or Ruby and without object mappers, so they are faster than the originals.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sqlx::{Connection, Executor, PgConnection};

use crate::contender::Loop;

/// The first argument of such a process.
pub const AS_LOOP: &str = "as-loop";

/// Codes per transaction, for ways that insert many at once.
const CHUNK: u64 = 50_000;

/// The task and progress of such a process.
struct Run {
    connection: PgConnection,
    random: ChaCha20Rng,
    prefix: String,
    count: u64,
    file: String,
    cut_off: Duration,
    started: Instant,
    made: u64,
    /// Seconds that do not depend on the number of codes made afterwards, and are not extrapolated.
    fixed: f64,
}

/// Runs a loop. The arguments are the loop's name, URL, prefix of the codes, their number, a file of codes, and the
/// seconds after which it is cut off. Prints the number of codes made, and the seconds that all codes would have taken.
#[expect(clippy::print_stdout, reason = "the process's result")]
pub async fn run(arguments: &[String]) {
    let [name, url, prefix, count, file, cut_off] = arguments else { panic!("six arguments: {arguments:?}") };
    let mut connection = PgConnection::connect(url).await.expect("the database");
    connection.execute("create temp table staging (code text, run_no bigint)").await.expect("a staging table");
    let mut run = Run {
        connection,
        random: ChaCha20Rng::seed_from_u64(7),
        prefix: prefix.clone(),
        count: count.parse().expect("a count"),
        file: file.clone(),
        cut_off: Duration::from_secs(cut_off.parse().expect("seconds")),
        started: Instant::now(),
        made: 0,
        fixed: 0.0,
    };
    match Loop::named(name) {
        Loop::UnsortedCopy => run.unsorted_copy().await,
        Loop::UnsortedStaging => run.staging(false).await,
        Loop::SortedStaging => run.staging(true).await,
        Loop::Unnest => run.unnest().await,
        Loop::GenerateSeries => run.generate_series().await,
        Loop::Magento => run.magento().await,
        Loop::Solidus => run.solidus().await,
        Loop::Shopware => run.shopware().await,
        Loop::Spree => run.spree().await,
    }
    let seconds = run.started.elapsed().as_secs_f64();
    // A chunk may hold codes that exist already; codes left out count as done.
    let share = (run.count as f64 / run.made.max(1) as f64).max(1.0);
    println!("{} {}", run.made, run.fixed + (seconds - run.fixed) * share);
}

impl Run {
    fn goes_on(&self) -> bool {
        self.made < self.count && self.started.elapsed() < self.cut_off
    }

    /// Draws four letters and two digits after the prefix, all equally likely; codes may repeat.
    fn random_code(&mut self) -> String {
        let mut code = self.prefix.clone();
        for symbols in [26, 26, 26, 26, 10, 10] {
            let first = if symbols == 26 { b'A' } else { b'0' };
            let symbol = (u64::from(self.random.next_u32()) * symbols) >> 32;
            code.push(char::from(first + u8::try_from(symbol).expect("a symbol")));
        }
        code
    }

    fn random_codes(&mut self, count: u64) -> Vec<String> {
        (0..count).map(|_| self.random_code()).collect()
    }

    fn next_chunk(&self, most: u64) -> u64 {
        most.min(self.count - self.made)
    }

    async fn copy(&mut self, table: &str, rows: String) {
        let sql = format!("copy {table} (code, run_no) from stdin");
        let mut copy = self.connection.copy_in_raw(&sql).await.expect("copy");
        for piece in rows.as_bytes().chunks(256 * 1024) {
            copy.send(piece).await.expect("a piece");
        }
        copy.finish().await.expect("the end of the copy");
    }

    /// Copies distinct codes from a file, in the random order in which they were drawn.
    async fn unsorted_copy(&mut self) {
        let mut lines = BufReader::new(File::open(&self.file).expect("the file of codes")).lines();
        while self.goes_on() {
            let mut rows = String::new();
            for line in lines.by_ref().take(usize::try_from(self.next_chunk(CHUNK)).expect("a chunk")) {
                rows.push_str(&line.expect("a line"));
                rows.push('\n');
            }
            self.copy("codes", rows).await;
            self.made += self.next_chunk(CHUNK);
        }
    }

    /// Copies drawn codes, repeats included, to a staging table; codes that exist are left out and not replaced.
    async fn staging(&mut self, sorted: bool) {
        while self.goes_on() {
            let mut codes = self.random_codes(self.next_chunk(CHUNK));
            if sorted {
                codes.sort_unstable();
            }
            let rows = codes.iter().flat_map(|code| [code, "\t1\n"]).collect();
            self.connection.execute("begin").await.expect("begin");
            self.copy("staging", rows).await;
            let insert = "insert into codes (code, run_no) select code, run_no from staging on conflict do nothing";
            self.connection.execute(insert).await.expect("insert");
            self.connection.execute("truncate staging").await.expect("truncate");
            self.connection.execute("commit").await.expect("commit");
            self.made += self.next_chunk(CHUNK);
        }
    }

    async fn unnest(&mut self) {
        while self.goes_on() {
            let codes = self.random_codes(self.next_chunk(10_000));
            let sql =
                "insert into codes (code, run_no) select code, 1 from unnest($1::text[]) code on conflict do nothing";
            let inserted = sqlx::query(sql).bind(codes).execute(&mut self.connection).await.expect("insert");
            self.made += inserted.rows_affected();
        }
    }

    /// Inserts at most a million codes per statement, so that it can be cut off.
    async fn generate_series(&mut self) {
        let letter = "chr(65 + floor(random() * 26)::int)";
        let sql = format!(
            "insert into codes (code, run_no)
             select $1 || {letter} || {letter} || {letter} || {letter} || lpad(floor(random() * 100)::int::text, 2, '0'), 1
               from generate_series(1, $2)
             on conflict do nothing"
        );
        while self.goes_on() {
            let wanted = i64::try_from(self.next_chunk(1_000_000)).expect("a count");
            let query = sqlx::query(&sql).bind(self.prefix.clone()).bind(wanted);
            self.made += query.execute(&mut self.connection).await.expect("insert").rows_affected();
        }
    }

    async fn exists(&mut self, code: &str) -> bool {
        let sql = "select exists (select from coupons where code = $1)";
        sqlx::query_scalar(sql).bind(code).fetch_one(&mut self.connection).await.expect("a look-up")
    }

    /// Ports `generatePool`: draws until the code is new, then saves it; each save is a transaction.
    async fn magento(&mut self) {
        while self.goes_on() {
            let mut code = self.random_code();
            while self.exists(&code).await {
                code = self.random_code();
            }
            self.save(&code).await;
            self.made += 1;
        }
    }

    async fn save(&mut self, code: &str) {
        self.connection.execute("begin").await.expect("begin");
        let sql =
            "insert into coupons (rule_id, code, usage_limit, usage_per_customer, times_used, expires_at, created_at)
                   values (1, $1, 1, 1, 0, now() + interval '1 year', now()) returning id";
        let _id: i64 = sqlx::query_scalar(sql).bind(code).fetch_one(&mut self.connection).await.expect("insert");
        self.connection.execute("commit").await.expect("commit");
    }

    /// Ports `generate_random_codes`: draws a thousand at a time, drops those that exist, then validates and saves
    /// each.
    async fn solidus(&mut self) {
        while self.goes_on() {
            let drawn: HashSet<String> = self.random_codes(self.next_chunk(1000)).into_iter().collect();
            let drawn: Vec<String> = drawn.into_iter().collect();
            let sql = "select code from coupons where code = any($1)";
            let existing: Vec<String> =
                sqlx::query_scalar(sql).bind(&drawn).fetch_all(&mut self.connection).await.expect("a look-up");
            for code in drawn.iter().filter(|code| !existing.contains(code)) {
                if !self.goes_on() {
                    return;
                }
                if !self.exists(code).await {
                    self.save(code).await;
                    self.made += 1;
                }
            }
        }
    }

    /// Ports `generateIndividualCodes` and `upsert`: all codes in memory without repeats, then inserts of 125 rows, one
    /// transaction.
    async fn shopware(&mut self) {
        let mut codes: HashSet<String> = HashSet::new();
        while (codes.len() as u64) < self.count {
            codes.insert(self.random_code());
        }
        self.fixed = self.started.elapsed().as_secs_f64();
        let codes: Vec<String> = codes.into_iter().collect();
        self.connection.execute("begin").await.expect("begin");
        for rows in codes.chunks(125) {
            if !self.goes_on() {
                break;
            }
            let values: Vec<String> = (1..=rows.len())
                .map(|number| format!("(1, ${number}, 1, 1, 0, now() + interval '1 year', now())"))
                .collect();
            let sql = format!(
                "insert into coupons (rule_id, code, usage_limit, usage_per_customer, times_used, expires_at, created_at)
                 values {} on conflict (code) do update set rule_id = excluded.rule_id",
                values.join(", ")
            );
            let query = rows.iter().fold(sqlx::query(&sql), |query, code| query.bind(code));
            query.execute(&mut self.connection).await.expect("insert");
            self.made += rows.len() as u64;
        }
        self.connection.execute("commit").await.expect("commit");
    }

    /// Ports `BulkGenerate`: a look-up for each code, then one insert, all in one transaction. If two drawn codes are
    /// equal, one code fewer than requested is inserted.
    async fn spree(&mut self) {
        self.connection.execute("begin").await.expect("begin");
        let mut codes = Vec::new();
        while self.goes_on() {
            let code = self.random_code();
            if !self.exists(&code).await {
                codes.push(code);
                self.made += 1;
            }
        }
        let sql =
            "insert into coupons (rule_id, code, usage_limit, usage_per_customer, times_used, expires_at, created_at)
                   select 1, code, 1, 1, 0, now() + interval '1 year', now() from unnest($1::text[]) code
                   on conflict do nothing";
        sqlx::query(sql).bind(codes).execute(&mut self.connection).await.expect("insert");
        self.connection.execute("commit").await.expect("commit");
    }
}
