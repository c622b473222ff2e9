//! `codemint verify`: checks that the store holds the codes that a job minted.

use std::fmt;

use clap::Args;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::terminal::print_report;
use crate::cli::support::text::counted;
use crate::config::policy_files;
use codemint_codes::batch::CodeBatch;
use codemint_codes::check::CheckKey;
use codemint_codes::identity::IdentityKey;
use codemint_codes::job::record::Job;
use codemint_codes::job::state::{JobError, State};
use codemint_codes::mask::Mask;
use codemint_codes::overlap::matches;
use codemint_codes::text::{grouped, one_or_many, printable};
use codemint_store::campaigns::lists::OwnedCode;
use codemint_store::connection::store::Store;
use codemint_store::minting::closing::job_digest;
use codemint_store::records::rows::Chunk;

/// The maximum number of problems that are listed.
const PROBLEMS_MAX: usize = 20;

/// Check a job's codes against its mask, its count and its digests; exit code 3 if a check fails or cannot be made
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint verify 01890a5d-ac96-774b-bcce-b302099a8057
  codemint verify 01890a5d-ac96-774b-bcce-b302099a8057 --everywhere --json

Check characters are checked with the secret in check.key_file, which must be the one that made them. \
Without it the job is not fully checked, and the exit code is 3.")]
pub struct Verify {
    /// Job id from `codemint jobs list`
    #[arg(value_parser = find::job_id)]
    job: Uuid,
    /// Also look for codes of the job outside the ranges of its chunks; reads all codes of the store
    #[arg(long)]
    everywhere: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Serialize)]
struct Verdict {
    job_id: Uuid,
    state: &'static str,
    requested: u64,
    /// The number of codes found in the store.
    found: u64,
    /// True if no check found a problem.
    holds: bool,
    /// False if a check could not be made: check characters or identities without their key.
    fully_checked: bool,
    /// The checks that could not be made, and why.
    unchecked: Option<String>,
    /// The first problems; they name chunks, but never codes.
    problems: Vec<String>,
    problems_total: usize,
}

impl Verify {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let (store, job) = find::store_and_job(context, self.job).await?;
        let check_key = check_key(context, &job)?;
        let mut verdict = Verdict::new(&job, check_key.as_ref().err().cloned());
        let check_key = check_key.ok().flatten();
        let restricted = restricted_campaign(context, &store, &job).await?;
        let identity_key = match restricted {
            Some(_) => identity_key(context, &store).await?,
            None => Ok(None),
        };
        if let Err(unchecked) = &identity_key {
            verdict.add_unchecked((*unchecked).to_owned());
        }
        let mut digests = Vec::new();
        for chunk in context.with_retries(async || store.list_chunks(job.no).await).await? {
            context.stop.check(|| "stopped before all codes were checked; there is no result".to_owned())?;
            if chunk.state == "open" && !job.state.is_final() {
                // It may be committed at any moment, together with its codes.
                continue;
            }
            let batch = context.with_retries(async || store.read_codes(&chunk).await).await?;
            verdict.check_chunk(&chunk, &batch, check_key.as_ref())?;
            if let (Some(campaign_no), Some(first), Some(last)) = (restricted, batch.first(), batch.last()) {
                let read = async || store.read_owned(campaign_no, first, last).await;
                verdict.check_owners(&chunk, &batch, &context.with_retries(read).await?, &identity_key);
            }
            digests.extend(chunk.digest);
        }
        verdict.check_job(&job, &digests);
        if self.everywhere && job.state.is_final() {
            verdict.check_strays(context.with_retries(async || store.count_codes(job.no).await).await?);
        }
        if !verdict.holds {
            context.require_recovered(&store).await?;
        }
        print_report(self.json, &verdict)?;
        Failure::unless(verdict.holds && verdict.fully_checked)
    }
}

/// Returns the key that the job's check characters were made with, `None` if it has none. The inner error is the reason
/// why they cannot be checked.
fn check_key(context: &Context, job: &Job) -> Result<Result<Option<CheckKey>, String>, Failure> {
    let Some(needed) = &job.policy_marks.check_fingerprint else { return Ok(Ok(None)) };
    let key = policy_files::check_key(&context.config)?;
    let found = match key.as_ref().map(CheckKey::fingerprint) {
        Some(found) if found == *needed => return Ok(Ok(key)),
        Some(found) => format!("check.key_file holds the key with the fingerprint {found}"),
        None => "check.key_file is not set".to_owned(),
    };
    let needed = printable(needed);
    Ok(Err(format!("check characters: they need the key with the fingerprint {needed}, but {found}")))
}

/// The key under which identities are digested, `None` if the store has none. The error is the reason why identities cannot
/// be checked.
type FoundIdentityKey = Result<Option<IdentityKey>, &'static str>;

async fn identity_key(context: &Context, store: &Store) -> Result<FoundIdentityKey, Failure> {
    let read = async || match store.find_identity_key().await {
        Err(error) if error.is_denied() => {
            Ok(Err("identities: the database user may not read the key of their digests"))
        }
        key => key.map(Ok),
    };
    context.with_retries(read).await
}

/// Returns the number of the restricted campaign in whose pool the job's codes are, unless identities have them. While an
/// import is being withdrawn, they are not in the pool any more.
async fn restricted_campaign(context: &Context, store: &Store, job: &Job) -> Result<Option<i64>, Failure> {
    let is_withdrawn = job.error.as_ref().is_some_and(|error| error.code == JobError::WITHDRAWN);
    match job.campaign.as_deref().filter(|_| !is_withdrawn) {
        Some(campaign) => context.with_retries(async || store.find_pooled(campaign).await).await,
        None => Ok(None),
    }
}

