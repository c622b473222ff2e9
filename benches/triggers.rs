//! Does one worker keep up with the shop? With a million identities that have codes already, a worker handles at least 5,000 triggers
//! a second that arrive by message: each issues a code, and writes its result and its event.
//!
//! It runs against a private PostgreSQL that really flushes and a private RabbitMQ, both with default settings.
//! `CODEMINT_BENCH_IDENTITIES` sets another number of known identities, `CODEMINT_BENCH_TRIGGERS` of triggers:
//! `CODEMINT_BENCH_IDENTITIES=10000 CODEMINT_BENCH_TRIGGERS=5000 cargo bench --bench triggers` is a small run.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::fs::File;
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::json;
use tokio::time::sleep;

use crate::measure::{exit_code, verdict};
use codemint_test_support::amqp::{Peer, durable};
use codemint_test_support::codemint::Codemint;
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::processes::reserved_port;
use codemint_test_support::rabbitmq::Broker;
use codemint_test_support::stores::TestStore;

#[expect(dead_code, reason = "shared with the other benchmarks")]
mod measure;

const TRIGGERS_PER_SECOND_MIN: f64 = 5_000.0;
/// Messages that are published at once.
const PUBLISHED_AT_ONCE: usize = 2_000;
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
const QUEUE: &str = "codemint.triggers";

#[tokio::main]
async fn main() -> ExitCode {
    let number = |name: &str, default: usize| {
        std::env::var(name).ok().map_or(default, |text| text.parse().expect("a whole number"))
    };
    let known = number("CODEMINT_BENCH_IDENTITIES", 1_000_000);
    let count = number("CODEMINT_BENCH_TRIGGERS", 100_000);
    let (postgres, broker) = (Server::start(Durability::Full), Broker::start());
    create_database(&postgres.url("postgres"), "triggers").await;
    let place = TestStore::postgres_at(&postgres.url("triggers")).await;
    fill(&place, known, count).await;
    let vhost = broker.vhost();
    let program = |args: &[&str]| {
        Codemint::new(place.path()).env("CODEMINT__AMQP__URL", &vhost.url()).args(["--store", &place.url]).args(args)
    };
    // Declares the queue.
    program(&["worker", "--drain"]).env("CODEMINT__ADMIN__LISTEN", "off").run().await.expect_code(0);
    let peer = Peer::connect(&vhost.url()).await;
    publish(&peer, count).await;

    let listen = format!("127.0.0.1:{}", reserved_port());
    let log = File::create(place.path().join("worker.log")).expect("a file");
    let worker = program(&["worker"]).env("CODEMINT__ADMIN__LISTEN", &listen).stderr(Stdio::from(log));
    let _worker = worker.start();
    let first = wait_for(&listen, 1).await;
    let last = wait_for(&listen, count).await;
    let issued = place.number("select count(*) from assignments where cause = 'trigger'").await;
    let per_second = count as f64 / (last - first).as_secs_f64();
    let (is_fast, is_exact) = (per_second >= TRIGGERS_PER_SECOND_MIN, issued == count as i64);
    println!("{count} triggers by message, {known} identities known: {per_second:.0} a second");
    println!("at least {TRIGGERS_PER_SECOND_MIN}: {}; one code for each: {}", verdict(is_fast), verdict(is_exact));
    exit_code(is_fast && is_exact)
}

/// Creates a campaign in which this many identities have a code by a trigger already, with a pool for the others.
async fn fill(place: &TestStore, known: usize, count: usize) {
    let document = json!({
        "name": "welcome", "title": "Welcome", "kind": "restricted", "active": true, "mask": "NEW-[:safe:]{8}",
        "use_cases": ["location.created"], "segments": ["trial"],
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    std::fs::write(place.path().join("welcome.json"), document.to_string()).expect("a file");
    place.codemint(["campaign", "create", "welcome.json"]).run().await.expect_code(0);
    place.codemint(["campaign", "codes", "welcome", "--count", &count.to_string()]).run().await.expect_code(0);
    for (columns, values) in [
        (
            "assignments (campaign_no, identity, code, identity_text, cause)",
            "1, md5(n::text), 'OLD-' || n, 'old-' || n, 'issue'",
        ),
        (
            "triggers (id, request_digest, type, identity, identity_text, payload)",
            "'old-' || n, decode(md5(n::text), 'hex'), 'location.created', md5(n::text), 'old-' || n, '{}'",
        ),
        (
            "trigger_results (trigger_id, campaign_no, identity, state, code)",
            "'old-' || n, 1, md5(n::text), 'issued', 'OLD-' || n",
        ),
    ] {
        place.execute(&format!("insert into {columns} select {values} from generate_series(1, {known}) n")).await;
    }
    place.execute("analyze").await;
}

async fn publish(peer: &Peer, count: usize) {
    let numbers: Vec<usize> = (0..count).collect();
    for numbers in numbers.chunks(PUBLISHED_AT_ONCE) {
        join_all(numbers.iter().map(async |number| {
            let body = json!({ "id": format!("new-{number}"), "type": "location.created",
                "identity": format!("location-{number}"), "segments": ["trial"] });
            peer.publish(QUEUE, QUEUE, body.to_string().as_bytes(), durable()).await;
        }))
        .await;
    }
}

/// Waits until the worker has handled this many triggers.
async fn wait_for(listen: &str, triggers: usize) -> Instant {
    loop {
        let url = format!("http://{listen}/metrics");
        let read = tokio::task::spawn_blocking(move || ureq::get(&url).call()?.body_mut().read_to_string());
        let metrics = read.await.expect("a reader").unwrap_or_default();
        let handled = metrics.lines().find_map(|line| line.strip_prefix("codemint_triggers_total{outcome=\"new\"} "));
        if handled.and_then(|text| text.parse::<usize>().ok()).is_some_and(|handled| handled >= triggers) {
            return Instant::now();
        }
        sleep(LOOK_INTERVAL).await;
    }
}
