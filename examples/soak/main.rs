//! Breaks everything for a while, and then counts: three workers, a PostgreSQL and a RabbitMQ of their own, a producer of
//! random jobs, and a hand that kills, stops, cuts and fills. In the end everything must be as it was asked for.
//!
//! `cargo run --release --example soak -- --minutes 30 --seed 1`. The same seed repeats the same jobs and the same faults,
//! in the same order and with the same pauses; what they meet differs from run to run.

#![expect(clippy::print_stdout, reason = "a report of what is done")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::runtime::Runtime;

use crate::ground::Ground;
use crate::lot::Lot;
use crate::producer::Asked;
use crate::worker_faults::Workers;
use codemint_test_support::codemint::AS_PROGRAM;

mod ending;
mod ground;
mod lot;
mod producer;
mod server_faults;
mod worker_faults;

/// Breaks everything for a while, and then counts.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long jobs are asked for and things are broken; the workers finish afterwards
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// What the jobs and faults are drawn from
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let runtime = Runtime::new().expect("a runtime");
    if std::env::var_os(AS_PROGRAM).is_some() {
        return runtime.block_on(codemint::cli::run());
    }
    let Arguments { minutes, seed } = Arguments::parse();
    println!("soak of {minutes} minutes with seed {seed}");
    let ground = runtime.block_on(Ground::prepare());
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let (asked, workers) = break_everything(&runtime, &ground, seed, until);
    runtime.block_on(ending::judge(ground, &asked, workers));
    ExitCode::SUCCESS
}

/// Each of these goes its own way, so that what one waits for does not change what the others do.
fn break_everything(runtime: &Runtime, ground: &Ground, seed: u64, until: Instant) -> (Asked, Workers) {
    let lot = |number| Lot::new(seed, number);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| runtime.block_on(producer::ask(ground, lot(0), until)));
        let servers = scope.spawn(|| runtime.block_on(server_faults::cause(ground, lot(1), until)));
        let workers = scope.spawn(|| runtime.block_on(worker_faults::cause(ground, lot(2), until)));
        servers.join().expect("servers that were broken");
        (asking.join().expect("a producer"), workers.join().expect("workers"))
    })
}
