//! Finds the codes that a spreadsheet changes or runs when it opens them as CSV. It does so in quotation marks, too.

use std::collections::HashMap;

use regex_automata::dfa::{Automaton, StartKind, dense};
use regex_automata::util::primitives::StateID;
use regex_automata::util::{start, syntax};
use regex_automata::{Anchored, MatchKind};

use crate::batch::CodeBatch;
use crate::mask::Mask;
use crate::symbols::SymbolSet;

/// What a spreadsheet takes a code for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, strum::IntoStaticStr, strum::VariantArray)]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum Misread {
    /// It begins with `=`, `+`, `-` or `@`, so it is run.
    Formula,
    /// A number that begins with a zero, which is dropped.
    LeadingZeros,
    /// A number of 16 or more digits: those after the 15th become zeros.
    LongNumber,
    /// Digits, the letter E and digits: a power of ten.
    Exponent,
    /// A date or a time: `MAR-07`, `5MAY`, `3-4`, `1/2`, `2026-11-01`, `12:30`, with English names of months.
    Date,
    /// Digits around a point or a comma: a decimal number, or a whole number in groups.
    Decimal,
}

/// The number of kinds of [`Misread`].
const KINDS: usize = <Misread as strum::VariantArray>::VARIANTS.len();

impl Misread {
    /// Returns all kinds, in the order in which they take precedence.
    pub const fn all() -> &'static [Self] {
        <Self as strum::VariantArray>::VARIANTS
    }

    /// Returns what such codes are or lose, for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Formula => "formulas",
            Self::LeadingZeros => "leading zeros",
            Self::LongNumber => "digits after the 15th",
            Self::Exponent => "powers of ten",
            Self::Date => "dates or times",
            Self::Decimal => "decimal numbers",
        }
    }
}

const DAY: &str = "(?:0?[1-9]|[12][0-9]|3[01])";
const MONTH: &str = "(?:0?[1-9]|1[0-2])";
const LONG_YEAR: &str = "(?:(?:19|[2-9][0-9])[0-9]{2})";
const MONTH_NAME: &str = "(?:JAN(?:UARY)?|FEB(?:RUARY)?|MAR(?:CH)?|APR(?:IL)?|MAY|JUNE?|JULY?|AUG(?:UST)?\
                          |SEPT?|SEPTEMBER|OCT(?:OBER)?|NOV(?:EMBER)?|DEC(?:EMBER)?)";

/// Returns the texts that a spreadsheet takes for something else, in order of precedence. What the settings of some
/// countries read as a date counts: they differ in the separator, and in whether the day or the month comes first.
fn patterns() -> [(Misread, String); KINDS] {
    let (d, n, m) = (DAY, MONTH, MONTH_NAME);
    let y = format!("(?:[0-9]{{2}}|{LONG_YEAR})");
    let s = "[-/.]";
    let dates = [
        // Numbers: day and month, month and year, all three.
        format!("{d}{s}{n}(?:{s}{y})?"),
        format!("{n}{s}(?:{d}|{y})(?:{s}{y})?"),
        format!("{y}{s}{n}{s}{d}"),
        format!("{LONG_YEAR}{s}{n}"),
        // Names of months, which need no separator.
        format!("{m}{s}?(?:{d}|{y})(?:{s}{y})?"),
        format!("(?:{d}|{LONG_YEAR}){s}?{m}"),
        format!("{d}{s}?{m}{s}?{y}"),
        format!("{y}{s}?{m}{s}?{d}"),
        // Times.
        "[0-9]{1,4}:[0-9]{1,2}(?::[0-9]{1,2})?".to_owned(),
    ];
    [
        (Misread::Formula, "[-=+@].*".to_owned()),
        (Misread::LeadingZeros, "0[0-9]+".to_owned()),
        (Misread::LongNumber, "[0-9]{16,}".to_owned()),
        (Misread::Exponent, r"[0-9]+(?:\.[0-9]+)?E[-+]?[0-9]+".to_owned()),
        (Misread::Date, dates.join("|")),
        (Misread::Decimal, "[0-9]+[.,][0-9]+".to_owned()),
    ]
}

/// The reader of a spreadsheet, as an automaton over the bytes of a code.
///
/// ```
/// use codemint_codes::spreadsheet::{Misread, Spreadsheet};
///
/// let spreadsheet = Spreadsheet::new()?;
/// assert_eq!(spreadsheet.misread("MAR-07"), Some(Misread::Date));
/// assert_eq!(spreadsheet.misread("SPRING-07"), None);
/// let exposure = spreadsheet.exposure(&"####".parse()?);
/// assert_eq!(exposure.share(), 0.1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Spreadsheet {
    automaton: dense::DFA<Vec<u32>>,
    start: StateID,
}

/// The automaton could not be built: for fixed patterns that means too little memory.
#[derive(Debug, thiserror::Error)]
#[error("failed to prepare the search for codes that spreadsheets change: {0}")]
pub struct SpreadsheetError(String);

