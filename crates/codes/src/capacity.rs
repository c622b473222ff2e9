//! Computes from the masks in use how many codes of a mask are still free. What they leave open, counting decides.

use crate::denied::DeniedInMask;
use crate::mask::Mask;
use crate::overlap::{Positions, covers, intersection, parts_outside, size};
use crate::symbols::SymbolSet;
use crate::text::{one_or_many, plural};

/// The codes of a mask that may be minted at all: codes that are neither reserved nor denied.
#[derive(Debug)]
pub struct Mintable<'a> {
    mask: &'a Mask,
    /// Disjoint parts of the mask's body that together are all that is not reserved.
    parts: Vec<Positions>,
    denied: Option<&'a DeniedInMask>,
    pub codes: u128,
    /// The lower bound, less than `codes` where that is an upper bound.
    pub codes_at_least: u128,
    /// False if `codes` is an upper bound: reserved masks split check characters or are too many, or there are both
    /// denied words and check characters.
    pub exact: bool,
}

/// The number of these codes that are taken, or promised to jobs that are not finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    pub at_least: u128,
    pub at_most: u128,
}

/// The answer whether enough codes are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    Enough,
    TooFew {
        free: u128,
        /// Codes that are neither reserved nor denied, taken or not.
        mintable: u128,
        /// False if the numbers are estimates.
        exact: bool,
    },
    /// Only the codes that unfinished jobs will take decide.
    Depends {
        /// The number of codes that are free whatever those jobs take.
        certain: u128,
        /// The number of codes that are free if those jobs take as few as they can.
        possible: u128,
    },
    /// The masks leave it open; counting decides.
    Unsure,
}

/// The codes of a mask that a count found, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// The number of codes in the store.
    pub present: u128,
    /// How many of the other codes unfinished jobs will take.
    pub owed: Taken,
    /// True if `present` is exact, not an upper bound.
    pub exact: bool,
}

impl<'a> Mintable<'a> {
    /// Counts only bodies, because every rank of a keyspace has one code, whatever its check characters.
    pub fn new(mask: &'a Mask, reserved: &[Mask], denied: Option<&'a DeniedInMask>) -> Self {
        let (parts, not_cut_out) = cut_out(mask, reserved);
        let codes: u128 = parts.iter().map(|part| allowed(part, mask, denied)).sum();
        let in_doubt = not_cut_out.iter().map(|other| shared_bodies(mask, other)).fold(0, u128::saturating_add);
        let words_are_counted = denied.is_none() || mask.check_length() == 0;
        let exact = not_cut_out.is_empty() && words_are_counted;
        Self { mask, parts, denied, codes, codes_at_least: codes.saturating_sub(in_doubt), exact }
    }

    /// Returns how many of these codes are taken, at least and at most, by `codes` codes of another mask in use: codes
    /// that do not fit outside this mask lie inside.
    pub fn taken_by(&self, other: &Mask, codes: u64) -> Taken {
        // Even codes of the same mask may have other check characters, if they were made under another key.
        self.taken(other, codes, other.check_length() + self.mask.check_length() == 0)
    }

    /// Does the same as [`Mintable::taken_by`] for codes whose check characters are made under the same key.
    pub fn taken_under_the_same_key(&self, other: &Mask, codes: u64) -> Taken {
        self.taken(other, codes, other.check_length() == self.mask.check_length())
    }

    fn taken(&self, other: &Mask, codes: u64, comparable: bool) -> Taken {
        let codes = u128::from(codes);
        let body = body_part(other, self.mask);
        let shared: Vec<Positions> = self.parts.iter().filter_map(|part| intersection(part, body)).collect();
        let at_most = codes.min(shared.iter().map(|part| size(part)).fold(0, u128::saturating_add));
        let fit_outside = codes <= size(other.body()).saturating_sub(shared.iter().map(|part| size(part)).sum());
        if !comparable || fit_outside {
            return Taken { at_least: 0, at_most };
        }
        let inside: u128 = shared.iter().map(|part| allowed(part, self.mask, self.denied)).sum();
        let outside = size(other.body()).saturating_sub(inside);
        Taken { at_least: codes.saturating_sub(outside), at_most }
    }

    /// Decides whether `count` codes are free.
    ///
    /// ```
    /// use codemint_codes::capacity::{Capacity, Mintable, Taken};
    ///
    /// let mask = "A##".parse()?;
    /// let mintable = Mintable::new(&mask, &[], None);
    /// let taken = Taken { at_least: 0, at_most: 20 };
    /// assert_eq!(mintable.capacity_for(80, taken), Capacity::Enough);
    /// assert_eq!(mintable.capacity_for(81, taken), Capacity::Unsure);
    /// # Ok::<(), codemint_codes::mask::MaskError>(())
    /// ```
    pub fn capacity_for(&self, count: u64, taken: Taken) -> Capacity {
        let count = u128::from(count);
        if self.codes_at_least.saturating_sub(taken.at_most) >= count {
            return Capacity::Enough;
        }
        let free_at_most = self.codes.saturating_sub(taken.at_least);
        if free_at_most < count && (taken.at_least == taken.at_most || free_at_most == 0) {
            return Capacity::TooFew { free: free_at_most, mintable: self.codes, exact: self.exact };
        }
        Capacity::Unsure
    }

