//! A chart of redemptions by day, with a text that says the same.

use codemint_offers::report::chart::Series;

use crate::chart;
use crate::console::shown::{counted, number};

/// A chart for the template `console/reports/chart.html`.
#[derive(Debug)]
pub struct DayChart {
    /// Inline SVG, with colors that the style sheet replaces by those of the light or the dark scheme.
    pub svg: String,
    /// What the chart shows, for people who do not see it.
    pub label: String,
}

impl DayChart {
    /// Returns the chart; `None` if nothing was redeemed on any day.
    pub fn of(series: &Series) -> Option<Self> {
        let all: i64 = series.days.iter().map(|(_, redeemed)| redeemed).sum();
        let (first, last) = (series.days.first()?.0, series.days.last()?.0);
        let (best, most) = series.days.iter().max_by_key(|(_, redeemed)| redeemed)?;
        let day = |day: &chrono::NaiveDate| day.format("%-d %b %Y").to_string();
        let label = format!(
            "Redemptions by day from {} to {}: {} in all; most on {}: {}",
            day(&first),
            day(&last),
            counted(all.unsigned_abs(), "redemption"),
            day(best),
            number(*most)
        );
        (*most > 0).then(|| Self { svg: chart::svg(series), label })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chart_says_what_it_shows() {
        let days = [("2027-03-01", 3), ("2027-03-02", 1_200), ("2027-03-03", 0)];
        let days = days.map(|(day, redeemed)| (day.parse().expect("a day"), redeemed)).to_vec();
        let chart = DayChart::of(&Series { days }).expect("a chart");
        let said =
            "Redemptions by day from 1 Mar 2027 to 3 Mar 2027: 1,203 redemptions in all; most on 2 Mar 2027: 1,200";
        assert_eq!(chart.label, said);
        assert!(chart.svg.starts_with("<svg ") && !chart.svg.contains("style="), "{}", chart.svg);
        assert!(DayChart::of(&Series { days: vec![("2027-03-01".parse().expect("a day"), 0)] }).is_none());
        assert!(DayChart::of(&Series { days: Vec::new() }).is_none());
    }
}
