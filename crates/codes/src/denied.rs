//! Words that no code may contain. Codes and words are read as people read them: separators are skipped, and digits
//! that look like letters count as those letters, so that neither `A-5-5` nor `4SS` slips through.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aho_corasick::automaton::StateID;
use sha2::{Digest, Sha256};

use crate::denied_automaton::{CLASSES, ONE, Step, WordAutomaton, class_of};
use crate::mask::Mask;
use crate::symbols::SymbolSet;

/// The maximum number of words.
pub const WORDS_MAX: usize = 100_000;
/// The shortest word, in symbols: a single symbol is better left out of the mask.
const WORD_LENGTH_MIN: usize = 2;
/// The longest word, in symbols: no code is longer.
pub const WORD_LENGTH_MAX: usize = 64;
/// The maximum number of symbols of all forms of all words together. At this bound a list was measured to take 400 MB
/// of memory for five seconds and 220 MB from then on; 100,000 words of usual length take 90 MB.
pub const FORM_SYMBOLS_MAX: u64 = 1 << 22;

const BUILTIN: &str = include_str!("denied_builtin.txt");

/// Words that no code may contain.
///
/// | in a code or a word | reads as |
/// |---|---|
/// | a letter | itself, in upper case |
/// | `0` `2` `3` `4` `5` `6` `7` `8` `9` | `O` `Z` `E` `A` `S` `G` `T` `B` `G` |
/// | `@` `$` | `A` `S` |
/// | `1` `!` | `I` or `L` |
/// | any other character | nothing: it is skipped |
///
/// ```
/// use std::sync::Arc;
/// use codemint_codes::denied::{DeniedInMask, DeniedWords};
///
/// let words = Arc::new(DeniedWords::new(["cat", "dill"])?);
/// let denied = DeniedInMask::new(&words, &"***-***".parse()?);
/// assert!(denied.is_denied(b"XC4-7XX"));
/// assert!(denied.is_denied(b"XXD-1L!"));
/// assert!(!denied.is_denied(b"XC4-X7X"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct DeniedWords {
    /// The words as they are read, ascending.
    words: BTreeSet<Vec<u8>>,
    automaton: WordAutomaton,
}

/// The reason why a list of words cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeniedWordsError {
    #[error("the list contains no words; write one word per line")]
    NoWords,
    /// Lines are counted from 1.
    #[error("line {line}: {problem}")]
    Word { line: usize, problem: WordProblem },
    #[error("there are more than {WORDS_MAX} words")]
    TooManyWords,
    #[error(
        "the words are too many or too long: with each I and L counted both as itself and as 1, they have more than {FORM_SYMBOLS_MAX} characters"
    )]
    TooManyForms,
    /// Not expected within the bounds above.
    #[error("the words cannot be searched for: {0}")]
    Automaton(String),
}

/// The problem with a word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordProblem {
    #[error("found {0:?}, which no code can have; write the word as it would appear in a code")]
    NotPrintable(char),
    #[error("the word has no letter and no digit")]
    NothingToRead,
    #[error("the word has one letter or digit only; leave the character out of the mask instead")]
    TooShort,
    #[error("the word has more than {WORD_LENGTH_MAX} letters and digits, more than any code")]
    TooLong,
}

impl DeniedWords {
    /// Takes words in any order and any case; words that read alike count as one.
    ///
    /// # Errors
    /// If a word cannot be used, or all words together. The error names a word by line, as if each word had its own.
    pub fn new<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Self, DeniedWordsError> {
        Self::from_lines((1..).zip(words))
    }

    /// Reads one word per line; ignores blank lines and lines that begin with #.
    ///
    /// # Errors
    /// The errors of [`DeniedWords::new`], with the line.
    pub fn from_text(text: &str) -> Result<Self, DeniedWordsError> {
        let text = text.trim_start_matches('\u{feff}');
        let lines = (1..).zip(text.lines().map(str::trim));
        Self::from_lines(lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')))
    }

    /// Returns well-known vulgar and offensive words of English. It never fails: the list comes with the program, and a
    /// test reads it.
    pub fn builtin() -> Result<Self, DeniedWordsError> {
        Self::from_text(BUILTIN)
    }

    /// Returns the words of both lists; fails if they are too many together.
    pub fn union(&self, other: &Self) -> Result<Self, DeniedWordsError> {
        Self::from_read(self.words.union(&other.words).cloned().collect())
    }

    fn from_lines<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Result<Self, DeniedWordsError> {
        let mut words = BTreeSet::new();
        for (line, word) in lines {
            words.insert(read_word(word).map_err(|problem| DeniedWordsError::Word { line, problem })?);
            if words.len() > WORDS_MAX {
                return Err(DeniedWordsError::TooManyWords);
            }
        }
        Self::from_read(words)
    }

    fn from_read(words: BTreeSet<Vec<u8>>) -> Result<Self, DeniedWordsError> {
        match words.len() {
            0 => Err(DeniedWordsError::NoWords),
            1..=WORDS_MAX => {
                let automaton = WordAutomaton::new(&all_forms(&words)?)
                    .map_err(|error| DeniedWordsError::Automaton(error.to_string()))?;
                Ok(Self { words, automaton })
            }
            _ => Err(DeniedWordsError::TooManyWords),
        }
    }

    /// Returns the number of words; words that read alike count as one.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Returns false: there is at least one word.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Returns the SHA-256 over the words as they are read, in ascending order, each followed by a newline.
    pub fn digest(&self) -> [u8; 32] {
        let hash = self.words.iter().fold(Sha256::new(), |hash, word| hash.chain_update(word).chain_update(b"\n"));
        hash.finalize().into()
    }
}

impl fmt::Debug for DeniedWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeniedWords").field("len", &self.len()).finish_non_exhaustive()
    }
}

