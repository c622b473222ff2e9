//! The Bloom filter of a run: for a code it answers "not in this run", which is certain, or "maybe". The prefilter
//! consists of the filters of the runs that a slice overlaps.
//!
//! It is a split block Bloom filter (<https://parquet.apache.org/docs/file-format/bloomfilter/>), as in Apache Parquet:
//! all bits of a code lie in 32 bytes, so a query reads one cache line, has no branch, and takes a tenth of the time
//! that scattered bits take, for 2.1 bytes per code instead of 1.8.
//!
//! It is stored as one byte of format, eight bytes of checksum, and the blocks. A filter that is broken or of another
//! format is ignored: codes are then looked up in its run exactly.

use sha2::{Digest, Sha256};
use siphasher::sip::SipHasher13;

use crate::batch::CodeBatch;

const CHECKSUM_BYTES: usize = 8;
/// The smallest run with a filter, which costs its writer and every reader something; for one code its range is enough.
const FILTER_CODES_MIN: usize = 2;

/// The filter of one run.
///
/// ```
/// use codemint_codes::batch::CodeBatch;
/// use codemint_codes::prefilter::{Filter, fingerprint};
///
/// let run = CodeBatch::from_lines("AB12\nAB34\n".to_owned());
/// let stored = Filter::bytes_of(&run, 0.001).unwrap();
/// let filter = Filter::from_bytes(&stored).unwrap();
/// assert!(run.iter().all(|code| filter.may_contain(fingerprint(code))));
/// ```
#[derive(Debug)]
pub struct Filter {
    blocks: Vec<Block>,
}

/// A block of a filter: a code sets one bit in each of its words.
type Block = [u32; 8];

const BLOCK_BYTES: usize = size_of::<Block>();
/// The salts of Parquet: the upper bits of a product with a salt select the bit in each word.
const SALTS: Block =
    [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];

/// The information about the runs that a slice overlaps.
#[derive(Debug, Default)]
pub struct Prefilter {
    pub runs: Vec<RunFilter>,
    /// The codes of the runs of one code.
    pub single_codes: Vec<String>,
}

/// A run of more than one code.
#[derive(Debug)]
pub struct RunFilter {
    /// The first and last code of the run.
    pub range_first: String,
    pub range_last: String,
    /// `None` means that every code in the range may be in the run.
    pub filter: Option<Filter>,
}

/// The size of the filters of a prefilter.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FilterSize {
    pub bytes: u64,
    /// The share of bits that are set, 0 to 1.
    pub fill: f64,
}

/// The hash by which filters know a code: computed once, tested against many filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

/// Hashes a code without a secret key, so that a filter is a function of its codes and one fingerprint serves all
/// filters. This is safe: a code that looks familiar is looked up.
pub fn fingerprint(code: &str) -> Fingerprint {
    Fingerprint(SipHasher13::new().hash(code.as_bytes()))
}

impl Filter {
    /// The first byte of a stored filter. Format 1 scattered the bits of a code over the whole filter.
    pub const FORMAT: u8 = 2;

    /// Returns the filter of these codes as it is stored: 2.1 bytes per code at a rate of 0.001. `None` for runs too
    /// small for a filter. The rate lies between 0 and 1.
    pub fn bytes_of(codes: &CodeBatch, false_positive_rate: f64) -> Option<Vec<u8>> {
        if codes.len() < FILTER_CODES_MIN {
            return None;
        }
        let blocks = (codes.len() as f64 / codes_a_block(false_positive_rate)).ceil() as usize;
        let mut filter = Self { blocks: vec![Block::default(); blocks.max(1)] };
        codes.iter().for_each(|code| filter.insert(fingerprint(code)));
        let bits: Vec<u8> = filter.blocks.iter().flatten().flat_map(|word| word.to_le_bytes()).collect();
        let mut stored = Vec::with_capacity(1 + CHECKSUM_BYTES + bits.len());
        stored.push(Self::FORMAT);
        stored.extend_from_slice(&checksum(&bits));
        stored.extend_from_slice(&bits);
        Some(stored)
    }

    /// Reads a stored filter; `None` if it is not a complete and unchanged filter of this format.
    pub fn from_bytes(stored: &[u8]) -> Option<Self> {
        let (format, rest) = stored.split_first()?;
        let (written, bits) = rest.split_at_checked(CHECKSUM_BYTES)?;
        if *format != Self::FORMAT || bits.is_empty() || written != checksum(bits) {
            return None;
        }
        let (blocks, []) = bits.as_chunks::<BLOCK_BYTES>() else { return None };
        let word = |block: &[u8; BLOCK_BYTES], at| u32::from_le_bytes(std::array::from_fn(|byte| block[4 * at + byte]));
        Some(Self { blocks: blocks.iter().map(|block| std::array::from_fn(|at| word(block, at))).collect() })
    }

