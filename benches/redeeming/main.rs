//! How fast are codes redeemed, exactly, beside the usual ways in the same run? PostgreSQL with fsync, callers and server on the
//! same machine. `cargo bench --bench redeeming` runs all parts but `scale`, `cargo bench --bench redeeming -- public bytes`
//! only the named ones:
//!
//! | part | question | bound |
//! |---|---|---|
//! | `public` | a public code with a shared limit, 64 and 512 callers | 12 and 20 times a counter under a condition, 12,000/s |
//! | `private` | private codes, 512 callers | 18 times with a shared limit, 5 times without |
//! | `calm` | a lone caller, and half of the possible load | 99 of 100 calls below 25 ms |
//! | `two` | two processes | 0.8 of one |
//! | `validations` | a million codes of 50 campaigns, 512 callers | 15,000/s |
//! | `http` | a public code with a shared limit over HTTP, 256 connections | 6,000/s, 0.5 of the same without HTTP, 0.8 in batches |
//! | | the same at half of that load; 1,000 connections | 99 of 100 answers within 40 ms; 100 MiB |
//! | `refusals` | the times of 10,000 refusals of hidden codes | those of no kind differ by more than chance |
//! | `reports` | reports over 10 million redemptions of 1,000 campaigns | 200 ms |
//! | | redemptions while their sums are added up | 1.05 of the time without |
//! | `bytes` | the disk space of a million redemptions | 500 bytes each with indexes, 220 for the allowance |
//! | `resolve` | references of affiliates over HTTP, 1,000 rules, 500,000 exclusions | 10,000/s |
//! | | the same with 40,000 affiliates and with 40 | 0.95 of each other |
//! | `sqlite` | the same uses and validations in a file | none, informational |
//! | `beside` | generation and redemption in the same store at the same time | none, informational |
//! | `scale` | validations with up to 100 million codes, 1,000 campaigns and 20 million redemptions | 15,000/s; draws `benches/validations.svg` |
//! | | redemptions in the same stores, with fsync on | none, informational; draws `benches/redemptions.svg` |
//!
//! `scale` fills a store for many minutes. `CODEMINT_BENCH_SCALE=0.01` makes `reports`, `bytes`, `resolve` and `scale` a hundred times smaller, to
//! check that they work; then their bounds do not apply.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use codemint_campaigns::answers::Redeemed;
use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::redemption::request::Request;
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::redeem_steps::{create_campaign, definition, judge_redemptions};
use codemint_test_support::stores::TestStore;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::baselines::{Shop, Way};
use crate::beside::measure_beside;
use crate::bytes::measure_bytes;
use crate::growth::measure_growth;
use crate::http::measure_http;
use crate::load::{Seen, run};
use crate::measure::{exit_code, verdict};
use crate::refusals::measure_refusals;
use crate::reports::measure_reports;
use crate::resolving::measure_resolving;
use crate::scale::Scale;
use crate::sqlite::measure_sqlite;

mod baselines;
mod beside;
mod bytes;
#[path = "../measure/chart.rs"]
mod chart;
mod fill;
mod growth;
mod http;
mod http_client;
mod load;
#[expect(dead_code, reason = "shared with the other benchmarks")]
#[path = "../measure/mod.rs"]
mod measure;
#[expect(dead_code, reason = "shared with the other benchmarks")]
#[path = "../measure/process.rs"]
mod process;
mod refusals;
mod reports;
mod resolving;
#[path = "../measure/scale.rs"]
mod scale;
mod sqlite;

/// The parts that run when none is named.
const USUAL_PARTS: [&str; 12] = [
    "public",
    "private",
    "calm",
    "two",
    "validations",
    "http",
    "refusals",
    "reports",
    "bytes",
    "resolve",
    "sqlite",
    "beside",
];
/// The part that takes too long to run unless it is named.
const LONG_PART: &str = "scale";

/// The time of each measurement.
const TIME: Duration = Duration::from_secs(4);
const NO_PAUSE: Duration = Duration::ZERO;
/// The connections of the baselines; more do not help them.
const CONNECTIONS: u32 = 64;
const QUOTA: i64 = 1_000_000_000;

/// A bound: at least this many times a baseline.
struct Bound {
    what: &'static str,
    callers: usize,
    ours: f64,
    baseline: f64,
    least: f64,
}

