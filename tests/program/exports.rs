//! Exports: several jobs in one file, formats and endings of file names, permissions.

use std::io::{Cursor, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flate2::read::GzDecoder;
use uuid::Uuid;
use zip::ZipArchive;

use codemint_test_support::cli_steps::{assert_names, exported, files_beside_the_store, generate, proposed, request};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;

/// The texts of a sheet's cells, row by row.
pub(crate) fn cells(xlsx: &Path, sheet: usize) -> Vec<String> {
    let bytes = std::fs::read(xlsx).expect("the output");
    let mut archive = ZipArchive::new(Cursor::new(bytes)).expect("an archive");
    let mut xml = String::new();
    let name = format!("xl/worksheets/sheet{sheet}.xml");
    archive.by_name(&name).expect("a sheet").read_to_string(&mut xml).expect("XML");
    let texts = xml.split("<t>").skip(1).map(|cell| cell.split("</t>").next().expect("a text"));
    texts.map(|text| text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")).collect()
}

async fn export(place: &TestStore, args: &[&str], code: i32) -> String {
    place.codemint(["export"]).args(args).run().await.expect_code(code).stderr
}

fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).expect("the output").lines().map(str::to_owned).collect()
}

fn mode(file: &Path) -> u32 {
    std::fs::metadata(file).expect("a file").permissions().mode() & 0o777
}

on_both_stores!(regression_a_spreadsheet_is_written_with_every_code_as_text);
async fn regression_a_spreadsheet_is_written_with_every_code_as_text(place: TestStore) {
    let args = ["[=<>&0]#E#", "--count", "300", "--chunk-size", "100"];
    let to_xlsx = place.codemint(["generate", "--output", "a.xlsx", "--json"]).args(args).run().await.expect_code(0);
    assert_eq!(to_xlsx.stderr, "", "no warning: the cells are texts");
    let id = to_xlsx.json()["job_id"].as_str().expect("an id").to_owned();
    let mut expected = exported(&place, id.parse().expect("a UUID")).await;
    assert_eq!(expected.len(), 300);
    expected.insert(0, "code".to_owned());
    assert_eq!(cells(&place.path().join("a.xlsx"), 1), expected);
    assert_eq!(mode(&place.path().join("a.xlsx")), 0o600);

    assert_eq!(export(&place, &[&id, "--output", "b.xlsx", "--order", "random"], 0).await, "");
    let mut shuffled = cells(&place.path().join("b.xlsx"), 1);
    assert_ne!(shuffled, expected);
    shuffled[1..].sort_unstable();
    assert_eq!(shuffled, expected);
    assert_eq!(files_beside_the_store(place.path()), ["a.xlsx", "b.xlsx"]);
}

on_both_stores!(a_spreadsheet_goes_through_a_pipe_and_a_full_disk_is_reported);
async fn a_spreadsheet_goes_through_a_pipe_and_a_full_disk_is_reported(place: TestStore) {
    let id = generate(&place, &["*{8}", "--count", "20"]).await;
    let file = std::fs::File::create(place.path().join("piped")).expect("a file");
    let piped = place.codemint(["export", &id.to_string(), "--format", "xlsx"]).stdout(file.into());
    piped.run().await.expect_code(0);
    assert_eq!(cells(&place.path().join("piped"), 1)[1..], exported(&place, id).await);
    let full = export(&place, &[&id.to_string(), "--format", "xlsx", "--output", "/dev/full"], 1).await;
    assert_names(&full, &["failed to write /dev/full", "No space left"]);
    assert!(!full.contains("ZipWriter") && !full.contains("panicked"), "{full}");
}

#[tokio::test]
async fn regression_a_count_that_no_spreadsheet_holds_is_refused_before_minting() {
    let place = TestStore::sqlite().await;
    let args = ["generate", "*{12}", "--count", "16777201", "--output", "codes.xlsx"];
    let refused = place.codemint(args).run().await.expect_code(2).stderr;
    assert_names(&refused, &["at most 16,777,200 codes, and there are 16,777,201", "--format csv"]);
    assert_eq!(place.number("select count(*) from jobs").await, 0);
}

