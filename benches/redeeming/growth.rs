//! How fast are codes validated and redeemed in stores of several sizes? With 100 million codes of 1,000 campaigns, at least
//! 15,000 validations a second, however many redemptions there are.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use codemint_campaigns::answers::Redeemed;
use codemint_campaigns::redeeming::Redeemer;
use codemint_offers::redemption::request::Request;
use codemint_offers::verdict::reason::ReasonCode;
use codemint_test_support::postgres::Server;
use codemint_test_support::redeem_steps::asking;
use plotters::prelude::SeriesLabelPosition;
use serde_json::json;
use uuid::Uuid;

use crate::chart::{self, Curve, Labels};
use crate::fill::{FilledStore, start_server};
use crate::http;
use crate::http_client::Connections;
use crate::load::{Seen, run};
use crate::scale::Scale;
use crate::{NO_PAUSE, TIME, redeemer};

const CALLERS: usize = 512;
const PER_SECOND_MIN: f64 = 15_000.0;
/// The number of different codes that are asked for: many times what a process keeps of codes that it found.
const ASKED: u64 = 500_000;
/// More than callers redeem in a measurement.
const REDEEMED: u64 = 400_000;
/// Fills the caches of the process and of the server.
const WARM_UP: Duration = Duration::from_secs(1);
const VALIDATIONS: Labels = Labels {
    caption: "Validations a second, as redemptions add up",
    sizes: "past redemptions, millions",
    rates: "thousand validations a second",
    legend: SeriesLabelPosition::UpperRight,
};
const REDEMPTIONS: Labels = Labels {
    caption: "Redemptions a second, as redemptions add up",
    rates: "thousand redemptions a second",
    ..VALIDATIONS
};

/// A store, and the numbers of past redemptions with which it is measured.
struct Size {
    name: &'static str,
    campaigns: u64,
    codes: u64,
    redemptions: &'static [u64],
}

/// A code of these campaigns is used once, so a million codes do not have a million redemptions and unused codes.
const SIZES: [Size; 2] = [
    Size { name: "2 M codes of 50 campaigns", campaigns: 50, codes: 2_000_000, redemptions: &[0, 500_000] },
    Size {
        name: "100 M codes of 1,000 campaigns",
        campaigns: 1000,
        codes: 100_000_000,
        redemptions: &[0, 5_000_000, 10_000_000, 20_000_000],
    },
];

/// What callers saw in a store.
struct Row {
    redemptions: u64,
    /// Unused codes, in requests that state nothing else.
    of_code: Seen,
    /// Unused codes, with an identity and an order.
    of_order: Seen,
    /// Used codes, which are refused; `None` if there are none.
    refused: Option<Seen>,
    /// Redemptions of unused codes, in requests that state nothing else.
    redeemed: Seen,
    /// The same, with an identity and an order.
    redeemed_of_order: Seen,
}

pub async fn measure_growth(scale: Scale) -> bool {
    let server = start_server();
    let (mut sizes, mut http_holds) = (Vec::new(), true);
    for (number, size) in SIZES.iter().enumerate() {
        let (rows, holds) = measure_size(&server, &format!("size_{number}"), size, scale).await;
        sizes.push((size, rows));
        http_holds &= holds;
    }
    let Some((_, [first, ..])) = sizes.first().map(|(size, rows)| (size, rows.as_slice())) else { return false };
    let Some((_, largest)) = sizes.last() else { return false };
    let slowest = largest.iter().flat_map(Row::rates).fold(f64::INFINITY, f64::min);
    let holds = scale.at_least("slowest with the most codes, validations a second", slowest, PER_SECOND_MIN);
    let of_code = |row: &Row| row.of_code.per_second();
    let least = sizes.iter().flat_map(|(_, rows)| rows).map(of_code).fold(f64::INFINITY, f64::min);
    println!("unused codes alone, the slowest size relative to the first one: {:.2}", least / of_code(first));
    for file in [draw_validations(&sizes, scale), draw_redemptions(&sizes, scale)] {
        println!("{} shows rates against past redemptions", file.display());
    }
    holds && http_holds
}

