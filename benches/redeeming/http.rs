//! The same uses through the HTTP API of `codemint serve`: what do HTTP, JSON, keys and the access log cost? The client shares the
//! cores with both servers.

use std::sync::Arc;
use std::time::Duration;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::postgres::Server;
use codemint_test_support::redeem_steps::{create_campaign, definition, judge_redemptions};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use uuid::Uuid;

use crate::http_client::Connections;
use crate::load::{Seen, run};
use crate::measure::{median, verdict};
use crate::process::peak::peak_mib_of;
use crate::{NO_PAUSE, QUOTA, TIME, ours, place, redeemer};

const ROUNDS: usize = 3;
pub const CONNECTIONS: usize = 256;
const USES_PER_SECOND_MIN: f64 = 6000.0;
const SHARE_MIN: f64 = 0.5;
const BATCH: usize = 100;
const BATCH_CONNECTIONS: usize = 8;
const BATCH_SHARE_MIN: f64 = 0.8;
const HALF_LOAD_P99_MS_MAX: f64 = 40.0;
const MANY_CONNECTIONS: usize = 1000;
const PEAK_MIB_MAX: f64 = 100.0;
pub const VALIDATIONS_PER_SECOND_MIN: f64 = 8000.0;
pub const VALIDATION_P99_MS_MAX: f64 = 15.0;

/// Measures uses of a public code with a shared limit.
pub async fn measure_http(server: &Server) -> bool {
    let (place, _url) = place(server, "http").await;
    let limits = json!({ "limits": { "redeemed": QUOTA } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let (api, key) = start(&place).await;
    let (redeemer, code) = (redeemer(&place).await, Arc::new(vec!["SPRING".to_owned()]));
    let singles = Connections::open(api.address, &key, CONNECTIONS).await;
    let batches = Connections::open(api.address, &key, BATCH_CONNECTIONS).await;
    // All meet warm connections and plans.
    ours(&redeemer, CONNECTIONS, &code).await;
    redeem_each(&singles, CONNECTIONS, NO_PAUSE).await;
    let strangers = Connections::open(api.address, "none", CONNECTIONS).await;
    let (mut rates, mut shares, mut batch_shares) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let direct = ours(&redeemer, CONNECTIONS, &code).await.per_second();
        let single = redeem_each(&singles, CONNECTIONS, NO_PAUSE).await;
        let refused = put_each(&strangers, CONNECTIONS, NO_PAUSE, 401).await;
        let batch = redeem_batches(&batches).await.per_second() * BATCH as f64;
        println!(
            "without HTTP {direct:.0}/s, {CONNECTIONS} connections {:.0}/s (p99 {:.1} ms), batches of {BATCH} {batch:.0}/s; \
             refused for want of a key {:.0}/s",
            single.per_second(),
            single.quantile(0.99),
            refused.per_second()
        );
        rates.push(single.per_second());
        shares.push(single.per_second() / direct);
        batch_shares.push(batch / direct);
    }
    let rate = median(&rates);
    let mut holds = at_least("uses/s over HTTP, median of the rounds", rate, USES_PER_SECOND_MIN);
    holds &= at_least("share of uses without HTTP", median(&shares), SHARE_MIN);
    holds &= at_least("the same, in batches", median(&batch_shares), BATCH_SHARE_MIN);
    let pause = Duration::from_secs_f64(CONNECTIONS as f64 / (rate / 2.0));
    let half = redeem_each(&singles, CONNECTIONS, pause).await;
    println!("at {:.0}/s of {rate:.0}/s:", half.per_second());
    holds &= at_most("p99 in milliseconds at half load", half.quantile(0.99), HALF_LOAD_P99_MS_MAX);
    let many = Connections::open(api.address, &key, MANY_CONNECTIONS).await;
    let seen = redeem_each(&many, MANY_CONNECTIONS, NO_PAUSE).await;
    println!("{MANY_CONNECTIONS} connections: {:.0}/s, p99 {:.1} ms", seen.per_second(), seen.quantile(0.99));
    let peak = peak_mib_of(api.process.child.id().expect("a running server")).expect("its memory");
    holds &= at_most("peak memory of the server in MiB", peak, PEAK_MIB_MAX);
    api.stop().await;
    judge_redemptions(&place).await;
    holds
}

/// Starts a server on the store, and returns it with a key.
pub async fn start(place: &TestStore) -> (ApiServer, String) {
    start_with(place, &[]).await
}

pub async fn start_with(place: &TestStore, environment: &[(&str, &str)]) -> (ApiServer, String) {
    let key = create_key(place, "redeem").await;
    (ApiServer::start_with(place, environment, &[]).await, key)
}

/// Lets callers validate the codes for this long, each call the one of its number, each caller on a connection of its own.
///
/// # Panics
/// If a code may not be used.
pub async fn validate_each(
    connections: &Connections,
    codes: &Arc<Vec<String>>,
    pause: Duration,
    time: Duration,
) -> Seen {
    let (connections, codes) = (connections.clone(), Arc::clone(codes));
    run(CONNECTIONS, time, pause, move |number| {
        let (connections, code) = (connections.clone(), codes[number as usize % codes.len()].clone());
        async move {
            let answer = connections.send("POST", "/v1/validations", &json!({ "code": code }).to_string()).await;
            assert!(answer.body.contains("\"valid\":true"), "{:?}", answer.body);
            true
        }
    })
    .await
}

async fn redeem_each(connections: &Connections, callers: usize, pause: Duration) -> Seen {
    put_each(connections, callers, pause, 201).await
}

/// Lets callers ask for uses, each answered with this status.
async fn put_each(connections: &Connections, callers: usize, pause: Duration, status: u16) -> Seen {
    let connections = connections.clone();
    run(callers, TIME, pause, move |_| {
        let connections = connections.clone();
        async move {
            let path = format!("/v1/redemptions/{}", Uuid::now_v7());
            let answer = connections.send("PUT", &path, r#"{"code":"SPRING"}"#).await;
            assert_eq!(answer.status, status, "{:?}", answer.body);
            true
        }
    })
    .await
}

async fn redeem_batches(connections: &Connections) -> Seen {
    let connections = connections.clone();
    run(BATCH_CONNECTIONS, TIME, NO_PAUSE, move |_| {
        let connections = connections.clone();
        async move {
            let items: Vec<_> = (0..BATCH).map(|_| json!({ "id": Uuid::now_v7(), "code": "SPRING" })).collect();
            let body = json!({ "items": items }).to_string();
            let answer = connections.send("POST", "/v1/redemptions:batch", &body).await;
            let confirmed = answer.body.matches("\"state\":\"confirmed\"").count();
            assert_eq!((answer.status, confirmed), (200, BATCH), "{:?}", answer.body);
            true
        }
    })
    .await
}

pub fn at_least(what: &str, reached: f64, least: f64) -> bool {
    println!("{what}: {reached:.2}   at least {least}: {}", verdict(reached >= least));
    reached >= least
}

pub fn at_most(what: &str, reached: f64, most: f64) -> bool {
    println!("{what}: {reached:.1}   at most {most}: {}", verdict(reached <= most));
    reached <= most
}
