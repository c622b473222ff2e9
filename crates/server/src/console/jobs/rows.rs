//! Jobs as rows of a table.

use codemint_codes::job::record::Job;
use codemint_codes::text::printable;

use crate::api::service::Api;
use crate::console::campaigns::labels::path_of;
use crate::console::jobs::progress::{Progress, run_time, title};
use crate::console::shown::minute;

/// A job as a row of the table in `console/jobs/table.html`.
#[derive(Debug)]
pub struct Row {
    pub path: String,
    pub title: String,
    /// Path and name; none without a campaign.
    pub campaign: Option<(String, String)>,
    pub progress: Progress,
    pub ordered: String,
    /// The duration of a job that has ended, or the code of its error.
    pub result: String,
}

impl Row {
    pub fn of(api: &Api, job: &Job) -> Self {
        let progress = Progress::of(api, job);
        Self {
            path: format!("/jobs/{}", job.id),
            title: title(job),
            campaign: job.campaign.as_ref().map(|name| (path_of(name), printable(name))),
            ordered: minute(job.created_at, chrono_tz::UTC),
            result: progress.error.clone().or_else(|| run_time(job)).unwrap_or_else(|| progress.remaining.clone()),
            progress,
        }
    }
}
