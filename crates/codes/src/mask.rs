//! Masks: the templates of codes, position by position.

use std::fmt::{self, Write as _};

use crate::overlap::intersection;
use crate::symbols::{ALNUM, ALPHA, DIGIT, NAMED, SAFE, SymbolSet};

/// The maximum number of characters of a code.
pub const CODE_LENGTH_MAX: usize = 64;
/// The longest mask text that is read at all, in bytes.
pub const MASK_TEXT_MAX: usize = 4096;
/// The maximum number of check characters of a code.
pub const CHECK_LENGTH_MAX: usize = 4;
/// The bound below which every keyspace lies, so that quota arithmetic stays inside `u128`.
pub const KEYSPACE_SIZE_LIMIT: u128 = 1 << 100;

/// The template of a code: at each position the set of symbols that may stand there.
///
/// | in the text | stands for |
/// |---|---|
/// | `#` | a digit |
/// | `?` | a letter A-Z |
/// | `*` | a digit or a letter |
/// | `[A-HJ-NP-Z2-9]` | one of these characters |
/// | `[:digit:]` `[:alpha:]` `[:alnum:]` `[:safe:]` | one of a named set; also inside a set: `[[:digit:]A-F]` |
/// | `{n}` | the placeholder before it, n times |
/// | `\x` | the character x itself |
/// | any other printable ASCII character but the space | itself |
/// | `[:check:]` or `[:check:]{n}` at the end | n check characters, 1 to [`CHECK_LENGTH_MAX`], computed from all before them |
///
/// Letters fold to upper case. `Display` writes the canonical form, which parses to an equal mask; two masks are equal
/// exactly when they stand for the same codes, under whatever check key.
///
/// ```
/// use codemint_codes::mask::Mask;
///
/// let mask: Mask = "my_little_promo[A-Z]{4}##".parse()?;
/// assert_eq!(mask.to_string(), "MY_LITTLE_PROMO????##");
/// assert_eq!(mask.code_length(), 21);
///
/// let error = "PROMO{2}".parse::<Mask>().unwrap_err();
/// assert_eq!(error.offset, 5);
/// # Ok::<(), codemint_codes::mask::MaskError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Mask {
    positions: Vec<SymbolSet>,
    /// The number of positions at the end that hold check characters.
    check_length: usize,
}

/// The reason why a text is not a mask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("mask, byte {}: {problem}", offset + 1)]
pub struct MaskError {
    /// The place of the problem, in bytes from the start of the text, counted from 0.
    pub offset: usize,
    pub problem: MaskProblem,
}

/// The problem of a mask, with its fix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaskProblem {
    #[error("the mask is empty; write at least one character, such as PROMO-####")]
    Empty,
    #[error("the text is {length} bytes long; at most {MASK_TEXT_MAX} are read")]
    TextTooLong { length: usize },
    #[error("codes would have more than {CODE_LENGTH_MAX} characters; shorten the mask")]
    TooManyCharacters,
    #[error("from here on the mask has 2^100 codes or more; use fewer placeholders")]
    KeyspaceTooLarge,
    #[error("found a space; codes consist of printable ASCII characters without the space")]
    Space,
    #[error("found {0:?}; codes consist of printable ASCII characters without the space")]
    NotPrintable(char),
    #[error("found {found:?} without a {opening:?} before it; write \\{found} for the character itself")]
    NotOpened { found: char, opening: char },
    #[error(
        "found {{ after {after}; a repeat such as {{3}} follows a placeholder (# ? * or a set); write \\{{ for the character itself"
    )]
    NothingToRepeat { after: &'static str },
    #[error("found {found} in a repeat; write a number from 1 to {CODE_LENGTH_MAX} and a closing brace, such as {{3}}")]
    BadRepeat { found: String },
    #[error(
        "found the end of the mask after a backslash; write \\\\ for a backslash, or the character to make literal"
    )]
    NothingEscaped,
    #[error("the set that opens here is not closed; write ] after its last character")]
    SetNotClosed,
    #[error("the set is empty; write the characters that may stand here, such as [A-F0-9]")]
    SetEmpty,
    #[error("found {found:?} inside a set; write \\{found} for the character itself")]
    SetNeedsEscape { found: char },
    #[error("the range {first}-{last} runs backwards; write {last}-{first}")]
    RangeBackwards { first: char, last: char },
    #[error(
        "unknown named set; the named sets are {} and, at the end of a mask, [:check:]; write \\: for a colon",
        named_sets()
    )]
    UnknownName,
    #[error("something follows [:check:]; check characters are computed from all before them and must end the mask")]
    CheckNotLast,
    #[error("found [:check:] inside a set; check characters stand alone at the end of the mask, such as ####[:check:]")]
    CheckInSet,
    #[error(
        "found {found} in the repeat of [:check:]; write a number from 1 to {CHECK_LENGTH_MAX} and a closing brace, such as {{2}}"
    )]
    BadCheckRepeat { found: String },
    #[error("the mask has nothing but check characters; write at least one other character before them")]
    NothingToCheck,
}

fn named_sets() -> String {
    let names: Vec<String> = NAMED.iter().map(|(name, _)| format!("[:{name}:]")).collect();
    names.join(" ")
}

/// Returns the named set that a set of a mask looks like without its colons, if one does.
///
/// ```
/// use codemint_codes::mask::mistaken_set;
///
/// assert_eq!(mistaken_set("SPRING-[Safe]{8}"), Some("safe"));
/// assert_eq!(mistaken_set("SPRING-[:safe:]{8}"), None);
/// ```
pub fn mistaken_set(mask: &str) -> Option<&'static str> {
    let mask = mask.to_ascii_lowercase();
    let mut names = NAMED.iter().map(|(name, _)| *name);
    names.find(|name| mask.contains(&format!("[{name}]")))
}

