//! No two files of a package use each other, directly or through others.

use std::collections::{BTreeMap, BTreeSet};

use crate::packages::our_packages;
use crate::paths::paths_in;
use crate::source::{Module, modules};

/// What each node uses.
pub(crate) type Graph = BTreeMap<String, BTreeSet<String>>;

#[test]
fn files_of_a_package_form_no_circle() {
    let mut found = Vec::new();
    for package in our_packages() {
        let graph = file_graph(&modules(&package.directory.join("src")));
        assert!(!graph.is_empty(), "{} has no source", package.name);
        let parts = circles(&graph);
        found.extend(parts.into_iter().flatten().map(|module| format!("{} {module}", package.name)));
    }
    assert!(found.is_empty(), "these files use each other: {found:#?}");
}

/// Returns which module uses which. The `mod` lines of a module are no use of its children.
fn file_graph(modules: &BTreeMap<Module, String>) -> Graph {
    let edges = modules.iter().map(|(module, code)| {
        let used = paths_in(code).into_iter().filter_map(|path| file_of(&path, module, modules));
        let used = used.filter(|used| used != module).map(|used| name(&used)).collect();
        (name(module), used)
    });
    edges.collect()
}

fn name(module: &Module) -> String {
    if module.is_empty() { "(root)".to_owned() } else { module.join("::") }
}

/// Returns the module whose file holds what a path in `here` names, unless that is outside of the package.
fn file_of(path: &[String], here: &Module, modules: &BTreeMap<Module, String>) -> Option<Module> {
    let mut base = match path.first()?.as_str() {
        "crate" => Module::new(),
        "self" | "super" => here.clone(),
        _ => return None,
    };
    for segment in path {
        match segment.as_str() {
            "crate" | "self" => {}
            "super" => drop(base.pop()),
            _ => {
                base.push(segment.clone());
                if !modules.contains_key(&base) {
                    base.pop();
                    break;
                }
            }
        }
    }
    Some(base)
}

/// Returns the groups of nodes that reach each other.
pub(crate) fn circles(graph: &Graph) -> Vec<BTreeSet<String>> {
    let reached: Graph = graph.keys().map(|node| (node.clone(), reachable(graph, node))).collect();
    let in_circles = reached.iter().filter(|(node, others)| others.contains(*node));
    let groups = in_circles.map(|(node, others)| {
        others.iter().filter(|other| reached.get(*other).is_some_and(|back| back.contains(node))).cloned().collect()
    });
    groups.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Returns what a node uses, and what that uses, and so on.
fn reachable(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next: Vec<&String> = graph[from].iter().collect();
    while let Some(node) = next.pop() {
        if found.insert(node.clone()) {
            next.extend(graph.get(node).into_iter().flatten());
        }
    }
    found
}

fn made_up(files: &[(&str, &str)]) -> Vec<BTreeSet<String>> {
    let module = |name: &str| name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect::<Module>();
    circles(&file_graph(&files.iter().map(|(name, code)| (module(name), (*code).to_owned())).collect()))
}

#[test]
fn a_circle_of_three_files_is_found_and_the_rest_is_left_out() {
    let found = made_up(&[
        ("", "mod a;\nmod b;\nuse crate::b::B;"),
        ("a", "use crate::{b::c::C, d::D};"),
        ("b", "use super::a::A;"),
        ("b::c", "fn f() -> super::B {}"),
        ("d", "use std::fmt;"),
    ]);
    assert_eq!(found, [BTreeSet::from(["a", "b", "b::c"].map(str::to_owned))]);
}

#[test]
fn a_child_that_uses_its_parent_is_a_circle_only_if_the_parent_uses_the_child() {
    assert!(made_up(&[("a", "mod b;"), ("a::b", "use super::A;")]).is_empty());
    assert_eq!(made_up(&[("a", "mod b;\nuse self::b::B;"), ("a::b", "use crate::a::A;")]).len(), 1);
}
