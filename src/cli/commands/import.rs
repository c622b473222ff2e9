//! `codemint import`: imports codes from another system.

use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::file_mode::{FileMode, file_mode};
use crate::cli::support::find;
use crate::cli::support::import_input::{self, Input, Reading};
use crate::cli::support::import_report::{DryRun, Summary};
use crate::cli::support::minting::run_to_end;
use crate::cli::support::reject_file::RejectFile;
use crate::cli::support::terminal::{print_note, print_report};
use crate::cli::support::text::{campaign_text, quoted};
use codemint_codes::job::plan::PlannedChunk;
use codemint_codes::job::record::{Job, Origin};
use codemint_codes::job::request::check_campaign;
use codemint_codes::job::state::State;
use codemint_codes::mask::Mask;
use codemint_codes::text::printable;
use codemint_codes::text::{grouped, hexadecimal};
use codemint_import::detect::Asked;
use codemint_import::error::ImportError;
use codemint_import::rejects::Rejects;
use codemint_import::sorted::{Counts, Sorted};
use codemint_store::admission::imports::{ImportGroup, NewImport, PutImport};
use codemint_store::connection::store::{Access, Store};
use codemint_store::records::audit::{Action, AuditEntry, Outcome};
use codemint_store::records::reports::JobFilter;
use codemint_worker::mint::task::MintSettings;

/// The number of codes per transaction. Not a setting: a resumed import must have the same runs that it began with.
const RUN_CODES: u32 = 50_000;

/// Import codes from another system: one per line, a column of a CSV file, or JSON lines
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint import old-codes.txt --dry-run
  codemint import old-codes.txt --campaign 'before 2020' --reject-file rejected.csv
  codemint import coupons.csv --column coupon_code
  codemint import rows.txt --no-header --column 2 --delimiter ';'
  zcat codes.gz | codemint import -

Try --dry-run first; `codemint jobs withdraw` takes an import back. Input that does not look like codes is refused with \
the command that reads it. Text may be UTF-8, or UTF-16 with a byte order mark. Codes are folded to upper \
case. Blanks around a code and a pair of quotation marks around a whole line are cut off and counted. \
A quotation mark that is not closed, or is followed by text, is an error, and nothing is stored.

Existing codes and repeats are counted and left out. If more than 1 in 100 lines hold no valid code, \
nothing is stored (exit code 4); if fewer do, the other codes are stored and the exit code is 3. With \
--allow-invalid such lines are left out and the exit code is 0. --reject-file lists what was left out with \
line and reason.

Repeat the command to resume an interrupted import. Sorting needs free disk space of about three times the \
size of the codes, in the directory for temporary files (TMPDIR).")]
pub struct Import {
    #[command(flatten)]
    input: Input,
    /// Campaign name, shown in reports and events
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Job id [default: derived from the input, so that the same input is the same job]
    #[arg(long, value_name = "UUID", value_parser = find::job_id)]
    job_id: Option<Uuid>,
    /// File for the list of rejected lines, as line,reason
    #[arg(long, value_name = "FILE")]
    reject_file: Option<PathBuf>,
    /// Permissions of the reject file in octal, such as 0640 [default: those of the file it replaces, else 0600]
    #[arg(long, value_name = "MODE", value_parser = file_mode, requires = "reject_file")]
    mode: Option<FileMode>,
    /// Leave out lines without a valid code, any number of them
    #[arg(long)]
    allow_invalid: bool,
    /// Show counts, the first codes, their mask and damaged lines, and store nothing
    #[arg(long)]
    dry_run: bool,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Import {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        if let Some(campaign) = &self.campaign {
            check_campaign(campaign).map_err(Failure::impossible)?;
        }
        let beside = |path| RejectFile::beside(path, self.mode, &context.config.store, &self.input.path);
        let reject_file = self.reject_file.as_deref().map(beside).transpose()?;
        let asked = self.input.asked()?;
        let input = self.input.open()?;
        if self.dry_run {
            let reading = self.read(context, input, asked).await?;
            return self.report_dry_run(context, reading, reject_file).await;
        }
        let store = context.open_store(Access::CreateFile).await?;
        let Reading { format, sorted, rejects } = self.read(context, input, asked).await?;
        if let Err(failure) = self.check_invalid(context, &sorted.counts) {
            write_list(context, reject_file, rejects).await?;
            return Err(failure);
        }
        let sorted = Arc::new(sorted);
        let job = self.submit(context, &store, &sorted).await?;
        let started = Instant::now();
        let settings = MintSettings { import: Some(Arc::clone(&sorted)), ..MintSettings::default() };
        let settings = MintSettings { filters: context.config.filters, ..settings };
        let resume = "repeat the same command to resume it";
        let (job, share) = run_to_end(context, &store, &job, &settings, resume).await?;
        find::require_completed(context, &job)
            .map_err(|failure| failure.with_hint("to import the same input anew, name another --job-id"))?;
        if let Some(file) = reject_file {
            file.write(context, &store, &job, &sorted, rejects).await?;
        }
        let read = (&format, &*sorted);
        let summary = Summary::new(context, &job, share, started.elapsed(), read, self.reject_file.as_deref());
        print_report(self.json, &summary)?;
        self.require_all_valid(context, &sorted.counts)
    }

