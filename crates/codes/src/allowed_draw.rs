//! A draw without forbidden codes: reserved and denied candidates are replaced before anything else is asked of them.

use std::sync::Arc;

use crate::batch::CodeBatch;
use crate::draw::Draw;
use crate::free_ranks::FreeRanks;
use crate::job::record::Rejections;
use crate::keyspace::{Keyspace, Rank};
use crate::rules::{Forbidden, Rules};
use crate::screening::Attempts;
use crate::slice::Slice;

/// Forbidden draws after which drawing stops: a slice with almost no allowed code would be searched without end.
const FORBIDDEN_MAX: u128 = 1 << 20;

#[derive(Debug)]
pub(crate) struct AllowedDraw {
    pub keyspace: Arc<Keyspace>,
    rules: Rules,
    pub draw: Draw,
    /// Number of allowed candidates drawn so far, used to estimate how crowded the slice is.
    tried: u64,
}

impl AllowedDraw {
    /// Returns the draw, and the codes of its allowed candidates.
    pub fn new(
        keyspace: Arc<Keyspace>,
        rules: Rules,
        draw: Draw,
        recycled: CodeBatch,
        rejections: &mut Rejections,
    ) -> (Self, CodeBatch) {
        let first = draw.ranks().to_vec();
        let mut source = Self { keyspace, rules, draw, tried: 0 };
        let codes = source.allow(first, recycled, rejections);
        (source, codes)
    }

    /// Rejects candidates that exist (ascending) without drawing others.
    pub fn reject(&mut self, present: &[String]) {
        let ranks = self.ranks_of(present);
        self.draw.reject(&ranks);
    }

    /// Replaces candidates that exist (ascending), and returns the codes of the replacements.
    pub fn replace(&mut self, present: &[String], rejections: &mut Rejections) -> CodeBatch {
        let ranks = self.ranks_of(present);
        let drawn = self.draw.replace(&ranks);
        self.allow(drawn, CodeBatch::default(), rejections)
    }

    /// Returns all codes, ascending. `fresh` holds the codes drawn last: all of them, if none was replaced.
    pub fn batch(&self, fresh: CodeBatch) -> CodeBatch {
        let ranks = self.draw.ranks();
        if fresh.len() == ranks.len() { fresh } else { self.keyspace.batch_into(fresh, ranks) }
    }

    /// Returns true if the slice should be read instead of drawing on; `present` of the current candidates exist.
    pub fn needs_reading(&self, rejections: &Rejections, present: usize) -> bool {
        match present {
            // A slice too long to be read commits what it has; the missing codes go to a further round.
            0 => self.is_in_vain(rejections) && self.draw.missing() > 0 && self.can_be_read(),
            _ => {
                let (present, slice_length) = (present as u64, self.draw.slice().length);
                let all_present = rejections.existing + rejections.conflicts + present;
                Attempts { tried: self.tried, present: all_present, missing: present, slice_length }.show_a_crowd()
            }
        }
    }

    /// Returns true if drawing should stop because too much is forbidden. A slice short enough to be read is scanned
    /// instead; for each of its ranks that costs about a sixty-fourth of a draw.
    fn is_in_vain(&self, rejections: &Rejections) -> bool {
        let forbidden = u128::from(rejections.forbidden());
        if self.can_be_read() { forbidden > 1000 + self.draw.slice().length / 64 } else { forbidden > FORBIDDEN_MAX }
    }

    /// Returns true if the free ranks of the whole slice fit in memory.
    fn can_be_read(&self) -> bool {
        self.draw.slice().length <= FreeRanks::RANKS_MAX
    }

    /// Marks the ranks of these codes as taken, one code per line, and the forbidden ranks of the page.
    pub fn take_page(&self, codes: &str, page: Slice, free: &mut FreeRanks) {
        codes.lines().filter_map(|code| self.keyspace.rank(code)).for_each(|rank| free.take(rank));
        if !self.rules.is_empty() {
            let ranks: Vec<Rank> = (page.start..page.start + page.length).collect();
            let forbidden = self.rules.forbidden_of(&self.keyspace.batch(&ranks));
            forbidden.iter().for_each(|&(index, _)| free.take(ranks[index]));
        }
    }

    /// Replaces forbidden ranks until none is left, or drawing is in vain. Returns the allowed codes, ascending.
    fn allow(&mut self, mut drawn: Vec<Rank>, mut recycled: CodeBatch, rejections: &mut Rejections) -> CodeBatch {
        let mut allowed = Vec::new();
        loop {
            let codes = self.keyspace.batch_into(recycled, &drawn);
            let forbidden = self.rules.forbidden_of(&codes);
            if forbidden.is_empty() && allowed.is_empty() {
                self.tried += drawn.len() as u64;
                return codes;
            }
            forbidden.iter().for_each(|&(_, why)| count(why, rejections));
            let ranks: Vec<Rank> = forbidden.iter().map(|&(index, _)| drawn[index]).collect();
            allowed.extend(drawn.iter().filter(|rank| ranks.binary_search(rank).is_err()));
            drawn = if self.is_in_vain(rejections) {
                self.draw.reject(&ranks);
                Vec::new()
            } else {
                self.draw.replace(&ranks)
            };
            recycled = codes;
            if drawn.is_empty() {
                allowed.sort_unstable();
                self.tried += allowed.len() as u64;
                return self.keyspace.batch_into(recycled, &allowed);
            }
        }
    }

    fn ranks_of(&self, codes: &[String]) -> Vec<Rank> {
        codes.iter().filter_map(|code| self.keyspace.rank(code)).collect()
    }
}

fn count(why: Forbidden, rejections: &mut Rejections) {
    match why {
        Forbidden::Reserved => rejections.reserved += 1,
        Forbidden::Denied => rejections.denied += 1,
    }
}
