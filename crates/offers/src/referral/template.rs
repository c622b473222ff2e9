//! The text that a referrer forwards to friends.

use std::fmt;

use crate::campaign::definition::Definition;
use crate::discount::rule::Effect;
use crate::form::amounts::percent_text;

/// What stands between double braces in a template, and is replaced.
pub const PLACEHOLDERS: [&str; 5] = ["code", "campaign_title", "discount", "ends_on", "landing_url"];

/// The text of a campaign that has no template.
pub const DEFAULT_TEMPLATE: &str = "Here is a code for you: {{code}}. It takes {{discount}} off: {{campaign_title}}.";

/// The reason why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A placeholder has no end.
    Unclosed,
    Unknown(String),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclosed => f.write_str("a placeholder begins with {{ and has no }}; close it")?,
            Self::Unknown(name) => write!(f, "{{{{{name}}}}} is not a placeholder; use one")?,
        }
        f.write_str(" of ")?;
        for (at, name) in PLACEHOLDERS.iter().enumerate() {
            write!(f, "{}{{{{{name}}}}}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// A part of a template.
enum Part<'a> {
    Text(&'a str),
    Placeholder(&'a str),
}

/// Cuts a template into its parts.
fn parts(template: &str) -> Result<Vec<Part<'_>>, TemplateError> {
    let (mut parts, mut rest) = (Vec::new(), template);
    while let Some((text, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").ok_or(TemplateError::Unclosed)?;
        let name = name.trim();
        if !PLACEHOLDERS.contains(&name) {
            return Err(TemplateError::Unknown(name.chars().take(40).collect()));
        }
        parts.extend([Part::Text(text), Part::Placeholder(name)]);
        rest = after;
    }
    parts.push(Part::Text(rest));
    Ok(parts)
}

/// Checks the placeholders of a template.
///
/// # Errors
/// The first placeholder that is unknown or not closed.
pub fn check_template(template: &str) -> Result<(), TemplateError> {
    parts(template).map(drop)
}

/// Returns the text to forward with this code: the campaign's template with its placeholders replaced. What replaces them is not
/// searched for further ones.
pub fn forward_text(definition: &Definition, code: &str) -> String {
    let template = definition.referral.as_ref().and_then(|referral| referral.forward_template.as_deref());
    let template = template.unwrap_or(DEFAULT_TEMPLATE);
    // A definition was checked when it was saved.
    let Ok(parts) = parts(template) else { return template.to_owned() };
    let text_of = |part: Part<'_>| match part {
        Part::Text(text) => text.to_owned(),
        Part::Placeholder("code") => code.to_owned(),
        Part::Placeholder("campaign_title") => definition.title.clone(),
        Part::Placeholder("discount") => discount(&definition.discount.effect),
        Part::Placeholder("ends_on") => last_day(definition),
        Part::Placeholder(_) => definition.offer.landing_url.clone().unwrap_or_default(),
    };
    parts.into_iter().map(text_of).collect()
}

/// Formats what is taken off: "10 %", "5.00 EUR".
pub(crate) fn discount(effect: &Effect) -> String {
    match effect {
        Effect::Percent { basis_points } => format!("{} %", percent_text(*basis_points)),
        Effect::Amount(amount) => amount.to_string(),
    }
}

/// Returns the last day of a campaign in its zone; empty without an end. The end itself is the first instant after it.
fn last_day(definition: &Definition) -> String {
    let last = definition.ends_at.map(|ends_at| ends_at - chrono::TimeDelta::milliseconds(1));
    last.map(|last| last.with_timezone(&definition.zone).format("%Y-%m-%d").to_string()).unwrap_or_default()
}

/// Returns a text as HTML has it between tags and in quoted attributes.
pub fn html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// Returns a text that may stand in a header of a mail: without line ends and other control characters, which could add headers. A
/// library for mail still has to encode other characters (RFC 2047).
pub fn header(text: &str) -> String {
    text.chars().map(|c| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') { ' ' } else { c }).collect()
}
