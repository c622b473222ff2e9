//! A chunk ready to be written: its codes are drawn or read, compared with existing codes, and encoded.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::mint::candidates::Candidates;
use crate::mint::screen::Screen;
use crate::mint::times::{PreparationTimes, Stopwatch};
use crate::mint::{Keyed, Source, Task};
use codemint_codes::batch::CodeBatch;
use codemint_codes::draw::Draw;
use codemint_codes::job::plan::slice_of_range;
use codemint_codes::job::record::Rejections;
use codemint_codes::keyspace::Rank;
use codemint_codes::mask::Mask;
use codemint_codes::prefilter::Filter;
use codemint_codes::random::Stream;
use codemint_codes::rules::Rules;
use codemint_codes::screening::{FilterLimits, Screening, ScreeningMode};
use codemint_import::sorted::Sorted;
use codemint_store::connection::blocking::off_the_async_threads;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::time_limit::in_time;
use codemint_store::connection::transaction::StoreTransaction;
use codemint_store::minting::chunks::{Checkpoint, EncodedCodes, OpenChunk};
use codemint_store::minting::write_order::WriteOrder;

#[derive(Debug)]
pub(crate) struct Prepared {
    run_no: i64,
    contents: Contents,
    /// The way it was screened. The filters themselves are not kept: they are large and no longer needed.
    pub screening: Screening,
    pub encoded: Encoded,
    pub times: PreparationTimes,
}

/// The origin of the codes, which decides what replaces those that exist already.
#[derive(Debug)]
enum Contents {
    Drawn(Box<Candidates>),
    /// Codes of an import cannot be replaced: those that exist are left out.
    Imported(Rejections),
}

/// The codes in the form in which they are written, and their checkpoint.
#[derive(Debug)]
pub(crate) struct Encoded {
    pub batch: CodeBatch,
    pub codes: EncodedCodes,
    pub checkpoint: Checkpoint,
}

impl Prepared {
    pub async fn new(task: Arc<Task>, chunk: OpenChunk, recycled: CodeBatch) -> Result<Self, StoreError> {
        let mut snapshot = in_time(task.store.begin_reading()).await?;
        let prepared = match &task.source {
            Source::Mask(keyed) => draw(&task, keyed, &chunk, &mut snapshot, recycled).await?,
            Source::Import(sorted) => read(&task, sorted, &chunk, &mut snapshot).await?,
        };
        in_time(snapshot.rollback()).await?;
        Ok(prepared)
    }

    /// Looks its codes up again, because another process has stored some of them since the comparison, and replaces
    /// those that exist. Also returns how many there were.
    pub async fn replace_conflicting(self, task: &Task) -> Result<(Self, usize), StoreError> {
        let Self { run_no, contents, screening, encoded, times } = self;
        let mut snapshot = in_time(task.store.begin_reading()).await?;
        let present = in_time(snapshot.find_present(&encoded.batch)).await?;
        let conflicts = present.len();
        let (contents, batch) = match contents {
            Contents::Drawn(mut candidates) => {
                let (candidates, fresh) = off_the_async_threads(move || {
                    let taken: Vec<Rank> = present.iter().filter_map(|code| candidates.keyspace.rank(code)).collect();
                    let fresh = candidates.replace_conflicting(&taken);
                    (candidates, fresh)
                })
                .await;
                let (candidates, batch) = Screen::exact().replace_present(&mut snapshot, *candidates, fresh).await?;
                (Contents::Drawn(Box::new(candidates)), batch)
            }
            Contents::Imported(mut rejections) => {
                rejections.conflicts += conflicts as u64;
                (Contents::Imported(rejections), encoded.batch.without(&present))
            }
        };
        in_time(snapshot.rollback()).await?;
        // Another process writes codes of this mask.
        let order = WriteOrder::Ascending;
        let encoded = encode(task, run_no, &contents, batch, screening, order).await;
        Ok((Self { run_no, contents, screening, encoded, times }, conflicts))
    }
}

