//! The candidates of one chunk: drawn from its slice, freed from what is forbidden, replaced where they exist.
//!
//! Synchronous: it runs on a blocking thread, between the questions that `screen` asks of the store.

use std::sync::Arc;

use crate::code::batch::CodeBatch;
use crate::code::free_ranks::FreeRanks;
use crate::code::keyspace::{Keyspace, Rank};
use crate::code::rules::{Forbidden, Rules};
use crate::code::screening::Attempts;
use crate::code::slice::Draw;
use crate::job::Rejections;

/// Draws in vain before a chunk is content with what it has: a slice in which next to nothing is allowed would be searched
/// without end. What is missing goes to a further round.
const FORBIDDEN_MAX: usize = 1 << 20;

#[derive(Debug)]
pub(crate) struct Candidates {
    pub keyspace: Arc<Keyspace>,
    rules: Rules,
    pub draw: Draw,
    pub rejections: Rejections,
    /// How many were looked at, for an estimate of how crowded the slice is.
    tried: u64,
}

/// Ranks that were just drawn and are allowed, ascending, and their codes: to be compared with what exists.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub ranks: Vec<Rank>,
    pub codes: CodeBatch,
}

impl Fresh {
    pub fn none() -> Self {
        Self { ranks: Vec::new(), codes: CodeBatch::default() }
    }
}

impl Candidates {
    /// The first draw of a chunk.
    pub fn new(keyspace: Arc<Keyspace>, rules: Rules, draw: Draw) -> (Self, Fresh) {
        let first = draw.ranks().to_vec();
        let mut candidates = Self { keyspace, rules, draw, rejections: Rejections::default(), tried: 0 };
        let fresh = candidates.allowed(first);
        (candidates, fresh)
    }

    /// Replaces candidates that exist already, ascending; returns those that took their places.
    pub fn replace_present(&mut self, present: &[Rank]) -> Fresh {
        self.rejections.existing += present.len() as u64;
        let drawn = self.draw.replace(present);
        self.allowed(drawn)
    }

    /// As [`Self::replace_present`], for candidates that were found to exist when they were written.
    pub fn replace_conflicting(&mut self, present: &[Rank]) -> Fresh {
        self.rejections.conflicts += present.len() as u64;
        let drawn = self.draw.replace(present);
        self.allowed(drawn)
    }

    /// Gives candidates back that exist already, ascending, without drawing others.
    pub fn reject_present(&mut self, present: &[Rank]) {
        self.rejections.existing += present.len() as u64;
        self.draw.reject(present);
    }

    /// Fills up from ranks that are known to be free.
    pub fn draw_from(&mut self, free: FreeRanks, wanted: usize) {
        let drawn = self.draw.draw_from(free, wanted);
        self.allowed(drawn);
    }

    /// What was tried so far; `missing` are the candidates at hand that exist.
    pub fn attempts(&self, present: usize) -> Attempts {
        Attempts {
            tried: self.tried,
            present: self.rejections.existing + self.rejections.conflicts + present as u64,
            missing: present as u64,
            slice_length: self.draw.slice().length,
        }
    }

    /// Replaces what the rules forbid until nothing drawn is forbidden.
    fn allowed(&mut self, mut drawn: Vec<Rank>) -> Fresh {
        let mut allowed = Vec::new();
        loop {
            let codes = self.keyspace.batch(&drawn);
            let forbidden = self.rules.forbidden_of(&codes);
            if forbidden.is_empty() && allowed.is_empty() {
                self.tried += drawn.len() as u64;
                return Fresh { ranks: drawn, codes };
            }
            let ranks: Vec<Rank> = forbidden.iter().map(|&(index, _)| drawn[index]).collect();
            forbidden.iter().for_each(|&(_, why)| self.count(why));
            allowed.extend(drawn.iter().filter(|rank| ranks.binary_search(rank).is_err()));
            drawn = self.draw.replace(&ranks);
            if self.rejections.forbidden() > FORBIDDEN_MAX as u64 {
                self.draw.reject(&drawn);
                drawn.clear();
            }
            if drawn.is_empty() {
                allowed.sort_unstable();
                self.tried += allowed.len() as u64;
                let codes = self.keyspace.batch(&allowed);
                return Fresh { ranks: allowed, codes };
            }
        }
    }

    fn count(&mut self, why: Forbidden) {
        match why {
            Forbidden::Reserved => self.rejections.reserved += 1,
            Forbidden::Denied => self.rejections.denied += 1,
        }
    }
}
