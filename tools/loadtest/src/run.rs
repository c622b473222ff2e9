//! `codemint bench`: measures the throughput of a store and what limits it.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use uuid::Uuid;

use crate::cli::commands::bench::cleaning::{Removed, remove_all};
use crate::cli::commands::bench::measure::{Measured, mint_and_measure};
use crate::cli::commands::bench::place::Place;
use crate::cli::commands::bench::report::{Asked, Report};
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::requests::{insufficient_keyspace, request_failure, whole_number};
use crate::cli::support::terminal::{print_json, print_note};
use crate::cli::support::text::grouped;
use crate::config::policy_files;
use codemint_codes::job::bench;
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::{Request, fitting_chunk_size};
use codemint_store::admission::overlaps::CodeRange;
use codemint_store::admission::submit::PutJob;
use codemint_store::connection::store::Store;
use codemint_worker::mint::task::MintSettings;

mod cleaning;
mod cpu;
mod measure;
mod place;
mod report;

const DEFAULT_MASK: &str = "CODEMINT-BENCH-[:safe:]{10}";
const JOBS_MAX: i128 = 10_000;
const WORKERS_MAX: i128 = 64;
/// The number of jobs stored per transaction.
const JOBS_A_TRANSACTION: usize = 100;

/// Measure the throughput of a store and what limits it; all test data is removed
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint bench
  codemint --store postgres://owner@db/shop bench --jobs 10 --workers 4
  codemint --store postgres://owner@db/shop bench --mask 'SPRING-[:safe:]{8}' --codes 200000 --json

