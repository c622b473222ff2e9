//! `codemint code`: one code as a customer typed it leads to its job, or to the reason why there is none.

use std::io::Write;
use std::process::Stdio;

use codemint_codes::check::CheckKey;
use serde_json::Value;

use codemint_test_support::cli_steps::{assert_names, exported, generate};
use codemint_test_support::codemint::{Codemint, Ran};
use codemint_test_support::engine_steps::insert_codes;
use codemint_test_support::roles::url_of_member;
use codemint_test_support::stores::TestStore;
use codemint_test_support::{on_all_stores, on_both_stores};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

fn write_key(place: &TestStore, secret: &str) {
    use std::os::unix::fs::PermissionsExt;
    let path = place.path().join("check.key");
    std::fs::write(&path, secret).expect("a file");
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).expect("permissions");
}

fn keyed(codemint: Codemint) -> Codemint {
    codemint.env("CODEMINT__CHECK__KEY_FILE", "check.key")
}

async fn look_up(place: &TestStore, typed: &str, code: i32) -> Value {
    place.codemint(["code", "--json", "--", typed]).run().await.expect_code(code).json()
}

fn codes_of(found: &Value) -> Vec<&str> {
    found.as_array().expect("a list").iter().map(|found| found["code"].as_str().expect("a code")).collect()
}

on_all_stores!(a_code_is_found_however_it_was_typed);
async fn a_code_is_found_however_it_was_typed(place: TestStore) {
    generate(&place, &["OTHER-####", "--count", "1000"]).await;
    let job = generate(&place, &["SPRING-[A-HJ-NP-Z2-9]{6}", "--count", "50", "--campaign", "spring"]).await;
    let code = exported(&place, job).await.swap_remove(7);
    for typed in [
        code.clone(),
        format!("  {} ", code.to_lowercase()),
        code.replace('-', " "),
        code.replace('-', ""),
        code.replacen("SPRING", "5PR1NG", 1),
        format!("{}-{}", &code[..9], &code[9..]),
    ] {
        let found = look_up(&place, &typed, 0).await;
        assert_eq!(codes_of(&found["matches"]), [&*code], "{typed:?} in {:?}", place.kind);
        let found = &found["matches"][0];
        assert_eq!((&found["job"]["job_id"], &found["job"]["campaign"]), (&job.to_string().into(), &"spring".into()));
        assert_eq!((&found["job"]["kind"], &found["job"]["state"]), (&"mint".into(), &"completed".into()));
        assert_eq!(found["as_typed"], typed.trim().eq_ignore_ascii_case(&code));
        assert!(found["stored_at"].is_string() && found["requested_by"].as_str().is_some_and(|by| by.contains('@')));
    }
    let text = place.codemint(["code", &code]).run().await.expect_code(0).stdout;
    assert_names(&text, &[&format!("code       {code}\n"), &job.to_string(), "campaign   spring", "\nminted     20"]);
    assert_eq!(text.lines().count(), 6, "{text}");
}

on_both_stores!(an_imported_code_and_one_without_a_job_are_told_apart);
async fn an_imported_code_and_one_without_a_job_are_told_apart(place: TestStore) {
    std::fs::write(place.path().join("old.txt"), "old-1\nOLD-22\nlonger-333\n").expect("a file");
    place.codemint(["import", "old.txt", "--campaign", "before"]).run().await.expect_code(0);
    insert_codes(&place, ["STRAY-1"], 0).await;
    let imported = look_up(&place, "longer 333", 0).await;
    assert_eq!(imported["matches"][0]["job"]["kind"], "import");
    assert_names(&place.codemint(["code", "old-22"]).run().await.expect_code(0).stdout, &["\nimported   20", "before"]);
    let stray = look_up(&place, "stray-1", 0).await;
    assert_eq!((&stray["matches"][0]["code"], &stray["matches"][0]["job"]), (&"STRAY-1".into(), &Value::Null));
    assert_names(&place.codemint(["code", "stray-1"]).run().await.expect_code(0).stdout, &["no job accounts for"]);
}

