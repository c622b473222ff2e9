//! Rules that the source must follow: the arrows between modules, the migrations.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    entries
        .flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

/// The module that a file belongs to: the first step of its path below `src`.
fn room_of(file: &Path) -> String {
    let below = file.strip_prefix(root().join("src")).expect("a source file");
    let first = below.components().next().expect("a name").as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// The modules that a source text calls: every `crate::module` or, in the program, `codemint::module`.
fn rooms_called(text: &str) -> BTreeSet<String> {
    let code = text.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    let calls = code.flat_map(|line| {
        let own = line.split("crate::").skip(1);
        own.chain(line.split("codemint::").skip(1).filter(|_| line.contains("codemint::cli")))
    });
    calls
        .map(|rest| rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>())
        .filter(|room| !room.is_empty())
        .collect()
}

/// The lines `module -> module, module` of the block of arrows in ARCHITECTURE.md.
fn allowed_arrows() -> BTreeMap<String, BTreeSet<String>> {
    let text = read("ARCHITECTURE.md");
    let block = text.split("```arrows\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of arrows");
    let arrow = |line: &str| {
        let (from, to) = line.split_once("->").unwrap_or_else(|| panic!("no arrow in {line:?}"));
        let to = to.split(',').map(|room| room.trim().to_owned()).filter(|room| !room.is_empty());
        (from.trim().to_owned(), to.collect())
    };
    block.lines().map(arrow).collect()
}

#[test]
fn arrows_between_modules_match_the_architecture_document() {
    let allowed = allowed_arrows();
    let mut drawn: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in rust_files(&root().join("src")) {
        let room = room_of(&file);
        if room == "lib" {
            continue;
        }
        let called = rooms_called(&fs::read_to_string(&file).expect("a source file"));
        drawn.entry(room.clone()).or_default().extend(called.into_iter().filter(|other| *other != room));
    }
    assert_eq!(drawn, allowed, "left: the source, right: ARCHITECTURE.md");
}

#[test]
fn arrows_between_modules_have_no_cycle() {
    let mut left = allowed_arrows();
    while !left.is_empty() {
        let ready: Vec<String> = left
            .iter()
            .filter(|(_, to)| to.iter().all(|room| !left.contains_key(room)))
            .map(|(room, _)| room.clone())
            .collect();
        assert!(!ready.is_empty(), "a cycle among {:?}", left.keys());
        ready.iter().for_each(|room| drop(left.remove(room)));
    }
}

#[test]
fn both_stores_have_migrations_of_the_same_numbers_and_names() {
    let names = |store: &str| -> BTreeSet<String> {
        let files = fs::read_dir(root().join("migrations").join(store)).expect("migrations");
        files.map(|file| file.expect("a file").file_name().to_string_lossy().into_owned()).collect()
    };
    assert_eq!(names("postgres"), names("sqlite"));
    assert!(!names("sqlite").is_empty());
}
