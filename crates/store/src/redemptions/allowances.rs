//! Allowances: what is taken of each limit, and never more than it allows.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sqlx::FromRow;

use crate::connection::error::{StoreError, require_rows};
use crate::connection::transaction::StoreTransaction;
use crate::records::rows::unsigned;
use codemint_offers::redemption::ledger::{Allowance, Ledger, Scope, Subject};

#[derive(FromRow)]
struct AllowanceRow {
    campaign_no: i64,
    scope: String,
    subject: String,
    quota: i64,
    taken: i64,
}

#[derive(FromRow)]
struct SubjectRow {
    campaign_no: i64,
    scope: String,
    subject: String,
}

/// A missing allowance, with what is taken of it at once.
#[derive(Clone, Debug)]
pub(crate) struct NewAllowance {
    pub subject: Subject,
    pub quota: u64,
    pub taken: u64,
}

impl TryFrom<SubjectRow> for Subject {
    type Error = StoreError;

    fn try_from(row: SubjectRow) -> Result<Self, StoreError> {
        let problem = "its scope is unknown".to_owned();
        let scope: Scope =
            row.scope.parse().map_err(|_unknown| StoreError::Corrupt { table: "allowances", problem })?;
        Ok(Self { scope, campaign_no: row.campaign_no, subject: row.subject })
    }
}

impl StoreTransaction {
    /// Reads the allowances of these subjects, those that exist. With `locks` nobody else changes them until the end of the
    /// transaction; the locks are taken in the order of the subjects, so that nobody waits in a circle.
    pub(crate) async fn read_allowances(
        &mut self,
        subjects: &BTreeSet<Subject>,
        locks: bool,
    ) -> Result<Ledger, StoreError> {
        const SQL: &str = "
            select a.campaign_no, a.scope, a.subject, a.quota, a.taken
              from json_to_recordset($1::json)
                as s(place integer, campaign_no bigint, scope text collate \"C\", subject text collate \"C\")
              join allowances a on a.campaign_no = s.campaign_no and a.scope = s.scope and a.subject = s.subject";
        let mut ledger = Ledger::default();
        if subjects.is_empty() {
            return Ok(ledger);
        }
        let sql = if locks { format!("{SQL} order by s.place for update of a") } else { SQL.to_owned() };
        let rows: Value = (0..).zip(subjects).map(|(place, subject)| subject_row(subject, "place", place)).collect();
        for row in self.query(sql).bind(rows.to_string()).fetch_all::<AllowanceRow>().await? {
            let AllowanceRow { campaign_no, scope, subject, quota, taken } = row;
            let subject = SubjectRow { campaign_no, scope, subject }.try_into()?;
            let allowance = Allowance { quota: unsigned("allowances", quota)?, taken: unsigned("allowances", taken)? };
            ledger.put(subject, allowance);
        }
        Ok(ledger)
    }

    /// Inserts allowances in the order of their subjects, and returns the subjects of those that nobody else has inserted
    /// meanwhile.
    pub(crate) async fn insert_allowances(&mut self, new: &[NewAllowance]) -> Result<Vec<Subject>, StoreError> {
        const SQL: &str = "
            insert into allowances (campaign_no, scope, subject, quota, taken)
            select s.campaign_no, s.scope, s.subject, s.quota, s.taken
              from json_to_recordset($1::json)
                as s(campaign_no bigint, scope text, subject text, quota bigint, taken bigint)
             where true
            on conflict (campaign_no, scope, subject) do nothing
            returning campaign_no, scope, subject";
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let row = |new: &NewAllowance| {
            let NewAllowance { subject, quota, taken } = new;
            json!({ "campaign_no": subject.campaign_no, "scope": subject.scope.into_str(), "subject": subject.subject,
                    "quota": quota, "taken": taken })
        };
        let rows: Value = new.iter().map(row).collect();
        let inserted: Vec<SubjectRow> = self.query(SQL).bind(rows.to_string()).fetch_all().await?;
        inserted.into_iter().map(Subject::try_from).collect()
    }

    /// Changes what is taken. The allowances are locked.
    ///
    /// # Errors
    /// An error of the database if a limit would be exceeded: nothing of the transaction is kept.
    pub(crate) async fn change_allowances(&mut self, changes: &[(&Subject, i64)]) -> Result<(), StoreError> {
        if changes.is_empty() {
            return Ok(());
        }
        let changed = self.query(change_sql("$1")).bind(changes_of(changes)).execute().await?;
        require_rows("the change of allowances", changed, changes.len() as u64)
    }
}

/// Returns the statement that changes what is taken; the parameter of this name is that of [`changes_of`].
pub(crate) fn change_sql(parameter: &str) -> String {
    format!(
        "update allowances as a
            set taken = a.taken + d.change
           from json_to_recordset({parameter}::json)
             as d(campaign_no bigint, scope text collate \"C\", subject text collate \"C\", change bigint)
          where a.campaign_no = d.campaign_no and a.scope = d.scope and a.subject = d.subject"
    )
}

pub(crate) fn changes_of(changes: &[(&Subject, i64)]) -> String {
    let rows: Value = changes.iter().map(|(subject, change)| subject_row(subject, "change", *change)).collect();
    rows.to_string()
}

fn subject_row(subject: &Subject, name: &str, number: i64) -> Value {
    let Subject { scope, campaign_no, subject } = subject;
    json!({ "campaign_no": campaign_no, "scope": scope.into_str(), "subject": subject, name: number })
}
