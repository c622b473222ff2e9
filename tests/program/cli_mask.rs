//! `codemint mask`: check characters and denied words on the command line.

use std::os::unix::fs::PermissionsExt;

use codemint_test_support::cli_steps::{EmptyPlace, assert_names};

const SECRET: &str = "0123456789abcdef";
const MASK: &str = "SPRING-*{8}[:check:]{4}";
/// A code from the vectors in docs/check-characters.md.
const CODE: &str = "spring-7k3xw9pl3g3f";

const KEY: [(&str, &str); 1] = [("CODEMINT__CHECK__KEY_FILE", "key")];

#[tokio::test]
async fn a_code_is_checked_against_a_mask_and_never_printed() {
    let place = EmptyPlace::create();
    place.write_with_mode("key", format!("{SECRET}\n"), 0o600);
    let check = async |code: &str, mask: &str, exit: i32| {
        let text = place.run(&KEY, &["mask", "check", code, "--mask", mask], exit).await;
        let json = place.run(&KEY, &["mask", "check", code, "--mask", mask, "--json"], exit).await;
        let printed = format!("{}{}{}{}", text.stdout, text.stderr, json.stdout, json.stderr).to_lowercase();
        assert!(code.is_empty() || !printed.contains(&code.to_lowercase()), "{printed}");
        assert_eq!(text.stdout.lines().count(), 1);
        let json = json.json();
        assert_eq!(json["is_code"], exit == 0);
        if exit != 0 {
            assert_names(&text.stdout, &[json["problem"].as_str().expect("a reason")]);
        }
        (text.stdout, json)
    };
    let (text, json) = check(CODE, MASK, 0).await;
    assert_eq!(text, "a code of SPRING-*{8}[:check:]{4}\n");
    assert_eq!((&json["check_verified"], &json["problem"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(check("ab-07", "A?-##", 0).await.1["check_verified"], false);

    let no = "not a code of SPRING-*{8}[:check:]{4}: ";
    for (code, reason) in [
        ("SPRING-7K3XW9PL3G3G", "its check characters are wrong"),
        ("SPRING-7K3XW9PL3G3", "it has 18 characters; codes of this mask have 19"),
        ("SPRING_7K3XW9PL3G3F", "its character 7 is not one that the mask allows there"),
        ("SPRING-7K3XW9PL3G3\u{e9}", "its character 19 is not one"),
        ("", "it has 0 characters"),
    ] {
        assert_names(&check(code, MASK, 3).await.0, &[no, reason]);
    }
    place.run(&KEY, &["mask", "check", "A1", "--mask", "##]"], 4).await;
    place.run(&KEY, &["mask", "check", "--mask", "-#", "--", "-5"], 0).await;
    assert_eq!(std::fs::read_dir(place.path()).expect("a directory").count(), 1, "no store is created");
}

#[tokio::test]
async fn check_characters_are_not_checked_without_their_secret() {
    let place = EmptyPlace::create();
    let ran = place.run(&[], &["mask", "check", CODE, "--mask", MASK], 2).await;
    assert_names(&ran.stderr, &["the mask has check characters; set check.key_file"]);
    place.run(&[], &["mask", "check", "ab-07", "--mask", "A?-##"], 0).await;
}

#[tokio::test]
async fn an_unusable_key_file_is_refused_with_the_fix() {
    let place = EmptyPlace::create();
    let refused = async |words: &[&str]| {
        let ran = place.run(&KEY, &["mask", "check", CODE, "--mask", MASK], 2).await;
        assert_names(&ran.stderr, &[&["error: check.key_file: key: "], words].concat());
        assert!(!ran.stderr.contains(SECRET));
    };
    refused(&["cannot be read: No such file"]).await;
    for (mode, shown) in [(0o640, "640"), (0o604, "604"), (0o620, "620"), (0o601, "601"), (0o4610, "4610")] {
        place.write_with_mode("key", SECRET, mode);
        refused(&[&format!("its mode is {shown}, "), "chmod 600"]).await;
    }
    let longest = "x".repeat(4096);
    for (text, words) in [
        ("", "the secret is empty; 16 to 4096 random bytes"),
        ("\n", "the secret is empty"),
        ("0123456789abcde\n", "the secret has 15 bytes; at least 16"),
        (&*format!("{longest}x"), "more than 4096 bytes"),
        (&*format!("{longest}\n\n"), "more than 4096 bytes"),
        (&*format!("{longest}x{longest}"), "more than 4096 bytes"),
    ] {
        place.write_with_mode("key", text, 0o600);
        refused(&[words]).await;
    }
    std::fs::remove_file(place.path().join("key")).expect("a removed file");
    std::fs::create_dir(place.path().join("key")).expect("a directory");
    std::fs::set_permissions(place.path().join("key"), PermissionsExt::from_mode(0o700)).expect("permissions");
    refused(&["cannot be read: Is a directory"]).await;
    place.run(&KEY, &["mask", "explain", "A?-##"], 0).await;
}

#[tokio::test]
async fn only_one_newline_is_stripped_from_the_secret() {
    let place = EmptyPlace::create();
    for (text, exit) in [("", 0), ("\n", 0), ("\n\n", 3), ("\r\n", 3), (" ", 3)] {
        place.write_with_mode("key", format!("{SECRET}{text}"), 0o400);
        place.run(&KEY, &["mask", "check", CODE, "--mask", MASK], exit).await;
    }
    place.write_with_mode("key", format!("{}\n", "x".repeat(4096)), 0o600);
    place.run(&KEY, &["mask", "check", CODE, "--mask", MASK], 3).await;
}

#[tokio::test]
async fn a_mask_is_explained_with_the_effect_of_its_check_characters() {
    let place = EmptyPlace::create();
    place.write_with_mode("key", SECRET, 0o600);
    let args = ["mask", "explain", "A##[:check:]{2}", "--count", "50"];
    let with_json = [&args[..], &["--json"]].concat();
    let without = place.run(&[], &args, 0).await.stdout;
    assert_names(&without, &["100 codes", "2 characters: 1 random guess in 576 passes", "set check.key_file"]);
    assert!(!without.contains("(a sample"));
    assert_names(&without, &["1 guess in 1,152 hits"]);
    let json = place.run(&[], &with_json, 0).await.json();
    assert_eq!(json["samples"], serde_json::json!([]));
    assert_eq!(json["check"], serde_json::json!({"length": 2, "guesses_a_pass": 576, "key_configured": false}));

    let json = place.run(&KEY, &with_json, 0).await.json();
    assert_eq!(json["check"]["key_configured"], true);
    let samples = json["samples"].as_array().expect("a list");
    assert_eq!(samples.len(), 5);
    for sample in samples {
        place.run(&KEY, &["mask", "check", sample.as_str().expect("a code"), "--mask", args[2]], 0).await;
    }
    assert_names(&place.run(&KEY, &args, 0).await.stdout, &["(a sample, not minted)", "1 random guess in 576"]);
    let plain = place.run(&KEY, &["mask", "explain", "A##", "--json"], 0).await.json();
    assert_eq!(plain["check"], serde_json::Value::Null);
    assert_names(&place.run(&[], &["mask", "explain", "A[:check:]"], 0).await.stdout, &["1 character: 1 random"]);
}
