//! The list of the exclusions of a rule for affiliates.

use std::io::Read;
use std::ops::ControlFlow;

use tokio_util::sync::CancellationToken;

use codemint_import::rows::{RowsError, each_row_of};
use codemint_offers::affiliate::exclusion::{COLUMNS, Details, Exclusion, RULE_EXCLUSIONS_MAX};
use codemint_offers::affiliate::rule::Rule;
use codemint_store::affiliates::exclusions::{EXCLUSIONS_AT_ONCE, Excluding, ReplacedExclusions};
use codemint_store::connection::store::Store;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::wrong_lines::WrongLines;

/// The maximum number of rows of a list, most of which may repeat others.
const ROWS_MAX: usize = 10 * RULE_EXCLUSIONS_MAX as usize;
/// The maximum number of bytes of all rows together.
const BYTES_MAX: usize = 1 << 30;
/// Between the fields of a row, which have no control characters.
const FIELD_END: char = '\t';
const ROW_END: char = '\n';

/// What was read from a list: each reference once, ascending. It is held in memory: four bytes and its own text for each exclusion.
#[derive(Debug, Default)]
pub struct ExclusionList {
    text: String,
    /// Where each row begins.
    starts: Vec<u32>,
    pub repeated: u64,
    pub wrong: WrongLines<String>,
    /// There are more rows than a list may have.
    pub is_too_large: bool,
}

impl ExclusionList {
    /// Reads a list for this rule, until a stop is requested.
    pub fn read(input: impl Read, rule: &Rule, stop: &CancellationToken) -> Result<Self, RowsError> {
        let proceed = |_bytes| if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
        let mut list = Self::default();
        each_row_of(input, COLUMNS, &proceed, |line, row| {
            let read = row.map_err(|error| error.to_string());
            match read.and_then(|fields| Exclusion::of_row(fields, rule).map_err(|error| error.to_string())) {
                Ok(exclusion) => list.add(&exclusion),
                Err(problem) => list.wrong.add(line, problem),
            }
        })?;
        list.sort();
        Ok(list)
    }

    /// Replaces all exclusions of a rule by those of the list.
    pub async fn replace(
        self,
        context: &Context,
        store: &Store,
        rule: &str,
    ) -> Result<Excluding<ReplacedExclusions>, Failure> {
        let batches = || {
            let exclusions = |starts: &[u32]| starts.iter().map(|start| self.exclusion(*start)).collect();
            self.starts.chunks(EXCLUSIONS_AT_ONCE).map(exclusions)
        };
        context.with_retries(async || store.replace_exclusions(rule, batches()).await).await
    }

    fn add(&mut self, exclusion: &Exclusion) {
        let fields = exclusion.row();
        let length: usize = fields.iter().map(|field| field.len() + 1).sum();
        self.is_too_large |= self.starts.len() == ROWS_MAX || self.text.len() + length > BYTES_MAX;
        if self.is_too_large {
            return;
        }
        self.starts.push(self.text.len() as u32);
        for (field, end) in fields.into_iter().zip([FIELD_END, FIELD_END, FIELD_END, ROW_END]) {
            self.text.push_str(field);
            self.text.push(end);
        }
    }

    /// Puts the rows in order. Of those with the same reference, the first one counts.
    fn sort(&mut self) {
        let (text, rows) = (&self.text, self.starts.len());
        self.starts.sort_by(|a, b| reference(text, *a).cmp(reference(text, *b)));
        self.starts.dedup_by(|later, first| reference(text, *later) == reference(text, *first));
        self.repeated = (rows - self.starts.len()) as u64;
    }

    fn exclusion(&self, start: u32) -> Exclusion {
        let row = self.text[start as usize..].split(ROW_END).next().unwrap_or_default();
        let mut fields = row.split(FIELD_END).map(str::to_owned);
        let reference = fields.next().unwrap_or_default();
        let mut detail = || fields.next().filter(|detail| !detail.is_empty());
        let details = Details { affiliate: detail(), promotion: detail(), note: detail() };
        Exclusion { reference, details }
    }
}

fn reference(text: &str, start: u32) -> &str {
    text[start as usize..].split(FIELD_END).next().unwrap_or_default()
}
