//! Codes as customers type them: with blanks, in any case, without the hyphens, with look-alikes, or with one typing error.
//! This module decides which spellings may be meant; the store knows which of them exist.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;
use std::str::FromStr;

use crate::check::CheckKey;
use crate::mask::Mask;
use crate::symbols::{SymbolSet, is_printable};

/// The longest text that is read, in bytes: a code of maximum length with a blank or a hyphen after each character.
pub const TYPED_BYTES_MAX: usize = 256;
/// The maximum number of spellings that are looked up, of those that may be meant and of those with a typing error each.
pub const SPELLINGS_MAX: usize = 20_000;
/// The maximum number of readings per mask, the ones with the fewest look-alikes exchanged.
const READINGS_MAX: usize = 256;
/// Signs between the parts of a code, which customers leave out and add.
const SEPARATORS: SymbolSet = SymbolSet::of(b"-_./");
/// Symbols that people take for each other.
const LOOK_ALIKES: [&[u8]; 6] = [b"0OQ", b"1IL!|", b"2Z", b"5S$", b"6G", b"8B"];

/// A code as a customer typed it. `Debug` does not show it.
///
/// ```
/// use codemint_codes::typed::{KnownMask, Typed};
///
/// let masks = [KnownMask::new("SPRING-####".parse()?, &[], None)];
/// let typed: Typed = " spring I234 ".parse()?;
/// assert_eq!(typed.spellings(&masks), ["SPRINGI234", "SPRING-1234"]);
/// let swapped: Typed = "SPRING-1243".parse()?;
/// assert!(swapped.neighbours(&masks).contains(&"SPRING-1234".to_owned()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Typed {
    /// The text in upper case and without blanks.
    written: String,
    /// The same without separators.
    symbols: Vec<u8>,
}

/// The reason why a text cannot be a code, without the text itself, which may be worth money.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TypedError {
    #[error("no code was given; write one code")]
    Empty,
    #[error("the text has more than {TYPED_BYTES_MAX} bytes; write one code")]
    TooLong,
    /// Positions are counted from 1.
    #[error("character {position} occurs in no code; codes consist of printable ASCII characters")]
    NotPrintable { position: usize },
}

/// A mask of the store, and the key that verifies the check characters of its codes.
#[derive(Clone, Debug)]
pub struct KnownMask {
    mask: Mask,
    /// The number of positions that are not always a separator.
    free_positions: usize,
    /// `None` if the mask has no check characters, or if some of its codes were made with another key.
    check_key: Option<CheckKey>,
}

/// The reason why a code is not in the store, as far as the masks show it. A later one outweighs an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Missing {
    /// No mask of the store has codes that look like this.
    NoMask,
    /// Only masks with check characters have such codes, and the check characters are wrong.
    WrongCheck,
    /// Only masks with check characters have such codes, and the key for some of them is not known.
    CheckNotVerified,
    /// The code is well-formed, but was never minted or imported.
    NeverMinted,
}

impl FromStr for Typed {
    type Err = TypedError;

    fn from_str(text: &str) -> Result<Self, TypedError> {
        if text.len() > TYPED_BYTES_MAX {
            return Err(TypedError::TooLong);
        }
        let mut written = String::with_capacity(text.len());
        for (before, character) in text.chars().enumerate().filter(|(_, character)| !is_blank(*character)) {
            let symbol = symbol_of(character).ok_or(TypedError::NotPrintable { position: before + 1 })?;
            written.push(char::from(symbol));
        }
        let symbols: Vec<u8> = written.bytes().filter(|symbol| !SEPARATORS.contains(*symbol)).collect();
        if written.is_empty() { Err(TypedError::Empty) } else { Ok(Self { written, symbols }) }
    }
}

/// Returns true for white space and for characters that take no space.
fn is_blank(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
}

/// Returns the symbol for a character; `None` if no code has it. Word processors turn hyphens into dashes, and some
/// keyboards write wide letters.
fn symbol_of(character: char) -> Option<u8> {
    const WIDE: u32 = 0xfee0;
    let plain = match character {
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(character) - WIDE)?,
        other => latin_of(other).unwrap_or(other),
    };
    u8::try_from(plain).ok().filter(|byte| is_printable(*byte)).map(|byte| byte.to_ascii_uppercase())
}

