//! Where the codes of a restricted campaign go, and which identities each chunk of a job binds.

use std::ops::Range;

use uuid::Uuid;

/// Where the codes of a restricted campaign go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestrictedTo {
    /// To the identities of a stored list, one code to each identity.
    List { list_id: Uuid },
    /// Into the pool of the campaign: they are nobody's yet.
    Pool,
}

/// Returns below how many codes a pool is refilled: a tenth of its first order.
pub const fn pool_mark(first_order: u64) -> u64 {
    first_order.div_ceil(10)
}

/// Returns how many codes a pool gets, if it has fewer than its mark: as many as were ordered first.
///
/// ```
/// use codemint_codes::job::restriction::refill;
///
/// assert_eq!(refill(100, 1_000), None);
/// assert_eq!(refill(99, 1_000), Some(1_000));
/// ```
pub const fn refill(pooled: u64, first_order: u64) -> Option<u64> {
    if pooled < pool_mark(first_order) { Some(first_order) } else { None }
}

/// How many codes a chunk was to mint, and how many it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkShare {
    pub round: u32,
    pub chunk_no: u32,
    pub quota: u64,
    pub minted: u64,
}

/// Returns the places in a job's list of `count` identities that a chunk binds to its codes, in this order. `chunks` are those
/// of all rounds up to its own, in the order of round and number.
///
/// The chunks of round 0 share the list in their order. The identities for which a chunk found no codes form the list
/// that the chunks of the next round share.
///
/// ```
/// use codemint_codes::job::restriction::{ChunkShare, places_of};
///
/// let share = |round, chunk_no, quota, minted| ChunkShare { round, chunk_no, quota, minted };
/// let chunks = [share(0, 0, 6, 4), share(0, 1, 4, 4), share(1, 0, 2, 0)];
/// assert_eq!(places_of(&chunks, 10, 0, 1), [6..10]);
/// assert_eq!(places_of(&chunks, 10, 1, 0), [4..6]);
/// ```
pub fn places_of(chunks: &[ChunkShare], count: u64, round: u32, chunk_no: u32) -> Vec<Range<u64>> {
    let mut list: Vec<Range<u64>> = std::iter::once(0..count).collect();
    for earlier in 0..round {
        let mut rest = Vec::new();
        let mut offset = 0;
        for chunk in chunks.iter().filter(|chunk| chunk.round == earlier) {
            rest.extend(part(&list, offset + chunk.minted..offset + chunk.quota));
            offset += chunk.quota;
        }
        list = rest;
    }
    let mut offset = 0;
    for chunk in chunks.iter().filter(|chunk| chunk.round == round) {
        if chunk.chunk_no == chunk_no {
            return part(&list, offset..offset + chunk.quota).collect();
        }
        offset += chunk.quota;
    }
    Vec::new()
}

/// Returns what a part of a list of ranges covers; `wanted` counts from the beginning of the list.
fn part(list: &[Range<u64>], wanted: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut before = 0;
    list.iter().filter_map(move |range| {
        let length = range.end - range.start;
        let (from, to) = (wanted.start.max(before) - before, wanted.end.min(before + length).saturating_sub(before));
        before += length;
        (from < to).then(|| range.start + from..range.start + to)
    })
}
