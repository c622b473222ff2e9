//! What does a job cost in PostgreSQL when the store already holds many codes? `cargo bench --bench growth` runs all
//! parts, `cargo bench --bench growth -- fresh crowded` only the named ones:
//!
//! | part | question | bound |
//! |---|---|---|
//! | `fresh` | a million codes of a fresh prefix amid 30 million of other prefixes | 1.15 times `psql \copy` of the same codes, sorted |
//! | `sparse` | a million more of `[:safe:]{12}` over 10 million | 3 times the first million, a quarter of unsorted staging, 1.15 times the same without screening |
//! | `dense` | a million more of `MY_LITTLE_PROMO????##` over 9 million, a fifth of the mask | 3 times the first million |
//! | `filters` | the first million with filters written and without | 1.08 times |
//! | `singles` | a million codes over 100,000 jobs of one code, and over 10 million more in large jobs | none, informational |
//! | `one` | one code of a mask that holds 10 million, in a running process | 50 ms |
//! | `crowded` | the last 50,000 of a million codes | 3 times reading the others and the first 50,000 together |
//! | `import` | three million codes in a scattered order | 300,000 codes a second |
//! | `both` | two processes at once, a million each of 4 million that overlap | exact counts; also reports how often they met |
//! | `fill` | ten jobs of 10 million on fresh prefixes in random order | the last one 0.85 times as fast as the second, the index 50 bytes a code, 64 MiB |
//! | `lists` | `jobs list` and `jobs show` in the store that `fill` leaves, with 10,000 more jobs | 20 ms from process start to process end, median |
//! | `single` | one job of 100 million | the index 50 bytes a code, 64 MiB |
//! | `mask` | ten jobs of one mask of 25 million codes, up to 80 % of it | none, informational |
//! | `export` | a million codes to CSV, alone in the store and amid 50 million of other prefixes; `verify` | a million a second, exported and verified; amid others 1.3 times as long; 64 MiB, and 10 million 1.25 times that of a million |
//!
//! `CODEMINT_BENCH_SCALE=0.01` makes the parts from `fill` on a hundred times smaller, to check that they work; bounds
//! only apply at scale 1. `fill`, `single` and `mask` draw `benches/throughput.svg`, codes a second against codes in
//! the table.
//!
//! Each measured run is `codemint generate` from process start to process end, over TCP, after a checkpoint, in a copy
//! of a database that was filled beforehand, on a server with default settings that really flushes.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::process::ExitCode;

use crate::measure::exit_code;
use crate::place::Place;
use crate::plot::Curve;

mod both;
#[path = "../measure/chart.rs"]
mod chart;
mod crowded;
mod export;
mod fill;
mod filters;
mod fresh;
mod grown;
mod import;
mod lists;
#[path = "../measure/mod.rs"]
mod measure;
mod more;
mod one;
mod place;
mod plot;
#[path = "../measure/process.rs"]
mod process;
#[path = "../measure/scale.rs"]
mod scale;
mod singles;
const PARTS: [&str; 14] = [
    "fresh", "sparse", "dense", "filters", "singles", "one", "crowded", "both", "import", "fill", "lists", "single",
    "mask", "export",
];

#[tokio::main]
async fn main() -> ExitCode {
    // Cargo adds a flag of its own.
    let named: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with("--")).collect();
    if let Some(unknown) = named.iter().find(|part| !PARTS.contains(&part.as_str())) {
        println!("unknown part {unknown}; known parts: {}", PARTS.join(", "));
        return ExitCode::FAILURE;
    }
    let mut place = Place::start();
    let (mut all_hold, mut curves) = (true, Vec::new());
    for part in PARTS.into_iter().filter(|part| named.is_empty() || named.iter().any(|name| name == part)) {
        println!("\n== {part}");
        all_hold &= run(part, &mut place, &mut curves).await;
    }
    if !curves.is_empty() {
        println!("\n{} shows codes a second against codes in the table", plot::draw(&curves, place.scale).display());
    }
    exit_code(all_hold)
}

/// Runs a part, and returns whether its bounds hold.
async fn run(part: &str, place: &mut Place, curves: &mut Vec<Curve>) -> bool {
    match part {
        "fresh" => fresh::run(place).await,
        "sparse" => more::sparse(place).await,
        "dense" => more::dense(place).await,
        "filters" => filters::run(place).await,
        "singles" => singles::run(place).await,
        "one" => one::run(place).await,
        "crowded" => crowded::run(place).await,
        "both" => both::run(place).await,
        "import" => import::run(place).await,
        "fill" => fill::fresh(place, curves).await,
        "lists" => lists::run(place).await,
        "single" => fill::single(place, curves).await,
        "mask" => {
            fill::crowd(place, curves).await;
            true
        }
        _ => export::run(place).await,
    }
}
