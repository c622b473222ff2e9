//! Holds whose deadline is over. Whoever meets a full limit looks for them, and a sweeper does so from time to time.

use uuid::Uuid;

use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::store::Store;

/// The maximum number of holds that are found at once.
pub const OVERDUE_MAX: i64 = 1000;

/// Subjects whose limits are full.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FullSubjects {
    pub campaign_nos: Vec<i64>,
    pub codes: Vec<String>,
    pub identities: Vec<String>,
}

impl Store {
    /// Returns overdue holds that take of these subjects. Each subject costs one look into an index.
    pub async fn find_overdue_of(&self, full: &FullSubjects) -> Result<Vec<Uuid>, StoreError> {
        let statement = |condition: &str| {
            format!(
                "select id from redemptions
                  where state = 'held' and expires_at <= clock_timestamp() and {condition} limit {OVERDUE_MAX}"
            )
        };
        let mut ids: Vec<Uuid> = Vec::new();
        if !full.campaign_nos.is_empty() {
            let query = self.query(statement("campaign_no = any($1)")).bind(List(&full.campaign_nos));
            ids.extend(query.fetch_values::<Uuid>().await?);
        }
        for (column, texts) in [("code", &full.codes), ("identity", &full.identities)] {
            if !texts.is_empty() {
                let query = self.query(statement(&format!("{column} = any($1)"))).bind(List(texts));
                ids.extend(query.fetch_values::<Uuid>().await?);
            }
        }
        ids.sort_unstable();
        ids.dedup();
        Ok(ids)
    }

    /// Returns the holds that have been overdue for longest.
    pub async fn find_overdue(&self) -> Result<Vec<Uuid>, StoreError> {
        const SQL: &str = "
            select id from redemptions
             where state = 'held' and expires_at <= clock_timestamp() order by expires_at limit $1";
        self.query(SQL).bind(OVERDUE_MAX).fetch_values().await
    }
}
