//! Prometheus alerts: each fires when it should, stays silent otherwise, and has a section in the runbook.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use yaml_serde::Value;

use codemint_test_support::tools::{expect_content, read, root};

const TESTS: [&str; 5] = [
    "alerts_api_test.yml",
    "alerts_availability_test.yml",
    "alerts_jobs_test.yml",
    "alerts_load_test.yml",
    "alerts_redemptions_test.yml",
];
const DEPLOYED: &str = "deploy/prometheus";

fn document(file: &str) -> Value {
    yaml_serde::from_str(&read(format!("{DEPLOYED}/{file}"))).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn list<'a>(value: &'a Value, key: &str) -> &'a Vec<Value> {
    value[key].as_sequence().unwrap_or_else(|| panic!("no list {key} in {value:?}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no text {key} in {value:?}"))
}

fn rules() -> Vec<Value> {
    list(&document("alerts.yml"), "groups").iter().flat_map(|group| list(group, "rules").clone()).collect()
}

fn alerts() -> Vec<Value> {
    rules().into_iter().filter(|rule| rule.get("alert").is_some()).collect()
}

/// The sections of the runbook by their headings.
fn sections() -> BTreeMap<String, String> {
    let runbook = read("docs/runbook.md");
    let sections = runbook.split("\n### ").skip(1);
    sections
        .map(|section| {
            let (heading, rest) = section.split_once('\n').expect("a heading");
            (heading.to_owned(), rest.split("\n## ").next().expect("a section").to_owned())
        })
        .collect()
}

/// The words of an expression that may be metric names: whole words before a bracket or a space, labels left out.
fn metrics_of(expression: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expression.split(|c| !is_name(c));
    let is_metric = |word: &&str| word.contains("codemint_") || word.starts_with("process_") || *word == "up";
    words.filter(is_metric).map(str::to_owned).collect()
}

/// Panics on a metric that the contract does not name. A histogram has three series, which the contract does not name.
pub fn assert_of_the_contract(expression: &str, recorded: &[String]) {
    let contract = read("docs/metrics.md");
    let metrics = metrics_of(expression);
    assert!(!metrics.is_empty(), "no metric in {expression}");
    for metric in metrics {
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|ending| metric.strip_suffix(ending));
        let is_told = |name: &str| contract.contains(&format!("`{name}`"));
        let of_a_library = metric.starts_with("process_") || metric == "up";
        let is_known = is_told(&metric) || base.is_some_and(is_told) || recorded.contains(&metric) || of_a_library;
        assert!(is_known, "docs/metrics.md does not name {metric}, used in {expression}");
    }
}

fn assert_content(program: &str, args: &[&str], files: &[&str]) {
    let mut command = Command::new(program);
    command.args(args).args(files.iter().map(|file| root().join(DEPLOYED).join(file)));
    expect_content(&mut command);
}

#[test]
fn alerts_fire_and_stay_silent_as_their_promtool_tests_expect() {
    assert_content("promtool", &["test", "rules"], &TESTS);
}

#[test]
fn the_example_configurations_are_valid() {
    assert_content("promtool", &["check", "rules", "--lint=all", "--lint-fatal"], &["alerts.yml"]);
    assert_content("promtool", &["check", "config"], &["prometheus.yml"]);
    assert_content("amtool", &["check-config"], &["alertmanager.yml"]);
}

#[test]
fn every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_never_does() {
    let (mut fires, mut is_silent) = (BTreeSet::new(), BTreeSet::new());
    for test in TESTS.iter().flat_map(|file| list(&document(file), "tests").clone()) {
        let cases: Vec<(&str, bool)> = list(&test, "alert_rule_test")
            .iter()
            .map(|case| (text(case, "alertname"), list(case, "exp_alerts").is_empty()))
            .collect();
        let name = text(&test, "name");
        assert!(cases.iter().all(|(alert, _)| name.starts_with(&format!("{alert} "))), "{name}: {cases:?}");
        let alert = cases.first().expect("a case").0.to_owned();
        // A test in which the alert fires later shows its delay, not its threshold.
        if cases.iter().all(|(_, silent)| *silent) {
            is_silent.insert(alert)
        } else {
            fires.insert(alert)
        };
    }
    let all: BTreeSet<String> = alerts().iter().map(|alert| text(alert, "alert").to_owned()).collect();
    assert!(all.len() > 12, "{all:?}");
    assert_eq!(fires, all, "left: alerts that fire in a test, right: all alerts");
    assert_eq!(is_silent, all, "left: alerts that stay silent in a test, right: all alerts");
}

