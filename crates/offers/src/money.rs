//! Money: whole minor units of a currency. Nothing here rounds except [`share`].

use std::fmt;

use codemint_codes::text::grouped;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

/// The largest amount of any price, limit, cart or discount, in minor units. Below 2^53, so that JavaScript reads it
/// exactly, and small enough that a product of two amounts stays far inside `i128`.
pub const AMOUNT_MAX: i64 = 1_000_000_000_000_000;
/// One hundred percent, in basis points.
pub const BASIS_POINTS_MAX: u32 = 10_000;

/// A currency of ISO 4217 that prices can be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Currency {
    listed: iso_currency::Currency,
    exponent: u16,
}

impl Currency {
    /// Returns the currency of a code of three capital letters; `None` if it is unknown or has no minor unit, such as gold.
    ///
    /// ```
    /// use codemint_offers::money::Currency;
    ///
    /// let exponent = |code| Currency::from_code(code).map(|currency| currency.exponent());
    /// assert_eq!(["JPY", "EUR", "KWD"].map(exponent), [Some(0), Some(2), Some(3)]);
    /// assert_eq!(["XAU", "eur", "EURO"].map(exponent), [None; 3]);
    /// ```
    pub fn from_code(code: &str) -> Option<Self> {
        let listed = iso_currency::Currency::from_code(code)?;
        Some(Self { listed, exponent: listed.exponent()? })
    }

    pub fn code(self) -> &'static str {
        self.listed.code()
    }

    /// Returns the number of decimals of the currency: 2 if a minor unit is a hundredth.
    pub const fn exponent(self) -> u32 {
        self.exponent as u32
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

/// An amount of a currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Money {
    /// The currency, by its ISO 4217 code.
    #[schemars(with = "String", regex(pattern = "^[A-Z]{3}$"))]
    pub currency: Currency,
    /// The amount, in minor units of the currency.
    #[schemars(range(min = 0, max = AMOUNT_MAX))]
    pub amount: i64,
}

/// Writes the amount with the decimals of its currency.
///
/// ```
/// use codemint_offers::money::{Currency, Money};
///
/// let shown = |code, amount| Currency::from_code(code).map(|currency| Money { currency, amount }.to_string());
/// assert_eq!(shown("EUR", 1999).as_deref(), Some("19.99 EUR"));
/// assert_eq!(shown("JPY", 1999).as_deref(), Some("1999 JPY"));
/// assert_eq!(shown("KWD", 5).as_deref(), Some("0.005 KWD"));
/// ```
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.exponent();
        let unit = 10_u64.pow(decimals);
        let sign = if self.amount < 0 { "-" } else { "" };
        let (whole, rest) = (self.amount.unsigned_abs() / unit, self.amount.unsigned_abs() % unit);
        match decimals as usize {
            0 => write!(f, "{sign}{whole} {}", self.currency),
            width => write!(f, "{sign}{whole}.{rest:0width$} {}", self.currency),
        }
    }
}

impl Money {
    /// Returns the amount as people read it, with commas between thousands.
    ///
    /// ```
    /// use codemint_offers::money::{Currency, Money};
    ///
    /// let shown = |code, amount| Currency::from_code(code).map(|currency| Money { currency, amount }.grouped());
    /// assert_eq!(shown("EUR", -123_456_789).as_deref(), Some("-1,234,567.89 EUR"));
    /// assert_eq!(shown("JPY", 1999).as_deref(), Some("1,999 JPY"));
    /// ```
    pub fn grouped(self) -> String {
        let text = self.to_string();
        let text = text.trim_start_matches('-');
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let sign = if self.amount < 0 { "-" } else { "" };
        let whole = self.amount.unsigned_abs() / 10_u64.pow(self.currency.exponent());
        format!("{sign}{}{}", grouped(whole.into()), &text[digits..])
    }
}

/// Returns a percentage of an amount from 0 to [`AMOUNT_MAX`], rounded half away from zero: half a minor unit is a whole one.
///
/// ```
/// use codemint_offers::money::share;
///
/// assert_eq!(share(1999, 2500), 500);
/// assert_eq!([share(10, 450), share(10, 449)], [0, 0]);
/// assert_eq!([share(10, 500), share(10, 1500)], [1, 2]);
/// ```
pub fn share(amount: i64, basis_points: u32) -> i64 {
    let whole = i128::from(BASIS_POINTS_MAX);
    let rounded = (i128::from(amount) * i128::from(basis_points) + whole / 2) / whole;
    // At most the amount itself.
    i64::try_from(rounded).unwrap_or(amount)
}
