//! Warnings about codes that spreadsheets change or run: before they are minted, after they were exported, for a mask.

use serde_json::json;

use codemint_test_support::cli_steps::{EmptyPlace, assert_names, generate};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;

const LOST_ZEROS: &str = "a spreadsheet that opens the codes as CSV changes 10.00 % of them (leading zeros: 10.00 %); \
                          write --format xlsx, import the column as text, or use another mask";

on_both_stores!(regression_codes_that_a_spreadsheet_changes_are_announced_before_minting);
async fn regression_codes_that_a_spreadsheet_changes_are_announced_before_minting(place: TestStore) {
    let stderr = async |args: &[&str]| {
        let ran = place.codemint(["generate", "--json"]).args(args).run().await.expect_code(0);
        ran.stderr.lines().filter(|line| line.starts_with("warning")).map(str::to_owned).collect::<Vec<_>>()
    };
    for output in ["codes.csv", "codes.csv.gz", "codes", "-"] {
        let warned = stderr(&["####", "-n", "500", "--output", output]).await;
        assert_eq!(warned, [format!("warning: {LOST_ZEROS}")], "once for {output}");
    }
    let silent: [&[&str]; 6] = [
        &["A###", "-n", "500", "--output", "codes.csv"],
        &["####", "-n", "500", "--output", "codes.txt"],
        &["####", "-n", "500", "--output", "codes.jsonl"],
        &["####", "-n", "500", "--output", "codes.xlsx"],
        &["####", "-n", "500"],
        &["####", "-n", "500", "--output", "codes.csv", "--quiet"],
    ];
    for args in silent {
        assert_eq!(stderr(args).await, [] as [&str; 0], "{args:?}");
    }
}

#[tokio::test]
async fn regression_a_rare_code_that_a_spreadsheet_changes_is_reported_when_it_was_written() {
    let place = TestStore::sqlite().await;
    // Of 20 codes of the mask, fewer than one is expected to begin with a zero; the reservation leaves two first symbols.
    place.codemint(["reserve", "add", "[B-Z]#"]).run().await.expect_code(0);
    let ran = place.codemint(["generate", "[A-Z0]#", "-n", "20", "--output", "codes.csv"]).run().await.expect_code(0);
    let warning = "warning: a spreadsheet that opens this CSV changes 10 of 20 codes (leading zeros: 10); write --format \
                   xlsx, or import the column as text\n";
    assert_eq!(ran.stderr, warning);
}

on_both_stores!(regression_an_export_counts_the_codes_that_a_spreadsheet_changes_or_runs);
async fn regression_an_export_counts_the_codes_that_a_spreadsheet_changes_or_runs(place: TestStore) {
    let codes = "=HYPERLINK(1)\n+4912\n007\n1E5\nMAR-07\n1234567890123456\n12345678901234567\nPROMO-1\n12345\n";
    std::fs::write(place.path().join("old.txt"), codes).expect("a file");
    let import = place.codemint(["import", "old.txt", "--format", "txt", "--json"]).run().await.expect_code(0).json();
    let imported = import["job_id"].as_str().expect("an id").to_owned();
    let export = async |args: &[&str]| place.codemint(["export"]).args(args).run().await.expect_code(0).stderr;
    let kinds = "formulas: 2, leading zeros: 1, digits after the 15th: 2, powers of ten: 1, dates or times: 1";
    let warning = format!(
        "warning: a spreadsheet that opens this CSV changes or runs 7 of 9 codes ({kinds}); write --format xlsx, or \
         import the column as text\n"
    );
    for order in ["code", "random"] {
        assert_eq!(export(&[&imported, "--order", order]).await, warning);
    }
    assert_eq!(export(&[&imported, "--output", "codes.csv"]).await, warning);
    assert_eq!(export(&[&imported, "--quiet"]).await, "");
    for output in ["codes.txt", "codes.jsonl", "codes.xlsx"] {
        assert_eq!(export(&[&imported, "--output", output]).await, "", "{output}");
    }

    // Codes of a harmless mask need not be looked at, but those of the other job do.
    let harmless = generate(&place, &["PROMO-####", "--count", "10"]).await.to_string();
    assert_eq!(export(&[&harmless]).await, "");
    assert_names(&export(&[&harmless, &imported]).await, &["changes or runs 7 of 19 codes"]);
    let dates = generate(&place, &["APR-##", "--count", "100"]).await.to_string();
    assert_names(&export(&[&dates]).await, &["changes 100 of 100 codes (dates or times: 100)"]);
    let formulas = generate(&place, &["\\-##", "--count", "1"]).await.to_string();
    assert_names(&export(&[&formulas]).await, &["runs 1 of 1 code (formulas: 1)"]);
}

#[tokio::test]
async fn regression_a_mask_is_explained_with_what_a_spreadsheet_does_to_its_codes() {
    let place = EmptyPlace::create();
    let text = place.run(&[], &["mask", "explain", "####"], 0).await.stdout;
    assert_names(&text, &[&format!("\ncsv       {LOST_ZEROS}\n")]);
    let explain = async |mask: &str| place.run(&[], &["mask", "explain", mask, "--json"], 0).await.json();
    let lost_zeros = json!({"share": 0.1, "exact": true, "kinds": {"leading_zeros": 0.1}});
    assert_eq!(explain("####").await["spreadsheet"], lost_zeros);
    let checked = explain("0###[:check:]").await["spreadsheet"].clone();
    assert_eq!((&checked["exact"], &checked["kinds"]), (&false.into(), &json!({"leading_zeros": 4.0 / 24.0})));
    assert_names(&place.run(&[], &["mask", "explain", "0###[:check:]"], 0).await.stdout, &["changes about 16.67 % of"]);
    assert_eq!(explain("SPRING-[:safe:]{8}").await["spreadsheet"], serde_json::Value::Null);
    let harmless = place.run(&[], &["mask", "explain", "SPRING-[:safe:]{8}"], 0).await.stdout;
    assert!(!harmless.contains("spreadsheet"), "{harmless}");
    let formulas = place.run(&[], &["mask", "explain", "=#"], 0).await.stdout;
    assert_names(&formulas, &["as CSV runs 100.00 % of them (formulas: 100.00 %)"]);
}
