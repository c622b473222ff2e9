//! The most memory that a process ever had resident: the kernel's own figure, `VmHWM` in `/proc/PID/status` (Linux).
//!
//! It only ever grows, so it is read every millisecond until the process has gone and the last reading counts: what could be
//! missed is growth in the last millisecond.

use std::fs;
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// MiB, once the process has gone, and 0 if it was never seen. Blocks its thread until then.
pub fn last_peak_mib(process: u32) -> f64 {
    let status_file = format!("/proc/{process}/status");
    let mut last = 0.0;
    // A process that has ended but was not waited for has a status without memory.
    while let Some(mib) = fs::read_to_string(&status_file).ok().and_then(|status| peak_mib(&status)) {
        last = mib;
        std::thread::sleep(POLL_INTERVAL);
    }
    last
}

fn peak_mib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}
