//! `codemint campaign codes --identities`: binds a code of a restricted campaign to each identity of a list.

use std::collections::HashSet;
use std::fmt;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::input;
use crate::cli::support::minting::{Summary, mint};
use crate::cli::support::output::cannot_write;
use crate::cli::support::reject_file::RejectFile;
use crate::cli::support::requests::{request_failure, stored_job};
use crate::cli::support::temporary::Temporary;
use crate::cli::support::terminal::{print_json, print_line, print_report};
use crate::cli::support::text::{counted, grouped, quoted};

use crate::config::policy_files;
use codemint_codes::identity::{IdentityKey, IdentityOrder};
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::Request;
use codemint_codes::job::restriction::RestrictedTo;
use codemint_codes::job::state::State;
use codemint_codes::random::Key;
use codemint_codes::text::{one_or_many, printable};
use codemint_codes::wire::document::JobDocument;
use codemint_import::identity_list::{IdentityList, LeftOut, ListCounts, ListError};
use codemint_store::admission::submit::PutJob;
use codemint_store::campaigns::definitions::Campaign;
use codemint_store::campaigns::lists::PLACES_IN_PAGE;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;

/// The number of identities that the store is asked about at once.
const ASKED_AT_ONCE: usize = 10_000;

/// An order of codes for the identities of a list.
pub struct ListOrder<'a> {
    pub campaign: Campaign,
    pub file: &'a str,
    pub reject_file: Option<&'a Path>,
    pub no_wait: bool,
    pub new_check_key: bool,
    pub json: bool,
}

/// The rows that get no code, on their way to the reject file.
struct Rejects(Option<RejectsFile>);

struct RejectsFile {
    path: PathBuf,
    temporary: Temporary,
    writer: csv::Writer<File>,
}

#[derive(Serialize)]
struct Report {
    #[serde(flatten)]
    summary: Summary,
    list: ListDocument,
}

#[derive(Clone, Copy, Serialize)]
struct ListDocument {
    rows: u64,
    repeated: u64,
    invalid: u64,
    already_bound: u64,
}