    async fn read(&self, context: &Context, input: Box<dyn Read + Send>, asked: Asked) -> Result<Reading, Failure> {
        import_input::read(context, input, asked, RUN_CODES).await?.map_err(|error| self.failure(context, error))
    }

    /// Adds the command that fixes an error to its message.
    fn failure(&self, context: &Context, error: ImportError) -> Failure {
        let fix = self.input.fix(context, &error, |options| self.arguments_with(options));
        let failure = Failure::from(error);
        match fix {
            Some(fix) => failure.with_hint(fix),
            None => failure,
        }
    }

    /// Returns the arguments of this import with more options, for a command that can be pasted.
    fn arguments_with(&self, options: &[String]) -> String {
        let mut words = self.input.words_with(options);
        words.extend(self.campaign.iter().flat_map(|name| ["--campaign".to_owned(), name.clone()]));
        words.extend(self.job_id.iter().flat_map(|id| ["--job-id".to_owned(), id.to_string()]));
        if let Some(file) = self.reject_file.as_ref().filter(|_| !options.iter().any(|word| word == "--reject-file")) {
            words.extend(["--reject-file".to_owned(), file.display().to_string()]);
        }
        words.extend(self.allow_invalid.then(|| "--allow-invalid".to_owned()));
        let is_new = self.dry_run && !options.iter().any(|word| word == "--dry-run");
        words.extend(is_new.then(|| "--dry-run".to_owned()));
        words.extend(self.json.then(|| "--json".to_owned()));
        let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
        format!("import {}", words.join(" "))
    }

    async fn report_dry_run(
        &self,
        context: &Context,
        reading: Reading,
        reject_file: Option<RejectFile>,
    ) -> Result<(), Failure> {
        print_report(self.json, &DryRun::new(&reading))?;
        let counts = reading.sorted.counts;
        write_list(context, reject_file, reading.rejects).await?;
        self.check_invalid(context, &counts)?;
        self.require_all_valid(context, &counts)
    }

    /// Refuses too many invalid lines before anything is stored.
    fn check_invalid(&self, context: &Context, counts: &Counts) -> Result<(), Failure> {
        if self.allow_invalid {
            return Ok(());
        }
        let allowed = context.command(self.arguments_with(&["--allow-invalid".to_owned()]));
        counts.check_invalid().map_err(|error| {
            let failure = self.failure(context, error);
            failure.with_hint(format!("if they are to be left out: {allowed}"))
        })
    }

    /// Returns a negative result if lines were left out as invalid, and that was not requested.
    fn require_all_valid(&self, context: &Context, counts: &Counts) -> Result<(), Failure> {
        let Some((line, reason)) = counts.first_invalid.filter(|_| !self.allow_invalid) else { return Ok(()) };
        let (invalid, lines) = (grouped(counts.invalid.into()), grouped(counts.lines_with_text().into()));
        let left_out = if self.dry_run { "would be left out" } else { "were left out" };
        let failure = Failure::negative_result(format!(
            "{invalid} of {lines} lines hold no valid code and {left_out}; the first is line {line}: {reason}"
        ));
        Err(match &self.reject_file {
            Some(file) => failure.with_hint(format!("they are listed in {}", quoted(&file.display().to_string()))),
            None => {
                let options = ["--reject-file", "rejected.csv"].map(str::to_owned);
                failure.with_hint(format!("{} lists them", context.command(self.arguments_with(&options))))
            }
        })
    }

