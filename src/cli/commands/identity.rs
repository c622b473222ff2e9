//! `codemint identity`: the codes of an identity, and forgetting one.

use std::fmt;

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Serialize;

use crate::cli::support::campaign_report::word;
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::one_line;
use crate::cli::support::terminal::{print_json, print_line, print_report};
use crate::cli::support::text::{counted, time};
use codemint_codes::identity::{IDENTITY_LENGTH_MAX, check_identity};
use codemint_codes::text::printable;
use codemint_offers::campaign::status::Status;
use codemint_offers::redemption::document::ShownOffer;
use codemint_offers::redemption::ledger::Remaining;
use codemint_store::connection::store::{Access, Store};
use codemint_store::redemptions::forgetting::{Forget, Forgotten};
use codemint_store::redemptions::reads::OwnCode;

/// The longest identity in bytes, with blanks around it.
const IDENTITY_BYTES_MAX: usize = 4 * IDENTITY_LENGTH_MAX + 100;

/// List the codes of an identity, or forget the identity
#[derive(Debug, Subcommand)]
pub enum IdentityCommand {
    Codes(Codes),
    Forget(ForgetIdentity),
}

impl IdentityCommand {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Codes(codes) => codes.run(context).await,
            Self::Forget(forget) => forget.run(context).await,
        }
    }
}

/// List the codes that belong to an identity, with what remains of each
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint identity codes customer-17
  codemint identity codes - --json                   # read the identity from standard input

Codes of restricted campaigns belong to identities; those of other campaigns belong to nobody.")]
pub struct Codes {
    /// Identity, or - for standard input
    identity: String,
    /// Report as a JSON array
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct OwnCodeDocument {
    code: String,
    campaign: String,
    status: Status,
    offer: ShownOffer,
    /// What remains of the limits of the code and of the campaign.
    remaining: Remaining,
    issued_at: DateTime<Utc>,
}

impl Codes {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let identity = identity(context, &self.identity).await?;
        let store = context.open_store(Access::Existing).await?;
        let own = context.with_retries(async || store.list_own_codes(&identity).await).await?;
        let mut documents = Vec::with_capacity(own.len());
        for code in own {
            documents.push(document(context, &store, code).await?);
        }
        if self.json {
            return print_json(&documents);
        }
        if documents.is_empty() {
            context.note("no codes");
            return Ok(());
        }
        print_line(&format!("{:<9}  {:>13}  {:<24}  CODE  CAMPAIGN", "STATUS", "REMAINING", "ISSUED"))?;
        documents.iter().try_for_each(|document| print_line(&document.line()))
    }
}

async fn document(context: &Context, store: &Store, own: OwnCode) -> Result<OwnCodeDocument, Failure> {
    let campaign = find::campaign(context, store, &own.campaign).await?;
    Ok(OwnCodeDocument {
        remaining: own.remaining(&campaign),
        code: own.code,
        campaign: own.campaign,
        status: campaign.status(),
        offer: (&campaign.definition).into(),
        issued_at: own.issued_at,
    })
}

impl OwnCodeDocument {
    fn line(&self) -> String {
        let Remaining { code, campaign, .. } = self.remaining;
        let left = code.into_iter().chain(campaign).min();
        let left = left.map_or("no limit".to_owned(), |left| counted(left.into(), "use"));
        format!(
            "{:<9}  {left:>13}  {:<24}  {}  {}",
            word(&self.status),
            time(self.issued_at),
            printable(&self.code),
            printable(&self.campaign)
        )
    }
}

/// Forget an identity: replace it by a keyed digest, so that limits stay in force
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint identity forget customer-17
  codemint identity forget - --json                  # read the identity from standard input

Redemptions, codes and triggers of the identity stay, with a digest in its place, and it is removed from all segments. \
Triggers that wait for it issue nothing. An unfinished job \
whose list has the identity must end first. The command can be repeated, also after an interruption. The audit log \
records it without the identity.")]
pub struct ForgetIdentity {
    /// Identity, or - for standard input
    identity: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Default, Serialize)]
struct ForgottenReport {
    /// The numbers of rows in which the identity stood.
    redemptions: u64,
    codes: u64,
    segments: u64,
    triggers: u64,
}

impl ForgetIdentity {
    async fn run(self, context: &Context) -> Result<(), Failure> {
        let identity = identity(context, &self.identity).await?;
        let store = context.open_store(Access::Existing).await?;
        let mut report = ForgottenReport::default();
        loop {
            let step = context.with_retries(async || store.forget_identity(&identity).await).await?;
            let forgotten = match step {
                Forget::Done(forgotten) => forgotten,
                Forget::InList { job_id } => return Err(in_list(context, job_id)),
            };
            report.add(forgotten);
            if forgotten.is_complete {
                return print_report(self.json, &report);
            }
            context.stop.check(|| format!("stopped; {report}; repeat the command to forget the rest"))?;
        }
    }
}

/// Returns the failure that an unfinished list has the identity.
fn in_list(context: &Context, job_id: Option<uuid::Uuid>) -> Failure {
    Failure::negative_result(match job_id {
        Some(id) => format!(
            "job {id} is unfinished and binds a code to this identity; nothing was changed; repeat the command when the job has ended: {} resumes it, {} cancels it",
            context.command(format_args!("jobs resume {id}")),
            context.command(format_args!("jobs cancel {id}"))
        ),
        None => format!(
            "a list that is being loaded has this identity; nothing was changed; repeat the command when its job has ended; if its command was killed, {} removes the list a day later",
            context.command("jobs prune --older-than 90d")
        ),
    })
}

impl ForgottenReport {
    fn add(&mut self, forgotten: Forgotten) {
        self.redemptions += forgotten.redemptions;
        self.codes += forgotten.codes;
        self.segments += forgotten.segments;
        self.triggers += forgotten.triggers;
    }
}

impl fmt::Display for ForgottenReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { redemptions, codes, segments, triggers } = self;
        if redemptions + codes + segments + triggers == 0 {
            return f.write_str("the identity was not stored, or was forgotten before");
        }
        let parts = [(redemptions, "redemption"), (codes, "code"), (segments, "segment"), (triggers, "trigger")];
        let [redemptions, codes, segments, triggers] = parts.map(|(number, noun)| counted((*number).into(), noun));
        write!(f, "the identity was forgotten in {redemptions}, {codes}, {segments} and {triggers}")
    }
}

async fn identity(context: &Context, argument: &str) -> Result<String, Failure> {
    let text = one_line::argument(context, argument, "identity", IDENTITY_BYTES_MAX).await?;
    check_identity(&text).map(str::to_owned).map_err(Failure::impossible)
}
