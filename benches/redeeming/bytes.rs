//! How many bytes of the disk does a redemption take?

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use codemint_campaigns::answers::Redeemed;
use codemint_campaigns::redeeming::Redeemer;
use codemint_offers::redemption::request::Request;
use codemint_test_support::postgres::Server;
use codemint_test_support::redeem_steps::{asking, cart, create_campaign, definition, judge_redemptions};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use uuid::Uuid;

use crate::scale::Scale;
use crate::{QUOTA, place, redeemer};

const REDEMPTIONS: u64 = 1_000_000;
const CALLERS: usize = 512;
const REDEMPTION_BYTES_MAX: f64 = 500.0;
const ALLOWANCE_BYTES_MAX: f64 = 220.0;
const TABLES: [&str; 2] = ["redemptions", "allowances"];
/// Coprime to the number of customers, so that they come in a scattered order.
const CUSTOMER_STEP: u64 = 7_654_321;
const CUSTOMERS: u64 = 10_000_000;

pub async fn measure_bytes(server: &Server, scale: Scale) -> bool {
    let requests = scale.codes(REDEMPTIONS);
    println!("bytes for each of {requests} redemptions of private codes with a shared limit");
    let plain = |_number: u64, code: &str| Request::of_code(code);
    let [redemption, allowance] = grow(server, "bytes_plain", requests, plain).await;
    let mut holds = scale.at_most("bytes of a redemption that states the code", redemption, REDEMPTION_BYTES_MAX);
    holds &= scale.at_most("bytes of its allowance", allowance, ALLOWANCE_BYTES_MAX);
    let [redemption, allowance] = grow(server, "bytes_of_shop", requests, of_a_shop).await;
    println!("bytes of a redemption with identity, order and cart: {redemption:.0}, of its allowance: {allowance:.0}");
    holds
}

fn of_a_shop(number: u64, code: &str) -> Request {
    let identity = format!("customer-{:07}", number.wrapping_mul(CUSTOMER_STEP) % CUSTOMERS);
    asking(code, &json!({ "identity": identity, "order": format!("A-{number:07}"), "cart": cart(4990) }))
}

/// Redeems private codes in a scattered order, once each, and returns by how many bytes each table grew for each, with its
/// indexes. Prints the share of each index.
async fn grow(
    server: &Server,
    name: &str,
    requests: u64,
    request: impl Fn(u64, &str) -> Request + Clone + Send + 'static,
) -> [f64; 2] {
    let (place, _url) = place(server, name).await;
    let limits = json!({ "limits": { "per_code": 1, "redeemed": QUOTA } });
    create_campaign(&place, &definition("spring", "private", "SPRING-[:safe:]{10}", &limits), requests.into()).await;
    let codes = place.texts("select code from codes order by md5(code)").await;
    let before = sizes(&place).await;
    redeem_each(&redeemer(&place).await, codes, request).await;
    while place.store.add_up_tallies().await.expect("sums") > 0 {}
    assert_eq!(place.number("select count(*) from redemptions").await as u64, requests, "redemptions");
    let after = sizes(&place).await;
    print_relations(&place, requests).await;
    judge_redemptions(&place).await;
    [0, 1].map(|table| (after[table] - before[table]) as f64 / requests as f64)
}

/// Lets callers use every code once.
async fn redeem_each(
    redeemer: &Redeemer,
    codes: Vec<String>,
    request: impl Fn(u64, &str) -> Request + Clone + Send + 'static,
) {
    let (codes, next) = (Arc::new(codes), Arc::new(AtomicUsize::new(0)));
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (redeemer, request) = (redeemer.clone(), request.clone());
            let (codes, next) = (Arc::clone(&codes), Arc::clone(&next));
            tokio::spawn(async move {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    let Some(code) = codes.get(number) else { break };
                    let request = request(number as u64, code);
                    let answer = redeemer.redeem(Uuid::now_v7(), request, true).await.expect("an answer");
                    assert!(matches!(answer, Redeemed::Granted { .. }), "{answer:?}");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("a caller");
    }
}

/// Returns the bytes of each table with its indexes.
async fn sizes(place: &TestStore) -> [i64; 2] {
    let [redemptions, allowances] = TABLES.map(|table| format!("select pg_total_relation_size('{table}')"));
    [place.number(&redemptions).await, place.number(&allowances).await]
}

/// Prints what each table without its indexes and each index takes, beginning with the greatest.
async fn print_relations(place: &TestStore, requests: u64) {
    let sql = "
        select c.relname::text, pg_table_size(c.oid)
          from pg_class c
          left join pg_index i on i.indexrelid = c.oid
         where coalesce(i.indrelid, c.oid) in ('redemptions'::regclass, 'allowances'::regclass)
         order by 2 desc";
    for (relation, bytes) in place.all::<(String, i64)>(sql).await {
        println!("    {relation:32} {:>6.1}", bytes as f64 / requests as f64);
    }
}
