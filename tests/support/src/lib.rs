//! What tests and benchmarks run against: private PostgreSQL and RabbitMQ servers, a pgbouncer, stores of both kinds,
//! clients, the program itself, and a proxy that loses messages on demand. Nothing here is mocked.

pub mod codemint;
pub mod collector;
pub mod pgbouncer;
pub mod postgres;
pub mod prometheus;
pub mod rabbitmq;
pub mod roles;
pub mod amqp;
pub mod browser;
pub mod authority;
pub mod oracle;
pub mod proxy;
pub mod site;
pub mod small_disk;
pub mod stores;
pub mod tools;

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// The time limit of every wait: longer than anything takes on a slow machine.
pub const DEADLINE: Duration = Duration::from_secs(120);

/// Returns a port that no process gets by chance: below those that the system assigns to outgoing connections. A client
/// that keeps trying to reach a killed server would sooner or later be assigned that very port, and connect to itself.
pub fn reserved_port() -> u16 {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let first = || AtomicU16::new(u16::try_from(std::process::id() * 37 % 12_000).expect("a small number"));
    let mut ports = std::iter::repeat_with(|| NEXT.get_or_init(first).fetch_add(1, Ordering::Relaxed) % 12_000);
    let free = ports.find(|port| TcpListener::bind(("127.0.0.1", 20_000 + port)).is_ok());
    20_000 + free.expect("a free port")
}

/// Sends a signal, such as `KILL`; returns false if one of the processes has ended already.
pub fn send_signal(name: &str, processes: &[String]) -> bool {
    let kill = Command::new("kill").arg(format!("-{name}")).args(processes).stderr(Stdio::null()).status();
    kill.expect("kill").success()
}

/// Waits until the condition holds. Panics when [`DEADLINE`] has passed.
pub async fn wait_until(what: &str, is_so: impl AsyncFn() -> bool) {
    let started = Instant::now();
    while !is_so().await {
        assert!(started.elapsed() < DEADLINE, "timed out waiting: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
