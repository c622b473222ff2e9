//! The Bloom filter of a run: says of a code "not in this run" for certain, or "maybe". The prefilter is those of the runs
//! that a slice meets.
//!
//! Stored as one byte of format, eight of checksum, and the filter. What is broken or of another format is no filter: its
//! run is looked up exactly.

use bloomfilter::Bloom;
use bloomfilter::reexports::siphasher::sip::SipHasher13;
use sha2::{Digest, Sha256};

use crate::code::batch::CodeBatch;

const FORMAT: u8 = 1;
const CHECKSUM_BYTES: usize = 8;
/// Fixed, so that a filter is a function of its codes and one fingerprint serves all filters. Nothing is at stake: a code
/// that looks familiar is looked up.
const SEED: [u8; 32] = *b"codemint prefilter, format one..";
/// A filter costs its writer and every reader something; a run of one code is told by its range.
pub const FILTER_CODES_MIN: usize = 2;

/// The filter of one run.
///
/// ```
/// use codemint::code::batch::CodeBatch;
/// use codemint::code::prefilter::{Filter, fingerprint};
///
/// let run = CodeBatch::from_lines("AB12\nAB34\n".to_owned());
/// let stored = Filter::bytes_of(&run, 0.001).unwrap();
/// let filter = Filter::from_bytes(&stored).unwrap();
/// assert!(run.iter().all(|code| filter.may_contain(fingerprint(code))));
/// ```
#[derive(Debug)]
pub struct Filter(Bloom<u64>);

/// What is known of the runs that a slice meets.
#[derive(Debug, Default)]
pub struct Prefilter {
    pub runs: Vec<RunFilter>,
    /// Codes of runs of one code.
    pub single_codes: Vec<String>,
}

/// A run of more than one code.
#[derive(Debug)]
pub struct RunFilter {
    /// First and last code of the run.
    pub range_first: String,
    pub range_last: String,
    /// Without one every code in the range may be the run's.
    pub filter: Option<Filter>,
}

/// What filters know of a code: made once, asked of many filters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(u64);

pub fn fingerprint(code: &str) -> Fingerprint {
    // The byte order in which a number is hashed is the machine's; this makes it the same on all.
    Fingerprint(SipHasher13::new().hash(code.as_bytes()).to_le())
}

impl Filter {
    /// The filter of these codes as it is stored: 1.8 bytes a code at a rate of 0.001. `None` for runs too small to
    /// deserve one. The rate lies between 0 and 1.
    pub fn bytes_of(codes: &CodeBatch, false_positive_rate: f64) -> Option<Vec<u8>> {
        if codes.len() < FILTER_CODES_MIN {
            return None;
        }
        let mut bloom = Bloom::new_for_fp_rate_with_seed(codes.len(), false_positive_rate, &SEED).ok()?;
        codes.iter().for_each(|code| bloom.set(&fingerprint(code).0));
        let bits = bloom.into_bytes();
        let mut stored = Vec::with_capacity(1 + CHECKSUM_BYTES + bits.len());
        stored.push(FORMAT);
        stored.extend_from_slice(&checksum(&bits));
        stored.extend_from_slice(&bits);
        Some(stored)
    }

    /// `None` for what is no filter of this format, whole and unchanged.
    pub fn from_bytes(stored: &[u8]) -> Option<Self> {
        let (format, rest) = stored.split_first()?;
        let (written, bits) = rest.split_at_checked(CHECKSUM_BYTES)?;
        if *format != FORMAT || written != checksum(bits) {
            return None;
        }
        // One without bits would divide by zero; one whose bits are all 0 is a filter.
        Bloom::from_slice(bits).ok().filter(|bloom| bloom.len() >= u64::from(u8::BITS)).map(Self)
    }

    /// False only for codes that are not in the run.
    pub fn may_contain(&self, code: Fingerprint) -> bool {
        self.0.check(&code.0)
    }
}

impl Prefilter {
    /// Those of the codes, ascending, that may exist. Each is asked of every run whose range holds it.
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
