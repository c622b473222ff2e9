//! Measures a process: seconds, its CPU time and the server's, and its peak memory. Reads `/proc` (Linux).

use std::fs;
use std::process::Stdio;
use std::time::Instant;

use tokio::process::Command;

use codemint_test_support::postgres::Server;
use peak::last_peak_mib;

pub mod peak;

/// `USER_HZ` is 100 wherever Debian runs: <https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html>.
const TICKS_A_SECOND: f64 = 100.0;

/// The measurements of one process.
#[derive(Clone, Debug)]
pub struct Took {
    pub seconds: f64,
    pub client_cpu_seconds: f64,
    pub server_cpu_seconds: f64,
    pub peak_mib: f64,
    pub stdout: String,
}

/// Runs a process that talks to this server, and measures it until it ends.
pub async fn measure(mut command: Command, server: &Server) -> Took {
    let (own_before, server_before) = (ended_children(std::process::id()), server_cpu_seconds(server));
    let started = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("a process");
    let process = child.id().expect("its number");
    let polling = std::thread::spawn(move || last_peak_mib(process));
    let output = child.wait_with_output().await.expect("its end");
    let seconds = started.elapsed().as_secs_f64();
    let text = |bytes| String::from_utf8(bytes).expect("text");
    assert!(output.status.success(), "{}: {}", output.status, text(output.stderr));
    let peak_mib = polling.join().expect("the polling");
    Took {
        seconds,
        client_cpu_seconds: ended_children(std::process::id()) - own_before,
        server_cpu_seconds: server_cpu_seconds(server) - server_before,
        peak_mib,
        stdout: text(output.stdout),
    }
}

/// Returns the CPU seconds that a server and its processes have taken since it started.
pub fn server_cpu_seconds(server: &Server) -> f64 {
    tree(postmaster(server))
}

/// Returns the id of the server's first process.
fn postmaster(server: &Server) -> u32 {
    let text = fs::read_to_string(server.directory().join("server/postmaster.pid")).expect("the server's process");
    text.lines().next().and_then(|line| line.parse().ok()).expect("its number")
}

/// Returns the CPU seconds of the children that have ended.
fn ended_children(process: u32) -> f64 {
    fields(process).map_or(0.0, |fields| fields[13] + fields[14])
}

/// Returns the CPU seconds of a process and of its children that have ended.
pub fn cpu_seconds(process: u32) -> f64 {
    fields(process).map_or(0.0, |fields| fields[11..=14].iter().sum())
}

/// Returns the CPU seconds of a process and of all its children, both ended and running.
fn tree(process: u32) -> f64 {
    let own = cpu_seconds(process);
    let processes = fs::read_dir("/proc").expect("processes");
    let children = processes.filter_map(|entry| fields(entry.ok()?.file_name().to_str()?.parse().ok()?));
    own + children
        .filter(|fields| (fields[1] * TICKS_A_SECOND).round() == f64::from(process))
        .map(|fields| fields[11] + fields[12])
        .sum::<f64>()
}

/// Returns the fields after the process name, divided by the ticks per second: 0 is a placeholder for the state, 1 is
/// the parent, 11 to 14 are the user and system times of the process and of its ended children.
fn fields(process: u32) -> Option<Vec<f64>> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let behind_name = stat.rsplit_once(')')?.1;
    Some(behind_name.split_whitespace().map(|field| field.parse().unwrap_or(0.0) / TICKS_A_SECOND).collect())
}
