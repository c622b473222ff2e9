//! The beginning of a demo: only in an empty store, and noted, so that one that is not finished is recognized.

use chrono::{DateTime, Utc};

use crate::connection::error::StoreError;
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry, Outcome};

/// The name that is locked while a demo begins.
const LOCK: &str = "codemint demo";

/// The answer to the wish to fill a store with a demo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BeginDemo {
    Begun,
    /// The store holds something else. Nothing was changed.
    NotEmpty,
    /// A demo was begun at this time and not finished. Nothing was changed.
    Unfinished {
        at: DateTime<Utc>,
    },
    /// The store was filled with a demo at this time. Nothing was changed.
    Filled {
        at: DateTime<Utc>,
    },
}

impl Store {
    /// Notes that a demo begins, if nothing is in the store. `detail` describes the demo.
    pub async fn begin_demo(&self, detail: &str) -> Result<BeginDemo, StoreError> {
        let mut transaction = self.begin_writing().await?;
        transaction.lock_campaign_name(LOCK).await?;
        let found = transaction.find_content().await?;
        if found != BeginDemo::Begun {
            transaction.rollback().await?;
            return Ok(found);
        }
        transaction.put_audit(&[entry(Outcome::Begun, detail)]).await?;
        transaction.commit().await?;
        Ok(BeginDemo::Begun)
    }

    /// Returns true if the database user may write everything that a demo consists of.
    pub async fn may_fill_demo(&self) -> Result<bool, StoreError> {
        const SQL: &str = "
            select coalesce(bool_and(has_table_privilege(name, 'insert, update')), false)
              from unnest(array['codes', 'jobs', 'chunks', 'campaigns', 'campaign_versions', 'segments', 'assignments', 'triggers',
                                'referrers', 'referrals', 'redemptions', 'allowances', 'clicks', 'affiliate_rules']) as name";
        match self {
            Self::Sqlite(_) => Ok(true),
            Self::Postgres(_) => self.query(SQL).fetch_value().await,
        }
    }
}

impl StoreTransaction {
    /// Returns why no demo can begin; `Begun` if it can.
    async fn find_content(&mut self) -> Result<BeginDemo, StoreError> {
        const DEMO: &str = "select result, at from audit where action = $1 order by no desc limit 1";
        const CONTENT: &str = "
            select count(*) from (
                select 1 from jobs union all select 1 from campaigns union all select 1 from segments
                union all select 1 from affiliate_rules union all select 1 from triggers union all select 1 from clicks
                union all select 1 from redemptions union all select 1 from reserved limit 1) found";
        let name: &'static str = Action::DemoFill.into();
        let demo: Option<(String, DateTime<Utc>)> = self.query(DEMO).bind(name).fetch_optional().await?;
        let begun: &'static str = Outcome::Begun.into();
        if let Some((result, at)) = demo {
            return Ok(if result == begun { BeginDemo::Unfinished { at } } else { BeginDemo::Filled { at } });
        }
        let content: i64 = self.query(CONTENT).fetch_value().await?;
        Ok(if content == 0 { BeginDemo::Begun } else { BeginDemo::NotEmpty })
    }
}

pub(super) fn entry(outcome: Outcome, detail: &str) -> AuditEntry {
    AuditEntry::new(Action::DemoFill, outcome).with_detail(detail)
}
