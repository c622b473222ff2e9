//! `codemint code`: looks up one code as a customer typed it.

use chrono::DateTime;
use clap::Args;
use codemint_codes::text::grouped;
use uuid::Uuid;

use crate::cli::support::code_report::{CodeReport, Owner, ShownCode};
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::one_line;
use crate::cli::support::terminal::print_report;
use crate::config::policy_files;
use codemint_codes::typed::{KnownMask, TYPED_BYTES_MAX, Typed};
use codemint_codes::wire::audit::LATEST;
use codemint_store::campaigns::lists::OwnedCode;
use codemint_store::connection::store::{Access, Store};
use codemint_store::records::audit::AuditFilter;
use codemint_store::records::look_up::{FoundCode, LOOK_UP_MAX};

/// The maximum number of masks with which a code is compared: the newest ones.
const MASKS_MAX: u32 = 10_000;
/// The maximum number of codes that are reported.
const SHOWN_MAX: usize = 10;

/// Look up one code as a customer typed it: its job, campaign and time; exit code 3 if it does not exist
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint code -                                    # read the code from standard input, then press Enter
  pbpaste | codemint code - --json
  codemint code 'spring 7kx9 i2'

Blanks, case, missing or additional hyphens and look-alikes such as O and 0 do not matter. If no such \
code exists, the report names the reason and the existing codes at one typing error: one wrong \
character, or two neighbours swapped. A code that is an argument stays in the history of the shell; \
- reads it from standard input instead. Check characters are verified with the secret in \
check.key_file. Nothing is recorded.")]
pub struct Code {
    /// Code as it was typed, or - for standard input
    code: String,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Code {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let key = policy_files::check_key(&context.config)?;
        let typed = self.typed(context).await?;
        let store = context.open_store(Access::Existing).await?;
        let of_jobs = context.with_retries(async || store.list_masks(typed.shortest(), MASKS_MAX).await).await?;
        if of_jobs.len() == MASKS_MAX as usize {
            context.note(&format!("note: compared with the newest {} masks only", grouped(MASKS_MAX.into())));
        }
        let known = of_jobs.into_iter().map(|of_jobs| {
            let fingerprints: Vec<&str> = of_jobs.check_fingerprints.iter().map(String::as_str).collect();
            KnownMask::new(of_jobs.mask, &fingerprints, key.as_ref())
        });
        let look_up = LookUp { context, store: &store, typed: &typed };
        let report = look_up.report(&known.collect::<Vec<_>>()).await?;
        print_report(self.json, &report)?;
        Failure::unless(report.found)
    }

    /// # Errors
    /// `usage` if the text cannot be a code.
    async fn typed(&self, context: &Context) -> Result<Typed, Failure> {
        let text = one_line::argument(context, &self.code, "code", TYPED_BYTES_MAX).await?;
        text.parse().map_err(Failure::usage)
    }
}

/// The look-up of one code.
struct LookUp<'a> {
    context: &'a Context,
    store: &'a Store,
    typed: &'a Typed,
}

impl LookUp<'_> {
    async fn report(&self, masks: &[KnownMask]) -> Result<CodeReport, Failure> {
        let written = [self.typed.written().to_owned()];
        let mut found = self.find(&written).await?;
        if found.is_empty() {
            found = self.find(&self.typed.spellings(masks)).await?;
        }
        if !found.is_empty() {
            return Ok(CodeReport::found(self.shown(&found).await?));
        }
        let nearest = self.find(&self.typed.neighbours(masks)).await?;
        Ok(CodeReport::missing(self.typed.judge(masks), self.shown(&nearest).await?))
    }

    /// Returns the first of these codes that exist.
    async fn find(&self, codes: &[String]) -> Result<Vec<FoundCode>, Failure> {
        let mut found = Vec::new();
        for batch in codes.chunks(LOOK_UP_MAX) {
            self.context.stop.check(|| "stopped before every spelling was looked up".to_owned())?;
            found.extend(self.context.with_retries(async || self.store.find_codes(batch).await).await?);
            if found.len() >= SHOWN_MAX {
                found.truncate(SHOWN_MAX);
                break;
            }
        }
        Ok(found)
    }

    async fn shown(&self, found: &[FoundCode]) -> Result<Vec<ShownCode>, Failure> {
        let mut shown = Vec::with_capacity(found.len());
        for code in found {
            let job = match &code.run {
                Some(run) => self.context.with_retries(async || self.store.find_job_by_no(run.job_no).await).await?,
                None => None,
            };
            let requested_by = match &job {
                Some(job) => self.requester(job.id).await?,
                None => None,
            };
            let owner = match job.as_ref().and_then(|job| job.campaign.as_deref()) {
                Some(campaign) => self.owner(campaign, &code.code).await?,
                None => None,
            };
            shown.push(ShownCode::new(code, code.code == self.typed.written(), job.as_ref(), requested_by, owner));
        }
        Ok(shown)
    }

    /// Returns the owner of a code; `None` unless the campaign is restricted, or if the database user may not know.
    async fn owner(&self, campaign: &str, code: &str) -> Result<Option<Owner>, Failure> {
        let read = async || match self.store.find_pooled(campaign).await? {
            Some(campaign_no) => self.store.read_owned(campaign_no, code, code).await.map(Some),
            None => Ok(None),
        };
        let read = async || match read().await {
            Err(error) if error.is_denied() => Ok(None),
            owned => owned,
        };
        let owned = self.context.with_retries(read).await?;
        Ok(owned.map(|owned| match owned.first() {
            Some(OwnedCode { identity: Some(_), .. }) => Owner::Identity,
            Some(OwnedCode { identity: None, .. }) => Owner::Pool,
            None => Owner::Nobody,
        }))
    }

    /// Returns who requested a job: the actor of the first entry about it; `None` for jobs of versions without an audit log.
    async fn requester(&self, job_id: Uuid) -> Result<Option<String>, Failure> {
        let filter = AuditFilter {
            since: DateTime::UNIX_EPOCH,
            until: LATEST,
            job_id: Some(job_id),
            action: None,
            after_no: 0,
            limit: 1,
        };
        let rows = self.context.with_retries(async || self.store.list_audit(&filter).await).await?;
        Ok(rows.into_iter().next().map(|row| row.actor))
    }
}
