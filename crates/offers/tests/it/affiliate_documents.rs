//! Rules and exclusions as the team writes them, with every problem of those that are wrong.

use codemint_offers::affiliate::excluded::Excluded;
use codemint_offers::affiliate::exclusion::{Exclusion, checked_reference};
use codemint_offers::affiliate::rule::{PERIODS_MAX, conflict};
use codemint_offers::read::affiliate::{read_details, read_rule};
use serde_json::{Value, json};

fn document() -> Value {
    json!({ "mask": "0#########", "prefix": "FCH", "campaign": "choc" })
}

#[test]
fn a_rule_has_defaults_and_an_upper_case_prefix() {
    let rule = read_rule("choc-2027", &document()).expect("a rule");
    assert_eq!((&*rule.name, &*rule.prefix, &*rule.campaign), ("choc-2027", "FCH", "choc"));
    assert_eq!((rule.active, rule.priority, rule.periods.len()), (true, 0, 0));
    let mut other = document();
    other["prefix"] = json!("f-c_h1");
    other["name"] = json!("choc-2027");
    other["periods"] = json!([{ "from": "2027-03-01T00:00:00+01:00" }, {}]);
    let rule = read_rule("choc-2027", &other).expect("a rule");
    assert_eq!((&*rule.prefix, rule.periods.len()), ("F-C_H1", 2));
    assert_eq!(rule.periods[0].from.expect("a time").to_rfc3339(), "2027-02-28T23:00:00+00:00");
    assert!(rule.describes("0123456789"));
    for reference in ["123456789", "01234567890", "012345678X", "1123456789", "0éééé9", ""] {
        assert!(!rule.describes(reference), "{reference}");
    }
}

