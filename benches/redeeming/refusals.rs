//! Can a guesser tell by the time of a refusal whether a code exists? Callers on connections of their own ask for hidden codes of
//! several kinds in a random order, and the times of each kind are compared with those of unknown codes.

use std::time::{Duration, Instant};

use codemint_test_support::postgres::Server;
use codemint_test_support::ranks::rank_difference;
use codemint_test_support::redeem_steps::{create_campaign, definition};
use serde_json::json;
use uuid::Uuid;

use crate::http::{at_most, start_with};
use crate::http_client::Connections;
use crate::place;

const CALLERS: usize = 50;
const CALLS: usize = 10_000;
/// Samples of one distribution differ by more once in 1,700 comparisons, of which this part makes four.
const DEVIATIONS_MAX: f64 = 3.5;
/// The first kind is compared with the others; the last one is not hidden, and shows that the comparison tells differences.
const KINDS: [(&str, &str); 6] = [
    ("unknown", "NOBODYS"),
    ("campaign off", "OFFCODE"),
    ("campaign not started", "EARLYCODE"),
    ("campaign ended", "LATECODE"),
    ("of somebody else", ""),
    ("not hidden", "SPRING"),
];

pub async fn measure_refusals(server: &Server) -> bool {
    let (place, _url) = place(server, "refusals").await;
    for (name, code, fields) in [
        ("off", "OFFCODE", json!({ "active": false })),
        ("early", "EARLYCODE", json!({ "starts_at": "2100-01-01T00:00:00Z" })),
        ("late", "LATECODE", json!({ "starts_at": "2001-01-01T00:00:00Z", "ends_at": "2002-01-01T00:00:00Z" })),
        ("spring", "SPRING", json!({})),
    ] {
        create_campaign(&place, &definition(name, "public", code, &fields), 1).await;
    }
    create_campaign(&place, &definition("own", "restricted", "OWN-[:safe:]{10}", &json!({})), 1).await;
    let issued = place.codemint(["issue", "own", "customer-1", "--json"]).run().await.expect_code(0);
    let issued: serde_json::Value = serde_json::from_str(&issued.stdout).expect("a document");
    let foreign = issued["code"].as_str().expect("a code").to_owned();
    let (api, key) = start_with(&place, &[("CODEMINT__SERVER__FAILURES_PER_MINUTE", "0")]).await;
    let connections = Connections::open(api.address, &key, CALLERS).await;
    let callers = (0..CALLERS).map(|_| {
        let (connections, foreign) = (connections.clone(), foreign.clone());
        tokio::spawn(async move { ask(&connections, &foreign, CALLS / CALLERS).await })
    });
    let mut times: [Vec<Duration>; KINDS.len()] = Default::default();
    for caller in callers.collect::<Vec<_>>() {
        for (kind, time) in caller.await.expect("a caller") {
            times[kind].push(time);
        }
    }
    api.stop().await;
    let mut holds = true;
    for kind in 1..KINDS.len() {
        let deviations = rank_difference(&times[0], &times[kind]).abs();
        let what = format!(
            "standard deviations between {} unknown codes and {} {}",
            times[0].len(),
            times[kind].len(),
            KINDS[kind].0
        );
        if kind + 1 < KINDS.len() {
            holds &= at_most(&what, deviations, DEVIATIONS_MAX);
        } else {
            println!("{what}: {deviations:.1}");
            holds &= deviations > DEVIATIONS_MAX;
        }
    }
    holds
}

/// Asks for codes of random kinds, and returns how long each answer took.
async fn ask(connections: &Connections, foreign: &str, calls: usize) -> Vec<(usize, Duration)> {
    let mut times = Vec::with_capacity(calls);
    for _ in 0..calls {
        let kind = (Uuid::now_v7().as_u128() % KINDS.len() as u128) as usize;
        let code = if KINDS[kind].1.is_empty() { foreign } else { KINDS[kind].1 };
        let body = json!({ "code": code, "identity": "customer-2" }).to_string();
        let asked = Instant::now();
        let answer = connections.send("POST", "/v1/validations", &body).await;
        times.push((kind, asked.elapsed()));
        let expected = if kind + 1 < KINDS.len() { "\"code-not-found\"" } else { "\"valid\":true" };
        assert!(answer.body.contains(expected), "{:?}", answer.body);
    }
    times
}