#[tokio::test]
async fn regression_a_compressed_file_holds_the_lines_that_its_name_promises() {
    let place = TestStore::sqlite().await;
    let id = generate(&place, &["*{8}", "--count", "500", "--output", "codes.txt.gz"]).await;
    let decompressed = |name: &str| {
        let mut text = String::new();
        let file = std::fs::File::open(place.path().join(name)).expect("the output");
        GzDecoder::new(file).read_to_string(&mut text).expect("a complete file");
        text
    };
    let codes = exported(&place, id).await;
    assert_eq!(decompressed("codes.txt.gz").lines().collect::<Vec<_>>(), codes);
    export(&place, &[&id.to_string(), "--output", "codes.csv.gz"], 0).await;
    assert_eq!(decompressed("codes.csv.gz"), format!("code\n{}\n", codes.join("\n")));
    export(&place, &[&id.to_string(), "--output", "codes.jsonl.gz"], 0).await;
    assert_eq!(decompressed("codes.jsonl.gz").lines().next(), Some(&*format!("{{\"code\":\"{}\"}}", codes[0])));
}

#[tokio::test]
async fn regression_an_ending_that_is_not_written_is_refused_before_minting() {
    let place = TestStore::sqlite().await;
    let id = generate(&place, &["####", "--count", "5"]).await.to_string();
    let cases: [(&[&str], &str); 7] = [
        (
            &["--output", "codes.json"],
            "a format that is not written; csv, txt, jsonl and xlsx are; name it codes.jsonl",
        ),
        (&["--output", "codes.xls"], "a format that is not written; csv, txt, jsonl and xlsx are; name it codes.xlsx"),
        (&["--output", "codes.csv.zip"], "name it codes.csv.gz"),
        (&["--output", "codes.cvs"], "names no format; add --format csv (or txt, jsonl, xlsx)"),
        (&["--output", "codes.xlsx", "--format", "csv"], "contradicts the ending of --output codes.xlsx"),
        (&["--output", "codes.csv", "--format", "jsonl"], "or name the file codes.jsonl"),
        (&["--output", "codes.xlsx.gz"], "a spreadsheet is compressed already"),
    ];
    for (args, message) in cases {
        for command in [&["generate", "A###", "--count", "5"][..], &["export", &id]] {
            let refused = place.codemint(command).args(args).run().await.expect_code(2);
            assert_names(&refused.stderr, &[message]);
        }
    }
    assert_eq!(place.number("select count(*) from jobs").await, 1);
    assert_eq!(files_beside_the_store(place.path()), [] as [&str; 0]);
}

on_both_stores!(regression_several_jobs_are_written_into_one_file_in_the_given_order);
async fn regression_several_jobs_are_written_into_one_file_in_the_given_order(place: TestStore) {
    let (first, second) =
        (generate(&place, &["B###", "-n", "30"]).await, generate(&place, &["A###", "-n", "20"]).await);
    let (first_codes, second_codes) = (exported(&place, first).await, exported(&place, second).await);
    let (first, second) = (first.to_string(), second.to_string());
    export(&place, &[&first, &second, "--output", "both.txt"], 0).await;
    assert_eq!(lines(&place.path().join("both.txt")), [first_codes.clone(), second_codes.clone()].concat());
    export(&place, &[&second, &first, "--output", "both.csv"], 0).await;
    let in_order = [vec!["code".to_owned()], second_codes.clone(), first_codes.clone()].concat();
    assert_eq!(lines(&place.path().join("both.csv")), in_order);

    export(&place, &[&first, &second, "--output", "mixed.txt", "--order", "random"], 0).await;
    let mut mixed = lines(&place.path().join("mixed.txt"));
    assert!(mixed[..30].iter().any(|code| code.starts_with('A')), "jobs are mixed: {mixed:?}");
    mixed.sort_unstable();
    assert_eq!(mixed, [second_codes, first_codes].concat());

    assert_names(&export(&place, &[&first, &second, &first], 2).await, &[&first, "is named twice"]);
    let unknown = Uuid::now_v7().to_string();
    assert_names(&export(&place, &[&first, &unknown, "--output", "no.csv"], 3).await, &["there is no job", &unknown]);
    assert!(!place.path().join("no.csv").exists());
    let begun = "select count(*) from audit where action = 'export' and result = 'begun'";
    // Both before, and three times both together.
    assert_eq!(place.number(begun).await, 8);
    assert_eq!(place.number("select count(*) from audit where action = 'export' and result = 'done'").await, 8);
}

