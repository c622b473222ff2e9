//! How fast is Codemint compared with other ways of inserting codes into PostgreSQL? Prints one table per state of the
//! store. All its rows are measured in the same run, in turns; each figure is the median of three repetitions.
//!
//! `cargo bench --bench peers` measures all states, `cargo bench --bench peers -- empty latency` only the named ones:
//!
//! | state | difference from 1 M codes into an empty table |
//! |---|---|
//! | `empty` | none; includes the loops of the shops |
//! | `small`, `large` | 10 k codes; 10 M codes |
//! | `amid_10`, `amid_50` | the table holds 10 M or 50 M codes of other prefixes |
//! | `crowded` | the table holds 10 M codes of the same mask |
//! | `unflushed` | `synchronous_commit` is off |
//! | `latency` | each message to the server takes a millisecond longer |
//! | `redemptions` | no generation: 64 callers use a coupon with a limit, see below |
//!
//! Rows: (a) the floor, `psql \copy` of sorted codes into a table without an index; (b) the target, the same into
//! Codemint's table; (c) `codemint generate`, from process start to process end; (d) to (g) other ways into the same
//! table; (h) the loops of well-known shop systems, ported statement by statement, into a table of the same shape as
//! theirs. See `contender` and `loops`. Slow loops are cut off after some seconds and extrapolated, which favours them,
//! because tables get slower as they grow.
//!
//! `redemptions` compares how a use of a coupon is counted against its limit: Codemint, and the loops of five shop systems at
//! checkout, ported statement by statement into tables with their columns and indexes, each file of `shops` naming its sources.
//! Each contender uses a coupon for three seconds with a limit that is not reached, for its speed, and with one that is, for the
//! uses beyond it. Three repetitions in turns; medians. Magento and WooCommerce run on MySQL; their files say what PostgreSQL's
//! isolation changes. Bounds: Codemint grants exactly the limit, at least 5 times as fast as the fastest loop that keeps to it.
//!
//! The server is private, with default settings and fsync on; each run begins after a checkpoint.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::process::ExitCode;

use crate::measure::exit_code;
use crate::state::State;

mod contender;
mod ground;
mod latency;
#[path = "../redeeming/load.rs"]
mod load;
mod loops;
#[expect(dead_code, reason = "shared with the other benchmarks")]
#[path = "../measure/mod.rs"]
mod measure;
#[path = "../measure/process.rs"]
mod process;
mod redemptions;
mod shops;
mod state;
mod table;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    if let [name, rest @ ..] = arguments.as_slice()
        && name == loops::AS_LOOP
    {
        loops::run(rest).await;
        return ExitCode::SUCCESS;
    }
    let unknown = arguments.iter().find(|name| State::named(name).is_none() && *name != redemptions::NAME);
    if let Some(name) = unknown {
        let names: Vec<&str> = State::ALL.iter().map(|state| state.name).chain([redemptions::NAME]).collect();
        println!("unknown state {name:?}; known states: {}", names.join(", "));
        return ExitCode::from(2);
    }
    let mut all_hold = true;
    let ground = ground::Ground::start();
    println!("{}\n", ground.settings().await);
    for state in
        State::ALL.iter().filter(|state| arguments.is_empty() || arguments.iter().any(|name| name == state.name))
    {
        let table = Box::pin(state.measure(&ground)).await;
        println!("{table}");
        all_hold &= table.holds();
    }
    if arguments.is_empty() || arguments.iter().any(|name| name == redemptions::NAME) {
        all_hold &= redemptions::measure(&ground.server).await;
    }
    exit_code(all_hold)
}