Mints real jobs into the configured store and then removes them: codes, chunks, jobs and masks, also \
after Ctrl-C. The next bench removes what a killed one has left. Workers ignore these jobs, and no \
events are published about them. Without a configured store, a temporary SQLite file in the working \
directory is measured. PostgreSQL needs a user with the right to delete: a member of codemint_owner. \
docs/bench.md explains the figures.")]
pub struct Bench {
    /// Number of codes over all jobs
    #[arg(short = 'n', long, value_name = "N", default_value = "1000000", allow_negative_numbers = true, value_parser = whole_number)]
    codes: i128,
    /// Number of jobs, 1 to 10000
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true, value_parser = whole_number)]
    jobs: i128,
    /// Mask of the codes; a mask that other jobs use measures how crowded it is
    #[arg(long, default_value = DEFAULT_MASK)]
    mask: String,
    /// Number of chunks minted at once, 1 to 64 [default: 2, from worker.concurrency]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole_number)]
    workers: Option<i128>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Bench {
    pub async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        let plan = self.plan(context)?;
        let place = Place::choose(context)?;
        let store = place.open(context).await?;
        check_rights(context, &store).await?;
        let lock = context.with_retries(async || store.lock_benches().await).await?;
        let Some(_lock) = lock else {
            return Err(Failure::other("another `codemint bench` runs on this store; wait until it has ended"));
        };
        self.remove_leftovers(context, &store).await?;
        if !context.quiet {
            print_note(&format!(
                "bench: {}{}",
                place.location,
                if place.is_temporary() { ", a temporary file" } else { "" }
            ));
        }
        let ran = Box::pin(plan.run(context, &place, &store)).await;
        let begun = Instant::now();
        // A temporary directory is deleted with everything in it.
        let removed = if place.is_temporary() { Ok(Removed::default()) } else { remove_all(&store).await };
        let cleaning = begun.elapsed();
        if let Err(error) = removed {
            let hint = format!(
                "the test data could not be removed: {error}; the next `codemint bench` on this store removes it"
            );
            return Err(ran.err().unwrap_or_else(|| Failure::from(error)).with_hint(hint));
        }
        let (jobs, measured, putting) = ran?;
        let report = Report::new(&plan.asked(&place), &jobs, &measured, putting, cleaning);
        if self.json {
            print_json(&report)?
        } else {
            report.print()?
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Checks everything that needs no store.
    fn plan(&self, context: &Context) -> Result<Plan, Failure> {
        let jobs = within("--jobs", self.jobs, JOBS_MAX)?;
        let workers = match self.workers {
            Some(workers) => within("--workers", workers, WORKERS_MAX)? as usize,
            None => context.config.worker.concurrency,
        };
        if self.codes >= 1 && jobs > self.codes {
            return Err(Failure::usage(format!(
                "--jobs is {jobs}, --codes is {}; a job needs at least 1 code",
                self.codes
            )));
        }
        let (each, more) = (self.codes / jobs, self.codes % jobs);
        let requests = [self.request(context, each)?, self.request(context, each + i128::from(more > 0))?];
        Ok(Plan { requests, jobs: jobs as u32, larger: more as u32, workers })
    }

    fn request(&self, context: &Context, count: i128) -> Result<Request, Failure> {
        let chunk_size = fitting_chunk_size(context.config.chunk_size, u64::try_from(count).unwrap_or_default());
        let policy = policy_files::load(&context.config)?;
        // Such a job emits no events, with or without a broker.
        Request::check(&self.mask, count, None, chunk_size, context.config.limits)
            .and_then(|request| request.under(policy))
            .map(|request| request.with_options(JobOptions::default()))
            .map_err(|error| request_failure(&self.mask, error))
    }

    async fn remove_leftovers(&self, context: &Context, store: &Store) -> Result<(), Failure> {
        let Removed { jobs, codes } = remove_all(store).await?;
        if jobs > 0 && !context.quiet {
            let codes = grouped(codes.into());
            print_note(&format!("note: removed the leftovers of a killed bench: {jobs} jobs with {codes} codes"));
        }
        Ok(())
    }
}

fn within(name: &str, number: i128, max: i128) -> Result<i128, Failure> {
    if (1..=max).contains(&number) {
        return Ok(number);
    }
    Err(Failure::usage(format!("{name} is {number}; write a number from 1 to {max}")))
}

/// Checks before anything is written that this user can remove it.
///
/// # Errors
/// `usage` if the user has no right to delete from some table.
async fn check_rights(context: &Context, store: &Store) -> Result<(), Failure> {
    let tables = context.with_retries(async || store.find_undeletable_tables().await).await?;
    if tables.is_empty() {
        return Ok(());
    }
    Err(Failure::usage(format!(
        "store.url: this user may not delete from {}, so a load test could not remove what it wrote; use a member of \
         codemint_owner, see deploy/postgres/roles.sql",
        tables.join(", ")
    )))
}

/// The jobs to mint.
struct Plan {
    /// The request of most jobs, and the one of the jobs with one code more.
    requests: [Request; 2],
    jobs: u32,
    /// The number of jobs with one code more.
    larger: u32,
    /// The number of chunks minted at once.
    workers: usize,
}

impl Plan {
    fn asked(&self, place: &Place) -> Asked {
        let [request, _] = &self.requests;
        Asked {
            store: place.location.to_string(),
            temporary: place.is_temporary(),
            mask: request.mask_text.clone(),
            chunk_size: request.chunk_size,
            workers: self.workers,
        }
    }

    /// Runs the test; returns the ended jobs, the measurements, and how long storing the jobs took.
    async fn run(
        &self,
        context: &Context,
        place: &Place,
        store: &Store,
    ) -> Result<(Vec<Job>, Measured, Duration), Failure> {
        let [request, _] = &self.requests;
        self.tell_of_others(context, store).await?;
        let begun = Instant::now();
        let jobs = self.put_jobs(context, store).await?;
        let putting = begun.elapsed();
        let settings = MintSettings { policy: request.policy.clone(), filters: context.config.filters, import: None };
        let measured_store = place.open_for(self.workers).await?;
        let measured = mint_and_measure(context, &measured_store, settings, self.workers, &jobs).await?;
        context.stop.check(|| "stopped; all test data is removed".to_owned())?;
        let mut ended = Vec::with_capacity(jobs.len());
        for job in &jobs {
            let job = find::job(context, store, job.id).await?;
            find::require_completed(context, &job)?;
            ended.push(job);
        }
        Ok((ended, measured, putting))
    }

    /// Prints a note about masks that share codes with this test: until the end, each takes free codes from the other.
    async fn tell_of_others(&self, context: &Context, store: &Store) -> Result<(), Failure> {
        let [request, _] = &self.requests;
        let (first, last) = request.mask.range();
        let in_use = context
            .with_retries(async || {
                let mut snapshot = store.begin_reading().await?;
                let in_use = snapshot.find_masks_in_use(CodeRange { first: &first, last: &last }).await?;
                snapshot.rollback().await?;
                Ok(in_use)
            })
            .await?;
        let meeting = in_use.iter().filter(|other| other.mask.meets(&request.mask)).count();
        if meeting > 0 && !context.quiet {
            print_note(&format!(
                "note: {meeting} masks in use share codes with {}; until the test has ended, their jobs find fewer free codes",
                request.mask_text
            ));
        }
        Ok(())
    }

    async fn put_jobs(&self, context: &Context, store: &Store) -> Result<Vec<Job>, Failure> {
        let test = Uuid::now_v7();
        let [request, larger] = &self.requests;
        let requests: Vec<(Uuid, Request)> = (0..self.jobs)
            .map(|number| {
                let campaign = bench::campaign(test, number);
                let request = if number < self.larger { larger } else { request };
                (bench::id_of(&campaign), Request { campaign: Some(campaign), ..request.clone() })
            })
            .collect();
        let mut jobs = Vec::with_capacity(requests.len());
        for batch in requests.chunks(JOBS_A_TRANSACTION) {
            context.stop.check(|| "stopped; all test data is removed".to_owned())?;
            let batch: Vec<(Uuid, &Request)> = batch.iter().map(|(id, request)| (*id, request)).collect();
            let put = context.with_retries(async || store.put_jobs(&batch).await).await?;
            for (put, (_, request)) in put.into_iter().zip(batch) {
                match put {
                    PutJob::Stored(job) | PutJob::Known(job) => jobs.push(job),
                    PutJob::InsufficientKeyspace { free, mintable, exact } => {
                        return Err(Failure::impossible(insufficient_keyspace(request, free, mintable, exact)));
                    }
                }
            }
        }
        Ok(jobs)
    }
}
