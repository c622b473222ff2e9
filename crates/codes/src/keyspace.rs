//! Keyspaces: every code of a mask, numbered in ascending byte order.

use crate::batch::CodeBatch;
use crate::check::CheckKey;
use crate::mask::Mask;
use crate::symbols::{SAFE, SymbolSet};
use crate::text::plural;

/// The position of a code in its keyspace, counted from 0.
pub type Rank = u128;

/// Every code that a mask can produce, with a bijection between ranks and codes.
///
/// Symbols of a position are sorted by byte, so rank order is byte order. Check characters are computed from the rest of
/// a code, the body, so they take no part in ranks: codes of a mask with check characters need the [`CheckKey`].
///
/// ```
/// use codemint_codes::keyspace::Keyspace;
///
/// let keyspace = Keyspace::new(&"A?##".parse()?);
/// assert_eq!(keyspace.size(), 2600);
/// assert_eq!(keyspace.unrank(2599).as_deref(), Some("AZ99"));
/// assert_eq!(keyspace.rank("AB07"), Some(107));
/// assert!(!keyspace.contains("BB07"));
/// # Ok::<(), codemint_codes::mask::MaskError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Keyspace {
    size: u128,
    positions: Vec<SymbolSet>,
    check_length: usize,
    check_key: Option<CheckKey>,
    /// A code with its literals in place and the newline of a batch behind it.
    template: Vec<u8>,
    /// The placeholders at the end of the code, as many as fit a `u64` together.
    low: WideDigit,
    /// The placeholders before them.
    high: WideDigit,
}

/// The reason why a text is not a code of a mask, without the text itself, which may be worth money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotACode {
    #[error("it has {found} {}; codes of this mask have {expected}", plural(*found, "character"))]
    Length { found: usize, expected: usize },
    /// Positions are counted from 1.
    #[error("its character {position} is not one that the mask allows there")]
    Position { position: usize },
    #[error("its check characters are wrong")]
    CheckCharacters,
}

/// Placeholders whose product fits a `u64`. Turning a rank into symbols costs mostly divisions, and narrower ones are
/// faster: so a rank is split into two `u64`, these into `u32`, and these into pairs of symbols, looked up in a table.
#[derive(Clone, Debug)]
struct WideDigit {
    size: u64,
    /// The digits, last position first.
    narrow: Vec<NarrowDigit>,
}

/// Pairs of placeholders whose product fits a `u32`.
#[derive(Clone, Debug)]
struct NarrowDigit {
    size: u32,
    /// The pairs, last position first.
    pairs: Vec<SymbolPair>,
}

/// Two placeholders, or one placeholder that is written twice.
#[derive(Clone, Debug)]
struct SymbolPair {
    positions: [usize; 2],
    symbols: Vec<[u8; 2]>,
}

impl Keyspace {
    pub fn new(mask: &Mask) -> Self {
        let positions = mask.positions().to_vec();
        let mut template: Vec<u8> = positions.iter().map(|set| set.iter().next().unwrap_or_default()).collect();
        template.push(b'\n');
        let size = mask.body().iter().map(|set| u128::from(set.len())).product();
        let pairs = symbol_pairs(mask.body());
        let (low, rest) = WideDigit::take(&pairs);
        let (high, _none) = WideDigit::take(rest);
        Self { size, positions, check_length: mask.check_length(), check_key: None, template, low, high }
    }

    /// Adds the key for making and verifying check characters, if the mask has any.
    #[must_use]
    pub fn with_check_key(mut self, key: CheckKey) -> Self {
        self.check_key = Some(key);
        self
    }

    /// Returns the number of codes: 1 to 2^100 - 1.
    pub fn size(&self) -> u128 {
        self.size
    }

    /// Returns the number of characters in every code.
    pub fn code_length(&self) -> usize {
        self.positions.len()
    }

    /// Returns true if the mask can produce this code. Lower case is not folded here. Without a check key, any symbols
    /// of the right alphabet are accepted as check characters.
    pub fn contains(&self, code: &str) -> bool {
        self.has_symbols_of(code) && self.has_right_check(code)
    }