on_both_stores!(a_missing_code_is_explained_and_the_existing_ones_at_one_typing_error_are_listed);
async fn a_missing_code_is_explained_and_the_existing_ones_at_one_typing_error_are_listed(place: TestStore) {
    generate(&place, &["A1[27]3", "--count", "2"]).await;
    generate(&place, &["#B#", "--count", "1"]).await;
    let missing = look_up(&place, "A173X", 3).await;
    assert_eq!((&missing["reason"], &missing["found"]), (&"no_such_mask".into(), &false.into()));
    assert_eq!(codes_of(&missing["nearest"]), [] as [&str; 0]);
    let substituted = look_up(&place, "a1-93", 3).await;
    assert_eq!(
        (&substituted["reason"], codes_of(&substituted["nearest"])),
        (&"no_such_mask".into(), vec!["A123", "A173"])
    );
    let swapped = look_up(&place, "1A23", 3).await;
    assert_eq!(codes_of(&swapped["nearest"]), ["A123"]);
    let existing = place.texts("select code from codes where code like '_B_'").await.swap_remove(0);
    let other = if existing == "0B0" { "0B9" } else { "0B0" };
    let never = look_up(&place, other, 3).await;
    assert_eq!(never["reason"], "never_minted");
    let text = place.codemint(["code", "A1-93"]).run().await.expect_code(3);
    assert_names(&text.stdout, &["not found  no mask of this store has codes like this\n", "nearest    A123 (typed"]);
    assert_eq!(text.stderr, "");
}

#[tokio::test]
async fn check_characters_explain_a_missing_code_and_rule_out_neighbours() {
    let place = TestStore::sqlite().await;
    write_key(&place, SECRET);
    let mint = keyed(place.codemint(["generate", "VIP-####[:check:]", "--count", "10000"]));
    mint.run().await.expect_code(0);
    let code = place.texts("select code from codes order by code limit 1 offset 4711").await.swap_remove(0);
    let (body, check) = code.split_at(code.len() - 1);
    let wrong = format!("{body}{}", if check == "B" { "C" } else { "B" });
    let look_up =
        async |typed: &str, code| keyed(place.codemint(["code", typed, "--json"])).run().await.expect_code(code);
    let missing = look_up(&wrong, 3).await.json();
    assert_eq!(missing["reason"], "check_characters_wrong");
    let nearest = codes_of(&missing["nearest"]);
    assert!(nearest.contains(&&*code) && nearest.len() < 10, "{nearest:?}");
    let key = CheckKey::new(SECRET.as_bytes()).expect("a key");
    assert!(nearest.iter().all(|code| key.verify(&code.as_bytes()[..8], &code.as_bytes()[8..])), "{nearest:?}");
    let unverified = place.codemint(["code", &wrong, "--json"]).run().await.expect_code(3).json();
    assert_eq!(unverified["reason"], "check_not_verified");
    write_key(&place, "another secret of 16 bytes or more");
    assert_eq!(look_up(&wrong, 3).await.json()["reason"], "check_not_verified");
    look_up(&code, 0).await;
}

async fn pipe(place: &TestStore, input: &[u8]) -> Ran {
    let mut file = tempfile::tempfile().expect("a file");
    file.write_all(input).expect("bytes");
    std::io::Seek::rewind(&mut file).expect("a file");
    place.codemint(["code", "-"]).stdin(Stdio::from(file)).run().await
}

#[tokio::test]
async fn a_code_from_standard_input_is_read_and_what_cannot_be_a_code_is_not_repeated() {
    let place = TestStore::sqlite().await;
    generate(&place, &["A1", "--count", "1"]).await;
    assert_names(&pipe(&place, b"\n a1 \r\n").await.expect_code(0).stdout, &["code       A1"]);
    for (input, problem) in [
        (&b""[..], "no code was given"),
        (b"A1\nA2\n", "more than one line"),
        (b"SECRET\xff", "not UTF-8"),
        ("SECRET\u{e9}".as_bytes(), "character 7 occurs in no code"),
        ("SECRET".repeat(50).as_bytes(), "more than 256 bytes"),
    ] {
        let refused = pipe(&place, input).await.expect_code(2);
        assert_names(&refused.stderr, &[problem]);
        assert!(!refused.stderr.contains("SECRET") && refused.stdout.is_empty(), "{}", refused.stderr);
    }
}

#[tokio::test]
async fn a_code_never_appears_in_the_log_of_its_look_up() {
    let place = TestStore::postgres().await;
    let job = generate(&place, &["SECRET-#####", "--count", "100"]).await;
    let code = exported(&place, job).await.swap_remove(5);
    for typed in [code.clone(), code.replace('-', " "), code.replacen("SE", "ES", 1)] {
        let ran = place.codemint(["-vvv", "code", &typed]).run().await;
        assert!(!ran.stderr.to_uppercase().contains(&code), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_reader_may_look_up_codes() {
    let place = TestStore::postgres().await;
    let job = generate(&place, &["A####", "--count", "10"]).await;
    let code = exported(&place, job).await.swap_remove(5);
    let url = url_of_member(&place.url, "reader").await;
    let ran = Codemint::new(place.path()).args(["--store", &url, "code", &code]).run().await.expect_code(0);
    assert_names(&ran.stdout, &[&job.to_string()]);
}
