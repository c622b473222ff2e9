//! `codemint import`: codes of another system are stored once each, however often the import is interrupted.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use serde_json::Value;

use codemint_test_support::cli_steps::{
    EmptyPlace, assert_names, exported, files_beside_the_store, generate, job_id, proposed, wait_for_a_chunk,
};
use codemint_test_support::codemint::{Ran, finish, send_signal};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;

fn input(place: &TestStore, text: &str) -> PathBuf {
    let file = place.path().join("input.txt");
    std::fs::write(&file, text).expect("a file");
    file
}

async fn import(place: &TestStore, args: &[&str]) -> Ran {
    place.codemint(["import", "input.txt", "--json"]).args(args).run().await
}

fn rejected(place: &TestStore) -> Vec<String> {
    let text = std::fs::read_to_string(place.path().join("rejected.csv")).expect("the reject file");
    text.lines().map(str::to_owned).collect()
}

/// `[lines_read, blank, invalid, repeats, existing, minted]`
fn counts(summary: &Value) -> [u64; 6] {
    ["lines_read", "blank", "invalid", "repeats", "existing", "minted"]
        .map(|name| summary[name].as_u64().unwrap_or_else(|| panic!("{name} of {summary}")))
}

/// A text of `count` codes of two lengths in a scattered order.
fn many_codes(count: u64) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let scattered = number * 7919 % count;
        let written =
            if number % 3 == 0 { writeln!(text, "LONG{scattered:08}") } else { writeln!(text, "old-{scattered:07}") };
        written.expect("text");
        text
    })
}

on_both_stores!(valid_codes_are_imported_and_every_other_line_is_counted_and_listed);
async fn valid_codes_are_imported_and_every_other_line_is_counted_and_listed(place: TestStore) {
    generate(&place, &["TAKEN", "--count", "1"]).await;
    input(&place, "abc-1\nABC-1\n\nde f\ntaken\n12345\r\nxyz99");
    let args = ["--campaign", "old", "--reject-file", "rejected.csv", "--allow-invalid"];
    let ran = import(&place, &args).await.expect_code(0);
    let summary = ran.json();
    assert_eq!(counts(&summary), [7, 1, 1, 1, 1, 3]);
    assert_eq!(
        (&summary["kind"], &summary["mask"], &summary["state"]),
        (&"import".into(), &Value::Null, &"completed".into())
    );
    assert_eq!(summary["campaign"], "old");
    assert_eq!(
        rejected(&place),
        ["line,reason", "2,repeat of line 1", "4,contains a space or a tab", "5,exists already"]
    );
    let id = job_id(&ran);
    assert_eq!(exported(&place, id).await, ["12345", "ABC-1", "XYZ99"]);
    place.codemint(["verify", &id.to_string()]).run().await.expect_code(0);
    assert_eq!(files_beside_the_store(place.path()), ["input.txt", "rejected.csv"]);
}

on_both_stores!(importing_the_same_input_again_reports_the_same_job);
async fn importing_the_same_input_again_reports_the_same_job(place: TestStore) {
    generate(&place, &["TAKEN", "--count", "1"]).await;
    input(&place, "ABC-1\ntaken\nabc-1\n");
    let first = import(&place, &["--reject-file", "rejected.csv"]).await.expect_code(0).json();
    let list = rejected(&place);
    let again = import(&place, &["--reject-file", "rejected.csv"]).await.expect_code(0).json();
    assert_eq!((&first["job_id"], counts(&first)), (&again["job_id"], counts(&again)));
    assert_eq!(again["imported_here"], 0);
    assert_eq!(rejected(&place), list);

    let other = import(&place, &["--campaign", "other"]).await.expect_code(4);
    assert_names(&other.stderr, &["is the import of the same input with no campaign", "--job-id"]);
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let copy = import(&place, &["--job-id", id]).await.expect_code(0).json();
    assert_eq!((&copy["job_id"], counts(&copy)), (&id.into(), [3, 0, 0, 1, 2, 0]));
    input(&place, "ABC-2\n");
    let changed = import(&place, &["--job-id", id]).await.expect_code(4);
    assert_names(&changed.stderr, &["another input, or of this one before a change", "SHA-256", "--job-id"]);
    assert_eq!(place.number("select count(*) from codes").await, 2);
}