    /// Returns false only for codes that are not in the run.
    pub fn may_contain(&self, code: Fingerprint) -> bool {
        let block = self.blocks[self.block_of(code)];
        // All words are tested: a branch at the first word without the bit costs more.
        let absent = block.iter().zip(code.bits()).fold(0, |absent, (word, bit)| absent | (bit & !word));
        absent == 0
    }

    fn insert(&mut self, code: Fingerprint) {
        let at = self.block_of(code);
        self.blocks[at].iter_mut().zip(code.bits()).for_each(|(word, bit)| *word |= bit);
    }

    fn block_of(&self, code: Fingerprint) -> usize {
        (((code.0 >> 32) * self.blocks.len() as u64) >> 32) as usize
    }
}

impl Fingerprint {
    fn bits(self) -> Block {
        SALTS.map(|salt| 1 << ((self.0 as u32).wrapping_mul(salt) >> 27))
    }
}

/// Returns how many codes a block holds on average before it answers "maybe" too often.
fn codes_a_block(false_positive_rate: f64) -> f64 {
    let (mut few, mut many) = (0.0, CODES_A_BLOCK_MAX);
    for _halving in 0..50 {
        let middle = f64::midpoint(few, many);
        if rate_of(middle) < false_positive_rate { few = middle } else { many = middle }
    }
    many
}

const CODES_A_BLOCK_MAX: f64 = 256.0;

/// Returns the share of absent codes for which such blocks answer "maybe". Codes fall into blocks by chance, so some
/// blocks hold more than others: a Poisson distribution.
fn rate_of(codes_a_block: f64) -> f64 {
    let most = (codes_a_block + 12.0 * codes_a_block.sqrt() + 12.0) as i32;
    let mut chance = (-codes_a_block).exp();
    let mut rate = 0.0;
    for codes in 1..=most {
        chance *= codes_a_block / f64::from(codes);
        rate += chance * (1.0 - (31.0_f64 / 32.0).powi(codes)).powi(8);
    }
    rate
}

impl Prefilter {
    /// Returns the size of all its filters together.
    pub fn size(&self) -> FilterSize {
        let (mut words, mut bits) = (0u64, 0u64);
        for word in
            self.runs.iter().filter_map(|run| run.filter.as_ref()).flat_map(|filter| filter.blocks.iter().flatten())
        {
            words += 1;
            bits += u64::from(word.count_ones());
        }
        let fill = if words == 0 { 0.0 } else { bits as f64 / (words * u64::from(u32::BITS)) as f64 };
        FilterSize { bytes: words * size_of::<u32>() as u64, fill }
    }

    /// Returns the codes that may exist; all are ascending. Each is tested against every run whose range contains it.
    pub fn suspects(&self, codes: &CodeBatch) -> CodeBatch {
        let fingerprints: Vec<_> = codes.iter().map(fingerprint).collect();
        let mut suspect = vec![false; codes.len()];
        for RunFilter { range_first, range_last, filter } in &self.runs {
            for index in codes.range(range_first, range_last) {
                suspect[index] |= filter.as_ref().is_none_or(|filter| filter.may_contain(fingerprints[index]));
            }
        }
        for code in &self.single_codes {
            codes.range(code, code).for_each(|index| suspect[index] = true);
        }
        codes.select(&suspect)
    }
}

fn checksum(bits: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let digest = Sha256::digest(bits);
    std::array::from_fn(|at| digest[at])
}

#[cfg(test)]
mod tests {
    use super::{codes_a_block, rate_of};

    #[test]
    fn blocks_are_filled_to_the_wanted_false_positive_rate() {
        for wanted in [0.5, 0.1, 0.01, 0.001, 0.000_1] {
            let rate = rate_of(codes_a_block(wanted));
            assert!((rate / wanted - 1.0).abs() < 1e-6, "{rate} instead of {wanted}");
        }
    }

    #[test]
    fn fuller_blocks_answer_maybe_more_often() {
        let rates = [0.5, 1.0, 8.0, 16.0, 64.0].map(rate_of);
        assert!(rates.is_sorted_by(|a, b| a < b), "{rates:?}");
    }
}
