//! How much memory does a job need? `codemint generate --output codes.csv` stays within 64 MiB for ten million codes,
//! and its peaks for one million and for ten million differ by at most 10 %. A million more of the same mask, whose
//! candidates are compared with the ten million by filters, stay within 96 MiB. Measured for SQLite and PostgreSQL.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use codemint_store::connection::store::Store;

use crate::measure::{exit_code, median, verdict};
use crate::peak::last_peak_mib;
use codemint_test_support::codemint::{Codemint, finish};
use codemint_test_support::postgres::{Durability, Server, create_database};

#[expect(dead_code, reason = "shared with the other benchmarks")]
mod measure;
#[path = "measure/peak.rs"]
mod peak;
const PEAK_MIB_MAX: f64 = 64.0;
const MORE_PEAK_MIB_MAX: f64 = 96.0;
const GROWTH_MAX: f64 = 1.10;
const MASK: &str = "MY_LITTLE_PROMO????##";
const SQLITE: &str = "sqlite://codes.db";
/// Peaks vary a little with the timing of threads, so the small job runs several times and its median counts. The large
/// one takes long and runs once.
const SMALL: Job = Job { count: 1_000_000, runs: 3 };
const LARGE: Job = Job { count: 10_000_000, runs: 1 };

#[tokio::main]
async fn main() -> ExitCode {
    // Only the client's memory is measured, so the server need not flush.
    let server = Server::start(Durability::None);
    println!("peak resident memory of codemint generate --output codes.csv");
    println!("store         1 M codes   10 M codes    growth");
    let sqlite_holds = measure_sqlite().await.print("SQLite");
    let postgres_holds = measure_postgres(&server).await.print("PostgreSQL");
    exit_code(sqlite_holds && postgres_holds)
}

struct Job {
    count: u64,
    runs: usize,
}

/// Peaks in MiB for one million codes, for ten million, and for one million more after these.
struct Peaks {
    small: f64,
    large: f64,
    more: f64,
}

impl Peaks {
    fn print(&self, store: &str) -> bool {
        let growth = self.large / self.small;
        let (within, steady) = (self.large <= PEAK_MIB_MAX, growth <= GROWTH_MAX && growth.recip() <= GROWTH_MAX);
        println!(
            "{store:<12} {:>6.1} MiB   {:>6.1} MiB   {:>+6.1} %   at most {PEAK_MIB_MAX:.0} MiB: {}, within 10 %: {}",
            self.small,
            self.large,
            (growth - 1.0) * 100.0,
            verdict(within),
            verdict(steady)
        );
        let more_within = self.more <= MORE_PEAK_MIB_MAX;
        println!(
            "{store:<12} {:>6.1} MiB for 1 M more over these 10 M   at most {MORE_PEAK_MIB_MAX:.0} MiB: {}",
            self.more,
            verdict(more_within)
        );
        within && steady && more_within
    }
}

async fn measure_sqlite() -> Peaks {
    let peaks_of = async |job: &Job| {
        let mut peaks = Vec::new();
        let mut last = tempfile::tempdir().expect("a directory");
        for _run in 0..job.runs {
            last = tempfile::tempdir().expect("a directory");
            peaks.push(peak_mib(last.path(), SQLITE, job.count).await);
        }
        (median(&peaks), last)
    };
    let (small, _) = peaks_of(&SMALL).await;
    let (large, full) = peaks_of(&LARGE).await;
    Peaks { small, large, more: peak_mib(full.path(), SQLITE, SMALL.count).await }
}

async fn measure_postgres(server: &Server) -> Peaks {
    let directory = tempfile::tempdir().expect("a directory");
    let peaks_of = async |job: &Job| {
        let mut peaks = Vec::new();
        for run in 0..job.runs {
            let url = make_database(server, &format!("bench_{}_{run}", job.count)).await;
            peaks.push(peak_mib(directory.path(), &url, job.count).await);
        }
        median(&peaks)
    };
    let (small, large) = (peaks_of(&SMALL).await, peaks_of(&LARGE).await);
    let full = server.url(&format!("bench_{}_0", LARGE.count));
    Peaks { small, large, more: peak_mib(directory.path(), &full, SMALL.count).await }
}

async fn make_database(server: &Server, name: &str) -> String {
    create_database(&server.url("postgres"), name).await;
    let url = server.url(name);
    Store::migrate(&url.parse().expect("a location")).await.expect("a schema");
    url
}

async fn peak_mib(directory: &Path, store_url: &str, count: u64) -> f64 {
    let codemint = Codemint::new(directory).args(["--store", store_url, "generate", MASK]);
    let child = codemint.args(["--count", &count.to_string(), "--output", "codes.csv"]).start();
    let process = child.id().expect("a process that runs");
    let polling = tokio::task::spawn_blocking(move || last_peak_mib(process));
    finish(child).await.expect_code(0);
    let lines = count_lines(&directory.join("codes.csv"));
    assert_eq!(lines, count + 1, "a header and the codes");
    let peak = polling.await.expect("the polling");
    assert!(peak > 0.0, "a peak in the process's status");
    peak
}

fn count_lines(file: &std::path::Path) -> u64 {
    let bytes = fs::read(file).expect("the output");
    bytes.iter().filter(|&&byte| byte == b'\n').count() as u64
}