/// Returns the Latin letter that looks like this Greek or Cyrillic one, in capitals or as it is; `None` if none does. People who write
/// in these scripts type them without noticing, and texts are copied with them.
const fn latin_of(character: char) -> Option<char> {
    Some(match character {
        'Α' | 'А' | 'α' | 'а' => 'A',
        'Β' | 'В' | 'в' => 'B',
        'С' | 'с' | 'Ϲ' | 'ϲ' => 'C',
        'Ε' | 'Е' | 'е' => 'E',
        'Η' | 'Н' | 'н' => 'H',
        'Ι' | 'І' | 'і' | 'Ӏ' | 'ӏ' => 'I',
        'Ј' | 'ј' => 'J',
        'Κ' | 'К' | 'κ' | 'к' => 'K',
        'Μ' | 'М' | 'м' => 'M',
        'Ν' => 'N',
        'Ο' | 'О' | 'ο' | 'о' => 'O',
        'Ρ' | 'Р' | 'ρ' | 'р' => 'P',
        'Ѕ' | 'ѕ' => 'S',
        'Τ' | 'Т' | 'τ' | 'т' => 'T',
        'Υ' | 'У' | 'υ' | 'у' => 'Y',
        'Χ' | 'Х' | 'χ' | 'х' => 'X',
        'Ζ' => 'Z',
        _ => return None,
    })
}

impl Typed {
    /// Returns the code as it was typed, in upper case and without blanks.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// Returns the length of the shortest codes that may be meant, in characters.
    pub fn shortest(&self) -> usize {
        self.symbols.len()
    }

    /// Returns the spellings that may be meant: as typed, then with the masks' separators and with look-alikes exchanged. At
    /// most [`SPELLINGS_MAX`].
    pub fn spellings(&self, masks: &[KnownMask]) -> Vec<String> {
        let readings = masks.iter().flat_map(|known| known.readings(&self.symbols)).map(text);
        distinct(std::iter::once(self.written.clone()).chain(readings))
    }

    /// Returns the codes of the masks that differ from what was typed by one typing error: one symbol in place of another,
    /// or two neighbours in the wrong order. Wrong check characters rule a spelling out. At most [`SPELLINGS_MAX`].
    pub fn neighbours(&self, masks: &[KnownMask]) -> Vec<String> {
        let meant: BTreeSet<String> = self.spellings(masks).into_iter().collect();
        let neighbours = masks.iter().flat_map(|known| known.neighbours(&self.symbols)).map(text);
        distinct(neighbours.filter(|code| !meant.contains(code)))
    }

    /// Returns why none of the spellings exists.
    pub fn judge(&self, masks: &[KnownMask]) -> Missing {
        masks.iter().map(|known| known.judge(&self.symbols)).max().unwrap_or(Missing::NoMask)
    }
}

impl fmt::Debug for Typed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Typed").field("symbols", &self.symbols.len()).finish_non_exhaustive()
    }
}

/// All symbols are ASCII.
fn text(code: Vec<u8>) -> String {
    code.into_iter().map(char::from).collect()
}

fn distinct(spellings: impl Iterator<Item = String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    spellings.filter(|code| seen.insert(code.clone())).take(SPELLINGS_MAX).collect()
}

/// What was typed, put into the form of a mask.
struct Fitted {
    code: Vec<u8>,
    /// The positions whose symbol the mask does not allow.
    wrong: Vec<usize>,
}

impl KnownMask {
    /// Creates a mask from the fingerprints of the keys of all its jobs, and the key of this process.
    pub fn new(mask: Mask, fingerprints: &[&str], key: Option<&CheckKey>) -> Self {
        let made_all = |key: &&CheckKey| {
            let ours = key.fingerprint();
            !fingerprints.is_empty() && fingerprints.iter().all(|of_job| *of_job == ours)
        };
        let check_key = key.filter(|_| mask.check_length() > 0).filter(made_all).cloned();
        let free_positions = mask.positions().iter().filter(|set| separator(set).is_none()).count();
        Self { mask, free_positions, check_key }
    }

    /// Returns true if the check characters of this mask's codes can be verified.
    pub const fn verifies(&self) -> bool {
        self.check_key.is_some()
    }

