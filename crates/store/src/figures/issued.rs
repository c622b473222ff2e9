//! The number of issued codes by day.

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::Tz;

use crate::connection::error::StoreError;
use crate::connection::transaction::StoreTransaction;
use codemint_offers::redemption::tally::Deltas;

impl StoreTransaction {
    /// Returns the day that it is where the campaign is.
    pub(crate) async fn day_in_zone_of(&mut self, campaign_no: i64) -> Result<NaiveDate, StoreError> {
        const SQL: &str = "
            select v.definition ->> 'zone', clock_timestamp()
              from campaigns p
              join campaign_versions v on v.campaign_no = p.no and v.version = p.version
             where p.no = $1";
        let (zone, now): (Option<String>, DateTime<Utc>) = self.query(SQL).bind(campaign_no).fetch_one().await?;
        let zone: Tz = zone.and_then(|zone| zone.parse().ok()).unwrap_or(Tz::UTC);
        Ok(now.with_timezone(&zone).date_naive())
    }

    /// Adds codes that this transaction issues to the sums.
    pub(crate) async fn add_issued(
        &mut self,
        campaign_no: i64,
        day: NaiveDate,
        codes: usize,
    ) -> Result<(), StoreError> {
        let mut deltas = Deltas::default();
        deltas.add_issued(campaign_no, day, codes as i64);
        self.put_deltas("", &deltas).await
    }
}
