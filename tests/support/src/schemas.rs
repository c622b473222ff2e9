//! The published schemas in docs/schemas, and documents that have to fit them.

use std::fs;
use std::path::PathBuf;

use jsonschema::Validator;
use serde_json::Value;

use crate::tools::root;

/// Returns the file of a published schema.
pub fn path(name: &str) -> PathBuf {
    root().join(format!("docs/schemas/{name}.schema.json"))
}

/// A validator for documents of one of the published schemas.
pub fn validator(name: &str) -> Validator {
    let text = fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    let schema: Value = serde_json::from_str(&text).expect("JSON");
    jsonschema::options().should_validate_formats(true).build(&schema).expect("a schema")
}

/// Panics with the problems of a document unless it fits a schema.
pub fn assert_fits(validator: &Validator, document: &Value) {
    let problems: Vec<String> =
        validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:?} in {document}");
}
