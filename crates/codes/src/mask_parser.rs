//! Parses the text of a mask, byte by byte.

use std::str::FromStr;

use crate::mask::{
    CHECK_LENGTH_MAX, CODE_LENGTH_MAX, KEYSPACE_SIZE_LIMIT, MASK_TEXT_MAX, Mask, MaskError, MaskProblem,
};
use crate::symbols::{ALNUM, ALPHA, DIGIT, NAMED, SAFE, SymbolSet, is_printable};

/// The text of check characters after the opening bracket.
const CHECK: &str = ":check:]";

impl FromStr for Mask {
    type Err = MaskError;

    fn from_str(text: &str) -> Result<Self, MaskError> {
        parse(text, KEYSPACE_SIZE_LIMIT - 1)
    }
}

impl Mask {
    /// Parses a mask that describes codes but draws none: its keyspace may be of any size.
    ///
    /// # Errors
    /// The errors of `from_str`, except for `KeyspaceTooLarge`.
    pub fn describing(text: &str) -> Result<Self, MaskError> {
        parse(text, u128::MAX)
    }
}

fn parse(text: &str, size_limit: u128) -> Result<Mask, MaskError> {
    if text.len() > MASK_TEXT_MAX {
        // Callers may cut the text at the offset of its problem.
        let offset = text.floor_char_boundary(MASK_TEXT_MAX);
        return Err(MaskError { offset, problem: MaskProblem::TextTooLong { length: text.len() } });
    }
    let mut parser = Parser { text, at: 0, positions: Vec::new(), size: 1, size_limit, last: Piece::None, check: None };
    while parser.at < text.len() {
        parser.piece()?;
    }
    if parser.positions.is_empty() {
        return Err(parser.error(0, MaskProblem::Empty));
    }
    let check_length = parser.check.map_or(0, |check| check.length);
    if parser.positions.len() == check_length {
        return Err(parser.error(0, MaskProblem::NothingToCheck));
    }
    Ok(Mask::from_positions(parser.positions, check_length))
}

/// The piece before the current byte; a repeat may follow only a placeholder or check characters.
#[derive(Clone, Copy)]
enum Piece {
    None,
    Literal,
    Placeholder(SymbolSet),
    Check,
    Repeat,
}

/// The check characters and their place in the text.
#[derive(Clone, Copy)]
struct Check {
    offset: usize,
    length: usize,
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    positions: Vec<SymbolSet>,
    size: u128,
    size_limit: u128,
    last: Piece,
    check: Option<Check>,
}

