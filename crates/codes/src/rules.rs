//! The rules for codes of a mask that must not be minted, whether they exist or not.

use std::sync::Arc;

use crate::batch::CodeBatch;
use crate::denied::DeniedInMask;
use crate::mask::Mask;
use crate::overlap::{Positions, intersection, matches};

/// The rules that keep codes of one mask from being minted.
///
/// ```
/// use codemint_codes::mask::Mask;
/// use codemint_codes::rules::{Forbidden, Rules};
///
/// let (mask, reserved): (Mask, Mask) = ("A##".parse()?, "A9*".parse()?);
/// let rules = Rules::new(&mask, &[reserved], None);
/// assert_eq!(rules.forbids("A93"), Some(Forbidden::Reserved));
/// assert_eq!(rules.forbids("A39"), None);
/// # Ok::<(), codemint_codes::mask::MaskError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The reserved masks, as far as they overlap the mask.
    reserved: Vec<Positions>,
    denied: Option<Arc<DeniedInMask>>,
}

/// The reason why a code must not be minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    Reserved,
    Denied,
}

impl Rules {
    pub fn new(mask: &Mask, reserved: &[Mask], denied: Option<Arc<DeniedInMask>>) -> Self {
        let reserved = reserved.iter().filter_map(|other| intersection(mask.positions(), other.positions()));
        Self { reserved: reserved.collect(), denied }
    }

    /// Returns true if nothing is forbidden.
    pub fn is_empty(&self) -> bool {
        self.reserved.is_empty() && self.denied.is_none()
    }

    /// Returns the indexes of the forbidden codes, with the reasons.
    pub fn forbidden_of(&self, codes: &CodeBatch) -> Vec<(usize, Forbidden)> {
        if self.is_empty() {
            return Vec::new();
        }
        let forbidden = codes.iter().enumerate().map(|(index, code)| (index, self.forbids(code)));
        forbidden.filter_map(|(index, why)| Some((index, why?))).collect()
    }

    /// Returns the reason why a code of the mask is forbidden, if it is.
    pub fn forbids(&self, code: &str) -> Option<Forbidden> {
        let code = code.as_bytes();
        if self.reserved.iter().any(|positions| matches(positions, code)) {
            return Some(Forbidden::Reserved);
        }
        let denied = self.denied.as_ref().is_some_and(|denied| denied.is_denied(code));
        denied.then_some(Forbidden::Denied)
    }
}
