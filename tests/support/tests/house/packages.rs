//! Arrows between packages, and what of others each package may use: read from manifests and source.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use codemint_test_support::tools::{read, root};

use crate::circles::{Graph, circles};
use crate::paths::paths_in;
use crate::source::modules;

/// All arrows that the layout allows. ARCHITECTURE.md lists those that exist.
const ALLOWED: [(&str, &[&str]); 10] = [
    ("program", &["server", "campaigns", "worker", "import", "store", "offers", "codes", "telemetry"]),
    ("server", &["campaigns", "store", "offers", "codes", "telemetry"]),
    ("worker", &["campaigns", "import", "store", "codes", "telemetry"]),
    ("import", &["codes"]),
    ("campaigns", &["store", "offers", "codes", "telemetry"]),
    ("store", &["offers", "codes", "telemetry"]),
    ("offers", &["codes"]),
    ("codes", &[]),
    ("telemetry", &[]),
    ("loadtest", &["worker", "import", "store", "codes", "telemetry"]),
];

/// Packages of others, and which of ours may depend on them.
const LIMITED: [(&str, &[&str]); 3] =
    [("sqlx", &["store", "loadtest", "test-support"]), ("lapin", &["worker", "test-support"]), ("axum", &["server"])];

/// The packages that only compute.
const PURE: [&str; 2] = ["codes", "offers"];

/// What would make a package impure: I/O, the randomness of the system.
const IMPURE: [&str; 10] =
    ["axum", "fail", "futures-util", "getrandom", "lapin", "rustix", "sqlx", "tempfile", "tokio", "tracing"];

/// A package of this workspace.
#[derive(Debug)]
pub(crate) struct Package {
    /// The name without `codemint-`; the root package is `program`.
    pub(crate) name: String,
    pub(crate) directory: PathBuf,
    /// Dependencies of the package itself, not of its tests.
    dependencies: BTreeSet<String>,
}

/// Reads the manifests of the workspace.
pub(crate) fn our_packages() -> Vec<Package> {
    let arguments = ["metadata", "--format-version", "1", "--no-deps", "--locked", "--offline"];
    let ran = Command::new("cargo").args(arguments).current_dir(root()).output().expect("cargo");
    let metadata: Value = serde_json::from_slice(&ran.stdout).expect("the manifests as JSON");
    let packages: Vec<Package> = metadata["packages"].as_array().expect("packages").iter().map(package).collect();
    assert!(packages.len() >= 9, "{packages:?}");
    packages
}

fn package(metadata: &Value) -> Package {
    let manifest = PathBuf::from(metadata["manifest_path"].as_str().expect("a path"));
    let dependencies = metadata["dependencies"].as_array().expect("dependencies").iter();
    Package {
        name: short(metadata["name"].as_str().expect("a name")),
        directory: manifest.parent().expect("a directory").to_owned(),
        dependencies: dependencies
            .filter(|dependency| dependency["kind"] != "dev")
            .map(|dependency| dependency["name"].as_str().expect("a name").to_owned())
            .collect(),
    }
}

fn short(name: &str) -> String {
    if name == "codemint" { "program" } else { name.trim_start_matches("codemint-") }.to_owned()
}

/// Returns the arrows between packages. The crate of test tools may use anything and is left out.
fn arrows() -> Graph {
    let packages = our_packages().into_iter().filter(|package| package.name != "test-support");
    let arrows = packages.map(|package| {
        let ours = package.dependencies.iter().filter(|name| name.starts_with("codemint-"));
        (package.name, ours.map(|name| short(name)).collect())
    });
    arrows.collect()
}

/// Returns the lines `package -> package, package` of the block of arrows in ARCHITECTURE.md.
fn documented_arrows() -> Graph {
    let text = read("ARCHITECTURE.md");
    let block = text.split("```arrows\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block of arrows");
    let arrow = |line: &str| {
        let (from, to) = line.split_once("->").unwrap_or_else(|| panic!("no arrow in {line:?}"));
        let to = to.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        (from.trim().to_owned(), to.collect())
    };
    block.lines().map(arrow).collect()
}

#[test]
fn arrows_between_packages_are_those_of_the_architecture_document() {
    assert_eq!(arrows(), documented_arrows(), "left: the manifests, right: ARCHITECTURE.md");
}

#[test]
fn arrows_between_packages_are_allowed_and_form_no_circle() {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.into();
    let drawn = arrows();
    for (from, to) in &drawn {
        let allowed = allowed.get(from.as_str()).unwrap_or_else(|| panic!("no place for the package {from}"));
        for name in to {
            assert!(allowed.contains(&name.as_str()), "{from} must not depend on {name}");
        }
    }
    assert_eq!(circles(&drawn), Vec::<BTreeSet<String>>::new());
}

#[test]
fn every_dependency_in_a_manifest_is_used() {
    let mut unused = Vec::new();
    for package in our_packages() {
        let code: String = modules(&package.directory.join("src")).into_values().collect();
        let used: BTreeSet<String> = paths_in(&code).into_iter().filter_map(|path| path.into_iter().next()).collect();
        let without_use = package.dependencies.iter().filter(|name| !used.contains(&name.replace('-', "_")));
        unused.extend(without_use.map(|name| format!("{} does not use {name}", package.name)));
    }
    assert!(unused.is_empty(), "{unused:#?}");
}

#[test]
fn databases_brokers_and_http_stay_in_their_packages() {
    for package in our_packages() {
        for (name, homes) in LIMITED {
            let allowed = !package.dependencies.contains(name) || homes.contains(&package.name.as_str());
            assert!(allowed, "{} must not depend on {name}", package.name);
        }
    }
}

#[test]
fn pure_packages_have_no_input_no_output_no_clock_and_no_randomness_of_the_system() {
    let pure: Vec<Package> =
        our_packages().into_iter().filter(|package| PURE.contains(&package.name.as_str())).collect();
    assert_eq!(pure.len(), PURE.len(), "{pure:?}");
    for package in pure {
        for name in IMPURE {
            assert!(!package.dependencies.contains(name), "{} must not depend on {name}", package.name);
        }
        let code: String = modules(&package.directory.join("src")).into_values().collect();
        for words in ["Utc::now", "SystemTime", "Instant::now", "std::fs", "std::net", "std::io", "std::env"] {
            assert!(!code.contains(words), "{} must not use {words}", package.name);
        }
    }
}

#[test]
fn every_package_follows_the_lints_of_the_workspace_and_only_the_program_prints() {
    let manifest = read("Cargo.toml");
    for lint in ["print_stdout", "print_stderr"] {
        assert!(manifest.contains(&format!("\n{lint} = \"deny\"\n")), "{lint} is allowed");
    }
    for package in our_packages() {
        let manifest = read(package.directory.join("Cargo.toml"));
        assert!(manifest.contains("\n[lints]\nworkspace = true\n"), "{} has its own lints", package.name);
        let is_program = matches!(package.name.as_str(), "program" | "loadtest" | "test-support");
        let code: String = modules(&package.directory.join("src")).into_values().collect();
        assert!(is_program || !code.contains("clippy::print_std"), "{} prints", package.name);
    }
}
