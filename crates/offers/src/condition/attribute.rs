//! Values of attributes. The type of a value in a condition is the type that the attribute must have.

use chrono::NaiveDate;
use schemars::JsonSchema;
use serde::Serialize;

use crate::money::Money;

/// The longest text of an attribute or a list, in characters.
pub const TEXT_LENGTH_MAX: usize = 200;
/// The maximum number of attributes of a request.
pub const ATTRIBUTES_MAX: usize = 100;

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Attribute {
    Text(#[schemars(length(max = TEXT_LENGTH_MAX))] String),
    Integer(i64),
    Boolean(bool),
    Money(Money),
    #[serde(rename_all = "snake_case")]
    Day {
        /// The day as `YYYY-MM-DD`.
        day: NaiveDate,
    },
}

/// The type of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeType {
    Text,
    Integer,
    Boolean,
    Money,
    Day,
}

impl AttributeType {
    /// Returns the name with its article.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "an integer",
            Self::Boolean => "true or false",
            Self::Money => "an amount of money",
            Self::Day => "a day",
        }
    }

    /// Returns true if one value of the type can be less than another.
    pub const fn is_ordered(self) -> bool {
        matches!(self, Self::Integer | Self::Money | Self::Day)
    }
}

impl Attribute {
    pub const fn attribute_type(&self) -> AttributeType {
        match self {
            Self::Text(_) => AttributeType::Text,
            Self::Integer(_) => AttributeType::Integer,
            Self::Boolean(_) => AttributeType::Boolean,
            Self::Money(_) => AttributeType::Money,
            Self::Day { .. } => AttributeType::Day,
        }
    }

    /// Compares an attribute of a request with a value of a condition; `None` if the types, or the currencies, differ. A text
    /// such as `2027-03-01` is read as a day where a day is expected.
    pub fn compare(&self, value: &Self) -> Option<std::cmp::Ordering> {
        match (self, value) {
            (Self::Text(found), Self::Text(expected)) => Some(found.cmp(expected)),
            (Self::Integer(found), Self::Integer(expected)) => Some(found.cmp(expected)),
            (Self::Boolean(found), Self::Boolean(expected)) => Some(found.cmp(expected)),
            (Self::Day { day: found }, Self::Day { day: expected }) => Some(found.cmp(expected)),
            (Self::Text(found), Self::Day { day: expected }) => Some(found.parse::<NaiveDate>().ok()?.cmp(expected)),
            (Self::Money(found), Self::Money(expected)) => {
                (found.currency == expected.currency).then(|| found.amount.cmp(&expected.amount))
            }
            _ => None,
        }
    }
}
