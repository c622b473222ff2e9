//! `codemint jobs withdraw`: the codes of a wrong import become free again, and no other code does.

use uuid::Uuid;

use crate::redemptions::create_kind;
use codemint_test_support::cli_steps::{assert_names, exported, generate, job_id, request};
use codemint_test_support::codemint::{Codemint, Ran};
use codemint_test_support::engine_steps::codes_in;
use codemint_test_support::postgres::Database;
use codemint_test_support::roles::{url_of_member, url_of_owner};
use codemint_test_support::stores::TestStore;
use codemint_test_support::{on_all_stores, on_both_stores};

/// Imports these codes and returns the id of the job.
async fn import(place: &TestStore, codes: &str, args: &[&str]) -> Uuid {
    std::fs::write(place.path().join("input.txt"), codes).expect("a file");
    let import = place.codemint(["import", "input.txt", "--format", "txt", "--json"]).args(args);
    job_id(&import.run().await.expect_code(0))
}

async fn withdraw(place: &TestStore, id: Uuid, code: i32) -> Ran {
    place.codemint(["jobs", "withdraw", &id.to_string(), "--yes"]).run().await.expect_code(code)
}

async fn audited(place: &TestStore, id: Uuid) -> Vec<String> {
    let rows = place.codemint(["audit", "--json", "--job", &id.to_string()]).run().await.expect_code(0).stdout;
    let rows = rows.lines().map(|row| serde_json::from_str::<serde_json::Value>(row).expect("JSON"));
    rows.map(|row| format!("{} {} {}", row["action"], row["result"], row["count"]).replace('"', "")).collect()
}

/// Panics unless each mask has as many codes as are in the store: then none is free or taken that should not be.
async fn assert_counted(place: &TestStore) {
    let claimed = "select cast(coalesce(sum(codes), 0) as bigint) from masks";
    assert_eq!(place.number(claimed).await, place.number("select count(*) from codes").await, "in {:?}", place.kind);
}

on_all_stores!(a_withdrawn_import_leaves_its_job_and_no_code_behind);
async fn a_withdrawn_import_leaves_its_job_and_no_code_behind(place: TestStore) {
    generate(&place, &["TAKEN", "--count", "1"]).await;
    let id = import(&place, "wrong-1\nwrong-2\nWRONG-33\ntaken\n777\n", &["--campaign", "old"]).await;
    assert_eq!(codes_in(&place).await, ["777", "TAKEN", "WRONG-1", "WRONG-2", "WRONG-33"]);
    let withdrawn = withdraw(&place, id, 0).await.stdout;
    assert_eq!(withdrawn, format!("withdrawn: 4 codes of import {id}\n"));
    assert_eq!(codes_in(&place).await, ["TAKEN"], "a code that existed before the import stays");
    assert_counted(&place).await;

    let job = place.codemint(["jobs", "show", &id.to_string(), "--json"]).run().await.expect_code(0).json();
    assert_eq!((&job["state"], &job["minted"], &job["requested"]), (&"cancelled".into(), &0.into(), &5.into()));
    assert_eq!((&job["error"]["code"], &job["campaign"]), (&"withdrawn".into(), &"old".into()));
    place.codemint(["verify", &id.to_string(), "--everywhere"]).run().await.expect_code(0);
    assert_eq!(exported(&place, id).await, [] as [&str; 0]);
    let told = audited(&place, id).await;
    assert_eq!(told[..4], ["import accepted 5", "end completed 4", "withdraw begun 4", "withdraw done null"]);

    let again = withdraw(&place, id, 0).await.stdout;
    assert_eq!(again, format!("all codes of import {id} had been withdrawn before\n"));
    assert_eq!(audited(&place, id).await.iter().filter(|entry| entry.starts_with("withdraw")).count(), 2);
    // The codes are free for other imports and for new jobs.
    let same = place.codemint(["import", "input.txt", "--format", "txt", "--campaign", "old"]).run().await;
    assert_names(&same.expect_code(3).stderr, &["its codes were withdrawn", "name another --job-id"]);
    let other = Uuid::now_v7().to_string();
    import(&place, "wrong-1\n", &["--job-id", &other]).await;
    generate(&place, &["WRONG-[2]", "--count", "1"]).await;
    generate(&place, &["WRONG-33", "--count", "1"]).await;
    assert_eq!(codes_in(&place).await, ["TAKEN", "WRONG-1", "WRONG-2", "WRONG-33"]);
    assert_counted(&place).await;
}

