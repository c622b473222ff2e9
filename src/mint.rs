//! The engine: one chunk from claim to commit. It knows store and code; no broker, no command line, no loop over jobs.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::code::batch::CodeBatch;
use crate::code::keyspace::{Keyspace, Rank};
use crate::code::random::{Key, Stream};
use crate::code::slice::{Draw, GENERATOR_VERSION};
use crate::job::{Job, slice_of_range};
use crate::store::chunks::{Checkpoint, ClaimedChunk, EncodedCodes, OpenChunk, PutCodes};
use crate::store::error::StoreError;
use crate::store::{Store, in_time};

#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the job was made for generator version {found}, this program draws version {GENERATOR_VERSION}; use the codemint that made it"
    )]
    GeneratorVersion { found: u32 },
    #[error("chunk {run_no} met a duplicate {attempts} times without finding it in the store")]
    PhantomDuplicate { run_no: i64, attempts: u32 },
}

/// A duplicate that cannot be found was rolled back by its writer in between; so often in a row it is something else.
const PHANTOM_DUPLICATES_MAX: u32 = 5;

/// What one attempt to mint a chunk came to.
#[derive(Debug)]
pub enum Step {
    /// The chunk is committed, by us.
    Minted { run_no: i64, codes: u32 },
    /// No chunk can be claimed: none is open, others write those that are, or the job is not to go on.
    NothingToClaim,
    /// COMMIT ended in an error; [`Store::is_chunk_done`] tells what became of the chunk.
    CommitUnknown { run_no: i64, codes: u32, error: StoreError },
}

/// A job that is being minted: what every chunk of it needs.
#[derive(Debug)]
pub struct Minting {
    job_no: i64,
    keyspace: Arc<Keyspace>,
    key: Key,
    /// The last batch, for its memory.
    recycled: CodeBatch,
    /// The chunk that is drawn while the one before it is written.
    ahead: Option<Ahead>,
}

/// Draws are a function of the chunk's row and the key, so they may begin before the chunk is claimed.
#[derive(Debug)]
struct Ahead {
    run_no: i64,
    drawing: JoinHandle<Drawn>,
}

impl Minting {
    /// `None` if the job has ended meanwhile and its key is erased.
    ///
    /// # Errors
    /// `GeneratorVersion` if the job's codes would be drawn otherwise than it began, and those of the store.
    pub async fn start(store: &Store, job: &Job) -> Result<Option<Self>, MintError> {
        let Some(key) = in_time(store.read_key(job.no)).await? else { return Ok(None) };
        if job.generator_version != GENERATOR_VERSION {
            return Err(MintError::GeneratorVersion { found: job.generator_version });
        }
        let keyspace = Arc::new(Keyspace::new(&job.mask));
        Ok(Some(Self { job_no: job.no, keyspace, key, recycled: CodeBatch::default(), ahead: None }))
    }

    /// Claims a chunk, draws its codes and commits them with the checkpoint.
    ///
    /// # Errors
    /// Those of the store before COMMIT: the chunk stays open and may be tried again.
    pub async fn mint_chunk(&mut self, store: &Store) -> Result<Step, MintError> {
        let Some(mut claimed) = in_time(store.claim_chunk(self.job_no)).await? else { return Ok(Step::NothingToClaim) };
        let drawn = self.draw(store, &mut claimed).await?;
        let Drawn { batch, checkpoint, .. } = self.put_codes(&mut claimed, drawn).await?;
        let (run_no, codes) = (claimed.chunk.run_no, checkpoint.minted);
        self.recycled = batch;
        in_time(claimed.write_checkpoint(&checkpoint)).await?;
        match in_time(claimed.commit()).await {
            Ok(()) => Ok(Step::Minted { run_no, codes }),
            Err(error) => {
                tracing::warn!(run_no, %error, "commit ended in an error; asking the store what became of the chunk");
                Ok(Step::CommitUnknown { run_no, codes, error })
            }
        }
    }