on_both_stores!(regression_a_campaign_is_exported_with_all_its_jobs);
async fn regression_a_campaign_is_exported_with_all_its_jobs(place: TestStore) {
    let spring = ["--count", "10", "--campaign", "spring"];
    let mint = async |mask: &str, args: &[&str]| generate(&place, &[&[mask][..], args].concat()).await;
    let (old, _other) = (mint("Z###", &spring).await, mint("B###", &["--count", "10", "--campaign", "SPRING"]).await);
    std::fs::write(place.path().join("old.txt"), "LONGER-CODE\nC-1\n").expect("a file");
    let import = place.codemint(["import", "old.txt", "--campaign", "spring", "--json"]).run().await.expect_code(0);
    let imported: Uuid = import.json()["job_id"].as_str().expect("an id").parse().expect("a UUID");
    let young = mint("A###", &spring).await;
    let expected =
        [exported(&place, old).await, exported(&place, imported).await, exported(&place, young).await].concat();
    assert_eq!(expected.len(), 22);
    export(&place, &["--campaign", "spring", "--output", "spring.txt"], 0).await;
    assert_eq!(lines(&place.path().join("spring.txt")), expected);
    export(&place, &["--campaign", "spring", "--output", "spring.xlsx"], 0).await;
    assert_eq!(cells(&place.path().join("spring.xlsx"), 1)[1..], expected);

    let none = export(&place, &["--campaign", "autumn", "--output", "autumn.csv"], 3).await;
    assert_names(&none, &["no job has the campaign autumn", "jobs list`"]);
    assert_names(&export(&place, &["--campaign", "spring", &old.to_string()], 2).await, &["cannot be used with"]);
    assert_names(&export(&place, &[], 2).await, &["--campaign", "JOB"]);

    let unfinished = Uuid::now_v7();
    let mut request = request("Q###", 5);
    request.campaign = Some("spring".to_owned());
    place.store.put_job(unfinished, &request).await.expect("a job");
    let refused = export(&place, &["--campaign", "spring", "--output", "more.csv"], 3).await;
    assert_names(&refused, &[&unfinished.to_string(), "is queued with 0 of 5 codes", "jobs resume"]);
    assert_eq!(files_beside_the_store(place.path()), ["old.txt", "spring.txt", "spring.xlsx"]);
}