on_both_stores!(new_jobs_mint_the_withdrawn_codes_until_the_mask_is_full);
async fn new_jobs_mint_the_withdrawn_codes_until_the_mask_is_full(place: TestStore) {
    let codes: String = (0..500).map(|number| format!("{:04}\n", number * 13 + 1000)).collect();
    let imported = import(&place, &codes, &[]).await;
    // This job has avoided the codes of the import, whose filter it has read.
    generate(&place, &["####", "--count", "4000", "--chunk-size", "500"]).await;
    withdraw(&place, imported, 0).await;
    assert_eq!(place.number("select count(*) from chunks where filter is not null and minted = 0").await, 0);
    let too_many = place.codemint(["generate", "####", "--count", "6001"]).run().await.expect_code(4);
    assert_names(&too_many.stderr, &["6,000 codes of #### are free"]);
    generate(&place, &["####", "--count", "6000", "--chunk-size", "500"]).await;
    assert_eq!(codes_in(&place).await.len(), 10_000);
    assert_counted(&place).await;
}

on_both_stores!(minted_unfinished_and_unknown_jobs_are_not_withdrawn);
async fn minted_unfinished_and_unknown_jobs_are_not_withdrawn(place: TestStore) {
    let minted = generate(&place, &["A####", "--count", "10"]).await;
    assert_names(&withdraw(&place, minted, 3).await.stderr, &["it is not an import", "minted codes", "never removed"]);
    let queued = Uuid::now_v7();
    place.store.put_job(queued, &request("B####", 10)).await.expect("a job");
    withdraw(&place, queued, 3).await;
    assert_names(&withdraw(&place, Uuid::now_v7(), 3).await.stderr, &["there is no job"]);
    let imported = import(&place, "AA\nBB\n", &[]).await;
    let unconfirmed = place.codemint(["jobs", "withdraw", &imported.to_string()]).run().await.expect_code(2);
    assert_names(&unconfirmed.stderr, &["--yes"]);
    let unfinished = "update jobs set state = 'running', minted = null where kind = 'import'";
    place.execute(unfinished).await;
    assert_names(&withdraw(&place, imported, 3).await.stderr, &["it has not ended; cancel it first"]);
    assert_eq!(codes_in(&place).await.len(), 12);
    assert_eq!(audited(&place, imported).await.len(), 2);
}

on_both_stores!(an_import_is_kept_as_long_as_a_later_one_may_have_left_out_its_codes);
async fn an_import_is_kept_as_long_as_a_later_one_may_have_left_out_its_codes(place: TestStore) {
    generate(&place, &["A#", "--count", "10"]).await;
    // This one left out codes before the other ones began.
    import(&place, "A1\nB9\n", &[]).await;
    let first = import(&place, "B1\nB2\n", &[]).await;
    let second = import(&place, "B2\nB3\n", &[]).await;
    import(&place, "longer-1\n", &[]).await;
    let refused = withdraw(&place, first, 3).await.stderr;
    assert_names(&refused, &[&format!("import {second} may have left out codes"), "withdraw or cancel it first"]);
    assert_eq!(codes_in(&place).await.len(), 10 + 5);
    withdraw(&place, second, 0).await;
    withdraw(&place, first, 0).await;
    assert_eq!(codes_in(&place).await.split_off(10), ["B9", "LONGER-1"]);
    assert_counted(&place).await;
}

