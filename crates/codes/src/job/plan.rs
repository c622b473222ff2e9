//! Cuts a job into chunks, round by round, and decides how it continues when none of them is open.

use crate::job::state::{JobError, State};
use crate::keyspace::Keyspace;
use crate::random::Key;
use crate::slice::{Slice, quotas};
use crate::text::plural;

/// One chunk of a round: a number of codes and the slice that they come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedChunk {
    pub chunk_no: u32,
    /// The first and last code of the slice, whether minted or not: the form in which the store records the slice.
    pub range_first: String,
    pub range_last: String,
    pub quota: u64,
}

/// Returns the chunks of one round of a job, in ascending order of codes.
///
/// ```
/// use codemint_codes::job::plan::{plan_round, slice_of_range};
/// use codemint_codes::keyspace::Keyspace;
/// use codemint_codes::random::Key;
///
/// let keyspace = Keyspace::new(&"A####".parse()?);
/// let chunks: Vec<_> = plan_round(&keyspace, &Key::new([7; 32]), 0, 25, 10).collect();
/// assert_eq!(chunks.iter().map(|chunk| chunk.quota).sum::<u64>(), 25);
/// assert_eq!((chunks[0].range_first.as_str(), chunks[2].range_last.as_str()), ("A0000", "A9999"));
///
/// let first = slice_of_range(&keyspace, &chunks[0].range_first, &chunks[0].range_last).unwrap();
/// assert_eq!((first.start, first.length), (0, 3334));
/// # Ok::<(), codemint_codes::mask::MaskError>(())
/// ```
pub fn plan_round(
    keyspace: &Keyspace,
    key: &Key,
    round: u32,
    count: u64,
    chunk_size: u32,
) -> impl Iterator<Item = PlannedChunk> {
    // At most 10^9 codes, so at most 10^9 slices: the numbers fit.
    let slices = count.div_ceil(u64::from(round_chunk_size(round, chunk_size))) as u32;
    (0..).zip(quotas(key, round, keyspace.size(), count, slices)).map(move |(chunk_no, (slice, quota))| {
        let (range_first, range_last) = slice.range(keyspace);
        PlannedChunk { chunk_no, range_first, range_last, quota }
    })
}

/// Raises the chunk size of further rounds to 2: no quota is then 0, so a round without codes found every slice full.
const fn round_chunk_size(round: u32, chunk_size: u32) -> u32 {
    if round > 0 && chunk_size < 2 { 2 } else { chunk_size }
}

/// Returns the slice of a stored chunk from the first and last code of its range; `None` if this keyspace lacks them.
pub fn slice_of_range(keyspace: &Keyspace, range_first: &str, range_last: &str) -> Option<Slice> {
    let (start, last) = (keyspace.body_rank(range_first)?, keyspace.body_rank(range_last)?);
    Some(Slice { start, length: last.checked_sub(start)? + 1 })
}

/// The totals over the chunks of a job when none is open.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tally {
    pub minted: u64,
    /// The number of codes of an import that existed already: they are not missing.
    pub imported_before: u64,
    pub last_round: u32,
    pub last_round_minted: u64,
}

/// The decision about a job that has no open chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closing {
    End { state: State, error: Option<JobError> },
    NextRound { round: u32, count: u64 },
}

/// Decides how a job continues when no chunk is open. With a `failure` it ends, unless all codes exist already.
///
/// ```
/// use codemint_codes::job::plan::{Closing, Tally, decide_closing};
/// use codemint_codes::job::state::State;
///
/// let after_first_round = Tally { minted: 90, last_round_minted: 90, ..Tally::default() };
/// let next = decide_closing(State::Running, None, 100, after_first_round);
/// assert_eq!(next, Closing::NextRound { round: 1, count: 10 });
///
/// let complete = Tally { minted: 100, last_round: 1, last_round_minted: 10, ..Tally::default() };
/// let end = decide_closing(State::Running, None, 100, complete);
/// assert_eq!(end, Closing::End { state: State::Completed, error: None });
/// ```
pub fn decide_closing(state: State, failure: Option<JobError>, count: u64, tally: Tally) -> Closing {
    let missing = count.saturating_sub(tally.minted + tally.imported_before);
    if missing == 0 {
        return Closing::End { state: State::Completed, error: None };
    }
    if state == State::Cancelling {
        let message = format!("cancelled after {} of {count} {}", tally.minted, plural(count, "code"));
        let error = JobError { code: "cancelled".to_owned(), message };
        return Closing::End { state: State::Cancelled, error: Some(error) };
    }
    if let Some(JobError { code, message }) = failure {
        let message = format!("{message}; minted {} of {count}", tally.minted);
        return Closing::End { state: State::Failed, error: Some(JobError { code, message }) };
    }
    // Round 0 may have quotas of 0, so it proves nothing about slices from which it requested nothing.
    if tally.last_round > 0 && tally.last_round_minted == 0 {
        let message = format!("no free code is left in the keyspace; minted {} of {count}", tally.minted);
        let error = JobError { code: "keyspace_exhausted".to_owned(), message };
        return Closing::End { state: State::Failed, error: Some(error) };
    }
    Closing::NextRound { round: tally.last_round + 1, count: missing }
}

#[cfg(test)]
mod tests {
    use super::round_chunk_size;

    #[test]
    fn further_rounds_never_plan_a_chunk_of_no_codes() {
        assert_eq!([0, 1, 2].map(|round| round_chunk_size(round, 1)), [1, 2, 2]);
        assert_eq!([0, 1, 2].map(|round| round_chunk_size(round, 50_000)), [50_000; 3]);
    }
}
