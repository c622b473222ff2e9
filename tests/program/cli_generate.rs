//! `codemint generate`: what it prints, what it writes, and to which job the codes belong.

use serde_json::Value;
use uuid::Uuid;

use codemint_test_support::cli_steps::{assert_names, exported, files_beside_the_store, generate, job_id};
use codemint_test_support::codemint::finish;
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;

fn every_code_of_four_digits() -> String {
    (0..10_000).map(|code| format!("{code:04}\n")).collect()
}

on_both_stores!(a_job_for_all_codes_of_a_mask_mints_each_code_once);
async fn a_job_for_all_codes_of_a_mask_mints_each_code_once(place: TestStore) {
    let args = ["generate", "####", "--count", "10000", "--chunk-size", "700", "--output", "codes.txt"];
    place.codemint(args).run().await.expect_code(0);
    let codes = std::fs::read_to_string(place.path().join("codes.txt")).expect("the output");
    assert_eq!(codes, every_code_of_four_digits());
    assert_eq!(place.number("select count(*) from codes").await, 10_000);
}

on_both_stores!(one_code_more_than_the_mask_has_is_refused_and_writes_nothing);
async fn one_code_more_than_the_mask_has_is_refused_and_writes_nothing(place: TestStore) {
    let args = ["generate", "####", "--count", "10001", "--output", "codes.txt"];
    let ran = place.codemint(args).run().await.expect_code(4);
    assert_names(&ran.stderr, &["10001", "the mask #### has 10000 codes"]);
    assert_eq!(ran.stdout, "");
    assert_eq!(files_beside_the_store(place.path()), [] as [&str; 0]);
    for table in ["jobs", "chunks", "codes"] {
        assert_eq!(place.number(&format!("select count(*) from {table}")).await, 0, "{table}");
    }
}

on_both_stores!(without_an_output_the_codes_stay_in_the_store_and_a_summary_is_printed);
async fn without_an_output_the_codes_stay_in_the_store_and_a_summary_is_printed(place: TestStore) {
    let ran = place.codemint(["generate", "PROMO-*{8}", "--count", "1234"]).run().await.expect_code(0);
    let id = place.store.list_jobs(&newest()).await.expect("jobs")[0].id.to_string();
    assert_names(&ran.stdout, &[&id, "1,234", " s, ", " codes/s", "store     "]);
    assert!(!ran.stdout.contains("PROMO-"), "no code is printed: {}", ran.stdout);
    assert_eq!(ran.stderr, "");
    assert_eq!(files_beside_the_store(place.path()), [] as [&str; 0]);
    assert_eq!(place.number("select count(*) from codes").await, 1234);
}

fn newest() -> codemint_store::records::reports::JobFilter {
    codemint_store::records::reports::JobFilter { limit: 1, ..Default::default() }
}

on_both_stores!(the_json_summary_is_the_job_and_what_this_process_did_for_it);
async fn the_json_summary_is_the_job_and_what_this_process_did_for_it(place: TestStore) {
    let args = ["generate", "ab-****", "--count", "50", "--campaign", "vip", "--json", "--output", "codes.csv"];
    let summary = place.codemint(args).run().await.expect_code(0).json();
    let job = &summary["job_id"];
    let shown = place.codemint(["jobs", "show", "--json", job.as_str().expect("an id")]).run().await;
    let shown = shown.expect_code(0).json();
    for (key, value) in shown.as_object().expect("an object").iter().filter(|(key, _)| *key != "screenings") {
        assert_eq!(&summary[key], value, "{key}");
    }
    assert_eq!((&summary["mask"], &summary["campaign"]), (&"ab-****".into(), &"vip".into()));
    assert_eq!((&summary["minted"], &summary["minted_here"]), (&50.into(), &50.into()));
    assert_eq!(summary["output"], "codes.csv");
    assert!(summary["seconds"].as_f64().expect("a number") > 0.0);
    assert!(summary["codes_per_second"].as_u64().expect("a number") > 0);
    assert!(summary["store"].as_str().expect("a text").starts_with(&place.url[..9]));
}

on_both_stores!(with_codes_on_standard_output_the_summary_goes_to_standard_error);
async fn with_codes_on_standard_output_the_summary_goes_to_standard_error(place: TestStore) {
    let args = ["generate", "##", "--count", "100", "--output", "-"];
    let text = place.codemint(args).run().await.expect_code(0);
    let expected: String = (0..100).map(|code| format!("{code:02}\n")).collect();
    assert_eq!(text.stdout, format!("code\n{expected}"), "a header row by default");
    assert_names(&text.stderr, &["codes     100", "standard output"]);

    let args = ["generate", "A#", "--count", "10", "--output", "-", "--json", "--format", "txt"];
    let json = place.codemint(args).run().await.expect_code(0);
    assert_eq!(json.stdout.lines().count(), 10);
    let summary: Value = serde_json::from_str(&json.stderr).expect("the summary");
    assert_eq!(summary["minted"], 10);
}

