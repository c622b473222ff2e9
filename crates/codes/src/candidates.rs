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
use crate::job::Rejections;
use crate::keyspace::Keyspace;
use crate::prefilter::Prefilter;
use crate::rules::Rules;
use crate::screening::{LookUpReason, Screening};
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
    /// Which of these codes exist; answered with [`Candidates::answer_present`].
    Present(&'a CodeBatch),
    /// Which codes of these ranks exist; answered with [`Candidates::answer_page`].
    Page(Slice),
    /// Nothing more: [`Candidates::take_codes`] returns the codes.
    Done,
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
const EXACT: Screening = Screening::LookUp(LookUpReason::Cheaper);

impl Candidates {
    /// Makes the first draw of a chunk. Its codes reuse the memory of `recycled`, a batch that is no longer needed.
    pub fn drawn(keyspace: Arc<Keyspace>, rules: Rules, draw: Draw, recycled: CodeBatch) -> Self {
        let mut rejections = Rejections::default();
        let (source, fresh) = AllowedDraw::new(keyspace, rules, draw, recycled, &mut rejections);
        Self { source: Some(source), rejections, ..Self::imported(fresh) }
    }

    /// Takes the ascending codes of an import; those that exist are left out.
    pub fn imported(codes: CodeBatch) -> Self {
        let stage = Stage::Comparing { fresh: codes, suspects: None };
        Self {
            source: None,
            rejections: Rejections::default(),
            screening: EXACT,
            prefilter: Prefilter::default(),
            stage,
        }
    }

    /// Returns the codes that are to be compared next, or all codes at the end.
    pub fn codes(&self) -> Option<&CodeBatch> {
        match &self.stage {
            Stage::Comparing { fresh: codes, .. } | Stage::Rechecking(codes) | Stage::Done(codes) => Some(codes),
            Stage::Reading(_) => None,
        }
    }

    /// Sets how candidates are compared with existing codes; the default is to look up each of them.
    pub fn screen(&mut self, screening: Screening, prefilter: Prefilter) {
        (self.screening, self.prefilter) = (screening, prefilter);
        if let Stage::Comparing { fresh, .. } = &mut self.stage {
            let fresh = std::mem::take(fresh);
            self.compare(fresh);
        }
    }

    pub fn need(&self) -> Need<'_> {
        match &self.stage {
            Stage::Comparing { fresh, suspects } => Need::Present(suspects.as_ref().unwrap_or(fresh)),
            Stage::Rechecking(written) => Need::Present(written),
            Stage::Reading(slice) => Need::Page(slice.page()),
            Stage::Done(_) => Need::Done,
        }
    }

    /// Takes those of the codes of [`Need::Present`] that exist, ascending.
    pub fn answer_present(&mut self, present: &[String]) {
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

    /// Takes the existing codes of the ranks of [`Need::Page`], one per line, in any order; other codes are ignored.
    pub fn answer_page(&mut self, codes: &str) {
        let (Stage::Reading(slice), Some(source)) = (&mut self.stage, &mut self.source) else { return };
        slice.take_page(codes, source);
        if slice.is_read() {
            let codes = source.batch(CodeBatch::default());
            self.finish(codes);
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

    fn compare(&mut self, fresh: CodeBatch) {
        let suspects = self.screening.suspects(&fresh, &self.prefilter);
        let needs_nothing = suspects.as_ref().unwrap_or(&fresh).is_empty();
        self.stage = Stage::Comparing { fresh, suspects };
        if needs_nothing {
            self.answer_present(&[]);
        }
    }

    /// Ends the comparison if none of the fresh codes exists; otherwise replaces those that do.
    fn settle(&mut self, fresh: CodeBatch, present: &[String]) {
        match &mut self.source {
            Some(source) if source.needs_reading(&self.rejections, present.len()) => {
                source.reject(present);
                self.stage = Stage::Reading(CrowdedSlice::new(&source.draw));
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
