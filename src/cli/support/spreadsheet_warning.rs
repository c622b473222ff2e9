//! Warnings about codes that a spreadsheet changes or runs when it opens them as CSV, with what to do about it.

use crate::cli::support::failure::Failure;
use crate::cli::support::output_format::Encoding;
use crate::cli::support::text::{counted, percent};
use codemint_codes::batch::CodeBatch;
use codemint_codes::job::record::Job;
use codemint_codes::mask::Mask;
use codemint_codes::spreadsheet::{Exposure, Misread, MisreadCounts, Spreadsheet};
use codemint_codes::text::{grouped, one_or_many};

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

/// Counts written codes and identities that a spreadsheet changes.
pub struct MisreadWatch {
    spreadsheet: Spreadsheet,
    codes: MisreadCounts,
    identities: MisreadCounts,
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
        // Identities can be any text.
        let is_needed = encoding.has_identities() || jobs.iter().any(may_change);
        let (codes, identities) = (MisreadCounts::default(), MisreadCounts::default());
        Ok(is_needed.then_some(Self { spreadsheet, codes, identities }))
    }

    pub fn add(&mut self, batch: &CodeBatch) {
        self.codes.add(&self.spreadsheet, batch);
    }

    /// Adds the identities of written codes. A spreadsheet reads them in any case.
    pub fn add_identities<'a>(&mut self, identities: impl Iterator<Item = &'a str>) {
        for identity in identities {
            self.identities.add_text(&self.spreadsheet, &identity.to_ascii_uppercase());
        }
    }

    /// Returns the warnings about what was found among this number of codes and their identities, if anything.
    pub fn warnings(&self, codes: u64) -> impl Iterator<Item = String> {
        let of_codes =
            warning_of(&self.codes, |found| format!("{} of {}", grouped(found.into()), counted(codes.into(), "code")));
        let of_identities = warning_of(&self.identities, |found| {
            format!("{} {}", grouped(found.into()), one_or_many(found, "identity", "identities"))
        });
        of_codes.into_iter().chain(of_identities)
    }
}

fn warning_of(counts: &MisreadCounts, shown: impl Fn(u64) -> String) -> Option<String> {
    let found = Some(counts.total()).filter(|&found| found > 0)?;
    let kinds = listed(counts.kinds().map(|(kind, number)| (kind, grouped(number.into()))));
    let does = verb(counts.kinds().map(|(kind, _)| kind));
    Some(format!("warning: a spreadsheet that opens this CSV {does} {} ({kinds}); {AFTER_MINTING}", shown(found)))
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