impl Verdict {
    fn new(job: &Job, unchecked: Option<String>) -> Self {
        Self {
            job_id: job.id,
            state: job.state.into_str(),
            requested: job.count,
            found: 0,
            holds: true,
            fully_checked: unchecked.is_none(),
            unchecked,
            problems: Vec::new(),
            problems_total: 0,
        }
    }

    fn add_unchecked(&mut self, what: String) {
        self.fully_checked = false;
        self.unchecked = Some(match self.unchecked.take() {
            Some(before) => format!("{before}; {what}"),
            None => what,
        });
    }

    fn add_problem(&mut self, text: String) {
        self.holds = false;
        self.problems_total += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(text);
        }
    }

    fn check_chunk(&mut self, chunk: &Chunk, batch: &CodeBatch, check_key: Option<&CheckKey>) -> Result<(), Failure> {
        let mask = Mask::describing(&chunk.mask).map_err(Failure::other)?;
        let run_no = chunk.planned.run_no;
        self.found += batch.len() as u64;
        if batch.len() as u64 != u64::from(chunk.minted) {
            let (recorded, found) = (counted(chunk.minted.into(), "code"), grouped(batch.len() as u128));
            self.add_problem(format!("chunk {run_no} ({}) records {recorded}, the store has {found}", chunk.state));
        }
        let body_length = mask.body().len();
        let is_of_mask = |code: &&str| {
            let (body, check) = code.as_bytes().split_at(body_length.min(code.len()));
            matches(mask.positions(), code.as_bytes()) && check_key.is_none_or(|key| key.verify(body, check))
        };
        let strangers = batch.iter().filter(|code| !is_of_mask(code)).count();
        if strangers > 0 {
            let (codes, do_not) = (counted(strangers as u128, "code"), one_or_many(strangers, "does", "do"));
            self.add_problem(format!("chunk {run_no} has {codes} that {do_not} not match the mask"));
        }
        // Ascending by byte without repeats: codes are drawn in this order, and the digest covers it.
        if !batch.iter().is_sorted_by(|a, b| a < b) {
            self.add_problem(format!("chunk {run_no} is not in ascending byte order"));
        }
        let digest = Sha256::digest(batch.as_lines()).to_vec();
        if chunk.digest.as_ref().is_some_and(|stored| *stored != digest) {
            self.add_problem(format!("chunk {run_no} has a digest that differs from its checkpoint"));
        }
        Ok(())
    }

    /// Reports codes of a restricted campaign that are nobody's and not in its pool, and those whose identity was changed.
    fn check_owners(&mut self, chunk: &Chunk, batch: &CodeBatch, owned: &[OwnedCode], key: &FoundIdentityKey) {
        let is_changed = |owned: &OwnedCode| key.as_ref().is_ok_and(|key| !owned.has_its_identity(key.as_ref()));
        let mut owned = owned.iter().peekable();
        let (mut unowned, mut changed) = (0_u64, 0_u64);
        for code in batch.iter() {
            while owned.next_if(|owned| owned.code.as_str() < code).is_some() {}
            match owned.peek().filter(|owned| owned.code == code) {
                Some(owned) => changed += u64::from(is_changed(owned)),
                None => unowned += 1,
            }
        }
        if changed > 0 {
            let (codes, run_no) = (counted(changed.into(), "code"), chunk.planned.run_no);
            self.add_problem(format!("chunk {run_no} has {codes} whose identity differs from its digest"));
        }
        if unowned > 0 {
            let (codes, belong) = (counted(unowned.into(), "code"), one_or_many(unowned, "belongs", "belong"));
            let run_no = chunk.planned.run_no;
            self.add_problem(format!("chunk {run_no} has {codes} that {belong} to no identity and not to the pool"));
        }
    }

    /// Reports codes outside the ranges of their chunks. `everywhere` is the number of the job's codes in any place.
    fn check_strays(&mut self, everywhere: u64) {
        if everywhere > self.found {
            let strays = everywhere - self.found;
            let are_outside =
                one_or_many(strays, "is outside the range of its chunk", "are outside the range of their chunk");
            self.add_problem(format!("{} {are_outside}", counted(strays.into(), "code")));
        }
    }

    fn check_job(&mut self, job: &Job, digests: &[Vec<u8>]) {
        if self.found != job.minted && job.state.is_final() {
            let (recorded, found) = (counted(job.minted.into(), "code"), grouped(self.found.into()));
            self.add_problem(format!("the job records {recorded}, the store has {found}"));
        }
        if job.state == State::Completed && job.missing() != 0 {
            let (minted, requested) = (grouped(job.minted.into()), counted(job.count.into(), "code"));
            self.add_problem(format!("the job is completed with {minted} of {requested}"));
        }
        if job.state.is_final() && job.digest.is_none() {
            self.add_problem("the job has ended without a digest".to_owned());
        }
        if job.digest.as_ref().is_some_and(|stored| stored[..] != job_digest(digests)[..]) {
            self.add_problem("the digest over the chunks differs from the job's".to_owned());
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (found, requested) = (grouped(self.found.into()), counted(self.requested.into(), "code"));
        write!(f, "job {} is {}: {found} of {requested} found, ", self.job_id, self.state)?;
        let failed = if self.holds { "no problem found" } else { "verification FAILED" };
        match &self.unchecked {
            Some(unchecked) => write!(f, "NOT FULLY CHECKED; {failed}\n  - not checked: {unchecked}")?,
            None if self.holds => f.write_str("every one checked; verification passed")?,
            None => write!(f, "every one checked; {failed}")?,
        }
        self.problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))?;
        match self.problems_total - self.problems.len() {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
