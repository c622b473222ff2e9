//! Finds denied words in the symbols read from a code, and counts the texts without any. Called only by `denied`.

use std::collections::{HashMap, HashSet};

use aho_corasick::automaton::{Automaton, StateID};
use aho_corasick::dfa::DFA;
use aho_corasick::nfa::contiguous::NFA;
use aho_corasick::{Anchored, BuildError, MatchError, StartKind};

/// The symbol that is read for 1 and !, which may stand for I or for L.
pub(crate) const ONE: u8 = b'1';
/// The number of different symbols that are read: A to Z and [`ONE`].
pub(crate) const CLASSES: usize = 27;

/// The most symbols of forms, and thus nodes, for which a table of all transitions is made: 128 bytes each, so 32 MiB.
const TABLE_NODES_MAX: usize = 1 << 18;

/// Returns the number of a symbol that is read, below [`CLASSES`].
pub(crate) fn class_of(symbol: u8) -> usize {
    if symbol == ONE { CLASSES - 1 } else { usize::from(symbol - b'A') }
}

#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum AutomatonError {
    #[error(transparent)]
    Build(#[from] BuildError),
    #[error(transparent)]
    Start(#[from] MatchError),
}

/// One Aho-Corasick automaton for all forms of all words.
pub(crate) struct WordAutomaton {
    transitions: Transitions,
    start: StateID,
    /// The nodes, root first, then by depth, so that a node comes after the node that it fails to.
    nodes: Vec<Node>,
    node_of: HashMap<StateID, u32>,
    longest: u8,
}

/// The same automaton, fast or small.
enum Transitions {
    Table(DFA),
    Links(NFA),
}

/// A node of the automaton: the longest suffix of the text so far that begins a form.
#[derive(Clone, Copy)]
struct Node {
    parent: u32,
    /// The node of the longest proper suffix that begins a form.
    fail: u32,
    depth: u8,
    /// The class of the last symbol.
    class: u8,
    /// The length of the longest form that ends here, 0 if none does.
    match_length: u8,
}

/// One symbol to read at `position`. A form that ends there counts only if it is longer than `reach`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub position: usize,
    pub reach: u8,
}

impl WordAutomaton {
    /// Builds the automaton. `forms` are not empty, at most 64 symbols long, and few enough for the available memory.
    pub fn new(forms: &[Vec<u8>]) -> Result<Self, AutomatonError> {
        let symbols = forms.iter().map(Vec::len).sum::<usize>();
        let transitions = if symbols <= TABLE_NODES_MAX {
            Transitions::Table(DFA::builder().start_kind(StartKind::Unanchored).prefilter(false).build(forms)?)
        } else {
            Transitions::Links(NFA::builder().prefilter(false).build(forms)?)
        };
        let longest = forms.iter().map(Vec::len).max().unwrap_or(0) as u8;
        let (start, (nodes, node_of)) = match &transitions {
            Transitions::Table(table) => (table.start_state(Anchored::No)?, nodes(table, forms)?),
            Transitions::Links(links) => (links.start_state(Anchored::No)?, nodes(links, forms)?),
        };
        Ok(Self { transitions, start, nodes, node_of, longest })
    }

    /// Returns the number of symbols of the longest form.
    pub fn longest(&self) -> u8 {
        self.longest
    }

    /// Returns the state after these symbols.
    pub fn state_after(&self, symbols: &[u8]) -> StateID {
        let step = |state, &symbol: &u8| match &self.transitions {
            Transitions::Table(table) => table.next_state(Anchored::No, state, symbol),
            Transitions::Links(links) => links.next_state(Anchored::No, state, symbol),
        };
        symbols.iter().fold(self.start, step)
    }

    /// Returns true if a form that counts ends at one of these steps. `read` turns a byte into a symbol, or 0 for none.
    pub fn finds(&self, state: StateID, steps: &[Step], code: &[u8], read: &[u8; 256]) -> bool {
        match &self.transitions {
            Transitions::Table(table) => finds(table, state, steps, code, read),
            Transitions::Links(links) => finds(links, state, steps, code, read),
        }
    }

    /// Starts a count of every text once, from the state before the first symbol is read.
    pub fn counts(&self, state: StateID) -> Counts<'_> {
        let mut ended_at = vec![0; self.nodes.len()];
        let node = self.node_of.get(&state).copied().unwrap_or_default();
        ended_at[node as usize] = 1;
        Counts { nodes: &self.nodes, ended_at, with_suffix: Vec::new(), entered: Vec::new() }
    }
}

fn finds(automaton: &impl Automaton, mut state: StateID, steps: &[Step], code: &[u8], read: &[u8; 256]) -> bool {
    for step in steps {
        let symbol = read[usize::from(code[step.position])];
        if symbol == 0 {
            continue;
        }
        state = automaton.next_state(Anchored::No, state, symbol);
        if automaton.is_special(state)
            && automaton.is_match(state)
            && (step.reach == 0 || match_length(automaton, state) > step.reach)
        {
            return true;
        }
    }
    false
}

fn match_length(automaton: &impl Automaton, state: StateID) -> u8 {
    if !automaton.is_match(state) {
        return 0;
    }
    let lengths = (0..automaton.match_len(state)).map(|at| automaton.pattern_len(automaton.match_pattern(state, at)));
    lengths.max().unwrap_or(0) as u8
}