on_both_stores!(an_import_that_is_killed_repeatedly_ends_like_an_undisturbed_one);
async fn an_import_that_is_killed_repeatedly_ends_like_an_undisturbed_one(place: TestStore) {
    const COUNT: u64 = 400_000;
    generate(&place, &["OLD-#######", "--count", "20000"]).await;
    let text = many_codes(COUNT) + "not a code\n";
    input(&place, &text);
    let mut codes: BTreeSet<String> = text.lines().take(COUNT as usize).map(str::to_uppercase).collect();
    let distinct = codes.len() as u64;
    for name in ["KILL", "KILL", "INT", "KILL"] {
        let before = place.number("select count(*) from chunks where state = 'done'").await;
        let child = place.codemint(["import", "input.txt", "--reject-file", "rejected.csv"]).start();
        codemint_test_support::waiting::wait_until("a run is committed, or all are", async || {
            let (done, open) = (
                place.number("select count(*) from chunks where state = 'done'").await,
                place.number("select count(*) from chunks where state = 'open'").await,
            );
            done > before || (done > 1 && open == 0)
        })
        .await;
        send_signal(name, &child);
        finish(child).await;
    }
    let ran = import(&place, &["--reject-file", "rejected.csv"]).await.expect_code(3);
    assert_names(&ran.stderr, &["1 of 400,001 lines hold no valid code", "line 400001", "listed in rejected.csv"]);
    let summary = ran.json();
    let existing = summary["existing"].as_u64().expect("a number");
    assert!(existing > 0, "some codes of the earlier job are in the input");
    assert_eq!(counts(&summary), [COUNT + 1, 0, 1, COUNT - distinct, existing, distinct - existing]);
    assert_eq!(rejected(&place).len() as u64, 1 + 1 + COUNT - distinct + existing);
    codes.extend(place.texts("select code from codes where code like 'OLD-%'").await);
    assert_eq!(place.texts("select code from codes order by code").await.len(), codes.len());
    place.codemint(["verify", &job_id(&ran).to_string()]).run().await.expect_code(0);
    let claimed = "select cast(sum(codes) as bigint) from masks";
    assert_eq!(place.number(claimed).await, place.number("select count(*) from codes").await);
}

on_both_stores!(two_concurrent_imports_of_the_same_input_share_the_work);
async fn two_concurrent_imports_of_the_same_input_share_the_work(place: TestStore) {
    input(&place, &many_codes(300_000));
    let start = || place.codemint(["import", "input.txt", "--json"]).start();
    let (first, second) = (start(), start());
    let (first, second) = tokio::join!(finish(first), finish(second));
    let here = [first, second].map(|ran| ran.expect_code(0).json()["imported_here"].as_u64().expect("a number"));
    assert_eq!(here[0] + here[1], place.number("select count(*) from codes").await as u64);
}

on_both_stores!(minted_codes_avoid_imported_and_reserved_codes);
async fn minted_codes_avoid_imported_and_reserved_codes(place: TestStore) {
    let imported: String = (0..500).map(|number| format!("{:04}\n", number * 13 + 1000)).collect();
    input(&place, &imported);
    import(&place, &[]).await.expect_code(0);
    place.codemint(["reserve", "add", "1###"]).run().await.expect_code(0);
    let free = 9000 - (0..500).filter(|number| number * 13 + 1000 >= 2000).count();
    let ran = place.codemint(["generate", "####", "--count", &(free + 1).to_string()]).run().await.expect_code(4);
    assert_names(&ran.stderr, &["8,577 codes of #### are free"]);
    assert_eq!(free, 8577);
    for count in [4000, 4000, 577] {
        generate(&place, &["####", "--count", &count.to_string(), "--chunk-size", "500"]).await;
    }
    let ran = place.codemint(["generate", "####", "--count", "1"]).run().await.expect_code(4);
    assert_names(&ran.stderr, &["0 codes of #### are free, 1 was requested"]);
    assert_eq!(place.number("select count(*) from codes").await, 9077);
    assert_eq!(place.number("select count(*) from codes where code like '1%'").await, 77);
}

