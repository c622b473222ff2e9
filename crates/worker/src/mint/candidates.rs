//! The candidates of one chunk: drawn from its slice, freed from what is forbidden, replaced where they exist.
//!
//! Synchronous: it runs on a blocking thread, between the questions that `screen` asks of the store.

use std::sync::Arc;

use codemint_codes::batch::CodeBatch;
use codemint_codes::free_ranks::FreeRanks;
use codemint_codes::job::Rejections;
use codemint_codes::keyspace::{Keyspace, Rank};
use codemint_codes::rules::{Forbidden, Rules};
use codemint_codes::screening::Attempts;
use codemint_codes::slice::Draw;

/// Draws in vain before drawing is given up: a slice in which next to nothing is allowed would be searched without end.
const FORBIDDEN_MAX: u128 = 1 << 20;

#[derive(Debug)]
pub struct Candidates {
    pub keyspace: Arc<Keyspace>,
    pub rules: Arc<Rules>,
    pub draw: Draw,
    pub rejections: Rejections,
    /// How many were looked at, for an estimate of how crowded the slice is.
    tried: u64,
}

/// Ranks that were just drawn and are allowed, ascending, and their codes: to be compared with what exists.
#[derive(Debug)]
pub struct Fresh {
    pub ranks: Vec<Rank>,
    pub codes: CodeBatch,
}

impl Fresh {
    pub fn none() -> Self {
        Self { ranks: Vec::new(), codes: CodeBatch::default() }
    }
}

impl Candidates {
    /// The first draw of a chunk. Its codes come to be in the memory of a batch that is no longer needed.
    pub fn new(keyspace: Arc<Keyspace>, rules: Rules, draw: Draw, recycled: CodeBatch) -> (Self, Fresh) {
        let first = draw.ranks().to_vec();
        let mut candidates =
            Self { keyspace, rules: Arc::new(rules), draw, rejections: Rejections::default(), tried: 0 };
        let fresh = candidates.allowed(first, recycled);
        (candidates, fresh)
    }

    /// All codes, ascending. `fresh` are those that came last; where none was replaced these are all.
    pub fn batch(&self, fresh: Fresh) -> CodeBatch {
        let ranks = self.draw.ranks();
        if fresh.codes.len() == ranks.len() { fresh.codes } else { self.keyspace.batch_into(fresh.codes, ranks) }
    }

    /// Replaces candidates that exist already, ascending; returns those that took their places.
    pub fn replace_present(&mut self, present: &[Rank]) -> Fresh {
        self.rejections.existing += present.len() as u64;
        let drawn = self.draw.replace(present);
        self.allowed(drawn, CodeBatch::default())
    }

    /// As [`Self::replace_present`], for candidates that were found to exist when they were written.
    pub fn replace_conflicting(&mut self, present: &[Rank]) -> Fresh {
        self.rejections.conflicts += present.len() as u64;
        let drawn = self.draw.replace(present);
        self.allowed(drawn, CodeBatch::default())
    }

    /// Gives candidates back that exist already, ascending, without drawing others.
    pub fn reject_present(&mut self, present: &[Rank]) {
        self.rejections.existing += present.len() as u64;
        self.draw.reject(present);
    }

    /// Fills up from ranks that are known to be free and allowed.
    pub fn draw_from(&mut self, free: FreeRanks, wanted: usize) {
        self.draw.draw_from(free, wanted);
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

    /// True if drawing is given up, because so much is forbidden. A slice that can be read is looked through instead, at
    /// about a sixty-fourth of what a draw costs for each of its ranks.
    pub fn is_in_vain(&self) -> bool {
        let length = self.draw.slice().length;
        let forbidden = u128::from(self.rejections.forbidden());
        if length <= FreeRanks::RANKS_MAX { forbidden > 1000 + length / 64 } else { forbidden > FORBIDDEN_MAX }
    }

    /// Replaces what the rules forbid until nothing drawn is forbidden.
    fn allowed(&mut self, mut drawn: Vec<Rank>, mut recycled: CodeBatch) -> Fresh {
        let mut allowed = Vec::new();
        loop {
            let codes = self.keyspace.batch_into(recycled, &drawn);
            let forbidden = self.rules.forbidden_of(&codes);
            if forbidden.is_empty() && allowed.is_empty() {
                self.tried += drawn.len() as u64;
                return Fresh { ranks: drawn, codes };
            }
            let ranks: Vec<Rank> = forbidden.iter().map(|&(index, _)| drawn[index]).collect();
            forbidden.iter().for_each(|&(_, why)| self.count(why));
            allowed.extend(drawn.iter().filter(|rank| ranks.binary_search(rank).is_err()));
            drawn = if self.is_in_vain() {
                self.draw.reject(&ranks);
                Vec::new()
            } else {
                self.draw.replace(&ranks)
            };
            recycled = codes;
            if drawn.is_empty() {
                allowed.sort_unstable();
                self.tried += allowed.len() as u64;
                let codes = self.keyspace.batch_into(recycled, &allowed);
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
