//! The shortest way to grant requests: one statement inserts redemptions, takes of one limit, and writes sums. Only PostgreSQL
//! has such statements.

use crate::connection::error::StoreError;
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
use crate::redemptions::allowances::{change_sql, changes_of};
use crate::redemptions::effects::{deltas_of, deltas_sql};
use crate::redemptions::rows::insert_sql;
use codemint_offers::redemption::ledger::{Allowance, Subject};
use codemint_offers::redemption::tally::Deltas;

/// What is to be granted.
pub(crate) struct ToGrant<'a> {
    /// Redemptions as JSON, in the order of their ids.
    pub rows: String,
    pub count: usize,
    /// The only limit, and what is taken of it. With several, two transactions could wait for each other in a circle, since a
    /// statement locks rows in any order.
    pub taking: Option<(&'a Subject, u64)>,
    pub deltas: &'a Deltas,
}

impl StoreTransaction {
    /// Grants all, and returns the allowance afterwards, if there is a limit. Returns `None` if one of the ids exists or the limit
    /// does not suffice: the transaction must be rolled back then.
    pub(crate) async fn grant_at_once(&mut self, grant: &ToGrant<'_>) -> Result<Option<Option<Allowance>>, StoreError> {
        let sql = format!(
            "with inserted as ({}),
                  taken as ({} and a.taken + d.change <= a.quota and (select count(*) from inserted) = $4
                            returning a.quota, a.taken),
                  summed as ({})
             select (select count(*) from inserted), (select max(quota) from taken), (select max(taken) from taken)",
            insert_sql("$1"),
            change_sql("$2"),
            deltas_sql("$3"),
        );
        let changes: Vec<(&Subject, i64)> =
            grant.taking.iter().map(|(subject, amount)| (*subject, amount.cast_signed())).collect();
        // The limit is locked after the redemptions are inserted, as all transactions do it.
        let query =
            self.query(sql).bind(grant.rows.clone()).bind(changes_of(&changes)).bind(deltas_of("", grant.deltas));
        let query = query.bind(grant.count as i64);
        let (inserted, quota, taken): (i64, Option<i64>, Option<i64>) = query.fetch_one().await?;
        if inserted != grant.count as i64 {
            return Ok(None);
        }
        let allowance = match (quota, taken) {
            (Some(quota), Some(taken)) => {
                Some(Allowance { quota: unsigned("allowances", quota)?, taken: unsigned("allowances", taken)? })
            }
            _ => None,
        };
        Ok((allowance.is_some() == grant.taking.is_some()).then_some(allowance))
    }
}
