//! Numbers, money and times as people read them.

use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use codemint_offers::money::{Currency, Money};
use indicatif::{HumanCount, HumanDuration};

/// Returns a number with a comma between thousands.
pub fn number(number: impl TryInto<u64>) -> String {
    number.try_into().map_or_else(|_negative| "0".to_owned(), |number| HumanCount(number).to_string())
}

/// Returns an amount of minor units with the decimals of its currency and commas between thousands; the bare number for a currency
/// that is unknown.
pub fn money(amount: i64, currency: &str) -> String {
    Currency::from_code(currency).map_or_else(|| signed(amount), |currency| Money { currency, amount }.grouped())
}

/// Returns a number that may be negative, with commas.
pub fn signed(number: i64) -> String {
    let sign = if number < 0 { "-" } else { "" };
    format!("{sign}{}", HumanCount(number.unsigned_abs()))
}

/// Returns an instant on the clock of a zone: `1 Mar 2027, 00:00 (Europe/Berlin)`.
pub fn instant(at: DateTime<Utc>, zone: Tz) -> String {
    format!("{} ({zone})", minute(at, zone))
}

/// Returns an instant on the clock of a zone that the page names elsewhere: `1 Mar 2027, 00:00`.
pub fn minute(at: DateTime<Utc>, zone: Tz) -> String {
    at.with_timezone(&zone).format("%-d %b %Y, %H:%M").to_string()
}

/// Returns how long ago an instant was: `3 minutes ago`.
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    match (now - at).to_std() {
        Ok(age) if age.as_secs() >= 1 => format!("{} ago", HumanDuration(age)),
        _ => "just now".to_owned(),
    }
}

/// Returns a count with its noun: `1 code`, `2 codes`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_money_have_separators() {
        assert_eq!((number(1_234_567_u64), signed(-1234)), ("1,234,567".to_owned(), "-1,234".to_owned()));
        for (amount, currency, shown) in [
            (123_456_789, "EUR", "1,234,567.89 EUR"),
            (-1999, "EUR", "-19.99 EUR"),
            (-5, "EUR", "-0.05 EUR"),
            (1_234_567, "JPY", "1,234,567 JPY"),
            (1_234_567, "KWD", "1,234.567 KWD"),
            (12, "", "12"),
        ] {
            assert_eq!(money(amount, currency), shown);
        }
        assert_eq!((counted(1, "code"), counted(2000, "code")), ("1 code".to_owned(), "2,000 codes".to_owned()));
    }

    #[test]
    fn times_are_on_the_clock_of_the_zone() {
        let at: DateTime<Utc> = "2027-02-28T23:00:00Z".parse().expect("a time");
        assert_eq!(instant(at, chrono_tz::Europe::Berlin), "1 Mar 2027, 00:00 (Europe/Berlin)");
        assert_eq!(ago(at, at + chrono::TimeDelta::minutes(3)), "3 minutes ago");
    }
}
