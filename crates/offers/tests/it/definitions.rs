//! Definitions: defaults, what is written, and the examples of the documentation.

use std::fs;

use codemint_offers::campaign::definition::{Definition, Kind, Limits, Purpose};
use codemint_offers::discount::rule::Target;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use proptest::option::of;
use proptest::prelude::{Strategy, any, prop_assert_eq, proptest};
use proptest::sample::select;
use serde_json::{Value, json};

use codemint_test_support::tools::root;

use crate::steps::{any_discount, cases, definition, document};

/// The definition of the documentation of the interface, with every field.
fn full() -> Value {
    json!({ "title": "Spring sale", "kind": "private", "purpose": "regular", "active": true,
        "starts_at": "2027-03-01T00:00:00+01:00", "ends_at": null, "zone": "Europe/Berlin",
        "mask": "SPRING-[:safe:]{8}",
        "limits": { "per_code": 1, "per_identity": 0, "redeemed": 0, "issued": 0, "budget": null },
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" },
            "limit_per_order": 0, "cap": null },
        "exclusive": true,
        "sources": [], "ads": [], "affiliates": [],
        "segments": [], "use_cases": [], "wait_days_after_deactivation": 0,
        "condition": null, "expression": null, "referral": null,
        "offer": { "text": "10 % off everything", "image_url": null, "landing_url": null } })
}

pub fn written(definition: &Definition) -> Value {
    serde_json::to_value(definition).expect("JSON")
}

#[test]
fn the_definition_of_the_documentation_is_read_and_written_the_same() {
    let definition = read_definition(&full(), NameFrom::Path("spring")).expect("a definition");
    let mut expected = full();
    expected["name"] = json!("spring");
    // A mask is written in its canonical form.
    expected["mask"] = json!(definition.mask.to_string());
    assert_eq!(written(&definition), expected);
}

#[test]
fn what_is_left_out_has_its_default() {
    let least = json!({ "title": "Spring", "kind": "public", "mask": "SPRING",
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } } });
    let read = read_definition(&least, NameFrom::Path("spring")).expect("a definition");
    assert_eq!((read.purpose, read.active, read.exclusive, read.kind), (Purpose::Regular, false, true, Kind::Public));
    assert_eq!((read.zone, &read.limits), (chrono_tz::UTC, &Limits::default()));
    assert_eq!((read.discount.limit_per_order, read.discount.cap), (0, None));
    assert!(read.sources.is_empty() && read.segments.is_empty() && read.use_cases.is_empty());
    let nulls = ["purpose", "active", "zone", "limits", "exclusive", "sources", "use_cases", "offer", "referral"];
    let mut with_nulls = least;
    for name in nulls {
        with_nulls[name] = Value::Null;
    }
    assert_eq!(read_definition(&with_nulls, NameFrom::Path("spring")), Ok(read));
}

#[test]
fn a_name_is_required_in_a_file_and_equal_to_the_path_elsewhere() {
    let fields = |document: &Value, name| -> Vec<String> {
        let read = read_definition(document, name);
        read.err().into_iter().flatten().map(|problem| problem.field).collect()
    };
    let named = document(&json!({ "name": "Frühling 2027" }));
    assert_eq!(fields(&document(&json!({})), NameFrom::Document), ["/name"]);
    assert_eq!(fields(&named, NameFrom::Document), [""; 0]);
    assert_eq!(fields(&named, NameFrom::Path("Frühling 2027")), [""; 0]);
    assert_eq!(fields(&named, NameFrom::Path("spring")), ["/name"]);
    assert_eq!(fields(&document(&json!({})), NameFrom::Path("a\nb")), ["/name"]);
    assert_eq!(fields(&document(&json!({ "name": "x".repeat(201) })), NameFrom::Document), ["/name"]);
}

#[test]
fn an_end_keeps_its_instant_and_offset_however_often_it_is_saved() {
    let mut saved = document(&json!({ "ends_at": "2027-03-28T02:30:00+01:00", "zone": "Europe/Berlin" }));
    for _ in 0..3 {
        saved = written(&read_definition(&saved, NameFrom::Path("spring")).expect("a definition"));
        assert_eq!(saved["ends_at"], "2027-03-28T02:30:00+01:00");
    }
}

