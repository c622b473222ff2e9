//! Recognizes codes that a spreadsheet program has changed.

use codemint_codes::mask::CODE_LENGTH_MAX;

/// A number of lines, and the first of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lines {
    pub count: u64,
    pub first: u64,
}

/// The lines that look damaged, by the kind of damage.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Damage {
    /// Numbers that were rounded to an exponent, such as `1.00E+10`.
    pub rounded: Lines,
    /// Results of failed formulas, such as `#N/A`.
    pub failed_formulas: Lines,
    /// Whole numbers with decimal places, such as `12345.0`.
    pub decimals: Lines,
    /// Dates, such as `1-Mar`, where most codes are none.
    pub dates: Lines,
    /// Columns that were too narrow: `########`.
    pub hidden: Lines,
    /// Numbers of 16 digits or more, all of which have only zeros after the 15th.
    pub cut_digits: Lines,
    /// Numbers that are shorter than most, while none of those begins with a zero.
    pub lost_zeros: Lines,
}

impl Damage {
    /// Returns each kind of damage that occurs, with its name.
    pub fn kinds(&self) -> impl Iterator<Item = (&'static str, Lines)> {
        let kinds = [
            ("rounded to an exponent, such as 1.00E+10", self.rounded),
            ("results of failed formulas, such as #N/A", self.failed_formulas),
            ("numbers with decimal places, such as 12345.0", self.decimals),
            ("dates, such as 1-Mar", self.dates),
            ("numbers that a column was too narrow for, such as ########", self.hidden),
            ("numbers that have only zeros after the 15th digit", self.cut_digits),
            ("numbers that may have lost leading zeros", self.lost_zeros),
        ];
        kinds.into_iter().filter(|(_, lines)| lines.count > 0)
    }
}

impl Lines {
    fn add(&mut self, line: u64) {
        if self.count == 0 {
            self.first = line;
        }
        self.count += 1;
    }
}

/// Collects damage while codes are read, in constant memory.
pub(crate) struct DamageWatch {
    damage: Damage,
    /// The codes that consist of digits, by length.
    numbers: [Lines; CODE_LENGTH_MAX + 1],
    /// The number of those that begin with a zero.
    with_zero: [u64; CODE_LENGTH_MAX + 1],
    /// The number of those that have only zeros after the 15th digit.
    cut: [u64; CODE_LENGTH_MAX + 1],
    codes: u64,
}

/// The number of digits that spreadsheets keep.
const DIGITS_KEPT: usize = 15;
/// Fewer numbers than this may have zeros by chance.
const CUT_MIN: u64 = 3;

impl Default for DamageWatch {
    fn default() -> Self {
        let numbers = [Lines::default(); CODE_LENGTH_MAX + 1];
        let none = [0; CODE_LENGTH_MAX + 1];
        Self { damage: Damage::default(), numbers, with_zero: none, cut: none, codes: 0 }
    }
}

impl DamageWatch {
    /// Takes a valid code in upper case.
    pub fn take(&mut self, code: &[u8], line: u64) {
        self.codes += 1;
        match code {
            [b'#', b'#', ..] if code.iter().all(|&byte| byte == b'#') => self.damage.hidden.add(line),
            [b'#', ..] if is_failed_formula(code) => self.damage.failed_formulas.add(line),
            [b'0'..=b'9', ..] if code.iter().all(u8::is_ascii_digit) => {
                self.numbers[code.len()].add(line);
                self.with_zero[code.len()] += u64::from(code[0] == b'0');
                let is_cut = code.len() > DIGITS_KEPT && code[DIGITS_KEPT..].iter().all(|&digit| digit == b'0');
                self.cut[code.len()] += u64::from(is_cut);
            }
            [b'0'..=b'9', ..] if is_rounded(code) => self.damage.rounded.add(line),
            [b'0'..=b'9', ..] if is_decimal(code) => self.damage.decimals.add(line),
            [b'0'..=b'9' | b'A'..=b'Z', ..] if is_date(code) => self.damage.dates.add(line),
            _ => {}
        }
    }

