//! `codemint audit`: lists the audit log.

use chrono::{DateTime, Utc};
use clap::Args;
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::terminal::{print_json, print_line};
use crate::cli::support::text::time;
use codemint_codes::text::{grouped, printable};
use codemint_codes::wire::audit::{AuditDocument, LATEST, day_or_time};
use codemint_store::connection::store::Access;
use codemint_store::records::audit::{Action, AuditFilter};

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
    #[arg(long, value_name = "TIME", value_parser = day_or_time)]
    since: Option<DateTime<Utc>>,
    /// Only entries before this time
    #[arg(long, value_name = "TIME", value_parser = day_or_time)]
    until: Option<DateTime<Utc>>,
    /// Only entries about this job
    #[arg(long, value_name = "JOB", value_parser = find::job_id)]
    job: Option<Uuid>,
    /// Only this action: request, import, cancel, end, export, reserve, unreserve, dead_requeue, dead_purge, prune, withdraw,
    /// campaign_create, campaign_change, campaign_activate, campaign_deactivate, segment_change, segment_remove,
    /// affiliate_rule_change, affiliate_rule_remove, affiliate_exclusions_change, referrer_add,
    /// redemption_confirm, redemption_release, redemption_rollback, sums_correct, identity_forget, key_create, key_revoke,
    /// user_add, user_remove, user_role, user_password, user_invite, demo_fill
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
                let document = AuditDocument::try_from(row)?;
                if self.json { print_json(&document)? } else { print_line(&line(&document))? }
            }
        }
    }
}

fn line(document: &AuditDocument) -> String {
    let at = time(document.at);
    let mut line = format!(
        "{at}  {:<19}  {:<9}  {}",
        printable(&document.action),
        printable(&document.result),
        printable(&document.actor)
    );
    let job = document.job_id.map(|id| id.to_string());
    let count = document.count.map(|count| grouped(count.into()));
    let details = [
        ("role", &document.role),
        ("job", &job),
        ("mask", &document.mask),
        ("count", &count),
        ("campaign", &document.campaign),
        ("detail", &document.detail),
        ("digest", &document.digest),
    ];
    for (name, value) in details {
        if let Some(value) = value {
            line.push_str(&format!("  {name} {}", printable(value)));
        }
    }
    line
}