impl ListOrder<'_> {
    pub async fn run(self, context: &Context, store: &Store) -> Result<(), Failure> {
        let key = context.with_retries(async || store.identity_key().await).await?;
        let (mut list, mut rejects) = self.read(context, key).await?;
        if list.is_empty() {
            rejects.persist()?;
            return Err(Failure::impossible(format!(
                "{} holds no valid identity ({}); nothing was minted",
                input::shown(self.file),
                ListDocument::from(list.counts)
            )));
        }
        let (id, known) = self.find_job(context, store, &list.digest()).await?;
        let job = match known {
            Some(job) => job,
            None => {
                self.leave_out_bound(context, store, &mut list, &mut rejects).await?;
                if list.is_empty() {
                    rejects.persist()?;
                    return self.report_nothing(&list.counts);
                }
                self.submit(context, store, id, &list).await?
            }
        };
        rejects.persist()?;
        let counts = list.counts;
        drop(list);
        if self.no_wait {
            return if self.json { print_json(&JobDocument::from(&job)) } else { print_line(&job.id.to_string()) };
        }
        self.finish(context, store, &job, counts).await
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

    async fn read(&self, context: &Context, key: IdentityKey) -> Result<(IdentityList, Rejects), Failure> {
        let opened = input::open(self.file)?;
        let mut rejects = Rejects::beside(context, self.reject_file, self.file)?;
        let is_csv = input::is_named_csv(self.file);
        let stop = context.stop.token().clone();
        let read = input::on_a_thread(context, move || {
            let proceed = |_bytes| if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
            let list = IdentityList::read(opened, is_csv, &key, &proceed, &mut |row| rejects.add(&row));
            list.map(|list| (list, rejects))
        });
        read.await?.map_err(|error| self.failure(context, error))
    }

    /// Adds the command that fixes an error to its message.
    fn failure(&self, context: &Context, error: ListError) -> Failure {
        let campaign = quoted(&self.campaign.definition.name);
        let repeated = |path: &str| format!("campaign codes {campaign} --identities {}", quoted(path));
        let advice = if let ListError::Read(error) = &error { error.advice() } else { None };
        let fix = advice.and_then(|advice| input::conversion(context, self.file, &advice, repeated));
        let failure = failure_of_list(error);
        match fix {
            Some(fix) => failure.with_hint(fix),
            None => failure,
        }
    }

    async fn leave_out_bound(
        &self,
        context: &Context,
        store: &Store,
        list: &mut IdentityList,
        rejects: &mut Rejects,
    ) -> Result<(), Failure> {
        if self.campaign.counts.issued == 0 {
            return Ok(());
        }
        let mut bound = HashSet::new();
        let digests: Vec<String> = list.digests().map(|digest| digest.to_string()).collect();
        for digests in digests.chunks(ASKED_AT_ONCE) {
            bound.extend(context.with_retries(async || store.find_bound(self.campaign.no, digests).await).await?);
        }
        list.remove_bound(&bound, &mut |row| rejects.add(&row)).map_err(failure_of_list)
    }

    fn report_nothing(&self, counts: &ListCounts) -> Result<(), Failure> {
        if self.json {
            return print_json(&serde_json::json!({ "job_id": null, "list": ListDocument::from(*counts) }));
        }
        print_line(&format!("no identity of the list needs a code: {}", ListDocument::from(*counts)))
    }

    async fn submit(&self, context: &Context, store: &Store, id: Uuid, list: &IdentityList) -> Result<Job, Failure> {
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
            let options = JobOptions { restricted_to, new_check_key: self.new_check_key, ..context.job_options() };
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
        match put {
            // Another process has just stored the same list.
            Ok(PutJob::Repeated(job) | PutJob::Conflict(job)) => Ok(job),
            Ok(put) => stored_job(&request, put),
            Err(left) => Err(Failure::impossible(format!(
                "{} {} a code, and the limit of issued codes allows {} more; nothing was minted; raise limits.issued",
                grouped(list.len() as u128),
                one_or_many(list.len(), "identity needs", "identities need"),
                grouped(left.into())
            ))),
        }
    }

    async fn finish(&self, context: &Context, store: &Store, job: &Job, counts: ListCounts) -> Result<(), Failure> {
        let started = Instant::now();
        let (job, share) = match job.state.is_final() {
            true => (job.clone(), Default::default()),
            false => mint(context, store, job).await?,
        };
        let minting: Duration = started.elapsed();
        let completed = find::require_completed(context, &job);
        if self.json || completed.is_ok() {
            let summary = Summary::new(context, &job, share, minting, None);
            print_report(self.json, &Report { summary, list: counts.into() })?;
        }
        completed
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

fn failure_of_list(error: ListError) -> Failure {
    match error {
        ListError::Read(error) => error.into(),
        ListError::LeftOut(_) => Failure::other(error),
        ListError::TooLarge => Failure::impossible(error),
    }
}

impl Rejects {
    fn beside(context: &Context, path: Option<&Path>, input: &str) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self(None)) };
        let (path, temporary) = RejectFile::beside(path, None, &context.config.store, input)?.into_parts();
        let file = temporary.as_file().try_clone().map_err(|error| cannot_write(&path, &error))?;
        let mut writer = csv::Writer::from_writer(file);
        writer.write_record(["line", "reason", "identity"]).map_err(Failure::other)?;
        Ok(Self(Some(RejectsFile { path, temporary, writer })))
    }

    fn add(&mut self, row: &LeftOut<'_>) -> std::io::Result<()> {
        let Some(file) = &mut self.0 else { return Ok(()) };
        Ok(file.writer.write_record([&row.line.to_string(), row.reason, row.identity])?)
    }

    /// Makes the file appear under its name.
    fn persist(self) -> Result<(), Failure> {
        let Some(RejectsFile { path, temporary, mut writer }) = self.0 else { return Ok(()) };
        writer.flush().and_then(|()| temporary.persist(&path, None)).map_err(|error| cannot_write(&path, &error))
    }
}

impl From<ListCounts> for ListDocument {
    fn from(counts: ListCounts) -> Self {
        let ListCounts { rows, repeated, invalid, bound } = counts;
        Self { rows, repeated, invalid, already_bound: bound }
    }
}

impl fmt::Display for ListDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", counted(self.rows.into(), "row"))?;
        for (count, what) in
            [(self.repeated, "repeated"), (self.invalid, "invalid"), (self.already_bound, "with a code already")]
        {
            if count > 0 {
                write!(f, ", {} {what}", grouped(count.into()))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nlist      {}", self.summary, printable(&self.list.to_string()))
    }
}