/// Encodes codes for writing, and builds their checkpoint.
async fn encode(
    task: &Task,
    run_no: i64,
    contents: &Contents,
    batch: CodeBatch,
    screening: Screening,
    order: WriteOrder,
) -> Encoded {
    let (store, limits) = (task.store.clone(), task.limits);
    let rejections = match contents {
        Contents::Drawn(candidates) => candidates.rejections,
        Contents::Imported(rejections) => *rejections,
    };
    off_the_async_threads(move || {
        let codes = store.encode_codes(run_no, &batch, order);
        let checkpoint = Checkpoint {
            // At most the chunk's quota, which is a `u32`.
            minted: batch.len() as u32,
            rejections,
            screening,
            digest: Sha256::digest(batch.as_lines()).into(),
            range: batch.first().zip(batch.last()).map(|(first, last)| (first.to_owned(), last.to_owned())),
            filter: filter_of(&batch, limits),
        };
        Encoded { batch, codes, checkpoint }
    })
    .await
}

/// Returns the filter of these codes in its stored form, if filters are in use.
fn filter_of(batch: &CodeBatch, limits: FilterLimits) -> Option<Vec<u8>> {
    (limits.mode == ScreeningMode::Auto).then(|| Filter::bytes_of(batch, limits.false_positive_rate)).flatten()
}

/// Draws the codes of a chunk.
async fn draw(
    task: &Task,
    keyed: &Keyed,
    chunk: &OpenChunk,
    snapshot: &mut StoreTransaction,
    recycled: CodeBatch,
) -> Result<Prepared, StoreError> {
    let reserved = in_time(snapshot.find_reserved(keyed.mask.code_length())).await?;
    let rules = Rules::new(&keyed.mask, &reserved, keyed.denied.clone());
    let slice = slice_of_range(&keyed.keyspace, &chunk.range_first, &chunk.range_last).ok_or_else(|| {
        let problem = format!("run {} has a range outside its mask", chunk.run_no);
        StoreError::Corrupt { table: "chunks", problem }
    })?;
    let stream = Stream::chunk(chunk.round, chunk.chunk_no);
    let (keyspace, key, quota) = (Arc::clone(&keyed.keyspace), keyed.key.clone(), chunk.quota as usize);
    let draw_first = move || Candidates::new(keyspace, rules, Draw::new(&key, stream, slice, quota), recycled);
    let mut stopwatch = Stopwatch::start();
    let (candidates, fresh) = off_the_async_threads(draw_first).await;
    let draw = stopwatch.lap();
    let screen = Screen::choose(task.job_no, &keyed.mask, &fresh.codes, &task.limits, snapshot).await?;
    let (candidates, batch) = screen.replace_present(snapshot, candidates, fresh).await?;
    let filter = stopwatch.lap();
    let contents = Contents::Drawn(Box::new(candidates));
    let (run_no, screening) = (chunk.run_no, screen.screening);
    let encoded = encode(task, run_no, &contents, batch, screening, screen.order).await;
    let times = PreparationTimes { draw, filter, encode: stopwatch.lap() };
    Ok(Prepared { run_no, contents, screening, encoded, times })
}

/// Reads the codes of a run of an import.
async fn read(
    task: &Task,
    sorted: &Arc<Sorted>,
    chunk: &OpenChunk,
    snapshot: &mut StoreTransaction,
) -> Result<Prepared, StoreError> {
    let (sorted, index) = (Arc::clone(sorted), chunk.chunk_no as usize);
    let mask = sorted.runs.get(index).map(|run| Mask::of_symbols(run.symbols.clone()));
    let mut stopwatch = Stopwatch::start();
    let run = off_the_async_threads(move || sorted.read_run(index)).await.map_err(StoreError::Input)?;
    let draw = stopwatch.lap();
    let codes = run.codes;
    let is_same = codes.len() == chunk.quota as usize && codes.first() == Some(&*chunk.range_first);
    let Some(mask) = mask.filter(|_| is_same) else {
        let problem = format!("run {} does not match this input", chunk.run_no);
        return Err(StoreError::Corrupt { table: "chunks", problem });
    };
    let screen = Screen::choose(task.job_no, &mask, &codes, &task.limits, snapshot).await?;
    let (present, false_positives) = screen.find_present(snapshot, &codes).await?;
    let rejections = Rejections { existing: present.len() as u64, false_positives, ..Rejections::default() };
    let batch = if present.is_empty() { codes } else { codes.without(&present) };
    let filter = stopwatch.lap();
    let (run_no, screening, contents) = (chunk.run_no, screen.screening, Contents::Imported(rejections));
    let encoded = encode(task, run_no, &contents, batch, screening, screen.order).await;
    let times = PreparationTimes { draw, filter, encode: stopwatch.lap() };
    Ok(Prepared { run_no, contents, screening, encoded, times })
}
