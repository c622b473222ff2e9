//! `campaign codes --identities` and `issue`: codes of restricted campaigns and the identities that they belong to.

use std::collections::{BTreeMap, BTreeSet};

use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::codemint::{Ran, finish};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;
use serde_json::json;

use crate::exports::cells;

async fn create(place: &TestStore, kind: &str, limits: serde_json::Value) {
    let definition = json!({
        "name": "owners", "title": "Owners", "kind": kind, "active": true, "mask": "OWN-[:safe:]{8}", "limits": limits,
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    std::fs::write(place.path().join("owners.json"), definition.to_string()).expect("a file");
    place.codemint(["campaign", "create", "owners.json"]).run().await.expect_code(0);
}

async fn bind(place: &TestStore, list: &str, more: &[&str]) -> Ran {
    std::fs::write(place.path().join("list.csv"), list).expect("a file");
    let args = [&["campaign", "codes", "owners", "--identities", "list.csv"], more].concat();
    place.codemint(args).env("CODEMINT__JOB__CHUNK_SIZE", "700").run().await
}

fn people(numbers: std::ops::Range<usize>) -> String {
    numbers.fold("identity\n".to_owned(), |list, number| format!("{list}customer-{number}\n"))
}

/// Returns the identities of an export with their codes.
async fn exported(place: &TestStore) -> BTreeMap<String, String> {
    let exported = place.codemint(["export", "--campaign", "owners"]).run().await.expect_code(0).stdout;
    let mut lines = exported.lines();
    assert_eq!(lines.next(), Some("code,identity"));
    lines
        .map(|line| {
            line.split_once(',').map(|(code, identity)| (identity.to_owned(), code.to_owned())).expect("a pair")
        })
        .collect()
}

on_both_stores!(each_identity_of_a_list_gets_a_code_and_the_rest_is_counted_and_listed);
async fn each_identity_of_a_list_gets_a_code_and_the_rest_is_counted_and_listed(place: TestStore) {
    create(&place, "restricted", json!({})).await;
    let list = format!("{}customer-3\n , \n{}\n", people(0..2_000), "x".repeat(201));
    let ran = bind(&place, &list, &["--reject-file", "rejects.csv", "--json"]).await.expect_code(0);
    let report = ran.json();
    assert_eq!((&report["minted"], &report["state"]), (&json!(2_000), &json!("completed")));
    assert_eq!(report["list"], json!({ "rows": 2_003, "repeated": 1, "invalid": 2, "already_bound": 0 }));
    let rejects = std::fs::read_to_string(place.path().join("rejects.csv")).expect("a file");
    let lines: BTreeSet<&str> = rejects.lines().collect();
    assert!(lines.contains("2002,repeated,customer-3"), "{rejects}");
    assert_eq!(lines.len(), 4, "{rejects}");
    let owners = exported(&place).await;
    assert_eq!(owners.len(), 2_000);
    assert!((0..2_000).all(|number| owners.contains_key(&format!("customer-{number}"))));
    let by_code: Vec<&String> =
        owners.iter().map(|(identity, code)| (code, identity)).collect::<BTreeMap<_, _>>().into_values().collect();
    assert!(!by_code.is_sorted(), "the codes are in the order of the identities");
    let job = report["job_id"].as_str().expect("an id").to_owned();
    let verdict = place.codemint(["verify", &job, "--json"]).run().await.expect_code(0).json();
    assert_eq!(verdict["holds"], true, "{verdict}");
    place.execute("delete from assignments where identity_text = 'customer-77'").await;
    let ran = place.codemint(["verify", &job]).run().await.expect_code(3);
    assert_names(&ran.stdout, &["has 1 code that belongs to no identity and not to the pool"]);
}

on_both_stores!(the_same_list_is_the_same_job_and_a_larger_one_binds_the_rest);
async fn the_same_list_is_the_same_job_and_a_larger_one_binds_the_rest(place: TestStore) {
    create(&place, "restricted", json!({})).await;
    let first = bind(&place, &people(0..50), &["--json"]).await.expect_code(0).json();
    let reversed: Vec<String> = (0..50).rev().map(|number| format!("customer-{number}")).collect();
    let again = bind(&place, &format!("identity\n{}\n", reversed.join("\n")), &["--json"]).await.expect_code(0).json();
    assert_eq!(first["job_id"], again["job_id"]);
    assert_eq!(place.number("select count(*) from codes").await, 50);
    let before = exported(&place).await;
    let larger = bind(&place, &people(0..80), &["--json"]).await.expect_code(0).json();
    assert_eq!((&larger["minted"], &larger["list"]["already_bound"]), (&json!(30), &json!(50)));
    let after = exported(&place).await;
    assert_eq!(after.len(), 80);
    assert!(before.iter().all(|(identity, code)| after[identity] == *code));
    let nothing = bind(&place, &people(10..20), &[]).await.expect_code(0);
    assert_names(&nothing.stdout, &["no identity of the list needs a code: 10 rows, 10 with a code already"]);
}

on_both_stores!(each_job_has_its_own_order_of_the_same_identities);
async fn each_job_has_its_own_order_of_the_same_identities(place: TestStore) {
    std::fs::write(place.path().join("list.csv"), people(0..300)).expect("a file");
    let mut orders = BTreeSet::new();
    for name in ["first", "second", "third"] {
        let definition = json!({
            "name": name, "title": name, "kind": "restricted", "active": true, "mask": "OWN-[:safe:]{8}",
            "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
        });
        std::fs::write(place.path().join("c.json"), definition.to_string()).expect("a file");
        place.codemint(["campaign", "create", "c.json"]).run().await.expect_code(0);
        place.codemint(["campaign", "codes", name, "--identities", "list.csv"]).run().await.expect_code(0);
        let by_code = format!(
            "select identity_text from assignments where campaign_no = (select no from campaigns where name = '{name}')
              order by code"
        );
        let order = place.texts(&by_code).await;
        assert_eq!(order.len(), 300);
        orders.insert(order);
    }
    assert_eq!(orders.len(), 3, "two jobs pair codes and identities in the same order");
}

on_both_stores!(codes_of_the_pool_are_verified_before_and_after_they_are_issued);
async fn codes_of_the_pool_are_verified_before_and_after_they_are_issued(place: TestStore) {
    create(&place, "restricted", json!({})).await;
    let id = "01890a5d-ac96-774b-bcce-b302099a8057";
    let fill = ["campaign", "codes", "owners", "--count", "50", "--job-id", id];
    place.codemint(fill).run().await.expect_code(0);
    place.codemint(["verify", id]).run().await.expect_code(0);
    place.codemint(["issue", "owners", "loc-1"]).run().await.expect_code(0);
    place.codemint(["verify", id]).run().await.expect_code(0);
    place.execute("delete from pool where code in (select code from pool order by code limit 2)").await;
    let ran = place.codemint(["verify", id]).run().await.expect_code(3);
    assert_names(&ran.stdout, &["has 2 codes that belong to no identity and not to the pool"]);
}

on_both_stores!(a_killed_command_is_resumed_by_the_same_one_without_a_loss);
async fn a_killed_command_is_resumed_by_the_same_one_without_a_loss(place: TestStore) {
    create(&place, "restricted", json!({})).await;
    let list = people(0..20_000);
    std::fs::write(place.path().join("list.csv"), &list).expect("a file");
    for milliseconds in [300, 600, 900, 1_200] {
        let args = ["campaign", "codes", "owners", "--identities", "list.csv"];
        let mut child = place.codemint(args).env("CODEMINT__JOB__CHUNK_SIZE", "500").start();
        tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
        child.start_kill().expect("a kill");
        drop(finish(child).await);
    }
    let report = bind(&place, &list, &["--json"]).await.expect_code(0).json();
    assert_eq!((&report["minted"], &report["state"]), (&json!(20_000), &json!("completed")));
    assert_eq!(place.number("select count(*) from codes").await, 20_000);
    assert_eq!(place.number("select count(distinct identity_text) from assignments").await, 20_000);
    assert_eq!(place.number("select count(*) from assignments where code not in (select code from codes)").await, 0);
    let job = report["job_id"].as_str().expect("an id").to_owned();
    place.codemint(["verify", &job]).run().await.expect_code(0);
    assert_eq!(place.number("select count(*) from jobs").await, 1);
}

on_both_stores!(a_list_beyond_the_limit_is_refused_whole);
async fn a_list_beyond_the_limit_is_refused_whole(place: TestStore) {
    create(&place, "restricted", json!({ "issued": 60 })).await;
    bind(&place, &people(0..40), &[]).await.expect_code(0);
    let refused = bind(&place, &people(0..70), &[]).await.expect_code(4);
    let message = "error: 30 identities need a code, and the limit of issued codes allows 20 more; nothing was minted; raise limits.issued\n";
    assert_eq!(refused.stderr, message);
    assert_eq!(place.number("select count(*) from codes").await, 40);
    bind(&place, &people(60..70), &["--no-wait"]).await.expect_code(0);
    let refused = bind(&place, &people(40..51), &[]).await.expect_code(4);
    assert_names(&refused.stderr, &["11 identities need a code, and the limit of issued codes allows 10 more"]);
    assert_eq!(place.number("select count(distinct list_id) from job_identities").await, 1);
    bind(&place, &people(60..70), &[]).await.expect_code(0);
    assert_eq!(place.number("select count(*) from job_identities").await, 0);
    bind(&place, &people(0..50), &[]).await.expect_code(0);
    assert_eq!(place.number("select taken from allowances where scope = 'issued'").await, 60);
}

on_both_stores!(regression_identities_that_a_cancelled_job_left_get_their_codes_from_another);
async fn regression_identities_that_a_cancelled_job_left_get_their_codes_from_another(place: TestStore) {
    create(&place, "restricted", json!({ "issued": 100 })).await;
    let id = bind(&place, &people(0..60), &["--no-wait"]).await.expect_code(0).stdout;
    place.codemint(["jobs", "cancel", id.trim()]).run().await.expect_code(0);
    let report = bind(&place, &people(0..60), &["--json"]).await.expect_code(0).json();
    assert_eq!((&report["minted"], &report["state"]), (&json!(60), &json!("completed")));
    assert_ne!(report["job_id"], json!(id.trim()));
    assert_eq!(exported(&place).await.len(), 60);
    assert_eq!(place.number("select taken from allowances where scope = 'issued'").await, 60);
}

#[tokio::test]
async fn regression_a_list_without_any_valid_identity_is_an_error() {
    let place = TestStore::sqlite().await;
    create(&place, "restricted", json!({ "issued": 100 })).await;
    for (list, counts) in [("", "0 rows"), ("identity\n", "0 rows"), (" \n\n", "2 rows, 2 invalid")] {
        let refused = bind(&place, list, &[]).await.expect_code(4);
        assert_names(&refused.stderr, &["list.csv holds no valid identity (", counts]);
    }
    assert_eq!(place.number("select count(*) from jobs").await, 0);
}

on_both_stores!(only_a_restricted_campaign_takes_a_list);
async fn only_a_restricted_campaign_takes_a_list(place: TestStore) {
    create(&place, "private", json!({})).await;
    let refused = bind(&place, &people(0..3), &[]).await.expect_code(4);
    assert_names(&refused.stderr, &["campaign owners is private, so its codes belong to nobody; use --count"]);
    place.codemint(["campaign", "codes", "owners"]).run().await.expect_code(2);
}

#[tokio::test]
async fn a_list_of_several_columns_without_the_one_is_refused() {
    let place = TestStore::sqlite().await;
    create(&place, "restricted", json!({})).await;
    let wrong = bind(&place, "name,city\nAnn,Rome\n", &[]).await;
    assert_names(&wrong.stderr, &["the first row has several columns, and none is called identity"]);
    assert!(!wrong.stderr.contains("city"), "{}", wrong.stderr);
    assert_ne!(wrong.code, 0);
    assert_eq!(place.number("select count(*) from jobs").await, 0);
}

on_both_stores!(a_code_of_the_pool_is_issued_once_and_refusals_say_what_helps);
async fn a_code_of_the_pool_is_issued_once_and_refusals_say_what_helps(place: TestStore) {
    let issue = async |identity: &str| place.codemint(["issue", "owners", identity]).run().await;
    create(&place, "restricted", json!({ "issued": 2 })).await;
    let empty = issue("loc-1").await.expect_code(3).stderr;
    assert_names(&empty, &["the pool of campaign owners is empty", "campaign codes owners --count N` fills it"]);
    let filled = place.codemint(["campaign", "codes", "owners", "--count", "20"]).run().await.expect_code(0);
    assert_names(&filled.stderr, &["note: limits.issued is 2, so not all of these codes can be issued"]);
    let first = issue("loc-1").await.expect_code(0);
    let again = issue(" loc-1 ").await.expect_code(0);
    assert_eq!(first.stdout, again.stdout);
    assert_names(&again.stderr, &["note: the identity had this code already"]);
    let json = place.codemint(["issue", "owners", "loc-2", "--json"]).run().await.expect_code(0).json();
    assert_eq!((&json["identity"], &json["already_generated"]), (&json!("loc-2"), &json!(false)));
    let limit = issue("loc-3").await.expect_code(3).stderr;
    assert_names(&limit, &["has issued as many codes as limits.issued allows"]);
    assert_eq!(place.number("select count(*) from pool").await, 18);
    place.codemint(["campaign", "deactivate", "owners"]).run().await.expect_code(0);
    assert_names(
        &issue("loc-4").await.expect_code(3).stderr,
        &["campaign owners is off, has not started or has ended"],
    );
    let unknown = place.codemint(["issue", "nobody", "loc-1"]).run().await.expect_code(3).stderr;
    assert_names(&unknown, &["there is no campaign nobody"]);
    assert_names(&issue("").await.expect_code(4).stderr, &["the identity is empty"]);
}

#[tokio::test]
async fn regression_a_compressed_list_is_refused_with_the_command_that_reads_it() {
    let place = TestStore::sqlite().await;
    create(&place, "restricted", json!({})).await;
    std::fs::write(place.path().join("list.csv.gz"), b"\x1f\x8b\x08\0\0\0\0\0").expect("a file");
    for args in [&["campaign", "codes", "owners", "--identities"][..], &["segment", "members", "gold"]] {
        let refused = place.codemint(args).args(["list.csv.gz"]).run().await.expect_code(2).stderr;
        assert_names(&refused, &["the input is compressed\ntry `gzip -dc list.csv.gz | codemint"]);
        assert_names(&refused, &[&format!("{} -`", args.join(" "))]);
    }
    let refused = bind(&place, "customer_id\na1\n", &[]).await.expect_code(4).stderr;
    assert_names(&refused, &["line 1 is the usual name of a column (customerid); call the column identity"]);
}

on_both_stores!(regression_identities_that_look_the_same_are_not_issued_codes);
async fn regression_identities_that_look_the_same_are_not_issued_codes(place: TestStore) {
    create(&place, "restricted", json!({})).await;
    place.codemint(["campaign", "codes", "owners", "--count", "5"]).run().await.expect_code(0);
    let invisible = place.codemint(["issue", "owners", "lo\u{200b}c-1"]).run().await.expect_code(4).stderr;
    assert_names(&invisible, &["the identity contains invisible characters"]);
    let hyphen = place.codemint(["issue", "owners", "-"]).run().await.expect_code(2).stderr;
    assert_names(&hyphen, &["- is no identity, and no identity is read from standard input"]);
    assert_eq!(place.number("select count(*) from assignments").await, 0);
}

on_both_stores!(regression_verify_notices_an_identity_that_was_changed_but_not_one_that_was_forgotten);
async fn regression_verify_notices_an_identity_that_was_changed_but_not_one_that_was_forgotten(place: TestStore) {
    create(&place, "restricted", json!({})).await;
    let job = bind(&place, &people(0..5), &["--json"]).await.expect_code(0).json();
    let job = job["job_id"].as_str().expect("an id").to_owned();
    place.execute("update assignments set identity_text = null where identity_text = 'customer-1'").await;
    place.codemint(["verify", &job]).run().await.expect_code(0);
    place.execute("update assignments set identity_text = 'somebody' where identity_text = 'customer-2'").await;
    let verdict = place.codemint(["verify", &job]).run().await.expect_code(3).stdout;
    assert_names(&verdict, &["has 1 code whose identity differs from its digest"]);
    assert!(!verdict.contains("somebody"), "{verdict}");
    place.execute("delete from secrets").await;
    let verdict = place.codemint(["verify", &job]).run().await.expect_code(3).stdout;
    assert_names(&verdict, &["has 4 codes whose identity differs from its digest"]);
    assert_eq!(place.number("select count(*) from secrets").await, 0, "verify writes nothing");
}

on_both_stores!(a_limit_that_is_promised_to_a_list_is_not_called_used_up);
async fn a_limit_that_is_promised_to_a_list_is_not_called_used_up(place: TestStore) {
    create(&place, "restricted", json!({ "issued": 3 })).await;
    place.codemint(["campaign", "codes", "owners", "--count", "5"]).run().await.expect_code(0);
    place.codemint(["issue", "owners", "ann"]).run().await.expect_code(0);
    let shown = place.codemint(["campaign", "show", "owners"]).run().await.expect_code(0).stdout;
    assert_names(&shown, &["\ncodes       5, 1 of 3 issued\n"]);
    let job = bind(&place, "bob\neve\n", &["--no-wait"]).await.expect_code(0).stdout.trim().to_owned();
    let issue = async || place.codemint(["issue", "owners", "zoe"]).run().await.expect_code(3).stderr;
    let refused = issue().await;
    assert_names(&refused, &["the list of an unfinished job gets the rest", "jobs list --campaign owners` shows it"]);
    let resumed = place.codemint(["jobs", "resume", &job]).run().await.expect_code(0).stdout;
    assert_names(&resumed, &["\nlist      each code is bound to an identity of a list\n"]);
    let shown = place.codemint(["jobs", "show", &job]).run().await.expect_code(0).stdout;
    assert_names(&shown, &["\nlist      each code is bound to an identity of a list\n"]);
    assert_names(&issue().await, &["has issued as many codes as limits.issued allows"]);
}

on_both_stores!(the_report_about_a_code_says_whether_an_identity_has_it_but_not_which);
async fn the_report_about_a_code_says_whether_an_identity_has_it_but_not_which(place: TestStore) {
    create(&place, "restricted", json!({})).await;
    place.codemint(["campaign", "codes", "owners", "--count", "2"]).run().await.expect_code(0);
    let issued = place.codemint(["issue", "owners", "ann"]).run().await.expect_code(0).stdout;
    let pooled = place.texts("select code from pool").await;
    let free = place.codemint(["generate", "FREE-####", "--count", "1", "--format", "txt", "--output", "-"]);
    let free = free.run().await.expect_code(0).stdout;
    let report = async |code: &str| place.codemint(["code", code.trim()]).run().await.expect_code(0).stdout;
    let bound = report(&issued).await;
    assert_names(&bound, &["\nbelongs to an identity"]);
    assert!(!bound.contains("ann"), "{bound}");
    assert_names(&report(&pooled[0]).await, &["\nbelongs to nobody yet, it is in the pool"]);
    assert!(!report(&free).await.contains("belongs to"));
    let json = place.codemint(["code", issued.trim(), "--json"]).run().await.expect_code(0).json();
    assert_eq!(json["matches"][0]["owner"], "identity");
}

on_both_stores!(identities_that_a_spreadsheet_changes_are_counted_and_a_spreadsheet_has_both_columns);
async fn identities_that_a_spreadsheet_changes_are_counted_and_a_spreadsheet_has_both_columns(place: TestStore) {
    create(&place, "restricted", json!({})).await;
    let list = "identity\n=1+1\n+49301\n-ann\n@eve\n00042\nmar-07\nbob\n";
    bind(&place, list, &[]).await.expect_code(0);
    let export = async |file: &str| {
        let args = ["export", "--campaign", "owners", "--output", file];
        place.codemint(args).run().await.expect_code(0).stderr
    };
    let expected = "changes or runs 6 identities (formulas: 4, leading zeros: 1, dates or times: 1)";
    assert_names(&export("owners.csv").await, &[expected, "write --format xlsx"]);
    assert_eq!(export("owners.xlsx").await, "", "no warning: the cells are texts");
    let cells = cells(&place.path().join("owners.xlsx"), 1);
    assert_eq!(cells[..2], ["code", "identity"]);
    let identities: BTreeSet<&str> = cells[2..].iter().skip(1).step_by(2).map(String::as_str).collect();
    assert_eq!(identities, list.lines().skip(1).collect());
}