#[tokio::test]
async fn unusable_input_is_refused_with_the_fix() {
    let place = TestStore::sqlite().await;
    input(&place, "");
    assert_names(&import(&place, &[]).await.expect_code(4).stderr, &["holds no codes", "one code per line"]);
    input(&place, "\u{1}\u{2}\n\u{3}\n");
    assert_names(&import(&place, &[]).await.expect_code(4).stderr, &["lines with text: 2", "line 1"]);
    std::fs::write(place.path().join("codes.csv"), "id,code\n1,aaa\n").expect("a file");
    let csv = |args: &[&str]| place.codemint(["import", "codes.csv"]).args(args).run();
    assert_names(&csv(&[]).await.expect_code(2).stderr, &["--column", "id, code"]);
    assert_names(&csv(&["--column", "Code"]).await.expect_code(4).stderr, &["no column \"Code\"", "\"code\""]);
    let missing = place.codemint(["import", "missing.txt"]).run().await.expect_code(2);
    assert_names(&missing.stderr, &["missing.txt cannot be read", "No such file"]);
    let no_place = csv(&["--column", "code", "--reject-file", "none/rejected.csv"]).await.expect_code(1);
    assert_names(&no_place.stderr, &["none/rejected.csv", "does not exist"]);
    assert_eq!(place.number("select count(*) from jobs").await, 0, "no job was stored");
    csv(&["--column", "code"]).await.expect_code(0);
    assert_eq!(place.texts("select code from codes").await, ["AAA"]);
}

on_both_stores!(an_import_is_resumed_only_with_its_input_and_cancelled_like_any_job);
async fn an_import_is_resumed_only_with_its_input_and_cancelled_like_any_job(place: TestStore) {
    input(&place, &many_codes(300_000));
    let child = place.codemint(["import", "input.txt"]).start();
    wait_for_a_chunk(&place).await;
    send_signal("INT", &child);
    let ran = finish(child).await;
    if ran.code == 0 {
        return;
    }
    assert_names(&ran.expect_code(130).stderr, &["repeat the same command to resume it"]);
    let jobs = place.codemint(["jobs", "list", "--json"]).run().await.expect_code(0).json();
    let id = jobs[0]["job_id"].as_str().expect("an id").to_owned();
    let resumed = place.codemint(["jobs", "resume", &id]).run().await.expect_code(2);
    assert_names(&resumed.stderr, &["the job is an import", "with the same input"]);
    place.codemint(["jobs", "cancel", &id]).run().await.expect_code(0);
    assert_names(&import(&place, &[]).await.expect_code(3).stderr, &["is cancelled"]);
    let claimed = "select cast(sum(codes) as bigint) from masks";
    assert_eq!(place.number(claimed).await, place.number("select count(*) from codes").await);
}