/// The symbol as which each byte is read; 0 if it is skipped.
const READ: [u8; 256] = {
    let mut read = [0; 256];
    let mut letter = b'A';
    while letter <= b'Z' {
        read[letter as usize] = letter;
        read[letter.to_ascii_lowercase() as usize] = letter;
        letter += 1;
    }
    let swaps = *b"0O1!2Z3E4A5S6G7T8B9G@A$S";
    let mut at = 0;
    while at < swaps.len() {
        read[swaps[at] as usize] = swaps[at + 1];
        at += 2;
    }
    read[b'1' as usize] = ONE;
    read[b'!' as usize] = ONE;
    read
};

fn read_word(word: &str) -> Result<Vec<u8>, WordProblem> {
    if let Some(found) = word.chars().find(|character| !matches!(character, ' '..='~')) {
        return Err(WordProblem::NotPrintable(found));
    }
    let symbols: Vec<u8> = word.bytes().map(|byte| READ[usize::from(byte)]).filter(|&symbol| symbol != 0).collect();
    match symbols.len() {
        0 => Err(WordProblem::NothingToRead),
        length if length < WORD_LENGTH_MIN => Err(WordProblem::TooShort),
        length if length > WORD_LENGTH_MAX => Err(WordProblem::TooLong),
        _ => Ok(symbols),
    }
}

/// Returns the symbols as which a symbol of a word may be read in a code.
fn readings(symbol: u8) -> &'static [u8] {
    match symbol {
        b'I' => b"I1",
        b'L' => b"L1",
        ONE => b"IL1",
        _ => {
            let at = class_of(symbol);
            &b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"[at..=at]
        }
    }
}

/// Returns every form of every word, ascending.
fn all_forms(words: &BTreeSet<Vec<u8>>) -> Result<Vec<Vec<u8>>, DeniedWordsError> {
    let count = |word: &Vec<u8>| {
        word.iter().fold(word.len() as u64, |forms, &symbol| forms.saturating_mul(readings(symbol).len() as u64))
    };
    if words.iter().map(count).fold(0, u64::saturating_add) > FORM_SYMBOLS_MAX {
        return Err(DeniedWordsError::TooManyForms);
    }
    let forms: BTreeSet<Vec<u8>> = words.iter().flat_map(|word| forms(word)).collect();
    Ok(forms.into_iter().collect())
}

fn forms(word: &[u8]) -> Vec<Vec<u8>> {
    word.iter().fold(vec![Vec::with_capacity(word.len())], |begun, &symbol| {
        let continued = begun
            .iter()
            .flat_map(|form| readings(symbol).iter().map(move |&reading| [form.as_slice(), &[reading]].concat()));
        continued.collect()
    })
}

/// The denied words, as far as a mask can produce them.
///
/// A word that lies wholly in the mask's literals is the mask's own and does not count; a word with a placeholder or a
/// check character between its first and its last symbol does. A set of one symbol is a literal, a larger one is a placeholder.
pub struct DeniedInMask {
    words: Arc<DeniedWords>,
    /// The symbols that are read, from the first placeholder on.
    steps: Vec<Step>,
    /// The automaton's state after the literals before the first placeholder.
    start: StateID,
    /// The position where counting begins, and the reach of a step for every position of the body from there on.
    body_start: usize,
    body_reaches: Vec<u8>,
}