#[test]
fn every_alert_is_complete_and_links_to_its_section_of_the_runbook() {
    let sections = sections();
    let mut names = BTreeSet::new();
    for alert in alerts() {
        let (name, annotations) = (text(&alert, "alert"), &alert["annotations"]);
        assert!(names.insert(name.to_owned()), "{name} is defined twice");
        assert!(["page", "ticket"].contains(&text(&alert["labels"], "severity")), "{name}");
        assert!(text(annotations, "description").ends_with('.'), "{name}");
        assert!(!text(annotations, "summary").is_empty(), "{name}");
        assert_eq!(text(annotations, "runbook_url"), format!("docs/runbook.md#{}", name.to_lowercase()));
        let section = sections.get(name).unwrap_or_else(|| panic!("docs/runbook.md has no section {name}"));
        for part in ["**Means:**", "**Look at", "**Do:**"] {
            assert!(section.contains(part), "{name} has no {part}");
        }
    }
    assert_eq!(sections.into_keys().collect::<BTreeSet<_>>(), names, "left: sections of the runbook, right: alerts");
}

/// The comparisons of an expression, such as `> 0.9`, but for those with 0 or 1, which ask whether something exists.
fn thresholds(expression: &str) -> Vec<String> {
    let words: Vec<&str> = expression.split_whitespace().collect();
    let comparisons = words.windows(2).filter(|pair| [">", ">=", "<", "<="].contains(&pair[0]));
    comparisons
        .filter(|pair| pair[1].parse::<f64>().is_ok_and(|number| number != 0.0 && number != 1.0))
        .map(|pair| format!("`{} {}`", pair[0], pair[1]))
        .collect()
}

#[test]
fn severities_delays_and_thresholds_in_the_runbook_match_the_rules() {
    let sections = sections();
    for alert in alerts() {
        let name = text(&alert, "alert");
        let line = sections[name].lines().find(|line| !line.is_empty()).expect("a line");
        let severity = text(&alert["labels"], "severity");
        let delay = alert.get("for").and_then(Value::as_str).unwrap_or("0m");
        let mut expected = vec![format!("`{severity}`"), format!("`for: {delay}`")];
        expected.extend(thresholds(text(&alert, "expr")));
        let told: Vec<String> = line.split(" · ").map(str::to_owned).filter(|part| part != "`> 0`").collect();
        assert_eq!(told, expected, "left: the runbook, right: the rule {name}");
    }
}

#[test]
fn rules_use_only_metrics_of_the_contract() {
    let rules = rules();
    let recorded: Vec<String> =
        rules.iter().filter_map(|rule| rule.get("record")?.as_str().map(str::to_owned)).collect();
    for rule in &rules {
        assert_of_the_contract(text(rule, "expr"), &recorded);
    }
}

#[test]
fn inhibitions_name_alerts_that_exist() {
    let all: BTreeSet<String> = alerts().iter().map(|alert| text(alert, "alert").to_owned()).collect();
    let config = read(format!("{DEPLOYED}/alertmanager.yml"));
    let named: Vec<&str> =
        config.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| word.starts_with("Codemint")).collect();
    let (known, unknown): (Vec<&str>, Vec<&str>) = named.into_iter().partition(|name| all.contains(*name));
    // The first comment names the program, Codemint.
    assert!(known.len() > 10 && unknown.iter().all(|name| *name == "Codemint"), "{unknown:?}");
}
