//! Both stores have the same line of migrations.

use std::collections::BTreeSet;
use std::fs;

use codemint_test_support::tools::root;

#[test]
fn both_stores_have_migrations_of_the_same_numbers_and_names() {
    let names = |store: &str| -> BTreeSet<String> {
        let files = fs::read_dir(root().join("migrations").join(store)).expect("migrations");
        files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names("postgres"), names("sqlite"));
    assert!(!names("sqlite").is_empty());
}
