//! Compares a chunk's candidates with existing codes, and replaces those that exist: by filter, by looking them up or,
//! in a crowded slice, by reading the slice. A filter's "maybe" is never final: such candidates are looked up.

use std::sync::Arc;

use crate::mint::candidates::{Candidates, Fresh};
use crate::mint::times::Stopwatch;
use codemint_codes::batch::CodeBatch;
use codemint_codes::free_ranks::FreeRanks;
use codemint_codes::keyspace::{Keyspace, Rank};
use codemint_codes::mask::Mask;
use codemint_codes::prefilter::{Filter, FilterSize, Prefilter, RunFilter};
use codemint_codes::rules::Rules;
use codemint_codes::screening::{FilterLimits, LookUpReason, Overlap, RUNS_MAX, SINGLE_CODES_MAX, Screening};
use codemint_codes::slice::Slice;
use codemint_store::admission::overlaps::{CodeRange, PAGE_RANKS, Run};
use codemint_store::connection::blocking::off_the_async_threads;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::time_limit::in_time;
use codemint_store::connection::transaction::StoreTransaction;
use codemint_store::minting::write_order::WriteOrder;
use codemint_telemetry::metrics::chunks::FiltersHeld;

/// The way in which a chunk's candidates are compared with existing codes.
#[derive(Debug)]
pub(crate) struct Screen {
    pub screening: Screening,
    pub order: WriteOrder,
    prefilter: Arc<Prefilter>,
    /// Counts loaded filters in the metrics; `None` if none were loaded.
    _held: Option<FiltersHeld>,
}

impl Screen {
    /// Asks the store which codes these candidates (ascending, of the job's mask) may collide with, and chooses.
    pub async fn choose(
        job_no: i64,
        mask: &Mask,
        candidates: &CodeBatch,
        limits: &FilterLimits,
        snapshot: &mut StoreTransaction,
    ) -> Result<Self, StoreError> {
        let plain = |screening| Ok(Self::without_filters(screening, WriteOrder::Ascending));
        let (Some(first), Some(last)) = (candidates.first(), candidates.last()) else {
            return plain(Screening::NothingOverlaps);
        };
        let count = candidates.len() as u64;
        if let Some(screening) = Screening::without_asking(count, limits) {
            return plain(screening);
        }
        let range = CodeRange { first, last };
        let masks = in_time(snapshot.find_masks_in_use(range)).await?;
        let overlapping: Vec<i64> =
            masks.iter().filter(|other| mask.meets(&other.mask)).map(|other| other.mask_no).collect();
        let runs = in_time(snapshot.find_runs(&overlapping, range, RUNS_MAX + 1)).await?;
        let single_codes = in_time(snapshot.find_single_codes(&overlapping, range, SINGLE_CODES_MAX + 1)).await?;
        let screening = Screening::choose(count, &overlap(candidates, &runs, single_codes.len()), limits);
        match screening {
            Screening::Filter => {}
            Screening::NothingOverlaps => {
                let order = in_time(snapshot.find_write_order(job_no, &overlapping, last)).await?;
                return Ok(Self::without_filters(screening, order));
            }
            _ => return plain(screening),
        }
        let run_nos: Vec<i64> = runs.iter().filter(|run| run.filter_bytes > 0).map(|run| run.run_no).collect();
        let mut stopwatch = Stopwatch::start();
        let stored = in_time(snapshot.read_filters(&run_nos)).await?;
        let load = move || {
            let prefilter = prefilter_of(runs, &stored, single_codes);
            let FilterSize { bytes, fill } = prefilter.size();
            (prefilter, bytes, fill)
        };
        let (prefilter, bytes, fill) = off_the_async_threads(load).await;
        let held = FiltersHeld::begin(bytes, fill, stopwatch.lap());
        let order = WriteOrder::Ascending;
        Ok(Self { screening, order, prefilter: Arc::new(prefilter), _held: Some(held) })
    }

    /// Returns the screen for candidates that met a duplicate when they were written: only looking up helps then.
    pub fn exact() -> Self {
        Self::without_filters(Screening::LookUp(LookUpReason::Cheaper), WriteOrder::Ascending)
    }

    fn without_filters(screening: Screening, order: WriteOrder) -> Self {
        Self { screening, order, prefilter: Arc::default(), _held: None }
    }

    /// Replaces every candidate that exists. In the end each one is new to the store as of `snapshot`, or the slice has
    /// none left. `fresh` holds the candidates that were not compared yet. Also returns all codes.
    pub async fn replace_present(
        &self,
        snapshot: &mut StoreTransaction,
        mut candidates: Candidates,
        mut fresh: Fresh,
    ) -> Result<(Candidates, CodeBatch), StoreError> {
        while !fresh.ranks.is_empty() {
            let (present, false_positives) = self.find_present(snapshot, &fresh.codes).await?;
            candidates.rejections.false_positives += false_positives;
            if present.is_empty() {
                break;
            }
            (candidates, fresh) = replace_or_read(snapshot, candidates, present).await?;
        }
        // A slice too long to be read commits what it has; the missing codes go to a further round.
        let can_be_read = candidates.draw.slice().length <= FreeRanks::RANKS_MAX;
        if candidates.is_in_vain() && candidates.draw.missing() > 0 && can_be_read {
            candidates = fill_from_free(snapshot, candidates).await?;
        }
        Ok(off_the_async_threads(move || {
            let batch = candidates.batch(fresh);
            (candidates, batch)
        })
        .await)
    }