    /// Compares the lengths of numbers: one random number in ten begins with a zero, so fewer than one in four is
    /// shorter once the zeros are lost.
    pub fn finish(mut self) -> Damage {
        let usual = (0..self.numbers.len()).max_by_key(|&length| self.numbers[length].count).unwrap_or_default();
        let shorter = self.numbers[..usual].iter().filter(|lines| lines.count > 0);
        let lost = shorter.fold(Lines::default(), |so_far, lines| Lines {
            count: so_far.count + lines.count,
            first: if so_far.count == 0 { lines.first } else { so_far.first.min(lines.first) },
        });
        if lost.count.saturating_mul(4) < self.numbers[usual].count && self.with_zero[usual] == 0 {
            self.damage.lost_zeros = lost;
        }
        let cut = (DIGITS_KEPT..self.numbers.len())
            .filter(|&length| self.cut[length] >= CUT_MIN && self.cut[length] == self.numbers[length].count);
        if let Some(length) = cut.max_by_key(|&length| self.cut[length]) {
            self.damage.cut_digits = self.numbers[length];
        }
        if self.damage.dates.count * 2 > self.codes {
            self.damage.dates = Lines::default();
        }
        self.damage
    }
}

fn is_failed_formula(code: &[u8]) -> bool {
    matches!(code, b"#N/A" | b"#REF!" | b"#VALUE!" | b"#NAME?" | b"#DIV/0!" | b"#NULL!" | b"#NUM!" | b"#SPILL!")
}

/// Returns true for digits, perhaps decimal places, and an exponent with its sign, which spreadsheets always write.
fn is_rounded(code: &[u8]) -> bool {
    let Some(at) = code.iter().position(|&byte| byte == b'E') else { return false };
    let is_number = |text: &[u8]| !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let (number, exponent) = (&code[..at], &code[at + 1..]);
    let mut parts = number.splitn(2, |byte| matches!(byte, b'.' | b','));
    parts.all(is_number) && matches!(exponent, [b'+' | b'-', digits @ ..] if is_number(digits))
}

/// Returns true for a date as spreadsheets write it: `1-MAR`, `MAR-07`, `07.03.2026`, `3/7/2026`, `2026-03-07`.
fn is_date(code: &[u8]) -> bool {
    if code.len() > "2026-03-07".len() {
        return false;
    }
    let mut parts = code.split(|byte| matches!(byte, b'-' | b'/' | b'.'));
    let is_number = |part: &[u8]| matches!(part.len(), 1 | 2 | 4) && part.iter().all(u8::is_ascii_digit);
    let is_month = |part: &[u8]| MONTHS.contains(&part);
    match [parts.next(), parts.next(), parts.next(), parts.next()] {
        [Some(a), Some(b), None, None] => is_month(a) && is_number(b) || is_number(a) && is_month(b),
        [Some(a), Some(b), Some(c), None] => {
            let is_dated = is_month(b) || is_number(b) && (a.len() == 4 || c.len() == 4);
            is_dated && is_number(a) && is_number(c)
        }
        _ => false,
    }
}

const MONTHS: [&[u8]; 12] =
    [b"JAN", b"FEB", b"MAR", b"APR", b"MAY", b"JUN", b"JUL", b"AUG", b"SEP", b"OCT", b"NOV", b"DEC"];

fn is_decimal(code: &[u8]) -> bool {
    let Some(at) = code.iter().position(|&byte| byte == b'.') else { return false };
    let places = &code[at + 1..];
    code[..at].iter().all(u8::is_ascii_digit) && !places.is_empty() && places.iter().all(|&byte| byte == b'0')
}

#[cfg(test)]
mod tests {
    use super::{Damage, DamageWatch, Lines};

    fn damage_of(codes: &[&str]) -> Damage {
        let mut watch = DamageWatch::default();
        (1..).zip(codes).for_each(|(line, code)| watch.take(code.as_bytes(), line));
        watch.finish()
    }

    #[test]
    fn regression_lines_damaged_by_a_spreadsheet_are_recognized() {
        let found = damage_of(&["A1", "1.00E+10", "#N/A", "1,5E-3", "12345.0", "#REF!", "12E+5"]);
        assert_eq!(found.rounded, Lines { count: 3, first: 2 });
        assert_eq!(found.failed_formulas, Lines { count: 2, first: 3 });
        assert_eq!(found.decimals, Lines { count: 1, first: 5 });
        assert_eq!(found.kinds().count(), 3);
        let sound = damage_of(&["1E10", "E+10", "1.0.0", "1.05", "#A", "#N/A1", "1.E+1", "1E+", "12345E6789", "7."]);
        assert_eq!(sound, Damage::default());
    }

    #[test]
    fn regression_numbers_shorter_than_most_have_lost_zeros() {
        let mut codes = vec!["12345678"; 9];
        codes.insert(4, "345678");
        codes.insert(2, "2345678");
        assert_eq!(damage_of(&codes).lost_zeros, Lines { count: 2, first: 3 });
        codes.push("01234567");
        assert_eq!(damage_of(&codes).lost_zeros, Lines::default(), "zeros were kept");
        assert_eq!(damage_of(&["123", "1234", "12345"]).lost_zeros, Lines::default(), "no usual length");
    }
}