/// Validates over HTTP in the store as it was filled last.
async fn measure_http(store: &FilledStore, scale: Scale) -> bool {
    let (api, key) = http::start(&store.place).await;
    let connections = Connections::open(api.address, &key, http::CONNECTIONS).await;
    let unused = Arc::new(store.unused_codes(ASKED).await);
    http::validate_each(&connections, &unused, NO_PAUSE, WARM_UP).await;
    let full = http::validate_each(&connections, &unused, NO_PAUSE, TIME).await;
    println!("over HTTP, {} connections: p99 {:.1} ms", http::CONNECTIONS, full.quantile(0.99));
    let is_fast = scale.at_least("validations a second over HTTP", full.per_second(), http::VALIDATIONS_PER_SECOND_MIN);
    // As fast as the bound demands.
    let pause = Duration::from_secs_f64(http::CONNECTIONS as f64 / http::VALIDATIONS_PER_SECOND_MIN);
    let paced = http::validate_each(&connections, &unused, pause, TIME).await;
    println!("asked {:.0} times a second:", paced.per_second());
    api.stop().await;
    let is_even = scale.at_most("p99 in milliseconds", paced.quantile(0.99), http::VALIDATION_P99_MS_MAX);
    is_fast && is_even
}

async fn measure_size(server: &Server, name: &str, size: &Size, scale: Scale) -> (Vec<Row>, bool) {
    let (campaigns, codes) = (scale.codes(size.campaigns), scale.codes(size.codes));
    let redemptions = size.redemptions.iter().copied().max().unwrap_or_default();
    let mut store = FilledStore::create(server, name, campaigns, codes, scale.codes(redemptions)).await;
    let mut rows = Vec::new();
    for redemptions in size.redemptions {
        if *redemptions > 0 {
            store.redeem_up_to(scale.codes(*redemptions)).await;
        }
        let row = measure_store(&store).await;
        print_row(&store, &row);
        rows.push(row);
    }
    let holds = measure_http(&store, scale).await;
    store.place.store.close().await.expect("a close");
    (rows, holds)
}

async fn measure_store(store: &FilledStore) -> Row {
    let redeemer = redeemer(&store.place).await;
    let unused = store.unused_codes(ASKED).await;
    let orders = store.new_orders(unused.len() as u64).await;
    let with_order = Arc::new(of_orders(&unused, orders));
    let alone = Arc::new(requests(&unused));
    let used = match store.redemptions() {
        0 => None,
        _ => Some(Arc::new(requests(&store.used_codes(ASKED).await))),
    };
    let mut to_redeem = store.codes_to_redeem(2 * REDEEMED).await;
    let of_order = to_redeem.split_off(to_redeem.len() / 2);
    let orders = (0..of_order.len()).map(|number| format!("B-{:010}-{number}", store.redemptions())).collect();
    let of_order = of_orders(&of_order, orders);
    store.read_into_memory().await;
    validate(&redeemer, &alone, &[], WARM_UP).await;
    Row {
        redemptions: store.redemptions(),
        of_code: validate(&redeemer, &alone, &[], TIME).await,
        of_order: validate(&redeemer, &with_order, &[], TIME).await,
        refused: match used {
            Some(used) => Some(validate(&redeemer, &used, &[ReasonCode::LimitReached], TIME).await),
            None => None,
        },
        redeemed: redeem_each(store, &redeemer, requests(&to_redeem)).await,
        redeemed_of_order: redeem_each(store, &redeemer, of_order).await,
    }
}

/// Lets callers redeem, each call the request of its number, while the server flushes every commit.
async fn redeem_each(store: &FilledStore, redeemer: &Redeemer, requests: Vec<Request>) -> Seen {
    store.set_durable(true).await;
    let (redeemer, requests) = (redeemer.clone(), Arc::new(requests));
    let seen = run(CALLERS, TIME, NO_PAUSE, move |number| {
        let (redeemer, request) = (redeemer.clone(), requests.get(number as usize).cloned());
        async move {
            // A small store has fewer codes than callers ask for.
            let Some(request) = request else {
                tokio::time::sleep(TIME).await;
                return false;
            };
            let answer = redeemer.redeem(Uuid::now_v7(), request, true).await.expect("an answer");
            assert!(matches!(answer, Redeemed::Granted { .. }), "{answer:?}");
            true
        }
    })
    .await;
    store.set_durable(false).await;
    seen
}

