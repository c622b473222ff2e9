//! The engine: one chunk from claim to commit. It knows store and code; no broker, no command line, no loop over jobs.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::code::batch::CodeBatch;
use crate::code::denied::DeniedInMask;
use crate::code::keyspace::{Keyspace, Rank};
use crate::code::mask::Mask;
use crate::code::policy::{Policy, PolicyMarks};
use crate::code::prefilter::Filter;
use crate::code::random::{Key, Stream};
use crate::code::rules::Rules;
use crate::code::screening::{FilterLimits, Screening, ScreeningMode};
use crate::code::slice::{Draw, GENERATOR_VERSION};
use crate::job::{Job, slice_of_range};
use crate::mint::candidates::Candidates;
use crate::mint::screen::Screen;
use crate::store::chunks::{Checkpoint, ClaimedChunk, EncodedCodes, OpenChunk, PutCodes};
use crate::store::error::StoreError;
use crate::store::{Store, in_time, off_the_async_threads};

mod candidates;
mod screen;

#[derive(Debug, thiserror::Error)]
pub enum MintError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(
        "the job was made for generator version {found}, this program draws version {GENERATOR_VERSION}; use the codemint that made it"
    )]
    GeneratorVersion { found: u32 },
    #[error(
        "the job was begun under the check key with the fingerprint {needed}, this process has {found}; set check.key_file to that key"
    )]
    CheckKey { found: String, needed: String },
    #[error(
        "the job was begun under the denied words with the digest {needed}, this process has {found}; set deny.file and deny.builtin to that list"
    )]
    DeniedWords { found: String, needed: String },
    #[error("the job is an import; `codemint import` with the same input goes on with it")]
    Import,
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

/// A job that is being minted: what every chunk of it needs, and the chunk that is prepared ahead.
#[derive(Debug)]
pub struct Minting {
    task: Arc<Task>,
    /// The last batch, for its memory.
    recycled: CodeBatch,
    /// The chunk that is drawn and screened while the one before it is written.
    ahead: Option<Ahead>,
    /// How the last chunk was screened: said when it changes.
    screening: Option<Screening>,
}

/// What the chunks of one job have in common.
#[derive(Debug)]
struct Task {
    store: Store,
    job_no: i64,
    mask: Mask,
    keyspace: Arc<Keyspace>,
    key: Key,
    denied: Option<Arc<DeniedInMask>>,
    limits: FilterLimits,
}

/// Draws are a function of the chunk's row and the key, so they may begin before the chunk is claimed.
#[derive(Debug)]
struct Ahead {
    run_no: i64,
    preparing: JoinHandle<Result<Prepared, StoreError>>,
}

impl Minting {
    /// `None` if the job has ended meanwhile and its key is erased.
    ///
    /// # Errors
    /// `GeneratorVersion` if the job's codes would be drawn otherwise than it began, and those of the store.
    pub async fn start(
        store: &Store,
        job: &Job,
        policy: &Policy,
        limits: FilterLimits,
    ) -> Result<Option<Self>, MintError> {
        let Some(key) = in_time(store.read_key(job.no)).await? else { return Ok(None) };
        if job.generator_version != GENERATOR_VERSION {
            return Err(MintError::GeneratorVersion { found: job.generator_version });
        }
        let Some(mask) = job.mask().cloned() else { return Err(MintError::Import) };
        check_policy(policy.marks(&mask), &job.policy_marks)?;
        let keyspace = Arc::new(policy.keyspace(&mask));
        let denied = policy.denied_in(&mask).map(Arc::new);
        let task = Task { store: store.clone(), job_no: job.no, mask, keyspace, key, denied, limits };
        Ok(Some(Self { task: Arc::new(task), recycled: CodeBatch::default(), ahead: None, screening: None }))
    }

