//! Texts that came from outside, such as the mask of a message, cannot act on the terminal of the person who lists them.

use codemint_codes::job::options::JobOptions;
use codemint_codes::job::state::JobError;
use codemint_store::admission::refused::RefusedRequest;
use uuid::Uuid;

use codemint_test_support::cli_steps::{EmptyPlace, assert_names, generate};
use codemint_test_support::codemint::Ran;
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;

const MASK: &str = "\x1b[2JA\nFORGED  completed\u{9b}31m\u{202e}\u{2028}#";
const SHOWN_MASK: &str = r"\u{1b}[2JA\nFORGED  completed\u{9b}31m\u{202e}\u{2028}#";
const CAMPAIGN: &str = "\x1b]0;title\x07\r\nspring\u{2066}";
const SHOWN_CAMPAIGN: &str = r"\u{1b}]0;title\u{7}\r\nspring\u{2066}";
/// A campaign that the program itself accepts: it has no control character.
const TURNED: &str = "spring\u{202e}gnirps";
const SHOWN_TURNED: &str = r"spring\u{202e}gnirps";

fn assert_harmless(ran: Ran) -> Ran {
    for text in [&ran.stdout, &ran.stderr] {
        let acts = |c: char| c.is_control() && c != '\n' || "\u{2028}\u{202e}\u{2066}".contains(c);
        assert!(!text.contains(acts), "{text:?}");
    }
    ran
}

/// Stores a refused request as a worker does for a message, and returns the id of its job.
async fn refused(place: &TestStore) -> String {
    let id = Uuid::now_v7();
    let refused = RefusedRequest {
        id,
        mask_text: MASK.to_owned(),
        count: 5,
        campaign: Some(CAMPAIGN.to_owned()),
        options: JobOptions::default(),
        error: JobError { code: "invalid_mask".to_owned(), message: format!("found {MASK}") },
    };
    place.store.put_refused(&refused).await.expect("a failed job");
    id.to_string()
}

on_both_stores!(regression_a_mask_and_a_campaign_from_a_message_are_escaped_in_every_report);
async fn regression_a_mask_and_a_campaign_from_a_message_are_escaped_in_every_report(place: TestStore) {
    let id = refused(&place).await;
    let run = async |args: &[&str], code| assert_harmless(place.codemint(args).run().await.expect_code(code));
    let list = run(&["jobs", "list"], 0).await.stdout;
    assert_names(&list, &[SHOWN_MASK, SHOWN_CAMPAIGN]);
    assert_eq!(list.lines().count(), 2, "a mask adds no line: {list}");
    let show = run(&["jobs", "show", &id], 0).await.stdout;
    assert_names(&show, &[SHOWN_MASK, SHOWN_CAMPAIGN, &format!("invalid_mask: found {SHOWN_MASK}")]);
    assert_eq!(show.lines().count(), 12, "{show}");
    for args in [&["jobs", "watch", &id][..], &["jobs", "resume", &id], &["jobs", "cancel", &id]] {
        let ran = run(args, 3).await;
        assert_names(&format!("{}{}", ran.stdout, ran.stderr), &[&id]);
    }
    let conflict = run(&["generate", "##", "--count", "5", "--job-id", &id], 4).await.stderr;
    assert_names(&conflict, &[SHOWN_MASK, &format!("campaign {SHOWN_CAMPAIGN}")]);
    assert_eq!(conflict.lines().count(), 1, "{conflict}");
    assert_names(&run(&["audit"], 0).await.stdout, &[SHOWN_CAMPAIGN]);
    run(&["verify", &id], 0).await;
    run(&["export", &id], 0).await;
    // Programs read the texts as they are.
    let json = place.codemint(["jobs", "show", &id, "--json"]).run().await.expect_code(0).json();
    assert_eq!((&json["mask"], &json["campaign"]), (&MASK.into(), &CAMPAIGN.into()));
}

