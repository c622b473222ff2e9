//! Codes that no job for a restricted campaign has stored: those that are older than the campaign, and imported ones.

use codemint_test_support::cli_steps::{assert_names, job_id};
use codemint_test_support::codemint::Ran;
use codemint_test_support::stores::TestStore;
use codemint_test_support::{on_all_stores, on_both_stores};
use serde_json::json;

const POOL: &str = "select count(*) from pool";

async fn create(place: &TestStore) -> Ran {
    let definition = json!({
        "name": "owners", "title": "Owners", "kind": "restricted", "active": true, "mask": "OWN-[:safe:]{8}",
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    std::fs::write(place.path().join("owners.json"), definition.to_string()).expect("a file");
    place.codemint(["campaign", "create", "owners.json"]).run().await
}

/// Runs a command that makes a job of the campaign's name, and returns its id.
async fn job(place: &TestStore, args: &[&str]) -> String {
    let ran = place.codemint(args).args(["--campaign", "owners", "--json"]).run().await.expect_code(0);
    job_id(&ran).to_string()
}

async fn import(place: &TestStore, codes: &str) -> String {
    std::fs::write(place.path().join("codes.txt"), codes).expect("a file");
    job(place, &["import", "codes.txt", "--format", "txt"]).await
}

async fn verify(place: &TestStore, job: &str, code: i32) -> String {
    place.codemint(["verify", job]).run().await.expect_code(code).stdout
}

async fn withdraw(place: &TestStore, job: &str, code: i32) -> String {
    place.codemint(["jobs", "withdraw", job, "--yes"]).run().await.expect_code(code).stderr
}

on_all_stores!(codes_that_are_older_than_their_restricted_campaign_are_in_its_pool);
async fn codes_that_are_older_than_their_restricted_campaign_are_in_its_pool(place: TestStore) {
    let minted = job(&place, &["generate", "OWN-[:safe:]{8}", "--count", "300", "--chunk-size", "70"]).await;
    let imported = import(&place, "old-1\nold-2\nolder-3\n").await;
    place.codemint(["generate", "OWN-[:safe:]{8}", "--count", "20"]).run().await.expect_code(0);
    let withdrawn = import(&place, "wrong-1\n").await;
    withdraw(&place, &withdrawn, 0).await;

    let created = create(&place).await.expect_code(0);
    assert_names(&created.stderr, &["note: its pool has the 303 codes that were minted or imported under its name"]);
    assert_eq!(place.number(POOL).await, 303, "in {:?}", place.kind);
    for job in [&minted, &imported] {
        verify(&place, job, 0).await;
    }
    place.codemint(["issue", "owners", "ann"]).run().await.expect_code(0);
    assert_eq!(place.number(POOL).await, 302);
    place.execute("delete from pool where code = 'OLDER-3'").await;
    assert_names(&verify(&place, &imported, 3).await, &["1 code that belongs to no identity and not to the pool"]);
}

on_both_stores!(a_restricted_campaign_is_not_created_beside_unfinished_jobs_of_its_name);
async fn a_restricted_campaign_is_not_created_beside_unfinished_jobs_of_its_name(place: TestStore) {
    let queued = place.codemint(["enqueue", "OWN-[:safe:]{8}", "--count", "5", "--campaign", "owners"]);
    let queued = queued.run().await.expect_code(0).stdout.trim().to_owned();
    let refused = create(&place).await.expect_code(3).stderr;
    assert_names(&refused, &["campaign owners was not created", &format!("by job {queued}; repeat"), "jobs cancel ID"]);
    assert_eq!(place.number("select count(*) from campaigns").await, 0);
    place.codemint(["jobs", "resume", &queued]).run().await.expect_code(0);
    create(&place).await.expect_code(0);
    assert_eq!(place.number(POOL).await, 5);
}

on_both_stores!(imported_codes_of_a_restricted_campaign_go_into_its_pool_and_leave_it_when_withdrawn);
async fn imported_codes_of_a_restricted_campaign_go_into_its_pool_and_leave_it_when_withdrawn(place: TestStore) {
    create(&place).await.expect_code(0);
    let kept = import(&place, "kept-1\nkept-2\n").await;
    let wrong = import(&place, "wrong-1\nwrong-2\nwrong-33\n").await;
    assert_eq!(place.number(POOL).await, 5, "in {:?}", place.kind);
    for job in [&kept, &wrong] {
        verify(&place, job, 0).await;
    }
    withdraw(&place, &wrong, 0).await;
    assert_eq!(place.texts("select code from pool order by code").await, ["KEPT-1", "KEPT-2"]);
    verify(&place, &wrong, 0).await;

    place.codemint(["issue", "owners", "ann"]).run().await.expect_code(0);
    let refused = withdraw(&place, &kept, 3).await;
    assert_names(&refused, &["cannot be withdrawn: 1 code of it is issued to identities; nothing was changed"]);
    assert_eq!((place.number(POOL).await, place.number("select count(*) from codes").await), (1, 2));
    verify(&place, &kept, 0).await;
}
