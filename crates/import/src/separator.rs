//! The separators of a CSV text: the line `sep=;` of spreadsheet programs, and the separator that the first row uses.

/// The separators that are recognized without being named, the most usual one first.
pub(crate) const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];

/// Returns the separator that the first line names, and the length of this line with its end.
pub(crate) fn separator_line(text: &[u8]) -> Option<(u8, usize)> {
    let (quoted, rest) = text.strip_prefix(b"\"").map_or((false, text), |rest| (true, rest));
    let (name, rest) = rest.split_at_checked(4)?;
    let (&separator, rest) = rest.split_first()?;
    let rest = if quoted { rest.strip_prefix(b"\"")? } else { rest };
    let line_end = match rest {
        [] => 0,
        [b'\r', b'\n', ..] => 2,
        [b'\r' | b'\n', ..] => 1,
        _ => return None,
    };
    let length = text.len() - rest.len() + line_end;
    (name.eq_ignore_ascii_case(b"sep=") && !separator.is_ascii_alphanumeric()).then_some((separator, length))
}

/// Returns the separator that occurs most often in the first row, outside quotation marks; the comma if none occurs.
pub(crate) fn most_frequent(row: &[u8]) -> u8 {
    let times = |separator: u8| count_outside_quotes(row, separator);
    let mut best = b',';
    for separator in SEPARATORS {
        if times(separator) > times(best) {
            best = separator;
        }
    }
    best
}

/// Counts a byte outside double quotation marks.
pub(crate) fn count_outside_quotes(line: &[u8], wanted: u8) -> usize {
    let mut quoted = false;
    let outside = line.iter().filter(|&&byte| {
        quoted ^= byte == b'"';
        !quoted && byte == wanted
    });
    outside.count()
}

#[cfg(test)]
mod tests {
    use super::{most_frequent, separator_line};

    #[test]
    fn regression_a_line_that_names_the_separator_is_understood() {
        let table: [(&str, Option<(u8, usize)>); 9] = [
            ("sep=;\r\ncode;x", Some((b';', 7))),
            ("SEP=,\ncode", Some((b',', 6))),
            ("sep=\t", Some((b'\t', 5))),
            ("\"sep=;\"\ncode", Some((b';', 8))),
            ("sep=;;\n", None),
            ("sep=A\n", None),
            ("sep=", None),
            ("", None),
            ("code;x\n", None),
        ];
        for (text, expected) in table {
            assert_eq!(separator_line(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn regression_semicolons_and_tabs_are_recognized_in_the_first_row() {
        for (row, expected) in
            [("code", b','), ("id,code", b','), ("id;code", b';'), ("id\tcode", b'\t'), ("\"a,b,c\";x", b';')]
        {
            assert_eq!(most_frequent(row.as_bytes()), expected, "{row:?}");
        }
    }
}
