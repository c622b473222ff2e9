//! Stores jobs if enough codes are free for them: one job, or all that came in at the same moment. Every request is
//! recorded in the audit log, in the transaction that decides about it.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::slice;

use uuid::Uuid;

use crate::admission::capacity::Counted;
use crate::admission::new_jobs::{NewJob, NewMask};
use crate::connection::error::{StoreError, reach};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{AuditEntry, Outcome};
use codemint_codes::capacity::Capacity;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::Request;
use codemint_codes::job::state::JobError;
use codemint_codes::policy::OtherCheckKey;
use codemint_codes::random::Key;
use codemint_telemetry::failpoint;

/// The result of a request to store a job.
#[derive(Debug)]
pub enum PutJob {
    /// The job is stored, with its first round of chunks unless it waits for room.
    Stored(Job),
    /// The same request was made before: nothing was changed.
    Repeated(Job),
    /// This job has the id and stems from another request: nothing was changed.
    Conflict(Job),
    /// Nothing was stored: `free` codes of the mask are free, fewer than requested.
    InsufficientKeyspace {
        free: u128,
        /// Codes of the mask that are neither reserved nor denied, taken or not.
        mintable: u128,
        /// False if this is an estimate.
        exact: bool,
    },
    /// Nothing was stored: it depends on unfinished jobs whether enough codes are free, and the request refuses to wait.
    RoomUncertain { certain: u128, possible: u128 },
    /// Nothing was stored: the mask's newest job has another check key.
    OtherCheckKey(OtherCheckKey),
}

impl PutJob {
    /// Returns the error code of a refusal.
    const fn refusal(&self) -> Option<&'static str> {
        match self {
            Self::InsufficientKeyspace { .. } | Self::RoomUncertain { .. } => Some(JobError::INSUFFICIENT_KEYSPACE),
            Self::OtherCheckKey(_) => Some(JobError::OTHER_CHECK_KEY),
            Self::Stored(_) | Self::Repeated(_) | Self::Conflict(_) => None,
        }
    }
}

/// The decisions about jobs, by id. A job is missing if the masks in use leave open whether enough codes are free.
type Decided = BTreeMap<Uuid, PutJob>;

/// The reason why a transaction admitted no jobs at all.
enum NotAdmitted {
    /// Another process stored a job of the same id at this moment, under a mask of another length.
    IdConflict,
    Store(StoreError),
}

impl From<StoreError> for NotAdmitted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Store {
    /// Stores a job and the chunks of its first round in one transaction, under a fresh key, if enough codes are free.
    /// Idempotent: a repeated id changes nothing, so after an unknown outcome the call can be repeated.
    pub async fn put_job(&self, id: Uuid, request: &Request) -> Result<PutJob, StoreError> {
        let put = self.decide_one(id, request).await?;
        if let Some(code) = put.refusal() {
            let entry = entry_of(Outcome::Refused, id, request).with_detail(code);
            self.put_audit(&entry).await?;
        }
        Ok(put)
    }

    /// Does the same as [`Store::put_job`] for a job with a list, which `load` stores in the order that follows from the
    /// key of the job. A list whose job is not stored is the caller's to remove.
    pub async fn put_list_job(
        &self,
        id: Uuid,
        request: &Request,
        load: impl AsyncFnOnce(&Key) -> Result<(), StoreError>,
    ) -> Result<PutJob, StoreError> {
        let new = NewJob::plan(id, request).await?;
        load(&new.key).await?;
        reach(failpoint::LIST_LOADED).await?;
        let put = self.decide_new(&new).await?;
        reach(failpoint::LIST_JOB_COMMITTED).await?;
        if let Some(code) = put.refusal() {
            self.put_audit(&entry_of(Outcome::Refused, id, request).with_detail(code)).await?;
        }
        Ok(put)
    }

    /// Stores many jobs in one transaction, as [`Store::put_job`] does one: a flush to disk costs more than a job. The
    /// same id may occur more than once. The caller records refusals, for example with [`Store::put_refused`].
    ///
    /// # Errors
    /// After any error, jobs that were already stored are `Repeated` from now on.
    pub async fn put_jobs(&self, requests: &[(Uuid, &Request)]) -> Result<Vec<PutJob>, StoreError> {
        let mut news = Vec::with_capacity(requests.len());
        let mut seen = HashSet::new();
        for (id, request) in requests.iter().filter(|(id, _)| seen.insert(*id)) {
            news.push(NewJob::plan(*id, request).await?);
        }
        let mut decided = self.admit(&news, None).await?;
        for new in &news {
            if let Entry::Vacant(undecided) = decided.entry(new.id) {
                undecided.insert(self.decide_by_counting(new).await?);
            }
        }
        let mut put = Vec::with_capacity(requests.len());
        for (id, request) in requests {
            put.push(match decided.remove(id) {
                Some(decision) => decision,
                // An earlier request of this call has the same id.
                None => self.decide_one(*id, request).await?,
            });
        }
        Ok(put)
    }

