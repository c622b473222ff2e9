//! References of affiliates that are resolved through the HTTP API, with 1,000 rules and 500,000 exclusions. The client shares the cores
//! with the server; the server asks its store at most twice a second.

use std::time::{Duration, Instant};

use codemint_offers::affiliate::exclusion::{Details, Exclusion};
use codemint_offers::read::affiliate::read_rule;
use codemint_store::affiliates::exclusions::{EXCLUSIONS_AT_ONCE, Excluding};
use codemint_store::affiliates::rules::PutRule;
use codemint_test_support::postgres::Server;
use codemint_test_support::redeem_steps::{create_campaign, definition};
use codemint_test_support::stores::TestStore;
use serde_json::json;

use crate::http::{CONNECTIONS, start};
use crate::http_client::Connections;
use crate::load::{Seen, run};
use crate::measure::median;
use crate::process::peak::peak_mib_of;
use crate::scale::Scale;
use crate::{NO_PAUSE, TIME, place};

const ROUNDS: usize = 3;
const RULES: u64 = 1000;
const EXCLUSIONS: u64 = 500_000;
const FEW: u64 = 40;
const MANY: u64 = 40_000;
const RESOLVED_PER_SECOND_MIN: f64 = 10_000.0;
/// How many are resolved with many affiliates, as a share of those with few.
const SHARE_MIN: f64 = 0.95;
/// Longer than a process may be behind the store.
const SETTLING: Duration = Duration::from_millis(1500);

/// Measures how many references are resolved.
pub async fn measure_resolving(server: &Server, scale: Scale) -> bool {
    let (place, _url) = place(server, "resolve").await;
    create_campaign(&place, &definition("choc", "private", "CHOC-[:safe:]{8}", &json!({})), 1).await;
    let rules = scale.codes(RULES);
    for no in 0..rules {
        put_rule(&place, no).await;
    }
    let (api, key) = start(&place).await;
    let connections = Connections::open(api.address, &key, CONNECTIONS).await;
    let exclusions = scale.codes(EXCLUSIONS);
    let begun = Instant::now();
    exclude(&place, exclusions).await;
    println!("a list of {exclusions} exclusions stored in {:.0} ms", begun.elapsed().as_secs_f64() * 1000.0);
    let begun = Instant::now();
    let answer = connections.send("GET", "/v1/affiliates/resolve?reference=0000000000", "").await;
    println!("the first answer, after reading all: {:.0} ms", begun.elapsed().as_secs_f64() * 1000.0);
    assert!(answer.status == 200 && answer.body.contains("\"reason\":\"excluded\""), "{:?}", answer.body);
    let pid = api.process.child.id().expect("a running server");
    println!("peak memory of the server: {:.0} MiB", peak_mib_of(pid).expect("its memory"));
    resolve_each(&connections, exclusions).await;
    let mut rates = Vec::new();
    for _ in 0..ROUNDS {
        let seen = resolve_each(&connections, exclusions).await;
        println!(
            "{rules} rules, {exclusions} exclusions: {:.0}/s, p99 {:.1} ms",
            seen.per_second(),
            seen.quantile(0.99)
        );
        rates.push(seen.per_second());
    }
    let mut shares = Vec::new();
    for _ in 0..ROUNDS {
        let few = with(&place, &connections, FEW).await;
        let many = with(&place, &connections, MANY).await;
        println!("{FEW} affiliates {few:.0}/s, {MANY} affiliates {many:.0}/s");
        shares.push(many / few);
    }
    let mut holds =
        scale.at_least("references/s over HTTP, median of the rounds", median(&rates), RESOLVED_PER_SECOND_MIN);
    holds &= scale.at_least("with many affiliates as a share of few", median(&shares), SHARE_MIN);
    api.stop().await;
    holds
}

/// Puts the rule of this number. The first one concerns all references that are resolved, half of which it excludes.
async fn put_rule(place: &TestStore, no: u64) {
    let mask = if no == 0 { "0#########".to_owned() } else { format!("9{no:04}#####") };
    let document = json!({ "mask": mask, "prefix": "FCH", "campaign": "choc" });
    let rule = read_rule(&format!("rule-{no:04}"), &document).expect("a rule");
    assert_eq!(place.store.put_affiliate_rule(&rule, None).await.expect("an answer"), PutRule::Created);
}

/// Excludes so many references: those with even numbers.
async fn exclude(place: &TestStore, count: u64) {
    let exclusion = |number: u64| Exclusion { reference: format!("0{:09}", number * 2), details: Details::default() };
    let batches = (0..count)
        .step_by(EXCLUSIONS_AT_ONCE)
        .map(|first| (first..count.min(first + EXCLUSIONS_AT_ONCE as u64)).map(exclusion).collect::<Vec<Exclusion>>());
    let replaced = place.store.replace_exclusions("rule-0000", batches).await.expect("an answer");
    assert!(matches!(replaced, Excluding::Done(_)), "{replaced:?}");
}

/// Returns how many references are resolved with this number of affiliates, of which half are excluded.
async fn with(place: &TestStore, connections: &Connections, affiliates: u64) -> f64 {
    exclude(place, affiliates / 2).await;
    tokio::time::sleep(SETTLING).await;
    connections.send("GET", "/v1/affiliates/resolve?reference=0000000000", "").await;
    resolve_each(connections, affiliates / 2).await.per_second()
}

/// Lets callers resolve references, half of which are among so many exclusions.
async fn resolve_each(connections: &Connections, exclusions: u64) -> Seen {
    let connections = connections.clone();
    run(CONNECTIONS, TIME, NO_PAUSE, move |number| {
        let connections = connections.clone();
        async move {
            let reference = number.wrapping_mul(7_919_717) % (exclusions * 2);
            let path = format!("/v1/affiliates/resolve?reference=0{reference:09}");
            let answer = connections.send("GET", &path, "").await;
            let expected = if reference.is_multiple_of(2) { "\"reason\":\"excluded\"" } else { "\"reference\":\"FCH0" };
            assert!(answer.body.contains(expected), "{:?}", answer.body);
            true
        }
    })
    .await
}