impl Bound {
    fn print(&self) -> bool {
        let Self { what, callers, ours, baseline, least } = self;
        let ratio = ours / baseline;
        let holds = ratio >= *least;
        println!(
            "{what}, {callers} callers: {ours:.0}/s, row at a time {baseline:.0}/s, ratio {ratio:.1}   at least {least}: {}",
            verdict(holds)
        );
        holds
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    // Cargo adds a flag of its own.
    let mut parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with('-')).collect();
    let is_known = |part: &String| USUAL_PARTS.contains(&part.as_str()) || part == LONG_PART;
    if let Some(unknown) = parts.iter().find(|part| !is_known(part)) {
        println!("unknown part {unknown}; known parts: {}, {LONG_PART}", USUAL_PARTS.join(", "));
        return ExitCode::FAILURE;
    }
    if parts.is_empty() {
        println!("without {LONG_PART}, which takes many minutes: cargo bench --bench redeeming -- {LONG_PART}");
        parts = USUAL_PARTS.map(str::to_owned).to_vec();
    }
    let (server, scale) = (Server::start(Durability::Full), Scale::from_environment());
    let mut holds = true;
    for part in parts {
        println!("\n== {part}");
        holds &= measure_part(&part, &server, scale).await;
    }
    exit_code(holds)
}

/// Runs a part, and returns whether its bounds hold.
async fn measure_part(part: &str, server: &Server, scale: Scale) -> bool {
    match part {
        "public" => public_code(server).await,
        "private" => private_codes(server).await,
        "calm" => calm(server).await,
        "two" => two_processes(server).await,
        "validations" => validations(server).await,
        "http" => measure_http(server).await,
        "refusals" => measure_refusals(server).await,
        "reports" => measure_reports(server, scale).await,
        "bytes" => measure_bytes(server, scale).await,
        "resolve" => measure_resolving(server, scale).await,
        "sqlite" => {
            measure_sqlite().await;
            true
        }
        "beside" => {
            measure_beside(server).await;
            true
        }
        _ => measure_growth(scale).await,
    }
}

async fn place(server: &Server, name: &str) -> (TestStore, String) {
    let url = server.url(name);
    create_database(&server.url("postgres"), name).await;
    (TestStore::postgres_at(&url).await, url)
}

async fn redeemer(place: &TestStore) -> Redeemer {
    Redeemer::start(&place.store, RedeemerOptions::default()).await.expect("a redeemer")
}

async fn redeem(redeemer: Redeemer, code: String) -> bool {
    let answer = redeemer.redeem(Uuid::now_v7(), Request::of_code(code), true).await.expect("an answer");
    matches!(answer, Redeemed::Granted { .. })
}

/// Lets callers use codes, each call the code of its number.
async fn ours(redeemer: &Redeemer, callers: usize, codes: &Arc<Vec<String>>) -> Seen {
    let (redeemer, codes) = (redeemer.clone(), Arc::clone(codes));
    run(callers, TIME, NO_PAUSE, move |number| {
        let code = codes[number as usize % codes.len()].clone();
        redeem(redeemer.clone(), code)
    })
    .await
}

/// Lets callers validate codes that may be used, each call the code of its number.
async fn validate_each(redeemer: &Redeemer, callers: usize, codes: &Arc<Vec<String>>) -> Seen {
    let (redeemer, codes) = (redeemer.clone(), Arc::clone(codes));
    run(callers, TIME, NO_PAUSE, move |number| {
        let (redeemer, code) = (redeemer.clone(), codes[number as usize % codes.len()].clone());
        async move { redeemer.validate(Request::of_code(code), true).await.expect("an answer").verdict.is_valid() }
    })
    .await
}

async fn baseline(shop: &Shop, way: Way, callers: usize, codes: &Arc<Vec<String>>) -> Seen {
    let (shop, codes) = (shop.clone(), Arc::clone(codes));
    run(callers, TIME, NO_PAUSE, move |number| {
        let (shop, codes) = (shop.clone(), Arc::clone(&codes));
        async move { shop.redeem(way, &codes[number as usize % codes.len()]).await }
    })
    .await
}

