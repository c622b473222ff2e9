//! Warnings about codes that a spreadsheet changes or runs when it opens them as CSV, with what to do about it.

use crate::cli::support::failure::Failure;
use crate::cli::support::output_format::Encoding;
use crate::cli::support::text::{counted, grouped, percent};
use codemint_codes::batch::CodeBatch;
use codemint_codes::job::record::Job;
use codemint_codes::mask::Mask;
use codemint_codes::spreadsheet::{Exposure, Misread, MisreadCounts, Spreadsheet};

const BEFORE_MINTING: &str = "write --format xlsx, import the column as text, or use another mask";
const AFTER_MINTING: &str = "write --format xlsx, or import the column as text";

/// Returns the codes of a mask that a spreadsheet changes; `None` if there are none.
pub fn exposure(mask: &Mask) -> Result<Option<Exposure>, Failure> {
    let exposure = Spreadsheet::new().map_err(Failure::other)?.exposure(mask);
    Ok(Some(exposure).filter(|exposure| !exposure.is_none()))
}

/// Formats what a spreadsheet does to the codes of a mask.
pub fn describe(exposure: &Exposure) -> String {
    let about = if exposure.is_exact() { "" } else { "about " };
    let share = percent(exposure.share());
    let kinds = listed(exposure.kinds().map(|(kind, share)| (kind, percent(share))));
    let does = verb(exposure.kinds().map(|(kind, _)| kind));
    format!("a spreadsheet that opens the codes as CSV {does} {about}{share} of them ({kinds}); {BEFORE_MINTING}")
}

/// Returns the warning before `count` codes of a mask are minted for a CSV file; `None` if a spreadsheet will hardly
/// change any of them. Then the codes are looked at when they are written.
pub fn warning_of_mask(mask: &Mask, count: u64) -> Result<Option<String>, Failure> {
    let exposure = exposure(mask)?.filter(|exposure| exposure.share() * count as f64 >= 1.0);
    Ok(exposure.map(|exposure| format!("warning: {}", describe(&exposure))))
}

/// Counts written codes that a spreadsheet changes.
pub struct MisreadWatch {
    spreadsheet: Spreadsheet,
    counts: MisreadCounts,
}

impl MisreadWatch {
    /// Returns a watch for the codes of these jobs; `None` if none of them can be changed, so that none need be looked at.
    pub fn of(jobs: &[Job], encoding: Encoding) -> Result<Option<Self>, Failure> {
        if !encoding.is_csv() {
            return Ok(None);
        }
        let spreadsheet = Spreadsheet::new().map_err(Failure::other)?;
        // The codes of an import can be any.
        let may_change = |job: &Job| job.mask().is_none_or(|mask| !spreadsheet.exposure(mask).is_none());
        let is_needed = jobs.iter().any(may_change);
        Ok(is_needed.then(|| Self { spreadsheet, counts: MisreadCounts::default() }))
    }

    pub fn add(&mut self, batch: &CodeBatch) {
        self.counts.add(&self.spreadsheet, batch);
    }

    /// Returns the warning about what was found among this number of codes, if anything.
    pub fn warning(&self, codes: u64) -> Option<String> {
        let found = Some(self.counts.total()).filter(|&found| found > 0)?;
        let kinds = listed(self.counts.kinds().map(|(kind, codes)| (kind, grouped(codes.into()))));
        let does = verb(self.counts.kinds().map(|(kind, _)| kind));
        let (found, codes) = (grouped(found.into()), counted(codes.into(), "code"));
        Some(format!("warning: a spreadsheet that opens this CSV {does} {found} of {codes} ({kinds}); {AFTER_MINTING}"))
    }
}

/// Formats kinds with their numbers: "leading zeros: 10, dates or times: 2".
fn listed(kinds: impl Iterator<Item = (Misread, String)>) -> String {
    kinds.map(|(kind, number)| format!("{}: {number}", kind.title())).collect::<Vec<_>>().join(", ")
}

fn verb(kinds: impl Iterator<Item = Misread>) -> &'static str {
    let (formulas, others): (Vec<Misread>, Vec<Misread>) = kinds.partition(|&kind| kind == Misread::Formula);
    match (formulas.is_empty(), others.is_empty()) {
        (true, _) => "changes",
        (false, true) => "runs",
        (false, false) => "changes or runs",
    }
}
