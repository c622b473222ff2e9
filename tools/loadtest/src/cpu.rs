//! The CPU time that this process and its machine have used.

use std::fs;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// A reading of counters that only grow.
#[derive(Clone, Copy, Debug)]
pub struct CpuClock {
    process: Duration,
    machine: Option<MachineTicks>,
}

/// The ticks of all CPUs since the machine was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct MachineTicks {
    busy: u64,
    all: u64,
}

impl CpuClock {
    pub fn read() -> Self {
        let time = clock_gettime(ClockId::ProcessCPUTime);
        let process = Duration::try_from(time).unwrap_or_default();
        Self { process, machine: fs::read_to_string("/proc/stat").ok().and_then(|text| MachineTicks::parse(&text)) }
    }

    /// Returns the CPU time of this process since `begun`.
    pub fn process_since(&self, begun: &Self) -> Duration {
        self.process.saturating_sub(begun.process)
    }

    /// Returns the share of the machine's CPU time that all processes together have used since `begun`.
    pub fn machine_busy_since(&self, begun: &Self) -> Option<f64> {
        let (now, then) = (self.machine?, begun.machine?);
        let all = now.all.checked_sub(then.all).filter(|all| *all > 0)?;
        Some(now.busy.saturating_sub(then.busy) as f64 / all as f64)
    }
}

impl MachineTicks {
    /// Parses the first line: user, nice, system, idle, waiting for disks, and further busy times. `man 5 proc_stat`.
    fn parse(text: &str) -> Option<Self> {
        let figures: Option<Vec<u64>> = text
            .lines()
            .next()?
            .strip_prefix("cpu ")?
            .split_whitespace()
            .take(8)
            .map(|figure| figure.parse().ok())
            .collect();
        let figures = figures?;
        let all: u64 = figures.iter().sum();
        Some(Self { busy: all - figures.get(3)? - figures.get(4)?, all })
    }
}
