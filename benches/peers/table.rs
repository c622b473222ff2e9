//! The results of one state as a Markdown table, and which goals they reach.

use std::fmt;

use crate::contender::Contender;
use crate::ground::Measured;
use crate::measure::{least, median, most, verdict};

const CLIENT_CPU_SHARE_MAX: f64 = 0.25;
const PEAK_MIB_MAX: f64 = 64.0;
/// Lower bounds on the time of the best and of the slowest shop loop, relative to Codemint.
const BEST_SHOP_MIN: f64 = 8.0;
const SLOWEST_SHOP_MIN: f64 = 300.0;

pub struct Table {
    title: &'static str,
    ratio_max: Option<f64>,
    count: u64,
    rows: Vec<(Contender, Vec<Measured>)>,
}

impl Table {
    pub fn new(title: &'static str, ratio_max: Option<f64>, count: u64, contenders: &[Contender]) -> Self {
        Self { title, ratio_max, count, rows: contenders.iter().map(|contender| (*contender, Vec::new())).collect() }
    }

    pub fn add(&mut self, contender: Contender, measured: Measured) {
        let row = self.rows.iter_mut().find(|(known, _)| *known == contender).expect("a row");
        row.1.push(measured);
    }

    fn median_of(&self, contender: Contender, what: impl Fn(&Measured) -> f64) -> f64 {
        let row = self.rows.iter().find(|(known, _)| *known == contender).expect("a row");
        median(&row.1.iter().map(what).collect::<Vec<_>>())
    }

    /// Returns the median of the repetitions' ratios: runs of one repetition are neighbours in time.
    fn ratio(&self, of: Contender, to: Contender) -> f64 {
        let seconds = |contender| {
            let row = self.rows.iter().find(|(known, _)| *known == contender).expect("a row");
            row.1.iter().map(|measured| measured.seconds).collect::<Vec<f64>>()
        };
        let ratios: Vec<f64> = seconds(of).iter().zip(seconds(to)).map(|(of, to)| of / to).collect();
        median(&ratios)
    }

    fn client_cpu_share(&self) -> f64 {
        self.median_of(Contender::Codemint, |run| {
            run.client_cpu_seconds / (run.client_cpu_seconds + run.server_cpu_seconds)
        })
    }

    /// Returns each goal with the value reached and whether it is met. All states bound memory; only those with a goal
    /// for (c) have more.
    fn goals(&self) -> Vec<(String, f64, bool)> {
        let mut goals = Vec::new();
        if let Some(max) = self.ratio_max {
            let ratio = self.ratio(Contender::Codemint, Contender::Target);
            goals.push((format!("(c) at most {max:.2} times (b)"), ratio, ratio <= max));
        }
        let peak = self.median_of(Contender::Codemint, |run| run.peak_mib);
        goals.push((format!("(c) at most {PEAK_MIB_MAX:.0} MiB"), peak, peak <= PEAK_MIB_MAX));
        let has_shops = self.rows.iter().any(|(contender, _)| contender.is_shop());
        if has_shops && self.ratio_max.is_some() {
            goals.extend(self.goals_of_others());
        }
        goals
    }

    fn goals_of_others(&self) -> Vec<(String, f64, bool)> {
        let mut goals = Vec::new();
        let share = self.client_cpu_share();
        goals.push((
            format!("(c) client's share of CPU at most {CLIENT_CPU_SHARE_MAX}"),
            share,
            share <= CLIENT_CPU_SHARE_MAX,
        ));
        for (contender, _) in &self.rows {
            if let Some(min) = contender.goal() {
                let times = self.ratio(*contender, Contender::Codemint);
                goals.push((format!("{} at least {min} times (c)", contender.label()), times, times >= min));
            }
        }
        let shops: Vec<f64> = Contender::SHOPS.iter().map(|shop| self.ratio(*shop, Contender::Codemint)).collect();
        let (best, slowest) = (least(&shops), most(&shops));
        goals.push((format!("the best of (h) at least {BEST_SHOP_MIN} times (c)"), best, best >= BEST_SHOP_MIN));
        let is_slow = slowest >= SLOWEST_SHOP_MIN;
        goals.push((format!("the slowest of (h) at least {SLOWEST_SHOP_MIN} times (c)"), slowest, is_slow));
        goals
    }

    pub fn holds(&self) -> bool {
        self.goals().iter().all(|(_, _, holds)| *holds)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "### {}\n", self.title)?;
        writeln!(
            f,
            "| | codes/s | time / (b) | client, peak MiB | WAL, bytes a code | index, bytes a code | client's CPU | correct count |"
        )?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        for (contender, runs) in &self.rows {
            let of = |what: fn(&Measured) -> f64| self.median_of(*contender, what);
            let mark = if runs.iter().any(|run| run.extrapolated) { " (cut off)" } else { "" };
            let count = of(|run| run.right_count);
            let right = if (count - 1.0).abs() < f64::EPSILON {
                "yes".to_owned()
            } else {
                format!("{:+.2} %", (count - 1.0) * 100.0)
            };
            let share = of(|run| run.client_cpu_seconds / (run.client_cpu_seconds + run.server_cpu_seconds));
            writeln!(
                f,
                "| {}{mark} | {:.0} | {:.2} | {:.0} | {:.0} | {:.0} | {share:.2} | {right} |",
                contender.label(),
                self.count as f64 / of(|run| run.seconds),
                self.ratio(*contender, Contender::Target),
                of(|run| run.peak_mib),
                of(|run| run.wal_bytes_per_code),
                of(|run| run.index_bytes_per_code),
            )?;
        }
        writeln!(f)?;
        for (goal, reached, holds) in self.goals() {
            writeln!(f, "- {goal}: **{reached:.2}**, {}", verdict(holds))?;
        }
        Ok(())
    }
}