/// Rebuilds the failure links, which the library hides: a form's prefix fails to the state of that prefix without its
/// first symbol.
fn nodes(automaton: &impl Automaton, forms: &[Vec<u8>]) -> Result<(Vec<Node>, HashMap<StateID, u32>), AutomatonError> {
    let start = automaton.start_state(Anchored::No)?;
    let mut found: Vec<(StateID, StateID, StateID, Node)> = Vec::new();
    let mut seen = HashSet::new();
    for form in forms {
        let (mut state, mut suffix) = (start, start);
        for (at, &symbol) in form.iter().enumerate() {
            let parent = state;
            state = automaton.next_state(Anchored::No, state, symbol);
            if at > 0 {
                suffix = automaton.next_state(Anchored::No, suffix, symbol);
            }
            if seen.insert(state) {
                let (depth, class) = (at as u8 + 1, class_of(symbol) as u8);
                let node = Node { parent: 0, fail: 0, depth, class, match_length: match_length(automaton, state) };
                found.push((state, parent, suffix, node));
            }
        }
    }
    found.sort_by_key(|(_, _, _, node)| node.depth);
    let mut node_of: HashMap<StateID, u32> = (1..).zip(&found).map(|(at, (state, ..))| (*state, at)).collect();
    node_of.insert(start, 0);
    let root = Node { parent: 0, fail: 0, depth: 0, class: 0, match_length: 0 };
    let linked = found.into_iter().map(|(_, parent, suffix, node)| Node {
        parent: node_of[&parent],
        fail: node_of[&suffix],
        ..node
    });
    let nodes = std::iter::once(root).chain(linked).collect();
    Ok((nodes, node_of))
}

/// The number of texts that end at each node. A text is dropped as soon as it contains a form that counts.
pub(crate) struct Counts<'a> {
    nodes: &'a [Node],
    ended_at: Vec<u128>,
    /// The number of texts that have the node's text as a suffix.
    with_suffix: Vec<u128>,
    /// The number of texts that reach the node by reading a symbol in the current step.
    entered: Vec<u128>,
}

impl Counts<'_> {
    /// Extends every text by each of some symbols: `times[class]` symbols of a class, and `skipped` that are not read.
    /// Takes time linear in the number of nodes.
    pub fn step(&mut self, times: &[u32; CLASSES], skipped: u32, reach: u8) {
        self.sum_up_suffixes();
        self.enter_nodes(times);
        for ((ended, entered), node) in self.ended_at.iter_mut().zip(&self.entered).zip(self.nodes) {
            let is_denied = node.match_length > reach;
            *ended = *ended * u128::from(skipped) + if is_denied { 0 } else { *entered };
        }
    }

    /// Counts for each node the texts that end with its text: those that end there or at a node that fails to it.
    fn sum_up_suffixes(&mut self) {
        self.with_suffix.clone_from(&self.ended_at);
        for (at, node) in self.nodes.iter().enumerate().skip(1).rev() {
            self.with_suffix[node.fail as usize] += self.with_suffix[at];
        }
    }

    /// Counts the texts that enter each node with the next symbol. A node is entered from all texts that have its parent's
    /// text as a suffix, except those with a longer suffix that the symbol extends too; these enter a node that fails to
    /// it. The root is entered by every class.
    fn enter_nodes(&mut self, times: &[u32; CLASSES]) {
        let extendable = |node: &Node| self.with_suffix[node.parent as usize];
        self.entered.clear();
        self.entered.extend(self.nodes.iter().map(extendable));
        let mut root_entered = [self.with_suffix[0]; CLASSES];
        // From the last node on: the nodes that fail to a node come after it, so its own texts are then final.
        for (at, node) in self.nodes.iter().enumerate().skip(1).rev() {
            let class = usize::from(node.class);
            let shorter = if node.fail == 0 { &mut root_entered[class] } else { &mut self.entered[node.fail as usize] };
            *shorter -= extendable(node);
            self.entered[at] *= u128::from(times[class]);
        }
        self.entered[0] = root_entered.iter().zip(times).map(|(texts, &times)| texts * u128::from(times)).sum();
    }

    /// Returns the number of texts that are left.
    pub fn total(&self) -> u128 {
        self.ended_at.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{AutomatonError, CLASSES, Step, WordAutomaton, class_of};

    const ALPHABET: &[u8; 4] = b"ABC-";

    fn all_texts(length: u32) -> impl Iterator<Item = Vec<u8>> {
        let symbol = |text: u32, at| ALPHABET[(text / 4_u32.pow(at) % 4) as usize];
        (0..4_u32.pow(length)).map(move |text| (0..length).map(|at| symbol(text, at)).collect())
    }

    /// Counting takes a step per position instead of a search per text, and must find the same number.
    #[test]
    fn as_many_texts_are_counted_as_a_search_of_each_leaves() -> Result<(), AutomatonError> {
        let mut read = [0; 256];
        b"ABC".iter().for_each(|&letter| read[usize::from(letter)] = letter);
        let mut times = [0; CLASSES];
        b"ABC".iter().for_each(|&letter| times[class_of(letter)] = 1);
        for forms in [vec!["AA"], vec!["AB", "BC", "CAC"], vec!["ABAB", "BA"], vec!["ABCABC"]] {
            let forms: Vec<Vec<u8>> = forms.iter().map(|form| form.as_bytes().to_vec()).collect();
            let automaton = WordAutomaton::new(&forms)?;
            for reach in 0..3 {
                let start = automaton.state_after(b"B");
                let steps: Vec<Step> = (0..6).map(|position| Step { position, reach }).collect();
                let left = all_texts(6).filter(|text| !automaton.finds(start, &steps, text, &read)).count();
                let mut counts = automaton.counts(start);
                steps.iter().for_each(|step| counts.step(&times, 1, step.reach));
                assert_eq!(counts.total(), left as u128, "{forms:?} beyond {reach}");
            }
        }
        Ok(())
    }
}
