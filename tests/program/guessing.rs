//! Codes that are easy to guess: the summary warns of them, and an operator can have them refused.

use codemint_codes::job::request::{Limits, Request, RequestError};

use codemint_test_support::codemint::Codemint;
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;

fn refusal(mask: &str, count: i128, guess_odds_min: u64) -> Option<RequestError> {
    Request::check(mask, count, None, 1_000, Limits { count_max: 1_000_000, guess_odds_min }).err()
}

#[test]
fn jobs_are_refused_below_the_minimum_odds_and_accepted_from_there_on() {
    for (mask, count, odds) in [
        ("####", 10, 1_000),
        ("####", 3, 3_333),
        ("A####", 10_000, 1),
        // Every symbol of a code counts, check characters too.
        ("##[:check:]", 10, 240),
        ("[01]#[AB]", 1, 40),
    ] {
        assert_eq!(refusal(mask, count, odds), None, "{count} of {mask}");
        let limit = odds + 1;
        assert_eq!(refusal(mask, count, limit), Some(RequestError::EasyToGuess { odds, limit }), "{count} of {mask}");
        assert_eq!(refusal(mask, count, 0), None);
    }
    assert_eq!(refusal("WELCOME", 1, 1_000_000), None, "a mask of literals is not secret");
}

on_both_stores!(the_summary_warns_of_codes_that_are_easy_to_guess);
async fn the_summary_warns_of_codes_that_are_easy_to_guess(place: TestStore) {
    let warning = "1 random guess in 1000 hits a code; use more placeholders";
    let ran = place.codemint(["generate", "####", "-n", "10", "--json"]).run().await.expect_code(0);
    assert_eq!(ran.json()["warnings"], serde_json::json!([warning]));
    let id = ran.json()["job_id"].as_str().expect("an id").to_owned();
    let shown = place.codemint(["jobs", "show", &id, "--json"]).run().await.expect_code(0);
    assert_eq!(shown.json()["warnings"], serde_json::json!([warning]));
    let ran = place.codemint(["generate", "####", "-n", "10"]).run().await.expect_code(0);
    assert!(ran.stdout.contains(&format!("\nwarning   {warning}\n")), "{}", ran.stdout);
}

#[tokio::test]
async fn there_is_no_warning_from_ten_thousand_guesses_a_hit_on() {
    let place = TestStore::sqlite().await;
    for (mask, count, warned) in
        [("#####", "10", false), ("#####", "11", true), ("WELCOME", "1", false), ("[:safe:]{12}", "500", false)]
    {
        let ran = place.codemint(["generate", mask, "-n", count, "--json"]).run().await.expect_code(0);
        assert_eq!(!ran.json()["warnings"].as_array().expect("a list").is_empty(), warned, "{count} of {mask}");
    }
}

#[tokio::test]
async fn a_refusal_of_guessable_codes_stores_nothing_and_names_the_setting() {
    let directory = tempfile::tempdir().expect("a directory");
    let generate = |count: &str| {
        let command =
            Codemint::new(directory.path()).args(["generate", "####", "--store", "sqlite://new.db", "-n", count]);
        command.env("CODEMINT__LIMITS__GUESS_ODDS_MIN", "1000")
    };
    let refused = generate("11").run().await.expect_code(4);
    for part in ["1 random guess in 909 would hit a code", "limits.guess_odds_min", "1 in 1000"] {
        assert!(refused.stderr.contains(part), "{part} in {}", refused.stderr);
    }
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
    generate("10").run().await.expect_code(0);
}