#[tokio::test]
async fn regression_a_new_output_is_private_unless_a_mode_is_given() {
    let place = TestStore::sqlite().await;
    let path = |name: &str| place.path().join(name);
    let id = generate(&place, &["*{6}", "--count", "10", "--output", "codes.txt"]).await.to_string();
    assert_eq!(mode(&path("codes.txt")), 0o600);
    std::fs::write(path("old.txt"), "A-1\nA-1\n").expect("a file");
    let import = ["import", "old.txt", "--reject-file"];
    place.codemint(import).args(["rejected.csv"]).run().await.expect_code(0);
    place.codemint(import).args(["shown.csv", "--mode", "640"]).run().await.expect_code(0);
    assert_eq!((mode(&path("rejected.csv")), mode(&path("shown.csv"))), (0o600, 0o640));

    for (given, expected) in [("0640", 0o640), ("644", 0o644), ("0o400", 0o400), ("0660", 0o660)] {
        assert_eq!(export(&place, &[&id, "--output", "new.txt", "--mode", given], 0).await, "");
        // The file exists from the second turn on.
        assert_eq!(mode(&path("new.txt")), expected, "{given}");
    }
    let refused: [(&[&str], &str); 5] = [
        (&["--output", "x.csv", "--mode", "0666"], "everyone could change the file; use 0600"),
        (&["--output", "x.csv", "--mode", "0755"], "not a program"),
        (&["--output", "x.csv", "--mode", "rw"], "write octal digits"),
        (&["--mode", "0640"], "standard output is no file that is created; omit --mode"),
        (&["--output", "/dev/null", "--mode", "0640"], "/dev/null is no file that is created"),
    ];
    for (args, message) in refused {
        assert_names(&export(&place, &[&[&*id][..], args].concat(), 2).await, &[message]);
    }
    assert!(!path("x.csv").exists());
}

#[tokio::test]
async fn a_replaced_file_that_others_can_read_is_noted_with_the_fix() {
    let place = TestStore::sqlite().await;
    let id = generate(&place, &["*{6}", "--count", "10"]).await.to_string();
    let file = place.path().join("codes.txt");
    std::fs::write(&file, "").expect("a file");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("a mode");
    let noted = export(&place, &[&id, "--output", "codes.txt"], 0).await;
    assert_names(&noted, &["note: codes.txt keeps its mode 0644, so other users can access the codes", "--mode 0600"]);
    assert_eq!(mode(&file), 0o644);
    assert_eq!(export(&place, &[&id, "--output", "codes.txt", "-q"], 0).await, "");
    assert_eq!(export(&place, &[&id, "--output", "codes.txt", "--mode", "0600"], 0).await, "");
    assert_eq!(mode(&file), 0o600);
}

on_both_stores!(regression_minted_codes_are_written_in_random_order);
async fn regression_minted_codes_are_written_in_random_order(place: TestStore) {
    let written = async |output: &str| {
        let args = ["generate", "*{6}", "-n", "300", "--order", "random", "--format", "txt", "--output", output];
        place.codemint(args).run().await.expect_code(0).stdout
    };
    written("codes.txt").await;
    let to_file = lines(&place.path().join("codes.txt"));
    let to_stdout: Vec<String> = written("-").await.lines().map(str::to_owned).collect();
    for codes in [to_file, to_stdout] {
        assert_eq!(codes.len(), 300);
        assert!(!codes.is_sorted(), "{codes:?}");
    }

    for options in [&["--order", "random"][..], &["--format", "xlsx"], &["--mode", "0640"]] {
        let refused = place.codemint(["generate", "####", "-n", "5"]).args(options).run().await.expect_code(2);
        assert_names(&refused.stderr, &[&format!("{} needs --output FILE", options.join(" "))]);
    }
    let full = ["generate", "####", "-n", "5", "--order", "random", "--output", "/dev/full"];
    let failed = place.codemint(full).run().await.expect_code(1).stderr;
    assert_names(&failed, &["No space left", "--output /dev/full --order random`"]);
    proposed(&place, &failed).run().await.expect_code(1);
}

on_both_stores!(regression_an_export_checks_the_digest_of_what_it_writes);
async fn regression_an_export_checks_the_digest_of_what_it_writes(place: TestStore) {
    let id = generate(&place, &["A####", "--count", "100"]).await.to_string();
    place.execute("update codes set code = 'AZZZZ' where code = (select max(code) from codes)").await;
    place.execute("update chunks set range_last = 'AZZZZ'").await;
    for order in ["code", "random"] {
        let said = export(&place, &[&id, "--order", order, "--output", "codes.csv"], 3).await;
        assert_names(&said, &["the codes of chunk 1 differ from those that its checkpoint records", "verify"]);
        assert!(!place.path().join("codes.csv").exists());
    }
}
