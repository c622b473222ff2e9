//! Which codes do masks have in common? Answered from the masks alone, without reading a code.
//!
//! A mask is a box: one set of symbols a position. Boxes meet position by position, and what is left of a box after
//! another was cut out of it are boxes again.

use crate::symbols::SymbolSet;

/// Sets of symbols, first position first: a mask's, or a part of it.
pub type Positions = Vec<SymbolSet>;

/// More parts than this are not looked at one by one.
const PARTS_MAX: usize = 4096;

/// The codes that both can produce; `None` if there are none.
///
/// ```
/// use codemint::code::mask::Mask;
/// use codemint::code::overlap::{intersection, size};
///
/// let (digits, letters): (Mask, Mask) = ("A#*".parse()?, "A*?".parse()?);
/// let shared = intersection(digits.positions(), letters.positions()).unwrap();
/// assert_eq!(size(&shared), 10 * 26);
/// assert!(intersection(digits.positions(), "B##".parse::<Mask>()?.positions()).is_none());
/// # Ok::<(), codemint::code::mask::MaskError>(())
/// ```
pub fn intersection(a: &[SymbolSet], b: &[SymbolSet]) -> Option<Positions> {
    if a.len() != b.len() {
        return None;
    }
    let shared: Positions = a.iter().zip(b).map(|(a, b)| a.intersection(*b)).collect();
    shared.iter().all(|set| !set.is_empty()).then_some(shared)
}

/// How many codes stand for these sets. At most `u128::MAX`: sets of an import may be wider than any mask.
pub fn size(positions: &[SymbolSet]) -> u128 {
    positions.iter().fold(1, |size: u128, set| size.saturating_mul(u128::from(set.len())))
}

/// True if every code of `inner` is one of `outer`.
pub fn covers(outer: &[SymbolSet], inner: &[SymbolSet]) -> bool {
    outer.len() == inner.len() && inner.iter().zip(outer).all(|(inner, outer)| inner.is_subset_of(*outer))
}

/// What is left of `whole` when every code of `cut` is taken out: disjoint parts. `None` if they are more than can be
/// looked at one by one.
///
/// ```
/// use codemint::code::mask::Mask;
/// use codemint::code::overlap::{parts_outside, size};
///
/// let (whole, reserved): (Mask, Mask) = ("####".parse()?, "1###".parse()?);
/// let parts = parts_outside(whole.positions(), &[reserved.positions()]).unwrap();
/// assert_eq!(parts.iter().map(|part| size(part)).sum::<u128>(), 9000);
/// # Ok::<(), codemint::code::mask::MaskError>(())
/// ```
pub fn parts_outside(whole: &[SymbolSet], cut: &[&[SymbolSet]]) -> Option<Vec<Positions>> {
    let mut parts = vec![whole.to_vec()];
    for cutter in cut {
        parts = parts.iter().flat_map(|part| parts_outside_one(part, cutter)).collect();
        if parts.len() > PARTS_MAX {
            return None;
        }
    }
    Some(parts)
}

/// One part a position: before it inside the cutter, at it outside, behind it anything.
fn parts_outside_one(whole: &[SymbolSet], cutter: &[SymbolSet]) -> Vec<Positions> {
    let Some(shared) = intersection(whole, cutter) else { return vec![whole.to_vec()] };
    let part = |position: usize| {
        let outside = whole[position].difference(cutter[position]);
        let mut part = shared[..position].to_vec();
        part.push(outside);
        part.extend_from_slice(&whole[position + 1..]);
        (!outside.is_empty()).then_some(part)
    };
    (0..whole.len()).filter_map(part).collect()
}

/// True if the code can be produced from these sets.
pub fn matches(positions: &[SymbolSet], code: &[u8]) -> bool {
    code.len() == positions.len() && code.iter().zip(positions).all(|(byte, set)| set.contains(*byte))
}
