//! The contract with other systems: the schema in docs/schemas matches the types and what is really read.

use std::fs;

use codemint_offers::campaign::definition::Definition;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_offers::redemption::event::Event;
use codemint_offers::referral::event::ReferralEvent;
use codemint_offers::trigger::document::TriggerRequest;
use codemint_offers::trigger::event::TriggerEvent;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_oneof, proptest};
use proptest::sample::select;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, RestrictFormats};
use schemars::{JsonSchema, Schema};
use serde_json::{Value, json};

use codemint_test_support::schemas::{assert_fits, path, validator};

use crate::definitions::{any_document, written};
use crate::steps::cases;

/// The variable that, if set, makes the test write the schema before it compares it.
const WRITE: &str = "CODEMINT_WRITE_SCHEMAS";
const NAME: &str = "campaign-definition";

/// The schema of a type in draft 7, as the other published schemas are.
fn schema_of<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut formats = RestrictFormats::default();
    formats.infer_from_meta_schema = false;
    formats.allowed_formats = ["date-time".into()].into();
    let generator = settings.with_transform(formats).with_transform(RecursiveTransform(unwrap_lines)).into_generator();
    generator.into_root_schema_for::<T>().into()
}

/// Joins the lines of a paragraph: line breaks in the source mean nothing, empty lines do.
fn unwrap_lines(schema: &mut Schema) {
    if let Some(Value::String(text)) = schema.get_mut("description") {
        *text = text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n");
    }
}

#[test]
fn the_published_schemas_match_the_types() {
    let (read, told) = (SchemaSettings::draft07().for_deserialize(), SchemaSettings::draft07().for_serialize());
    for (name, schema) in [
        (NAME, schema_of::<Definition>(read.clone())),
        ("redemption-event", schema_of::<Event>(told.clone())),
        ("referral-event", schema_of::<ReferralEvent>(told.clone())),
        ("trigger-message", schema_of::<TriggerRequest>(read)),
        ("trigger-event", schema_of::<TriggerEvent>(told)),
    ] {
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).expect("JSON"));
        if std::env::var_os(WRITE).is_some() {
            fs::write(path(name), &text).expect("a file");
        }
        let published = fs::read_to_string(path(name)).unwrap_or_default();
        assert_eq!(
            published, text,
            "{name}: write it with {WRITE}=1 cargo test -p codemint-offers contract, and review the change"
        );
    }
}

/// A value that is wrong for most fields.
fn odd_values() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2..3_i64).prop_map(Value::from),
        Just(json!(u64::MAX)),
        Just(json!(1.5)),
        Just(json!("")),
        Just(json!("text")),
        Just(json!([])),
        Just(json!(["text"])),
        Just(json!([7])),
        Just(json!({})),
        Just(json!({ "unknown": 1 })),
    ]
}

/// Pointers of all values of a document.
fn pointers(value: &Value, at: &str) -> Vec<String> {
    let below: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields.iter().map(|(name, value)| (format!("{at}/{name}"), value)).collect(),
        Value::Array(values) => {
            values.iter().enumerate().map(|(index, value)| (format!("{at}/{index}"), value)).collect()
        }
        _ => Vec::new(),
    };
    let deeper = below.iter().flat_map(|(at, value)| pointers(value, at)).collect::<Vec<_>>();
    below.iter().map(|(at, _)| at.clone()).chain(deeper).collect()
}

fn broken_documents() -> impl Strategy<Value = Value> {
    let places = any_document().prop_flat_map(|document| {
        let places = pointers(&document, "");
        (Just(document), select(places), odd_values())
    });
    places.prop_map(|(mut document, place, value)| {
        *document.pointer_mut(&place).expect("a place") = value;
        document
    })
}

proptest! {
    #![proptest_config(cases(1500))]

    #[test]
    fn prop_what_is_read_and_what_is_written_fit_the_schema(document in prop_oneof![any_document(), broken_documents()]) {
        let validator = published();
        if let Ok(read) = read_definition(&document, NameFrom::Path("spring")) {
            prop_assert!(validator.is_valid(&document), "{}", document);
            assert_fits(validator, &written(&read));
        }
    }

    #[test]
    fn prop_a_problem_names_a_field_and_a_fix_in_a_short_message(document in broken_documents()) {
        for problem in read_definition(&document, NameFrom::Path("spring")).err().into_iter().flatten() {
            prop_assert!(problem.field.is_empty() || problem.field.starts_with('/'), "{}", problem);
            prop_assert!((10..400).contains(&problem.message.len()) && !problem.message.ends_with('.'), "{}", problem);
        }
    }
}

fn published() -> &'static jsonschema::Validator {
    static SCHEMA: std::sync::OnceLock<jsonschema::Validator> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(|| validator(NAME))
}
