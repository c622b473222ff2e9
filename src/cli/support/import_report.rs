//! The reports of an import that has ended and of a dry run.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::import_input::Reading;
use crate::cli::support::text::{counted, quoted};
use codemint_codes::job::record::Job;
use codemint_codes::text::{grouped, one_or_many, printable};
use codemint_codes::wire::document::JobDocument;
use codemint_import::likeness::likenesses;
use codemint_import::reader::Format;
use codemint_import::sorted::{Counts, Sorted};
use codemint_worker::runner::job_execution::Share;

/// The maximum number of masks that a report lists.
const MASKS_LISTED_MAX: usize = 10;

/// What was read, whether it is stored or not.
#[derive(Debug, Serialize)]
struct Read {
    /// What the input was read as.
    input_format: String,
    lines_read: u64,
    blank: u64,
    invalid: u64,
    repeats: u64,
    /// The number of codes around which blanks were cut off.
    blanks_cut: u64,
    /// The number of codes around which a pair of quotation marks was cut off.
    quotes_cut: u64,
    /// Lines that look damaged by a spreadsheet program.
    damaged: Vec<Damaged>,
}

#[derive(Debug, Serialize)]
struct Damaged {
    kind: &'static str,
    lines: u64,
    first_line: u64,
}

impl Read {
    fn new(format: &Format, sorted: &Sorted) -> Self {
        let Counts { lines_read, blank, invalid, repeats, blanks_cut, quotes_cut, .. } = sorted.counts;
        let damaged = sorted.preview.damage.kinds();
        let damaged = damaged.map(|(kind, lines)| Damaged { kind, lines: lines.count, first_line: lines.first });
        let (input_format, damaged) = (format_text(format), damaged.collect());
        Self { input_format, lines_read, blank, invalid, repeats, blanks_cut, quotes_cut, damaged }
    }

    fn write_lines(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "read as   {}", self.input_format)?;
        writeln!(f, "lines     {}, {} of them blank", count(self.lines_read), count(self.blank))
    }

    fn write_changes(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.blanks_cut + self.quotes_cut > 0 {
            let (blanks, quotes) = (counted(self.blanks_cut.into(), "code"), count(self.quotes_cut));
            writeln!(f, "cut off   blanks around {blanks}, quotation marks around {quotes}")?;
        }
        for Damaged { kind, lines, first_line } in &self.damaged {
            let (lines, are) = (counted((*lines).into(), "line"), one_or_many(*lines, "is", "are"));
            writeln!(f, "damaged?  {lines} {are} {kind}; the first is line {first_line}")?;
        }
        Ok(())
    }
}

fn count(count: u64) -> String {
    grouped(count.into())
}

fn format_text(format: &Format) -> String {
    let separator = |byte: &u8| if *byte == b'\t' { "tabs".to_owned() } else { char::from(*byte).to_string() };
    match format {
        Format::Lines => "one code per line".to_owned(),
        Format::JsonLines => "JSON lines".to_owned(),
        Format::Column { name, delimiter } => {
            format!("CSV, column \"{}\", separated by {}", printable(name), separator(delimiter))
        }
        Format::NumberedColumn { number, delimiter } => {
            format!("CSV without a header, column {number}, separated by {}", separator(delimiter))
        }
    }
}

/// The report of a dry run. It shows codes, because a person has to recognize them.
#[derive(Debug, Serialize)]
pub struct DryRun {
    #[serde(flatten)]
    read: Read,
    /// The number of different valid codes.
    codes: u64,
    /// The first codes in the order of the input.
    first_codes: Vec<String>,
    /// The mask that the codes of each length seem to have.
    masks: Vec<MaskCodes>,
    stored: bool,
}

#[derive(Debug, Serialize)]
struct MaskCodes {
    mask: String,
    codes: u64,
}

impl DryRun {
    pub fn new(reading: &Reading) -> Self {
        let Reading { format, sorted, .. } = reading;
        let masks = likenesses(sorted).into_iter();
        Self {
            read: Read::new(format, sorted),
            codes: sorted.codes,
            first_codes: sorted.preview.first_codes.clone(),
            masks: masks.map(|like| MaskCodes { mask: like.mask.to_string(), codes: like.codes }).collect(),
            stored: false,
        }
    }
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.read.write_lines(f)?;
        writeln!(f, "codes     {} different ones", count(self.codes))?;
        writeln!(f, "left out  {} repeated, {} invalid", count(self.read.repeats), count(self.read.invalid))?;
        self.read.write_changes(f)?;
        for (at, code) in self.first_codes.iter().enumerate() {
            writeln!(f, "{}{code}", if at == 0 { "first     " } else { "          " })?;
        }
        for MaskCodes { mask, codes } in self.masks.iter().take(MASKS_LISTED_MAX) {
            writeln!(f, "mask      {mask}, {}", counted((*codes).into(), "code"))?;
        }
        if self.masks.len() > MASKS_LISTED_MAX {
            writeln!(f, "          and {} more lengths", self.masks.len() - MASKS_LISTED_MAX)?;
        }
        f.write_str("stored    nothing: this was a dry run")
    }
}

/// The report of an import that has ended.
#[derive(Debug, Serialize)]
pub struct Summary {
    #[serde(flatten)]
    job: JobDocument,
    #[serde(flatten)]
    read: Read,
    /// The number of codes that were in the store already.
    existing: u64,
    /// The duration of writing, without reading and sorting.
    seconds: f64,
    imported_here: u64,
    codes_per_second: u64,
    store: String,
    reject_file: Option<PathBuf>,
}

impl Summary {
    pub fn new(
        context: &Context,
        job: &Job,
        share: Share,
        writing: Duration,
        (format, sorted): (&Format, &Sorted),
        reject_file: Option<&Path>,
    ) -> Self {
        let seconds = writing.as_secs_f64();
        Self {
            job: JobDocument::from(job),
            read: Read::new(format, sorted),
            existing: job.rejections.total(),
            seconds: (seconds * 1000.0).round() / 1000.0,
            imported_here: share.codes,
            codes_per_second: (share.codes as f64 / seconds.max(0.001)).round() as u64,
            store: context.config.store.to_string(),
            reject_file: reject_file.map(Path::to_owned),
        }
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "job       {}", self.job.job_id)?;
        self.read.write_lines(f)?;
        writeln!(f, "codes     {} imported", count(self.job.minted))?;
        let (existing, repeats, invalid) = (count(self.existing), count(self.read.repeats), count(self.read.invalid));
        writeln!(f, "left out  {existing} existing, {repeats} repeated, {invalid} invalid")?;
        self.read.write_changes(f)?;
        writeln!(f, "time      {:.2} s, {} codes/s", self.seconds, count(self.codes_per_second))?;
        write!(f, "store     {}", printable(&self.store))?;
        match &self.reject_file {
            Some(file) => write!(f, "\nrejected  {}", quoted(&file.display().to_string())),
            None => Ok(()),
        }
    }
}
