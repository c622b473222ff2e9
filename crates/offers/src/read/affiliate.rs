//! Reads rules for affiliates, and the details of exclusions.

use codemint_codes::mask::Mask;
use serde_json::Value;

use crate::affiliate::book::normalized;
use crate::affiliate::exclusion::{Details, REFERENCE_LENGTH_MAX, checked_detail};
use crate::affiliate::rule::{PERIODS_MAX, PREFIX_LENGTH_MAX, PRIORITY_MAX, Period, Rule};
use crate::problem::Problem;
use crate::read::node::{Node, Object, Problems};

const FIELDS: [&str; 7] = ["name", "mask", "prefix", "campaign", "active", "priority", "periods"];

/// Reads a rule of this name: `{ "mask", "prefix", "campaign", "active", "priority", "periods": [ { "from", "to" } ] }`. The document
/// may repeat the name. The prefix is folded to upper case, as masks and references are.
///
/// # Errors
/// Every problem.
///
/// ```
/// use codemint_offers::read::affiliate::read_rule;
/// use serde_json::json;
///
/// let rule = read_rule("choc-2027", &json!({ "mask": "0#########", "prefix": "fch", "campaign": "choc" })).expect("a rule");
/// assert_eq!((&*rule.prefix, rule.active, rule.priority), ("FCH", true, 0));
/// ```
pub fn read_rule(name: &str, value: &Value) -> Result<Rule, Vec<Problem>> {
    let problems = Problems::default();
    let read = rule(name, &Node::root(value, &problems));
    problems.or(read)
}

fn rule(name: &str, node: &Node<'_>) -> Option<Rule> {
    let object = node.object(&FIELDS)?;
    let named = object.or("name", name.to_owned(), Node::text);
    if named.as_ref().is_some_and(|named| named != name) {
        object.wrong("name", "the document names another rule; write the same name, or leave it out");
    }
    let mask = object.required("mask").and_then(|node| mask(&node));
    let prefix = object.or("prefix", String::new(), prefix);
    let campaign = object.required("campaign").and_then(|node| node.text());
    let active = object.or("active", true, Node::boolean);
    let priority = object.or("priority", 0, |node| node.integer((-PRIORITY_MAX).into(), PRIORITY_MAX.into()));
    let periods = object.or("periods", Vec::new(), periods);
    check_length(&object, mask.as_ref(), prefix.as_deref());
    let (mask, mask_text) = mask?;
    // The limits are those of the type.
    let priority = priority? as i32;
    let (prefix, campaign, active, periods) = (prefix?, campaign?, active?, periods?);
    Some(Rule { name: named?, mask, mask_text, prefix, campaign, active, priority, periods })
}

fn mask(node: &Node<'_>) -> Option<(Mask, String)> {
    let Value::String(text) = node.value() else {
        return node.wrong("a mask is expected, such as \"0#########\"");
    };
    let mask: Mask = match text.parse() {
        Ok(mask) => mask,
        Err(error) => return node.wrong(format!("byte {}: {}", error.offset + 1, error.problem)),
    };
    if mask.check_length() > 0 {
        return node
            .wrong("references have no check characters of this program; write # ? * or a set instead of [:check:]");
    }
    Some((mask, text.clone()))
}

fn prefix(node: &Node<'_>) -> Option<String> {
    let Value::String(text) = node.value() else {
        return node.wrong("a prefix is expected, such as \"FCH\"");
    };
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if text.len() > PREFIX_LENGTH_MAX || !text.bytes().all(is_plain) {
        return node.wrong(format!("a prefix has at most {PREFIX_LENGTH_MAX} letters A-Z, digits, - and _"));
    }
    Some(normalized(text))
}

/// What a reference becomes is a reference, too: it may be resolved again.
fn check_length(object: &Object<'_>, mask: Option<&(Mask, String)>, prefix: Option<&str>) {
    let (Some((mask, _)), Some(prefix)) = (mask, prefix) else { return };
    let length = prefix.len() + mask.code_length();
    if length > REFERENCE_LENGTH_MAX {
        let message =
            format!("prefix and mask have {length} characters together; at most {REFERENCE_LENGTH_MAX} are allowed");
        object.wrong("mask", message);
    }
}

fn periods(node: &Node<'_>) -> Option<Vec<Period>> {
    let read: Vec<Option<Period>> = node.list(0, PERIODS_MAX)?.iter().map(period).collect();
    read.into_iter().collect()
}

fn period(node: &Node<'_>) -> Option<Period> {
    let object = node.object(&["from", "to"])?;
    let instant = |name| object.optional(name, |node| node.instant_of_four_digits().map(|time| time.to_utc()));
    let (from, to) = (instant("from"), instant("to"));
    let period = Period { from: from?, to: to? };
    match (period.from, period.to) {
        (Some(from), Some(to)) if from >= to => {
            object.wrong("to", "a period ends after it begins; write a later time, or null for no end");
            None
        }
        _ => Some(period),
    }
}

/// Reads the details of an exclusion: `{ "affiliate", "promotion", "note" }`.
///
/// # Errors
/// Every problem.
pub fn read_details(value: &Value) -> Result<Details, Vec<Problem>> {
    let problems = Problems::of_request();
    let read = details(&Node::root(value, &problems));
    problems.or(read)
}

fn details(node: &Node<'_>) -> Option<Details> {
    let object = node.object(&["affiliate", "promotion", "note"])?;
    let detail = |name| object.or(name, None, |node| detail(name, node));
    let (affiliate, promotion, note) = (detail("affiliate"), detail("promotion"), detail("note"));
    Some(Details { affiliate: affiliate?, promotion: promotion?, note: note? })
}

fn detail(name: &'static str, node: &Node<'_>) -> Option<Option<String>> {
    let Value::String(text) = node.value() else { return node.wrong("a text or null is expected") };
    checked_detail(name, text).map_or_else(|error| node.wrong(error.to_string()), Some)
}
