//! `codemint campaign codes --identities`: binds a code of a restricted campaign to each identity of a list.

use std::fmt;
use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::input;
use crate::cli::support::list_job::{ListRequest, Ordered, failure_of_list, list_document};
use crate::cli::support::minting::{Summary, mint};
use crate::cli::support::output::cannot_write;
use crate::cli::support::reject_file::RejectFile;
use crate::cli::support::requests::stored_job;
use crate::cli::support::temporary::Temporary;
use crate::cli::support::terminal::{print_json, print_line, print_report};
use crate::cli::support::text::{counted, quoted};
use codemint_codes::identity::IdentityKey;
use codemint_codes::job::record::Job;
use codemint_codes::text::{grouped, one_or_many, printable};
use codemint_codes::wire::document::JobDocument;
use codemint_codes::wire::list::ListDocument;
use codemint_import::identity_list::{IdentityList, LeftOut, ListCounts, ListError};
use codemint_store::campaigns::definitions::Campaign;
use codemint_store::connection::store::Store;

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

impl ListOrder<'_> {
    pub async fn run(self, context: &Context, store: &Store) -> Result<(), Failure> {
        let key = context.with_retries(async || store.identity_key().await).await?;
        let (mut list, mut rejects) = self.read(context, key).await?;
        if list.is_empty() {
            rejects.persist()?;
            return Err(Failure::impossible(format!(
                "{} holds no valid identity ({}); nothing was minted",
                input::shown(self.file),
                shown(&list_document(&list.counts))
            )));
        }
        let order = ListRequest { campaign: &self.campaign, new_check_key: self.new_check_key, asked_by: None };
        let ordered = order.put(context, store, &mut list, &mut |row| rejects.add(&row)).await?;
        let job = match ordered {
            Ordered::Nothing => {
                rejects.persist()?;
                return self.report_nothing(&list.counts);
            }
            Ordered::Known(job) => *job,
            Ordered::Put(request, put) => stored_job(&request, *put)?,
            Ordered::LimitReached { left } => return Err(limit_reached(list.len(), left)),
        };
        rejects.persist()?;
        let counts = list.counts;
        drop(list);
        if self.no_wait {
            return if self.json { print_json(&JobDocument::from(&job)) } else { print_line(&job.id.to_string()) };
        }
        self.finish(context, store, &job, counts).await
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

    fn report_nothing(&self, counts: &ListCounts) -> Result<(), Failure> {
        if self.json {
            return print_json(&serde_json::json!({ "job_id": null, "list": list_document(counts) }));
        }
        print_line(&format!("no identity of the list needs a code: {}", shown(&list_document(counts))))
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
            print_report(self.json, &Report { summary, list: list_document(&counts) })?;
        }
        completed
    }
}

fn limit_reached(needed: usize, left: u64) -> Failure {
    Failure::impossible(format!(
        "{} {} a code, and the limit of issued codes allows {} more; nothing was minted; raise limits.issued",
        grouped(needed as u128),
        one_or_many(needed, "identity needs", "identities need"),
        grouped(left.into())
    ))
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

/// Formats what was read of a list.
fn shown(list: &ListDocument) -> String {
    let mut text = counted(list.rows.into(), "row");
    for (count, what) in
        [(list.repeated, "repeated"), (list.invalid, "invalid"), (list.already_bound, "with a code already")]
    {
        if count > 0 {
            text.push_str(&format!(", {} {what}", grouped(count.into())));
        }
    }
    text
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\nlist      {}", self.summary, printable(&shown(&self.list)))
    }
}