#[test]
fn kinds_and_purposes_that_agree_are_accepted() {
    let referral = json!({ "reward_campaign": "thanks", "reward_delay_days": 14, "max_depth": 3, "max_codes_per_referrer": 5,
        "forward_template": "Use {code}\nand save" });
    for changes in [
        json!({ "kind": "public", "mask": "SPRING\\#1", "limits": { "per_code": 1000, "budget": { "currency": "EUR", "amount": 1 } } }),
        json!({ "kind": "restricted", "segments": ["gold"], "use_cases": ["location.created", "preset"], "wait_days_after_deactivation": 30 }),
        json!({ "kind": "restricted" }),
        json!({ "kind": "public", "mask": "AUTO", "use_cases": ["automatic"] }),
        json!({ "purpose": "referral", "limits": { "per_identity": 1 }, "referral": referral }),
        json!({ "purpose": "referral", "limits": { "per_identity": 1 }, "referral": {} }),
        json!({ "mask": "A####[:check:]", "expression": "order.amount > 5000", "condition": { "member": { "segment": "gold" } } }),
    ] {
        let read = read_definition(&document(&changes), NameFrom::Path("spring"));
        assert!(read.is_ok(), "{changes}: {read:?}");
    }
}

#[test]
fn the_examples_of_the_documentation_are_valid() {
    let directory = root().join("docs/examples");
    let mut names = Vec::new();
    for entry in fs::read_dir(&directory).expect("the examples") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|ending| ending != "json") {
            continue;
        }
        let document: Value = serde_json::from_slice(&fs::read(&path).expect("a file")).expect("JSON");
        let definition =
            read_definition(&document, NameFrom::Document).unwrap_or_else(|problems| panic!("{path:?}: {problems:?}"));
        names.push(definition.name);
    }
    names.sort();
    assert_eq!(names, ["Buy two get one", "Opening day", "Ten euros off", "Ten percent off", "Welcome new locations"]);
}

/// Caches share definitions between threads.
#[test]
fn a_definition_may_be_shared_between_threads() {
    const fn assert_shared<T: Send + Sync>() {}
    assert_shared::<Definition>();
}

/// The parts of a definition that are more than one field, as JSON.
pub fn any_document() -> impl Strategy<Value = Value> {
    let conditions = select(vec![
        json!(null),
        json!({ "compare": { "attribute": "age", "op": "ge", "value": 18 } }),
        json!({ "all": [{ "not": { "member": { "segment": "gold" } } }, { "any": [
            { "in": { "attribute": "city", "values": ["Berlin", "Bonn"] } },
            { "compare": { "attribute": "since", "op": "lt", "value": { "day": "2027-03-01" } } },
            { "compare": { "attribute": "vip", "op": "eq", "value": true } },
            { "compare": { "attribute": "order.amount", "op": "gt", "value": { "currency": "EUR", "amount": 5000 } } }] }] }),
    ]);
    let expressions = select(vec![json!(null), json!("order.amount > 5000")]);
    let lists = select(vec![json!([]), json!(["a", "b"])]);
    let numbers = (0..5_u64, 0..5_u64, 0..5_u64, of(1..1000_i64));
    let rest = (any::<bool>(), any::<bool>(), select(vec!["UTC", "Europe/Berlin", "America/New_York"]));
    (any_discount(), conditions, expressions, lists, numbers, rest).prop_map(
        |(discount, condition, expression, list, (per_code, redeemed, issued, budget), (active, exclusive, zone))| {
            document(&json!({
                "discount": discount, "condition": condition, "expression": expression, "active": active,
                "exclusive": exclusive, "zone": zone, "sources": list, "ads": list, "segments": list,
                "limits": { "per_code": per_code, "redeemed": redeemed, "issued": issued,
                    "budget": budget.map(|amount| json!({ "currency": "EUR", "amount": amount })) },
            }))
        },
    )
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn prop_a_definition_survives_json_and_back(document in any_document()) {
        let read = read_definition(&document, NameFrom::Path("spring")).expect("a definition");
        let text = written(&read).to_string();
        let again = read_definition(&serde_json::from_str(&text).expect("JSON"), NameFrom::Document);
        prop_assert_eq!(again, Ok(read));
    }
}

#[test]
fn a_definition_in_short_form_equals_the_long_one() {
    let short = definition(&json!({}));
    assert!(matches!(short.discount.target, Target::Order));
    assert_eq!(read_definition(&written(&short), NameFrom::Path("spring")), Ok(short));
}