#[tokio::test]
async fn regression_a_campaign_that_reorders_text_is_escaped_where_it_is_repeated() {
    let place = TestStore::sqlite().await;
    let id = generate(&place, &["####", "--count", "5", "--campaign", TURNED]).await.to_string();
    let run = async |args: &[&str], code| assert_harmless(place.codemint(args).run().await.expect_code(code));
    for args in [&["jobs", "list"][..], &["jobs", "show", &id], &["jobs", "watch", &id], &["audit"]] {
        assert_names(&run(args, 0).await.stdout, &[SHOWN_TURNED]);
    }
    let conflict = run(&["enqueue", "??", "--count", "5", "--job-id", &id], 4).await.stderr;
    assert_names(&conflict, &[SHOWN_TURNED]);
    run(&["reserve", "add", "OTHER", "--note", TURNED], 0).await;
    assert_names(&run(&["reserve", "list"], 0).await.stdout, &[SHOWN_TURNED]);
}

const COLUMN: &str = "a\x1b[J\u{202e}b";
const SHOWN_COLUMN: &str = r"a\u{1b}[J\u{202e}b";

#[tokio::test]
async fn regression_names_from_an_input_are_escaped_in_messages_of_an_import_and_plain_ones_stay() {
    let place = TestStore::sqlite().await;
    let import = async |text: &str, args: &[&str], code| {
        std::fs::write(place.path().join("in.csv"), text).expect("a file");
        assert_harmless(place.codemint(["import", "in.csv"]).args(args).run().await.expect_code(code))
    };
    let table = format!("{COLUMN},l'avoir\n1,2\n");
    let no_column = import(&table, &[], 2).await.stderr;
    assert_names(&no_column, &[&format!("name the column of the codes: {SHOWN_COLUMN}, l'avoir\n")]);
    let missing = import(&table, &["--column", COLUMN.trim_end_matches('b')], 4).await.stderr;
    assert_names(&missing, &[&format!("its columns are \"{SHOWN_COLUMN}\", \"l'avoir\"")]);
    let broken = import("\"co\nde\",x\n1,2\n", &["--column", "none"], 4).await.stderr;
    assert_names(&broken, &[r#"its columns are "co\nde", "x""#]);
    let report = import(&table, &["--column", COLUMN, "--dry-run"], 0).await.stdout;
    assert_names(&report, &[&format!("CSV, column \"{SHOWN_COLUMN}\", separated by ,")]);
    let not_there = place.codemint(["import", "no\nFORGED\x1b[2J"]).run().await.expect_code(2);
    assert_eq!(assert_harmless(not_there).stderr.lines().count(), 1);
}

on_both_stores!(regression_the_mask_of_a_message_is_escaped_where_an_import_has_its_id);
async fn regression_the_mask_of_a_message_is_escaped_where_an_import_has_its_id(place: TestStore) {
    let id = refused(&place).await;
    std::fs::write(place.path().join("in.txt"), "AA\n").expect("a file");
    let ran = place.codemint(["import", "in.txt", "--job-id", &id]).run().await.expect_code(4);
    let said = assert_harmless(ran).stderr;
    assert_names(&said, &[SHOWN_MASK, "is not an import"]);
    assert_eq!(said.lines().count(), 1, "{said}");
}

#[tokio::test]
async fn regression_an_argument_is_escaped_where_an_error_repeats_it() {
    let place = EmptyPlace::create();
    let nasty = "a\x1b[2J\u{202e}b";
    let shown = r"a\u{1b}[2J\u{202e}b";
    let cases: [(&[&str], i32); 7] = [
        (&["jobs", "show", nasty], 2),
        (&[nasty], 2),
        (&["--config", nasty, "jobs", "list"], 2),
        (&["--store", "sqlite://a\u{202e}b/c.db", "generate", "##", "--count", "5"], 2),
        (&["generate", "##", "--count", "5", "--output", "a\x1b[2J\u{202e}b/c"], 1),
        (&["import", nasty], 2),
        (&["generate", nasty, "--count", "5"], 4),
    ];
    for (args, code) in cases {
        let ran = assert_harmless(place.run(&[], args, code).await);
        assert!(ran.stderr.contains(shown) || ran.stderr.contains(r"\u{"), "{args:?}: {}", ran.stderr);
    }
    place.write("codemint.toml", "\"a\\u001b[2J\" = 5");
    assert_names(&assert_harmless(place.run(&[], &["jobs", "list"], 2).await).stderr, &[r"a\u{1b}[2J (codemint.toml)"]);
}