impl Spreadsheet {
    /// # Errors
    /// If the automaton cannot be built.
    pub fn new() -> Result<Self, SpreadsheetError> {
        let whole = patterns().map(|(_, pattern)| format!(r"\A(?:{pattern})\z"));
        let automaton = dense::Builder::new()
            .configure(dense::Config::new().start_kind(StartKind::Anchored).match_kind(MatchKind::LeftmostFirst))
            .syntax(syntax::Config::new().unicode(false).utf8(false))
            .build_many(&whole)
            .map_err(|error| SpreadsheetError(error.to_string()))?;
        let anchored = start::Config::new().anchored(Anchored::Yes);
        let start = automaton.start_state(&anchored).map_err(|error| SpreadsheetError(error.to_string()))?;
        Ok(Self { automaton, start })
    }

    /// Returns what a spreadsheet takes the code for; `None` if it takes it for a text and keeps it.
    pub fn misread(&self, code: &str) -> Option<Misread> {
        let mut state = self.start;
        for byte in code.bytes() {
            state = self.automaton.next_state(state, byte);
            if self.automaton.is_dead_state(state) {
                return None;
            }
        }
        self.misread_at_end(state)
    }

    fn misread_at_end(&self, state: StateID) -> Option<Misread> {
        let ended = self.automaton.next_eoi_state(state);
        let matched = self.automaton.is_match_state(ended).then(|| self.automaton.match_pattern(ended, 0));
        matched.and_then(|pattern| Misread::all().get(pattern.as_usize()).copied())
    }

    /// Counts the codes of a mask that a spreadsheet misreads, without making one: it follows all codes through the
    /// automaton at once, position by position.
    pub fn exposure(&self, mask: &Mask) -> Exposure {
        let mut reached = HashMap::from([(self.start, 1_u128)]);
        for set in mask.positions() {
            reached = self.step(&reached, *set);
        }
        let mut misread = [0_u128; KINDS];
        for (state, codes) in reached {
            if let Some(kind) = self.misread_at_end(state) {
                misread[kind as usize] += codes;
            }
        }
        let texts = mask.positions().iter().map(|set| u128::from(set.len())).product();
        Exposure { misread, texts, is_exact: mask.check_length() == 0 }
    }

    /// Returns the states after one more symbol of the set, with the number of texts that lead to each.
    fn step(&self, reached: &HashMap<StateID, u128>, set: SymbolSet) -> HashMap<StateID, u128> {
        let mut next = HashMap::new();
        for (&state, &texts) in reached {
            for symbol in set.iter() {
                let after = self.automaton.next_state(state, symbol);
                if !self.automaton.is_dead_state(after) {
                    *next.entry(after).or_default() += texts;
                }
            }
        }
        next
    }
}

/// The part of a mask's codes that a spreadsheet misreads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    misread: [u128; KINDS],
    /// The number of texts of the mask, with all symbols for check characters: below 2^119.
    texts: u128,
    is_exact: bool,
}

impl Exposure {
    /// Returns true if no code of the mask is misread.
    pub fn is_none(&self) -> bool {
        self.misread.iter().all(|&codes| codes == 0)
    }

    /// Returns the share of the mask's codes that are misread, 0 to 1.
    pub fn share(&self) -> f64 {
        self.misread.iter().sum::<u128>() as f64 / self.texts as f64
    }

    /// Returns each kind that occurs, with its share, 0 to 1.
    pub fn kinds(&self) -> impl Iterator<Item = (Misread, f64)> {
        let shares = Misread::all().iter().zip(self.misread);
        shares.filter(|(_, codes)| *codes > 0).map(|(&kind, codes)| (kind, codes as f64 / self.texts as f64))
    }

    /// Returns true if the shares are those of the mask's codes. They are estimates if the mask has check characters:
    /// these depend on a secret, and all symbols count as equally likely.
    pub fn is_exact(&self) -> bool {
        self.is_exact
    }
}

/// The number of codes that a spreadsheet misreads, counted code by code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MisreadCounts([u64; KINDS]);

impl MisreadCounts {
    /// Counts the codes of a batch.
    pub fn add(&mut self, spreadsheet: &Spreadsheet, batch: &CodeBatch) {
        batch.iter().for_each(|code| self.add_text(spreadsheet, code));
    }

    /// Counts a code, or another text in upper case.
    pub fn add_text(&mut self, spreadsheet: &Spreadsheet, text: &str) {
        if let Some(kind) = spreadsheet.misread(text) {
            self.0[kind as usize] += 1;
        }
    }

    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Returns each kind that occurs, with its number of codes.
    pub fn kinds(&self) -> impl Iterator<Item = (Misread, u64)> {
        Misread::all().iter().copied().zip(self.0).filter(|(_, codes)| *codes > 0)
    }
}