impl Parser<'_> {
    fn error(&self, offset: usize, problem: MaskProblem) -> MaskError {
        MaskError { offset, problem }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// Takes a printable byte; the error names anything else.
    fn printable(&mut self) -> Result<u8, MaskError> {
        let found = self.text[self.at..].chars().next();
        match found {
            Some(' ') => Err(self.error(self.at, MaskProblem::Space)),
            Some(character) => match u8::try_from(character) {
                Ok(byte) if is_printable(byte) => {
                    self.at += 1;
                    Ok(byte)
                }
                _ => Err(self.error(self.at, MaskProblem::NotPrintable(character))),
            },
            None => Err(self.error(self.at.saturating_sub(1), MaskProblem::NothingEscaped)),
        }
    }

    fn piece(&mut self) -> Result<(), MaskError> {
        let start = self.at;
        if let Some(check) = self.check.filter(|_| self.peek() != Some(b'{')) {
            return Err(self.error(check.offset, MaskProblem::CheckNotLast));
        }
        match self.printable()? {
            b'#' => self.placeholder(start, DIGIT),
            b'?' => self.placeholder(start, ALPHA),
            b'*' => self.placeholder(start, ALNUM),
            b'[' if self.takes_check() => self.check(start),
            b'[' => {
                let set = self.set(start)?;
                self.placeholder(start, set)
            }
            b'{' => self.repeat(start),
            b']' => Err(self.error(start, MaskProblem::NotOpened { found: ']', opening: '[' })),
            b'}' => Err(self.error(start, MaskProblem::NotOpened { found: '}', opening: '{' })),
            b'\\' => {
                let byte = self.printable()?;
                self.literal(start, byte)
            }
            byte => self.literal(start, byte),
        }
    }

    fn literal(&mut self, start: usize, byte: u8) -> Result<(), MaskError> {
        self.last = Piece::Literal;
        self.push(start, SymbolSet::of(&[byte]))
    }

    fn placeholder(&mut self, start: usize, set: SymbolSet) -> Result<(), MaskError> {
        self.last = Piece::Placeholder(set);
        self.push(start, set)
    }

    /// Takes `:check:]` if it comes next; returns whether it did.
    fn takes_check(&mut self) -> bool {
        let head = self.text.get(self.at..self.at + CHECK.len());
        let found = head.is_some_and(|head| head.eq_ignore_ascii_case(CHECK));
        self.at += if found { CHECK.len() } else { 0 };
        found
    }

    fn check(&mut self, start: usize) -> Result<(), MaskError> {
        self.last = Piece::Check;
        self.check = Some(Check { offset: start, length: 1 });
        self.push_character(start, SAFE)
    }

    fn push_character(&mut self, start: usize, set: SymbolSet) -> Result<(), MaskError> {
        if self.positions.len() == CODE_LENGTH_MAX {
            return Err(self.error(start, MaskProblem::TooManyCharacters));
        }
        self.positions.push(set);
        Ok(())
    }

    /// Adds a position that makes the keyspace larger.
    fn push(&mut self, start: usize, set: SymbolSet) -> Result<(), MaskError> {
        self.push_character(start, set)?;
        // Without a limit the size must only not wrap around.
        self.size = self.size.saturating_mul(u128::from(set.len()));
        if self.size > self.size_limit {
            return Err(self.error(start, MaskProblem::KeyspaceTooLarge));
        }
        Ok(())
    }

    fn repeat(&mut self, start: usize) -> Result<(), MaskError> {
        let set = self.repeated(start)?;
        for _ in 1..self.times()? {
            match &mut self.check {
                Some(check) => {
                    check.length += 1;
                    self.push_character(start, set)?;
                }
                None => self.push(start, set)?,
            }
        }
        self.last = Piece::Repeat;
        Ok(())
    }

    /// Returns the set before a repeat.
    fn repeated(&self, start: usize) -> Result<SymbolSet, MaskError> {
        let after = match self.last {
            Piece::Placeholder(set) => return Ok(set),
            Piece::Check => return Ok(SAFE),
            Piece::None => "nothing",
            Piece::Literal => "a literal",
            Piece::Repeat => "a repeat",
        };
        Err(self.error(start, MaskProblem::NothingToRepeat { after }))
    }

    /// Parses the number of a repeat and its closing brace.
    fn times(&mut self) -> Result<usize, MaskError> {
        let rest = &self.text[self.at..];
        let (digits, behind) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
        let is_closed = behind.starts_with('}');
        let times_max = if self.check.is_some() { CHECK_LENGTH_MAX } else { CODE_LENGTH_MAX };
        if let Some(times) = digits.parse().ok().filter(|times| is_closed && (1..=times_max).contains(times)) {
            self.at += digits.len() + 1;
            return Ok(times);
        }
        let (offset, found) = if is_closed && !digits.is_empty() {
            (self.at, digits.to_owned())
        } else {
            let found = behind.chars().next().map_or("the end of the mask".to_owned(), |found| format!("{found:?}"));
            (self.at + digits.len(), found)
        };
        let problem = match self.check {
            Some(_) => MaskProblem::BadCheckRepeat { found },
            None => MaskProblem::BadRepeat { found },
        };
        Err(self.error(offset, problem))
    }

    /// Parses what follows an opening bracket: a named set, or members up to the closing bracket.
    fn set(&mut self, start: usize) -> Result<SymbolSet, MaskError> {
        if self.peek() == Some(b':') {
            return self.name(start);
        }
        let mut set = SymbolSet::EMPTY;
        loop {
            match self.peek() {
                None => return Err(self.error(start, MaskProblem::SetNotClosed)),
                Some(b']') if set.is_empty() => return Err(self.error(start, MaskProblem::SetEmpty)),
                Some(b']') => {
                    self.at += 1;
                    return Ok(set);
                }
                Some(_) => set = set.union(self.member(start)?),
            }
        }
    }

    /// Parses one character, one range or one named set inside a set.
    fn member(&mut self, set_start: usize) -> Result<SymbolSet, MaskError> {
        let start = self.at;
        if self.peek() == Some(b'[') {
            self.at += 1;
            if self.peek() == Some(b':') {
                return self.name(start);
            }
            return Err(self.error(start, MaskProblem::SetNeedsEscape { found: '[' }));
        }
        let first = self.member_character()?;
        let range = self.text[self.at..].starts_with('-') && !self.text[self.at..].starts_with("-]");
        if !range {
            return Ok(SymbolSet::of(&[first]));
        }
        self.at += 1;
        if self.peek().is_none() {
            return Err(self.error(set_start, MaskProblem::SetNotClosed));
        }
        let last = self.member_character()?;
        // The case of two letters does not matter: [a-Z] means A to Z, not the punctuation between the cases.
        let letters = first.is_ascii_alphabetic() && last.is_ascii_alphabetic();
        let (first, last) =
            if letters { (first.to_ascii_uppercase(), last.to_ascii_uppercase()) } else { (first, last) };
        if first > last {
            let (first, last) = (char::from(first), char::from(last));
            return Err(self.error(start, MaskProblem::RangeBackwards { first, last }));
        }
        Ok((first..=last).fold(SymbolSet::EMPTY, |set, byte| set.union(SymbolSet::of(&[byte]))))
    }

    fn member_character(&mut self) -> Result<u8, MaskError> {
        let start = self.at;
        match self.printable()? {
            b'\\' => self.printable(),
            b'[' => Err(self.error(start, MaskProblem::SetNeedsEscape { found: '[' })),
            byte => Ok(byte),
        }
    }

    /// Parses `[:name:]` from its colon on; `start` is the bracket before it.
    fn name(&mut self, start: usize) -> Result<SymbolSet, MaskError> {
        if self.takes_check() {
            return Err(self.error(start, MaskProblem::CheckInSet));
        }
        let rest = &self.text[self.at..];
        for (name, set) in NAMED {
            let written = format!(":{name}:]");
            if rest.get(..written.len()).is_some_and(|head| head.eq_ignore_ascii_case(&written)) {
                self.at += written.len();
                return Ok(set);
            }
        }
        Err(self.error(start, MaskProblem::UnknownName))
    }
}