impl DeniedInMask {
    pub fn new(words: &Arc<DeniedWords>, mask: &Mask) -> Self {
        let positions = mask.positions();
        let body_start = positions.iter().position(is_placeholder).unwrap_or(positions.len());
        let (literals, rest) = positions.split_at(body_start);
        let start = words.automaton.state_after(&literals.iter().filter_map(read_literal).collect::<Vec<u8>>());
        let mut reaches = reaches(rest);
        let steps = steps(rest, &reaches, body_start, words.automaton.longest());
        reaches.truncate(mask.body().len().saturating_sub(body_start));
        Self { words: Arc::clone(words), steps, start, body_start, body_reaches: reaches }
    }

    /// Returns true if this code, which must be one of the mask's, contains a denied word.
    ///
    /// # Panics
    /// If the code is shorter than the mask's codes.
    pub fn is_denied(&self, code: &[u8]) -> bool {
        self.words.automaton.finds(self.start, &self.steps, code, &READ)
    }

    /// Returns how many of the codes whose character at every position is in `part` contain no denied word. `part` has
    /// the length of the mask's codes, and at each position some of the mask's symbols. Check characters are ignored,
    /// both in the number of codes and in the search for words: for a mask that has some, the result is an upper bound.
    ///
    /// Takes time linear in the words and in the length of the code.
    pub fn count_allowed(&self, part: &[SymbolSet]) -> u128 {
        let body_length = self.body_start + self.body_reaches.len();
        if part.iter().take(body_length).any(|set| set.is_empty()) {
            return 0;
        }
        let mut counts = self.words.automaton.counts(self.start);
        for (set, &reach) in part.iter().skip(self.body_start).zip(&self.body_reaches) {
            let (mut times, mut skipped) = ([0; CLASSES], 0);
            for byte in set.iter() {
                match READ[usize::from(byte)] {
                    0 => skipped += 1,
                    symbol => times[class_of(symbol)] += 1,
                }
            }
            counts.step(&times, skipped, reach);
        }
        counts.total()
    }
}

fn is_placeholder(set: &SymbolSet) -> bool {
    set.single().is_none()
}

/// Returns the symbol as which a literal is read; `None` if it is skipped, and for a placeholder.
fn read_literal(set: &SymbolSet) -> Option<u8> {
    set.single().map(|literal| READ[usize::from(literal)]).filter(|&symbol| symbol != 0)
}

/// Returns for each position the number of readable symbols in the literals that end there. A word of at most that length
/// lies wholly in literals.
fn reaches(positions: &[SymbolSet]) -> Vec<u8> {
    let extend = |reach: &mut u8, set: &SymbolSet| {
        *reach = if is_placeholder(set) { 0 } else { *reach + u8::from(read_literal(set).is_some()) };
        Some(*reach)
    };
    positions.iter().scan(0, extend).collect()
}

/// Returns the steps of a search through these positions, which begin at `body_start`, up to the last one at which the
/// longest word could still reach back to a placeholder.
fn steps(positions: &[SymbolSet], reaches: &[u8], body_start: usize, longest: u8) -> Vec<Step> {
    let is_read = |set: &SymbolSet| is_placeholder(set) || read_literal(set).is_some();
    let places = (body_start..).zip(positions.iter().zip(reaches));
    let read = places.filter(|(_, (set, _))| is_read(set)).map(|(position, (_, &reach))| Step { position, reach });
    let mut steps: Vec<Step> = read.collect();
    let needed = steps.iter().rposition(|step| step.reach < longest).map_or(0, |last| last + 1);
    steps.truncate(needed);
    steps
}

impl fmt::Debug for DeniedInMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeniedInMask").field("words", &self.words).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Step, forms, reaches, steps};
    use crate::mask::{Mask, MaskError};

    #[test]
    fn a_word_has_one_form_for_every_combination_of_readings() {
        assert_eq!(forms(b"AIL"), [b"AIL", b"AI1", b"A1L", b"A11"]);
    }

    #[test]
    fn the_reach_of_a_position_counts_the_symbols_of_the_literals_before_it() -> Result<(), MaskError> {
        let mask: Mask = "AB-C#-D[XY]E".parse()?;
        assert_eq!(reaches(mask.positions()), [1, 2, 2, 3, 0, 0, 1, 0, 1]);
        Ok(())
    }

    #[test]
    fn a_search_ends_where_the_longest_word_no_longer_reaches_a_placeholder() -> Result<(), MaskError> {
        let mask: Mask = "#A-BCDE".parse()?;
        let positions = mask.positions();
        let searched = |longest| -> Vec<(usize, u8)> {
            let found = steps(positions, &reaches(positions), 10, longest);
            found.iter().map(|Step { position, reach }| (*position, *reach)).collect()
        };
        assert_eq!(searched(3), [(10, 0), (11, 1), (13, 2)]);
        assert_eq!(searched(64), [(10, 0), (11, 1), (13, 2), (14, 3), (15, 4), (16, 5)]);
        Ok(())
    }
}
