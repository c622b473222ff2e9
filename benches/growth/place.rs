//! A server with databases that are filled once and then copied for each run.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use codemint_store::connection::store::Store;
use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;
use tokio::process::Command;

use crate::scale::Scale;
use codemint_test_support::codemint::Codemint;
use codemint_test_support::postgres::{Durability, Server, create_database};

pub const MILLION: u64 = 1_000_000;
pub const SPARSE: &str = "[:safe:]{12}";
pub const DENSE: &str = "MY_LITTLE_PROMO????##";
/// With this setting, no filter is written or read, and nothing is looked up.
pub const UNSCREENED: &[(&str, &str)] = &[("CODEMINT__PREFILTER__SCREENING", "none")];
pub const LOOKED_UP: &[(&str, &str)] = &[("CODEMINT__PREFILTER__SCREENING", "look_up")];

/// The database in which each run happens.
pub const BENCH: &str = "bench";

pub struct Place {
    pub scale: Scale,
    server: Server,
    directory: TempDir,
    filled: BTreeSet<String>,
}

/// The request of a job.
pub struct Job<'a> {
    pub mask: &'a str,
    pub count: u64,
    pub environment: &'a [(&'a str, &'a str)],
}

impl Job<'_> {
    /// A million codes under the default settings.
    pub const fn million_of(mask: &str) -> Job<'_> {
        Job { mask, count: MILLION, environment: &[] }
    }
}

impl Place {
    pub fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let scale = Scale::from_environment();
        Self { scale, server: Server::start(Durability::Full), directory, filled: BTreeSet::new() }
    }

    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Returns the URL of the database in which runs happen.
    pub fn url(&self) -> String {
        self.url_of(BENCH)
    }

    pub fn url_of(&self, database: &str) -> String {
        self.server.url(database)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Creates the database of this name unless it exists: an empty store in which runs happen for the moment, and
    /// which `fill` then fills.
    pub async fn fill(&mut self, name: &str, fill: impl AsyncFnOnce(&Self)) {
        if !self.filled.insert(name.to_owned()) {
            return;
        }
        let started = Instant::now();
        self.make_empty().await;
        fill(self).await;
        // Autovacuum would have done this long ago.
        self.execute("vacuum (analyze)").await;
        self.on_server(&format!("alter database {BENCH} rename to {name}")).await;
        println!("(filled the database {name} in {:.0} s)", started.elapsed().as_secs_f64());
    }

    /// Makes the database in which runs happen an empty store.
    pub async fn make_empty(&self) {
        self.on_server(&format!("drop database if exists {BENCH} with (force)")).await;
        create_database(&self.server.url("postgres"), BENCH).await;
        Store::migrate(&self.url().parse().expect("a location")).await.expect("a schema");
        self.on_server("checkpoint").await;
    }

    /// Makes the database in which runs happen a copy of a filled one, with nothing left to flush.
    pub async fn restore(&self, name: &str) {
        self.on_server(&format!("drop database if exists {BENCH} with (force)")).await;
        self.on_server(&format!("create database {BENCH} template {name} strategy file_copy")).await;
        self.on_server("checkpoint").await;
    }

    /// Makes a filled database itself the one in which runs happen. This is for databases that are too large to copy;
    /// they are filled again when they are needed again.
    pub async fn take(&mut self, name: &str) {
        assert!(self.filled.remove(name), "the database {name}");
        self.on_server(&format!("drop database if exists {BENCH} with (force)")).await;
        self.on_server(&format!("alter database {name} rename to {BENCH}")).await;
        self.on_server("checkpoint").await;
    }

    async fn on_server(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.server.url("postgres")).await.expect("the server");
        connection.execute(sql).await.expect(sql);
    }

    pub async fn execute(&self, sql: &str) {
        let mut connection = PgConnection::connect(&self.url()).await.expect("the database");
        connection.execute(sql).await.expect(sql);
    }

    pub async fn number(&self, sql: &str) -> i64 {
        let mut connection = PgConnection::connect(&self.url()).await.expect("the database");
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect(sql)
    }

    /// Queries one value of any database, as text.
    pub async fn text(&self, database: &str, sql: &str) -> String {
        let mut connection = PgConnection::connect(&self.url_of(database)).await.expect("the database");
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect(sql)
    }

    /// Adds codes of fifteen or more prefixes, as campaigns leave them. Each prefix begins with the letter that this
    /// SQL expression makes of its number `p`. The codes belong to no job, like codes that somebody inserted by hand.
    pub async fn add_others(&self, letter: &str, count: u64) {
        let (prefixes, each) = (count.div_ceil(MILLION).max(15), count / count.div_ceil(MILLION).max(15));
        let sql = format!(
            "insert into codes (code, run_no)
             select code, 0
               from (select {letter} || 'Y_CAMPAIGN_' || lpad(p::text, 2, '0') || upper(substr(md5(n::text || p), 1, 4))
                            || lpad(n::text, 7, '0') as code
                       from generate_series(1, {prefixes}) p, generate_series(1, {each}) n) made
              order by code"
        );
        self.execute(&sql).await;
    }

    pub fn program(&self) -> Codemint {
        Codemint::new(self.directory.path())
    }

    pub fn codemint(&self, job: &Job<'_>) -> Codemint {
        let codemint = self.program().args(["--store", &self.url(), "generate", job.mask]);
        let codemint = codemint.args(["--count", &job.count.to_string()]);
        job.environment.iter().fold(codemint, |codemint, (name, value)| codemint.env(name, value))
    }

    /// Runs a job, and returns the seconds from process start to process end.
    pub async fn time(&self, job: &Job<'_>) -> f64 {
        let codemint = self.codemint(job);
        let started = Instant::now();
        let ran = codemint.run().await;
        let seconds = started.elapsed().as_secs_f64();
        ran.expect_code(0);
        // Counted after the run only: counting before it would warm the server's cache.
        let added = "select count(*) from codes
                      where run_no >= (select min(run_no) from chunks where job_no = (select max(no) from jobs))";
        assert_eq!(self.number(added).await, job.count as i64, "codes that were added");
        seconds
    }

    /// Runs a script in psql, and returns its seconds.
    pub async fn time_psql(&self, script: &str) -> f64 {
        let file = self.file("script.sql");
        fs::write(&file, script).expect("a script");
        let mut psql = Command::new(self.server.program("psql"));
        psql.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1", "--dbname", &self.url(), "--file"]).arg(file);
        let started = Instant::now();
        let status = psql.status().await.expect("psql");
        assert!(status.success(), "psql: {status}");
        started.elapsed().as_secs_f64()
    }

    /// Describes how the chunks of the last job were screened, and the outcome of its candidates.
    pub async fn last_job_screening(&self) -> String {
        let mut connection = PgConnection::connect(&self.url()).await.expect("the database");
        let sql = "select string_agg(format('%s %s chunks, %s existed, %s conflicts, %s false positives',
                                            screening, chunks, existed, conflicts, positives), '; ')
                     from (select screening, count(*) as chunks, sum(rejected - conflicts) as existed,
                                  sum(conflicts) as conflicts, sum(false_positives) as positives
                             from chunks where job_no = (select max(no) from jobs) group by screening) s";
        sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect("how it was screened")
    }
}
