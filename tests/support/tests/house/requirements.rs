//! docs/requirements.md names what shows each requirement.

use std::collections::BTreeSet;
use std::fs;

use codemint_test_support::tools::root;

use crate::source::rust_files;

/// Returns the texts between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn each_requirement_is_shown_by_something_that_exists() {
    let page = fs::read_to_string(root().join("docs/requirements.md")).expect("the page");
    let rows: Vec<Vec<&str>> =
        page.lines().filter(|line| line.starts_with("| R")).map(|line| line.split(" | ").collect()).collect();
    let numbers: Vec<&str> = rows.iter().map(|row| row[0].trim_start_matches("| ")).collect();
    assert_eq!(numbers, (1..=34).map(|number| format!("R{number}")).collect::<Vec<_>>());
    let functions: BTreeSet<String> = ["tests", "crates"]
        .into_iter()
        .flat_map(|directory| rust_files(&root().join(directory)))
        .flat_map(|file| {
            fs::read_to_string(file).expect("a source").lines().filter_map(function_of).collect::<Vec<_>>()
        })
        .collect();
    for row in rows {
        let shown: Vec<&str> = quoted(row[3]).collect();
        assert!(!shown.is_empty(), "{} is shown by nothing", row[0]);
        for name in shown {
            let exists = if name.contains('/') { root().join(name).exists() } else { functions.contains(name) };
            assert!(exists, "{}: there is no {name}", row[0]);
        }
    }
}

fn function_of(line: &str) -> Option<String> {
    let line = line.trim_start().strip_prefix("pub ").unwrap_or(line.trim_start());
    let name = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ")?;
    Some(name.split(['(', '<']).next().unwrap_or_default().to_owned())
}
