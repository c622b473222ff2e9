//! Chooses how a chunk's candidates are compared with existing codes, and loads the filters for it.

use crate::mint::times::Stopwatch;
use codemint_codes::batch::CodeBatch;
use codemint_codes::mask::Mask;
use codemint_codes::prefilter::{Filter, FilterSize, Prefilter, RunFilter};
use codemint_codes::screening::{FilterLimits, Overlap, RUNS_MAX, SINGLE_CODES_MAX, Screening};
use codemint_store::admission::overlaps::{CodeRange, Run};
use codemint_store::connection::blocking::off_the_async_threads;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::transaction::StoreTransaction;
use codemint_store::minting::write_order::WriteOrder;
use codemint_telemetry::metrics::chunks::FiltersHeld;

/// The way in which a chunk's candidates are compared with existing codes, and the order in which they are written.
#[derive(Debug)]
pub(crate) struct Screen {
    pub screening: Screening,
    pub order: WriteOrder,
    pub prefilter: Prefilter,
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
        let (Some(first), Some(last)) = (candidates.first(), candidates.last()) else {
            return Ok(Self::without_filters(Screening::NothingOverlaps));
        };
        let count = candidates.len() as u64;
        if let Some(screening) = Screening::without_asking(count, limits) {
            return Ok(Self::without_filters(screening));
        }
        let range = CodeRange { first, last };
        let masks = snapshot.find_masks_in_use(range).await?;
        let overlapping: Vec<i64> =
            masks.iter().filter(|other| mask.meets(&other.mask)).map(|other| other.mask_no).collect();
        let runs = snapshot.find_runs(&overlapping, range, RUNS_MAX + 1).await?;
        let single_codes = snapshot.find_single_codes(&overlapping, range, SINGLE_CODES_MAX + 1).await?;
        let overlap = overlap(candidates, &runs, single_codes.len());
        let screening = Screening::choose(count, &overlap, limits, snapshot.look_up_a_code_us());
        match screening {
            Screening::Filter => Self::with_filters(runs, single_codes, snapshot).await,
            Screening::NothingOverlaps => {
                let order = snapshot.find_write_order(job_no, &overlapping, last).await?;
                Ok(Self { order, ..Self::without_filters(screening) })
            }
            _ => Ok(Self::without_filters(screening)),
        }
    }

    async fn with_filters(
        runs: Vec<Run>,
        single_codes: Vec<String>,
        snapshot: &mut StoreTransaction,
    ) -> Result<Self, StoreError> {
        let run_nos: Vec<i64> = runs.iter().filter(|run| run.filter_bytes > 0).map(|run| run.run_no).collect();
        let mut stopwatch = Stopwatch::start();
        let stored = snapshot.read_filters(&run_nos).await?;
        let load = move || {
            let prefilter = prefilter_of(runs, &stored, single_codes);
            let size = prefilter.size();
            (prefilter, size)
        };
        let (prefilter, FilterSize { bytes, fill }) = off_the_async_threads(load).await;
        let held = FiltersHeld::begin(bytes, fill, stopwatch.lap());
        Ok(Self { prefilter, _held: Some(held), ..Self::without_filters(Screening::Filter) })
    }

    fn without_filters(screening: Screening) -> Self {
        Self { screening, order: WriteOrder::Ascending, prefilter: Prefilter::default(), _held: None }
    }
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
