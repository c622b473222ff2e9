//! The way of one load test: create a place, put the jobs, mint and measure them, remove the place, report.

use std::io::{IsTerminal, stderr};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;
use codemint_codes::job::record::Job;
use codemint_codes::job::state::State;
use codemint_codes::screening::FilterLimits;
use codemint_codes::text::{plural, printable};
use codemint_store::connection::store::Store;
use codemint_telemetry::logs::{self, LogFormat, LogLevel};
use codemint_worker::mint::task::MintSettings;

use crate::arguments::Arguments;
use crate::failure::Failure;
use crate::measure::{Conditions, Measured, progress_bar};
use crate::place::Place;
use crate::plan::Plan;
use crate::report::{Asked, Report};
use crate::stop::Stop;
use crate::text::say;

/// Maximum time for closing the connections: everything is committed or is removed anyway.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Runs the load test that the command line asks for.
pub async fn run() -> ExitCode {
    let arguments = Arguments::parse();
    logs::install(LogFormat::Text, LogLevel::Warn, stderr().is_terminal(), printable, stderr);
    match Box::pin(load(&arguments)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(arguments.quiet),
    }
}

async fn load(arguments: &Arguments) -> Result<(), Failure> {
    let plan = Plan::new(arguments)?;
    let stop = Stop::on_signals()?;
    let place = Place::create(arguments).await?;
    let is_temporary = place.is_temporary_file();
    if !arguments.quiet {
        say(&format!("loadtest: {}{}", printable(&place.shown), if is_temporary { ", a temporary file" } else { "" }));
    }
    let asked = Asked {
        store: place.shown.clone(),
        temporary: is_temporary,
        mask: plan.request().mask_text.clone(),
        chunk_size: plan.request().chunk_size,
        workers: plan.workers,
    };
    let loaded = load_in(&place, &plan, arguments.quiet, &stop).await;
    let begun = Instant::now();
    let removed = place.remove().await;
    let removing = begun.elapsed();
    if let Err(error) = removed {
        let hint = "the test data could not be removed; the next load test in this place removes it";
        return Err(loaded.err().unwrap_or(error).with_hint(hint));
    }
    let Loaded { jobs, measured, putting } = loaded?;
    let report = Report::new(&asked, &jobs, &measured, putting, removing);
    if arguments.json { report.print_json() } else { report.print() }
}

/// The result of a load test.
struct Loaded {
    /// The jobs, completed.
    jobs: Vec<Job>,
    measured: Measured,
    /// How long storing the jobs took.
    putting: Duration,
}

async fn load_in(place: &Place, plan: &Plan, quiet: bool, stop: &Stop) -> Result<Loaded, Failure> {
    let store = place.open().await?;
    let loaded = load_with(&store, place, plan, quiet, stop).await;
    let _in_time = tokio::time::timeout(CLOSE_TIMEOUT, store.close()).await;
    loaded
}

async fn load_with(store: &Store, place: &Place, plan: &Plan, quiet: bool, stop: &Stop) -> Result<Loaded, Failure> {
    let begun = Instant::now();
    let jobs = plan.put_jobs(stop, store).await?;
    let putting = begun.elapsed();
    let policy = plan.request().policy.clone();
    let conditions = Conditions {
        url: place.url(),
        settings: MintSettings { policy, filters: FilterLimits::default(), import: None },
        workers: plan.workers,
        stop: stop.token(),
        bar: progress_bar(&jobs, quiet),
    };
    let measured_store = place.open_for(plan.workers).await?;
    let measured = conditions.mint_and_measure(&measured_store, &jobs).await;
    stop.check()?;
    let jobs = find_completed(store, &jobs, stop).await?;
    Ok(Loaded { jobs, measured, putting })
}

/// Returns the jobs as they have ended.
///
/// # Errors
/// `other` unless all of them have all their codes.
async fn find_completed(store: &Store, jobs: &[Job], stop: &Stop) -> Result<Vec<Job>, Failure> {
    let mut ended = Vec::with_capacity(jobs.len());
    for Job { id, .. } in jobs {
        match stop.patiently(async || store.find_job(*id).await).await? {
            Some(job) if job.state == State::Completed => ended.push(job),
            Some(Job { state, minted, error, .. }) => {
                let why = error.map(|error| format!(": {}", error.message)).unwrap_or_default();
                return Err(Failure::other(format!(
                    "job {id} is {state} with {minted} {}{why}",
                    plural(minted, "code")
                )));
            }
            None => return Err(Failure::other(format!("job {id} is missing: its schema was removed"))),
        }
    }
    Ok(ended)
}
