//! A soak test: causes faults for a while, and then checks the result. It has three workers, a server of the HTTP API, their own
//! PostgreSQL and RabbitMQ, producers of random jobs, some of them for the identities of restricted campaigns, imports of files,
//! callers to whom codes are issued, and shops that use codes, send triggers and refer friends, in their own process and over HTTP.
//! Meanwhile processes are killed and stopped, connections cut and disks filled. In the end every job must be as it was requested,
//! every imported code must be there, every code of a restricted campaign must be one identity's or in the pool, and every answer
//! to a shop must hold.
//!
//! `cargo run --release --example soak -- --minutes 30 --seed 1`. The same seed repeats the same jobs and the same
//! faults, in the same order and with the same pauses; what they coincide with differs each time.

#![expect(clippy::print_stdout, reason = "a report of what is done")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};
use tokio::runtime::Runtime;

use crate::api_servers::Access;
use crate::ground::Ground;
use crate::imports::Imported;
use crate::lot::Lot;
use crate::owners::People;
use crate::producer::{Asked, Wanted};
use crate::shop::ShopArguments;
use crate::worker_faults::Workers;
use codemint_test_support::codemint::{AS_PROGRAM, act_as_program};

mod api_servers;
mod callers;
mod ending;
mod ground;
mod imports;
mod lot;
mod newcomers;
mod offer_changes;
mod offers;
mod owners;
mod producer;
mod server_faults;
mod shop;
mod shops;
mod till;
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
    #[command(subcommand)]
    part: Option<Part>,
}

/// A part of the soak that is a process of its own
#[derive(Debug, Subcommand)]
enum Part {
    #[command(hide = true)]
    Shop(ShopArguments),
}

fn main() -> ExitCode {
    let runtime = Runtime::new().expect("a runtime");
    if std::env::var_os(AS_PROGRAM).is_some() {
        return runtime.block_on(codemint::cli::dispatch::run());
    }
    act_as_program();
    let Arguments { minutes, seed, part } = Arguments::parse();
    if let Some(Part::Shop(arguments)) = part {
        runtime.block_on(shop::run(arguments));
        return ExitCode::SUCCESS;
    }
    println!("soak of {minutes} minutes with seed {seed}");
    let ground = runtime.block_on(Ground::prepare());
    let (mut jobs, owners) = runtime.block_on(offers::create(&ground));
    jobs.extend(runtime.block_on(newcomers::create(&ground)));
    runtime.block_on(owners::create_campaigns(&ground));
    let access = runtime.block_on(Access::prepare(&ground));
    let until = Instant::now() + Duration::from_secs(60 * minutes);
    let (mut wanted, imported, workers) = break_everything(&runtime, &ground, &access, seed, until);
    wanted.asked.extend(Asked { jobs, ..Asked::default() });
    wanted.issues.extend(owners);
    runtime.block_on(ending::judge(ground, &wanted, &imported, workers));
    ExitCode::SUCCESS
}

/// Runs the producers, the callers, the shops and all faults independently, so that a delay of one does not change what the
/// others do.
fn break_everything(
    runtime: &Runtime,
    ground: &Ground,
    access: &Access,
    seed: u64,
    until: Instant,
) -> (Wanted, Imported, Workers) {
    let lot = |number| Lot::new(seed, number);
    let people = People::default();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| runtime.block_on(producer::ask(ground, lot(0), until)));
        let servers = scope.spawn(|| runtime.block_on(server_faults::cause(ground, lot(1), until)));
        let workers = scope.spawn(|| runtime.block_on(worker_faults::cause(ground, lot(2), until)));
        let ordering = scope.spawn(|| runtime.block_on(owners::order(ground, &people, lot(3), until)));
        let calling =
            scope.spawn(|| runtime.block_on(callers::call(ground, &people, |number| lot(10 + number), until)));
        let shopping = scope.spawn(|| runtime.block_on(shops::run(ground, access, seed, lot(4), until)));
        let changing = scope.spawn(|| runtime.block_on(offer_changes::make(ground, lot(5), until)));
        let importing = scope.spawn(|| runtime.block_on(imports::import(ground, lot(6), until)));
        let serving = scope.spawn(|| runtime.block_on(api_servers::cause(ground, access, lot(7), until)));
        servers.join().expect("servers that were broken");
        let mut asked = asking.join().expect("a producer");
        let (ordered, lists) = ordering.join().expect("a producer of lists");
        asked.extend(ordered);
        let (files, imported) = importing.join().expect("imports");
        asked.extend(files);
        let issues = calling.join().expect("callers");
        let calls = shopping.join().expect("shops");
        let off = changing.join().expect("changes of campaigns");
        // The server ends like a worker, after the shops.
        let mut workers = workers.join().expect("workers");
        workers.push(serving.join().expect("a server"));
        (Wanted { asked, lists, issues, calls, off }, imported, workers)
    })
}
