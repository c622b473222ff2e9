//! Failpoints of redemptions, with an error, a panic, an abort and a stall, on both stores: whatever happened to the first attempt,
//! the same request again finds out or carries it out, and no use is lost or counted twice.

use serde_json::json;
use uuid::Uuid;

use codemint_telemetry::failpoint;
use codemint_test_support::codemint::finish;
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::{create_campaign, definition, judge_redemptions};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

const ACTIONS: [&str; 4] = ["error", "panic", "abort", "stall"];

/// Runs a command past the failpoint, which acts once, and then again without it. The second time it must succeed.
async fn attempt_twice(place: &TestStore, point: &str, action: &str, args: &[&str]) {
    let failing = place.codemint(args).env("FAILPOINTS", &format!("{point}=1*return({action})->off"));
    let first = failing.run().await;
    let is_survived = ["error", "stall"].contains(&action);
    // An error is met by a further attempt of the same process; a stall only takes its time.
    assert_eq!(first.code == 0, is_survived, "{point} {action} {args:?}: {}", first.stderr);
    place.codemint(args).run().await.expect_code(0);
    judge_redemptions(place).await;
}

/// Holds, confirms and rolls back a use of a code that can be used once, with the failpoint on the way of each command that
/// reaches it. One limit is taken by the statement that inserts the redemption, two are taken one after the other.
async fn survive_all(place: &TestStore, point: &'static str, is_reached_by_actions: bool) {
    for (name, code, limits) in [
        ("one", "SPRING", json!({ "limits": { "redeemed": 1 } })),
        ("two", "SUMMER", json!({ "limits": { "redeemed": 1, "per_code": 1 } })),
    ] {
        create_campaign(place, &definition(name, "public", code, &limits), 1).await;
        for action in ACTIONS {
            survive(place, (point, action), code, is_reached_by_actions).await;
        }
    }
    assert_eq!(place.number("select count(*) from redemptions where state = 'rolled_back'").await, 8);
    judge_redemptions(place).await;
}

async fn survive(place: &TestStore, (point, action): (&str, &str), code: &str, is_reached_by_actions: bool) {
    let taken = "select cast(sum(taken) as bigint) from allowances where scope = 'campaign'";
    let id = Uuid::now_v7().to_string();
    attempt_twice(place, point, action, &["redeem", code, "--id", &id, "--hold", "1h"]).await;
    assert_eq!(place.number(taken).await, 1, "{point} {action}");
    for what in ["confirm", "rollback"] {
        match is_reached_by_actions {
            true => attempt_twice(place, point, action, &["redemption", what, &id]).await,
            false => drop(place.codemint(["redemption", what, &id]).run().await.expect_code(0)),
        }
    }
    assert_eq!(place.number(taken).await, 0, "{point} {action}");
}

on_both_stores!(a_failure_after_a_redemption_is_inserted_is_survived);
async fn a_failure_after_a_redemption_is_inserted_is_survived(place: TestStore) {
    survive_all(&place, failpoint::REDEMPTIONS_INSERTED, false).await;
}

on_both_stores!(a_failure_when_limits_are_locked_is_survived);
async fn a_failure_when_limits_are_locked_is_survived(place: TestStore) {
    survive_all(&place, failpoint::ALLOWANCES_LOCKED, true).await;
}

on_both_stores!(a_failure_when_limits_are_taken_is_survived);
async fn a_failure_when_limits_are_taken_is_survived(place: TestStore) {
    survive_all(&place, failpoint::ALLOWANCES_CHANGED, true).await;
}

on_both_stores!(a_failure_before_the_commit_of_redemptions_is_survived);
async fn a_failure_before_the_commit_of_redemptions_is_survived(place: TestStore) {
    survive_all(&place, failpoint::REDEMPTIONS_WRITTEN, true).await;
}

on_both_stores!(a_failure_after_the_commit_of_redemptions_is_survived);
async fn a_failure_after_the_commit_of_redemptions_is_survived(place: TestStore) {
    survive_all(&place, failpoint::REDEMPTIONS_COMMITTED, true).await;
}

on_both_stores!(two_processes_with_the_same_id_use_a_code_once_though_both_lose_the_answer_to_their_commit);
async fn two_processes_with_the_same_id_use_a_code_once_though_both_lose_the_answer_to_their_commit(place: TestStore) {
    create_campaign(&place, &definition("spring", "public", "SPRING", &json!({ "limits": { "redeemed": 9 } })), 1)
        .await;
    let lost = format!("{}=1*return(error)->off", failpoint::REDEMPTIONS_COMMITTED);
    for round in 1..=5 {
        let id = Uuid::now_v7().to_string();
        let start = || place.codemint(["redeem", "SPRING", "--id", &id]).env("FAILPOINTS", &lost).start();
        let processes = [start(), start()];
        for process in processes {
            finish(process).await.expect_code(0);
        }
        assert_eq!(place.number("select count(*) from redemptions").await, round);
        assert_eq!(place.number("select taken from allowances where scope = 'campaign'").await, round);
    }
    judge_redemptions(&place).await;
}

/// Starts to redeem SPRING for the order A-1, and returns the command when it has written everything and committed nothing; it
/// stalls there.
async fn start_redeeming(place: &TestStore) -> tokio::process::Child {
    let stall = format!("{}=1*return(stall)->off", failpoint::REDEMPTIONS_WRITTEN);
    let log = std::fs::File::create(place.path().join("redeem.log")).expect("a file");
    let redeem = place.codemint(["-v", "redeem", "SPRING", "--order", "A-1"]);
    let child = redeem.env("FAILPOINTS", &stall).stderr(log.into()).start();
    wait_until("a code is being redeemed", async || {
        let said = std::fs::read_to_string(place.path().join("redeem.log")).expect("a log");
        said.contains("a failpoint was reached")
    })
    .await;
    child
}

on_both_stores!(a_campaign_is_off_when_no_code_is_being_redeemed_any_more);
async fn a_campaign_is_off_when_no_code_is_being_redeemed_any_more(place: TestStore) {
    create_campaign(&place, &definition("spring", "public", "SPRING", &json!({})), 1).await;
    let redeeming = start_redeeming(&place).await;
    assert_eq!(place.number("select count(*) from redemptions").await, 0);
    place.codemint(["campaign", "deactivate", "spring"]).run().await.expect_code(0);
    assert_eq!(place.number("select count(*) from redemptions").await, 1, "redeemed after the campaign was off");
    finish(redeeming).await.expect_code(0);
}

on_both_stores!(an_exclusive_code_is_not_added_to_an_order_that_another_process_is_writing);
async fn an_exclusive_code_is_not_added_to_an_order_that_another_process_is_writing(place: TestStore) {
    for name in ["SPRING", "SUMMER"] {
        create_campaign(&place, &definition(name, "public", name, &json!({})), 1).await;
    }
    let redeeming = start_redeeming(&place).await;
    let refused = place.codemint(["redeem", "SUMMER", "--order", "A-1"]).run().await.expect_code(3);
    assert!(refused.stdout.contains("exclusive"), "{}", refused.stdout);
    finish(redeeming).await.expect_code(0);
    assert_eq!(place.number("select count(*) from redemptions").await, 1);
}
