//! How many codes of a mask may still be minted, as far as the masks in use tell. What they leave open, counting decides.

use crate::code::mask::Mask;
use crate::code::overlap::{Positions, intersection, parts_outside, size};

/// The codes of a mask that may be minted at all: those that nobody reserved.
#[derive(Clone, Debug)]
pub struct Mintable {
    /// Disjoint; `None` if they are too many to be looked at, and `codes` is then an upper bound.
    parts: Option<Vec<Positions>>,
    pub codes: u128,
}

/// How many of them are taken, or owed to jobs that are not finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub at_least: u128,
    pub at_most: u128,
}

/// Whether a count of codes fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    Enough,
    TooFew { free: u128 },
    Unsure,
}

impl Mintable {
    pub fn new(mask: &Mask, reserved: &[Mask]) -> Self {
        let cut: Vec<_> = reserved.iter().map(Mask::positions).collect();
        let parts = parts_outside(mask.positions(), &cut);
        let codes = parts.as_ref().map_or_else(|| size(mask.positions()), |parts| parts.iter().map(|p| size(p)).sum());
        Self { parts, codes }
    }

    /// What `codes` codes of another mask in use take of these, at least and at most: those that find no place outside
    /// ours lie inside.
    pub fn taken_by(&self, other: &Mask, codes: u64) -> Taken {
        let codes = u128::from(codes);
        let Some(parts) = &self.parts else { return Taken { at_least: 0, at_most: codes } };
        let shared: u128 =
            parts.iter().filter_map(|part| intersection(part, other.positions())).map(|s| size(&s)).sum();
        let outside = size(other.positions()) - shared;
        Taken { at_least: codes.saturating_sub(outside), at_most: codes.min(shared) }
    }

    /// Is there room for `count` codes?
    pub fn room_for(&self, count: u64, taken: Taken) -> Room {
        let count = u128::from(count);
        if self.codes.saturating_sub(taken.at_most) >= count {
            return Room::Enough;
        }
        if self.parts.is_some() && taken.at_least == taken.at_most {
            return Room::TooFew { free: self.codes - taken.at_most };
        }
        Room::Unsure
    }
}

impl std::iter::Sum for Taken {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            at_least: sum.at_least + one.at_least,
            at_most: sum.at_most.saturating_add(one.at_most),
        })
    }
}
