//! Outputs: files appear whole or not at all, and failed writes are reported.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Stdio;

use codemint_test_support::cli_steps::{assert_names, exported, files_beside_the_store, generate, proposed};
use codemint_test_support::codemint::Codemint;
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;

#[tokio::test]
async fn a_file_is_replaced_whole_and_keeps_its_mode() {
    let place = TestStore::sqlite().await;
    let file = place.path().join("codes.txt");
    // More permissions than a umask would leave, and fewer.
    for mode in [0o666, 0o640, 0o400] {
        std::fs::write(&file, "what was there\n".repeat(1000)).expect("a file");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).expect("a mode");
        let id = generate(&place, &["*{6}", "--count", "10", "--output", "codes.txt"]).await;
        let written = std::fs::read_to_string(&file).expect("the output");
        assert_eq!(written.lines().collect::<Vec<_>>(), exported(&place, id).await);
        let kept = std::fs::metadata(&file).expect("the output").permissions().mode() & 0o777;
        assert_eq!(kept, mode, "{kept:o}");
        std::fs::remove_file(&file).expect("a removed file");
    }
    assert_eq!(files_beside_the_store(place.path()), [] as [&str; 0]);
}

#[tokio::test]
async fn a_link_stays_a_link_and_its_target_is_replaced() {
    let place = TestStore::sqlite().await;
    let (link, target) = (place.path().join("latest.txt"), place.path().join("codes-7.txt"));
    std::fs::write(&target, "what was there\n").expect("a file");
    symlink("codes-7.txt", &link).expect("a link");
    let id = generate(&place, &["*{6}", "--count", "10", "--output", "latest.txt"]).await;
    assert!(link.is_symlink());
    let written = std::fs::read_to_string(&target).expect("the target");
    assert_eq!(written.lines().collect::<Vec<_>>(), exported(&place, id).await);
    assert_eq!(files_beside_the_store(place.path()), ["codes-7.txt", "latest.txt"]);
}

on_both_stores!(a_failed_job_leaves_the_output_file_unchanged);
async fn a_failed_job_leaves_the_output_file_unchanged(place: TestStore) {
    let file = place.path().join("codes.txt");
    std::fs::write(&file, "what was there\n").expect("a file");
    // No job accounts for these codes: the job is admitted and then collides with them.
    let others: Vec<String> = (0..90).map(|n| format!("('{n:02}', 0)")).collect();
    place.execute(&format!("insert into codes (code, run_no) values {}", others.join(", "))).await;
    let args = ["generate", "##", "--count", "50", "--output", "codes.txt"];
    let ran = place.codemint(args).run().await.expect_code(3);
    assert_names(&ran.stderr, &["has failed", "no free code is left", "minted 10 of 50"]);
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), "what was there\n");
    assert_eq!(files_beside_the_store(place.path()), ["codes.txt"]);
    assert_eq!(place.number("select count(*) from codes").await, 100);
}

on_both_stores!(a_full_disk_is_reported_with_the_command_that_exports_the_codes);
async fn a_full_disk_is_reported_with_the_command_that_exports_the_codes(place: TestStore) {
    let args = ["generate", "####", "--count", "10", "--output", "/dev/full"];
    let ran = place.codemint(args).run().await.expect_code(1);
    assert_names(&ran.stderr, &["/dev/full", "No space left", "the codes are in the store"]);
    let export = proposed(&place, &ran.stderr).args(["--format", "txt"]).run().await.expect_code(1);
    assert_names(&export.stderr, &["/dev/full", "No space left"]);

    let id = generate(&place, &["*{8}", "--count", "10"]).await.to_string();
    let full = std::fs::File::options().write(true).open("/dev/full").expect("a device");
    let ran = place.codemint(["export", &id]).stdout(Stdio::from(full)).run().await.expect_code(1);
    assert_names(&ran.stderr, &["standard output", "No space left"]);
}

#[tokio::test]
async fn a_reader_that_closes_the_pipe_ends_the_program_quietly() {
    let place = TestStore::sqlite().await;
    let id = generate(&place, &["*{8}", "--count", "20000"]).await.to_string();
    for args in [&["export", &id][..], &["jobs", "list"], &["completions", "bash"], &["generate", "##", "-n1", "-o-"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let ran = place.codemint(args).stdout(Stdio::from(writer)).run().await.expect_code(0);
        if args[0] == "generate" {
            // Codes that nobody has read are taken.
            assert_names(&ran.stderr, &["note: standard output was closed", "the codes are in the store", "export "]);
        } else {
            assert_eq!(ran.stderr, "", "{args:?}");
        }
    }
}

on_both_stores!(an_unwritable_output_is_refused_before_anything_is_minted);
async fn an_unwritable_output_is_refused_before_anything_is_minted(place: TestStore) {
    std::fs::create_dir(place.path().join("directory")).expect("a directory");
    std::fs::write(place.path().join("file"), "").expect("a file");
    let cases = [
        ("directory", 2, "is a directory; name a file in it"),
        ("", 2, "--output names no file"),
        ("missing/codes.csv", 1, "missing/codes.csv: its directory does not exist"),
        ("file/codes.csv", 1, "failed to write file/codes.csv"),
        ("/proc/codes.csv", 1, "failed to write /proc/codes.csv"),
    ];
    for (output, code, message) in cases {
        let args = ["generate", "####", "--count", "10", "--output", output];
        let ran = place.codemint(args).run().await.expect_code(code);
        assert_names(&ran.stderr, &[message]);
        assert!(!ran.stderr.contains("codemint-tmp"), "the temporary file is not named: {}", ran.stderr);
    }
    assert_eq!(place.number("select count(*) from jobs").await, 0);
    assert_eq!(files_beside_the_store(place.path()), ["directory", "file"]);
}

#[tokio::test]
async fn regression_the_store_itself_is_refused_as_output() {
    let place = TestStore::sqlite().await;
    let id = generate(&place, &["####", "--count", "10"]).await.to_string();
    symlink("store.db", place.path().join("link")).expect("a link");
    for file in ["store.db", "./store.db", "store.db-wal", "store.db-shm", "link"] {
        for command in [&["generate", "####", "--count", "10"][..], &["export", &id]] {
            let ran = place.codemint(command).args(["--output", file]).run().await.expect_code(2);
            assert_names(&ran.stderr, &[&format!("--output {file} is the store itself; name another file")]);
        }
    }
    place.codemint(["verify", &id]).run().await.expect_code(0);
    assert_eq!(place.number("select count(*) from jobs").await, 1);

    let empty = tempfile::tempdir().expect("a directory");
    let args = ["generate", "####", "--count", "10", "--output", "codemint.db"];
    Codemint::new(empty.path()).args(args).run().await.expect_code(2);
    assert_eq!(files_beside_the_store(empty.path()), [] as [&str; 0]);
}
