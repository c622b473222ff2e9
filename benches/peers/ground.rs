//! The private server, its databases, the files of codes, and the measurement of one run of a contender.

use std::fs;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use codemint_codes::draw::Draw;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::random::{Key, Stream};
use codemint_codes::slice::quotas;
use codemint_store::connection::store::Store;
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;

use crate::contender::Contender;
use crate::measure::CHUNK_SIZE;
use crate::{latency, loops, process};
use codemint_test_support::codemint::Codemint;
use codemint_test_support::postgres::{Durability, Server, create_database};

const BENCH: &str = "bench";
/// Loops that take longer are cut off, and their time is extrapolated.
const CUT_OFF_SECONDS: u64 = 20;

/// The settings that determine the cost of a row.
const SETTINGS: [&str; 10] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "wal_compression",
    "max_wal_size",
    "checkpoint_timeout",
    "shared_buffers",
    "maintenance_work_mem",
    "autovacuum",
];

pub struct Ground {
    pub server: Server,
    directory: TempDir,
}

/// The task of a contender.
#[derive(Clone, Debug)]
pub struct Job {
    pub prefix: String,
    pub count: u64,
    /// Additional delay of each message to the server.
    pub latency: Duration,
}

/// The measurements of one run.
#[derive(Clone, Debug)]
pub struct Measured {
    /// Seconds for all requested codes.
    pub seconds: f64,
    /// Whether the run was cut off and the rest extrapolated.
    pub extrapolated: bool,
    pub client_cpu_seconds: f64,
    pub server_cpu_seconds: f64,
    pub peak_mib: f64,
    pub wal_bytes_per_code: f64,
    pub index_bytes_per_code: f64,
    /// Ratio of the codes in the table to the requested ones.
    pub right_count: f64,
}

impl Job {
    pub fn mask(&self) -> String {
        format!("{}????##", self.prefix)
    }
}

impl Ground {
    pub fn start() -> Self {
        Self { server: Server::start(Durability::Full), directory: tempfile::tempdir().expect("a directory") }
    }

    pub async fn settings(&self) -> String {
        let mut connection = self.connect("postgres").await;
        let version: String = sqlx::query_scalar("show server_version").fetch_one(&mut connection).await.expect("show");
        let mut shown = Vec::new();
        for name in SETTINGS {
            let sql = format!("show {name}");
            let value: String = sqlx::query_scalar(&sql).fetch_one(&mut connection).await.expect("a setting");
            shown.push(format!("{name} {value}"));
        }
        format!("PostgreSQL {version}: {}", shown.join(", "))
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn connect(&self, database: &str) -> PgConnection {
        PgConnection::connect(&self.server.url(database)).await.expect("the server")
    }

    pub async fn on_server(&self, sql: &str) {
        self.connect("postgres").await.execute(sql).await.expect(sql);
    }

    pub async fn execute(&self, sql: &str) {
        self.connect(BENCH).await.execute(sql).await.expect(sql);
    }

    pub async fn number(&self, sql: &str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&mut self.connect(BENCH).await).await.expect(sql)
    }

