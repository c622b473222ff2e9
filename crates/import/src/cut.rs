//! Cuts what surrounds a code: blanks, and a pair of quotation marks around the whole text.

/// The code of a text, and what was cut off around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut<'a> {
    pub code: &'a [u8],
    pub blanks: bool,
    pub quotes: bool,
}

/// The reason why the end of a quoted text is unclear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unclear {
    Unclosed,
    TextAfter,
}

impl<'a> Cut<'a> {
    /// Cuts blanks only, because the format itself marks where a text begins and ends.
    pub fn blanks_of(text: &'a [u8]) -> Self {
        let code = trimmed(text);
        Self { code, blanks: code.len() < text.len(), quotes: false }
    }

    /// Cuts blanks, and then a matching pair of quotation marks.
    pub fn of(text: &'a [u8]) -> Result<Self, Unclear> {
        let outer = Self::blanks_of(text);
        match outer.code {
            [b'"', inner @ .., b'"'] if !inner.contains(&b'"') => Ok(outer.without_quotes(inner)),
            [b'\'', inner @ .., b'\''] if !inner.contains(&b'\'') => Ok(outer.without_quotes(inner)),
            [b'"', inner @ ..] if inner.contains(&b'"') => Err(Unclear::TextAfter),
            [b'"', ..] => Err(Unclear::Unclosed),
            _ => Ok(outer),
        }
    }

    fn without_quotes(self, inner: &'a [u8]) -> Self {
        let inner = Self::blanks_of(inner);
        Self { code: inner.code, blanks: self.blanks || inner.blanks, quotes: true }
    }
}

fn trimmed(text: &[u8]) -> &[u8] {
    let is_code = |byte: &u8| !matches!(byte, b' ' | b'\t');
    let Some(first) = text.iter().position(is_code) else { return &[] };
    let last = text.iter().rposition(is_code).unwrap_or(first);
    &text[first..=last]
}

#[cfg(test)]
mod tests {
    use super::{Cut, Unclear};

    #[test]
    fn regression_blanks_and_pairs_of_quotation_marks_around_a_line_are_cut() {
        let table = [
            ("A1", Ok(("A1", false, false))),
            (" A1\t ", Ok(("A1", true, false))),
            ("\"A1\"", Ok(("A1", false, true))),
            (" 'A1' ", Ok(("A1", true, true))),
            ("\" A1 \"", Ok(("A1", true, true))),
            ("\"A'1\"", Ok(("A'1", false, true))),
            ("\"\"", Ok(("", false, true))),
            (" ", Ok(("", true, false))),
            ("'A1", Ok(("'A1", false, false))),
            ("'A'1'", Ok(("'A'1'", false, false))),
            ("'", Ok(("'", false, false))),
            ("5\"", Ok(("5\"", false, false))),
            ("\"", Err(Unclear::Unclosed)),
            ("\"A1", Err(Unclear::Unclosed)),
            ("\"A1\"B", Err(Unclear::TextAfter)),
            ("\"A\"\"1\"", Err(Unclear::TextAfter)),
        ];
        for (text, expected) in table {
            let cut = Cut::of(text.as_bytes()).map(|cut| (cut.code, cut.blanks, cut.quotes));
            assert_eq!(cut, expected.map(|(code, blanks, quotes)| (code.as_bytes(), blanks, quotes)), "{text:?}");
        }
    }
}