    /// Decides whether `count` codes are free after the taken ones were counted: `Enough`, `TooFew` or `Depends`.
    ///
    /// ```
    /// use codemint_codes::capacity::{Capacity, Count, Mintable, Taken};
    ///
    /// let mask = "A##".parse()?;
    /// let mintable = Mintable::new(&mask, &[], None);
    /// let count = Count { present: 10, owed: Taken { at_least: 20, at_most: 30 }, exact: true };
    /// assert_eq!(mintable.capacity_after(&count, 60), Capacity::Enough);
    /// assert_eq!(mintable.capacity_after(&count, 61), Capacity::Depends { certain: 60, possible: 70 });
    /// assert_eq!(mintable.capacity_after(&count, 71), Capacity::TooFew { free: 70, mintable: 100, exact: true });
    /// # Ok::<(), codemint_codes::mask::MaskError>(())
    /// ```
    pub fn capacity_after(&self, counted: &Count, count: u64) -> Capacity {
        let Count { present, owed, exact } = *counted;
        let free_after = |owed| self.codes_at_least.saturating_sub(present).saturating_sub(owed);
        let (certain, possible) = (free_after(owed.at_most), free_after(owed.at_least));
        let exact = exact && self.exact;
        match u128::from(count) {
            count if count <= certain => Capacity::Enough,
            count if owed.at_least < owed.at_most && (count <= possible || !exact) => {
                Capacity::Depends { certain, possible }
            }
            _ => Capacity::TooFew { free: possible, mintable: self.codes, exact },
        }
    }
}

impl Capacity {
    /// Returns the reason why a job for `count` codes waits, for people; `None` unless it depends on other jobs.
    pub fn reason_to_wait(self, count: u64) -> Option<String> {
        let Self::Depends { certain, possible } = self else { return None };
        let (are, were) = (one_or_many(certain, "is", "are"), one_or_many(count, "was", "were"));
        Some(format!(
            "{certain} {} {are} free for certain, up to {possible} if unfinished jobs take others; {count} {were} requested",
            plural(certain, "code"),
        ))
    }
}

/// Cuts reserved masks out of the mask's body. Returns the parts that are left, and the reserved masks that were not cut
/// out: those that reserve a body only with some of its check characters, or all of them if the parts are too many.
fn cut_out<'r>(mask: &Mask, reserved: &'r [Mask]) -> (Vec<Positions>, Vec<&'r Mask>) {
    let shared = reserved.iter().filter(|other| mask.meets(other));
    let (whole, split): (Vec<&Mask>, Vec<&Mask>) = shared.partition(|other| reserves_whole_bodies(other, mask));
    let bodies: Vec<&[SymbolSet]> = whole.iter().map(|other| body_part(other, mask)).collect();
    match parts_outside(mask.body(), &bodies) {
        Some(parts) => (parts, split),
        None => (vec![mask.body().to_vec()], [whole, split].concat()),
    }
}

/// Returns true if a reserved mask of the same length has every check character that a code of the mask may end with.
fn reserves_whole_bodies(reserved: &Mask, mask: &Mask) -> bool {
    let body_length = mask.body().len();
    covers(&reserved.positions()[body_length..], &mask.positions()[body_length..])
}

/// Returns the positions of another mask that lie under the body of the mask.
fn body_part<'m>(other: &'m Mask, mask: &Mask) -> &'m [SymbolSet] {
    &other.positions()[..mask.body().len()]
}

fn shared_bodies(mask: &Mask, other: &Mask) -> u128 {
    intersection(mask.body(), body_part(other, mask)).map_or(0, |shared| size(&shared))
}

/// Returns how many codes of a part of the mask's body contain no denied word.
fn allowed(part: &[SymbolSet], mask: &Mask, denied: Option<&DeniedInMask>) -> u128 {
    let Some(denied) = denied else { return size(part) };
    let whole: Positions = part.iter().chain(&mask.positions()[part.len()..]).copied().collect();
    denied.count_allowed(&whole)
}

impl std::iter::Sum for Taken {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, one| Self {
            at_least: sum.at_least.saturating_add(one.at_least),
            at_most: sum.at_most.saturating_add(one.at_most),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::cut_out;
    use crate::mask::{Mask, MaskError};
    use crate::overlap::size;

    /// Returns how many bodies are left after cutting, and the reserved masks that were not cut out.
    fn left_after_cutting(mask: &str, reserved: &[&str]) -> Result<(u128, Vec<String>), MaskError> {
        let reserved = reserved.iter().map(|text| text.parse()).collect::<Result<Vec<Mask>, _>>()?;
        let mask = mask.parse()?;
        let (parts, not_cut_out) = cut_out(&mask, &reserved);
        let bodies = parts.iter().map(|part| size(part)).sum();
        Ok((bodies, not_cut_out.iter().map(ToString::to_string).collect()))
    }

    #[test]
    fn reserved_masks_that_share_no_code_with_the_mask_cut_nothing() {
        assert_eq!(left_after_cutting("A##", &["B##", "A###", "A?#"]), Ok((100, vec![])));
    }

    #[test]
    fn overlapping_reserved_masks_are_cut_out_once() {
        assert_eq!(left_after_cutting("A##", &["A1#", "A#1", "*11"]), Ok((100 - 19, vec![])));
    }

    #[test]
    fn a_reserved_mask_that_splits_check_characters_is_not_cut_out() {
        let (whole, split) = ("A1[:safe:]", "A2[B-F]");
        assert_eq!(left_after_cutting("A#[:check:]", &[whole, split]), Ok((9, vec![split.to_owned()])));
    }
}
