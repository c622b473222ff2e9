//! References, and the exclusion of one from a rule.

use crate::affiliate::book::normalized;
use crate::affiliate::rule::Rule;

/// The maximum number of characters of a reference.
pub const REFERENCE_LENGTH_MAX: usize = 64;
/// The maximum number of characters of a detail of an exclusion.
pub const DETAIL_LENGTH_MAX: usize = 200;
/// The maximum number of exclusions of a rule.
pub const RULE_EXCLUSIONS_MAX: u64 = 1_000_000;
/// The maximum number of exclusions of all rules together.
pub const EXCLUSIONS_MAX: u64 = 2_000_000;

/// A reference that a rule does not concern, although its mask describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    /// Normalized, without the prefix of the rule.
    pub reference: String,
    pub details: Details,
}

/// What the team notes beside an exclusion.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    /// Whose reference it is.
    pub affiliate: Option<String>,
    /// What the affiliate gets instead.
    pub promotion: Option<String>,
    pub note: Option<String>,
}

impl Details {
    /// Returns these details, with those of `before` where there are none.
    #[must_use]
    pub fn or(self, before: Self) -> Self {
        Self {
            affiliate: self.affiliate.or(before.affiliate),
            promotion: self.promotion.or(before.promotion),
            note: self.note.or(before.note),
        }
    }
}

/// The reason why a text is no reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    #[error("the reference is empty")]
    Empty,
    #[error("the reference has more than {REFERENCE_LENGTH_MAX} characters")]
    TooLong,
    #[error("the reference contains control characters")]
    NotText,
}

/// The reason why a detail cannot be noted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DetailError {
    #[error("{0} has more than {DETAIL_LENGTH_MAX} characters")]
    TooLong(&'static str),
    #[error("{0} contains control characters; write plain text of one line")]
    NotText(&'static str),
}

/// Returns a reference in the form in which references are compared.
///
/// # Errors
/// Unless it has 1 to [`REFERENCE_LENGTH_MAX`] characters without control characters.
pub fn checked_reference(text: &str) -> Result<String, ReferenceError> {
    let reference = normalized(text);
    match reference.chars().count() {
        0 => Err(ReferenceError::Empty),
        length if length > REFERENCE_LENGTH_MAX => Err(ReferenceError::TooLong),
        _ if reference.contains(char::is_control) => Err(ReferenceError::NotText),
        _ => Ok(reference),
    }
}

/// Returns a detail without the blanks around it; `None` if nothing is left.
///
/// # Errors
/// If it is longer than [`DETAIL_LENGTH_MAX`] or has several lines. `name` says which detail it is.
pub fn checked_detail(name: &'static str, text: &str) -> Result<Option<String>, DetailError> {
    let text = text.trim();
    match text.chars().count() {
        0 => Ok(None),
        length if length > DETAIL_LENGTH_MAX => Err(DetailError::TooLong(name)),
        _ if text.contains(char::is_control) => Err(DetailError::NotText(name)),
        _ => Ok(Some(text.to_owned())),
    }
}

/// The reason why a row of a list is no exclusion.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    #[error(transparent)]
    Reference(#[from] ReferenceError),
    #[error(transparent)]
    Detail(#[from] DetailError),
    #[error("{}", not_described(.mask))]
    NotDescribed { mask: String },
}

/// The columns of a list of exclusions.
pub const COLUMNS: [&str; 4] = ["reference", "affiliate", "promotion", "note"];

impl Exclusion {
    /// Returns the exclusion of a row, whose fields are in the order of [`COLUMNS`]. A spreadsheet drops zeros at the beginning of a
    /// reference, so the mask of the rule must describe it.
    ///
    /// # Errors
    /// The first problem of the row.
    pub fn of_row([reference, affiliate, promotion, note]: [&str; 4], rule: &Rule) -> Result<Self, RowError> {
        let reference = checked_reference(reference)?;
        if !rule.describes(&reference) {
            return Err(RowError::NotDescribed { mask: rule.mask_text.clone() });
        }
        let affiliate = checked_detail("affiliate", affiliate)?;
        let promotion = checked_detail("promotion", promotion)?;
        let details = Details { affiliate, promotion, note: checked_detail("note", note)? };
        Ok(Self { reference, details })
    }

    /// Returns the row of the exclusion, in the order of [`COLUMNS`].
    pub fn row(&self) -> [&str; 4] {
        let Details { affiliate, promotion, note } = &self.details;
        [
            &self.reference,
            affiliate.as_deref().unwrap_or_default(),
            promotion.as_deref().unwrap_or_default(),
            note.as_deref().unwrap_or_default(),
        ]
    }
}

/// Says why a reference cannot be excluded from a rule with this mask.
pub fn not_described(mask: &str) -> String {
    format!(
        "the mask {mask} of the rule does not describe the reference; write all of it, with zeros at its beginning, without the prefix"
    )
}
