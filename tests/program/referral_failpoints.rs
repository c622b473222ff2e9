//! Failpoints on the way of referrals, on both stores: whatever happened to the first attempt, the next one finds out or carries it
//! out; nobody has two codes, nobody is rewarded twice.

use serde_json::json;
use uuid::Uuid;

use codemint_telemetry::failpoint;
use codemint_test_support::codemint::Codemint;
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::judge_redemptions;
use codemint_test_support::referral_steps::{
    create_friends, create_thanks, given, judge_referral_events, judge_referrals, refer,
};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

/// Runs a command that dies at the failpoint, and then again without it.
async fn attempt_twice(place: &TestStore, point: &str, args: &[&str]) {
    // Events are written for this broker, and stay in the store.
    let codemint = || place.codemint(args).env("CODEMINT__AMQP__URL", "amqp://127.0.0.1:1");
    let dying = codemint().env("FAILPOINTS", &format!("{point}=1*return(abort)->off"));
    assert_ne!(dying.run().await.code, 0, "{point} {args:?} is not reached");
    judge_referrals(place).await;
    judge_referral_events(place).await;
    codemint().run().await.expect_code(0);
    judge_referrals(place).await;
    judge_referral_events(place).await;
    judge_redemptions(place).await;
}

on_both_stores!(a_death_on_the_way_of_a_referral_neither_loses_nor_doubles_anything);
async fn a_death_on_the_way_of_a_referral_neither_loses_nor_doubles_anything(place: TestStore) {
    create_friends(&place, &json!({}), 50).await;
    let id = |()| Uuid::now_v7().to_string();
    let points = [failpoint::POOL_TAKEN, failpoint::BEFORE_ISSUE_COMMIT, failpoint::AFTER_ISSUE_COMMIT];
    for (no, point) in points.into_iter().enumerate() {
        let address = format!("r{no}@example.org");
        attempt_twice(&place, point, &["referral", "add", "friends", &address, "--id", &id(())]).await;
    }
    let (_, code) = given(refer(&place.store, "ann@example.org").await);
    let points = [
        failpoint::REDEMPTIONS_INSERTED,
        failpoint::ALLOWANCES_LOCKED,
        failpoint::ALLOWANCES_CHANGED,
        failpoint::POOL_TAKEN,
        failpoint::REDEMPTIONS_WRITTEN,
        failpoint::REDEMPTIONS_COMMITTED,
    ];
    for (no, point) in points.into_iter().enumerate() {
        let (id, friend) = (id(()), format!("f{no}@example.org"));
        attempt_twice(&place, point, &["redeem", &code, "--identity", &friend, "--id", &id]).await;
        if ![failpoint::REDEMPTIONS_INSERTED, failpoint::POOL_TAKEN].contains(&point) {
            attempt_twice(&place, point, &["redemption", "rollback", &id]).await;
        }
    }
    assert_eq!(place.number("select count(*) from referrers").await, 10);
    assert_eq!(place.number("select count(*) from referrals").await, 6);
    assert_eq!(place.number("select count(*) from pool").await, 40);
    assert_eq!(place.number("select count(*) from audit where action = 'referrer_add'").await, 4, "each once");
}

fn worker(place: &TestStore) -> Codemint {
    place.codemint(["worker", "--drain"]).env("CODEMINT__ADMIN__LISTEN", "off")
}

on_both_stores!(a_worker_that_dies_while_it_rewards_leaves_the_reward_to_the_next);
async fn a_worker_that_dies_while_it_rewards_leaves_the_reward_to_the_next(place: TestStore) {
    create_friends(&place, &json!({ "reward_campaign": "thanks" }), 50).await;
    create_thanks(&place, 20).await;
    let points = [failpoint::POOL_TAKEN, failpoint::BEFORE_ISSUE_COMMIT, failpoint::AFTER_ISSUE_COMMIT];
    for (no, point) in points.into_iter().enumerate() {
        let (_, code) = given(refer(&place.store, &format!("r{no}@example.org")).await);
        let friend = format!("f{no}@example.org");
        place.codemint(["redeem", &code, "--identity", &friend]).run().await.expect_code(0);
        let dying = worker(&place).env("FAILPOINTS", &format!("{point}=1*return(abort)->off"));
        assert_ne!(dying.run().await.code, 0, "{point} is not reached");
        judge_referrals(&place).await;
        let rewarded = "select count(*) from referrals where state = 'rewarded'";
        wait_until("the referrer is rewarded", async || {
            worker(&place).run().await.expect_code(0);
            place.number(rewarded).await == no as i64 + 1
        })
        .await;
        judge_referrals(&place).await;
    }
    assert_eq!(place.number("select count(*) from assignments where cause = 'trigger'").await, 3);
    assert_eq!(
        place
            .number("select count(*) from pool p join campaigns c on c.no = p.campaign_no where c.name = 'thanks'")
            .await,
        17
    );
}
