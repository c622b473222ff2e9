//! A job in JSON with the details that only those get who ask for this one job.

use schemars::JsonSchema;
use serde::Serialize;

use crate::job::record::Job;
use crate::screening::Screening;
use crate::wire::document::JobDocument;

/// A job with the details that only `show` reports.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownJob {
    #[serde(flatten)]
    pub job: JobDocument,
    /// How candidates were compared with existing codes.
    pub screenings: Vec<ShownScreening>,
}

/// A way in which candidates were compared with existing codes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ShownScreening {
    pub screening: &'static str,
    /// The reason, for people, why it was chosen.
    pub reason: &'static str,
    /// The number of chunks in which it was used.
    pub chunks: u64,
}

impl ShownJob {
    /// Returns the document of a job; `screenings` counts its chunks by the way in which their candidates were compared.
    pub fn new(job: &Job, screenings: &[(Screening, u64)]) -> Self {
        let shown = |&(screening, chunks): &(Screening, u64)| ShownScreening {
            screening: screening.into_str(),
            reason: screening.reason(),
            chunks,
        };
        Self { job: JobDocument::from(job), screenings: screenings.iter().map(shown).collect() }
    }
}
