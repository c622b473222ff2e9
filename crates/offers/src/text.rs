//! Texts in messages: short, and without anything that a terminal would act on.

use codemint_codes::text::printable;

/// Returns the first characters of a text, escaped, with an ellipsis if something was cut off.
pub(crate) fn cut(text: &str, chars_max: usize) -> String {
    let start: String = text.chars().take(chars_max).collect();
    let rest = if text.chars().nth(chars_max).is_some() { "..." } else { "" };
    format!("{}{rest}", printable(&start))
}
