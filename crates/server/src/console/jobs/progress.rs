//! The progress of a job, as the pages of jobs and of campaigns show it.

use std::time::Duration;

use askama::Template;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use codemint_codes::job::record::{Job, Origin};
use codemint_codes::job::state::State;
use codemint_codes::text::printable;
use indicatif::HumanDuration;

use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::campaigns::labels::Badge;
use crate::console::page::page;
use crate::console::shown::{counted, number};

/// The progress of a job, for the template `console/jobs/progress.html`.
#[derive(Clone, Debug)]
pub struct Progress {
    pub state: Badge,
    /// The codes that are not missing any more.
    pub done: u64,
    pub count: u64,
    pub percent: u64,
    /// `120,000 of 1,000,000 codes`
    pub codes: String,
    /// Empty while unknown, and after the end.
    pub rate: String,
    pub remaining: String,
    /// The code of the error: not its message, which may name a mask that is a code.
    pub error: Option<String>,
    pub waits: bool,
    pub is_final: bool,
}

#[derive(Debug, Template)]
#[template(path = "console/jobs/progress.html")]
struct Part<'a> {
    progress: &'a Progress,
}

impl Progress {
    /// Returns what is known about a job now.
    pub fn of(api: &Api, job: &Job) -> Self {
        let rate = if job.state == State::Running { api.paces.rate(job) } else { None };
        Self::new(job, rate)
    }

    fn new(job: &Job, rate: Option<f64>) -> Self {
        let (count, missing) = (job.count, job.missing());
        let done = count - missing.min(count);
        let remaining = rate.and_then(|rate| Duration::try_from_secs_f64(missing as f64 / rate).ok());
        Self {
            state: state_badge(job.state),
            done,
            count,
            percent: (u128::from(done) * 100 / u128::from(count.max(1))) as u64,
            codes: format!("{} of {}", number(job.minted), counted(count, "code")),
            rate: rate.map(|rate| format!("{} codes a second", number(rate.ceil() as u64))).unwrap_or_default(),
            remaining: remaining.map(|time| HumanDuration(time).to_string()).unwrap_or_default(),
            error: job.error.as_ref().map(|error| printable(&error.code.replace('_', " "))),
            waits: job.waits_for.is_some() && !job.state.is_final(),
            is_final: job.state.is_final(),
        }
    }

    /// Returns the answer to a script that asks for this part of a page again and again.
    pub fn part(&self) -> Result<Response, Problem> {
        let mut response = page(&Part { progress: self })?;
        if !self.is_final {
            response.headers_mut().insert("x-again", HeaderValue::from_static("1"));
        }
        Ok(response)
    }
}

/// Returns true if a script asks for a part of a page.
pub fn is_part(headers: &HeaderMap) -> bool {
    headers.contains_key("x-part")
}

/// Returns a title of a job for people: `1,000 codes`.
pub fn title(job: &Job) -> String {
    match job.origin {
        Origin::Imported { .. } => format!("Import of {}", counted(job.count, "code")),
        Origin::Minted { .. } | Origin::Refused { .. } => counted(job.count, "code"),
    }
}

/// Returns the time that a job has taken, if it began and has ended.
pub fn run_time(job: &Job) -> Option<String> {
    let time = job.started_at.zip(job.finished_at).and_then(|(from, to)| (to - from).to_std().ok())?;
    Some(if time.as_secs() < 60 { format!("{:.1} s", time.as_secs_f64()) } else { HumanDuration(time).to_string() })
}

pub fn state_badge(state: State) -> Badge {
    let class = match state {
        State::Completed => "good",
        State::Failed => "bad",
        State::Queued | State::Running | State::Cancelling => "warn",
        State::Cancelled => "",
    };
    Badge { word: state.into_str(), class }
}
