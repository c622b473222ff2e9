//! How fast are codes redeemed, exactly, beside the usual ways in the same run? PostgreSQL with fsync, callers and server on the
//! same machine.

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
use crate::load::{Seen, run};
use crate::measure::{exit_code, verdict};

mod baselines;
mod load;
#[expect(dead_code, reason = "shared with the other benchmarks")]
#[path = "../measure/mod.rs"]
mod measure;

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
    let server = Server::start(Durability::Full);
    let mut holds = public_code(&server).await;
    holds &= private_codes(&server).await;
    holds &= calm(&server).await;
    holds &= two_processes(&server).await;
    holds &= validations(&server).await;
    exit_code(holds)
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
    let full = ours(&redeemer, 256, &code).await;
    // Each of them asks once a second's part, so that together they ask for half of what was possible.
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
    let seen = run(512, TIME, NO_PAUSE, move |number| {
        let (redeemer, code) = (redeemer.clone(), codes[number as usize % codes.len()].clone());
        async move { redeemer.validate(Request::of_code(code), true).await.expect("an answer").verdict.is_valid() }
    })
    .await;
    let holds = seen.per_second() >= 15_000.0;
    println!(
        "validations, 1 M codes of {campaigns} campaigns: {:.0}/s   at least 15,000: {}",
        seen.per_second(),
        verdict(holds)
    );
    holds
}