#[cfg(feature = "failpoints")]
on_both_stores!(a_withdrawal_that_was_killed_is_resumed_and_counts_what_is_there);
#[cfg(feature = "failpoints")]
async fn a_withdrawal_that_was_killed_is_resumed_and_counts_what_is_there(place: TestStore) {
    const ABORTED: i32 = -6;
    let id = import(&place, "1\n22\n333\n4444\n", &[]).await;
    for left in [3, 2] {
        let killed = place.codemint(["jobs", "withdraw", &id.to_string(), "--yes"]);
        killed.env("FAILPOINTS", "before-commit=1*off->return(abort)").run().await.expect_code(ABORTED);
        assert_eq!(codes_in(&place).await.len(), left);
        assert_counted(&place).await;
        let job = place.codemint(["jobs", "show", &id.to_string(), "--json"]).run().await.expect_code(0).json();
        assert_eq!((&job["minted"], &job["error"]["code"]), (&left.into(), &"withdrawn".into()));
        place.codemint(["verify", &id.to_string()]).run().await.expect_code(0);
    }
    assert_eq!(withdraw(&place, id, 0).await.stdout, format!("withdrawn: 2 codes of import {id}\n"));
    assert_eq!(codes_in(&place).await, [] as [&str; 0]);
    let told = audited(&place, id).await.split_off(2);
    assert_eq!(told, ["withdraw begun 4", "withdraw done null"]);
}

#[tokio::test]
async fn only_a_member_of_the_owner_can_withdraw_an_import() {
    let database = Database::create().await;
    let directory = tempfile::tempdir().expect("a directory");
    let codemint = |url: &str, args: &[&str]| Codemint::new(directory.path()).args(["--store", url]).args(args);
    let owner = url_of_owner(&database.url).await;
    codemint(&owner, &["migrate"]).run().await.expect_code(0);
    let generator = url_of_member(&database.url, "generator").await;
    std::fs::write(directory.path().join("old.txt"), "AA\nBB\n").expect("a file");
    let imported =
        job_id(&codemint(&generator, &["import", "old.txt", "--json"]).run().await.expect_code(0)).to_string();
    let withdraw = ["jobs", "withdraw", &imported, "--yes"];
    let refused = codemint(&generator, &withdraw).run().await.expect_code(1);
    assert_names(&refused.stderr, &["may not delete codes; nothing was changed", "codemint_owner"]);
    let place = TestStore::postgres_in(database).await;
    assert_eq!(place.number("select count(*) from jobs where state = 'completed' and minted = 2").await, 1);
    codemint(&owner, &withdraw).run().await.expect_code(0);
    assert_eq!(codes_in(&place).await, [] as [&str; 0]);
}

on_both_stores!(an_import_of_which_a_code_was_redeemed_is_kept_and_withdrawn_codes_are_not_redeemed);
async fn an_import_of_which_a_code_was_redeemed_is_kept_and_withdrawn_codes_are_not_redeemed(place: TestStore) {
    create_kind(&place, "private", "SPRING-[:safe:]{8}", &serde_json::json!({})).await;
    let campaign = ["--campaign", "spring"];
    let used = import(&place, "USED-1\nUSED-2\n", &campaign).await;
    let wrong = import(&place, "WRONG-1\nWRONG-22\n", &campaign).await;
    for code in ["USED-1", "WRONG-1"] {
        place.codemint(["validate", code]).run().await.expect_code(0);
    }
    place.codemint(["redeem", "USED-1"]).run().await.expect_code(0);
    let refused = withdraw(&place, used, 3).await;
    assert_names(&refused.stderr, &["cannot be withdrawn: 1 code of it is redeemed; nothing was changed"]);
    withdraw(&place, wrong, 0).await;
    let missing = place.codemint(["redeem", "WRONG-1"]).run().await.expect_code(3);
    assert_names(&missing.stdout, &["code-not-found"]);
    place.codemint(["redeem", "USED-2"]).run().await.expect_code(0);
}
