//! Peak resident memory of a process, from the kernel's own figure: `VmHWM` in `/proc/PID/status` (Linux).
//!
//! The figure only ever grows, so it is read every millisecond until the process has gone, and the last reading counts:
//! only growth in the last millisecond can be missed.

use std::fs;
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_millis(1);

/// Blocks the thread until the process has gone, and returns its peak in MiB, or 0 if the process was never seen.
pub fn last_peak_mib(process: u32) -> f64 {
    let mut last = 0.0;
    while let Some(mib) = peak_mib_of(process) {
        last = mib;
        std::thread::sleep(POLL_INTERVAL);
    }
    last
}

/// Returns the peak of a process so far in MiB. A process that has ended but was not yet waited for has none.
pub fn peak_mib_of(process: u32) -> Option<f64> {
    peak_mib(&fs::read_to_string(format!("/proc/{process}/status")).ok()?)
}

fn peak_mib(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kib / 1024.0)
}
