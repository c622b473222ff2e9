//! Each file of a package is compiled.

use std::collections::BTreeMap;

use crate::packages::our_packages;
use crate::source::{Module, read_modules};

#[test]
fn each_file_of_a_package_is_declared_by_its_parent() {
    let mut found = Vec::new();
    for package in our_packages() {
        let orphans = orphans(&read_modules(&package.directory.join("src"), str::to_owned));
        found.extend(orphans.into_iter().map(|module| format!("{} {}", package.name, module.join("::"))));
    }
    assert!(found.is_empty(), "no compiler reads these files: {found:#?}");
}

fn orphans(modules: &BTreeMap<Module, String>) -> Vec<Module> {
    let is_orphan = |module: &&Module| {
        module.split_last().is_some_and(|(name, parent)| {
            !modules.get(parent).is_some_and(|code| code.contains(&format!("mod {name};")))
        })
    };
    modules.keys().filter(is_orphan).cloned().collect()
}

#[test]
fn a_file_that_its_parent_does_not_declare_is_found() {
    let module = |name: &str| name.split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect::<Module>();
    let files = [("", "mod a;"), ("a", "pub(crate) mod b;"), ("a::b", ""), ("a::c", ""), ("d", "")];
    let found = orphans(&files.map(|(name, code)| (module(name), code.to_owned())).into());
    assert_eq!(found, ["a::c", "d"].map(module));
}
