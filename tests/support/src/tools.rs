//! Third-party programs that check what is deployed. Their versions are in `tests/run`, which installs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Returns a program from PyPI, in a directory of this project.
pub fn python_tool(name: &str) -> Command {
    installed(root().join("target/python/bin").join(name))
}

/// Returns a program from PyPI that judges the contract of the HTTP API.
pub fn contract_tool(name: &str) -> Command {
    installed(root().join("target/contract/bin").join(name))
}

/// Returns the directory of the Node.js packages that generate a client of the HTTP API.
pub fn contract_client() -> PathBuf {
    root().join("target/contract-client")
}

/// Returns the directory of the Node.js packages that know the custom resources of Kubernetes.
pub fn kubernetes_models() -> PathBuf {
    root().join("target/kubernetes-models")
}

pub fn node_tool(name: &str) -> Command {
    installed(kubernetes_models().join("node_modules/.bin").join(name))
}

fn installed(program: PathBuf) -> Command {
    assert!(program.exists(), "{} is missing; ./tests/run installs it", program.display());
    let mut command = Command::new(program);
    command.current_dir(root());
    command
}

/// Runs a command to its end, and returns its output.
///
/// # Panics
/// Panics with the output unless the command succeeded.
pub fn expect_content(command: &mut Command) -> String {
    let (content, said) = judge(command);
    assert!(content, "{command:?}\n{said}");
    said
}

/// Runs a command to its end. Returns whether it succeeded, and its output.
pub fn judge(command: &mut Command) -> (bool, String) {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; ./tests/run installs it"));
    let Output { status, stdout, stderr } = ran;
    (status.success(), format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr)))
}

/// Returns all files below a directory whose names end like this, sorted.
pub fn files_below(directory: impl AsRef<Path>, ending: &str) -> Vec<PathBuf> {
    let directory = root().join(directory);
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> =
        paths.flat_map(|path| if path.is_dir() { files_below(path, ending) } else { vec![path] }).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == ending));
    files.sort();
    files
}

pub fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
