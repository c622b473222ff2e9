//! Formatting of texts and numbers for people.

/// Formats the campaign of a job within a sentence.
pub fn campaign_text(campaign: Option<&str>) -> String {
    campaign.map_or("no campaign".to_owned(), |name| format!("campaign {name}"))
}

/// Quotes a word for a shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Escapes an untrusted text for one line of output: any character that could move a cursor or be invisible.
pub fn printable(text: &str) -> String {
    let shown = |c: char| {
        let hidden = c != '\t' && !matches!(c, '"' | '\'' | '\\') && c.escape_debug().len() > 1;
        if hidden { c.escape_debug().to_string() } else { c.to_string() }
    };
    text.chars().map(shown).collect()
}

/// Formats 1234567 as 1,234,567.
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

/// Formats a text with a caret under one of its bytes.
pub fn with_caret(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text).chars().count();
    format!("  {text}\n  {}^", " ".repeat(before))
}
