//! The excluded references of a rule in memory: one text and the places where they begin, a fifth of what a set of strings takes.

use std::collections::BTreeMap;

/// References in ascending order, each once.
#[derive(Clone, Debug, Default)]
pub struct Excluded {
    text: String,
    /// Where each reference begins in the text.
    starts: Vec<u32>,
}

impl Excluded {
    /// Adds a reference, normalized. Returns false, and adds nothing, unless it comes after all others.
    #[must_use]
    pub fn push(&mut self, reference: &str) -> bool {
        let comes_last = self.len().checked_sub(1).is_none_or(|last| self.get(last) < reference);
        match u32::try_from(self.text.len()) {
            Ok(start) if comes_last => {
                self.text.push_str(reference);
                self.starts.push(start);
                true
            }
            _ => false,
        }
    }

    /// Returns the same references with these changes, of which each reference has one: true adds it, false removes it.
    pub fn changed(&self, changes: &BTreeMap<String, bool>) -> Self {
        let mut changed = Self {
            text: String::with_capacity(self.text.len() + changes.keys().map(String::len).sum::<usize>()),
            starts: Vec::with_capacity(self.len() + changes.len()),
        };
        let mut added =
            changes.iter().filter(|(_, is_added)| **is_added).map(|(reference, _)| reference.as_str()).peekable();
        for reference in (0..self.len()).map(|place| self.get(place)) {
            while let Some(before) = added.next_if(|added| *added <= reference) {
                let _added = changed.push(before);
            }
            if changes.get(reference).is_none() {
                let _kept = changed.push(reference);
            }
        }
        for after in added {
            let _added = changed.push(after);
        }
        changed
    }

    /// Gives back the memory that further references would have taken.
    pub fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.starts.shrink_to_fit();
    }

    pub fn contains(&self, reference: &str) -> bool {
        let (mut from, mut to) = (0, self.len());
        while from < to {
            let middle = usize::midpoint(from, to);
            match self.get(middle).cmp(reference) {
                std::cmp::Ordering::Less => from = middle + 1,
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Greater => to = middle,
            }
        }
        false
    }

    pub fn len(&self) -> usize {
        self.starts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Returns the bytes that it has allocated.
    pub fn bytes(&self) -> usize {
        self.text.capacity() + self.starts.capacity() * size_of::<u32>()
    }

    fn get(&self, place: usize) -> &str {
        let at = |place: usize| self.starts.get(place).map_or(self.text.len(), |start| *start as usize);
        self.text.get(at(place)..at(place + 1)).unwrap_or_default()
    }
}

/// The references may be in any order, and repeated.
impl From<Vec<String>> for Excluded {
    fn from(mut references: Vec<String>) -> Self {
        references.sort_unstable();
        let mut excluded = Self::default();
        for reference in references {
            // A repeated one counts once.
            let _added = excluded.push(&reference);
        }
        excluded.shrink();
        excluded
    }
}
