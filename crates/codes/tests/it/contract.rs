//! The contract with other systems: the schemas in docs/schemas match the types and what is really read and written.

use std::fs;

use codemint_codes::wire::document::JobDocument;
use codemint_codes::wire::event::EventDocument;
use codemint_codes::wire::message::{Envelope, JobMessage, decode};
use jsonschema::Validator;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, RestrictFormats};
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use codemint_test_support::schemas::{path, validator};

/// The variable that, if set, makes the test write the schemas before it compares them.
const WRITE: &str = "CODEMINT_WRITE_SCHEMAS";
const ID: &str = "0193f0a4-6c1e-7b6e-9a53-2f6f0b1c9d77";

/// The schema of a type in draft 7, which every tool reads, and AsyncAPI without further declarations.
fn schema_of<T: JsonSchema>(settings: SchemaSettings) -> Value {
    let mut formats = RestrictFormats::default();
    formats.infer_from_meta_schema = false;
    formats.allowed_formats = ["date-time".into(), "uuid".into()].into();
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
    let schemas = [
        ("job-message", schema_of::<JobMessage>(read)),
        ("job", schema_of::<JobDocument>(told.clone())),
        ("event", schema_of::<EventDocument>(told)),
    ];
    for (name, schema) in schemas {
        let text = format!("{}\n", serde_json::to_string_pretty(&schema).expect("JSON"));
        if std::env::var_os(WRITE).is_some() {
            fs::write(path(name), &text).expect("a file");
        }
        let published = fs::read_to_string(path(name)).unwrap_or_default();
        assert_eq!(
            published, text,
            "{name}: write it with {WRITE}=1 cargo test -p codemint-codes contract, and review the change"
        );
    }
}

/// A request with one field added or replaced.
fn with(name: &str, value: Value) -> Value {
    let mut request = json!({ "job_id": ID, "mask": "A????##", "count": 10 });
    request[name] = value;
    request
}

fn without(name: &str) -> Value {
    let mut request = with("campaign", json!("spring"));
    request.as_object_mut().expect("an object").remove(name);
    request
}

/// Whether a message is read; it has a message id, so that `job_id` may be missing.
fn is_read(text: &str) -> bool {
    let envelope = Envelope { message_id: Some(ID), ..Envelope::default() };
    decode(text.as_bytes(), &envelope).is_ok()
}

#[test]
fn a_job_message_is_read_exactly_if_it_fits_the_schema() {
    let simple = ID.replace('-', "");
    let requests = [
        with("priority", json!(9)),
        with("priority", json!(null)),
        with("new_check_key", json!(true)),
        with("new_check_key", json!(false)),
        with("new_check_key", json!(null)),
        with("campaign", json!(null)),
        with("campaign", json!("")),
        with("campaign", json!("Sömmer \n 🎁")),
        with("mask", json!("")),
        with("mask", json!("no mask at all {".repeat(1000))),
        with("count", json!(0)),
        with("count", json!(i64::MAX)),
        with("unknown", json!({ "nested": [1, 2, { "deep": null }] })),
        with("job_id", json!(ID.to_uppercase())),
        with("job_id", json!(simple)),
        with("job_id", json!(format!("{{{ID}}}"))),
        with("job_id", json!(format!("URN:uuid:{ID}"))),
        with("job_id", json!(null)),
        without("job_id"),
        without("campaign"),
    ];
    let others = [
        without("mask"),
        without("count"),
        with("mask", json!(null)),
        with("mask", json!(["A##"])),
        with("mask", json!("A\0##")),
        with("count", json!(null)),
        with("count", json!("10")),
        with("count", json!(-1)),
        with("count", json!(1.5)),
        with("count", json!(i64::MAX as u64 + 1)),
        with("count", json!(u64::MAX)),
        with("count", json!(true)),
        with("new_check_key", json!("true")),
        with("new_check_key", json!(1)),
        with("priority", json!(10)),
        with("priority", json!(-1)),
        with("priority", json!("high")),
        with("campaign", json!(7)),
        with("campaign", json!("a\0b")),
        with("job_id", json!("")),
        with("job_id", json!(7)),
        with("job_id", json!("not a UUID")),
        with("job_id", json!(format!("{ID}\n"))),
        with("job_id", json!(format!("{{{ID}"))),
        with("job_id", json!(format!("{{{simple}}}"))),
        json!([]),
        json!("A##"),
        json!(null),
    ];
    let schema = validator("job-message");
    let expected = requests.iter().map(|request| (request, true)).chain(others.iter().map(|other| (other, false)));
    for (document, is_request) in expected {
        assert_eq!(is_read(&document.to_string()), is_request, "{document}");
        assert_eq!(schema.is_valid(document), is_request, "{document}");
    }
}

#[test]
fn rules_that_a_schema_cannot_express_are_in_its_descriptions() {
    let schema = validator("job-message");
    // A schema takes these for integers.
    for count in ["10.0", "1e3", "-0"] {
        let text = format!(r#"{{"job_id":"{ID}","mask":"A####","count":{count}}}"#);
        let document: Value = serde_json::from_str(&text).expect("JSON");
        assert!(schema.is_valid(&document) && !is_read(&text), "{text}");
    }
    assert!(schema.is_valid(&without("job_id")));
    assert!(decode(without("job_id").to_string().as_bytes(), &Envelope::default()).is_err(), "both ids are missing");
    let published = fs::read_to_string(path("job-message")).expect("a schema");
    for said in ["without a point and without an exponent", "May be left out where the message has a `message_id`"] {
        assert!(published.contains(said), "{said}");
    }
}

/// Values that other systems may send, valid and invalid ones.
fn value() -> impl Strategy<Value = Value> {
    let texts = select(vec!["", "A##", ID, "spring", "a\u{0}b", "\u{7f}"]).prop_map(Value::from);
    let floats = any::<i32>().prop_map(|number| json!(f64::from(number) + 0.5));
    let numbers = prop_oneof![
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0..12i32).prop_map(Value::from)
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        texts,
        any::<String>().prop_map(Value::from),
        numbers,
        floats,
        Just(json!([])),
        Just(json!({}))
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn prop_a_message_is_read_exactly_if_it_fits_the_schema(
        fields in proptest::collection::vec((select(vec!["job_id", "mask", "count", "campaign", "priority", "new_check_key", "other"]), value()), 0..4),
        starts_right in any::<bool>(),
    ) {
        let mut document = if starts_right { without("campaign") } else { Value::Object(Map::new()) };
        for (name, value) in fields {
            document[name] = value;
        }
        prop_assert_eq!(is_read(&document.to_string()), schema_of_messages().is_valid(&document), "{}", document);
    }
}

fn schema_of_messages() -> &'static Validator {
    static SCHEMA: std::sync::OnceLock<Validator> = std::sync::OnceLock::new();
    SCHEMA.get_or_init(|| validator("job-message"))
}
