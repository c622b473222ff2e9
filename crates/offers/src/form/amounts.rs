//! Numbers as people write them: whole numbers, percentages and money.

use crate::money::{BASIS_POINTS_MAX, Currency};

/// Reads a whole number, whose thousands may be separated by commas or blanks.
///
/// # Errors
/// Advice, if it is none.
pub fn whole(text: &str) -> Result<u64, &'static str> {
    without_separators(text).and_then(|digits| digits.parse().ok()).ok_or("write a whole number, such as 100")
}

/// Reads a percentage with at most two decimals as basis points: `12.5` is 1250.
///
/// # Errors
/// Advice, if it is none, 0 or above 100.
pub fn basis_points(text: &str) -> Result<u64, &'static str> {
    let text = text.trim().trim_end_matches('%').trim_end();
    let points = decimal(text, 2).ok_or("write a percentage with a point before at most two decimals, such as 12.5")?;
    let is_allowed = (1..=u64::from(BASIS_POINTS_MAX)).contains(&points);
    is_allowed.then_some(points).ok_or("write a percentage from 0.01 to 100")
}

/// Returns basis points as a percentage: 1250 is `12.5`.
pub fn percent_text(basis_points: u32) -> String {
    let text = format!("{}.{:02}", basis_points / 100, basis_points % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Reads an amount of money as minor units of its currency: `1,999.50` euros are 199950.
///
/// # Errors
/// Advice, if it is none, has more decimals than the currency, or can be read as two amounts.
pub fn minor_units(text: &str, currency: Currency) -> Result<u64, String> {
    if let Some(advice) = ambiguity(text, currency) {
        return Err(advice);
    }
    let advice = || match currency.exponent() {
        0 => format!("write an amount without decimals: {currency} has none"),
        decimals => {
            let example = format!("19.{:0>1$}", 5, decimals as usize);
            format!("write an amount with a point before at most {decimals} decimals, such as {example}")
        }
    };
    decimal(text, currency.exponent()).ok_or_else(advice)
}

/// Returns advice for an amount whose only comma separates thousands for some people and decimals for others: `1,234` dinars have three
/// decimals, or none.
fn ambiguity(text: &str, currency: Currency) -> Option<String> {
    let (whole, rest) = text.trim().split_once(',')?;
    let whole: String = whole.split_whitespace().collect();
    let is_either =
        currency.exponent() >= 3 && rest.len() == 3 && !whole.is_empty() && is_digits(&(whole.clone() + rest));
    is_either
        .then(|| format!("the comma can stand for thousands or before decimals; write {whole}{rest} or {whole}.{rest}"))
}

/// Returns an amount with the decimals of its currency, without its name.
pub fn amount_text(amount: i64, currency: Currency) -> String {
    let text = crate::money::Money { currency, amount }.to_string();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Reads a number with a point and at most so many decimals as a multiple of the last one.
fn decimal(text: &str, decimals: u32) -> Option<u64> {
    let (whole, rest) = text.trim().split_once('.').map_or((text, None), |(whole, rest)| (whole, Some(rest)));
    let whole: u64 = without_separators(whole)?.parse().ok()?;
    let rest = match rest {
        None => "",
        Some(rest) if rest.is_empty() || rest.len() > decimals as usize || !is_digits(rest) => return None,
        Some(rest) => rest,
    };
    let padding = 10_u64.pow(decimals - rest.len() as u32);
    let rest: u64 = if rest.is_empty() { 0 } else { rest.parse().ok()? };
    whole.checked_mul(10_u64.pow(decimals))?.checked_add(rest * padding)
}

/// Returns the digits of a whole number. Separators stand between groups of three digits only: elsewhere a comma is meant as a decimal
/// point.
fn without_separators(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.trim().split(|c: char| c == ',' || c.is_whitespace()).collect();
    let (first, others) = groups.split_first()?;
    let is_grouped = others.is_empty() || first.len() <= 3 && others.iter().all(|group| group.len() == 3);
    (is_grouped && !first.is_empty() && groups.iter().all(|group| is_digits(group))).then(|| groups.concat())
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        assert_eq!((whole("1,000 000"), whole(" 7 "), whole("1500")), (Ok(1_000_000), Ok(7), Ok(1500)));
        for wrong in ["", "-1", "1.5", "1,5", "1,0000", "1000,000", ",100", "1,,000", "ten", "99999999999999999999"] {
            assert!(whole(wrong).is_err(), "{wrong}");
        }
        for (text, points) in [("12.5", 1250), ("10 %", 1000), ("0.01", 1), ("100", 10_000)] {
            assert_eq!(basis_points(text), Ok(points), "{text}");
            assert_eq!(basis_points(&percent_text(points as u32)), Ok(points));
        }
        for wrong in ["", "1.234", "1,5", "1,5 %", ".5", "5.", "-3", "1.2.3", "1.+2"] {
            assert!(basis_points(wrong).is_err(), "{wrong}");
        }
        for wrong in ["0", "0.00", "100.01", "10001"] {
            assert_eq!(basis_points(wrong), Err("write a percentage from 0.01 to 100"), "{wrong}");
        }
    }

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        let currency = |code| Currency::from_code(code).expect("a currency");
        for (code, text, units) in [("EUR", "1,999.5", 199_950), ("JPY", "1999", 1999), ("KWD", "0.005", 5)] {
            assert_eq!(minor_units(text, currency(code)), Ok(units));
            assert_eq!(minor_units(&amount_text(units as i64, currency(code)), currency(code)), Ok(units));
        }
        for regression in ["5,00", "19,99", "1.999,50", "1,999,5", "19.9,9"] {
            assert!(minor_units(regression, currency("EUR")).is_err(), "{regression}");
        }
        assert_eq!(
            minor_units("1,234", currency("KWD")),
            Err("the comma can stand for thousands or before decimals; write 1234 or 1.234".to_owned())
        );
        for (text, units) in [("1,234.000", 1_234_000), ("1,234,567", 1_234_567_000), ("1 234", 1_234_000)] {
            assert_eq!(minor_units(text, currency("KWD")), Ok(units), "{text}");
        }
        assert_eq!(
            (minor_units("1,234", currency("EUR")), minor_units("1,234", currency("JPY"))),
            (Ok(123_400), Ok(1234))
        );
        assert!(minor_units("1 234,567", currency("KWD")).is_err() && minor_units("1,2", currency("KWD")).is_err());
        assert_eq!(
            minor_units("1.5", currency("JPY")),
            Err("write an amount without decimals: JPY has none".to_owned())
        );
        assert_eq!(
            minor_units("1.005", currency("EUR")),
            Err("write an amount with a point before at most 2 decimals, such as 19.05".to_owned())
        );
    }
}
