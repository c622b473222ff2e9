//! The OpenAPI document: it is checked in, and describes what is served.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use codemint_server::api::document::paths_and_document;

const FILE: &str = "docs/openapi.json";

fn document() -> Value {
    paths_and_document().1
}

/// Returns all texts behind `$ref`.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn the_document_in_the_repository_is_the_one_that_is_served() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
    let served = format!("{}\n", serde_json::to_string_pretty(&document()).expect("JSON"));
    if std::env::var_os("CODEMINT_WRITE_SCHEMAS").is_some() {
        fs::write(&file, &served).expect("a file");
    }
    let stored = fs::read_to_string(&file).expect("a file");
    assert!(stored == served, "{FILE} is out of date; CODEMINT_WRITE_SCHEMAS=1 cargo test --test server writes it");
}

#[test]
fn every_reference_leads_to_a_schema_and_every_schema_is_used() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let defined: BTreeSet<String> = schemas.keys().map(|name| format!("#/components/schemas/{name}")).collect();
    assert_eq!(found, defined);
}

#[test]
fn every_operation_says_what_it_does_what_it_needs_and_what_it_answers() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let name = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 10), "{name} has no summary");
            assert!(operation["operationId"].is_string(), "{name} has no id");
            assert!(operation["security"][0]["key"][0].is_string(), "{name} needs no scope");
            let responses = operation["responses"].as_object().expect("responses");
            assert!(responses.contains_key("default"), "{name} has no problems");
            assert!(responses.keys().any(|status| status.starts_with('2')), "{name} never succeeds");
        }
    }
}
