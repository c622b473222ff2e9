//! Locks that transactions hold until they end, in PostgreSQL as advisory locks.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use crate::connection::error::StoreError;
use crate::connection::statement::List;
use crate::connection::transaction::StoreTransaction;

/// "CMNT": the first half of the keys of our advisory locks; for admissions, the second half is a code length.
const ADVISORY_LOCKS: i32 = 0x434d_4e54;

/// The lock for publishing events: 0, because code lengths begin at 1.
const OUTBOX_LOCK: i32 = 0;

/// The lock for creating API keys.
const API_KEYS_LOCK: i32 = -1;

/// The lock for adding sums up.
const TALLIES_LOCK: i32 = -2;

/// The lock for changing who there is and who is an administrator.
const PEOPLE_LOCK: i32 = -3;

/// "CMPG": the first half of the keys of the locks of campaigns; the second half is the campaign's number.
const CAMPAIGN_LOCKS: i32 = 0x434d_5047;

/// "ORDR": the first half of the keys of the locks of orders; the second half is a digest of the order's reference.
const ORDER_LOCKS: i32 = 0x4f52_4452;

/// "CNAM": the first half of the keys of the locks of names of campaigns; the second half is a hash of the name.
const CAMPAIGN_NAME_LOCKS: i32 = 0x434e_414d;

/// Returns the statements by which uses of codes lock campaigns (shared) and orders, each kind in ascending order, so that nobody
/// waits in a circle. They are numbers, so nothing need be quoted.
pub(crate) fn locks_of_uses(campaign_nos: &BTreeSet<i64>, orders: &BTreeSet<&str>) -> String {
    let campaigns = campaign_nos.iter().map(|no| *no as i32).collect();
    let orders: Vec<i32> = orders.iter().map(|order| key_of_text(order)).collect();
    let statement = |function: &str, first: i32, mut keys: Vec<i32>| {
        keys.sort_unstable();
        let keys: Vec<String> = keys.iter().map(i32::to_string).collect();
        let keys = keys.join(",");
        format!("select {function}({first}, key) from unnest('{{{keys}}}'::integer[]) as key")
    };
    let shared = statement("pg_advisory_xact_lock_shared", CAMPAIGN_LOCKS, campaigns);
    match orders.is_empty() {
        true => shared,
        false => format!("{shared}; {}", statement("pg_advisory_xact_lock", ORDER_LOCKS, orders)),
    }
}

impl StoreTransaction {
    /// Makes admissions of masks whose codes can meet take turns, until the end of the transaction; codes of different
    /// lengths cannot meet. In SQLite the writer is alone anyway.
    pub(crate) async fn lock_admissions(&mut self, code_length: usize) -> Result<(), StoreError> {
        if let Self::Postgres(_) = self {
            let query = self.query("select pg_advisory_xact_lock($1, $2)");
            query.bind(ADVISORY_LOCKS).bind(code_length as i32).execute().await?;
        }
        Ok(())
    }

    /// Returns false if another transaction adds sums up; otherwise no other one does until the end of this one. In SQLite the writer is
    /// alone anyway.
    pub(crate) async fn try_lock_tallies(&mut self) -> Result<bool, StoreError> {
        if let Self::Sqlite(_) = self {
            return Ok(true);
        }
        let query = self.query("select pg_try_advisory_xact_lock($1, $2)");
        query.bind(ADVISORY_LOCKS).bind(TALLIES_LOCK).fetch_value().await
    }

    /// Makes creations of API keys take turns, until the end of the transaction, so that each counts the others. In SQLite the
    /// writer is alone anyway.
    pub(crate) async fn lock_api_keys(&mut self) -> Result<(), StoreError> {
        if let Self::Postgres(_) = self {
            let query = self.query("select pg_advisory_xact_lock($1, $2)");
            query.bind(ADVISORY_LOCKS).bind(API_KEYS_LOCK).execute().await?;
        }
        Ok(())
    }

    /// Makes changes of people take turns, until the end of the transaction, so that each counts those of the others. In SQLite the
    /// writer is alone anyway.
    pub(crate) async fn lock_people(&mut self) -> Result<(), StoreError> {
        if let Self::Postgres(_) = self {
            let query = self.query("select pg_advisory_xact_lock($1, $2)");
            query.bind(ADVISORY_LOCKS).bind(PEOPLE_LOCK).execute().await?;
        }
        Ok(())
    }

    /// Makes changes of a campaign take turns, until the end of the transaction; waits for all that use it. In SQLite the
    /// writer is alone anyway.
    pub(crate) async fn lock_campaign_no(&mut self, campaign_no: i64) -> Result<(), StoreError> {
        if let Self::Postgres(_) = self {
            let query = self.query("select pg_advisory_xact_lock($1, $2)");
            query.bind(CAMPAIGN_LOCKS).bind(campaign_no as i32).execute().await?;
        }
        Ok(())
    }

    /// Keeps a campaign from being changed until the end of the transaction; others may use it too.
    pub(crate) async fn share_campaign_no(&mut self, campaign_no: i64) -> Result<(), StoreError> {
        if let Self::Postgres(_) = self {
            let query = self.query("select pg_advisory_xact_lock_shared($1, $2)");
            query.bind(CAMPAIGN_LOCKS).bind(campaign_no as i32).execute().await?;
        }
        Ok(())
    }

    /// Takes the locks of [`locks_of_uses`]. In SQLite the writer is alone anyway.
    pub(crate) async fn lock_uses(
        &mut self,
        campaign_nos: &BTreeSet<i64>,
        orders: &BTreeSet<&str>,
    ) -> Result<(), StoreError> {
        match self {
            Self::Postgres(session) => session.execute_text(&locks_of_uses(campaign_nos, orders)).await,
            Self::Sqlite(_) => Ok(()),
        }
    }

    /// Makes the creation of a restricted campaign wait for all transactions that store jobs of its name or withdraw their
    /// codes, and these for the creation.
    pub(crate) async fn lock_campaign_name(&mut self, name: &str) -> Result<(), StoreError> {
        self.lock_each("pg_advisory_xact_lock", CAMPAIGN_NAME_LOCKS, vec![key_of_text(name)]).await
    }

    /// Keeps restricted campaigns of these names from being created until the end of the transaction.
    pub(crate) async fn share_campaign_names(&mut self, names: &BTreeSet<&str>) -> Result<(), StoreError> {
        let keys = names.iter().map(|name| key_of_text(name)).collect();
        self.lock_each("pg_advisory_xact_lock_shared", CAMPAIGN_NAME_LOCKS, keys).await
    }

    /// Takes locks in ascending order, so that nobody waits in a circle. In SQLite the writer is alone anyway.
    async fn lock_each(&mut self, function: &str, first: i32, mut keys: Vec<i32>) -> Result<(), StoreError> {
        if keys.is_empty() || matches!(self, Self::Sqlite(_)) {
            return Ok(());
        }
        keys.sort_unstable();
        let query = self.query(format!("select {function}($1, key) from unnest($2::integer[]) as key"));
        query.bind(first).bind(List(&keys)).execute().await?;
        Ok(())
    }

    /// Makes this process the only publisher until the end of the transaction. False if there is another one.
    pub(crate) async fn try_lock_outbox(&mut self) -> Result<bool, StoreError> {
        self.query("select pg_try_advisory_xact_lock($1, $2)")
            .bind(ADVISORY_LOCKS)
            .bind(OUTBOX_LOCK)
            .fetch_value()
            .await
    }
}

/// Names or references of the same key only wait for each other.
fn key_of_text(text: &str) -> i32 {
    let digest = Sha256::digest(text);
    i32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]])
}
