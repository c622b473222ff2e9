//! Codes of a mask that must not be minted, whether they exist or not.

use crate::code::batch::CodeBatch;
use crate::code::mask::Mask;
use crate::code::overlap::{Positions, intersection, matches};

/// What keeps codes of one mask from being minted.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// Masks that are reserved, as far as they meet the mask.
    reserved: Vec<Positions>,
}

/// Why a code is not to be minted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forbidden {
    Reserved,
    Denied,
}

impl Rules {
    pub fn new(mask: &Mask, reserved: &[Mask]) -> Self {
        let reserved = reserved.iter().filter_map(|other| intersection(mask.positions(), other.positions()));
        Self { reserved: reserved.collect() }
    }

    /// True if nothing is forbidden.
    pub fn is_empty(&self) -> bool {
        self.reserved.is_empty()
    }

    /// The codes that are forbidden, by their index, and why.
    pub fn forbidden_of(&self, codes: &CodeBatch) -> Vec<(usize, Forbidden)> {
        let forbidden = codes.iter().enumerate().map(|(index, code)| (index, self.forbids(code.as_bytes())));
        forbidden.filter_map(|(index, why)| Some((index, why?))).collect()
    }

    pub fn allow(&self, code: &str) -> bool {
        self.forbids(code.as_bytes()).is_none()
    }

    fn forbids(&self, code: &[u8]) -> Option<Forbidden> {
        self.reserved.iter().any(|positions| matches(positions, code)).then_some(Forbidden::Reserved)
    }
}
