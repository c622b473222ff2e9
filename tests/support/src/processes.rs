//! Ports and signals for the processes that tests start.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

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
