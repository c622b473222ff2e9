//! `codemint export` and `codemint verify`: what the store holds, and whether that is what was minted.

use std::os::unix::fs::PermissionsExt;

use serde_json::Value;
use uuid::Uuid;

use codemint_test_support::cli_steps::{assert_names, exported, files_beside_the_store, generate, request};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::{Kind, TestStore};

/// The arguments of the jobs here: 600 codes in six chunks.
const MINT: [&str; 5] = ["*{6}", "--count", "600", "--chunk-size", "100"];

async fn problems_after(place: &TestStore, sql: &str, words: &[&str]) {
    problems_found(place, &["verify"], sql, words).await;
}

async fn problems_found(place: &TestStore, verify: &[&str], sql: &str, words: &[&str]) {
    let id = generate(place, &MINT).await.to_string();
    let verify = || place.codemint(verify).args([&id]);
    let before = verify().run().await.expect_code(0);
    assert_names(&before.stdout, &[&id, "600 of 600 codes found", "verification passed"]);

    place.execute(sql).await;
    let text = verify().run().await.expect_code(3);
    assert_names(&text.stdout, &["verification FAILED"]);
    assert_names(&text.stdout, words);
    assert_eq!(text.stderr, "");
    let json = verify().args(["--json"]).run().await.expect_code(3).json();
    assert_eq!((&json["job_id"], &json["holds"]), (&id.into(), &false.into()));
    let problems = json["problems"].to_string();
    assert_names(&problems, words);
    for code in place.texts("select code from codes limit 20").await {
        assert!(!problems.contains(&code), "problems name no codes");
    }
}

const SECOND_RUN: &str = "(select max(run_no) from chunks where chunk_no = 1)";

on_both_stores!(a_deleted_code_is_noticed);
async fn a_deleted_code_is_noticed(place: TestStore) {
    let sql = format!("delete from codes where code = (select min(code) from codes where run_no = {SECOND_RUN})");
    problems_after(
        &place,
        &sql,
        &["the store has 99", "a digest that differs", "the job records 600 codes, the store has 599"],
    )
    .await;
}

on_both_stores!(an_added_code_is_noticed);
async fn an_added_code_is_noticed(place: TestStore) {
    let sql = format!(
        "insert into codes (code, run_no) select substr(range_first, 1, 2) || 'ZZZZ', run_no from chunks where chunk_no = 1 and run_no = {SECOND_RUN}"
    );
    problems_after(&place, &sql, &["the store has 101", "a digest that differs", "the store has 601"]).await;
}

on_both_stores!(a_changed_code_is_noticed);
async fn a_changed_code_is_noticed(place: TestStore) {
    let sql = format!(
        "update codes set code = (select substr(range_first, 1, 2) || 'ZZZZ' from chunks where run_no = {SECOND_RUN})
          where code = (select min(code) from codes where run_no = {SECOND_RUN})"
    );
    problems_after(&place, &sql, &["a digest that differs"]).await;
}

on_both_stores!(a_code_changed_to_one_that_does_not_match_the_mask_is_noticed);
async fn a_code_changed_to_one_that_does_not_match_the_mask_is_noticed(place: TestStore) {
    let sql = format!(
        "update codes set code = (select range_first || '-' from chunks where run_no = {SECOND_RUN})
          where code = (select min(code) from codes where run_no = {SECOND_RUN})"
    );
    problems_after(&place, &sql, &["1 code that does not match the mask", "a digest that differs"]).await;
}

on_both_stores!(codes_moved_to_another_chunk_are_noticed);
async fn codes_moved_to_another_chunk_are_noticed(place: TestStore) {
    let sql = format!("update codes set run_no = run_no + 1 where run_no = {SECOND_RUN}");
    problems_after(&place, &sql, &["the store has 0", "the store has 500"]).await;
}

on_both_stores!(a_code_outside_the_range_of_its_chunk_is_noticed);
async fn a_code_outside_the_range_of_its_chunk_is_noticed(place: TestStore) {
    let sql =
        format!("insert into codes (code, run_no) select '!', max(run_no) from chunks where run_no = {SECOND_RUN}");
    problems_found(&place, &["verify", "--everywhere"], &sql, &["1 code is outside the range of its chunk"]).await;
}

