//! What has changed between two versions of a campaign.

use serde_json::Value;

use crate::campaign::definition::Definition;

/// A field that has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field, such as `limits per_code`.
    pub field: String,
    /// The values as JSON has them, texts without quotation marks; empty for null.
    pub before: String,
    pub after: String,
}

/// Returns the fields that differ, in the order of the definition. Objects are compared field by field, lists as a whole.
pub fn differences(before: &Definition, after: &Definition) -> Vec<Difference> {
    // Definitions are always written as JSON.
    let (Ok(before), Ok(after)) = (serde_json::to_value(before), serde_json::to_value(after)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    compare("", &before, &after, &mut found);
    found
}

/// Hides the masks in differences, for people who may not see masks: the change itself stays.
pub fn hide_masks(differences: &mut [Difference]) {
    for difference in differences.iter_mut().filter(|difference| difference.field == "mask") {
        (difference.before, difference.after) = ("hidden".to_owned(), "hidden".to_owned());
    }
}

fn compare(field: &str, before: &Value, after: &Value, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            let names = old.keys().chain(new.keys().filter(|name| !old.contains_key(*name)));
            for name in names {
                let inner = if field.is_empty() { name.clone() } else { format!("{field} {name}") };
                let value = |map: &serde_json::Map<String, Value>| map.get(name).cloned().unwrap_or_default();
                compare(&inner, &value(old), &value(new), found);
            }
        }
        _ => found.push(Difference { field: field.to_owned(), before: shown(before), after: shown(after) }),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(shown).collect::<Vec<_>>().join(", "),
        value => value.to_string(),
    }
}
