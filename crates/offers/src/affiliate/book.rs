//! All rules and exclusions in memory, and what they say about a reference. The time that an answer takes depends on the length of
//! the reference only, however many affiliates, rules and exclusions there are.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use codemint_codes::symbols::SymbolSet;

use crate::affiliate::excluded::Excluded;
use crate::affiliate::rule::{RULES_MAX, Rule};

/// The words of a set of rules.
const WORDS: usize = RULES_MAX.div_ceil(u64::BITS as usize);
/// ASCII, of which masks consist.
const BYTES: usize = 128;

/// The rules and exclusions of a version of the store.
#[derive(Clone, Debug, Default)]
pub struct RuleBook {
    /// Those with the highest priority first, then in the order of their names.
    entries: Vec<Entry>,
    by_length: HashMap<usize, Table>,
    /// The lengths of the prefixes, longest first.
    prefix_lengths: Vec<usize>,
}

#[derive(Clone, Debug)]
struct Entry {
    rule: Rule,
    excluded: Arc<Excluded>,
}

/// The rules whose masks have the same length.
#[derive(Clone, Debug, Default)]
struct Table {
    /// Their positions among all entries, ascending.
    entries: Vec<usize>,
    /// Which rules accept a byte at a position, as one bit for each of `entries`; those of a position are [`BYTES`] apart.
    accepting: Vec<[u64; WORDS]>,
}

/// What a reference becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved<'a> {
    /// A rule applies: the reference with its prefix.
    Offered { reference: String, rule: &'a Rule },
    /// The reference stays as it is.
    Unchanged(Reason),
}

/// Why a reference gets no offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No rule concerns it.
    NoRule,
    /// All rules that concern it are switched off, or none of their periods includes the time.
    NotActive,
    /// The rule that would apply has an exclusion of it.
    Excluded,
}

impl Reason {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoRule => "no-rule",
            Self::NotActive => "not-active",
            Self::Excluded => "excluded",
        }
    }
}

/// Returns the form in which references are compared: without blanks around them, in upper case, as masks are.
pub fn normalized(reference: &str) -> String {
    reference.trim().to_ascii_uppercase()
}

impl RuleBook {
    /// Returns a book of rules, each with its excluded references, normalized. Rules beyond [`RULES_MAX`] are left out; the store
    /// refuses them.
    pub fn new(rules: impl IntoIterator<Item = (Rule, Arc<Excluded>)>) -> Self {
        let rules = rules.into_iter().take(RULES_MAX);
        let mut entries: Vec<Entry> = rules.map(|(rule, excluded)| Entry { rule, excluded }).collect();
        entries.sort_by(|a, b| b.rule.priority.cmp(&a.rule.priority).then_with(|| a.rule.name.cmp(&b.rule.name)));
        let mut by_length: HashMap<usize, Table> = HashMap::new();
        for (at, entry) in entries.iter().enumerate() {
            let positions = entry.rule.mask.positions();
            by_length.entry(positions.len()).or_default().add(at, positions);
        }
        let lengths: BTreeSet<usize> =
            entries.iter().map(|entry| entry.rule.prefix.len()).filter(|&length| length > 0).collect();
        Self { entries, by_length, prefix_lengths: lengths.into_iter().rev().collect() }
    }

    /// Returns what a reference becomes at this time. One that has the prefix of its rule already keeps it, so that resolving again
    /// changes nothing.
    pub fn resolve(&self, reference: &str, now: DateTime<Utc>) -> Resolved<'_> {
        let reference = normalized(reference);
        let mut reason = Reason::NoRule;
        let with_prefix = self.prefix_lengths.iter().filter_map(|&length| reference.split_at_checked(length));
        for (prefix, bare) in with_prefix.chain([("", &*reference)]) {
            for entry in self.concerning(bare).filter(|entry| prefix.is_empty() || entry.rule.prefix == prefix) {
                if !entry.rule.applies_at(now) {
                    if reason == Reason::NoRule {
                        reason = Reason::NotActive;
                    }
                } else if entry.excluded.contains(bare) {
                    return Resolved::Unchanged(Reason::Excluded);
                } else {
                    return Resolved::Offered { reference: format!("{}{bare}", entry.rule.prefix), rule: &entry.rule };
                }
            }
        }
        Resolved::Unchanged(reason)
    }

    /// Returns the number of rules.
    pub fn rules(&self) -> usize {
        self.entries.len()
    }

    /// Returns the number of exclusions of all rules.
    pub fn exclusions(&self) -> usize {
        self.entries.iter().map(|entry| entry.excluded.len()).sum()
    }

    /// Returns the rules whose masks describe the text, those with the highest priority first.
    fn concerning(&self, text: &str) -> impl Iterator<Item = &Entry> {
        let table = self.by_length.get(&text.len());
        table.into_iter().flat_map(|table| table.matching(text.as_bytes())).filter_map(|at| self.entries.get(at))
    }
}

impl Table {
    fn add(&mut self, entry: usize, positions: &[SymbolSet]) {
        self.accepting.resize(positions.len() * BYTES, [0; WORDS]);
        let (word, bit) = (self.entries.len() / 64, self.entries.len() % 64);
        for (position, symbols) in positions.iter().enumerate() {
            for byte in symbols.iter() {
                if let Some(accepting) = self.accepting.get_mut(position * BYTES + usize::from(byte)) {
                    accepting[word] |= 1 << bit;
                }
            }
        }
        self.entries.push(entry);
    }

    /// Returns the positions of the rules that accept every byte of a text of their length.
    fn matching(&self, text: &[u8]) -> impl Iterator<Item = usize> {
        let mut left = [u64::MAX; WORDS];
        let used = self.entries.len().div_ceil(64);
        for (position, byte) in text.iter().enumerate() {
            let index = if byte.is_ascii() { Some(position * BYTES + usize::from(*byte)) } else { None };
            match index.and_then(|index| self.accepting.get(index)) {
                Some(accepting) => {
                    left[..used].iter_mut().zip(accepting).for_each(|(left, accepting)| *left &= accepting)
                }
                None => left = [0; WORDS],
            }
        }
        (0..self.entries.len())
            .step_by(64)
            .zip(left)
            .flat_map(move |(first, word)| bits(word).map(move |bit| first + bit))
            .filter_map(|no| self.entries.get(no).copied())
    }
}

/// Returns the numbers of the bits that are set, ascending.
fn bits(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(bit)
    })
}
