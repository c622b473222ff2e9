//! The Rust files of a directory, and their code without comments, texts and tests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A module's path below its package: empty for `lib.rs` and `main.rs`.
pub(crate) type Module = Vec<String>;

/// Returns the Rust files below a directory, and none if there is no such directory.
pub(crate) fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries
        .map(|entry| entry.expect("an entry").path())
        .flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

/// Returns the code of each module below a `src` directory.
pub(crate) fn modules(src: &Path) -> BTreeMap<Module, String> {
    read_modules(src, code_of)
}

/// Returns what is made of the text of each module's files.
pub(crate) fn read_modules(src: &Path, read: impl Fn(&str) -> String) -> BTreeMap<Module, String> {
    let mut modules: BTreeMap<Module, String> = BTreeMap::new();
    for file in rust_files(src) {
        let text = fs::read_to_string(&file).expect("a source file");
        // `lib.rs` and `main.rs` of one package are one module here.
        modules.entry(module_of(file.strip_prefix(src).expect("a file below"))).or_default().push_str(&read(&text));
    }
    modules
}

/// Returns the module of a file: `a/mod.rs` and `a.rs` are both `a`.
fn module_of(file: &Path) -> Module {
    let without_ending = file.with_extension("");
    let mut names: Module =
        without_ending.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect();
    if names.last().is_some_and(|name| matches!(name.as_str(), "mod" | "lib" | "main")) {
        names.pop();
    }
    names
}

/// Returns the code of a text: without comments, without the contents of string literals, and without the tests at its end.
pub(crate) fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    text.lines().map(without_texts).map(|line| line.split("//").next().unwrap_or_default().to_owned() + "\n").collect()
}

/// Removes what stands between quotation marks. A text over several lines may remain in part: what looks like a path in it
/// would be taken for one.
fn without_texts(line: &str) -> String {
    line.replace("\\\"", "").split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

#[test]
fn code_has_no_comments_texts_and_tests() {
    let text = "//! crate::a\nuse crate::b; // crate::c\nlet x = \"crate::d \\\" crate::e\";\n#[cfg(test)]\nmod tests { use crate::f; }\n";
    assert_eq!(code_of(text), "\nuse crate::b; \nlet x = \"\";\n");
}

#[test]
fn files_named_mod_lib_and_main_are_the_module_of_their_directory() {
    let module = |file: &str| module_of(Path::new(file)).join("::");
    assert_eq!(["lib.rs", "a.rs", "a/mod.rs", "a/b.rs"].map(module), ["", "a", "a", "a::b"]);
}
