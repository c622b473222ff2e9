//! Computes which codes masks have in common, from the masks alone, without reading a code.
//!
//! A mask is a box: one set of symbols per position. Boxes intersect position by position, and cutting one box out of
//! another leaves boxes again.

use crate::symbols::SymbolSet;

/// The sets of symbols of a mask or of a part of it, first position first.
pub type Positions = Vec<SymbolSet>;

/// The maximum number of parts that are handled one by one.
const PARTS_MAX: usize = 4096;

/// Returns the codes that both can produce; `None` if there are none.
///
/// ```
/// use codemint_codes::mask::Mask;
/// use codemint_codes::overlap::{intersection, size};
///
/// let (digits, letters): (Mask, Mask) = ("A#*".parse()?, "A*?".parse()?);
/// let shared = intersection(digits.positions(), letters.positions()).unwrap();
/// assert_eq!(size(&shared), 10 * 26);
/// assert!(intersection(digits.positions(), "B##".parse::<Mask>()?.positions()).is_none());
/// # Ok::<(), codemint_codes::mask::MaskError>(())
/// ```
pub fn intersection(a: &[SymbolSet], b: &[SymbolSet]) -> Option<Positions> {
    if a.len() != b.len() {
        return None;
    }
    let shared: Positions = a.iter().zip(b).map(|(a, b)| a.intersection(*b)).collect();
    shared.iter().all(|set| !set.is_empty()).then_some(shared)
}

/// Returns the number of codes of these sets, at most `u128::MAX`: sets of an import may be wider than any mask.
pub fn size(positions: &[SymbolSet]) -> u128 {
    positions.iter().fold(1, |size: u128, set| size.saturating_mul(u128::from(set.len())))
}

/// Returns true if every code of `inner` is a code of `outer`.
pub fn covers(outer: &[SymbolSet], inner: &[SymbolSet]) -> bool {
    outer.len() == inner.len() && inner.iter().zip(outer).all(|(inner, outer)| inner.is_subset_of(*outer))
}

/// Returns what is left of `whole` when every code of `cut` is removed, as disjoint parts; `None` if these are too many
/// to be handled one by one.
///
/// ```
/// use codemint_codes::mask::Mask;
/// use codemint_codes::overlap::{parts_outside, size};
///
/// let (whole, reserved): (Mask, Mask) = ("####".parse()?, "1###".parse()?);
/// let parts = parts_outside(whole.positions(), &[reserved.positions()]).unwrap();
/// assert_eq!(parts.iter().map(|part| size(part)).sum::<u128>(), 9000);
/// # Ok::<(), codemint_codes::mask::MaskError>(())
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

/// Returns one part per position: inside the cutter before the position, outside it at the position, anything after it.
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

/// Returns true if these sets can produce the code.
pub fn matches(positions: &[SymbolSet], code: &[u8]) -> bool {
    code.len() == positions.len() && code.iter().zip(positions).all(|(byte, set)| set.contains(*byte))
}