    /// Puts the symbols into the mask's free positions, with look-alikes where the mask allows only these; `None` if there
    /// are more or fewer of them.
    fn fit(&self, symbols: &[u8]) -> Option<Fitted> {
        if self.free_positions != symbols.len() {
            return None;
        }
        let positions = self.mask.positions();
        let mut symbols = symbols.iter();
        let mut fitted = Fitted { code: Vec::with_capacity(positions.len()), wrong: Vec::new() };
        for (position, set) in positions.iter().enumerate() {
            let symbol = match separator(set) {
                Some(separator) => separator,
                None => {
                    let typed = *symbols.next()?;
                    let read = if set.contains(typed) { Some(typed) } else { look_alikes(typed, *set).next() };
                    if read.is_none() {
                        fitted.wrong.push(position);
                    }
                    read.unwrap_or(typed)
                }
            };
            fitted.code.push(symbol);
        }
        Some(fitted)
    }

    /// Returns the codes of the mask that may be meant, those with the fewest look-alikes exchanged first.
    fn readings(&self, symbols: &[u8]) -> Vec<Vec<u8>> {
        let Some(Fitted { code, .. }) = self.fit(symbols).filter(|fitted| fitted.wrong.is_empty()) else {
            return Vec::new();
        };
        let (mut readings, mut queue) = (Vec::new(), VecDeque::from([(code, 0)]));
        while let Some((code, begin)) = queue.pop_front() {
            for (position, set) in self.mask.positions().iter().enumerate().skip(begin) {
                for other in look_alikes(code[position], *set) {
                    if readings.len() + queue.len() + 1 < READINGS_MAX {
                        queue.push_back((with(&code, position, other), position + 1));
                    }
                }
            }
            readings.push(code);
        }
        readings
    }

    fn neighbours<'a>(&'a self, symbols: &'a [u8]) -> impl Iterator<Item = Vec<u8>> + 'a {
        let substituted = self.fit(symbols).into_iter().flat_map(move |fitted| self.substituted(fitted));
        substituted.chain(self.swapped(symbols)).filter(move |code| self.has_right_check(code))
    }

    /// Returns the codes with one symbol in place of another.
    fn substituted(&self, fitted: Fitted) -> impl Iterator<Item = Vec<u8>> + '_ {
        let Fitted { code, wrong } = fitted;
        let places = (0..code.len()).filter(move |position| wrong.iter().all(|wrong| wrong == position));
        places.flat_map(move |position| {
            let code = code.clone();
            let others = self.mask.positions()[position].difference(SymbolSet::of(&[code[position]]));
            others.iter().map(move |symbol| with(&code, position, symbol))
        })
    }

    /// Returns the codes with two neighbours in the other order.
    fn swapped<'a>(&'a self, symbols: &'a [u8]) -> impl Iterator<Item = Vec<u8>> + 'a {
        let places = 1..symbols.len();
        let places = places.filter(move |place| symbols[place - 1] != symbols[*place]);
        places.filter_map(move |place| {
            let mut swapped = symbols.to_vec();
            swapped.swap(place - 1, place);
            self.fit(&swapped).filter(|fitted| fitted.wrong.is_empty()).map(|fitted| fitted.code)
        })
    }

    fn judge(&self, symbols: &[u8]) -> Missing {
        let readings = self.readings(symbols);
        if readings.is_empty() {
            Missing::NoMask
        } else if self.mask.check_length() > 0 && self.check_key.is_none() {
            Missing::CheckNotVerified
        } else if readings.iter().any(|code| self.has_right_check(code)) {
            Missing::NeverMinted
        } else {
            Missing::WrongCheck
        }
    }

    /// Returns true also if there is nothing to verify, or no key for it.
    fn has_right_check(&self, code: &[u8]) -> bool {
        let (body, check) = code.split_at(code.len() - self.mask.check_length());
        check.is_empty() || self.check_key.as_ref().is_none_or(|key| key.verify(body, check))
    }
}

/// Returns the separator that always stands at a position.
fn separator(set: &SymbolSet) -> Option<u8> {
    set.single().filter(|symbol| SEPARATORS.contains(*symbol))
}

/// Returns the other symbols of the set that this one is taken for.
fn look_alikes(symbol: u8, set: SymbolSet) -> impl Iterator<Item = u8> {
    let group = LOOK_ALIKES.into_iter().find(|group| group.contains(&symbol)).unwrap_or_default();
    group.iter().copied().filter(move |other| *other != symbol && set.contains(*other))
}

fn with(code: &[u8], position: usize, symbol: u8) -> Vec<u8> {
    let mut changed = code.to_vec();
    changed[position] = symbol;
    changed
}
