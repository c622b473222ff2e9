//! Days of a form, from a first to a last one.

use std::ops::Range;

use chrono::{DateTime, Days, Utc};
use codemint_codes::wire::audit::{LATEST, day_or_time};

use crate::problem::Problem;

/// Returns the time from the beginning of the day in the field `from` to the end of the day in the field `to`, in UTC. An empty field
/// sets no bound.
///
/// # Errors
/// If a field has no day, or the last day comes before the first one.
pub fn days(from: &str, to: &str) -> Result<Range<DateTime<Utc>>, Problem> {
    let read = |field: &str, text: &str| match text {
        "" => Ok(None),
        text => day_or_time(text).map(Some).map_err(|advice| Problem::new(field, advice)),
    };
    let (first, last) = (read("from", from)?, read("to", to)?);
    let end = last.and_then(|last| last.checked_add_days(Days::new(1))).unwrap_or(LATEST);
    let start = first.unwrap_or(DateTime::UNIX_EPOCH);
    if end <= start {
        return Err(Problem::new("to", "the last day is on or after the first one"));
    }
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_day_is_included() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().expect("a time");
        let day = days("2027-03-01", "2027-03-01").expect("a day");
        assert_eq!(day, at("2027-03-01T00:00:00Z")..at("2027-03-02T00:00:00Z"));
        assert_eq!(days("", ""), Ok(DateTime::UNIX_EPOCH..LATEST));
        assert_eq!(days("2027-03-02", "2027-03-01").map_err(|problem| problem.field), Err("to".to_owned()));
        assert_eq!(days("soon", "").map_err(|problem| problem.field), Err("from".to_owned()));
    }
}
