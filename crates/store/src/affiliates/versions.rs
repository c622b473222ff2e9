//! The version of everything about affiliates, which each change adds one to.

use crate::connection::error::{StoreError, require_rows};
use crate::connection::store::Store;
use crate::connection::transaction::StoreTransaction;
use crate::records::audit::{Action, AuditEntry, Outcome};

impl Store {
    /// Returns the version of all rules and exclusions, by a look-up of one row.
    pub async fn affiliates_version(&self) -> Result<i64, StoreError> {
        self.query("select version from kept_versions where name = 'affiliates'").fetch_value().await
    }

    /// Begins a change. Changes wait for each other, so that none is decided on what another one is changing.
    pub(super) async fn begin_affiliates_change(&self) -> Result<AffiliatesChange, StoreError> {
        const LOCK: &str = "select version from kept_versions where name = 'affiliates' for update";
        let mut transaction = self.begin_writing().await?;
        let before: i64 = transaction.query(LOCK).fetch_value().await?;
        Ok(AffiliatesChange { transaction, version: before + 1 })
    }
}

/// A change of rules or exclusions. Dropping it changes nothing.
#[derive(Debug)]
pub(super) struct AffiliatesChange {
    pub transaction: StoreTransaction,
    /// The version that the change makes.
    pub version: i64,
}

impl AffiliatesChange {
    /// Commits what was changed, with its version and its audit row.
    pub async fn commit(mut self, entry: AuditEntry) -> Result<(), StoreError> {
        const SQL: &str = "update kept_versions set version = $1 where name = 'affiliates'";
        let changed = self.transaction.query(SQL).bind(self.version).execute().await?;
        require_rows("the update of the version of affiliates", changed, 1)?;
        self.transaction.put_audit(&[entry]).await?;
        self.transaction.commit().await
    }

    /// Commits the audit row of a change that changes nothing.
    pub async fn commit_unchanged(mut self, entry: AuditEntry) -> Result<(), StoreError> {
        self.transaction.put_audit(&[AuditEntry { outcome: Outcome::Unchanged, ..entry }]).await?;
        self.transaction.commit().await
    }

    pub async fn rollback(self) -> Result<(), StoreError> {
        self.transaction.rollback().await
    }
}

/// Returns the audit row of a change of the rule of this name.
pub(super) fn entry(action: Action, rule: &str, what: &str) -> AuditEntry {
    AuditEntry::new(action, Outcome::Done).with_detail(&format!("{rule}: {what}"))
}
