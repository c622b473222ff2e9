//! Numbers as people write them: whole numbers, percentages and money.

use crate::money::Currency;

/// Reads a whole number; blanks and commas between thousands do not matter.
///
/// # Errors
/// Advice, if it is none.
pub fn whole(text: &str) -> Result<u64, &'static str> {
    let digits = without_separators(text);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten().ok_or("write a whole number, such as 100")
}

/// Reads a percentage with at most two decimals as basis points: `12.5` is 1250.
///
/// # Errors
/// Advice, if it is none.
pub fn basis_points(text: &str) -> Result<u64, &'static str> {
    let text = text.trim().trim_end_matches('%').trim_end();
    decimal(text, 2).ok_or("write a percentage with at most two decimals, such as 12.5")
}

/// Returns basis points as a percentage: 1250 is `12.5`.
pub fn percent_text(basis_points: u32) -> String {
    let text = format!("{}.{:02}", basis_points / 100, basis_points % 100);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Reads an amount of money as minor units of its currency: `1,999.50` euros are 199950.
///
/// # Errors
/// Advice, if it is none or has more decimals than the currency.
pub fn minor_units(text: &str, currency: Currency) -> Result<u64, String> {
    let advice = || match currency.exponent() {
        0 => format!("write an amount without decimals: {currency} has none"),
        decimals => {
            format!("write an amount with at most {decimals} decimals, such as 19.{:0>1$}", 5, decimals as usize)
        }
    };
    decimal(text, currency.exponent()).ok_or_else(advice)
}

/// Returns an amount with the decimals of its currency, without its name.
pub fn amount_text(amount: i64, currency: Currency) -> String {
    let text = crate::money::Money { currency, amount }.to_string();
    text.split(' ').next().unwrap_or_default().to_owned()
}

/// Reads a number with a point and at most so many decimals as a multiple of the last one.
fn decimal(text: &str, decimals: u32) -> Option<u64> {
    let text = without_separators(text);
    let (whole, rest) = text.split_once('.').unwrap_or((&text, ""));
    let is_number = !whole.is_empty() && whole.bytes().chain(rest.bytes()).all(|byte| byte.is_ascii_digit());
    if !is_number || rest.len() > decimals as usize || text.ends_with('.') {
        return None;
    }
    let padding = 10_u64.pow(decimals - rest.len() as u32);
    let rest: u64 = if rest.is_empty() { 0 } else { rest.parse().ok()? };
    whole.parse::<u64>().ok()?.checked_mul(10_u64.pow(decimals))?.checked_add(rest * padding)
}

fn without_separators(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace() && *c != ',').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_as_people_write_them() {
        assert_eq!((whole("1,000 000"), whole(" 7 ")), (Ok(1_000_000), Ok(7)));
        for wrong in ["", "-1", "1.5", "ten", "99999999999999999999"] {
            assert!(whole(wrong).is_err(), "{wrong}");
        }
        for (text, points) in [("12.5", 1250), ("10 %", 1000), ("0.01", 1), ("100", 10_000)] {
            assert_eq!(basis_points(text), Ok(points), "{text}");
            assert_eq!(basis_points(&percent_text(points as u32)), Ok(points));
        }
        for wrong in ["", "1.234", ".5", "5.", "-3", "1.2.3"] {
            assert!(basis_points(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn amounts_have_the_decimals_of_their_currency() {
        let currency = |code| Currency::from_code(code).expect("a currency");
        for (code, text, units) in [("EUR", "1,999.5", 199_950), ("JPY", "1999", 1999), ("KWD", "0.005", 5)] {
            assert_eq!(minor_units(text, currency(code)), Ok(units));
            assert_eq!(minor_units(&amount_text(units as i64, currency(code)), currency(code)), Ok(units));
        }
        assert_eq!(
            minor_units("1.5", currency("JPY")),
            Err("write an amount without decimals: JPY has none".to_owned())
        );
        assert_eq!(
            minor_units("1.005", currency("EUR")),
            Err("write an amount with at most 2 decimals, such as 19.05".to_owned())
        );
    }
}
