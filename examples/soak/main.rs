//! A soak test: causes faults for a while, and then checks the result. It has three workers, their own PostgreSQL and
//! RabbitMQ, a producer of random jobs, and faults: processes are killed and stopped, connections cut, disks filled. In
//! the end every job must be as it was requested.
//!
//! `cargo run --release --example soak -- --minutes 30 --seed 1`. The same seed repeats the same jobs and the same
//! faults, in the same order and with the same pauses; what they coincide with differs each time.

#![expect(clippy::print_stdout, reason = "a report of what is done")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use tokio::runtime::Runtime;

use crate::ground::Ground;
use crate::lot::Lot;
use crate::producer::Asked;
use crate::worker_faults::Workers;
use codemint_test_support::codemint::{AS_PROGRAM, act_as_program};

mod ending;
mod ground;
mod lot;
mod producer;
mod server_faults;
mod worker_faults;

/// Cause faults in workers and servers for a while, then check every job.
#[derive(Debug, Parser)]
struct Arguments {
    /// Minutes for which jobs are requested and faults are caused; the workers finish afterwards
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=1440))]
    minutes: u64,
    /// Seed of the random jobs and faults
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let runtime = Runtime::new().expect("a runtime");
    if std::env::var_os(AS_PROGRAM).is_some() {
        return runtime.block_on(codemint::cli::dispatch::run());
    }
    act_as_program();
    let Arguments { minutes, seed } = Arguments::parse();
    println!("soak of {minutes} minutes with seed {seed}");
    let ground = runtime.block_on(Ground::prepare());
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let (asked, workers) = break_everything(&runtime, &ground, seed, until);
    runtime.block_on(ending::judge(ground, &asked, workers));
    ExitCode::SUCCESS
}

/// Runs the producer and both kinds of faults independently, so that a delay of one does not change what the others do.
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