    /// Creates an empty store and the tables of the other contenders.
    pub async fn make_empty(&self) {
        self.on_server(&format!("drop database if exists {BENCH} with (force)")).await;
        create_database(&self.server.url("postgres"), BENCH).await;
        Store::migrate(&self.server.url(BENCH).parse().expect("a location")).await.expect("a schema");
        self.execute("create table codes_without_index (code text collate \"C\" not null, run_no bigint not null)")
            .await;
        self.execute(
            "create table coupons (id bigserial primary key, rule_id bigint not null, code varchar(255) not null unique,
                                   usage_limit integer, usage_per_customer integer, times_used integer not null default 0,
                                   expires_at timestamptz, created_at timestamptz not null, type smallint default 0)",
        )
        .await;
        self.execute("create index coupons_rule_id on coupons (rule_id)").await;
    }

    /// Keeps the current database under this name, so that it can be copied.
    pub async fn keep_as(&self, name: &str) {
        self.execute("vacuum (analyze)").await;
        self.on_server(&format!("drop database if exists {name}")).await;
        self.on_server(&format!("alter database {BENCH} rename to {name}")).await;
    }

    /// Restores a copy of a kept database.
    pub async fn restore(&self, name: &str) {
        self.on_server(&format!("drop database if exists {BENCH} with (force)")).await;
        self.on_server(&format!("create database {BENCH} template {name} strategy file_copy")).await;
    }

    /// Adds codes of other prefixes, as campaigns leave them, that belong to no job. Their prefixes are numbered from
    /// `first` on, with a million codes each.
    pub async fn add_others(&self, first: u64, millions: u64) {
        for prefix in first..first + millions {
            let letter = char::from(b'A' + u8::try_from(prefix * 7 % 26).expect("a letter"));
            let sql = format!(
                "insert into codes (code, run_no)
                 select '{letter}Y_CAMPAIGN_{prefix:02}' || lpad((n * 7 + n % 5)::text, 7, '0'), 0
                   from generate_series(1, 1000000) n
                  order by 1"
            );
            self.execute(&sql).await;
        }
        self.execute("vacuum (analyze) codes").await;
    }

    /// Writes sorted codes of the job's mask to `sorted.tsv` and the same codes in another order to `unsorted.tsv`,
    /// each with the number of a run.
    pub fn write_files(&self, job: &Job) {
        let keyspace = Keyspace::new(&job.mask().parse().expect("a mask"));
        let key = Key::new([job.count as u8; Key::LENGTH_BYTES]);
        let slices = u32::try_from(job.count.div_ceil(CHUNK_SIZE as u64)).expect("a number of chunks");
        let mut lines = String::new();
        for (chunk_no, (slice, quota)) in (0..).zip(quotas(&key, 0, keyspace.size(), job.count, slices)) {
            let draw = Draw::new(&key, Stream::chunk(0, chunk_no), slice, usize::try_from(quota).expect("a quota"));
            lines.push_str(keyspace.batch(draw.ranks()).as_lines());
        }
        self.write_lines(&lines);
    }

    /// Does the same as [`Ground::write_files`] for the codes that a job has just inserted, which are new to earlier
    /// databases.
    pub async fn write_files_of_last_job(&self) {
        let sql = "select string_agg(code || E'\\n', '' order by code) from codes
                    where run_no >= (select min(run_no) from chunks where job_no = (select max(no) from jobs))";
        let lines: String = sqlx::query_scalar(sql).fetch_one(&mut self.connect(BENCH).await).await.expect("codes");
        self.write_lines(&lines);
    }

    fn write_lines(&self, lines: &str) {
        let mut codes: Vec<&str> = lines.lines().collect();
        write_rows(&self.file("sorted.tsv"), &codes);
        let mut random = ChaCha20Rng::seed_from_u64(1);
        for last in (1..codes.len()).rev() {
            let other = (u128::from(random.next_u64()) * (last as u128 + 1)) >> 64;
            codes.swap(last, usize::try_from(other).expect("an index"));
        }
        write_rows(&self.file("unsorted.tsv"), &codes);
    }

    /// Measures one run after a checkpoint, in the current database.
    pub async fn measure(&self, contender: Contender, job: &Job) -> Measured {
        let table = contender.table();
        self.on_server("checkpoint").await;
        let port = match job.latency {
            Duration::ZERO => self.server.port(),
            delay => latency::start(self.server.port(), delay).await,
        };
        let url = format!("postgres://postgres@127.0.0.1:{port}/{BENCH}");
        let prefix = &job.prefix;
        let count = format!("select count(*) from {table} where code collate \"C\" between '{prefix}' and '{prefix}~'");
        let index = format!("select pg_indexes_size('{table}')::bigint");
        let wal = "select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint";
        let before = self.number(&count).await;
        let (index_before, wal_before) = (self.number(&index).await, self.number(wal).await);
        let took = process::measure(self.command(contender, job, &url), &self.server).await;
        let (index_after, wal_after) = (self.number(&index).await, self.number(wal).await);
        let added = (self.number(&count).await - before) as f64;
        let (seconds, wanted) = match contender {
            Contender::Loop(_) => told(&took.stdout),
            _ => (took.seconds, job.count as f64),
        };
        let extrapolated = wanted < job.count as f64;
        Measured {
            seconds,
            extrapolated,
            client_cpu_seconds: took.client_cpu_seconds,
            server_cpu_seconds: took.server_cpu_seconds,
            peak_mib: took.peak_mib,
            wal_bytes_per_code: (wal_after - wal_before) as f64 / added,
            index_bytes_per_code: (index_after - index_before) as f64 / added,
            right_count: added / wanted,
        }
    }

    fn command(&self, contender: Contender, job: &Job, url: &str) -> Command {
        let copy = |table: &str| {
            let mut psql = Command::new(self.server.program("psql"));
            let script = format!("\\copy {table} (code, run_no) from '{}'", self.file("sorted.tsv").display());
            psql.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", url, "--command", &script]);
            psql
        };
        match contender {
            Contender::Floor | Contender::Target => copy(contender.table()),
            Contender::Codemint => {
                let codemint = Codemint::new(self.directory.path()).args(["--store", url, "generate", &job.mask()]);
                codemint.args(["--count", &job.count.to_string()]).into_command()
            }
            Contender::Loop(way) => {
                let mut command = Command::new(std::env::current_exe().expect("this program"));
                command.args([loops::AS_LOOP, way.name(), url, &job.prefix, &job.count.to_string()]);
                command.arg(self.file("unsorted.tsv")).arg(CUT_OFF_SECONDS.to_string());
                command
            }
        }
    }
}

/// Parses the seconds and codes that a loop printed.
fn told(stdout: &str) -> (f64, f64) {
    let (made, seconds) = stdout.trim().split_once(' ').expect("two numbers");
    (seconds.parse().expect("seconds"), made.parse().expect("a count"))
}

fn write_rows(file: &Path, codes: &[&str]) {
    let mut rows = BufWriter::new(fs::File::create(file).expect("a file of codes"));
    for code in codes {
        writeln!(rows, "{code}\t1").expect("a row");
    }
    rows.flush().expect("a file of codes");
}
