//! docs/tutorial.md: the commands that use up a public code, run word for word, with the output that it shows.

use codemint_test_support::cli_steps::EmptyPlace;
use codemint_test_support::shown::{blocks_below, commands, run_shown, without_chance};
use codemint_test_support::tools::root;

#[tokio::test]
async fn the_tutorial_shows_a_public_code_that_is_used_refused_held_released_and_used_again() {
    let place = EmptyPlace::create();
    std::os::unix::fs::symlink(root().join("docs/examples"), place.path().join("examples")).expect("a link");
    // The steps before it have created the store.
    place.run(&[], &["migrate"], 0).await;
    let [shown] = &blocks_below("docs/tutorial.md", "## 6. Use up a public code", "console")[..] else {
        panic!("one block")
    };
    let seen = run_shown(shown, place.path(), &[]).await;
    assert_eq!(without_chance(&seen), without_chance(shown));
    assert_eq!(commands(shown).iter().filter(|command| command.starts_with("codemint redeem ")).count(), 5);
}
