//! What a chart of days shows.

use chrono::NaiveDate;

use crate::report::document::ReportRow;

/// The maximum number of days of a chart.
pub const CHART_DAYS_MAX: i64 = 3660;

/// Days, each with its number of redemptions; days without one are there as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    pub days: Vec<(NaiveDate, i64)>,
}

impl Series {
    /// Returns the days from the first to the last, both included; the rows are in the order of their days. Without bounds it is from the
    /// first to the last row.
    pub fn of(rows: &[ReportRow], from: Option<NaiveDate>, to: Option<NaiveDate>) -> Self {
        let known: Vec<(NaiveDate, i64)> =
            rows.iter().filter_map(|row| Some((row.key.parse().ok()?, row.redeemed))).collect();
        let (first, last) = (known.first().map(|(day, _)| *day), known.last().map(|(day, _)| *day));
        let (Some(from), Some(to)) = (from.or(first).or(to), to.or(last).or(from)) else {
            return Self { days: Vec::new() };
        };
        let mut known = known.into_iter().peekable();
        let mut days = Vec::new();
        for day in from.iter_days().take_while(|day| *day <= to).take(CHART_DAYS_MAX as usize) {
            while known.next_if(|(known, _)| *known < day).is_some() {}
            days.push((day, known.next_if(|(known, _)| *known == day).map_or(0, |(_, redeemed)| redeemed)));
        }
        Self { days }
    }

    /// Returns the largest number of redemptions of a day.
    pub fn maximum(&self) -> i64 {
        self.days.iter().map(|(_, redeemed)| *redeemed).max().unwrap_or_default()
    }
}
