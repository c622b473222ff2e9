//! The job that binds a code of a restricted campaign to each identity of a list.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::requests::request_failure;
use crate::config::policy_files;
use codemint_codes::identity::IdentityOrder;
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::Request;
use codemint_codes::job::restriction::RestrictedTo;
use codemint_codes::job::state::State;
use codemint_codes::random::Key;
use codemint_codes::wire::list::ListDocument;
use codemint_import::identity_list::{IdentityList, ListCounts, ListError, OnLeftOut};
use codemint_store::admission::submit::PutJob;
use codemint_store::campaigns::definitions::Campaign;
use codemint_store::campaigns::lists::PLACES_IN_PAGE;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;

/// The number of identities that the store is asked about at once.
const ASKED_AT_ONCE: usize = 10_000;

/// A request for codes for the identities of a list.
pub struct ListRequest<'a> {
    pub campaign: &'a Campaign,
    pub new_check_key: bool,
    /// The requester, for the audit log; `None` means the user who runs this process.
    pub asked_by: Option<String>,
}

/// What came of a list.
pub enum Ordered {
    /// The job of the same list, which exists already.
    Known(Box<Job>),
    /// The answer of the store to a new job.
    Put(Box<Request>, Box<PutJob>),
    /// Each identity has its code already.
    Nothing,
    /// The limit of issued codes allows so many more, which are too few.
    LimitReached { left: u64 },
}

impl ListRequest<'_> {
    /// Finds the job of the list, or stores one. Identities with a code of the campaign are left out of a new job, and of the list.
    pub async fn put(
        &self,
        context: &Context,
        store: &Store,
        list: &mut IdentityList,
        on_left_out: OnLeftOut<'_>,
    ) -> Result<Ordered, Failure> {
        let (id, known) = self.find_job(context, store, &list.digest()).await?;
        if let Some(job) = known {
            return Ok(Ordered::Known(Box::new(job)));
        }
        self.leave_out_bound(context, store, list, on_left_out).await?;
        if list.is_empty() {
            return Ok(Ordered::Nothing);
        }
        self.submit(context, store, id, list).await
    }

    /// Returns the job of the list, or the id of a new one. A job that has ended without all its codes stays as it is: the
    /// identities that have none yet get theirs from another job.
    async fn find_job(
        &self,
        context: &Context,
        store: &Store,
        list_digest: &[u8; 32],
    ) -> Result<(Uuid, Option<Job>), Failure> {
        let mut attempt = 0;
        loop {
            let id = id_of(&self.campaign.definition.name, list_digest, attempt);
            match context.with_retries(async || store.find_job(id).await).await? {
                Some(job) if matches!(job.state, State::Cancelled | State::Failed) => attempt += 1,
                found => return Ok((id, found)),
            }
        }
    }

    async fn leave_out_bound(
        &self,
        context: &Context,
        store: &Store,
        list: &mut IdentityList,
        on_left_out: OnLeftOut<'_>,
    ) -> Result<(), Failure> {
        if self.campaign.counts.issued == 0 {
            return Ok(());
        }
        let mut bound = HashSet::new();
        let digests: Vec<String> = list.digests().map(|digest| digest.to_string()).collect();
        for digests in digests.chunks(ASKED_AT_ONCE) {
            bound.extend(context.with_retries(async || store.find_bound(self.campaign.no, digests).await).await?);
        }
        list.remove_bound(&bound, on_left_out).map_err(failure_of_list)
    }

    async fn submit(
        &self,
        context: &Context,
        store: &Store,
        id: Uuid,
        list: &IdentityList,
    ) -> Result<Ordered, Failure> {
        let definition = &self.campaign.definition;
        let (mask, count) = (definition.mask.to_string(), list.len() as i128);
        let policy = policy_files::load(&context.config)?;
        let chunk_size = context.config.chunk_size;
        let request = Request::check(&mask, count, Some(&definition.name), chunk_size, context.config.limits)
            .and_then(|request| request.under(policy))
            .map_err(|error| request_failure(&mask, error))?;
        let tried = Mutex::new(Vec::new());
        let put = async || {
            let list_id = Uuid::now_v7();
            tried.lock().unwrap_or_else(PoisonError::into_inner).push(list_id);
            let restricted_to = Some(RestrictedTo::List { list_id });
            let (new_check_key, asked_by) = (self.new_check_key, self.asked_by.clone());
            let options = JobOptions { restricted_to, new_check_key, asked_by, ..context.job_options() };
            let request = request.clone().with_options(options);
            let load = async |key: &Key| load(store, list_id, list, key).await;
            match store.put_list_job(id, &request, load).await {
                Err(StoreError::IssueLimit { left }) => Ok(Err(left)),
                put => put.map(Ok),
            }
        };
        let put = context.with_retries(put).await?;
        // Not before the outcome is known: a job whose commit seemed to fail may need its list.
        let tried = tried.into_inner().unwrap_or_else(PoisonError::into_inner);
        let needed = put.as_ref().ok().and_then(list_of);
        for list_id in tried.into_iter().filter(|list_id| Some(*list_id) != needed) {
            context.with_retries(async || store.delete_list(list_id).await).await?;
        }
        Ok(match put {
            // Another process has just stored the same list.
            Ok(PutJob::Repeated(job) | PutJob::Conflict(job)) => Ordered::Known(Box::new(job)),
            Ok(put) => Ordered::Put(Box::new(request), Box::new(put)),
            Err(left) => Ordered::LimitReached { left },
        })
    }
}

/// Stores the list in the order that follows from the job's key.
async fn load(store: &Store, list_id: Uuid, list: &IdentityList, key: &Key) -> Result<(), StoreError> {
    let order = IdentityOrder::of_job(key)
        .ok_or_else(|| StoreError::Corrupt { table: "jobs", problem: "the key orders nothing".to_owned() })?;
    let pages = tokio::task::block_in_place(|| list.pages(&order, PLACES_IN_PAGE));
    store.put_list(list_id, pages).await
}

/// Returns the list of the job that was stored, by this call or before.
fn list_of(put: &PutJob) -> Option<Uuid> {
    let (PutJob::Stored(job) | PutJob::Repeated(job) | PutJob::Conflict(job)) = put else { return None };
    match job.options.restricted_to {
        Some(RestrictedTo::List { list_id }) => Some(list_id),
        _ => None,
    }
}

/// Returns the id of the job for a list: the same list for the same campaign is the same job.
fn id_of(campaign: &str, list_digest: &[u8; 32], attempt: u32) -> Uuid {
    let list = Sha256::new().chain_update("codemint list").chain_update(list_digest);
    let digest = list.chain_update(attempt.to_be_bytes()).chain_update(campaign).finalize();
    uuid::Builder::from_custom_bytes(std::array::from_fn(|at| digest[at])).into_uuid()
}

pub fn failure_of_list(error: ListError) -> Failure {
    match error {
        ListError::Read(error) => error.into(),
        ListError::LeftOut(_) => Failure::other(error),
        ListError::TooLarge => Failure::impossible(error),
    }
}

/// Returns the document of what was read of a list.
pub const fn list_document(counts: &ListCounts) -> ListDocument {
    let ListCounts { rows, repeated, invalid, bound } = *counts;
    ListDocument { rows, repeated, invalid, already_bound: bound }
}
