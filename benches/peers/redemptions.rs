//! The state `redemptions`: uses of a coupon with a limit, by 64 callers, in Codemint and in the loops of shop systems. Each
//! contender is measured twice a repetition: with a limit that is never reached, for its speed, and with one that is.

use std::fmt::Write;
use std::sync::atomic::Ordering;
use std::time::Duration;

use codemint_campaigns::answers::Redeemed;
use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::redemption::request::Request;
use codemint_test_support::postgres::{Server, create_database};
use codemint_test_support::redeem_steps::{create_campaign, definition, judge_redemptions};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use uuid::Uuid;

use crate::load::{Seen, run};
use crate::measure::{median, most, verdict};
use crate::shops::till::{Shop, Till};

/// The name of this state.
pub const NAME: &str = "redemptions";

const REPETITIONS: usize = 3;
const CALLERS: u32 = 64;
const TIME: Duration = Duration::from_secs(3);
/// A limit that is not reached.
const PLENTY: i64 = 1_000_000_000;
/// A limit that is.
const LIMIT: i64 = 200;
/// Codemint's speed relative to the fastest of the loops that keep to the limit.
const RATIO_MIN: f64 = 5.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Contender {
    Codemint,
    Shop(Shop),
}

/// The measurements of a contender, one of each for each repetition.
#[derive(Clone, Debug, Default)]
struct Row {
    per_second: Vec<f64>,
    p99: Vec<f64>,
    granted: Vec<i64>,
    counted: Vec<i64>,
    deadlocks: u64,
    conflicts: u64,
    timeouts: u64,
}

impl Contender {
    fn all() -> Vec<Self> {
        std::iter::once(Self::Codemint).chain(Shop::ALL.map(Self::Shop)).collect()
    }

    const fn label(self) -> &'static str {
        match self {
            Self::Codemint => "**Codemint**",
            Self::Shop(shop) => shop.label(),
        }
    }
}

impl Row {
    /// Returns how many uses beyond the limit were granted, at most.
    fn oversold(&self) -> i64 {
        self.granted.iter().map(|granted| granted - LIMIT).max().unwrap_or_default()
    }

    fn add_failures(&mut self, till: &Till) {
        self.deadlocks += till.failures.deadlocks.load(Ordering::Relaxed);
        self.conflicts += till.failures.conflicts.load(Ordering::Relaxed);
        self.timeouts += till.failures.timeouts.load(Ordering::Relaxed);
    }
}

/// Prints the table, and returns whether the bounds hold.
#[expect(clippy::print_stdout, reason = "a benchmark's result")]
pub async fn measure(server: &Server) -> bool {
    let (shops, ours) = (database(server, "shops").await, database(server, "ours").await);
    let place = TestStore::postgres_at(&ours).await;
    let redeemer = Redeemer::start(&place.store, RedeemerOptions::default()).await.expect("a redeemer");
    let mut contenders = Contender::all();
    let mut rows: Vec<(Contender, Row)> = contenders.iter().map(|contender| (*contender, Row::default())).collect();
    for repetition in 0..REPETITIONS {
        // Neighbours stay neighbours, but another contender begins.
        contenders.rotate_left(repetition);
        for &contender in &contenders {
            let row = &mut rows.iter_mut().find(|(known, _)| *known == contender).expect("a row").1;
            match contender {
                Contender::Codemint => measure_ours(&place, &redeemer, repetition, row).await,
                Contender::Shop(shop) => measure_shop(&shops, shop, row).await,
            }
        }
    }
    judge_redemptions(&place).await;
    println!("{}", table(&rows));
    bounds(&rows)
}

async fn database(server: &Server, name: &str) -> String {
    create_database(&server.url("postgres"), name).await;
    server.url(name)
}

async fn measure_shop(url: &str, shop: Shop, row: &mut Row) {
    for limit in [PLENTY, LIMIT] {
        let till = Till::open(url, shop, limit, CALLERS).await;
        let caller = till.clone();
        let seen = run(CALLERS as usize, TIME, Duration::ZERO, move |number| {
            let till = caller.clone();
            async move { till.redeem(number).await }
        })
        .await;
        row.add_failures(&till);
        add(row, limit, &seen, till.close().await);
    }
}

async fn measure_ours(place: &TestStore, redeemer: &Redeemer, repetition: usize, row: &mut Row) {
    for (name, limit) in [("PLENTY", PLENTY), ("SCARCE", LIMIT)] {
        let code = format!("{name}{repetition}");
        let limits = json!({ "limits": { "redeemed": limit } });
        create_campaign(place, &definition(&code.to_lowercase(), "public", &code, &limits), 1).await;
        let (caller, asked) = (redeemer.clone(), code.clone());
        let seen = run(CALLERS as usize, TIME, Duration::ZERO, move |_| redeem(caller.clone(), asked.clone())).await;
        let used = format!("select count(*) from redemptions where code = '{code}'");
        let counted = place.number(&used).await;
        add(row, limit, &seen, counted);
    }
}

async fn redeem(redeemer: Redeemer, code: String) -> bool {
    let answer = redeemer.redeem(Uuid::now_v7(), Request::of_code(code), true).await.expect("an answer");
    matches!(answer, Redeemed::Granted { .. })
}

fn add(row: &mut Row, limit: i64, seen: &Seen, counted: i64) {
    if limit == PLENTY {
        row.per_second.push(seen.per_second());
        row.p99.push(seen.quantile(0.99));
    } else {
        row.granted.push(i64::try_from(seen.granted).expect("a number"));
        row.counted.push(counted);
    }
}

fn table(rows: &[(Contender, Row)]) -> String {
    let ours = median(&rows[0].1.per_second);
    let mut table = format!(
        "### Uses of a coupon, {CALLERS} callers\n\n\
         | | uses/s | Codemint, times as fast | 99 of 100 calls, ms | granted of {LIMIT} | its own count | beyond the limit, at most | deadlocks | conflicts | timeouts |\n\
         |---|---|---|---|---|---|---|---|---|---|\n"
    );
    for (contender, row) in rows {
        let rate = median(&row.per_second);
        writeln!(
            table,
            "| {} | {rate:.0} | {:.1} | {:.0} | {} | {} | {} | {} | {} | {} |",
            contender.label(),
            ours / rate,
            median(&row.p99),
            list(&row.granted),
            list(&row.counted),
            row.oversold().max(0),
            row.deadlocks,
            row.conflicts,
            row.timeouts,
        )
        .expect("a row");
    }
    table
}

fn list(numbers: &[i64]) -> String {
    numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(", ")
}

#[expect(clippy::print_stdout, reason = "a benchmark's result")]
fn bounds(rows: &[(Contender, Row)]) -> bool {
    let ours = &rows[0].1;
    let is_exact = ours.granted.iter().chain(&ours.counted).all(|count| *count == LIMIT);
    println!("- Codemint grants exactly the limit: {}", verdict(is_exact));
    // A loop that did not reach the limit has not shown that it keeps to it.
    let exact = rows[1..].iter().filter(|(_, row)| row.granted.iter().all(|granted| *granted == LIMIT));
    let rates: Vec<f64> = exact.map(|(_, row)| median(&row.per_second)).collect();
    let ratio = median(&ours.per_second) / most(&rates);
    let is_faster = !rates.is_empty() && ratio >= RATIO_MIN;
    println!(
        "- at least {RATIO_MIN} times the fastest loop that keeps to the limit: **{ratio:.1}**, {}",
        verdict(is_faster)
    );
    is_exact && is_faster
}
