//! The form of a segment: its name, and its condition as JSON.

use serde_json::{Value, json};

use crate::form::condition::json_of;
use crate::form::fields::Fields;
use crate::problem::Problem;

const CONDITION: &str = "/condition";

/// A condition that the form shows as an example.
pub const EXAMPLE: &str = r#"{
  "all": [
    { "in": { "attribute": "country", "values": ["DE", "AT"] } },
    { "compare": { "attribute": "orders", "op": "ge", "value": 3 } }
  ]
}"#;

/// Returns the document of a form, which [`read_segment`](crate::read::condition::read_segment) reads and checks. A segment without a
/// condition has listed members only.
///
/// # Errors
/// The problem of a condition that is not JSON.
pub fn segment_document(fields: &Fields) -> Result<Value, Problem> {
    let condition = match fields.filled("condition") {
        Some(text) => json_of(text).map_err(|advice| Problem::new(CONDITION, advice))?,
        None => Value::Null,
    };
    Ok(json!({ "condition": condition }))
}

/// Returns a form with this name and condition.
pub fn fields_of_segment(name: &str, condition: &Value) -> Fields {
    let mut fields = Fields::default();
    fields.set("name", name);
    if !condition.is_null() {
        fields.set("condition", serde_json::to_string_pretty(condition).unwrap_or_default());
    }
    fields
}

/// Returns the field that a problem belongs to; none if it concerns the form as a whole.
pub fn field_of(pointer: &str) -> Option<&'static str> {
    match pointer {
        "name" | "/name" => Some("name"),
        pointer if pointer.starts_with(CONDITION) => Some("condition"),
        _ => None,
    }
}

/// Puts the place within the condition before each message: the form has one field for all of it.
pub fn with_places(problems: Vec<Problem>) -> Vec<Problem> {
    let with_place = |Problem { field, message }: Problem| {
        let place = field.strip_prefix(CONDITION).filter(|place| !place.is_empty());
        let message = place.map(|place| format!("at {place}: {message}")).unwrap_or(message);
        Problem { field, message }
    };
    problems.into_iter().map(with_place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::condition::read_segment;

    #[test]
    fn a_form_says_the_document_that_programs_send() {
        let condition = json!({ "compare": { "attribute": "vip", "op": "eq", "value": true } });
        for condition in [condition, Value::Null] {
            let fields = fields_of_segment("gold", &condition);
            assert_eq!(segment_document(&fields), Ok(json!({ "condition": condition })));
            assert_eq!(fields.text("name"), "gold");
        }
    }

    #[test]
    fn the_example_is_a_condition() {
        let mut fields = Fields::default();
        fields.set("condition", EXAMPLE);
        let document = segment_document(&fields).expect("JSON");
        assert!(read_segment(&document).is_ok_and(|segment| segment.condition.is_some()));
    }

    #[test]
    fn problems_name_the_place_in_the_condition() {
        let mut fields = Fields::default();
        fields.set("condition", "{\n  \"all\": [");
        let problem = segment_document(&fields).expect_err("no JSON");
        assert_eq!(field_of(&problem.field), Some("condition"));
        assert!(problem.message.contains("line 2"), "{}", problem.message);
        fields.set("condition", r#"{ "all": [ { "nonsense": 1 } ] }"#);
        let document = segment_document(&fields).expect("JSON");
        let problems = with_places(read_segment(&document).expect_err("no condition"));
        assert!(problems.iter().all(|problem| field_of(&problem.field) == Some("condition")), "{problems:?}");
        assert!(problems.iter().any(|problem| problem.message.starts_with("at /all/0")), "{problems:?}");
    }
}
