//! README.md: the commands about redemption, run word for word, with the output that it shows.

use codemint_test_support::cli_steps::EmptyPlace;
use codemint_test_support::codemint::{Codemint, program};
use codemint_test_support::tools::root;
use std::path::Path;

/// Returns what the README shows below its heading `Redemption`.
fn shown() -> String {
    let page = std::fs::read_to_string(root().join("README.md")).expect("the README");
    let (_, section) = page.split_once("\n## Redemption\n").expect("the section");
    let (_, block) = section.split_once("```console\n").expect("a block");
    block.split_once("```").expect("its end").0.to_owned()
}

/// Replaces what differs from run to run: ids that were drawn, and times.
fn without_chance(output: &str) -> String {
    let word = |word: &str| {
        let is_id = word.len() == 36 && word.matches('-').count() == 4;
        let is_time = word.ends_with('Z') && word.len() == 24;
        match (is_id && !word.starts_with("01890a5d"), is_time) {
            (true, _) => "ID".to_owned(),
            (_, true) => "TIME".to_owned(),
            _ => word.to_owned(),
        }
    };
    output.lines().map(|line| line.split(' ').map(word).collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[tokio::test]
async fn the_readme_shows_a_public_code_that_is_used_refused_held_released_and_used_again() {
    let place = EmptyPlace::create();
    std::os::unix::fs::symlink(root().join("docs"), place.path().join("docs")).expect("a link");
    let shown = shown();
    let commands: Vec<&str> = shown.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let path = format!("{}:/usr/bin:/bin", program().parent().expect("a directory").display());
    let mut seen = String::new();
    for command in &commands {
        let shell =
            Codemint::built_elsewhere(Path::new("/bin/sh"), place.path()).args(["-c", &format!("{command} 2>&1")]);
        let ran = shell.env("PATH", &path).run().await;
        seen.push_str(&format!("$ {command}\n{}", ran.stdout));
    }
    assert_eq!(without_chance(&seen), without_chance(&shown));
    assert_eq!(commands.iter().filter(|command| command.starts_with("codemint redeem ")).count(), 5);
}