    async fn decide_one(&self, id: Uuid, request: &Request) -> Result<PutJob, StoreError> {
        self.decide_new(&NewJob::plan(id, request).await?).await
    }

    async fn decide_new(&self, new: &NewJob<'_>) -> Result<PutJob, StoreError> {
        match self.admit(slice::from_ref(new), None).await?.remove(&new.id) {
            Some(decision) => Ok(decision),
            None => self.decide_by_counting(new).await,
        }
    }

    /// Counts the taken codes, outside of the admission's transaction, until that decides.
    async fn decide_by_counting(&self, new: &NewJob<'_>) -> Result<PutJob, StoreError> {
        let mut counted: Option<Counted> = None;
        loop {
            let count = self.count_taken(new.wanted(new.request.count), counted.as_ref()).await?;
            if let Some(decision) = self.admit(slice::from_ref(new), Some(&count)).await?.remove(&new.id) {
                return Ok(decision);
            }
            counted = Some(count);
        }
    }

    async fn admit(&self, news: &[NewJob<'_>], counted: Option<&Counted>) -> Result<Decided, StoreError> {
        loop {
            let mut transaction = self.begin_writing().await?;
            match transaction.admit(news, counted).await {
                Ok(decided) => {
                    transaction.commit().await?;
                    return Ok(decided);
                }
                // The next attempt finds the other job.
                Err(NotAdmitted::IdConflict) => transaction.rollback().await?,
                Err(NotAdmitted::Store(error)) => return Err(error),
            }
        }
    }

    pub(crate) async fn find_stored(&self, id: Uuid) -> Result<Job, StoreError> {
        self.find_job(id).await?.ok_or_else(|| StoreError::Corrupt {
            table: "jobs",
            problem: format!("job {id} is missing after it was stored"),
        })
    }
}

impl StoreTransaction {
    async fn admit(&mut self, news: &[NewJob<'_>], counted: Option<&Counted>) -> Result<Decided, NotAdmitted> {
        self.lock_admissions_of(news).await?;
        let campaigns = news.iter().filter_map(|new| new.request.campaign.as_deref());
        self.share_campaign_names(&campaigns.collect()).await?;
        let mut decided = self.recognize_known(news).await?;
        let undecided: Vec<&NewJob<'_>> = news.iter().filter(|new| !decided.contains_key(&new.id)).collect();
        let refused = self.find_other_check_keys(&undecided).await?;
        decided.extend(refused.into_iter().map(|(id, other)| (id, PutJob::OtherCheckKey(other))));
        for group in group_by_mask(news.iter().filter(|new| !decided.contains_key(&new.id))) {
            decided.extend(self.admit_group(&group, counted).await?);
        }
        self.audit_requests(news, &decided).await?;
        Ok(decided)
    }

    /// Locks in ascending order, so that two such transactions do not wait for each other.
    async fn lock_admissions_of(&mut self, news: &[NewJob<'_>]) -> Result<(), StoreError> {
        let lengths: BTreeSet<usize> = news.iter().map(|new| new.keyspace.code_length()).collect();
        for length in lengths {
            self.lock_admissions(length).await?;
        }
        Ok(())
    }

    /// Decides about the requests whose ids jobs have already.
    async fn recognize_known(&mut self, news: &[NewJob<'_>]) -> Result<Decided, StoreError> {
        let ids: Vec<Uuid> = news.iter().map(|new| new.id).collect();
        let known: HashMap<Uuid, i64> = self.find_known(&ids).await?.into_iter().collect();
        let mut decided = Decided::new();
        for new in news {
            let Some(job_no) = known.get(&new.id) else { continue };
            let job = self.read_job(*job_no).await?;
            let is_repeated = job.asks_the_same_as(new.request);
            decided.insert(new.id, if is_repeated { PutJob::Repeated(job) } else { PutJob::Conflict(job) });
        }
        Ok(decided)
    }

    /// Admits jobs of one mask: all at once if enough codes are free for all, else one by one.
    async fn admit_group(&mut self, group: &[&NewJob<'_>], counted: Option<&Counted>) -> Result<Decided, NotAdmitted> {
        let [first, ..] = group else { return Ok(Decided::new()) };
        let codes = group.iter().map(|new| new.request.count).sum();
        let capacity = self.find_capacity(first.wanted(codes), counted).await?;
        match group {
            _ if capacity == Capacity::Enough => self.insert_jobs(group).await,
            [one] => self.refuse_or_let_wait(one, capacity).await,
            _ => self.admit_those_that_fit(group, counted).await,
        }
    }

    async fn admit_those_that_fit(
        &mut self,
        group: &[&NewJob<'_>],
        counted: Option<&Counted>,
    ) -> Result<Decided, NotAdmitted> {
        let mut decided = Decided::new();
        let mut left = Vec::new();
        for new in group {
            match self.find_capacity(new.wanted(new.request.count), counted).await? {
                Capacity::Enough => decided.extend(self.insert_jobs(slice::from_ref(new)).await?),
                Capacity::TooFew { .. } | Capacity::Depends { .. } | Capacity::Unsure => left.push(*new),
            }
        }
        // A refusal reports the codes that are free after the other requests are in.
        for new in left {
            let capacity = self.find_capacity(new.wanted(new.request.count), counted).await?;
            decided.extend(self.refuse_or_let_wait(new, capacity).await?);
        }
        Ok(decided)
    }

    /// Decides about a job for which it is not certain that enough codes are free. Decides nothing if only counting
    /// the codes does.
    async fn refuse_or_let_wait(&mut self, new: &NewJob<'_>, capacity: Capacity) -> Result<Decided, NotAdmitted> {
        let refusal = match capacity {
            Capacity::TooFew { free, mintable, exact } => PutJob::InsufficientKeyspace { free, mintable, exact },
            Capacity::Depends { certain, possible } if new.request.options.refuses_to_wait => {
                PutJob::RoomUncertain { certain, possible }
            }
            Capacity::Enough | Capacity::Depends { .. } | Capacity::Unsure => {
                let Some(reason) = capacity.reason_to_wait(new.request.count) else { return Ok(Decided::new()) };
                return self.insert_waiting(new, reason).await;
            }
        };
        Ok(Decided::from([(new.id, refusal)]))
    }

    /// Inserts a job that waits for room. Its codes are promised to it, so that no later job takes them.
    async fn insert_waiting(&mut self, new: &NewJob<'_>, reason: String) -> Result<Decided, NotAdmitted> {
        let mask = NewMask { mask: &new.request.mask, codes: new.request.count };
        let mask_no = self.use_mask(&mask).await?;
        let job = self.insert_job(new, mask_no, Some(reason)).await?.ok_or(NotAdmitted::IdConflict)?;
        self.put_accepted([&job].into_iter()).await?;
        Ok(Decided::from([(job.id, PutJob::Stored(job))]))
    }

    /// Inserts jobs of one mask, their chunks and their events.
    async fn insert_jobs(&mut self, group: &[&NewJob<'_>]) -> Result<Decided, NotAdmitted> {
        let [first, ..] = group else { return Ok(Decided::new()) };
        let codes = group.iter().map(|new| new.request.count).sum();
        let mask_no = self.use_mask(&NewMask { mask: &first.request.mask, codes }).await?;
        let mut jobs = Vec::with_capacity(group.len());
        for new in group {
            jobs.push(self.insert_job(new, mask_no, None).await?.ok_or(NotAdmitted::IdConflict)?);
        }
        let rounds: Vec<_> = jobs.iter().zip(group).map(|(job, new)| (job.no, &new.chunks[..])).collect();
        self.insert_chunks(mask_no, 0, &rounds).await?;
        self.put_accepted(jobs.iter()).await?;
        Ok(jobs.into_iter().map(|job| (job.id, PutJob::Stored(job))).collect())
    }

    async fn audit_requests(&mut self, news: &[NewJob<'_>], decided: &Decided) -> Result<(), StoreError> {
        let entry = |new: &NewJob<'_>| {
            let outcome = match decided.get(&new.id)? {
                PutJob::Stored(_) => Outcome::Accepted,
                PutJob::Repeated(_) => Outcome::Repeated,
                PutJob::Conflict(_) => Outcome::Conflict,
                PutJob::InsufficientKeyspace { .. } | PutJob::RoomUncertain { .. } | PutJob::OtherCheckKey(_) => {
                    return None;
                }
            };
            Some(entry_of(outcome, new.id, new.request))
        };
        self.put_audit(&news.iter().filter_map(entry).collect::<Vec<_>>()).await
    }
}

fn entry_of(outcome: Outcome, id: Uuid, request: &Request) -> AuditEntry {
    let asked = (&*request.mask_text, request.count, request.campaign.as_deref());
    AuditEntry::of_request(outcome, id, asked, &request.options)
}

fn group_by_mask<'a, 'b>(news: impl Iterator<Item = &'b NewJob<'a>>) -> Vec<Vec<&'b NewJob<'a>>> {
    let mut groups: BTreeMap<&str, Vec<&NewJob<'_>>> = BTreeMap::new();
    for new in news {
        groups.entry(&new.canonical_mask).or_default().push(new);
    }
    groups.into_values().collect()
}
