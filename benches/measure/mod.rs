//! Code that the benchmarks share: medians, pairs of runs, and the exit code for missed bounds.

use std::process::ExitCode;

/// Codes per chunk: the default of `job.chunk_size`.
pub const CHUNK_SIZE: usize = 100_000;

/// Returns the middle value, or the mean of the two in the middle for an even number of values.
pub fn median(values: &[f64]) -> f64 {
    let mut ascending = values.to_vec();
    ascending.sort_by(f64::total_cmp);
    let middle = ascending.len() / 2;
    if ascending.len().is_multiple_of(2) {
        (ascending[middle - 1] + ascending[middle]) / 2.0
    } else {
        ascending[middle]
    }
}

pub fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

pub fn most(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// One of the two contenders in a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Ours,
    Reference,
}

/// Returns the order of pair number `pair`: the contenders alternate in beginning, so that neither always finds the
/// caches and the disk as the other left them.
pub fn turns(pair: usize) -> [Turn; 2] {
    if pair.is_multiple_of(2) { [Turn::Ours, Turn::Reference] } else { [Turn::Reference, Turn::Ours] }
}

/// Seconds of two ways to do the same work, measured in pairs.
#[derive(Debug, Default)]
pub struct Pairs {
    ours: Vec<f64>,
    reference: Vec<f64>,
}

impl Pairs {
    pub fn add(&mut self, turn: Turn, seconds: f64) {
        match turn {
            Turn::Ours => self.ours.push(seconds),
            Turn::Reference => self.reference.push(seconds),
        }
    }

    pub fn ratio_of_medians(&self) -> f64 {
        median(&self.ours) / median(&self.reference)
    }

    /// Returns the figure that bounds apply to. The two runs of a pair are neighbours in time, so a machine that is
    /// slow for a while slows both.
    pub fn median_of_ratios(&self) -> f64 {
        let ratios: Vec<f64> =
            self.ours.iter().zip(&self.reference).map(|(ours, reference)| ours / reference).collect();
        median(&ratios)
    }

    /// Formats the rows of both ways, to be printed below [`SECONDS_HEADER`].
    pub fn rows(&self, names: [&str; 2]) -> String {
        let [ours, reference] = names;
        format!("{}\n{}", seconds_row(ours, &self.ours), seconds_row(reference, &self.reference))
    }

    /// Prints both ways, the two ratios and whether the bound holds; returns the latter.
    #[expect(clippy::print_stdout, reason = "a benchmark's result")]
    pub fn print(&self, names: [&str; 2], ratio_max: f64) -> bool {
        println!("{}", self.rows(names));
        let ratio = self.median_of_ratios();
        let holds = ratio <= ratio_max;
        println!("ratio of the medians        {:.2}", self.ratio_of_medians());
        println!("median of the pairs' ratios {ratio:.2}, bound {ratio_max:.2}: {}", verdict(holds));
        holds
    }
}

pub const SECONDS_HEADER: &str = "                                        least   median     most   seconds";

pub fn seconds_row(name: &str, seconds: &[f64]) -> String {
    format!("{name:<36} {:>8.2} {:>8.2} {:>8.2}", least(seconds), median(seconds), most(seconds))
}

pub fn verdict(holds: bool) -> &'static str {
    if holds { "holds" } else { "MISSED" }
}

pub fn exit_code(all_hold: bool) -> ExitCode {
    if all_hold { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