impl Mask {
    /// Creates a mask for the parser, which enforces the limits on length and keyspace.
    pub(crate) fn from_positions(positions: Vec<SymbolSet>, check_length: usize) -> Self {
        Self { positions, check_length }
    }

    /// Creates the mask of known codes: these symbols were seen at each position, and no set is empty.
    pub fn of_symbols(positions: Vec<SymbolSet>) -> Self {
        Self { positions, check_length: 0 }
    }

    /// Returns the symbols that may stand at each position, first position first; [`SAFE`] for check characters.
    pub fn positions(&self) -> &[SymbolSet] {
        &self.positions
    }

    /// Returns the lowest and the highest text of its symbols: every code of the mask lies between them.
    ///
    /// ```
    /// use codemint_codes::mask::Mask;
    ///
    /// let mask: Mask = "A#[XYZ]".parse()?;
    /// assert_eq!(mask.range(), ("A0X".to_owned(), "A9Z".to_owned()));
    /// # Ok::<(), codemint_codes::mask::MaskError>(())
    /// ```
    pub fn range(&self) -> (String, String) {
        let text =
            |symbol: fn(&SymbolSet) -> Option<u8>| self.positions.iter().filter_map(symbol).map(char::from).collect();
        (text(|set| set.iter().next()), text(|set| set.iter().last()))
    }

    /// Returns how many random guesses it takes on average to hit one of `count` codes: every symbol counts, including
    /// those of check characters.
    ///
    /// ```
    /// use codemint_codes::mask::Mask;
    ///
    /// assert_eq!("A####".parse::<Mask>()?.guesses_a_hit(100), 100.0);
    /// # Ok::<(), codemint_codes::mask::MaskError>(())
    /// ```
    pub fn guesses_a_hit(&self, count: u64) -> f64 {
        let texts = self.positions.iter().fold(1.0, |texts, set| texts * f64::from(set.len()));
        texts / count as f64
    }

    /// Returns true if the two masks have a code in common.
    ///
    /// ```
    /// use codemint_codes::mask::Mask;
    ///
    /// let (digits, any): (Mask, Mask) = ("A##".parse()?, "*1*".parse()?);
    /// assert!(digits.meets(&any));
    /// assert!(!digits.meets(&"B##".parse()?));
    /// assert!(!digits.meets(&"A###".parse()?));
    /// # Ok::<(), codemint_codes::mask::MaskError>(())
    /// ```
    pub fn meets(&self, other: &Self) -> bool {
        intersection(&self.positions, &other.positions).is_some()
    }

    /// Returns the number of characters in every code of this mask, 1 to [`CODE_LENGTH_MAX`].
    pub fn code_length(&self) -> usize {
        self.positions.len()
    }

    /// Returns how many characters at the end of a code are check characters, 0 to [`CHECK_LENGTH_MAX`].
    pub fn check_length(&self) -> usize {
        self.check_length
    }

    /// Returns the positions before the check characters; all positions of a mask without check characters.
    pub fn body(&self) -> &[SymbolSet] {
        &self.positions[..self.positions.len() - self.check_length]
    }
}

impl fmt::Display for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for run in self.body().chunk_by(|a, b| a == b) {
            write_run(f, run[0], run.len())?;
        }
        match self.check_length {
            0 => Ok(()),
            1 => f.write_str("[:check:]"),
            times => write!(f, "[:check:]{{{times}}}"),
        }
    }
}

/// Writes `times` equal positions in the shortest form, repeating one-letter placeholders up to four times in a row.
fn write_run(f: &mut fmt::Formatter<'_>, set: SymbolSet, times: usize) -> fmt::Result {
    let (placeholder, plain_times_max) = match set {
        DIGIT => ("#".to_owned(), 4),
        ALPHA => ("?".to_owned(), 4),
        ALNUM => ("*".to_owned(), 4),
        SAFE => ("[:safe:]".to_owned(), 1),
        _ => match set.single() {
            Some(literal) => (written_literal(literal), CODE_LENGTH_MAX),
            None => (written_set(set), 1),
        },
    };
    if times <= plain_times_max {
        f.write_str(&placeholder.repeat(times))
    } else {
        write!(f, "{placeholder}{{{times}}}")
    }
}

fn written_literal(byte: u8) -> String {
    if b"#?*[]{}\\".contains(&byte) { format!("\\{}", char::from(byte)) } else { char::from(byte).to_string() }
}

fn written_set(set: SymbolSet) -> String {
    let symbols: Vec<u8> = set.iter().collect();
    let mut text = String::from("[");
    for run in symbols.chunk_by(|a, b| a + 1 == *b) {
        match run {
            [first, _, .., last] => {
                push_member(&mut text, *first);
                text.push('-');
                push_member(&mut text, *last);
            }
            few => few.iter().for_each(|&symbol| push_member(&mut text, symbol)),
        }
    }
    text.push(']');
    text
}

fn push_member(text: &mut String, symbol: u8) {
    let character = char::from(symbol);
    // A colon right after the bracket would open a named set.
    let written = if b"[]\\-:".contains(&symbol) { write!(text, "\\{character}") } else { write!(text, "{character}") };
    debug_assert!(written.is_ok(), "writing to a String cannot fail");
}
