//! Bad input: the error names what is wrong, where, and the fix, and nothing is left behind.

use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::codemint::{Codemint, Ran};

/// Runs the program with the default store in an empty directory, and panics if anything is left there.
async fn refused(code: i32, args: &[&str], words: &[&str]) -> Ran {
    let directory = tempfile::tempdir().expect("a directory");
    let ran = Codemint::new(directory.path()).args(args).run().await.expect_code(code);
    assert_eq!(ran.stdout, "", "{args:?}");
    assert_names(&ran.stderr, words);
    let left = std::fs::read_dir(directory.path()).expect("a directory").count();
    assert_eq!(left, 0, "{args:?} left something behind");
    ran
}

#[tokio::test]
async fn an_invalid_mask_is_refused_with_the_position_and_the_fix() {
    let long = "#".repeat(4097);
    let cases: [(&str, &str, &str); 18] = [
        ("", "byte 1", "write at least one character, such as PROMO-####"),
        ("AB ##", "byte 3", "without the space"),
        ("ABé##", "byte 3", "found 'é'; codes consist of printable ASCII characters"),
        ("AB\t##", "byte 3", "found '\\t'"),
        ("##]", "byte 3", "write \\] for the character itself"),
        ("##}", "byte 3", "write \\} for the character itself"),
        ("{2}##", "byte 1", "a repeat such as {3} follows a placeholder"),
        ("A{2}", "byte 2", "found { after a literal"),
        ("#{0}", "byte 3", "write a number from 1 to 64"),
        ("#{65}", "byte 3", "write a number from 1 to 64"),
        ("#{2", "byte 4", "a closing brace, such as {3}"),
        ("##\\", "byte 3", "write \\\\ for a backslash"),
        ("#[AB", "byte 2", "write ] after its last character"),
        ("#[]", "byte 2", "such as [A-F0-9]"),
        ("[Z-A]", "byte 2", "the range Z-A runs backwards; write A-Z"),
        ("[:vowel:]", "byte 1", "[:digit:] [:alpha:] [:alnum:] [:safe:]"),
        ("*{20}", "byte 2", "2^100 codes or more; use fewer placeholders"),
        (&long, "byte 4097", "at most 4096 are read"),
    ];
    for (mask, place, wanted) in cases {
        for args in [&["generate", mask, "--count", "1"][..], &["mask", "explain", mask]] {
            let ran = refused(4, args, &[&format!("error: mask, {place}: "), wanted]).await;
            assert_eq!(ran.stderr.lines().count(), 1, "one line without a terminal: {}", ran.stderr);
        }
    }
    refused(4, &["generate", &"A".repeat(65), "-n1"], &["byte 65", "more than 64 characters; shorten the mask"]).await;
}

#[tokio::test]
async fn an_impossible_count_is_refused_with_the_bound() {
    let cases: [(&str, &str, i32, &[&str]); 9] = [
        ("####", "0", 4, &["count is 0", "at least 1"]),
        ("####", "-5", 4, &["count is -5", "at least 1"]),
        ("####", "10001", 4, &["count is 10001", "#### has 10000 codes"]),
        ("####", "18446744073709551616", 4, &["count is 18446744073709551616", "10000 codes"]),
        ("*{12}", "1000000001", 4, &["limits.count_max allows 1000000000"]),
        ("*{18}", "18446744073709551616", 4, &["limits.count_max allows 1000000000"]),
        ("####", "99999999999999999999999999999999999999999", 2, &["--count <N>"]),
        ("####", "1,000", 2, &["'1,000'", "--count <N>"]),
        ("####", "1e6", 2, &["'1e6'", "--count <N>"]),
    ];
    for (mask, count, code, words) in cases {
        refused(code, &["generate", mask, "--count", count], words).await;
        refused(code, &["generate", mask, "--count", count, "--output", "codes.csv"], words).await;
    }
}

#[tokio::test]
async fn a_count_above_the_operators_limit_is_refused_with_the_limit() {
    let directory = tempfile::tempdir().expect("a directory");
    for command in [&["generate", "*{12}", "-n", "101"][..], &["mask", "explain", "*{12}", "-n", "101"]] {
        let program = Codemint::new(directory.path()).env("CODEMINT__LIMITS__COUNT_MAX", "100").args(command);
        assert_names(&program.run().await.expect_code(4).stderr, &["count is 101", "limits.count_max allows 100 "]);
    }
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0);
}

#[tokio::test]
async fn other_invalid_parts_of_a_request_are_refused_with_their_bounds() {
    let long = "x".repeat(201);
    let cases: [(i32, &[&str], &[&str]); 9] = [
        (4, &["--campaign", ""], &["campaign name is empty", "leave it out"]),
        (4, &["--campaign", "a\nb"], &["control characters"]),
        (4, &["--campaign", &long], &["201 characters", "at most 200"]),
        (4, &["--chunk-size", "0"], &["chunk size must be between 1 and 1048576, got 0"]),
        (4, &["--chunk-size", "1048577"], &["chunk size must be between 1 and 1048576, got 1048577"]),
        (4, &["--chunk-size", "1"], &["1000000 chunks", "use a chunk size of 10 or more"]),
        (2, &["--job-id", "mine"], &["'mine'", "--job-id <UUID>"]),
        (2, &["--format", "xml"], &["'xml'", "csv, txt, jsonl"]),
        (2, &["--color"], &["'--color'"]),
    ];
    for (code, args, words) in cases {
        let request = ["generate", "*{12}", "--count", "1000000"];
        refused(code, &[&request[..], args].concat(), words).await;
    }
    refused(2, &["generate", "--count", "5"], &["<MASK>"]).await;
    refused(2, &["generate", "####"], &["--count <N>"]).await;
    refused(2, &["mint"], &["unrecognized subcommand 'mint'"]).await;
    refused(2, &["generate", "-###", "-n1"], &["'-- -#'"]).await;
}

