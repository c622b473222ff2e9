//! Files are short, and a module with children is a table of contents. Long functions are clippy's.

use std::fs;
use std::path::{Path, PathBuf};

use codemint_test_support::tools::root;

use crate::packages::our_packages;
use crate::source::{code_of, rust_files};

const LINES_MAX: usize = 500;

fn all_rust_files() -> Vec<PathBuf> {
    let directories = ["benches", "crates", "examples", "fuzz/fuzz_targets", "fuzz/src", "src", "tests", "tools"];
    let files: Vec<PathBuf> = directories.iter().flat_map(|directory| rust_files(&root().join(directory))).collect();
    assert!(files.len() > 200, "{files:?}");
    files
}

#[test]
fn no_file_is_longer_than_the_bound() {
    let lines = |file: &PathBuf| fs::read_to_string(file).expect("a source file").lines().count();
    let long: Vec<PathBuf> = all_rust_files().into_iter().filter(|file| lines(file) > LINES_MAX).collect();
    assert!(long.is_empty(), "longer than {LINES_MAX} lines: {long:#?}");
}

#[test]
fn tables_of_contents_hold_no_functions() {
    let mut full = Vec::new();
    for package in our_packages() {
        for file in rust_files(&package.directory.join("src")).into_iter().filter(|file| is_table_of_contents(file)) {
            let name = file.strip_prefix(&package.directory).expect("a file below").display();
            if has_function(&fs::read_to_string(&file).expect("a source file")) {
                full.push(format!("{} {name}", package.name));
            }
        }
    }
    assert!(full.is_empty(), "these hold functions: {full:#?}");
}

fn is_table_of_contents(file: &Path) -> bool {
    file.file_name().is_some_and(|name| name == "mod.rs" || name == "lib.rs")
}

/// Returns whether a text has a function outside of macros' texts, comments and tests.
fn has_function(text: &str) -> bool {
    code_of(text).split_whitespace().any(|word| word == "fn")
}

#[test]
fn a_function_in_a_table_of_contents_is_found() {
    assert!(has_function("mod a;\npub(crate) fn b() {}\n"));
    assert!(!has_function("//! No fn here.\nmod a;\n"));
}