#[tokio::test]
async fn the_format_follows_the_file_extension_unless_it_is_given() {
    let place = TestStore::sqlite().await;
    let id = generate(&place, &["[\"\\\\,]#", "--count", "30", "--output", "c.csv"]).await.to_string();
    let codes = exported(&place, id.parse().expect("a UUID")).await;
    let written = async |args: &[&str], file: &str| {
        place.codemint(["export", &id, "--output", file]).args(args).run().await.expect_code(0);
        std::fs::read_to_string(place.path().join(file)).expect("the output")
    };
    let lines: String = codes.iter().map(|code| format!("{code}\n")).collect();
    assert_eq!(written(&[], "c.txt").await, lines);
    assert_eq!(written(&["--format", "txt"], "d.csv").await, lines);

    let csv = std::fs::read_to_string(place.path().join("c.csv")).expect("the output");
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(rows.headers().expect("a header"), vec!["code"]);
    let read: Vec<String> = rows.records().map(|row| row.expect("a row")[0].to_owned()).collect();
    assert_eq!(read, codes);
    assert_eq!(written(&["--format", "csv"], "e.txt").await, csv);

    for file in ["c.jsonl", "c.ndjson"] {
        let json = written(&[], file).await;
        let read: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
        assert_eq!(read, codes.iter().map(|code| serde_json::json!({ "code": code })).collect::<Vec<_>>());
    }
}

on_both_stores!(repeating_a_request_reports_its_job_and_writes_the_whole_file_again);
async fn repeating_a_request_reports_its_job_and_writes_the_whole_file_again(place: TestStore) {
    let id = Uuid::now_v7();
    let named = format!("--job-id={id}");
    let first = ["ab####", "--count", "500", &named, "--output", "one.csv"];
    assert_eq!(generate(&place, &first).await, id);
    let again = ["generate", "AB[0-9]{4}", "-n500", &named, "--output", "two.csv", "--json"];
    let again = place.codemint(again).run().await.expect_code(0);
    assert_eq!(job_id(&again), id);
    assert_eq!((&again.json()["minted"], &again.json()["minted_here"]), (&500.into(), &0.into()));
    let file = |name: &str| std::fs::read(place.path().join(name)).expect("the output");
    assert_eq!(file("one.csv"), file("two.csv"));
    assert_eq!(place.number("select count(*) from codes").await, 500);
}

on_both_stores!(a_job_id_with_another_request_is_refused_and_nothing_changes);
async fn a_job_id_with_another_request_is_refused_and_nothing_changes(place: TestStore) {
    let id = Uuid::now_v7().to_string();
    generate(&place, &["####", "--count", "5", "--campaign", "vip", "--job-id", &id]).await;
    let others: [&[&str]; 4] = [
        &["###*", "--count", "5", "--campaign", "vip"],
        &["####", "--count", "6", "--campaign", "vip"],
        &["####", "--count", "5", "--campaign", "VIP"],
        &["####", "--count", "5"],
    ];
    for other in others {
        let args = ["generate", "--job-id", &id, "--output", "codes.csv"];
        let ran = place.codemint(args).args(other).run().await.expect_code(4);
        assert_names(&ran.stderr, &[&id, "another request", "5 codes of ####", "campaign vip"]);
        assert_eq!(ran.stdout, "");
    }
    assert_eq!(place.number("select count(*) from codes").await, 5);
    assert_eq!(files_beside_the_store(place.path()), [] as [&str; 0]);
}

on_both_stores!(two_processes_with_one_job_id_both_succeed_and_mint_exactly_the_count);
async fn two_processes_with_one_job_id_both_succeed_and_mint_exactly_the_count(place: TestStore) {
    let id = Uuid::now_v7().to_string();
    let start = |file: &str| {
        let args = ["generate", "*{9}", "--count", "20000", "--chunk-size", "500", "--json"];
        place.codemint(args).args(["--job-id", &id, "--output", file]).start()
    };
    let (one, two) = (start("one.txt"), start("two.txt"));
    let (one, two) = tokio::join!(finish(one), finish(two));
    let here = |summary: Value| summary["minted_here"].as_u64().expect("a number");
    assert_eq!(here(one.expect_code(0).json()) + here(two.expect_code(0).json()), 20_000);

    let file = |name: &str| std::fs::read_to_string(place.path().join(name)).expect("the output");
    assert_eq!(file("one.txt"), file("two.txt"));
    assert_eq!(file("one.txt").lines().count(), 20_000);
    assert!(file("one.txt").lines().is_sorted_by(|a, b| a < b));
    assert_eq!(place.number("select count(*) from codes").await, 20_000);
    assert_eq!(place.number("select count(*) from jobs").await, 1);
    place.codemint(["verify", &id]).run().await.expect_code(0);
}

#[tokio::test]
async fn regression_a_quiet_command_prints_nothing_but_its_summary() {
    let place = TestStore::sqlite().await;
    let request = codemint_test_support::cli_steps::request("####", 10);
    place.store.put_job(Uuid::now_v7(), &request).await.expect("a job");
    let ran = place.codemint(["--quiet", "generate", "####", "--count", "10"]).run().await.expect_code(0);
    assert_eq!(ran.stderr, "");
    assert_names(&ran.stdout, &["codes     10"]);
}

on_both_stores!(a_similar_unfinished_job_is_mentioned_and_a_new_one_is_minted);
async fn a_similar_unfinished_job_is_mentioned_and_a_new_one_is_minted(place: TestStore) {
    let old = Uuid::now_v7();
    place.store.put_job(old, &codemint_test_support::cli_steps::request("####", 10)).await.expect("a job");
    let ran = place.codemint(["generate", "[0-9]###", "--count", "10", "--json"]).run().await.expect_code(0);
    assert_names(&ran.stderr, &[&old.to_string(), &format!("jobs resume {old}`")]);
    assert_ne!(job_id(&ran), old);
    assert_eq!(place.number("select count(*) from codes").await, 10);

    // Another count, another campaign or a finished job is not worth a note.
    place.codemint(["jobs", "resume", &old.to_string()]).run().await.expect_code(0);
    let ran = place.codemint(["generate", "####", "--count", "10"]).run().await.expect_code(0);
    assert_eq!(ran.stderr, "");
}
