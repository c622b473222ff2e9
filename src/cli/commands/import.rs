//! `codemint import`: imports codes from another system.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::import_input::{has_ending, read};
use crate::cli::support::import_report::Summary;
use crate::cli::support::minting::run_to_end;
use crate::cli::support::reject_file::RejectFile;
use crate::cli::support::terminal::{print_note, print_report};
use crate::cli::support::text::campaign_text;
use codemint_codes::job::plan::PlannedChunk;
use codemint_codes::job::record::{Job, Origin};
use codemint_codes::job::request::check_campaign;
use codemint_codes::job::state::State;
use codemint_codes::mask::Mask;
use codemint_codes::wire::document::hexadecimal;
use codemint_import::columns::header;
use codemint_import::reader::{Format, Options};
use codemint_import::sorted::Sorted;
use codemint_import::workspace::Workspace;
use codemint_store::admission::imports::{ImportGroup, NewImport, PutImport};
use codemint_store::connection::store::{Access, Store};
use codemint_store::records::audit::{Action, AuditEntry, Outcome};
use codemint_store::records::reports::JobFilter;
use codemint_worker::mint::task::MintSettings;

/// The number of codes per transaction. Not a setting: a resumed import must have the same runs that it began with.
const RUN_CODES: u32 = 50_000;

/// Import codes from another system: one per line, or a column of a CSV file
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint import old-codes.txt --campaign 'before 2020' --reject-file rejected.csv
  codemint import coupons.csv --column coupon_code
  zcat codes.gz | codemint import -

Codes are folded to upper case. Existing codes, repeats and lines without a valid code are counted and \
left out; --reject-file lists them with line and reason. Repeat the command to resume an interrupted \
import. Sorting needs free disk space of about three times the size of the codes, in the directory \
for temporary files (TMPDIR).")]
pub struct Import {
    /// Input file, or - for standard input
    input: String,
    /// Column to read from a CSV file with a header row; a .tsv file is separated by tabs
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// Campaign name, shown in reports and events
    #[arg(long, value_name = "NAME")]
    campaign: Option<String>,
    /// Job id [default: derived from the input, so that the same input is the same job]
    #[arg(long, value_name = "UUID", value_parser = find::job_id)]
    job_id: Option<Uuid>,
    /// File for the list of rejected lines, as line,reason
    #[arg(long, value_name = "FILE")]
    reject_file: Option<PathBuf>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

impl Import {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        if let Some(campaign) = &self.campaign {
            check_campaign(campaign).map_err(Failure::impossible)?;
        }
        let beside = |path| RejectFile::beside(path, &context.config.store, &self.input);
        let reject_file = self.reject_file.as_deref().map(beside).transpose()?;
        let options = self.options()?;
        let input = self.open()?;
        let store = context.open_store(Access::CreateFile).await?;
        let (sorted, rejects) = read(context, input, options).await?;
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
        let summary =
            Summary::new(context, &job, share, started.elapsed(), &sorted.counts, self.reject_file.as_deref());
        print_report(self.json, &summary)
    }

    fn delimiter(&self) -> u8 {
        if has_ending(&self.input, "tsv") { b'\t' } else { b',' }
    }

    fn options(&self) -> Result<Options, Failure> {
        let format = match &self.column {
            Some(name) => Format::Column { name: name.clone(), delimiter: self.delimiter() },
            None if has_ending(&self.input, "csv") || has_ending(&self.input, "tsv") => {
                return Err(self.ask_for_column());
            }
            None => Format::Lines,
        };
        Ok(Options { format, run_codes: RUN_CODES, workspace: Workspace::new(std::env::temp_dir()) })
    }

    /// Requires --column for a CSV file, whose header would pass for a code.
    fn ask_for_column(&self) -> Failure {
        let columns = self.open().and_then(|input| header(input, self.delimiter()).map_err(Failure::from));
        match columns {
            Ok(columns) => Failure::usage(format!(
                "{} is a CSV file, but --column is missing; add --column with one of its columns: {}",
                self.input,
                columns.join(", ")
            )),
            Err(failure) => failure,
        }
    }

    fn open(&self) -> Result<Box<dyn Read + Send>, Failure> {
        if self.input == "-" {
            return Ok(Box::new(io::stdin()));
        }
        let cannot_read = |problem: String| Failure::usage(format!("{} cannot be read: {problem}", self.input));
        let file = File::open(&self.input).map_err(|error| cannot_read(error.to_string()))?;
        let metadata = file.metadata().map_err(|error| cannot_read(error.to_string()))?;
        if metadata.is_dir() {
            return Err(cannot_read("it is a directory; name a file".to_owned()));
        }
        Ok(Box::new(file))
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

fn is_same(job: &Job, import: &NewImport) -> bool {
    let origin = Origin::Imported { source_digest: import.source_digest.to_vec() };
    job.origin == origin && job.campaign == import.campaign && job.chunk_size == import.run_codes
}

fn another(job: &Job, import: &NewImport) -> String {
    let ours = hexadecimal(&import.source_digest);
    match &job.origin {
        Origin::Minted { mask_text, .. } | Origin::Refused { mask_text } => {
            format!("job {} is not an import, it mints codes of {mask_text}; name another --job-id", job.id)
        }
        Origin::Imported { source_digest } if source_digest[..] != import.source_digest => format!(
            "job {} is the import of another input, or of this one before a change: its SHA-256 is {}, this input's is {ours}; name another --job-id",
            job.id,
            hexadecimal(source_digest)
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
