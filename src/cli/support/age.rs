//! Ages in arguments.

use chrono::TimeDelta;

/// Parses a number of hours, days or weeks.
pub fn age(text: &str) -> Result<TimeDelta, String> {
    let wrong =
        || "write a whole number from 1 and h, d or w for hours, days or weeks, such as 12h, 90d or 4w".to_owned();
    let unit = text.chars().last().ok_or_else(wrong)?;
    let number: u32 = text.strip_suffix(unit).and_then(|digits| digits.parse().ok()).ok_or_else(wrong)?;
    let hours = match unit {
        'h' => 1,
        'd' => 24,
        'w' => 24 * 7,
        _ => return Err(wrong()),
    };
    // `parse` would also accept a sign.
    if number == 0 || !text.starts_with(|first: char| first.is_ascii_digit()) {
        return Err(wrong());
    }
    TimeDelta::try_hours(i64::from(number) * hours).ok_or_else(wrong)
}
