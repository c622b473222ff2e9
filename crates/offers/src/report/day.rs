//! The days of a report, as people write them.

use core::ops::RangeInclusive;

use chrono::{Datelike, NaiveDate};

/// The years that every store can hold.
pub const YEARS: RangeInclusive<i32> = 1..=9999;

/// Reads a day.
///
/// # Errors
/// A text that is no day, or none of these years, with what would be right.
pub fn read_day(text: &str) -> Result<NaiveDate, String> {
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|day| YEARS.contains(&day.year()));
    day.ok_or_else(|| "write a day such as 2027-03-01".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_a_year_that_every_store_can_hold() {
        for (text, is_one) in [
            ("2027-03-01", true),
            ("0001-01-01", true),
            ("9999-12-31", true),
            ("0000-12-31", false),
            ("-0001-01-01", false),
            ("-262142-01-01", false),
            ("+10000-01-01", false),
            ("2027-02-29", false),
            ("2027-03-01T00:00:00Z", false),
            ("", false),
        ] {
            assert_eq!(read_day(text).is_ok(), is_one, "{text}");
        }
    }
}
