//! A chunk ready to be written: its codes are drawn or read, compared with existing codes, and encoded.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::mint::screen::Screen;
use crate::mint::task::{JobMask, Source, Task};
use crate::mint::times::{PreparationTimes, Stopwatch};
use codemint_codes::batch::CodeBatch;
use codemint_codes::candidates::{Answer, Candidates, FirstCandidates, Need};
use codemint_codes::draw::Draw;
use codemint_codes::job::plan::slice_of_range;
use codemint_codes::mask::Mask;
use codemint_codes::prefilter::Filter;
use codemint_codes::random::{Key, Stream};
use codemint_codes::rules::Rules;
use codemint_codes::screening::{FilterLimits, Screening, ScreeningMode};
use codemint_import::sorted::Sorted;
use codemint_store::connection::blocking::off_the_async_threads;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::transaction::StoreTransaction;
use codemint_store::minting::chunks::{Checkpoint, EncodedCodes, OpenChunk};
use codemint_store::minting::owners::Owners;
use codemint_store::minting::write_order::WriteOrder;

#[derive(Debug)]
pub(crate) struct Prepared {
    run_no: i64,
    /// The source of replacements. Its filters are not kept: they are large and no longer needed.
    candidates: Box<Candidates>,
    pub screening: Screening,
    /// Who the codes are for; `None` for anybody.
    pub owners: Option<Owners>,
    pub encoded: Encoded,
    pub times: PreparationTimes,
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
        let mut snapshot = task.store.begin_reading().await?;
        let First { candidates, mask, draw } = match &task.source {
            Source::Drawn { key, mask } => First::drawn(key, mask, &chunk, &mut snapshot, recycled).await?,
            Source::Imported(sorted) => First::read(sorted, &chunk).await?,
        };
        let mut stopwatch = Stopwatch::start();
        let screen = Screen::choose(task.job_no, &mask, candidates.codes(), &task.limits, &mut snapshot).await?;
        let (screening, prefilter) = (screen.screening, screen.prefilter);
        let candidates = off_the_async_threads(move || Box::new(candidates.screen(screening, prefilter))).await;
        let mut candidates = settle(candidates, &mut snapshot).await?;
        let filter = stopwatch.lap();
        let owners = task.read_owners(&chunk, &mut snapshot).await?;
        let encoded = encode(&task, chunk.run_no, &mut candidates, screening, screen.order).await;
        snapshot.rollback().await?;
        let times = PreparationTimes { draw, filter, encode: stopwatch.lap() };
        Ok(Self { run_no: chunk.run_no, candidates, screening, owners, encoded, times })
    }

    /// Looks its codes up again, because another process has stored some of them since the comparison, and replaces
    /// those that exist. Also returns how many there were.
    pub async fn replace_conflicting(self, task: &Task) -> Result<(Self, u64), StoreError> {
        let Self { run_no, mut candidates, screening, owners, encoded, times } = self;
        let before = candidates.rejections().conflicts;
        let mut snapshot = task.store.begin_reading().await?;
        candidates.recheck(encoded.batch);
        let mut candidates = settle(candidates, &mut snapshot).await?;
        snapshot.rollback().await?;
        let conflicts = candidates.rejections().conflicts - before;
        // Another process writes codes of this mask.
        let order = WriteOrder::Ascending;
        let encoded = encode(task, run_no, &mut candidates, screening, order).await;
        Ok((Self { run_no, candidates, screening, owners, encoded, times }, conflicts))
    }
}

/// Answers from a snapshot what the candidates need, until each of their codes is new to the store, or the slice has
/// none left.
async fn settle(
    mut candidates: Box<Candidates>,
    snapshot: &mut StoreTransaction,
) -> Result<Box<Candidates>, StoreError> {
    let mut is_reading = false;
    loop {
        let answer = match candidates.need() {
            Need::Present(codes) => Answer::Present(snapshot.find_present(codes).await?),
            Need::Page { keyspace, page } => {
                if !std::mem::replace(&mut is_reading, true) {
                    tracing::debug!("the slice is crowded; reading its codes");
                }
                Answer::Page(snapshot.read_page(keyspace, page).await?)
            }
            Need::Done => return Ok(candidates),
        };
        candidates = off_the_async_threads(move || {
            candidates.answer(answer);
            candidates
        })
        .await;
    }
}

/// Encodes codes for writing, and builds their checkpoint.
async fn encode(
    task: &Task,
    run_no: i64,
    candidates: &mut Candidates,
    screening: Screening,
    order: WriteOrder,
) -> Encoded {
    let (store, limits) = (task.store.clone(), task.limits);
    let (batch, rejections) = (candidates.take_codes(), candidates.rejections());
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

/// The first candidates of a chunk, their mask, and the time that drawing or reading them took.
struct First {
    candidates: FirstCandidates,
    mask: Mask,
    draw: Duration,
}

impl First {
    /// Draws the codes of a chunk.
    async fn drawn(
        key: &Key,
        mask: &JobMask,
        chunk: &OpenChunk,
        snapshot: &mut StoreTransaction,
        recycled: CodeBatch,
    ) -> Result<Self, StoreError> {
        let JobMask { mask, keyspace, denied } = mask;
        let reserved = snapshot.find_reserved(mask.code_length()).await?;
        let rules = Rules::new(mask, &reserved, denied.clone());
        let slice = slice_of_range(keyspace, &chunk.range_first, &chunk.range_last)
            .ok_or_else(|| corrupt(chunk, "has a range outside its mask"))?;
        let stream = Stream::chunk(chunk.round, chunk.chunk_no);
        let (keyspace, key, quota) = (Arc::clone(keyspace), key.clone(), chunk.quota as usize);
        let mut stopwatch = Stopwatch::start();
        let draw = move || FirstCandidates::drawn(keyspace, rules, Draw::new(&key, stream, slice, quota), recycled);
        let candidates = off_the_async_threads(draw).await;
        Ok(Self { candidates, mask: mask.clone(), draw: stopwatch.lap() })
    }

    /// Reads the codes of a run of an import.
    async fn read(sorted: &Arc<Sorted>, chunk: &OpenChunk) -> Result<Self, StoreError> {
        let (sorted, index) = (Arc::clone(sorted), chunk.chunk_no as usize);
        let mask = sorted.runs.get(index).map(|run| Mask::of_symbols(run.symbols.clone()));
        let mut stopwatch = Stopwatch::start();
        let codes = off_the_async_threads(move || sorted.read_run(index)).await.map_err(StoreError::Input)?.codes;
        let draw = stopwatch.lap();
        let is_same = codes.len() == chunk.quota as usize && codes.first() == Some(&*chunk.range_first);
        let mask = mask.filter(|_| is_same).ok_or_else(|| corrupt(chunk, "does not match this input"))?;
        Ok(Self { candidates: FirstCandidates::imported(codes), mask, draw })
    }
}

fn corrupt(chunk: &OpenChunk, problem: &str) -> StoreError {
    StoreError::Corrupt { table: "chunks", problem: format!("run {} {problem}", chunk.run_no) }
}