/// Fields that are replaced in a valid rule (null leaves one out), and the expected problems as `pointer: part of the message`.
#[rustfmt::skip]
const BROKEN: &[(&str, &[&str])] = &[
    (r#"{"mask": null}"#, &["/mask: mask is missing"]),
    (r#"{"mask": 7}"#, &["/mask: a mask is expected"]),
    (r#"{"mask": ""}"#, &["/mask: the mask is empty"]),
    (r#"{"mask": "0#{9"}"#, &["/mask: byte 5: found"]),
    (r#"{"mask": "0#[:check:]"}"#, &["/mask: no check characters"]),
    (r#"{"mask": "É###"}"#, &["/mask: printable ASCII"]),
    (r#"{"mask": "0123456789012345678901234567890123456789012345678901234567890###"}"#, &["/mask: prefix and mask have 67 characters together; at most 64"]),
    (r#"{"prefix": 1}"#, &["/prefix: a prefix is expected"]),
    (r#"{"prefix": "F H"}"#, &["/prefix: at most 16 letters A-Z, digits, - and _"]),
    (r#"{"prefix": "FÜR"}"#, &["/prefix: letters A-Z"]),
    (r#"{"prefix": "ABCDEFGHIJKLMNOPQ"}"#, &["/prefix: at most 16"]),
    (r#"{"campaign": null}"#, &["/campaign: campaign is missing"]),
    (r#"{"campaign": " "}"#, &["/campaign: empty"]),
    (r#"{"active": "yes"}"#, &["/active: true or false"]),
    (r#"{"priority": 1000001}"#, &["/priority: a whole number from -1000000 to 1000000"]),
    (r#"{"priority": 0.5}"#, &["/priority: found 0.5"]),
    (r#"{"name": "other"}"#, &["/name: names another rule"]),
    (r#"{"periods": {}}"#, &["/periods: a list is expected"]),
    (r#"{"periods": [1, {"until": null}]}"#, &["/periods/0: an object", "/periods/1/until: unknown field; the fields here are from, to"]),
    (r#"{"periods": [{"from": "2027-03-01"}]}"#, &["/periods/0/from: a time with its offset"]),
    (r#"{"periods": [{"from": "2027-03-01T00:00:00Z", "to": "2027-03-01T01:00:00+01:00"}]}"#, &["/periods/0/to: ends after it begins"]),
    (r#"{"periods": [{"to": "9999-12-31T23:59:59-05:00"}]}"#, &["/periods/0/to: in UTC the year does not have four digits"]),
    (r#"{"mask": "0{0}", "campaign": null, "prefix": "?", "active": 0, "x": 1}"#,
     &["/x: unknown field", "/mask: repeat", "/prefix: letters", "/campaign: missing", "/active: true or false"]),
];

#[test]
fn every_problem_of_a_broken_rule_is_named() {
    for (fields, expected) in BROKEN {
        let mut document = document();
        for (name, value) in serde_json::from_str::<Value>(fields).expect("JSON").as_object().expect("fields") {
            document[name] = value.clone();
        }
        let problems = read_rule("choc-2027", &document).expect_err(fields);
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems.len(), expected.len(), "{fields}: {problems:#?}");
        for (problem, expected) in problems.iter().zip(*expected) {
            let (pointer, part) = expected.split_once(": ").expect("a pointer");
            assert!(problem.starts_with(&format!("{pointer}: ")) && problem.contains(part), "{fields}: {problem}");
        }
    }
    let mut many = document();
    many["periods"] = json!(vec![json!({}); PERIODS_MAX + 1]);
    assert_eq!(read_rule("x", &many).expect_err("too many")[0].field, "/periods");
}

#[test]
fn details_and_rows_of_exclusions_are_checked() {
    let details = read_details(&json!({ "affiliate": " Rose Ltd ", "note": "" })).expect("details");
    assert_eq!((details.affiliate.as_deref(), details.promotion, details.note), (Some("Rose Ltd"), None, None));
    let wrong = json!({ "affiliate": "x".repeat(201), "promotion": 7, "note": "a\nb", "remove": true });
    let problems = read_details(&wrong).expect_err("wrong");
    let fields: Vec<&str> = problems.iter().map(|problem| &*problem.field).collect();
    assert_eq!(fields, ["/remove", "/affiliate", "/promotion", "/note"]);

    let rule = read_rule("choc-2027", &document()).expect("a rule");
    let read = Exclusion::of_row([" 0123456789", "Rose", "", " x "], &rule).expect("an exclusion");
    assert_eq!(read.row(), ["0123456789", "Rose", "", "x"]);
    let long = "x".repeat(65);
    for (row, problem) in [
        ([" ", "", "", ""], "the reference is empty"),
        ([&*long, "", "", ""], "the reference has more than 64 characters"),
        (["0123\t56789", "", "", ""], "the reference contains control characters"),
        (["FCH0123456789", "", "", ""], "the mask 0######### of the rule does not describe the reference"),
        (["0123456789", "a\u{7}", "", ""], "affiliate contains control characters"),
    ] {
        let error = Exclusion::of_row(row, &rule).expect_err(problem).to_string();
        assert!(error.starts_with(problem), "{error}");
    }
    assert_eq!(checked_reference(" ab1 ").as_deref(), Ok("AB1"));
}

#[test]
fn a_conflict_names_both_rules_and_the_ways_out() {
    let others: Vec<String> = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
    let said = conflict("new", &others[..1]);
    assert!(said.starts_with("the rule new concerns references that a concerns at the same time"), "{said}");
    assert!(said.ends_with("give one of them another priority, other periods or another mask"), "{said}");
    assert!(conflict("new", &others).contains("that a, b, c and 2 more concern"), "{}", conflict("new", &others));
}

#[test]
fn excluded_references_are_found_in_a_few_bytes_each() {
    let references: Vec<String> = (0..10_000).map(|number| format!("0{:09}", number * 3)).collect();
    let shuffled: Vec<String> = references.iter().rev().chain(&references).cloned().collect();
    let excluded = Excluded::from(shuffled);
    assert_eq!(excluded.len(), references.len());
    for number in 0..30_000 {
        assert_eq!(excluded.contains(&format!("0{number:09}")), number % 3 == 0, "{number}");
    }
    assert!(!excluded.contains("") && !excluded.contains("0") && !excluded.contains("X"));
    assert_eq!(excluded.bytes(), references.len() * (10 + 4));
    let changes = [
        ("0000000001", true),
        ("0000000003", false),
        ("X", true),
        ("0000000006", true),
        ("0000000007", false),
        ("", true),
    ];
    let changed = excluded.changed(&changes.map(|(reference, is_added)| (reference.to_owned(), is_added)).into());
    assert_eq!(changed.len(), references.len() + 2);
    for (reference, expected) in [("0000000000", true), ("0000029997", true)].into_iter().chain(changes) {
        assert_eq!(changed.contains(reference), expected, "{reference}");
    }
    let mut ascending = Excluded::default();
    assert!(ascending.push("A") && ascending.push("B"));
    assert!(!ascending.push("B") && !ascending.push("A"));
    assert_eq!(ascending.len(), 2);
}
