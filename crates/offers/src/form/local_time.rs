//! Times on the clock of a campaign's zone.

use chrono::{DateTime, FixedOffset, LocalResult, NaiveDateTime, TimeZone};
use chrono_tz::Tz;

/// The forms in which browsers send a time of day.
const FORMATS: [&str; 3] = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%.f"];

/// Returns an instant as a browser shows it: on the clock of the zone, with seconds only if there are some.
pub fn local_text(at: DateTime<FixedOffset>, zone: Tz) -> String {
    let local = at.with_timezone(&zone).naive_local();
    let text = local.format("%Y-%m-%dT%H:%M:%S%.f").to_string();
    text.strip_suffix(":00").map(str::to_owned).unwrap_or(text)
}

/// Reads a time on the clock of a zone. `unchanged` is the instant that the form showed: if the text still says the same, it is
/// this one, also where the clock shows an hour twice. Otherwise the earlier of two such instants counts.
///
/// # Errors
/// Advice, if it is no time, or one that the clocks of the zone skip.
pub fn instant(
    text: &str,
    zone: Tz,
    unchanged: Option<DateTime<FixedOffset>>,
) -> Result<DateTime<FixedOffset>, String> {
    if let Some(unchanged) = unchanged.filter(|unchanged| local_text(*unchanged, zone) == text) {
        return Ok(unchanged);
    }
    let local = FORMATS.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok());
    let local = local.ok_or("write a day and a time, such as 2027-03-01T00:00")?;
    match zone.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Ok(at.fixed_offset()),
        LocalResult::None => Err(format!("the clocks of {zone} skip this time; write another one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<FixedOffset> {
        text.parse().expect("a time")
    }

    #[test]
    fn times_are_on_the_clock_of_the_zone() {
        let zone = chrono_tz::Europe::Berlin;
        assert_eq!(instant("2027-03-01T00:00", zone, None), Ok(at("2027-03-01T00:00:00+01:00")));
        assert_eq!(instant("2027-07-01T00:00", zone, None), Ok(at("2027-07-01T00:00:00+02:00")));
        assert_eq!(local_text(at("2027-06-30T22:00:00Z"), zone), "2027-07-01T00:00");
        assert!(instant("2027-03-28T02:30", zone, None).is_err_and(|advice| advice.contains("skip")));
        assert!(instant("tomorrow", zone, None).is_err());
    }

    #[test]
    fn saving_unchanged_never_moves_an_instant() {
        let zone = chrono_tz::Europe::Berlin;
        // The clocks show 02:30 twice in that night.
        for stored in ["2027-10-31T02:30:00+02:00", "2027-10-31T02:30:00+01:00", "2027-01-01T12:34:56.789Z"] {
            let stored = at(stored);
            assert_eq!(instant(&local_text(stored, zone), zone, Some(stored)), Ok(stored), "{stored}");
        }
        assert_eq!(instant("2027-10-31T02:30", zone, None), Ok(at("2027-10-31T02:30:00+02:00")));
        assert_eq!(
            instant("2027-10-31T02:31", zone, Some(at("2027-10-31T02:30:00+01:00"))),
            Ok(at("2027-10-31T02:31:00+02:00"))
        );
    }
}