on_both_stores!(a_changed_digest_of_a_chunk_is_noticed);
async fn a_changed_digest_of_a_chunk_is_noticed(place: TestStore) {
    let id = generate(&place, &MINT).await.to_string();
    place.execute(&tamper(&place, "chunks", "chunk_no = 1")).await;
    let ran = place.codemint(["verify", &id]).run().await.expect_code(3);
    assert_names(
        &ran.stdout,
        &["a digest that differs from its checkpoint", "the digest over the chunks differs from the job's"],
    );
}

fn tamper(place: &TestStore, table: &str, condition: &str) -> String {
    let zeros = "00".repeat(32);
    let digest = match place.kind {
        Kind::Sqlite => format!("x'{zeros}'"),
        Kind::Postgres => format!("'\\x{zeros}'"),
    };
    format!("update {table} set digest = {digest} where {condition}")
}

on_both_stores!(a_changed_or_missing_digest_of_the_job_is_noticed);
async fn a_changed_or_missing_digest_of_the_job_is_noticed(place: TestStore) {
    let id = generate(&place, &MINT).await.to_string();
    place.execute(&tamper(&place, "jobs", "count = 600")).await;
    let ran = place.codemint(["verify", &id]).run().await.expect_code(3);
    assert_names(&ran.stdout, &["the digest over the chunks differs from the job's"]);
    place.execute("update jobs set digest = null").await;
    let ran = place.codemint(["verify", &id]).run().await.expect_code(3);
    assert_names(&ran.stdout, &["the job has ended without a digest"]);
}

#[tokio::test]
async fn many_problems_are_counted_and_the_first_are_listed() {
    let place = TestStore::sqlite().await;
    let id = generate(&place, &["*{6}", "--count", "600", "--chunk-size", "10"]).await.to_string();
    place.execute("delete from codes").await;
    let ran = place.codemint(["verify", &id]).run().await.expect_code(3);
    // A wrong count and a wrong digest for each chunk, and the wrong count of the job.
    assert_names(&ran.stdout, &["0 of 600 codes found", "and 101 more"]);
    let json = place.codemint(["verify", &id, "--json"]).run().await.expect_code(3).json();
    assert_eq!((&json["found"], &json["problems_total"]), (&0.into(), &121.into()));
    assert_eq!(json["problems"].as_array().expect("a list").len(), 20);
}

on_both_stores!(a_job_that_was_not_started_verifies_and_cannot_be_exported);
async fn a_job_that_was_not_started_verifies_and_cannot_be_exported(place: TestStore) {
    let id = Uuid::now_v7();
    place.store.put_job(id, &request("####", 10)).await.expect("a job");
    let id = id.to_string();
    let ran = place.codemint(["verify", &id]).run().await.expect_code(0);
    assert_names(&ran.stdout, &["queued", "0 of 10 codes found"]);
    let ran = place.codemint(["export", &id, "--output", "codes.csv"]).run().await.expect_code(3);
    assert_names(&ran.stderr, &["is queued with 0 of 10 codes", &format!("jobs resume {id}`")]);
    assert_eq!(files_beside_the_store(place.path()), [] as [&str; 0]);
}

on_both_stores!(an_export_that_would_miss_codes_leaves_the_file_unchanged);
async fn an_export_that_would_miss_codes_leaves_the_file_unchanged(place: TestStore) {
    let id = generate(&place, &MINT).await.to_string();
    std::fs::write(place.path().join("codes.txt"), "what was there\n").expect("a file");
    place.execute("delete from codes where code = (select max(code) from codes)").await;
    for order in ["code", "random"] {
        let args = ["export", &id, "--output", "codes.txt", "--order", order];
        let ran = place.codemint(args).run().await.expect_code(3);
        assert_names(&ran.stderr, &["has 99 codes in the store, but its checkpoint records 100", "verify "]);
    }
    let kept = std::fs::read_to_string(place.path().join("codes.txt")).expect("the file");
    assert_eq!(kept, "what was there\n");
    assert_eq!(files_beside_the_store(place.path()), ["codes.txt"]);
}