    /// Does the same as [`Keyspace::contains`], but returns the reason.
    ///
    /// # Errors
    /// The first reason why this is not a code of the mask.
    pub fn check(&self, code: &str) -> Result<(), NotACode> {
        let (found, expected) = (code.chars().count(), self.positions.len());
        if found != expected {
            return Err(NotACode::Length { found, expected });
        }
        let fits = |(character, set): (char, &SymbolSet)| u8::try_from(character).is_ok_and(|byte| set.contains(byte));
        match code.chars().zip(&self.positions).position(|pair| !fits(pair)) {
            Some(before) => Err(NotACode::Position { position: before + 1 }),
            None if self.has_right_check(code) => Ok(()),
            None => Err(NotACode::CheckCharacters),
        }
    }

    fn has_symbols_of(&self, code: &str) -> bool {
        code.len() == self.positions.len() && code.bytes().zip(&self.positions).all(|(byte, set)| set.contains(byte))
    }

    /// Verifies the check characters of a code that has the mask's symbols.
    fn has_right_check(&self, code: &str) -> bool {
        let (body, check) = code.as_bytes().split_at(self.body_length());
        check.is_empty() || self.check_key.as_ref().is_none_or(|key| key.verify(body, check))
    }

    fn body_length(&self) -> usize {
        self.positions.len() - self.check_length
    }

    /// Returns the rank of a code; `None` if it is not in the keyspace.
    pub fn rank(&self, code: &str) -> Option<Rank> {
        self.body_rank(code).filter(|_| self.has_right_check(code))
    }

    /// Does the same as [`Keyspace::rank`] without verifying check characters: they need only be of their alphabet.
    pub fn body_rank(&self, code: &str) -> Option<Rank> {
        if !self.has_symbols_of(code) {
            return None;
        }
        let body = &self.positions[..self.body_length()];
        let digits = code.bytes().zip(body);
        Some(digits.fold(0, |rank, (byte, set)| rank * u128::from(set.len()) + u128::from(set.count_below(byte))))
    }

    /// Returns the lowest text that could be the code at this rank, whatever the check key; `None` from `size` on.
    pub fn first_code(&self, rank: Rank) -> Option<String> {
        self.code_with_check(rank, SAFE.iter().next()?)
    }

    /// Returns the highest text that could be the code at this rank, whatever the check key; `None` from `size` on.
    pub fn last_code(&self, rank: Rank) -> Option<String> {
        self.code_with_check(rank, SAFE.iter().last()?)
    }

    fn code_with_check(&self, rank: Rank, symbol: u8) -> Option<String> {
        if rank >= self.size {
            return None;
        }
        let mut code = self.template[..self.positions.len()].to_vec();
        self.write_placeholders(&mut code, rank);
        code[self.body_length()..].fill(symbol);
        String::from_utf8(code).ok()
    }

    /// Returns the code at this rank; `None` from `size` on.
    ///
    /// # Panics
    /// See [`Keyspace::batch_into`].
    pub fn unrank(&self, rank: Rank) -> Option<String> {
        if rank >= self.size {
            return None;
        }
        self.batch(&[rank]).iter().next().map(str::to_owned)
    }

    /// Returns the codes at these ranks, in their order. Ranks from `size` on are not in the keyspace and not allowed.
    ///
    /// # Panics
    /// See [`Keyspace::batch_into`].
    pub fn batch(&self, ranks: &[Rank]) -> CodeBatch {
        self.batch_into(CodeBatch::default(), ranks)
    }

    /// Does the same as [`Keyspace::batch`] in the memory of a batch that is no longer needed: fresh pages cost as much
    /// as drawing.
    ///
    /// # Panics
    /// If the mask has check characters and there is no check key: codes with wrong check characters must not exist.
    pub fn batch_into(&self, recycled: CodeBatch, ranks: &[Rank]) -> CodeBatch {
        let mut lines = recycled.into_bytes();
        lines.clear();
        lines.reserve(ranks.len() * self.template.len());
        for &rank in ranks {
            let start = lines.len();
            lines.extend_from_slice(&self.template);
            self.write_placeholders(&mut lines[start..], rank);
        }
        if self.check_length > 0 {
            self.write_check_characters(&mut lines);
        }
        CodeBatch::from_ascii_lines(lines)
    }

    fn write_check_characters(&self, lines: &mut [u8]) {
        let Some(key) = &self.check_key else { panic!("codes with check characters need a check key") };
        for line in lines.chunks_exact_mut(self.template.len()) {
            let (body, rest) = line.split_at_mut(self.body_length());
            key.write(body, &mut rest[..self.check_length]);
        }
    }