    /// The codes of the claimed chunk; those of the chunk behind it are then being drawn. Where others took the chunk that
    /// was drawn ahead, they would take the next one too: then nothing is drawn ahead once.
    async fn draw(&mut self, store: &Store, claimed: &mut ClaimedChunk) -> Result<Drawn, StoreError> {
        let (drawing, guess_was_wrong) = match self.ahead.take() {
            Some(ahead) if ahead.run_no == claimed.chunk.run_no => (ahead.drawing, false),
            other => (self.start_drawing(store, &claimed.chunk)?, other.is_some()),
        };
        if !guess_was_wrong && let Some(next) = in_time(claimed.find_next_open()).await? {
            self.ahead = Some(Ahead { run_no: next.run_no, drawing: self.start_drawing(store, &next)? });
        }
        Ok(finished(drawing).await)
    }

    fn start_drawing(&mut self, store: &Store, chunk: &OpenChunk) -> Result<JoinHandle<Drawn>, StoreError> {
        let slice = slice_of_range(&self.keyspace, &chunk.range_first, &chunk.range_last).ok_or_else(|| {
            StoreError::Corrupt {
                table: "chunks",
                problem: format!("run {} has a range outside its mask", chunk.run_no),
            }
        })?;
        let stream = Stream::chunk(chunk.round, chunk.chunk_no);
        let (key, quota) = (self.key.clone(), chunk.quota as usize);
        let target = Target { keyspace: Arc::clone(&self.keyspace), store: store.clone(), run_no: chunk.run_no };
        let recycled = std::mem::take(&mut self.recycled);
        Ok(spawn_blocking(move || Drawn::new(target, Draw::new(&key, stream, slice, quota), recycled)))
    }

    /// Puts the batch in; as long as it meets codes that exist already, these are looked up exactly and drawn anew. Each
    /// time round at least one rank of the slice is done with, so it ends.
    async fn put_codes(&self, claimed: &mut ClaimedChunk, mut drawn: Drawn) -> Result<Drawn, MintError> {
        let mut phantoms = 0;
        while in_time(claimed.put_codes(&drawn.encoded)).await? == PutCodes::DuplicateMet {
            let present = in_time(claimed.find_present(&drawn.batch)).await?;
            let taken: Vec<Rank> = present.iter().filter_map(|code| self.keyspace.rank(code)).collect();
            tracing::debug!(
                run_no = claimed.chunk.run_no,
                rejected = taken.len(),
                "codes exist already; drawing others"
            );
            phantoms = if taken.is_empty() { phantoms + 1 } else { 0 };
            if phantoms == PHANTOM_DUPLICATES_MAX {
                return Err(MintError::PhantomDuplicate { run_no: claimed.chunk.run_no, attempts: phantoms });
            }
            drawn = finished(spawn_blocking(move || drawn.replace(&taken))).await;
        }
        Ok(drawn)
    }
}

/// The candidates of a chunk, as ranks and as codes.
#[derive(Debug)]
struct Drawn {
    target: Target,
    draw: Draw,
    batch: CodeBatch,
    encoded: EncodedCodes,
    checkpoint: Checkpoint,
}

/// What turns ranks into codes of one run.
#[derive(Clone, Debug)]
struct Target {
    keyspace: Arc<Keyspace>,
    store: Store,
    run_no: i64,
}

impl Drawn {
    fn new(target: Target, draw: Draw, recycled: CodeBatch) -> Self {
        let batch = target.keyspace.batch_into(recycled, draw.ranks());
        let encoded = target.store.encode_codes(target.run_no, &batch);
        let checkpoint = Checkpoint {
            // A quota and the rejects of a slice of bounded size: both fit.
            minted: batch.len() as u32,
            rejected: draw.rejected() as u32,
            digest: Sha256::digest(batch.as_lines()).into(),
        };
        Self { target, draw, batch, encoded, checkpoint }
    }

    fn replace(mut self, taken: &[Rank]) -> Self {
        self.draw.replace(taken);
        Self::new(self.target, self.draw, self.batch)
    }
}

/// Drawing a chunk takes milliseconds, too long for a thread that serves connections.
async fn finished<T>(work: JoinHandle<T>) -> T {
    match work.await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
