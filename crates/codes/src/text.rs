//! Texts for people: the escaping of what came from outside, and numbers with their nouns.

/// Escapes a text from outside for one line of output: every character that could act on a terminal, end the line,
/// reorder the text around it, or pass unseen. Tabs stay. Programs read JSON instead, which escapes by its own rules.
///
/// ```
/// use codemint_codes::text::printable;
///
/// assert_eq!(printable("A\x1b[2J\u{202e}B\nC"), r"A\u{1b}[2J\u{202e}B\nC");
/// assert_eq!(printable("Frühling 'C:\\24'"), "Frühling 'C:\\24'");
/// ```
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for (at, c) in text.char_indices() {
        if is_misleading(c, at == 0) {
            shown.extend(c.escape_debug());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Escapes each line of a text of several lines, such as a report.
pub fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<String>>().join("\n")
}

/// Returns the bytes as lower-case hexadecimal digits.
///
/// ```
/// assert_eq!(codemint_codes::text::hexadecimal(&[0x0f, 0xa0]), "0fa0");
/// ```
pub fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from(DIGITS[usize::from(digit)]));
    bytes.iter().flat_map(digits).collect()
}

fn is_misleading(c: char, is_first: bool) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control() && c != '\t';
    }
    // A combining mark needs a character before it: the first one would change what stands before the text.
    is_first && c.escape_debug().count() > 1 || format!("a{c}").escape_debug().count() > 2
}

/// Returns a number with a comma between thousands.
///
/// ```
/// assert_eq!(codemint_codes::text::grouped(1_234_567), "1,234,567");
/// ```
pub fn grouped(number: u128) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Returns the noun, in the plural unless the number is 1.
///
/// ```
/// use codemint_codes::text::plural;
///
/// assert_eq!(format!("{} {}", 1, plural(1_u64, "code")), "1 code");
/// assert_eq!(format!("{} {}", 0, plural(0_u64, "guess")), "0 guesses");
/// ```
pub fn plural<N: PartialEq + From<u8>>(number: N, noun: &str) -> String {
    let hisses = noun.ends_with(['s', 'x']) || noun.ends_with("ch") || noun.ends_with("sh");
    format!("{noun}{}", one_or_many(number, "", if hisses { "es" } else { "s" }))
}

/// Returns the first form if the number is 1, as in "1 is" and "2 are".
pub fn one_or_many<N: PartialEq + From<u8>>(number: N, one: &'static str, many: &'static str) -> &'static str {
    if number == N::from(1) { one } else { many }
}
