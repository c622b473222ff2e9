//! The set of characters that may stand at one position of a code.

use std::fmt;

/// A set of printable ASCII characters without lower case and without the space, in ASCII order.
///
/// One bit per character, so that two positions are compared or intersected in one instruction.
///
/// ```
/// use codemint_codes::symbols::{DIGIT, SymbolSet};
///
/// assert_eq!(DIGIT.len(), 10);
/// assert_eq!(DIGIT.iter().next(), Some(b'0'));
/// assert_eq!(SymbolSet::of(b"CAB").iter().collect::<Vec<_>>(), b"ABC");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SymbolSet(u128);

/// The set of `#` and `[:digit:]`.
pub const DIGIT: SymbolSet = SymbolSet::of(b"0123456789");
/// The set of `?` and `[:alpha:]`.
pub const ALPHA: SymbolSet = SymbolSet::of(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ");
/// The set of `*` and `[:alnum:]`.
pub const ALNUM: SymbolSet = DIGIT.union(ALPHA);
/// The set of `[:safe:]`: no vowels, so no words, and no pair of look-alikes such as 8 B, 5 S, 2 Z, 6 G.
pub const SAFE: SymbolSet = SymbolSet::of(b"BCDFGHJKLMNPQRSTVWXZ3479");

/// The sets that a mask can use by name, in the order in which messages list them.
pub(crate) const NAMED: [(&str, SymbolSet); 4] = [("digit", DIGIT), ("alpha", ALPHA), ("alnum", ALNUM), ("safe", SAFE)];

/// Returns true for the characters that a code may consist of, before folding to upper case.
pub const fn is_printable(byte: u8) -> bool {
    byte.is_ascii_graphic()
}

impl SymbolSet {
    pub(crate) const EMPTY: Self = Self(0);

    /// Returns the set of these bytes, folded to upper case.
    pub const fn of(bytes: &[u8]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < bytes.len() {
            bits |= 1 << bytes[at].to_ascii_uppercase();
            at += 1;
        }
        Self(bits)
    }

    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the symbols of this set that the other one lacks.
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(crate) const fn is_subset_of(self, other: Self) -> bool {
        self.0 & !other.0 == 0
    }

    pub const fn contains(self, byte: u8) -> bool {
        byte < 128 && self.0 >> byte & 1 == 1
    }

    /// Returns how many of its symbols come before this byte, which must be ASCII.
    pub(crate) const fn count_below(self, byte: u8) -> u32 {
        (self.0 & ((1 << byte) - 1)).count_ones()
    }

    /// Returns the number of symbols in the set, 0 to 68.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Iterates over the symbols in ASCII order.
    pub fn iter(self) -> impl Iterator<Item = u8> {
        (0..128).filter(move |&byte| self.contains(byte))
    }

    /// Returns the symbol of a set that has only one.
    pub fn single(self) -> Option<u8> {
        if self.len() == 1 { self.iter().next() } else { None }
    }
}

impl fmt::Debug for SymbolSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.iter().map(char::from).collect();
        f.debug_tuple("SymbolSet").field(&text).finish()
    }
}
