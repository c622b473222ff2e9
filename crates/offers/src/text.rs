//! Texts in messages: short, and without anything that a terminal would act on; numbers as people read them.

use codemint_codes::text::printable;

/// Returns the first characters of a text, escaped, with an ellipsis if something was cut off.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    let start: String = text.chars().take(chars_max).collect();
    let rest = if text.chars().nth(chars_max).is_some() { "..." } else { "" };
    format!("{}{rest}", printable(&start))
}

/// Returns a number with a comma between thousands.
pub(crate) fn grouped(number: u64) -> String {
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
