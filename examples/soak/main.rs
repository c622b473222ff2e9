//! A soak test: causes faults for a while, and then checks the result. It has three workers, their own PostgreSQL and
//! RabbitMQ, producers of random jobs, some of them for the identities of restricted campaigns, callers to whom codes are
//! issued, and faults: processes are killed and stopped, connections cut, disks filled. In the end every job must be as it
//! was requested, and every code of a restricted campaign must be one identity's or in the pool.
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
use crate::owners::People;
use crate::producer::Wanted;
use crate::worker_faults::Workers;
use codemint_test_support::codemint::{AS_PROGRAM, act_as_program};

mod callers;
mod ending;
mod ground;
mod lot;
mod owners;
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
    runtime.block_on(owners::create_campaigns(&ground));
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let (wanted, workers) = break_everything(&runtime, &ground, seed, until);
    runtime.block_on(ending::judge(ground, &wanted, workers));
    ExitCode::SUCCESS
}

/// Runs the producers, the callers and both kinds of faults independently, so that a delay of one does not change what the
/// others do.
fn break_everything(runtime: &Runtime, ground: &Ground, seed: u64, until: Instant) -> (Wanted, Workers) {
    let lot = |number| Lot::new(seed, number);
    let people = People::default();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| runtime.block_on(producer::ask(ground, lot(0), until)));
        let servers = scope.spawn(|| runtime.block_on(server_faults::cause(ground, lot(1), until)));
        let workers = scope.spawn(|| runtime.block_on(worker_faults::cause(ground, lot(2), until)));
        let ordering = scope.spawn(|| runtime.block_on(owners::order(ground, &people, lot(3), until)));
        let calling =
            scope.spawn(|| runtime.block_on(callers::call(ground, &people, |number| lot(10 + number), until)));
        servers.join().expect("servers that were broken");
        let mut asked = asking.join().expect("a producer");
        let (ordered, lists) = ordering.join().expect("a producer of lists");
        asked.extend(ordered);
        let issues = calling.join().expect("callers");
        (Wanted { asked, lists, issues }, workers.join().expect("workers"))
    })
}