    /// Returns the codes that exist, ascending, and the number of others for which a filter said "maybe".
    pub async fn find_present(
        &self,
        snapshot: &mut StoreTransaction,
        codes: &CodeBatch,
    ) -> Result<(Vec<String>, u64), StoreError> {
        match self.screening {
            Screening::NothingOverlaps | Screening::LeftToTheIndex => Ok((Vec::new(), 0)),
            Screening::LookUp(_) => Ok((in_time(snapshot.find_present(codes)).await?, 0)),
            Screening::Filter => {
                let (prefilter, codes) = (Arc::clone(&self.prefilter), codes.clone());
                let suspects = off_the_async_threads(move || prefilter.suspects(&codes)).await;
                if suspects.is_empty() {
                    return Ok((Vec::new(), 0));
                }
                let present = in_time(snapshot.find_present(&suspects)).await?;
                let false_positives = (suspects.len() - present.len()) as u64;
                Ok((present, false_positives))
            }
        }
    }
}

/// Draws replacements for candidates that exist, from the whole slice or, if it is crowded, from its free ranks.
async fn replace_or_read(
    snapshot: &mut StoreTransaction,
    mut candidates: Candidates,
    present: Vec<String>,
) -> Result<(Candidates, Fresh), StoreError> {
    let crowded = candidates.attempts(present.len()).show_a_crowd();
    let (candidates, fresh) = off_the_async_threads(move || {
        let ranks: Vec<Rank> = present.iter().filter_map(|code| candidates.keyspace.rank(code)).collect();
        if crowded {
            candidates.reject_present(&ranks);
            (candidates, Fresh::none())
        } else {
            let fresh = candidates.replace_present(&ranks);
            (candidates, fresh)
        }
    })
    .await;
    if crowded { Ok((fill_from_free(snapshot, candidates).await?, Fresh::none())) } else { Ok((candidates, fresh)) }
}

/// Completes the draw of a crowded slice: reads its codes and chooses among the free and allowed ranks, with equal
/// probability.
async fn fill_from_free(snapshot: &mut StoreTransaction, mut candidates: Candidates) -> Result<Candidates, StoreError> {
    let windows: Vec<Slice> = candidates.draw.slice().pieces(FreeRanks::RANKS_MAX).collect();
    tracing::debug!(ranks = candidates.draw.slice().length, "the slice is crowded; reading its codes");
    if let [only] = windows[..] {
        let free = read_free(snapshot, &candidates, only).await?;
        let wanted = candidates.draw.missing();
        return Ok(draw_from(candidates, free, wanted).await);
    }
    let mut free = Vec::new();
    for window in &windows {
        let mut ranks = read_free(snapshot, &candidates, *window).await?;
        candidates.draw.take_tried(&mut ranks);
        free.push(ranks.len());
    }
    let allotted = candidates.draw.allot(&free);
    for (window, wanted) in windows.into_iter().zip(allotted).filter(|(_, wanted)| *wanted > 0) {
        let free = read_free(snapshot, &candidates, window).await?;
        candidates = draw_from(candidates, free, wanted).await;
    }
    Ok(candidates)
}

async fn draw_from(mut candidates: Candidates, free: FreeRanks, wanted: usize) -> Candidates {
    off_the_async_threads(move || {
        candidates.draw_from(free, wanted);
        candidates
    })
    .await
}

/// Returns the ranks of a slice that no stored code has and no rule forbids.
async fn read_free(
    snapshot: &mut StoreTransaction,
    candidates: &Candidates,
    slice: Slice,
) -> Result<FreeRanks, StoreError> {
    let mut free = FreeRanks::new(slice);
    for page in slice.pieces(PAGE_RANKS) {
        let codes = in_time(snapshot.read_page(&candidates.keyspace, page)).await?;
        let (keyspace, rules) = (Arc::clone(&candidates.keyspace), Arc::clone(&candidates.rules));
        free = off_the_async_threads(move || {
            codes.lines().filter_map(|code| keyspace.rank(code)).for_each(|rank| free.take(rank));
            take_forbidden(&mut free, &keyspace, &rules, page);
            free
        })
        .await;
    }
    Ok(free)
}

fn take_forbidden(free: &mut FreeRanks, keyspace: &Keyspace, rules: &Rules, page: Slice) {
    if rules.is_empty() {
        return;
    }
    let ranks: Vec<Rank> = (page.start..page.start + page.length).collect();
    let forbidden = rules.forbidden_of(&keyspace.batch(&ranks));
    forbidden.iter().for_each(|&(index, _)| free.take(ranks[index]));
}

/// Combines the runs with their filters.
fn prefilter_of(runs: Vec<Run>, stored: &[(i64, Vec<u8>)], single_codes: Vec<String>) -> Prefilter {
    let filter_of = |run_no| {
        let (_, bytes) = stored.iter().find(|(stored_of, _)| *stored_of == run_no)?;
        let filter = Filter::from_bytes(bytes);
        if filter.is_none() {
            tracing::warn!(run_no, "the filter of a run is broken; its codes are looked up instead");
        }
        filter
    };
    let with_filter = |Run { run_no, range_first, range_last, .. }| {
        let filter = filter_of(run_no);
        RunFilter { range_first, range_last, filter }
    };
    Prefilter { runs: runs.into_iter().map(with_filter).collect(), single_codes }
}

/// Measures how many runs and single codes these candidates may collide with.
fn overlap(candidates: &CodeBatch, runs: &[Run], single_codes: usize) -> Overlap {
    let mut overlap = Overlap { runs: runs.len() as u64, single_codes: single_codes as u64, ..Overlap::default() };
    for run in runs {
        let pairs = candidates.range(&run.range_first, &run.range_last).len() as u64;
        overlap.pairs += pairs;
        overlap.filter_bytes += run.filter_bytes;
        if run.filter_bytes == 0 {
            overlap.pairs_unfiltered += pairs;
        }
    }
    overlap
}
