//! The values of the metrics of this process.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The values of metrics, by series.
pub struct Figures<'a>(HashMap<&'a str, f64>);

impl<'a> Figures<'a> {
    /// Reads them from the response of `/metrics`.
    pub fn read(metrics: &'a str) -> Self {
        let series = metrics.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.rsplit_once(' '));
        Self(series.filter_map(|(series, value)| Some((series, value.parse().ok()?))).collect())
    }

    /// Returns the value of a series, or 0 if there is none.
    pub fn get(&self, series: &str) -> f64 {
        self.0.get(series).copied().unwrap_or_default()
    }

    pub fn count(&self, series: &str) -> u64 {
        self.get(series) as u64
    }

    pub fn seconds(&self, series: &str) -> Duration {
        Duration::try_from_secs_f64(self.get(series)).unwrap_or_default()
    }

    /// Returns the time since a timestamp in seconds since 1970.
    pub fn since(&self, series: &str) -> Duration {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        now.saturating_sub(self.seconds(series))
    }

    /// Returns the sum over all values of the labels.
    pub fn sum(&self, name: &str) -> u64 {
        let of_name = self.0.iter().filter(|(series, _)| series.split('{').next() == Some(name));
        of_name.map(|(_, value)| *value as u64).sum()
    }

    pub fn of(&self, part: &str, whole: &str) -> String {
        format!("{} of {}", self.count(part), self.count(whole))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_by_series_and_added_up_by_name() {
        let figures = Figures::read("# HELP a text 1\na{b=\"1\"} 2\na{b=\"2\"} 3.5\nab 9\nodd\n");
        assert_eq!(
            (figures.sum("a"), figures.count("a{b=\"2\"}"), figures.count("ab"), figures.count("c")),
            (5, 3, 9, 0)
        );
        assert_eq!(figures.of("ab", "c"), "9 of 0");
    }
}
