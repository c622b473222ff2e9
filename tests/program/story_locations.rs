//! examples/stories/locations.sh: a shop whose locations get personal codes.

use std::process::Stdio;

use codemint_test_support::codemint::program;
use codemint_test_support::tools::root;
use tokio::process::Command;

#[tokio::test]
async fn the_story_of_locations_is_as_told() {
    let directory = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::symlink(program(), directory.path().join("codemint")).expect("a link");
    let path = std::env::var("PATH").expect("a path");
    let script = root().join("examples/stories/locations.sh");
    let mut command = Command::new("sh");
    command.arg(script).current_dir(directory.path()).stdin(Stdio::null());
    command.env("PATH", format!("{}:{path}", directory.path().display()));
    let ran = command.output().await.expect("a shell");
    let (stdout, stderr) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(ran.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.ends_with("All is as told.\n"), "{stdout}");
}