    /// Claims a chunk, draws its codes and commits them with the checkpoint.
    ///
    /// # Errors
    /// Those of the store before COMMIT: the chunk stays open and may be tried again.
    pub async fn mint_chunk(&mut self, store: &Store) -> Result<Step, MintError> {
        let claimed = in_time(store.claim_chunk(self.task.job_no)).await?;
        let Some(mut claimed) = claimed else { return Ok(Step::NothingToClaim) };
        let prepared = self.prepare(&mut claimed).await?;
        self.say_screening(prepared.screen.screening);
        let Prepared { encoded, .. } = put_codes(&self.task, &mut claimed, prepared).await?;
        let Encoded { batch, checkpoint, .. } = encoded;
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

    /// The codes of the claimed chunk; those of the chunk behind it are then being prepared. Where others took the chunk
    /// that was prepared ahead, they would take the next one too: then none is prepared ahead once.
    async fn prepare(&mut self, claimed: &mut ClaimedChunk) -> Result<Prepared, StoreError> {
        let (preparing, guess_was_wrong) = match self.ahead.take() {
            Some(ahead) if ahead.run_no == claimed.chunk.run_no => (ahead.preparing, false),
            other => (self.start_preparing(claimed.chunk.clone()), other.is_some()),
        };
        if !guess_was_wrong && let Some(next) = in_time(claimed.find_next_open()).await? {
            self.ahead = Some(Ahead { run_no: next.run_no, preparing: self.start_preparing(next) });
        }
        finished(preparing).await
    }

    fn start_preparing(&mut self, chunk: OpenChunk) -> JoinHandle<Result<Prepared, StoreError>> {
        let recycled = std::mem::take(&mut self.recycled);
        tokio::spawn(Prepared::new(Arc::clone(&self.task), chunk, recycled))
    }

    fn say_screening(&mut self, screening: Screening) {
        if self.screening.replace(screening) != Some(screening) {
            let reason = screening.reason();
            tracing::info!(screening = screening.as_str(), reason, "how candidates are compared with what exists");
        }
    }
}

/// A job's codes are all made under the policy that it began with.
fn check_policy(ours: PolicyMarks, of_job: &PolicyMarks) -> Result<(), MintError> {
    if ours.check_fingerprint != of_job.check_fingerprint {
        let shown = |fingerprint: &Option<String>| fingerprint.clone().unwrap_or_else(|| "none".to_owned());
        let (found, needed) = (shown(&ours.check_fingerprint), shown(&of_job.check_fingerprint));
        return Err(MintError::CheckKey { found, needed });
    }
    if ours.deny_digest != of_job.deny_digest {
        let shown = |digest: &Option<Vec<u8>>| digest.as_deref().map_or("none".to_owned(), short_digest);
        let (found, needed) = (shown(&ours.deny_digest), shown(&of_job.deny_digest));
        return Err(MintError::DeniedWords { found, needed });
    }
    Ok(())
}

/// Enough of a digest to tell lists apart.
fn short_digest(digest: &[u8]) -> String {
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Puts the codes in; as long as it meets codes that exist already, these are looked up exactly and others drawn. Each time
/// round at least one rank of the slice is done with, so it ends.
async fn put_codes(task: &Task, claimed: &mut ClaimedChunk, mut prepared: Prepared) -> Result<Prepared, MintError> {
    let mut phantoms = 0;
    while in_time(claimed.put_codes(&prepared.encoded.codes)).await? == PutCodes::DuplicateMet {
        let run_no = claimed.chunk.run_no;
        let (replaced, conflicts) = prepared.replace_conflicting(task).await?;
        tracing::debug!(run_no, conflicts, "somebody else has just put codes in; others were drawn");
        phantoms = if conflicts == 0 { phantoms + 1 } else { 0 };
        if phantoms == PHANTOM_DUPLICATES_MAX {
            return Err(MintError::PhantomDuplicate { run_no, attempts: phantoms });
        }
        prepared = replaced;
    }
    Ok(prepared)
}

/// A chunk whose codes are drawn, compared with what exists, and ready to be written.
#[derive(Debug)]
struct Prepared {
    run_no: i64,
    candidates: Candidates,
    screen: Screen,
    encoded: Encoded,
}

/// The codes as they are written, and what is recorded about them.
#[derive(Debug)]
struct Encoded {
    batch: CodeBatch,
    codes: EncodedCodes,
    checkpoint: Checkpoint,
}

impl Prepared {
    async fn new(task: Arc<Task>, chunk: OpenChunk, recycled: CodeBatch) -> Result<Self, StoreError> {
        let mut snapshot = in_time(task.store.begin_reading()).await?;
        let reserved = in_time(snapshot.find_reserved(task.keyspace.code_length())).await?;
        let rules = Rules::new(&task.mask, &reserved, task.denied.clone());
        let slice = slice_of_range(&task.keyspace, &chunk.range_first, &chunk.range_last).ok_or_else(|| {
            let problem = format!("run {} has a range outside its mask", chunk.run_no);
            StoreError::Corrupt { table: "chunks", problem }
        })?;
        let stream = Stream::chunk(chunk.round, chunk.chunk_no);
        let (keyspace, key, quota) = (Arc::clone(&task.keyspace), task.key.clone(), chunk.quota as usize);
        let drawing = spawn_blocking(move || Candidates::new(keyspace, rules, Draw::new(&key, stream, slice, quota)));
        let screen = Screen::choose(&task, &chunk, &mut snapshot).await?;
        let (candidates, fresh) = finished(drawing).await;
        let candidates = screen.replace_present(&mut snapshot, candidates, fresh).await?;
        in_time(snapshot.rollback()).await?;
        Ok(Self::encode(&task, chunk.run_no, candidates, screen, recycled).await)
    }

    /// Those of its codes that somebody else has put in since they were compared are looked up and replaced.
    async fn replace_conflicting(self, task: &Task) -> Result<(Self, usize), StoreError> {
        let Self { run_no, mut candidates, screen, encoded } = self;
        let mut snapshot = in_time(task.store.begin_reading()).await?;
        let present = in_time(snapshot.find_present(&encoded.batch)).await?;
        let conflicts = present.len();
        let (candidates, fresh) = off_the_async_threads(move || {
            let taken: Vec<Rank> = present.iter().filter_map(|code| candidates.keyspace.rank(code)).collect();
            let fresh = candidates.replace_conflicting(&taken);
            (candidates, fresh)
        })
        .await;
        let candidates = Screen::exact().replace_present(&mut snapshot, candidates, fresh).await?;
        in_time(snapshot.rollback()).await?;
        Ok((Self::encode(task, run_no, candidates, screen, encoded.batch).await, conflicts))
    }

    async fn encode(task: &Task, run_no: i64, candidates: Candidates, screen: Screen, recycled: CodeBatch) -> Self {
        let (store, limits) = (task.store.clone(), task.limits);
        off_the_async_threads(move || {
            let batch = candidates.keyspace.batch_into(recycled, candidates.draw.ranks());
            let codes = store.encode_codes(run_no, &batch);
            let checkpoint = Checkpoint {
                // A quota: it fits.
                minted: batch.len() as u32,
                rejections: candidates.rejections,
                screening: screen.screening,
                digest: Sha256::digest(batch.as_lines()).into(),
                range: batch.first().zip(batch.last()).map(|(first, last)| (first.to_owned(), last.to_owned())),
                filter: filter_of(&batch, limits),
            };
            Self { run_no, candidates, screen, encoded: Encoded { batch, codes, checkpoint } }
        })
        .await
    }
}

/// As it is stored, where filters are in use.
fn filter_of(batch: &CodeBatch, limits: FilterLimits) -> Option<Vec<u8>> {
    (limits.mode == ScreeningMode::Auto).then(|| Filter::bytes_of(batch, limits.false_positive_rate)).flatten()
}

/// Drawing a chunk takes milliseconds, too long for a thread that serves connections.
async fn finished<T>(work: JoinHandle<T>) -> T {
    match work.await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
