//! What a job does to a store that grows: its speed, its memory, and what the server keeps and writes for it.

use std::pin::pin;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use crate::place::{Job, Place};
use crate::process::{self, Took};

/// As often as a progress bar asks.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// What one job came to.
pub struct Grown {
    /// In the table before and behind it.
    pub codes_before: u64,
    pub codes: u64,
    took: Took,
    /// The index of all codes behind it.
    index_bytes: f64,
    wal_bytes: f64,
}

pub const GROWN_HEADER: &str = "codes before      codes  seconds   codes/s   peak MiB   client's CPU   index, bytes a code in the table   WAL, bytes a code";

impl Grown {
    pub fn codes_per_second(&self) -> f64 {
        self.codes as f64 / self.took.seconds
    }

    pub fn peak_mib(&self) -> f64 {
        self.took.peak_mib
    }

    pub fn index_bytes_per_code(&self) -> f64 {
        self.index_bytes / (self.codes_before + self.codes) as f64
    }

    pub fn row(&self) -> String {
        let Took { seconds, client_cpu_seconds, server_cpu_seconds, peak_mib, .. } = &self.took;
        format!(
            "{:>12} {:>10} {seconds:>8.2} {:>9.0} {peak_mib:>10.1} {:>14.2} {:>33.1} {:>19.1}",
            self.codes_before,
            self.codes,
            self.codes_per_second(),
            client_cpu_seconds / (client_cpu_seconds + server_cpu_seconds),
            self.index_bytes_per_code(),
            self.wal_bytes / self.codes as f64,
        )
    }

    /// Codes a second, at the number of codes in the table in the middle of the job.
    pub fn point(&self) -> (f64, f64) {
        (self.codes_before as f64 + self.codes as f64 / 2.0, self.codes_per_second())
    }
}

impl Place {
    /// Runs a job, behind a checkpoint, in the store as it is, where so many codes are.
    pub async fn grow(&self, job: &Job<'_>, codes_before: u64) -> Grown {
        const WAL: &str = "select (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint";
        self.execute("checkpoint").await;
        let wal_before = self.number(WAL).await;
        let took = process::measure(self.codemint(job).args(["--json"]).into_command(), self.server()).await;
        let wal_bytes = (self.number(WAL).await - wal_before) as f64;
        let index_bytes = self.number("select pg_indexes_size('codes')::bigint").await as f64;
        let told: serde_json::Value = serde_json::from_str(&took.stdout).expect("the job as JSON");
        assert_eq!((told["state"].as_str(), told["minted"].as_u64()), (Some("completed"), Some(job.count)));
        Grown { codes_before, codes: job.count, took, index_bytes, wal_bytes }
    }

    /// As [`Place::grow`] of the first job in a store, and how many codes were there after how many seconds.
    pub async fn grow_and_follow(&self, job: &Job<'_>) -> (Grown, Vec<(f64, u64)>) {
        let mut connection = PgConnection::connect(&self.url()).await.expect("the database");
        let mut growing = pin!(self.grow(job, 0));
        let started = Instant::now();
        let mut samples = vec![(0.0, 0)];
        loop {
            tokio::select! {
                grown = &mut growing => return (grown, samples),
                () = tokio::time::sleep(POLL_INTERVAL) => {}
            }
            let sql = "select coalesce(sum(minted), 0)::bigint from chunks";
            let codes: i64 = sqlx::query_scalar(sql).fetch_one(&mut connection).await.expect(sql);
            samples.push((started.elapsed().as_secs_f64(), codes as u64));
        }
    }
}