fn of_orders(codes: &[String], orders: Vec<String>) -> Vec<Request> {
    let requests = codes.iter().zip(orders).enumerate().map(|(number, (code, order))| {
        asking(code, &json!({ "identity": format!("customer-{number:07}"), "order": order }))
    });
    requests.collect()
}

fn requests(codes: &[String]) -> Vec<Request> {
    codes.iter().map(Request::of_code).collect()
}

/// Lets callers validate for this long, each call the request of its number.
///
/// # Panics
/// If the reasons of an answer are other ones.
async fn validate(
    redeemer: &Redeemer,
    requests: &Arc<Vec<Request>>,
    expected: &'static [ReasonCode],
    time: Duration,
) -> Seen {
    let (redeemer, requests) = (redeemer.clone(), Arc::clone(requests));
    run(CALLERS, time, NO_PAUSE, move |number| {
        let (redeemer, request) = (redeemer.clone(), requests[number as usize % requests.len()].clone());
        async move {
            let verdict = redeemer.validate(request, true).await.expect("an answer").verdict;
            let is_right = verdict.reasons.iter().map(|reason| reason.code).eq(expected.iter().copied());
            assert!(is_right, "{:?} instead of {expected:?}", verdict.reasons);
            true
        }
    })
    .await
}

fn print_row(store: &FilledStore, row: &Row) {
    let cell = |seen: &Seen| format!("{:>8.0}/s, p99 {:>5.1} ms", seen.per_second(), seen.quantile(0.99));
    println!(
        "{} campaigns, {} codes, {} past redemptions:\n    validations: unused codes {}; with identity and order {}; used codes {}\n    \
         redemptions: {}; with identity and order {}",
        store.campaigns(),
        store.codes(),
        row.redemptions,
        cell(&row.of_code),
        cell(&row.of_order),
        row.refused.as_ref().map_or_else(|| "none".to_owned(), cell),
        cell(&row.redeemed),
        cell(&row.redeemed_of_order)
    );
}

impl Row {
    /// The rates of validations.
    fn rates(&self) -> impl Iterator<Item = f64> {
        [Some(&self.of_code), Some(&self.of_order), self.refused.as_ref()].into_iter().flatten().map(Seen::per_second)
    }
}

fn curve(name: &'static str, rows: &[Row], rate: impl Fn(&Row) -> Option<f64>) -> Curve {
    Curve { name, points: rows.iter().filter_map(|row| Some((row.redemptions as f64, rate(row)?))).collect() }
}

/// Draws a line for each size and for each kind of request in the largest one, and returns the file.
fn draw_validations(sizes: &[(&Size, Vec<Row>)], scale: Scale) -> PathBuf {
    let mut curves: Vec<Curve> =
        sizes.iter().map(|(size, rows)| curve(size.name, rows, |row| Some(row.of_code.per_second()))).collect();
    if let Some((_, largest)) = sizes.last() {
        curves.push(curve("the same, with identity and order", largest, |row| Some(row.of_order.per_second())));
        let refused = |row: &Row| row.refused.as_ref().map(Seen::per_second);
        curves.push(curve("the same, used codes (refused)", largest, refused));
    }
    draw("validations.svg", &VALIDATIONS, &curves, scale)
}

/// Draws a line for each size and kind of request, and returns the file.
fn draw_redemptions(sizes: &[(&Size, Vec<Row>)], scale: Scale) -> PathBuf {
    let mut curves: Vec<Curve> =
        sizes.iter().map(|(size, rows)| curve(size.name, rows, |row| Some(row.redeemed.per_second()))).collect();
    if let Some((_, largest)) = sizes.last() {
        let of_order = |row: &Row| Some(row.redeemed_of_order.per_second());
        curves.push(curve("the same, with identity and order", largest, of_order));
    }
    draw("redemptions.svg", &REDEMPTIONS, &curves, scale)
}

/// Draws the lines, and returns the file. Only the chart in full size replaces the one in the repository.
fn draw(name: &str, labels: &Labels, curves: &[Curve], scale: Scale) -> PathBuf {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let file = root.join(if scale.is_full() { "benches" } else { "target" }).join(name);
    std::fs::create_dir_all(root.join("target")).expect("a directory");
    chart::draw(&file, labels, curves).expect("a chart");
    file
}
