//! Chooses by estimated cost how a chunk's candidates are compared with the codes that exist.

use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::batch::CodeBatch;
use crate::prefilter::Prefilter;

/// The overlap of a chunk with existing codes, from the rows of the runs whose range overlaps its slice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Overlap {
    /// The number of runs of more than one code.
    pub runs: u64,
    /// The bytes of their filters.
    pub filter_bytes: u64,
    /// The number of pairs of a candidate and a run whose range contains the candidate.
    pub pairs: u64,
    /// The number of those pairs whose run has no filter: each candidate of these is looked up.
    pub pairs_unfiltered: u64,
    /// The number of runs of one code.
    pub single_codes: u64,
}

/// The way in which candidates are compared with existing codes. All ways have the same result, but not the same cost.
/// A chunk's row has its name in snake case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str, parse_err_ty = String, parse_err_fn = unknown_screening)]
pub enum Screening {
    /// No other run overlaps the slice.
    NothingOverlaps,
    /// The filters select the candidates that may exist; these are looked up.
    Filter,
    /// Every candidate is looked up, for one of five reasons.
    LookUpFewCodes,
    LookUpTooManyRuns,
    LookUpOverBudget,
    LookUpCheaper,
    LookUpSwitchedOff,
    /// Nothing is compared: a candidate that exists is detected when the chunk is written.
    LeftToTheIndex,
}

fn unknown_screening(text: &str) -> String {
    format!("unknown screening {text:?}")
}

/// The ways that an operator allows. Duplicates cannot arise in any mode: the unique index rejects them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case", parse_err_ty = String, parse_err_fn = unknown_mode)]
pub enum ScreeningMode {
    /// The cheapest way.
    Auto,
    /// No filter is written or read: every candidate is looked up.
    LookUp,
    /// No filter is written or read, and no candidate is looked up before it is written.
    None,
}

fn unknown_mode(text: &str) -> String {
    format!("found {text:?}; write auto, look_up or none")
}

/// The limits that an operator sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FilterLimits {
    pub mode: ScreeningMode,
    /// The false positive rate of the filters that are written.
    pub false_positive_rate: f64,
    /// The maximum number of bytes of filters that are loaded for a chunk.
    pub bytes_max: u64,
}

impl Default for FilterLimits {
    fn default() -> Self {
        Self { mode: ScreeningMode::Auto, false_positive_rate: 0.001, bytes_max: 64 << 20 }
    }
}

/// The number of runs over one slice above which they are not even listed.
pub const RUNS_MAX: u64 = 1024;
/// The number of runs of one code in one slice above which they are not even listed.
pub const SINGLE_CODES_MAX: u64 = 50_000;
/// The number of candidates below which looking them up takes less time than asking what overlaps.
const FEW_CODES: u64 = 256;

// From benches/screening.rs.
pub const LOOK_UP_A_CODE_US: f64 = 1.5;
/// The same at the nodes of a cluster, where the coordinator adds its share. Computed from measurements on one server and
/// from those of a cluster that sent each shard all codes: decision 20.
pub const LOOK_UP_A_CODE_AT_NODES_US: f64 = 10.0;
pub const TEST_A_PAIR_US: f64 = 0.055;
pub const LOAD_A_BYTE_US: f64 = 0.002;
pub const READ_A_SINGLE_CODE_US: f64 = 0.7;

impl Screening {
    /// Returns the choice that needs no question to the store, if there is one.
    pub fn without_asking(candidates: u64, limits: &FilterLimits) -> Option<Self> {
        match limits.mode {
            ScreeningMode::None => Some(Self::LeftToTheIndex),
            _ if candidates < FEW_CODES => Some(Self::LookUpFewCodes),
            ScreeningMode::LookUp => Some(Self::LookUpSwitchedOff),
            ScreeningMode::Auto => None,
        }
    }

    /// Chooses the way for a chunk with this number of candidates, if looking one up takes this many microseconds.
    pub fn choose(candidates: u64, overlap: &Overlap, limits: &FilterLimits, look_up_a_code_us: f64) -> Self {
        if overlap.runs == 0 && overlap.single_codes == 0 {
            return Self::NothingOverlaps;
        }
        if overlap.runs > RUNS_MAX || overlap.single_codes > SINGLE_CODES_MAX {
            return Self::LookUpTooManyRuns;
        }
        if overlap.filter_bytes > limits.bytes_max {
            return Self::LookUpOverBudget;
        }
        let looked_up_anyway = overlap.pairs_unfiltered as f64 + overlap.pairs as f64 * limits.false_positive_rate;
        let filter = overlap.filter_bytes as f64 * LOAD_A_BYTE_US
            + overlap.pairs as f64 * TEST_A_PAIR_US
            + overlap.single_codes as f64 * READ_A_SINGLE_CODE_US
            + looked_up_anyway * look_up_a_code_us;
        if filter < candidates as f64 * look_up_a_code_us { Self::Filter } else { Self::LookUpCheaper }
    }

    /// Returns the codes that may exist and must be looked up, ascending; `None` means all of them.
    pub fn suspects(self, codes: &CodeBatch, prefilter: &Prefilter) -> Option<CodeBatch> {
        match self {
            Self::NothingOverlaps | Self::LeftToTheIndex => Some(CodeBatch::default()),
            Self::Filter => Some(prefilter.suspects(codes)),
            _ => None,
        }
    }

    /// Returns the reason in words, for people.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::NothingOverlaps => "no other run overlaps the slice",
            Self::Filter => "few candidates exist already, and filters select those that may",
            Self::LookUpFewCodes => "so few codes are requested that looking them up is cheapest",
            Self::LookUpTooManyRuns => "so many runs overlap the slice that looking up every candidate is cheaper",
            Self::LookUpOverBudget => "the filters of the overlapping runs exceed prefilter.max_bytes",
            Self::LookUpCheaper => "looking up every candidate is cheaper than testing filters",
            Self::LookUpSwitchedOff => "prefilter.screening is look_up",
            Self::LeftToTheIndex => "prefilter.screening is none",
        }
    }
}

// From benches/screening.rs.
pub const READ_A_CODE_US: f64 = 0.3;
pub const ASK_ONCE_US: f64 = 100.0;

/// The results of drawing and looking up in a slice so far.
#[derive(Clone, Copy, Debug)]
pub struct Attempts {
    /// The number of candidates that were examined so far, and how many of them exist.
    pub tried: u64,
    pub present: u64,
    /// The number of codes that are still missing.
    pub missing: u64,
    pub slice_length: u128,
}

impl Attempts {
    /// Returns true if reading the slice's codes and choosing among the free ranks costs less than continuing to draw
    /// and look up.
    pub fn show_a_crowd(&self) -> bool {
        // Never 0 and never 1, however few were tried.
        let present_share = (self.present as f64 + 0.5) / (self.tried as f64 + 1.0);
        let missing = self.missing as f64;
        let draws = missing / (1.0 - present_share);
        let rounds = 1.0 + missing.ln_1p() / -present_share.ln();
        let reading = ASK_ONCE_US + present_share * self.slice_length as f64 * READ_A_CODE_US;
        reading < rounds * ASK_ONCE_US + draws * LOOK_UP_A_CODE_US
    }
}