on_both_stores!(an_export_in_random_order_has_the_same_codes_in_another_order_each_time);
async fn an_export_in_random_order_has_the_same_codes_in_another_order_each_time(place: TestStore) {
    let id = generate(&place, &MINT).await;
    let shuffled = async || {
        let id = id.to_string();
        let args = ["export", &id, "--order", "random", "--format", "txt"];
        let ran = place.codemint(args).run().await.expect_code(0);
        ran.stdout.lines().map(str::to_owned).collect::<Vec<String>>()
    };
    let (one, two) = (shuffled().await, shuffled().await);
    assert_ne!(one, two);
    let mut sorted = one.clone();
    sorted.sort_unstable();
    assert_ne!(one, sorted);
    assert_eq!(sorted, exported(&place, id).await);
}

on_both_stores!(a_job_of_two_rounds_is_exported_in_order);
async fn a_job_of_two_rounds_is_exported_in_order(place: TestStore) {
    // Only three codes of the first of two slices are free, so that seven are left to a second round.
    let taken: Vec<String> = (3..50).map(|code| format!("('{code:02}', 0)")).collect();
    place.execute(&format!("insert into codes (code, run_no) values {}", taken.join(", "))).await;
    let id = generate(&place, &["##", "--count", "20", "--chunk-size", "10"]).await;
    assert_eq!(place.number("select sum(minted) from chunks where round > 0").await, 7);
    let codes = exported(&place, id).await;
    assert_eq!(codes.len(), 20);
    assert_eq!(codes[..3], ["00", "01", "02"]);
    assert!(codes.is_sorted_by(|a, b| a < b));
    place.codemint(["verify", &id.to_string()]).run().await.expect_code(0);
}

/// Mints with a key of check characters, which is in the file `key`.
async fn minted_with_check_characters(place: &TestStore) -> String {
    let write = |name: &str, secret: &str| {
        let path = place.path().join(name);
        std::fs::write(&path, secret).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("permissions");
    };
    write("key", "0123456789abcdef");
    write("other", "fedcba9876543210");
    let generate = place.codemint(["generate", "####[:check:]{2}", "--count", "5", "--json"]);
    let ran = generate.env("CODEMINT__CHECK__KEY_FILE", "key").run().await.expect_code(0);
    ran.json()["job_id"].as_str().expect("an id").to_owned()
}

on_both_stores!(regression_a_job_is_not_verified_without_the_key_of_its_check_characters);
async fn regression_a_job_is_not_verified_without_the_key_of_its_check_characters(place: TestStore) {
    let id = minted_with_check_characters(&place).await;
    let verify = |key: &str| place.codemint(["verify", &id]).env("CODEMINT__CHECK__KEY_FILE", key);
    let with_key = verify("key").run().await.expect_code(0);
    assert_names(&with_key.stdout, &["5 of 5 codes found, every one checked; verification passed"]);
    let json = verify("key").args(["--json"]).run().await.expect_code(0).json();
    assert_eq!(
        (&json["holds"], &json["fully_checked"], &json["unchecked"]),
        (&true.into(), &true.into(), &Value::Null)
    );

    for (key, why) in
        [("", "check.key_file is not set"), ("other", "check.key_file holds the key with the fingerprint ")]
    {
        let ran = verify(key).run().await.expect_code(3);
        let words = ["5 of 5 codes found, NOT FULLY CHECKED; no problem found", "not checked: check characters", why];
        assert_names(&ran.stdout, &words);
        assert!(!ran.stdout.contains("passed") && ran.stderr.is_empty(), "{}{}", ran.stdout, ran.stderr);
        let json = verify(key).args(["--json"]).run().await.expect_code(3).json();
        assert_eq!((&json["holds"], &json["fully_checked"]), (&true.into(), &false.into()));
        assert_names(json["unchecked"].as_str().expect("a reason"), &[why]);
    }
    let first = "(select min(code) from codes)";
    place.execute(&format!("delete from codes where code = {first}")).await;
    let ran = verify("").run().await.expect_code(3);
    assert_names(&ran.stdout, &["NOT FULLY CHECKED; verification FAILED", "not checked: ", "the store has 4"]);
}
