//! Stores jobs if enough codes are free for them: one job, or all that came in at the same moment.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use uuid::Uuid;

use crate::admission::capacity::Counted;
use crate::admission::new_jobs::{NewJob, NewMask};
use crate::connection::error::StoreError;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry, Outcome};
use codemint_codes::capacity::Capacity;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::Request;

/// The result of a request to store a job.
#[derive(Debug)]
pub enum PutJob {
    /// The job and its first round of chunks are stored.
    Stored(Job),
    /// The id was known already; nothing was changed. The known job may stem from another request.
    Known(Job),
    /// Nothing was stored: `free` codes of the mask are free, fewer than requested.
    InsufficientKeyspace {
        free: u128,
        /// Codes of the mask that are neither reserved nor denied, taken or not.
        mintable: u128,
        /// False if this is an estimate.
        exact: bool,
    },
}

/// The decision of a transaction about a job.
enum Admission {
    Stored(Box<Job>),
    Known,
    InsufficientKeyspace { free: u128, mintable: u128, exact: bool },
    Unsure,
}

/// Another process stored a job of the same id at this moment, under a mask of another length: nothing was stored.
struct Overtaken;

impl Store {
    /// Stores a job and the chunks of its first round in one transaction, under a fresh key, if enough codes are free.
    /// Idempotent: a repeated id changes nothing, so after an unknown outcome the call can be repeated.
    pub async fn put_job(&self, id: Uuid, request: &Request) -> Result<PutJob, StoreError> {
        let news = [NewJob::plan(id, request).await?];
        let mut counted: Option<Counted> = None;
        loop {
            let Ok(mut admissions) = self.admit(&news, counted.as_ref()).await? else { continue };
            match admissions.remove(&id) {
                Some(Admission::Unsure) => {
                    let wanted = news[0].wanted(request.count);
                    counted = Some(self.count_taken(wanted, counted.as_ref()).await?);
                }
                Some(Admission::Stored(job)) => return Ok(PutJob::Stored(*job)),
                Some(Admission::InsufficientKeyspace { free, mintable, exact }) => {
                    return Ok(PutJob::InsufficientKeyspace { free, mintable, exact });
                }
                Some(Admission::Known) | None => return Ok(PutJob::Known(self.find_stored(id).await?)),
            }
        }
    }

    /// Stores many jobs in one transaction, as [`Store::put_job`] does one: a flush to disk costs more than a job. The
    /// same id may occur more than once.
    ///
    /// # Errors
    /// After any error, jobs that were already stored are `Known` from now on.
    pub async fn put_jobs(&self, requests: &[(Uuid, &Request)]) -> Result<Vec<PutJob>, StoreError> {
        let mut news = Vec::with_capacity(requests.len());
        let mut seen = HashSet::new();
        for (id, request) in requests.iter().filter(|(id, _)| seen.insert(*id)) {
            news.push(NewJob::plan(*id, request).await?);
        }
        let mut admissions = self.admit(&news, None).await?.unwrap_or_default();
        let mut put = Vec::with_capacity(requests.len());
        for (id, request) in requests {
            put.push(match admissions.remove(id) {
                Some(Admission::Stored(job)) => PutJob::Stored(*job),
                // These are counted, or examined once more.
                _ => self.put_job(*id, request).await?,
            });
        }
        Ok(put)
    }

    pub(crate) async fn find_stored(&self, id: Uuid) -> Result<Job, StoreError> {
        self.find_job(id).await?.ok_or_else(|| StoreError::Corrupt {
            table: "jobs",
            problem: format!("job {id} is missing after it was stored"),
        })
    }

    async fn admit(
        &self,
        news: &[NewJob<'_>],
        counted: Option<&Counted>,
    ) -> Result<Result<BTreeMap<Uuid, Admission>, Overtaken>, StoreError> {
        let mut transaction = self.begin_writing().await?;
        // In ascending order, so that two such transactions do not wait for each other.
        let lengths: BTreeSet<usize> = news.iter().map(|new| new.keyspace.code_length()).collect();
        for length in lengths {
            transaction.lock_admissions(length).await?;
        }
        let ids: Vec<Uuid> = news.iter().map(|new| new.id).collect();
        let known: HashSet<Uuid> = transaction.find_known(&ids).await?.into_iter().collect();
        let mut admissions: BTreeMap<Uuid, Admission> = known.iter().map(|id| (*id, Admission::Known)).collect();
        let mut by_mask: BTreeMap<&str, Vec<&NewJob<'_>>> = BTreeMap::new();
        for new in news.iter().filter(|new| !known.contains(&new.id)) {
            by_mask.entry(&new.canonical_mask).or_default().push(new);
        }
        for group in by_mask.values() {
            let Ok(admitted) = transaction.admit_group(group, counted).await? else {
                transaction.rollback().await?;
                return Ok(Err(Overtaken));
            };
            admissions.extend(admitted);
        }
        let accepted = admissions.values().filter_map(|admission| match admission {
            Admission::Stored(job) => Some(AuditEntry::of_job(Action::Request, Outcome::Accepted, job)),
            _ => None,
        });
        transaction.put_audit(&accepted.collect::<Vec<_>>()).await?;
        transaction.commit().await?;
        Ok(Ok(admissions))
    }
}

type Admitted = Result<Vec<(Uuid, Admission)>, Overtaken>;

impl StoreTransaction {
    /// Admits jobs of one mask: all at once if enough codes are free for all, else one by one.
    async fn admit_group(&mut self, group: &[&NewJob<'_>], counted: Option<&Counted>) -> Result<Admitted, StoreError> {
        let mut admitted = Vec::with_capacity(group.len());
        let codes = group.iter().map(|new| new.request.count).sum();
        let Some(first) = group.first() else { return Ok(Ok(admitted)) };
        match self.find_capacity(first.wanted(codes), counted).await? {
            Capacity::Enough => return self.insert_group(group, codes).await,
            Capacity::TooFew { free, mintable, exact } if group.len() == 1 => {
                admitted.push((first.id, Admission::InsufficientKeyspace { free, mintable, exact }));
            }
            Capacity::Unsure if group.len() == 1 => admitted.push((first.id, Admission::Unsure)),
            Capacity::TooFew { .. } | Capacity::Unsure => {
                for one in group.chunks(1) {
                    match Box::pin(self.admit_group(one, counted)).await? {
                        Ok(more) => admitted.extend(more),
                        overtaken => return Ok(overtaken),
                    }
                }
            }
        }
        Ok(Ok(admitted))
    }

    async fn insert_group(&mut self, group: &[&NewJob<'_>], codes: u64) -> Result<Admitted, StoreError> {
        let Some(first) = group.first() else { return Ok(Ok(Vec::new())) };
        let mask_no = self.use_mask(&NewMask { mask: &first.request.mask, codes }).await?;
        let mut jobs = Vec::with_capacity(group.len());
        for new in group {
            let Some(job) = self.insert_job(new, mask_no).await? else { return Ok(Err(Overtaken)) };
            jobs.push(job);
        }
        let rounds: Vec<_> = jobs.iter().zip(group).map(|(job, new)| (job.no, &new.chunks[..])).collect();
        self.insert_chunks(mask_no, 0, &rounds).await?;
        self.put_accepted(jobs.iter()).await?;
        Ok(Ok(jobs.into_iter().map(|job| (job.id, Admission::Stored(Box::new(job)))).collect()))
    }
}