    fn write_placeholders(&self, line: &mut [u8], rank: Rank) {
        match u64::try_from(rank) {
            Ok(narrow) if self.high.narrow.is_empty() => self.low.write(line, narrow),
            _ => {
                // Both fit: the keyspace has less than 2^100 ranks, and `low` more than 2^50 if there is a `high`.
                let quotient = rank / u128::from(self.low.size);
                self.high.write(line, quotient as u64);
                self.low.write(line, (rank - quotient * u128::from(self.low.size)) as u64);
            }
        }
    }
}

impl WideDigit {
    /// Takes pairs from the front while their product fits; returns the remaining pairs.
    fn take(pairs: &[SymbolPair]) -> (Self, &[SymbolPair]) {
        let mut wide = Self { size: 1, narrow: Vec::new() };
        for (taken, pair) in pairs.iter().enumerate() {
            let Some(size) = wide.size.checked_mul(u64::from(pair.radix())) else {
                return (wide, &pairs[taken..]);
            };
            wide.size = size;
            match wide.narrow.last_mut() {
                Some(narrow) if narrow.size.checked_mul(pair.radix()).is_some() => {
                    narrow.size *= pair.radix();
                    narrow.pairs.push(pair.clone());
                }
                _ => wide.narrow.push(NarrowDigit { size: pair.radix(), pairs: vec![pair.clone()] }),
            }
        }
        (wide, &[])
    }

    fn write(&self, line: &mut [u8], mut number: u64) {
        for digit in &self.narrow {
            digit.write(line, (number % u64::from(digit.size)) as u32);
            number /= u64::from(digit.size);
        }
    }
}

impl NarrowDigit {
    fn write(&self, line: &mut [u8], mut number: u32) {
        for pair in &self.pairs {
            let symbols = pair.symbols[(number % pair.radix()) as usize];
            line[pair.positions[0]] = symbols[0];
            line[pair.positions[1]] = symbols[1];
            number /= pair.radix();
        }
    }
}

impl SymbolPair {
    fn radix(&self) -> u32 {
        // At most 68 * 68.
        self.symbols.len() as u32
    }
}

/// Returns the placeholders of a mask in pairs, last position first.
fn symbol_pairs(positions: &[SymbolSet]) -> Vec<SymbolPair> {
    let placeholders: Vec<(usize, Vec<u8>)> = positions
        .iter()
        .enumerate()
        .rev()
        .filter(|(_, set)| set.len() > 1)
        .map(|(position, set)| (position, set.iter().collect()))
        .collect();
    let pairs = placeholders.chunks(2).map(|pair| match pair {
        [(last, lasts), (first, firsts)] => SymbolPair {
            positions: [*first, *last],
            symbols: firsts.iter().flat_map(|&first| lasts.iter().map(move |&last| [first, last])).collect(),
        },
        rest => {
            SymbolPair { positions: [rest[0].0; 2], symbols: rest[0].1.iter().map(|&symbol| [symbol; 2]).collect() }
        }
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::{WideDigit, symbol_pairs};
    use crate::mask::{Mask, MaskError};

    #[test]
    fn placeholders_are_paired_from_the_last_one_and_literals_left_out() -> Result<(), MaskError> {
        let mask: Mask = "#A[XY]-[PQ]".parse()?;
        let pairs = symbol_pairs(mask.body());
        assert_eq!(pairs.iter().map(|pair| pair.positions).collect::<Vec<_>>(), [[2, 4], [0, 0]]);
        assert_eq!(pairs[0].symbols, [*b"XP", *b"XQ", *b"YP", *b"YQ"]);
        assert_eq!((pairs[1].radix(), pairs[1].symbols[7]), (10, *b"77"));
        Ok(())
    }

    #[test]
    fn a_wide_digit_takes_as_many_pairs_as_fit_64_bits() -> Result<(), MaskError> {
        let mask: Mask = "*{18}".parse()?;
        let pairs = symbol_pairs(mask.body());
        let (low, rest) = WideDigit::take(&pairs);
        // 36^12 is below 2^64, 36^14 is not; 36^6 is below 2^32, 36^8 is not.
        assert_eq!((low.size, rest.len()), (36_u64.pow(12), 3));
        assert_eq!(low.narrow.iter().map(|narrow| narrow.size).collect::<Vec<_>>(), [36_u32.pow(6), 36_u32.pow(6)]);
        Ok(())
    }
}
