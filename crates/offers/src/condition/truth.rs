//! Three-valued logic: an answer that depends on a missing fact is unknown, and stays so under `not`.

use std::ops::Not;

/// The truth of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Truth {
    False,
    Unknown,
    True,
}

impl Truth {
    /// Returns false if one of them is false, true if all are true, and otherwise unknown.
    pub fn all(mut each: impl Iterator<Item = Self>) -> Self {
        let lowest = each.try_fold(Self::True, |lowest, next| match lowest.min(next) {
            Self::False => Err(Self::False),
            other => Ok(other),
        });
        lowest.unwrap_or_else(|is_false| is_false)
    }

    /// Returns true if one of them is true, false if all are false, and otherwise unknown.
    pub fn any(each: impl Iterator<Item = Self>) -> Self {
        !Self::all(each.map(Not::not))
    }
}

impl Not for Truth {
    type Output = Self;

    fn not(self) -> Self {
        match self {
            Self::False => Self::True,
            Self::Unknown => Self::Unknown,
            Self::True => Self::False,
        }
    }
}

impl From<bool> for Truth {
    fn from(is_true: bool) -> Self {
        if is_true { Self::True } else { Self::False }
    }
}
