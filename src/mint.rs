//! The engine: one chunk from claim to commit. It knows store and code; no broker, no command line, no loop over jobs.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;

use crate::code::batch::CodeBatch;
use crate::code::keyspace::{Keyspace, Rank};
use crate::code::random::{Key, Stream};
use crate::code::slice::{Draw, GENERATOR_VERSION};
use crate::job::{Job, slice_of_range};
use crate::store::Store;
use crate::store::chunks::{Checkpoint, ClaimedChunk, PutCodes};
use crate::store::error::StoreError;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The chunk is committed, by us.
    Minted { run_no: i64, codes: u32 },
    /// No chunk can be claimed: none is open, others write those that are, or the job is not to go on.
    NothingToClaim,
    /// COMMIT ended in an error; [`Store::is_chunk_done`] tells what became of the chunk.
    CommitUnknown { run_no: i64, codes: u32 },
}

/// A job that is being minted: what every chunk of it needs.
#[derive(Debug)]
pub struct Minting {
    job_no: i64,
    keyspace: Arc<Keyspace>,
    key: Key,
    /// The last batch, for its memory.
    recycled: CodeBatch,
}

impl Minting {
    /// `None` if the job has ended meanwhile and its key is erased.
    ///
    /// # Errors
    /// `GeneratorVersion` if the job's codes would be drawn otherwise than it began, and those of the store.
    pub async fn start(store: &Store, job: &Job) -> Result<Option<Self>, MintError> {
        if job.generator_version != GENERATOR_VERSION {
            return Err(MintError::GeneratorVersion { found: job.generator_version });
        }
        let Some(key) = store.read_key(job.no).await? else { return Ok(None) };
        let keyspace = Arc::new(Keyspace::new(&job.mask));
        Ok(Some(Self { job_no: job.no, keyspace, key, recycled: CodeBatch::default() }))
    }

    /// Claims a chunk, draws its codes and commits them with the checkpoint.
    ///
    /// # Errors
    /// Those of the store before COMMIT: the chunk stays open and may be tried again.
    pub async fn mint_chunk(&mut self, store: &Store) -> Result<Step, MintError> {
        let Some(mut claimed) = store.claim_chunk(self.job_no).await? else { return Ok(Step::NothingToClaim) };
        let drawn = self.draw(&claimed).await?;
        let Drawn { batch, checkpoint, .. } = self.put_codes(&mut claimed, drawn).await?;
        let (run_no, codes) = (claimed.run_no, checkpoint.minted);
        self.recycled = batch;
        match claimed.commit(&checkpoint).await {
            Ok(()) => Ok(Step::Minted { run_no, codes }),
            Err(error @ StoreError::Database(_)) => {
                tracing::warn!(run_no, %error, "commit ended in an error; asking the store what became of the chunk");
                Ok(Step::CommitUnknown { run_no, codes })
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn draw(&mut self, claimed: &ClaimedChunk) -> Result<Drawn, StoreError> {
        let slice = slice_of_range(&self.keyspace, &claimed.range_first, &claimed.range_last).ok_or_else(|| {
            StoreError::Corrupt {
                table: "chunks",
                problem: format!("run {} has a range outside its mask", claimed.run_no),
            }
        })?;
        let stream = Stream::chunk(claimed.round, claimed.chunk_no);
        let (key, quota) = (self.key.clone(), claimed.quota as usize);
        let (keyspace, recycled) = (Arc::clone(&self.keyspace), std::mem::take(&mut self.recycled));
        Ok(off_the_async_threads(move || Drawn::new(keyspace, Draw::new(&key, stream, slice, quota), recycled)).await)
    }

    /// Puts the batch in; as long as it meets codes that exist already, these are looked up exactly and drawn anew. Each
    /// time round at least one rank of the slice is done with, so it ends.
    async fn put_codes(&self, claimed: &mut ClaimedChunk, mut drawn: Drawn) -> Result<Drawn, MintError> {
        let mut phantoms = 0;
        while claimed.put_codes(&drawn.batch).await? == PutCodes::DuplicateMet {
            let present = claimed.find_present(&drawn.batch).await?;
            let taken: Vec<Rank> = present.iter().filter_map(|code| self.keyspace.rank(code)).collect();
            tracing::debug!(run_no = claimed.run_no, rejected = taken.len(), "codes exist already; drawing others");
            phantoms = if taken.is_empty() { phantoms + 1 } else { 0 };
            if phantoms == PHANTOM_DUPLICATES_MAX {
                return Err(MintError::PhantomDuplicate { run_no: claimed.run_no, attempts: phantoms });
            }
            drawn = off_the_async_threads(move || drawn.replace(&taken)).await;
        }
        Ok(drawn)
    }
}

/// The candidates of a chunk, as ranks and as codes.
struct Drawn {
    keyspace: Arc<Keyspace>,
    draw: Draw,
    batch: CodeBatch,
    checkpoint: Checkpoint,
}

impl Drawn {
    fn new(keyspace: Arc<Keyspace>, draw: Draw, recycled: CodeBatch) -> Self {
        let batch = keyspace.batch_into(recycled, draw.ranks());
        let checkpoint = Checkpoint {
            // A quota and the rejects of a slice of bounded size: both fit.
            minted: batch.len() as u32,
            rejected: draw.rejected() as u32,
            digest: Sha256::digest(batch.as_lines()).into(),
        };
        Self { keyspace, draw, batch, checkpoint }
    }

    fn replace(mut self, taken: &[Rank]) -> Self {
        self.draw.replace(taken);
        Self::new(self.keyspace, self.draw, self.batch)
    }
}

/// Drawing a chunk takes milliseconds, too long for a thread that serves connections.
async fn off_the_async_threads<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
