//! What all chunks of one job share: its store, the source of its codes, and the settings of this process.

use std::sync::Arc;

use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::mint::error::MintError;
use codemint_codes::denied::DeniedInMask;
use codemint_codes::draw::GENERATOR_VERSION;
use codemint_codes::identity::IdentityKey;
use codemint_codes::job::record::{Job, Origin};
use codemint_codes::job::restriction::RestrictedTo;
use codemint_codes::keyspace::Keyspace;
use codemint_codes::mask::Mask;
use codemint_codes::policy::{Policy, PolicyMarks};
use codemint_codes::random::Key;
use codemint_codes::screening::FilterLimits;
use codemint_import::sorted::Sorted;
use codemint_store::connection::blocking::off_the_async_threads;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::connection::transaction::StoreTransaction;
use codemint_store::minting::chunks::OpenChunk;
use codemint_store::minting::lifecycle::StartJob;
use codemint_store::minting::owners::{Identities, Owners};
use codemint_telemetry::metrics::jobs;

/// The policy, the filter limits and the import input with which this process mints.
#[derive(Clone, Debug, Default)]
pub struct MintSettings {
    pub policy: Policy,
    pub filters: FilterLimits,
    /// The input of the import to run.
    pub import: Option<Arc<Sorted>>,
}

#[derive(Debug)]
pub(crate) struct Task {
    pub store: Store,
    pub job_no: i64,
    /// Number of codes of the job.
    count: u64,
    pub source: Source,
    pub destination: Destination,
    pub limits: FilterLimits,
}

/// Where a job's codes go besides the table of codes.
#[derive(Debug)]
pub(crate) enum Destination {
    Nowhere,
    Pool { campaign_no: i64 },
    List { campaign_no: i64, list_id: Uuid, key: IdentityKey },
}

/// The source of a job's codes.
#[derive(Debug)]
pub(crate) enum Source {
    Drawn { key: Key, mask: Arc<JobMask> },
    Imported(Arc<Sorted>),
}

/// The mask of a job under its policy: the part of every draw that is computed once per job.
#[derive(Debug)]
pub struct JobMask {
    pub mask: Mask,
    pub keyspace: Arc<Keyspace>,
    pub denied: Option<Arc<DeniedInMask>>,
}

/// A mask that all executions of a job in this process share: the first one computes it.
pub type SharedMask = Arc<OnceCell<Arc<JobMask>>>;

impl Task {
    /// Opens the job. Returns `None` if it has ended meanwhile and its key is erased.
    pub async fn of_job(
        store: &Store,
        job: &Job,
        settings: &MintSettings,
        mask: &SharedMask,
    ) -> Result<Option<Self>, MintError> {
        if job.state.is_final() {
            return Ok(None);
        }
        let source = match &job.origin {
            Origin::Refused { .. } => None,
            Origin::Imported { source_digest } => Some(open_import(store, job, source_digest, settings).await?),
            Origin::Minted { mask: of_job, .. } => open_draws(store, job, of_job, settings, mask).await?,
        };
        let Some(source) = source else { return Ok(None) };
        let destination = Destination::of_job(store, job).await?;
        let (store, job_no, count, limits) = (store.clone(), job.no, job.count, settings.filters);
        Ok(Some(Self { store, job_no, count, source, destination, limits }))
    }

    /// Reads who the codes of a chunk are for; `None` for codes that are anybody's.
    pub async fn read_owners(
        &self,
        chunk: &OpenChunk,
        snapshot: &mut StoreTransaction,
    ) -> Result<Option<Owners>, StoreError> {
        Ok(match &self.destination {
            Destination::Nowhere => None,
            Destination::Pool { campaign_no } => Some(Owners::Pool { campaign_no: *campaign_no }),
            Destination::List { campaign_no, list_id, key } => {
                let (job, chunk) = ((self.job_no, self.count), (chunk.round, chunk.chunk_no));
                let texts = snapshot.read_identities_of_chunk(job, chunk, *list_id).await?;
                let (campaign_no, key) = (*campaign_no, key.clone());
                let identities = off_the_async_threads(move || Identities::new(texts, &key)).await;
                Some(Owners::Identities { campaign_no, identities })
            }
        })
    }

    /// Returns true if the chunk is its job's only one, so that no other follows.
    pub fn is_whole(&self, chunk: &OpenChunk) -> bool {
        u64::from(chunk.quota) == self.count
    }
}

impl Destination {
    async fn of_job(store: &Store, job: &Job) -> Result<Self, StoreError> {
        let Some(restricted_to) = job.options.restricted_to else { return Self::of_unrestricted(store, job).await };
        let campaign_no = store.find_campaign_no(job.campaign.as_deref().unwrap_or_default()).await?;
        Ok(match restricted_to {
            RestrictedTo::Pool => Self::Pool { campaign_no },
            RestrictedTo::List { list_id } => Self::List { campaign_no, list_id, key: store.identity_key().await? },
        })
    }

    /// Imported codes of a restricted campaign go into its pool. No such campaign is created while an import of its name is
    /// unfinished.
    async fn of_unrestricted(store: &Store, job: &Job) -> Result<Self, StoreError> {
        let (Origin::Imported { .. }, Some(campaign)) = (&job.origin, &job.campaign) else { return Ok(Self::Nowhere) };
        let campaign_no = store.find_pooled(campaign).await?;
        Ok(campaign_no.map_or(Self::Nowhere, |campaign_no| Self::Pool { campaign_no }))
    }
}

async fn open_import(
    store: &Store,
    job: &Job,
    source_digest: &[u8],
    settings: &MintSettings,
) -> Result<Source, MintError> {
    let same = settings.import.as_ref().filter(|sorted| sorted.counts.digest[..] == *source_digest);
    let sorted = same.ok_or(MintError::Import)?;
    start(store, job).await?;
    Ok(Source::Imported(Arc::clone(sorted)))
}

async fn open_draws(
    store: &Store,
    job: &Job,
    mask: &Mask,
    settings: &MintSettings,
    shared: &SharedMask,
) -> Result<Option<Source>, MintError> {
    if job.generator_version != GENERATOR_VERSION {
        return Err(MintError::GeneratorVersion { found: job.generator_version });
    }
    check_policy(settings.policy.marks(mask), &job.policy_marks)?;
    let Some(key) = start(store, job).await? else { return Ok(None) };
    let mask = shared.get_or_init(|| JobMask::new(mask.clone(), settings.policy.clone())).await;
    Ok(Some(Source::Drawn { key, mask: Arc::clone(mask) }))
}

impl JobMask {
    async fn new(mask: Mask, policy: Policy) -> Arc<Self> {
        off_the_async_threads(move || {
            let (keyspace, denied) = (Arc::new(policy.keyspace(&mask)), policy.denied_in(&mask).map(Arc::new));
            Arc::new(Self { mask, keyspace, denied })
        })
        .await
    }
}

/// Opens the job and returns its key, unless the job has ended or has none.
async fn start(store: &Store, job: &Job) -> Result<Option<Key>, StoreError> {
    let StartJob { key, waited } = store.start_job(job.no).await?;
    if let Some(waited) = waited {
        jobs::job_opened(waited, job.options.emits_events);
        tracing::info!(waited_seconds = waited.as_secs_f64(), "a job is opened");
    }
    Ok(key)
}

/// Checks that this process has the policy that the job began with: all codes of a job are made under one policy.
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

/// Returns the first 8 bytes of a digest in hexadecimal: enough to tell lists apart.
fn short_digest(digest: &[u8]) -> String {
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}
