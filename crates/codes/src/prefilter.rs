//! The Bloom filter of a run: for a code it answers "not in this run", which is certain, or "maybe". The prefilter
//! consists of the filters of the runs that a slice overlaps.
//!
//! It is stored as one byte of format, eight bytes of checksum, and the filter as the library serializes it. A filter
//! that is broken or of another format is ignored: codes are then looked up in its run exactly.

use bloomfilter::Bloom;
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
pub struct Filter(Bloom<Fingerprint>);

/// The keys of the filters' two hash functions, which need no secret: a code that looks familiar is looked up. Equal keys
/// would make one function of the two, and "maybe" twenty times as frequent.
const SEED: [u8; 32] = *b"codemint filter 1codemint filter";
/// More hash functions than any filter needs; a filter with more would be slow to query.
const HASH_FUNCTIONS_MAX: u32 = 64;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Fingerprint(u64);

/// Hashes a code without a secret key, so that a filter is a function of its codes and one fingerprint serves all
/// filters. This is safe: a code that looks familiar is looked up.
pub fn fingerprint(code: &str) -> Fingerprint {
    Fingerprint(SipHasher13::new().hash(code.as_bytes()))
}

impl Filter {
    /// The first byte of a stored filter. Formats 1 and 2 are those of earlier versions.
    pub const FORMAT: u8 = 3;

    /// Returns the filter of these codes as it is stored: 1.8 bytes per code at a rate of 0.001. `None` for runs too
    /// small for a filter. The rate lies between 0 and 1.
    pub fn bytes_of(codes: &CodeBatch, false_positive_rate: f64) -> Option<Vec<u8>> {
        if codes.len() < FILTER_CODES_MIN {
            return None;
        }
        let mut filter = Bloom::new_for_fp_rate_with_seed(codes.len(), false_positive_rate, &SEED).ok()?;
        codes.iter().for_each(|code| filter.set(&fingerprint(code)));
        let bits = filter.as_slice();
        Some([&[Self::FORMAT], &checksum(bits)[..], bits].concat())
    }

    /// Reads a stored filter; `None` if it is not a complete and unchanged filter of this format.
    pub fn from_bytes(stored: &[u8]) -> Option<Self> {
        let (format, rest) = stored.split_first()?;
        let (written, bits) = rest.split_at_checked(CHECKSUM_BYTES)?;
        if *format != Self::FORMAT || written != checksum(bits) {
            return None;
        }
        let filter = Bloom::from_slice(bits).ok()?;
        let is_usable = filter.len() >= 8 && filter.number_of_hash_functions() <= HASH_FUNCTIONS_MAX;
        is_usable.then_some(Self(filter))
    }

    /// Returns false only for codes that are not in the run.
    pub fn may_contain(&self, code: Fingerprint) -> bool {
        self.0.check(&code)
    }
}

impl Prefilter {
    /// Returns the size of all its filters together.
    pub fn size(&self) -> FilterSize {
        let filters = self.runs.iter().filter_map(|run| run.filter.as_ref()).map(|filter| filter.0.as_slice());
        let (bytes, set) =
            filters.flatten().fold((0, 0), |(bytes, set), byte| (bytes + 1, set + u64::from(byte.count_ones())));
        let fill = if bytes == 0 { 0.0 } else { set as f64 / (8 * bytes) as f64 };
        FilterSize { bytes, fill }
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