#[tokio::test]
async fn standard_input_is_imported_and_waiting_for_it_can_be_interrupted() {
    let place = TestStore::sqlite().await;
    // More than a pipe holds: once all of it is written, the program is reading.
    let script = "yes AAAA | head -c 300000; touch written; exec sleep 30";
    let mut silent = std::process::Command::new("sh")
        .args(["-c", script])
        .current_dir(place.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("a shell");
    let pipe = silent.stdout.take().expect("a pipe");
    let child = place.codemint(["import", "-"]).stdin(pipe.into()).start();
    let written = place.path().join("written");
    codemint_test_support::waiting::wait_until("the program reads", async || written.exists()).await;
    send_signal("INT", &child);
    let ran = tokio::time::timeout(std::time::Duration::from_secs(10), finish(child)).await.expect("an end in time");
    assert_names(&ran.expect_code(130).stderr, &["nothing was imported"]);
    silent.kill().expect("an end");
    silent.wait().expect("an end");
    let file = input(&place, "FROM-A-PIPE\n");
    let from_file = std::fs::File::open(file).expect("the file");
    place.codemint(["import", "-"]).stdin(from_file.into()).run().await.expect_code(0);
    assert_eq!(place.texts("select code from codes").await, ["FROM-A-PIPE"]);
}

on_both_stores!(regression_codes_minted_outside_the_range_of_an_import_are_counted);
async fn regression_codes_minted_outside_the_range_of_an_import_are_counted(place: TestStore) {
    input(&place, "19\n20\n31\n");
    import(&place, &[]).await.expect_code(0);
    generate(&place, &["[1-3][019]", "--count", "6"]).await;
    for inside in ["1[01]", "3[09]"] {
        let ran = place.codemint(["generate", inside, "--count", "1"]).run().await.expect_code(4);
        assert_names(&ran.stderr, &[&format!("0 codes of {inside} are free")]);
    }
}

#[tokio::test]
async fn regression_a_reject_file_never_replaces_the_store_the_input_or_a_device() {
    let place = TestStore::sqlite().await;
    input(&place, "AAA\n");
    for (file, reason) in [("store.db", "the store itself"), ("input.txt", "the input"), ("/dev/null", "a device")] {
        let ran = import(&place, &["--reject-file", file]).await.expect_code(2);
        assert_names(&ran.stderr, &[file, reason, "name a file"]);
    }
    assert_eq!(place.number("select count(*) from jobs").await, 0, "no job was stored");
    assert_eq!(std::fs::read_to_string(place.path().join("input.txt")).expect("the input"), "AAA\n");
}

/// Runs an import of these bytes from standard input.
async fn import_from_pipe(place: &TestStore, bytes: &[u8], args: &[&str]) -> Ran {
    let file = place.path().join("piped");
    std::fs::write(&file, bytes).expect("a file");
    let from_file = std::fs::File::open(file).expect("the file");
    place.codemint(["import", "-"]).args(args).stdin(from_file.into()).run().await
}

async fn assert_nothing_is_stored(place: &TestStore) {
    assert_eq!(place.number("select count(*) from jobs").await, 0);
    assert_eq!(place.number("select count(*) from codes").await, 0);
}

on_both_stores!(regression_an_unclosed_quotation_mark_is_an_error_and_nothing_is_stored);
async fn regression_an_unclosed_quotation_mark_is_an_error_and_nothing_is_stored(place: TestStore) {
    let swallowed = (0..1000).fold(String::new(), |text, number| text + &format!("GOOD{number},x\n"));
    std::fs::write(place.path().join("codes.csv"), format!("code,note\nGOOD1,x\nBAD,\"5 inch\n{swallowed}"))
        .expect("a file");
    let ran = place.codemint(["import", "codes.csv", "--column", "code"]).run().await.expect_code(4);
    assert_names(&ran.stderr, &["line 3 is not closed", "nothing was stored", "`sed -n 3p codes.csv`"]);
    input(&place, "GOOD1\n\"GOOD2\"x\n");
    let ran = import(&place, &[]).await.expect_code(4);
    assert_names(&ran.stderr, &["line 2 is followed by text", "nothing was stored"]);
    assert_nothing_is_stored(&place).await;
}

#[tokio::test]
async fn regression_what_is_not_one_code_per_line_is_refused_with_the_command_that_reads_it() {
    let place = TestStore::sqlite().await;
    let refusals: [(&[u8], &[&str]); 7] = [
        (b"code,discount\nAAA,10\n", &["line 1 is a header", "commas", "code, discount", "import - --column code"]),
        (b"AAA;10\nBBB;20\n", &["line 1", "semicolons", "--no-header --column 1", "--format txt"]),
        (b"Coupon\nAAA\n", &["line 1 is \"Coupon\"", "--column Coupon", "--format txt"]),
        (b"[\"AAA\"]\n", &["JSON array", "jq -c '.[] | {code: .}' | codemint", "import -"]),
        (b"PK\x03\x04\0\0", &["zip archive", "save the sheet as CSV"]),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", &[".xls", "save the sheet as CSV"]),
        (b"\x1f\x8b\x08\0", &["compressed", "gzip -dc | codemint", "import -"]),
    ];
    for (bytes, parts) in refusals {
        let ran = import_from_pipe(&place, bytes, &[]).await.expect_code(2);
        assert_names(&ran.stderr, parts);
        assert!(!ran.stderr.contains("AAA"), "no error contains a code: {}", ran.stderr);
    }
    let ran = import_from_pipe(&place, b"AAA\n", &["--format", "txt", "--column", "code"]).await.expect_code(2);
    assert_names(&ran.stderr, &["--column", "--format csv"]);
    assert_nothing_is_stored(&place).await;
    // A command that is proposed works as printed, and repeats the other options.
    input(&place, "id;code\n1;AAA\n2;BBB\n");
    let ran = import(&place, &["--campaign", "old"]).await.expect_code(2);
    let ran = proposed(&place, &ran.stderr).run().await.expect_code(0);
    assert_eq!(ran.json()["campaign"], "old");
    assert_eq!(place.texts("select code from codes order by code").await, ["AAA", "BBB"]);
}

on_both_stores!(regression_lines_of_another_kind_are_found_far_behind_the_first_ones);
async fn regression_lines_of_another_kind_are_found_far_behind_the_first_ones(place: TestStore) {
    let codes: String = (0..20_000).map(|number| format!("AAA{number:05}\n")).collect();
    for (odd, what) in [
        ("BB1;x\n", "1 of 20001 lines has semicolons, unlike the others; the first is line 20001"),
        ("{\"code\":\"BB1\"}\n", "1 of 20001 lines is JSON, unlike the others; the first is line 20001"),
        ("code\n", "1 of 20001 lines is the name of a column; the first is line 20001"),
    ] {
        let text = format!("{codes}{odd}");
        let ran = import_from_pipe(&place, text.as_bytes(), &[]).await.expect_code(2);
        assert_names(&ran.stderr, &[what, "if each line is a code, add --format txt"]);
        import_from_pipe(&place, text.as_bytes(), &["--dry-run"]).await.expect_code(2);
    }
    assert_nothing_is_stored(&place).await;
    let text = format!("{codes}BB1;x\n");
    import_from_pipe(&place, text.as_bytes(), &["--format", "txt"]).await.expect_code(0);
    assert_eq!(place.number("select count(*) from codes").await, 20_001);
}

on_both_stores!(regression_own_exports_are_taken_exactly_by_pipe_as_from_a_file);
async fn regression_own_exports_are_taken_exactly_by_pipe_as_from_a_file(place: TestStore) {
    let id = generate(&place, &["A\",'##", "--count", "5"]).await.to_string();
    let codes = place.texts("select code from codes order by code").await;
    for format in ["csv", "jsonl"] {
        let exported = place.codemint(["export", &id, "--format", format]).run().await.expect_code(0).stdout;
        let other = TestStore::sqlite().await;
        import_from_pipe(&other, exported.as_bytes(), &[]).await.expect_code(0);
        assert_eq!(other.texts("select code from codes order by code").await, codes, "{format} by pipe");
        let other = TestStore::sqlite().await;
        let name = format!("codes.{format}");
        std::fs::write(other.path().join(&name), exported).expect("a file");
        other.codemint(["import", &name]).run().await.expect_code(0);
        assert_eq!(other.texts("select code from codes order by code").await, codes, "{format} from a file");
    }
}

on_both_stores!(regression_invalid_lines_are_never_left_out_with_exit_code_0_unless_allowed);
async fn regression_invalid_lines_are_never_left_out_with_exit_code_0_unless_allowed(place: TestStore) {
    input(&place, "AAA\nB B\nCCC\n");
    let ran = import(&place, &["--reject-file", "rejected.csv"]).await.expect_code(4);
    let parts = ["1 of 3 lines", "more than 1 in 100", "nothing was stored", "line 2", "--dry-run", "--allow-invalid"];
    assert_names(&ran.stderr, &parts);
    assert_eq!(rejected(&place), ["line,reason", "2,contains a space or a tab"]);
    assert_nothing_is_stored(&place).await;
    let ran = import(&place, &["--allow-invalid"]).await.expect_code(0);
    assert_eq!(counts(&ran.json()), [3, 0, 1, 0, 0, 2]);
    input(&place, &(many_codes(200) + "B B\n"));
    for _first_and_repeated in 0..2 {
        let ran = import(&place, &[]).await.expect_code(3);
        assert_names(&ran.stderr, &["1 of 201 lines", "left out", "line 201", "--reject-file rejected.csv"]);
        assert_eq!(ran.json()["minted"], 200);
    }
    import(&place, &["--allow-invalid"]).await.expect_code(0);
}

#[tokio::test]
async fn regression_a_dry_run_shows_what_would_be_imported_and_stores_nothing() {
    let place = EmptyPlace::create();
    let codes = (0..300).fold(String::new(), |text, number| text + &format!(" spring-{:03}x\n", number * 7 % 1000));
    place.write("codes.txt", &format!("{codes}1.00E+10\n#N/A\nB B\n"));
    let ran = place.run(&[], &["import", "codes.txt", "--dry-run"], 3).await;
    let parts = [
        "one code per line",
        "302 different ones",
        "blanks around 300 codes",
        "SPRING-000X\n          SPRING-007X",
        "SPRING-###X, 300 codes",
        "1.00E+10; the first is line 301",
        "#N/A; the first is line 302",
        "nothing: this was a dry run",
    ];
    assert_names(&ran.stdout, &parts);
    assert_names(&ran.stderr, &["1 of 303 lines", "would be left out", "line 303"]);
    let report = place.run(&[], &["import", "codes.txt", "--dry-run", "--json", "--allow-invalid"], 0).await.json();
    assert_eq!((&report["codes"], &report["blanks_cut"], &report["stored"]), (&302.into(), &300.into(), &false.into()));
    assert_eq!(report["first_codes"].as_array().expect("codes").len(), 10);
    let files: Vec<_> = std::fs::read_dir(place.path()).expect("a directory").collect();
    assert_eq!(files.len(), 1, "no store was created: {files:?}");
}

#[tokio::test]
async fn regression_utf16_separator_lines_and_rows_without_a_header_are_read() {
    let place = TestStore::sqlite().await;
    let sheet: Vec<u8> = "\u{feff}sep=;\r\nid;code\r\n1;AAA\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    import_from_pipe(&place, &sheet, &["--column", "code"]).await.expect_code(0);
    let rows = b"1|BBB|x\n2|CCC|y\n";
    let args = ["--no-header", "--column", "2", "--delimiter", "|"];
    import_from_pipe(&place, rows, &args).await.expect_code(0);
    let ran = import_from_pipe(&place, rows, &["--no-header", "--column", "code"]).await.expect_code(2);
    assert_names(&ran.stderr, &["--no-header needs the number of a column", "--no-header --column 1"]);
    assert_eq!(place.texts("select code from codes order by code").await, ["AAA", "BBB", "CCC"]);
}
