//! The stories in examples/stories: each is a script that checks what it tells.

use std::fs;
use std::path::Path;

use codemint_test_support::cli_steps::EmptyPlace;
use codemint_test_support::codemint::{Codemint, program};
use codemint_test_support::tools::root;

/// Each script, and the last line that it prints.
const STORIES: [(&str, &str); 3] = [
    ("flower-shop.sh", "done: all is as told"),
    ("locations.sh", "All is as told."),
    ("referral.sh", "The story ended well."),
];

/// Runs a story as it is printed, with nothing on its path but this program and those of a POSIX system.
async fn tell(script: &str, last_line: &str) {
    let place = EmptyPlace::create();
    let path = format!("{}:/usr/bin:/bin", program().parent().expect("a directory").display());
    let file = root().join("examples/stories").join(script).display().to_string();
    let ran =
        Codemint::built_elsewhere(Path::new("/bin/sh"), place.path()).args([&file]).env("PATH", &path).run().await;
    assert_eq!(ran.code, 0, "{script}: {ran:?}");
    assert_eq!(ran.stdout.lines().last(), Some(last_line), "{script}: {ran:?}");
}

#[tokio::test]
async fn every_story_happens_as_it_is_told() {
    for (script, last_line) in STORIES {
        tell(script, last_line).await;
    }
}

#[test]
fn every_script_is_a_story_that_is_run() {
    let scripts = fs::read_dir(root().join("examples/stories")).expect("the stories");
    let mut found: Vec<String> =
        scripts.map(|script| script.expect("a script").file_name().to_string_lossy().into_owned()).collect();
    found.sort_unstable();
    let mut told: Vec<&str> = STORIES.iter().map(|(script, _)| *script).collect();
    told.sort_unstable();
    assert_eq!(found, told);
}
