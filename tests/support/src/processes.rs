//! Ports and signals for the processes that tests start.

use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use crate::waiting::DEADLINE;

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
///
/// After `STOP` it waits until every thread is suspended: on a busy machine a server with many threads answers requests
/// for some milliseconds after the signal was sent.
///
/// # Panics
/// If a process is not suspended within [`DEADLINE`].
pub fn send_signal(name: &str, processes: &[String]) -> bool {
    let kill = Command::new("kill").arg(format!("-{name}")).args(processes).stderr(Stdio::null()).status();
    let all_reached = kill.expect("kill").success();
    let started = Instant::now();
    while name == "STOP" && !processes.iter().all(|process| is_suspended(process)) {
        assert!(started.elapsed() < DEADLINE, "not suspended: {processes:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
    all_reached
}

/// Returns true if no thread of the process runs; a process that has ended has none.
fn is_suspended(process: &str) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let mut states = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
    // The state follows the name of the program, which stands in parentheses and may hold any character.
    states.all(|stat| stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 'Z', 'X'])))
}