#[tokio::test]
async fn commands_on_a_missing_store_do_not_create_it() {
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let commands: [&[&str]; 7] = [
        &["jobs", "list"],
        &["jobs", "show", id],
        &["jobs", "watch", id],
        &["jobs", "resume", id],
        &["jobs", "cancel", id],
        &["export", id],
        &["verify", id],
    ];
    for command in commands {
        refused(2, command, &["there is no store at codemint.db", "codemint generate", "--store URL"]).await;
    }
}

#[tokio::test]
async fn a_mask_is_explained_with_its_size_samples_and_the_effect_of_a_count() {
    let directory = tempfile::tempdir().expect("a directory");
    let explain = async |args: &[&str], code: i32| {
        Codemint::new(directory.path()).args(["mask", "explain"]).args(args).run().await.expect_code(code)
    };
    let json = explain(&["ab-[0-9]###", "--count", "100", "--samples", "3", "--json"], 0).await.json();
    assert_eq!((&json["canonical_mask"], &json["keyspace"]), (&"AB-####".into(), &"10000".into()));
    assert_eq!((&json["code_length"], &json["bits"]), (&7.into(), &13.29.into()));
    assert_eq!((&json["plan"]["feasible"], &json["plan"]["share"]), (&true.into(), &0.01.into()));
    assert_eq!(json["plan"]["guesses_a_hit"], 100.0);
    let samples = json["samples"].as_array().expect("a list");
    assert!(samples.len() == 3 && samples.iter().all(|code| code.as_str().is_some_and(|c| c.starts_with("AB-"))));

    assert_names(&explain(&["####", "--count", "10000"], 0).await.stdout, &["10,000 codes: feasible, 100.00 %"]);
    assert_names(
        &explain(&["X-[safe]{8}"], 0).await.stderr,
        &["[safe] stands for one of its letters", "write [:safe:]"],
    );
    assert_eq!(explain(&["X-[:safe:]{8}"], 0).await.stderr, "");
    assert_names(&explain(&["####", "--count", "10001"], 3).await.stdout, &["10,001 codes: not feasible"]);
    assert_eq!(explain(&["####", "--count", "10001", "--json"], 3).await.json()["plan"]["feasible"], false);
    let all = explain(&["#", "--samples", "1000", "--json"], 0).await.json();
    assert_eq!(all["samples"].as_array().expect("a list").len(), 10, "no more samples than codes");
    assert_names(&explain(&["#", "--samples", "1001"], 2).await.stderr, &["write a whole number from 0 to 1000"]);
    std::fs::write(directory.path().join("deny.txt"), "cat\n").expect("a list");
    let denying = Codemint::new(directory.path()).env("CODEMINT__DENY__FILE", "deny.txt");
    let denying = denying.args(["mask", "explain", "CA[BTXY]", "--count", "4"]).run().await.expect_code(3);
    assert_names(
        &denying.stdout,
        &["CAB  (a sample", "4 codes: not feasible, the mask has fewer without a denied word"],
    );
    assert!(!denying.stdout.contains("CAT"), "{}", denying.stdout);
    std::fs::remove_file(directory.path().join("deny.txt")).expect("a removal");
    assert_eq!(std::fs::read_dir(directory.path()).expect("a directory").count(), 0, "no store is created");
}

#[tokio::test]
async fn help_version_completions_and_manual_pages_need_no_store_and_no_configuration() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(directory.path().join("codemint.toml"), "not = [valid").expect("a file");
    let run = async |args: &[&str]| Codemint::new(directory.path()).args(args).run().await.expect_code(0).stdout;
    for command in ["generate", "mask", "jobs", "export", "migrate"] {
        let help = run(&[command, "--help"]).await;
        assert!(help.contains("Usage: codemint"), "{help}");
    }
    assert_names(&run(&["--help"]).await, &["Examples:", "Exit codes: 0 done"]);
    assert_names(&run(&["generate", "--help"]).await, &["Examples:", "#{6} is six digits"]);
    assert_names(&run(&["version"]).await, &[env!("CARGO_PKG_VERSION"), "generator version 1"]);
    for shell in ["bash", "zsh", "fish"] {
        assert_names(&run(&["completions", shell]).await, &["codemint", "verify"]);
    }
    run(&["man", "pages"]).await;
    for page in ["codemint.1", "codemint-generate.1", "codemint-jobs-resume.1"] {
        assert!(directory.path().join("pages").join(page).exists(), "{page}");
    }
    let ran = Codemint::new(directory.path()).args(["man", "codemint.toml/pages"]).run().await.expect_code(1);
    assert_names(&ran.stderr, &["failed to write into codemint.toml/pages"]);
}