async fn public_code(server: &Server) -> bool {
    let (place, url) = place(server, "public_code").await;
    let limits = json!({ "limits": { "redeemed": QUOTA } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let (redeemer, code) = (redeemer(&place).await, Arc::new(vec!["SPRING".to_owned()]));
    let shop = Shop::create(&url, CONNECTIONS, QUOTA).await;
    // Both meet warm connections and plans.
    ours(&redeemer, 64, &code).await;
    baseline(&shop, Way::Counter, 64, &code).await;
    let mut holds = true;
    for (callers, least) in [(64, 12.0), (512, 20.0)] {
        let reference = baseline(&shop, Way::Counter, callers, &code).await.per_second();
        let ours = ours(&redeemer, callers, &code).await.per_second();
        let what = "public code with a shared limit";
        holds &= Bound { what, callers, ours, baseline: reference, least }.print();
        if callers == 512 {
            println!("at least 12,000/s: {}", verdict(ours >= 12_000.0));
            holds &= ours >= 12_000.0;
        }
    }
    println!("{:32} {:>12} {:>10} {:>10}", "way, 64 callers", "uses/s", "p99 ms", "oversold");
    for way in [Way::Counter, Way::Lock, Way::Slots, Way::Serializable, Way::Unsafe] {
        let quota = 2000;
        let shop = Shop::create(&url, CONNECTIONS, quota).await;
        let seen = baseline(&shop, way, 64, &code).await;
        let (rate, oversold) = (seen.per_second(), (shop.uses().await - quota).max(0));
        println!("{:32} {rate:>12.0} {:>10.1} {oversold:>10}", way.name(), seen.quantile(0.99));
    }
    judge_redemptions(&place).await;
    holds
}

async fn private_codes(server: &Server) -> bool {
    let mut holds = true;
    for (name, limits, way, least, what) in [
        (
            "private_shared",
            json!({ "per_code": 1, "redeemed": QUOTA }),
            Way::Counter,
            18.0,
            "private codes with a shared limit",
        ),
        ("private", json!({ "per_code": 1 }), Way::Private, 5.0, "private codes without a shared limit"),
    ] {
        let (place, url) = place(server, name).await;
        let definition = definition("spring", "private", "SPRING-[:safe:]{10}", &json!({ "limits": limits }));
        create_campaign(&place, &definition, 400_000).await;
        let codes = Arc::new(place.texts("select code from codes order by md5(code)").await);
        let shop = Shop::create(&url, CONNECTIONS, QUOTA).await;
        let redeemer = redeemer(&place).await;
        let reference = baseline(&shop, way, 512, &codes).await.per_second();
        let ours = ours(&redeemer, 512, &codes).await.per_second();
        holds &= Bound { what, callers: 512, ours, baseline: reference, least }.print();
        judge_redemptions(&place).await;
    }
    holds
}

/// A lone caller, and callers that leave half of the time unused.
async fn calm(server: &Server) -> bool {
    let (place, url) = place(server, "calm").await;
    let limits = json!({ "limits": { "redeemed": QUOTA } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let (redeemer, code) = (redeemer(&place).await, Arc::new(vec!["SPRING".to_owned()]));
    let shop = Shop::create(&url, CONNECTIONS, QUOTA).await;
    let (reference, lone) = (baseline(&shop, Way::Counter, 1, &code).await, ours(&redeemer, 1, &code).await);
    println!(
        "a lone caller: median {:.2} ms, a lone transaction {:.2} ms, ratio {:.2}",
        lone.quantile(0.5),
        reference.quantile(0.5),
        lone.quantile(0.5) / reference.quantile(0.5)
    );
    let full = ours(&redeemer, 512, &code).await;
    // Each of them asks once in this time, so that together they ask for half of what was possible.
    let pause = Duration::from_secs_f64(512.0 / (full.per_second() / 2.0));
    let half = run(512, TIME, pause, move |_| redeem(redeemer.clone(), "SPRING".to_owned())).await;
    let p99 = half.quantile(0.99);
    println!(
        "at {:.0}/s of {:.0}/s: p99 {p99:.1} ms   below 25: {}",
        half.per_second(),
        full.per_second(),
        verdict(p99 < 25.0)
    );
    p99 < 25.0
}

async fn two_processes(server: &Server) -> bool {
    let (place, _url) = place(server, "two").await;
    let limits = json!({ "limits": { "redeemed": QUOTA } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let code = Arc::new(vec!["SPRING".to_owned()]);
    let one = redeemer(&place).await;
    let other = Redeemer::start(&place.open_again().await, RedeemerOptions::default()).await.expect("a redeemer");
    let alone = ours(&one, 512, &code).await.per_second();
    let both = run(512, TIME, NO_PAUSE, move |number| {
        let redeemer = if number.is_multiple_of(2) { &one } else { &other };
        redeem(redeemer.clone(), "SPRING".to_owned())
    })
    .await
    .per_second();
    let holds = both / alone >= 0.8;
    println!(
        "two combiners: {both:.0}/s, one {alone:.0}/s, ratio {:.2}   at least 0.8: {}",
        both / alone,
        verdict(holds)
    );
    judge_redemptions(&place).await;
    holds
}

async fn validations(server: &Server) -> bool {
    let (place, _url) = place(server, "validations").await;
    let limits: Value = json!({ "limits": { "per_code": 1, "redeemed": QUOTA } });
    let campaigns = 50;
    for number in 0..campaigns {
        let name = format!("spring-{number}");
        let mask = format!("S{number:03}-[:safe:]{{10}}");
        create_campaign(&place, &definition(&name, "private", &mask, &limits), 20_000).await;
    }
    let codes = Arc::new(place.texts("select code from codes order by md5(code) limit 200000").await);
    let redeemer = redeemer(&place).await;
    let seen = validate_each(&redeemer, 512, &codes).await;
    let holds = seen.per_second() >= 15_000.0;
    println!(
        "validations, 1 M codes of {campaigns} campaigns: {:.0}/s   at least 15,000: {}",
        seen.per_second(),
        verdict(holds)
    );
    holds
}
