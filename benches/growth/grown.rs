//! Measures a job in a growing store: its speed, its memory, and the index and log bytes that the server writes for it.

use std::pin::pin;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};

use crate::place::{Job, Place};
use crate::process::{self, Took};

/// The interval at which a progress bar polls.
const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The measurements of one job.
pub struct Grown {
    /// Codes in the table before the job.
    pub codes_before: u64,
    pub codes: u64,
    took: Took,
    /// Size of the index of all codes after the job.
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

    /// Returns the number of codes in the table in the middle of the job, and the codes a second.
    pub fn point(&self) -> (f64, f64) {
        (self.codes_before as f64 + self.codes as f64 / 2.0, self.codes_per_second())
    }
}

impl Place {
    /// Runs a job after a checkpoint in the current store, which holds `codes_before` codes.
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

    /// Does the same as [`Place::grow`] for the first job in a store, and also samples (seconds, codes) while it runs.
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
