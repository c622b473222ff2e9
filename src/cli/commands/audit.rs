//! `codemint audit`: lists the audit log.

use chrono::{DateTime, NaiveDate, NaiveTime, SecondsFormat, Utc};
use clap::Args;
use serde::Serialize;
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::terminal::{print_json, print_line};
use crate::cli::support::text::grouped;
use codemint_codes::text::printable;
use codemint_codes::wire::document::hexadecimal;
use codemint_store::connection::store::Access;
use codemint_store::records::audit::{Action, AuditFilter, AuditRow};

/// The number of rows read per query.
const PAGE_ROWS: u32 = 1000;

/// List the audit log: who requested what and when, and its result; oldest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint audit --since 2026-11-01
  codemint audit --job 01890a5d-ac96-774b-bcce-b302099a8057 --json
  codemint audit --action export --json | jq .actor
  codemint audit --action campaign_change

The log is the table audit of the store, whose rows nobody can change. A mask with a single code \
would reveal the code, so the mask's SHA-256 is shown instead.")]
pub struct Audit {
    /// Only entries at or after this time: 2026-11-25, or 2026-11-25T17:00:00Z
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<DateTime<Utc>>,
    /// Only entries before this time
    #[arg(long, value_name = "TIME", value_parser = time)]
    until: Option<DateTime<Utc>>,
    /// Only entries about this job
    #[arg(long, value_name = "JOB", value_parser = find::job_id)]
    job: Option<Uuid>,
    /// Only this action: request, import, cancel, end, export, reserve, unreserve, dead_requeue, dead_purge, prune, withdraw,
    /// campaign_create, campaign_change, campaign_activate, campaign_deactivate, segment_change, segment_remove,
    /// redemption_confirm, redemption_release, redemption_rollback, identity_forget
    #[arg(long)]
    action: Option<Action>,
    /// Report as JSON, one entry per line
    #[arg(long)]
    json: bool,
}

impl Audit {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let store = context.open_store(Access::Existing).await?;
        let mut filter = AuditFilter {
            since: self.since.unwrap_or(DateTime::UNIX_EPOCH),
            until: self.until.unwrap_or(LATEST),
            job_id: self.job,
            action: self.action,
            after_no: 0,
            limit: PAGE_ROWS,
        };
        loop {
            context.stop.check(|| "stopped before everything was listed".to_owned())?;
            let rows = context.with_retries(async || store.list_audit(&filter).await).await?;
            if rows.is_empty() && filter.after_no == 0 {
                if let Some(id) = self.job {
                    // Without entries, the id is wrong or the other filters exclude them.
                    find::job(context, &store, id).await?;
                }
                if !self.json {
                    context.note("no audit entries");
                }
            }
            let Some(last) = rows.last() else { return Ok(()) };
            filter.after_no = last.no;
            for row in rows {
                let document = AuditDocument::new(row)?;
                if self.json { print_json(&document)? } else { print_line(&document.line())? }
            }
        }
    }
}

/// The end of the year 9999: times whose year has four digits also sort correctly as texts.
pub(super) const LATEST: DateTime<Utc> = match DateTime::from_timestamp(253_402_300_799, 0) {
    Some(time) => time,
    None => DateTime::UNIX_EPOCH,
};

#[derive(Debug, Serialize)]
struct AuditDocument {
    no: i64,
    at: DateTime<Utc>,
    actor: String,
    role: Option<String>,
    action: String,
    result: String,
    job_id: Option<Uuid>,
    mask: Option<String>,
    count: Option<u64>,
    campaign: Option<String>,
    detail: Option<String>,
    digest: Option<String>,
}

impl AuditDocument {
    fn new(row: AuditRow) -> Result<Self, Failure> {
        let count = row.count()?;
        let AuditRow { no, at, actor, role, action, job_id, mask, campaign, result, detail, digest, .. } = row;
        let digest = digest.as_deref().map(hexadecimal);
        Ok(Self { no, at, actor, role, action, result, job_id, mask, count, campaign, detail, digest })
    }

    fn line(&self) -> String {
        let at = self.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        let mut line = format!(
            "{at}  {:<19}  {:<9}  {}",
            printable(&self.action),
            printable(&self.result),
            printable(&self.actor)
        );
        let job = self.job_id.map(|id| id.to_string());
        let count = self.count.map(|count| grouped(count.into()));
        let details = [
            ("role", &self.role),
            ("job", &job),
            ("mask", &self.mask),
            ("count", &count),
            ("campaign", &self.campaign),
            ("detail", &self.detail),
            ("digest", &self.digest),
        ];
        for (name, value) in details {
            if let Some(value) = value {
                line.push_str(&format!("  {name} {}", printable(value)));
            }
        }
        line
    }
}

fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let day = text.parse::<NaiveDate>().map(|day| day.and_time(NaiveTime::MIN).and_utc());
    let time = day.or_else(|_| DateTime::parse_from_rfc3339(text).map(|time| time.to_utc()));
    let of_four_digits = time.ok().filter(|time| (DateTime::UNIX_EPOCH..=LATEST).contains(time));
    of_four_digits.ok_or_else(|| "write a day as 2026-11-25, or a time as 2026-11-25T17:00:00Z".to_owned())
}
