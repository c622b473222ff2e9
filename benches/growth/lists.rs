//! The time of `jobs list` and `jobs show`, for which an operator waits, in a store with very many jobs.

use std::time::Instant;

use codemint_store::connection::store::{Access, Store};
use futures_util::future::join_all;

use crate::fill::{FRESH, mint_fresh};
use crate::measure::{least, median, most};
use crate::one::mint;
use crate::place::{BENCH, Place};

const MILLISECONDS_MAX: f64 = 20.0;
const RUNS: usize = 20;
/// The number of small jobs beside the large ones, and the codes of each.
const JOBS: u64 = 10_000;
const JOB_CODES: u64 = 10;
const CAMPAIGNS: u64 = 500;
/// Small jobs minted at once, because the server's commits take most of the time.
const LANES: u64 = 4;

pub async fn run(place: &mut Place) -> bool {
    place.fill(FRESH, async |place| drop(mint_fresh(place).await)).await;
    place.take(FRESH).await;
    add_small_jobs(place).await;
    let job = async |order: &str| {
        let sql = format!("select id::text from jobs order by {order} limit 1");
        place.text(BENCH, &sql).await
    };
    let (large, small) = (job("count desc, no").await, job("no desc").await);
    let codes = place.number("select count(*) from codes").await;
    let jobs = place.number("select count(*) from jobs").await;
    println!("{codes} codes and {jobs} jobs, {RUNS} runs, milliseconds from process start to process end");
    println!("                                                   least   median     most");
    let mut all_hold = true;
    for arguments in [
        &["jobs", "list"][..],
        &["jobs", "list", "--state", "failed"],
        &["jobs", "list", "--campaign", "campaign 7"],
        &["jobs", "show", &large],
        &["jobs", "show", &small],
    ] {
        let middle = time(place, arguments).await;
        all_hold &= place.scale.at_most("median", middle, MILLISECONDS_MAX);
    }
    all_hold
}

/// Prints the times of a command and returns the median.
async fn time(place: &Place, arguments: &[&str]) -> f64 {
    let mut milliseconds = Vec::new();
    for _run in 0..RUNS {
        let codemint = place.program().args(["--store", &place.url()]).args(arguments);
        let started = Instant::now();
        let ran = codemint.run().await;
        milliseconds.push(started.elapsed().as_secs_f64() * 1000.0);
        ran.expect_code(0);
    }
    let (least, middle, most) = (least(&milliseconds), median(&milliseconds), most(&milliseconds));
    println!("{:<48} {least:>7.1} {middle:>8.1} {most:>8.1}", arguments.join(" "));
    middle
}

/// Mints the small jobs through the engine itself, as an embedding application does.
async fn add_small_jobs(place: &Place) {
    let started = Instant::now();
    place.execute(&format!("alter database {BENCH} set synchronous_commit = off")).await;
    let store = Store::open(&place.url().parse().expect("a location"), Access::Existing).await.expect("a store");
    let lane = async |lane: u64| {
        for number in (lane..place.scale.codes(JOBS)).step_by(LANES as usize) {
            let campaign = number % CAMPAIGNS;
            let (mask, name) = (format!("S{campaign:03}[:safe:]{{8}}"), format!("campaign {campaign}"));
            mint(&store, &mask, JOB_CODES, Some(&name)).await;
        }
    };
    join_all((0..LANES).map(lane)).await;
    store.close().await.expect("a close");
    place.execute(&format!("alter database {BENCH} reset synchronous_commit")).await;
    // Autovacuum would soon have done this.
    place.execute("vacuum (analyze) jobs, chunks, masks").await;
    println!("(added small jobs in {:.0} s)", started.elapsed().as_secs_f64());
}
