//! Links between documents lead somewhere, and docs/README.md lists each document once.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use codemint_test_support::tools::{files_below, read, root};

/// Returns the paths of all documents, relative to the root.
fn documents() -> Vec<PathBuf> {
    let below = ["benches", "deploy", "docs"].into_iter().flat_map(|name| files_below(root().join(name), "md"));
    let top = fs::read_dir(root()).expect("the root").map(|entry| entry.expect("an entry").path());
    let top = top.filter(|path| path.extension().is_some_and(|ending| ending == "md"));
    let all: Vec<PathBuf> =
        top.chain(below).map(|path| path.strip_prefix(root()).expect("below the root").to_owned()).collect();
    assert!(all.len() > 50, "{all:?}");
    all
}

/// Returns the text of a document without its blocks of code.
fn prose(document: &Path) -> String {
    let text = read(root().join(document));
    text.split("\n```").step_by(2).collect::<Vec<_>>().join("\n")
}

/// Returns the anchor by which a heading is linked to.
fn anchor(heading: &str) -> String {
    let heading = heading.to_lowercase();
    heading
        .chars()
        .filter(|letter| letter.is_alphanumeric() || "-_ ".contains(*letter))
        .collect::<String>()
        .replace(' ', "-")
}

fn anchors(prose: &str) -> BTreeSet<String> {
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

/// Returns the targets of the links of a text, except those to other sites.
fn links(prose: &str) -> impl Iterator<Item = &str> {
    let links = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    links.filter(|link| !link.starts_with("http"))
}

/// Returns a path without its parts `..`.
fn resolved(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        if part == Component::ParentDir {
            parts.pop();
        } else {
            parts.push(part);
        }
    }
    parts
}

#[test]
fn every_link_of_a_document_leads_to_a_file_and_a_heading() {
    let prose: BTreeMap<PathBuf, String> = documents().into_iter().map(|path| (path.clone(), prose(&path))).collect();
    let mut dead = Vec::new();
    for (document, text) in &prose {
        for link in links(text) {
            let (path, section) = link.split_once('#').unwrap_or((link, ""));
            let directory = document.parent().expect("a directory");
            let target = if path.is_empty() { document.clone() } else { resolved(&directory.join(path)) };
            let has_section =
                section.is_empty() || prose.get(&target).is_none_or(|page| anchors(page).contains(section));
            if !root().join(&target).exists() || !has_section {
                dead.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(dead.is_empty(), "{dead:#?}");
}

#[test]
fn the_index_lists_each_document_once() {
    let index = prose(Path::new("docs/README.md"));
    let listed: Vec<&str> = links(&index).collect();
    let pages = documents().into_iter().filter(|path| path.parent() == Some(Path::new("docs")));
    for page in pages.filter(|page| page != Path::new("docs/README.md")) {
        let name = page.file_name().expect("a name").to_string_lossy().into_owned();
        assert_eq!(listed.iter().filter(|link| **link == name).count(), 1, "{name} in docs/README.md");
    }
}
