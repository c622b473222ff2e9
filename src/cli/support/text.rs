//! Formatting of texts and numbers for people.

use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use codemint_codes::text::{grouped, plural, printable};

/// Formats a time to the millisecond.
pub fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// Formats the campaign of a job within a sentence.
pub fn campaign_text(campaign: Option<&str>) -> String {
    campaign.map_or("no campaign".to_owned(), |name| format!("campaign {}", printable(name)))
}

/// Formats a path within a sentence.
pub fn shown_path(path: &Path) -> String {
    printable(&path.display().to_string())
}

/// Quotes a word for a shell, and escapes what a terminal would act on in a form that bash and zsh read back.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if printable(word) != word {
        format!("$'{}'", word.chars().map(ansi_c).collect::<String>())
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Escapes a character within `$'...'`.
fn ansi_c(c: char) -> String {
    match c {
        '\'' | '\\' => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        _ => format!("\\U{:08X}", u32::from(c)),
    }
}

/// Formats a number with its noun: "1 code", "2,000 codes".
pub fn counted(number: u128, noun: &str) -> String {
    format!("{} {}", grouped(number), plural(number, noun))
}

/// Formats a share as a percentage with meaningful digits, however small it is.
pub fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 0.01 { format!("{percent:.2} %") } else { format!("{percent:.1e} %") }
}

/// Formats a text with a caret under one of its bytes.
pub fn with_caret(text: &str, offset: usize) -> String {
    let before = printable(text.get(..offset).unwrap_or(text)).chars().count();
    format!("  {}\n  {}^", printable(text), " ".repeat(before))
}
