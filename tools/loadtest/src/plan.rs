//! The jobs of a load test, and their requests to the store.

use std::sync::Arc;

use codemint_codes::check::CheckKey;
use codemint_codes::denied::DeniedWords;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::{Limits, Request, RequestError};
use codemint_codes::policy::Policy;
use codemint_codes::text::{grouped, one_or_many, plural};
use codemint_store::admission::submit::PutJob;
use codemint_store::connection::store::Store;
use uuid::Uuid;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::stop::Stop;

const JOBS_MAX: i128 = 10_000;
const WORKERS_MAX: i128 = 64;
/// Maximum number of codes of one job: that of the product.
const COUNT_MAX: u64 = 1_000_000_000;
/// The number of jobs stored per transaction.
const JOBS_A_TRANSACTION: usize = 100;
/// The secret of check characters, if the mask has some: these codes are removed, so nobody must not know it.
const CHECK_SECRET: &[u8] = b"a secret for codes of load tests";

/// The jobs to mint.
#[derive(Debug)]
pub struct Plan {
    /// The request of most jobs, and the one of the jobs with one code more.
    requests: [Request; 2],
    jobs: u32,
    /// The number of jobs with one code more.
    larger: u32,
    /// The number of chunks minted at once.
    pub workers: usize,
}

impl Plan {
    /// Checks everything that needs no store.
    pub fn new(arguments: &Arguments) -> Result<Self, Failure> {
        let (codes, jobs) = (arguments.codes, within("--jobs", arguments.jobs, JOBS_MAX)?);
        let workers = within("--workers", arguments.workers, WORKERS_MAX)? as usize;
        if codes >= 1 && jobs > codes {
            return Err(Failure::usage(format!("--jobs is {jobs}, --codes is {codes}; a job needs at least 1 code")));
        }
        let (each, more) = (codes / jobs, codes % jobs);
        let policy = policy(arguments)?;
        let request = |count| request(arguments, count, &policy);
        let requests = [request(each)?, request(each + i128::from(more > 0))?];
        Ok(Self { requests, jobs: jobs as u32, larger: more as u32, workers })
    }

    /// Returns the request of most jobs.
    pub fn request(&self) -> &Request {
        let [request, _] = &self.requests;
        request
    }

    /// Stores the jobs.
    ///
    /// # Errors
    /// `interrupted`; `impossible` if the mask has too few codes for all jobs together.
    pub async fn put_jobs(&self, stop: &Stop, store: &Store) -> Result<Vec<Job>, Failure> {
        let [request, larger] = &self.requests;
        let requests: Vec<(Uuid, &Request)> = (0..self.jobs)
            .map(|number| (Uuid::now_v7(), if number < self.larger { larger } else { request }))
            .collect();
        let mut jobs = Vec::with_capacity(requests.len());
        for batch in requests.chunks(JOBS_A_TRANSACTION) {
            let put = stop.patiently(async || store.put_jobs(batch).await).await?;
            for (put, (_, request)) in put.into_iter().zip(batch) {
                match put {
                    PutJob::Stored(job) | PutJob::Repeated(job) | PutJob::Conflict(job) => jobs.push(job),
                    PutJob::InsufficientKeyspace { free, .. } | PutJob::RoomUncertain { certain: free, .. } => {
                        return Err(too_few(request, free));
                    }
                    // A new schema has no earlier jobs.
                    PutJob::OtherCheckKey(other) => return Err(Failure::other(other)),
                }
            }
        }
        Ok(jobs)
    }
}

fn within(name: &str, number: i128, max: i128) -> Result<i128, Failure> {
    if (1..=max).contains(&number) {
        return Ok(number);
    }
    Err(Failure::usage(format!("{name} is {number}; write a number from 1 to {max}")))
}

fn policy(arguments: &Arguments) -> Result<Policy, Failure> {
    let denied = arguments.deny_builtin.then(DeniedWords::builtin).transpose().map_err(Failure::other)?;
    let check_key = CheckKey::new(CHECK_SECRET).map_err(Failure::other)?;
    Ok(Policy { check_key: Some(check_key), denied: denied.map(Arc::new) })
}

fn request(arguments: &Arguments, count: i128, policy: &Policy) -> Result<Request, Failure> {
    let limits = Limits { guess_odds_min: 0, count_max: COUNT_MAX };
    let request = Request::check(&arguments.mask, count, None, arguments.chunk_size, limits);
    request.and_then(|request| request.under(policy.clone())).map_err(|error| match error {
        RequestError::CountAboveLimit { count, limit } => {
            Failure::impossible(format!("count is {count}; a job has at most {limit} codes: use more --jobs"))
        }
        other => Failure::impossible(other),
    })
}

fn too_few(request: &Request, free: u128) -> Failure {
    Failure::impossible(format!(
        "{} {} of {} {} free, {} {} requested; use another --mask or fewer --codes",
        grouped(free),
        plural(free, "code"),
        request.mask_text,
        one_or_many(free, "is", "are"),
        grouped(request.count.into()),
        one_or_many(request.count, "was", "were")
    ))
}
