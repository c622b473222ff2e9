//! Clicks on links: each is a row, and is added to the sums in the transaction that inserts it.

use std::collections::HashSet;

use chrono::{DateTime, NaiveDate, Utc};
use serde_json::{Value, json};
use sqlx::FromRow;
use uuid::Uuid;

use crate::campaigns::definitions::definition_of;
use crate::connection::error::StoreError;
use crate::connection::statement::{Time, time_text};
use crate::connection::store::Store;
use crate::records::audit::{Action, AuditEntry, Outcome};
use crate::records::rows::unsigned;
use crate::redemptions::tallies::PRUNED;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::redemption::tally::{Deltas, Metric, TallyKey};

/// The number of clicks that are removed in one transaction.
const PRUNED_AT_ONCE: i64 = 5000;

/// A click on a link of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Click {
    pub id: Uuid,
    pub campaign_no: i64,
    pub source: Option<String>,
    pub ad: Option<String>,
    pub affiliate: Option<String>,
    /// The day of the click in the campaign's zone.
    pub day: NaiveDate,
    pub at: DateTime<Utc>,
}

/// A campaign that a link leads to.
#[derive(Clone, Debug)]
pub struct LinkedCampaign {
    pub no: i64,
    pub definition: Definition,
}

#[derive(FromRow)]
struct ClickRow {
    id: Uuid,
    campaign_no: i64,
    source: Option<String>,
    ad: Option<String>,
    affiliate: Option<String>,
    day: NaiveDate,
    at: DateTime<Utc>,
}

impl Click {
    /// Returns the sum that it counts in.
    fn key(&self) -> TallyKey {
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        TallyKey {
            source: text(&self.source),
            ad: text(&self.ad),
            affiliate: text(&self.affiliate),
            ..TallyKey::of_count(self.campaign_no, self.day, Metric::Clicks)
        }
    }
}

impl From<ClickRow> for Click {
    fn from(row: ClickRow) -> Self {
        let ClickRow { id, campaign_no, source, ad, affiliate, day, at } = row;
        Self { id, campaign_no, source, ad, affiliate, day, at }
    }
}

fn deltas_of(clicks: &[Click]) -> Deltas {
    let mut deltas = Deltas::default();
    clicks.iter().for_each(|click| deltas.add_to(click.key(), 1));
    deltas
}

impl Store {
    /// Finds a campaign by its name, without what is counted about it.
    pub async fn find_linked_campaign(&self, name: &str) -> Result<Option<LinkedCampaign>, StoreError> {
        const SQL: &str = "
            select p.no, cast(v.definition as text)
              from campaigns p
              join campaign_versions v on v.campaign_no = p.no and v.version = p.version
             where p.name = $1";
        let found: Option<(i64, String)> = self.query(SQL).bind(name).fetch_optional().await?;
        found.map(|(no, definition)| Ok(LinkedCampaign { no, definition: definition_of(&definition)? })).transpose()
    }

    /// Stores clicks and adds them to the sums. After an unknown commit the same call again stores what is missing.
    pub async fn put_clicks(&self, clicks: &[Click]) -> Result<(), StoreError> {
        const SQL: &str = "
            insert into clicks (id, campaign_no, source, ad, affiliate, day, at)
            select c.id, c.campaign_no, c.source, c.ad, c.affiliate, c.day, c.at
              from json_to_recordset($1::json)
                as c(id uuid, campaign_no bigint, source text, ad text, affiliate text, day date, at timestamptz)
             where true
            on conflict (id) do nothing
            returning id";
        let row = |click: &Click| {
            json!({ "id": click.id, "campaign_no": click.campaign_no, "source": click.source, "ad": click.ad,
                    "affiliate": click.affiliate, "day": click.day, "at": time_text(click.at) })
        };
        let rows: Value = clicks.iter().map(row).collect();
        let mut transaction = self.begin_writing().await?;
        let inserted: Vec<Uuid> = transaction.query(SQL).bind(rows.to_string()).fetch_values().await?;
        let inserted: HashSet<Uuid> = inserted.into_iter().collect();
        let new: Vec<Click> = clicks.iter().filter(|click| inserted.contains(&click.id)).cloned().collect();
        transaction.put_deltas("", &deltas_of(&new)).await?;
        transaction.commit().await
    }

    pub async fn count_prunable_clicks(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        const SQL: &str = "select count(*) from clicks where at < $1";
        unsigned("clicks", self.query(SQL).bind(Time(before)).without_time_limit().fetch_value::<i64>().await?)
    }

    /// Removes some clicks from before this time, and returns their number; 0 if there are no more. They stay in the sums.
    pub async fn prune_clicks(&self, before: DateTime<Utc>) -> Result<u64, StoreError> {
        const SQL: &str = "
            delete from clicks
             where id in (select id from clicks where at < $1 order by at limit $2)
            returning id, campaign_no, source, ad, affiliate, day, at";
        let mut transaction = self.begin_writing().await?;
        let rows: Vec<ClickRow> = transaction.query(SQL).bind(Time(before)).bind(PRUNED_AT_ONCE).fetch_all().await?;
        let clicks: Vec<Click> = rows.into_iter().map(Click::from).collect();
        if clicks.is_empty() {
            transaction.rollback().await?;
            return Ok(0);
        }
        transaction.put_deltas(PRUNED, &deltas_of(&clicks)).await?;
        let mut entry = AuditEntry::new(Action::Prune, Outcome::Done).with_detail("clicks");
        entry.count = Some(clicks.len() as u64);
        transaction.put_audit(&[entry]).await?;
        transaction.commit().await?;
        Ok(clicks.len() as u64)
    }
}