    async fn submit(&self, context: &Context, store: &Store, sorted: &Sorted) -> Result<Job, Failure> {
        let import = NewImport {
            emits_events: context.job_options().emits_events,
            id: self.job_id.unwrap_or_else(|| id_of(&sorted.counts.digest)),
            campaign: self.campaign.clone(),
            source_digest: sorted.counts.digest,
            run_codes: RUN_CODES,
            groups: groups(sorted),
        };
        let put = context.with_retries(async || store.put_import(&import).await).await?;
        if let PutImport::Known(job) = &put {
            let outcome = if is_same(job, &import) { Outcome::Repeated } else { Outcome::Conflict };
            let entry = entry_of(outcome, &import);
            context.with_retries(async || store.put_audit(&entry).await).await?;
        }
        match put {
            PutImport::Known(job) if !is_same(&job, &import) => Err(Failure::impossible(another(&job, &import))),
            PutImport::Known(job) => Ok(job),
            PutImport::Stored(job) => {
                self.note_unfinished(context, store, &job).await?;
                Ok(job)
            }
        }
    }

    /// Prints a note about another unfinished import: after a change of the input it would stay unfinished unnoticed.
    async fn note_unfinished(&self, context: &Context, store: &Store, ours: &Job) -> Result<(), Failure> {
        let filter = JobFilter { state: Some(State::Running), limit: 1000, ..JobFilter::default() };
        let jobs = context.with_retries(async || store.list_jobs(&filter).await).await?;
        let unfinished = jobs.iter().find(|job| job.id != ours.id && matches!(job.origin, Origin::Imported { .. }));
        if let Some(job) = unfinished.filter(|_| !context.quiet) {
            let cancel = context.command(format_args!("jobs cancel {}", job.id));
            print_note(&format!("note: import {} of another input is not finished; {cancel} cancels it", job.id));
        }
        Ok(())
    }
}

/// Returns the default job id of an input: the same input is the same job.
fn id_of(source_digest: &[u8; 32]) -> Uuid {
    let digest = Sha256::new().chain_update("codemint import").chain_update(source_digest).finalize();
    uuid::Builder::from_custom_bytes(std::array::from_fn(|at| digest[at])).into_uuid()
}

fn groups(sorted: &Sorted) -> Vec<ImportGroup> {
    let runs = || {
        (0..).zip(&sorted.runs).map(|(chunk_no, run)| PlannedChunk {
            chunk_no,
            range_first: run.first.clone(),
            range_last: run.last.clone(),
            quota: run.codes.into(),
        })
    };
    let group = |group: &codemint_import::sorted::Group| ImportGroup {
        mask: Mask::of_symbols(group.symbols.clone()),
        runs: runs().filter(|run| run.range_first.len() == group.code_length()).collect(),
    };
    sorted.groups.iter().map(group).collect()
}

/// Returns the audit entry of an import that changes nothing.
fn entry_of(outcome: Outcome, import: &NewImport) -> AuditEntry {
    AuditEntry {
        job_id: Some(import.id),
        count: Some(import.codes()),
        campaign: import.campaign.clone(),
        digest: Some(import.source_digest.to_vec()),
        ..AuditEntry::new(Action::Import, outcome)
    }
}

/// Lists the rejected lines of an input that is not stored.
async fn write_list(context: &Context, file: Option<RejectFile>, rejects: Rejects) -> Result<(), Failure> {
    match file {
        Some(file) => file.write_list(context, rejects).await,
        None => Ok(()),
    }
}

fn is_same(job: &Job, import: &NewImport) -> bool {
    let origin = Origin::Imported { source_digest: import.source_digest.to_vec() };
    let is_same_input = job.origin == origin && job.count == import.codes();
    is_same_input && job.campaign == import.campaign && job.chunk_size == import.run_codes
}

fn another(job: &Job, import: &NewImport) -> String {
    let ours = hexadecimal(&import.source_digest);
    match &job.origin {
        Origin::Minted { mask_text, .. } | Origin::Refused { mask_text } => {
            let mask = printable(mask_text);
            format!("job {} is not an import, it mints codes of {mask}; name another --job-id", job.id)
        }
        Origin::Imported { source_digest } if source_digest[..] != import.source_digest => format!(
            "job {} is the import of another input, or of this one before a change: its SHA-256 is {}, this input's is {ours}; name another --job-id",
            job.id,
            hexadecimal(source_digest)
        ),
        Origin::Imported { .. } if job.count != import.codes() => format!(
            "job {} is the import of the same input, in which an earlier version found {} codes, and this one {}; name another --job-id",
            job.id,
            grouped(job.count.into()),
            grouped(import.codes().into())
        ),
        Origin::Imported { .. } => {
            let campaign = campaign_text(job.campaign.as_deref());
            format!(
                "job {} is the import of the same input with {campaign}; name another --job-id to import it again",
                job.id
            )
        }
    }
}
