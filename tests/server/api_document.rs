//! The OpenAPI document: it is checked in, and describes what is served.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use codemint_server::api::document::paths_and_document;
use codemint_server::api::reference::Reference;
use codemint_test_support::api::ApiServer;
use codemint_test_support::api_changes::breaking_changes;
use codemint_test_support::schemas::assert_fits;
use codemint_test_support::stores::TestStore;
use codemint_test_support::tools::read;

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

/// The document of the last release, which had no API: that of the coming one.
const RELEASED: &str = "docs/openapi/0.1.json";

#[test]
fn programs_written_for_the_released_document_still_work() {
    let released = serde_json::from_str(&read(RELEASED)).expect("JSON");
    let found = breaking_changes(&released, &document());
    assert!(found.is_empty(), "these changes break programs: {found:#?}");
}

#[test]
fn every_reference_leads_to_a_schema_and_every_schema_is_used() {
    let document = document();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    let defined: BTreeSet<String> = ["schemas", "responses"]
        .into_iter()
        .flat_map(|kind| {
            let named = document["components"][kind].as_object().expect("components");
            named.keys().map(move |name| format!("#/components/{kind}/{name}"))
        })
        .collect();
    assert_eq!(found, defined);
    for (name, schema) in document["components"]["schemas"].as_object().expect("schemas") {
        assert!(schema["$ref"].is_null(), "{name} describes nothing by itself");
    }
}

#[test]
fn every_operation_says_what_it_does_what_it_needs_and_what_it_answers() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let name = format!("{method} {path}");
            assert!(operation["summary"].as_str().is_some_and(|summary| summary.len() > 10), "{name} has no summary");
            let id = operation["operationId"].as_str().unwrap_or_else(|| panic!("{name} has no id"));
            assert!(ids.insert(id.to_owned()), "{id} is the id of two operations");
            // Customers follow links, and have no key.
            let is_public = id == "follow_link";
            assert_eq!(operation["security"][0]["key"][0].is_string(), !is_public, "{name} needs a scope, or none");
            let responses = operation["responses"].as_object().expect("responses");
            for (status, is_of_keys) in [("401", true), ("403", true), ("429", true), ("500", false), ("503", false)] {
                let may_be = !(is_public && is_of_keys);
                assert_eq!(responses.contains_key(status), may_be, "{name} may be answered with {status}");
            }
            assert!(!responses.contains_key("default"), "each status of {name} has a meaning of its own");
            let body = &operation["requestBody"];
            assert!(body.is_null() || body["required"].is_boolean(), "{name} may or may not have a body");
            assert!(responses.keys().any(|status| status.starts_with(['2', '3'])), "{name} never succeeds");
        }
    }
}

#[test]
fn the_examples_of_schemas_are_valid() {
    let document = document();
    let schemas = document["components"]["schemas"].as_object().expect("schemas");
    let mut examples = 0;
    for (name, schema) in schemas {
        let mut whole = document.clone();
        whole["$ref"] = format!("#/components/schemas/{name}").into();
        let validator = jsonschema::validator_for(&whole).unwrap_or_else(|error| panic!("{name}: {error}"));
        for example in schema["examples"].as_array().into_iter().flatten() {
            assert_fits(&validator, example);
            examples += 1;
        }
    }
    assert!(examples >= 2, "requests have examples");
}

#[test]
fn the_page_names_every_operation_and_every_schema_and_asks_nobody_else() {
    let document = document();
    let page = Reference::new(&document).to_html();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(page.contains(&format!("<section id=\"{id}\">")), "{id}");
            let heading = format!("<span class=\"method\">{}</span> {path}</h3>", method.to_uppercase());
            assert!(page.contains(&heading), "{heading}");
        }
    }
    let links: BTreeSet<&str> = attributes(&page, "href");
    for name in document["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(page.contains(&format!("<section id=\"{name}\">")) && links.contains(&*format!("#{name}")), "{name}");
    }
    for link in &links {
        let inside = link.strip_prefix('#').is_some_and(|id| page.contains(&format!("id=\"{id}\"")));
        assert!(inside || *link == "/openapi.json", "{link} leads nowhere, or elsewhere");
    }
    for loaded in ["src", "action", "background"] {
        assert_eq!(attributes(&page, loaded), BTreeSet::new());
    }
    for loads in ["<script", "<link", "<iframe", "@import", "url("] {
        assert!(!page.contains(loads), "{loads}");
    }
    assert!(page.len() < 512 << 10, "{} bytes", page.len());
}

/// Returns the values of an attribute.
fn attributes<'a>(page: &'a str, name: &str) -> BTreeSet<&'a str> {
    let start = format!(" {name}=\"");
    page.match_indices(&start).filter_map(|(at, _)| page[at + start.len()..].split('"').next()).collect()
}

#[tokio::test]
async fn the_page_is_served_with_a_policy_that_lets_a_browser_load_nothing() {
    let place = TestStore::sqlite().await;
    let server = ApiServer::start(&place).await;
    let page = server.send("GET", "/docs", None, &[], None).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")), "{page:?}");
    let policy = page.header("content-security-policy").expect("a policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'unsafe-inline';"), "{policy}");
    assert_eq!(page.body, Reference::new(&document()).to_html());
    server.stop().await;
}
