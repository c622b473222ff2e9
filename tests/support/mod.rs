//! What tests and benchmarks run against: private PostgreSQL and RabbitMQ servers, a pgbouncer, stores of both kinds,
//! clients, the program itself, and a proxy that loses what it is told to lose. Nothing here is faked.

#![expect(dead_code, reason = "each test or benchmark uses its part")]

pub mod codemint;
pub mod pgbouncer;
pub mod postgres;
pub mod rabbitmq;
pub mod amqp;
pub mod authority;
pub mod proxy;
pub mod stores;

use std::time::{Duration, Instant};

/// Longer than anything takes on a slow machine.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Asks until the answer is yes.
pub async fn wait_until(what: &str, is_so: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < DEADLINE, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
