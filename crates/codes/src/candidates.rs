//! The candidates of one chunk, until they are its codes: drawn from its slice or read from an import, compared with the
//! codes that exist, and replaced where they are forbidden or exist.
//!
//! A pure state machine: [`Candidates::need`] returns what it must know of the store, and the caller answers from one
//! snapshot until nothing more is needed. Its steps compute for milliseconds.

use std::sync::Arc;

use crate::allowed_draw::AllowedDraw;
use crate::batch::CodeBatch;
use crate::crowded_slice::CrowdedSlice;
use crate::draw::Draw;
use crate::job::record::Rejections;
use crate::keyspace::Keyspace;
use crate::prefilter::Prefilter;
use crate::rules::Rules;
use crate::screening::Screening;
use crate::slice::Slice;

#[derive(Debug)]
pub struct Candidates {
    /// The source of replacements; `None` for the codes of an import, which cannot be replaced.
    source: Option<AllowedDraw>,
    rejections: Rejections,
    screening: Screening,
    prefilter: Prefilter,
    stage: Stage,
}

/// What must be known of the store before the codes of a chunk are final.
#[derive(Debug)]
pub enum Need<'a> {
    /// Which of these codes exist; the answer is [`Answer::Present`].
    Present(&'a CodeBatch),
    /// Which codes of these ranks exist; the answer is [`Answer::Page`].
    Page { keyspace: &'a Arc<Keyspace>, page: Slice },
    /// Nothing more: [`Candidates::take_codes`] returns the codes.
    Done,
}

#[derive(Debug)]
pub enum Answer {
    /// The codes that exist, ascending.
    Present(Vec<String>),
    /// The existing codes of the page, one per line; codes that are not of the page are ignored.
    Page(String),
}

/// The first candidates of a chunk, without forbidden ones, for which a screening is to be chosen.
#[derive(Debug)]
pub struct FirstCandidates {
    source: Option<AllowedDraw>,
    rejections: Rejections,
    codes: CodeBatch,
}

#[derive(Debug)]
enum Stage {
    /// Compares the codes drawn last with existing codes: `suspects` may exist, or all if it is `None`. A filter's
    /// "maybe" is never final: suspects are looked up.
    Comparing {
        fresh: CodeBatch,
        suspects: Option<CodeBatch>,
    },
    /// Looks up all codes again, because the store reported a duplicate when they were written.
    Rechecking(CodeBatch),
    /// Reads the codes of a crowded slice.
    Reading(CrowdedSlice),
    Done(CodeBatch),
}

/// After a conflict only looking up helps: the filters were as of an older snapshot.
const EXACT: Screening = Screening::LookUpCheaper;

impl FirstCandidates {
    /// Makes the first draw of a chunk. Its codes reuse the memory of `recycled`, a batch that is no longer needed.
    pub fn drawn(keyspace: Arc<Keyspace>, rules: Rules, draw: Draw, recycled: CodeBatch) -> Self {
        let mut rejections = Rejections::default();
        let (source, codes) = AllowedDraw::new(keyspace, rules, draw, recycled, &mut rejections);
        Self { source: Some(source), rejections, codes }
    }

    /// Takes the ascending codes of an import; those that exist will be left out.
    pub fn imported(codes: CodeBatch) -> Self {
        Self { source: None, rejections: Rejections::default(), codes }
    }

    pub fn codes(&self) -> &CodeBatch {
        &self.codes
    }

    /// Begins to compare the candidates with existing codes.
    pub fn screen(self, screening: Screening, prefilter: Prefilter) -> Candidates {
        let Self { source, rejections, codes } = self;
        let mut candidates = Candidates { source, rejections, screening, prefilter, stage: Stage::default() };
        candidates.compare(codes);
        candidates
    }
}

impl Candidates {
    pub fn need(&self) -> Need<'_> {
        match &self.stage {
            Stage::Comparing { fresh, suspects } => Need::Present(suspects.as_ref().unwrap_or(fresh)),
            Stage::Rechecking(written) => Need::Present(written),
            Stage::Reading(slice) => Need::Page { keyspace: slice.keyspace(), page: slice.page() },
            Stage::Done(_) => Need::Done,
        }
    }

    /// Takes the answer to the current need.
    pub fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Present(present) => self.take_present(&present),
            Answer::Page(codes) => self.take_page(&codes),
        }
    }

    /// Looks up `written`, all codes, again, because the store reported that one of them exists by now.
    pub fn recheck(&mut self, written: CodeBatch) {
        self.stage = Stage::Rechecking(written);
    }

    /// Takes all codes out, ascending, when nothing more is needed.
    pub fn take_codes(&mut self) -> CodeBatch {
        match &mut self.stage {
            Stage::Done(codes) => std::mem::take(codes),
            _ => CodeBatch::default(),
        }
    }

    pub fn rejections(&self) -> Rejections {
        self.rejections
    }

    fn take_present(&mut self, present: &[String]) {
        let count = present.len() as u64;
        match std::mem::take(&mut self.stage) {
            Stage::Comparing { fresh, suspects } => {
                self.rejections.false_positives += suspects.map_or(0, |suspects| suspects.len() as u64 - count);
                self.settle(fresh, present);
            }
            Stage::Rechecking(written) => {
                self.rejections.conflicts += count;
                self.replace(&written, present);
            }
            unasked => self.stage = unasked,
        }
    }

    fn take_page(&mut self, codes: &str) {
        let (Stage::Reading(slice), Some(source)) = (&mut self.stage, &mut self.source) else { return };
        slice.take_page(codes, source);
        if slice.is_read() {
            let codes = source.batch(CodeBatch::default());
            self.finish(codes);
        }
    }

    fn compare(&mut self, fresh: CodeBatch) {
        let suspects = self.screening.suspects(&fresh, &self.prefilter);
        let needs_nothing = suspects.as_ref().unwrap_or(&fresh).is_empty();
        self.stage = Stage::Comparing { fresh, suspects };
        if needs_nothing {
            self.take_present(&[]);
        }
    }

    /// Ends the comparison if none of the fresh codes exists; otherwise replaces those that do.
    fn settle(&mut self, fresh: CodeBatch, present: &[String]) {
        match &mut self.source {
            Some(source) if source.needs_reading(&self.rejections, present.len()) => {
                source.reject(present);
                self.stage = Stage::Reading(CrowdedSlice::new(source));
                self.rejections.existing += present.len() as u64;
            }
            _ if !present.is_empty() => {
                self.rejections.existing += present.len() as u64;
                self.replace(&fresh, present);
            }
            Some(source) => {
                let codes = source.batch(fresh);
                self.finish(codes);
            }
            None => self.finish(fresh),
        }
    }

    /// Draws other candidates for those that exist, or leaves these out of an import.
    fn replace(&mut self, codes: &CodeBatch, present: &[String]) {
        match &mut self.source {
            Some(source) => {
                let fresh = source.replace(present, &mut self.rejections);
                self.compare(fresh);
            }
            None => self.finish(codes.without(present)),
        }
    }

    fn finish(&mut self, codes: CodeBatch) {
        // Filters are large and no longer needed.
        (self.screening, self.prefilter) = (EXACT, Prefilter::default());
        self.stage = Stage::Done(codes);
    }
}

impl Default for Stage {
    fn default() -> Self {
        Self::Done(CodeBatch::default())
    }
}

#[cfg(test)]
mod tests;
