//! Where the campaigns of a demo are in the store, and which codes they have.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use codemint_offers::demo::campaigns::PlannedCampaign;
use codemint_store::connection::store::Store;
use codemint_store::records::reports::JobFilter;

use crate::demo::error::DemoError;

/// The maximum number of jobs of one campaign.
const JOBS_MAX: u32 = 100;

/// A campaign in the store. `Debug` does not show its codes.
pub(super) struct Place {
    pub no: i64,
    pub zone: Tz,
    /// The codes that anybody may use, in the order of the store.
    pub codes: Vec<String>,
}

/// The campaigns of a demo.
pub(super) struct Places {
    by_name: HashMap<String, Place>,
    /// The numbers of jobs, each with its time in the demo and its duration.
    pub jobs: Vec<(i64, DateTime<Utc>, TimeDelta)>,
}

impl Places {
    /// Finds campaigns and their codes.
    pub(super) async fn find(store: &Store, planned: &[PlannedCampaign]) -> Result<Self, DemoError> {
        let mut places = Self { by_name: HashMap::new(), jobs: Vec::new() };
        for planned in planned {
            let name = planned.name;
            let missing = || DemoError::Plan(format!("campaign {name} is missing"));
            let campaign = store.find_campaign(name).await?.ok_or_else(missing)?;
            let is_owned = campaign.definition.has_pool();
            let mut codes = Vec::new();
            let filter = JobFilter { campaign: Some(name.to_owned()), limit: JOBS_MAX, ..JobFilter::default() };
            for job in store.list_jobs(&filter).await? {
                let took = job.finished_at.zip(job.started_at).map(|(end, start)| end - start).unwrap_or_default();
                places.jobs.push((job.no, planned.created_at + minted_after(places.jobs.len()), took));
                let chunks = if is_owned { Vec::new() } else { store.list_done_chunks(job.no).await? };
                for chunk in chunks {
                    codes.extend(store.read_codes(&chunk).await?.iter().map(str::to_owned));
                }
            }
            let place = Place { no: campaign.no, zone: campaign.definition.zone, codes };
            places.by_name.insert(name.to_owned(), place);
        }
        Ok(places)
    }

    pub(super) fn place(&self, campaign: &str) -> Result<&Place, DemoError> {
        self.by_name.get(campaign).ok_or_else(|| DemoError::Plan(format!("campaign {campaign} is missing")))
    }

    pub(super) fn zones(&self) -> HashMap<i64, Tz> {
        self.by_name.values().map(|place| (place.no, place.zone)).collect()
    }
}

/// Returns how long after its campaign a job is requested: not all take the same time.
fn minted_after(number: usize) -> TimeDelta {
    TimeDelta::seconds(240 + 97 * number as i64)
}
