//! What is published and recorded about referrals, on both stores.

use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::redemption::transition::Action;
use codemint_offers::referral::address::Address;
use codemint_store::referrals::referrers::{NewReferrer, PutReferrer};
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::{asking, granted};
use codemint_test_support::referral_steps::{create_friends, create_thanks, given, judge_referral_events, refer};
use codemint_test_support::stores::TestStore;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::referrals::{look, redeem, redeemer};

/// The routing keys of the events so far, without `referral.`, in their order.
async fn published(place: &TestStore) -> Vec<String> {
    let keys = place.texts("select routing_key from outbox where routing_key like 'referral.%' order by no").await;
    keys.into_iter().map(|key| key.replace("referral.", "")).collect()
}

on_both_stores!(each_state_of_a_referral_is_published_once);
async fn each_state_of_a_referral_is_published_once(place: TestStore) {
    create_friends(&place, &json!({ "reward_campaign": "thanks", "reward_delay_days": 14 }), 20).await;
    create_thanks(&place, 5).await;
    let redeemer = redeemer(&place).await;
    let (referrer, code) = given(refer(&place.store, "ann@example.org").await);
    let held = asking(&code, &json!({ "identity": "bob@example.org", "hold_seconds": 60 }));
    let id = Uuid::now_v7();
    granted(redeemer.redeem(id, held.clone(), true).await.expect("an answer"));
    assert_eq!(published(&place).await, [""; 0], "a hold is no referral yet");
    for _ in 0..2 {
        redeemer.act(id, Action::Confirm { cart: None }).await.expect("an answer");
        granted(redeemer.redeem(id, held.clone(), true).await.expect("an answer"));
    }
    let dan = granted(redeem(&redeemer, &code, "dan@example.org").await);
    redeemer.act(dan.id, Action::RollBack { keep_use: true }).await.expect("an answer");
    assert_eq!(published(&place).await, ["pending"; 2], "each once; a use that is kept ends nothing");
    assert_eq!(look(&place).await, 0, "nothing is due yet");
    place.execute("update referrals set reward_due_at = at where reward_due_at is not null").await;
    assert_eq!((look(&place).await, look(&place).await), (2, 0));
    for _ in 0..2 {
        redeemer.act(id, Action::RollBack { keep_use: false }).await.expect("an answer");
    }
    assert_eq!(published(&place).await, ["pending", "pending", "rewarded", "rewarded", "void"]);
    judge_referral_events(&place).await;
    let of_bob =
        format!("select cast(payload as text) from outbox where message_id like '{id}/referral/%' order by no");
    let of_bob = place.texts(&of_bob).await;
    let data: Vec<Value> =
        of_bob.iter().map(|event| serde_json::from_str::<Value>(event).expect("JSON")["data"].clone()).collect();
    let expected = |state: &str, due: &Value| {
        json!({ "redemption_id": id, "referrer_id": referrer, "campaign": "friends", "state": state,
                "reward_campaign": "thanks", "reward_due_at": due })
    };
    let due = &data[0]["reward_due_at"];
    assert!(due.is_string(), "{data:?}");
    assert_eq!(data, [expected("pending", due), expected("rewarded", &json!(null)), expected("void", &json!(null))]);
}

on_both_stores!(without_a_broker_nothing_is_published_about_referrals);
async fn without_a_broker_nothing_is_published_about_referrals(place: TestStore) {
    create_friends(&place, &json!({ "reward_campaign": "thanks" }), 20).await;
    create_thanks(&place, 5).await;
    let quiet = Redeemer::start(&place.store, RedeemerOptions::default()).await.expect("a redeemer");
    let (_, code) = given(refer(&place.store, "ann@example.org").await);
    let bob = granted(redeem(&quiet, &code, "bob@example.org").await);
    assert_eq!(place.store.reward_referrals(false).await.expect("a look").issued, 1);
    quiet.act(bob.id, Action::RollBack { keep_use: false }).await.expect("an answer");
    assert_eq!(place.number("select count(*) from referrals where state = 'void'").await, 1);
    assert_eq!(published(&place).await, [""; 0]);
}

on_both_stores!(a_reward_that_waits_or_never_comes_is_not_published);
async fn a_reward_that_waits_or_never_comes_is_not_published(place: TestStore) {
    create_friends(&place, &json!({ "reward_campaign": "thanks" }), 20).await;
    let redeemer = redeemer(&place).await;
    let (_, code) = given(refer(&place.store, "ann@example.org").await);
    granted(redeem(&redeemer, &code, "bob@example.org").await);
    // The reward campaign does not exist yet; then the address is forgotten.
    assert_eq!(look(&place).await, 1);
    create_thanks(&place, 5).await;
    place.store.forget_identity("ann@example.org").await.expect("an answer");
    place.execute("update referrals set reward_due_at = at where reward_due_at is not null").await;
    assert_eq!((look(&place).await, look(&place).await), (1, 0));
    assert_eq!(published(&place).await, ["pending"]);
    judge_referral_events(&place).await;
}

on_both_stores!(naming_a_referrer_is_recorded_once_without_address_and_code);
async fn naming_a_referrer_is_recorded_once_without_address_and_code(place: TestStore) {
    create_friends(&place, &json!({}), 1).await;
    let named = async |id, address: &str| {
        let address = Address::read(address).expect("an address");
        let new = NewReferrer { id, campaign: "friends".to_owned(), address };
        place.store.put_referrer(&new).await.expect("an answer")
    };
    let id = Uuid::now_v7();
    for address in ["ann@gmail.com", "ann@gmail.com", "bob@gmail.com"] {
        named(id, address).await;
    }
    named(Uuid::now_v7(), "a.nn@gmail.com").await;
    let empty = named(Uuid::now_v7(), "cid@gmail.com").await;
    assert!(matches!(empty, PutReferrer::Refused(_)), "{empty:?}");
    let rows = "select result || ' ' || campaign || ' ' || detail from audit where action = 'referrer_add'";
    assert_eq!(place.texts(rows).await, [format!("done friends {id}")]);
    let others = "select count(*) from audit where action = 'referrer_add'
                   and (mask is not null or count is not null or digest is not null or job_id is not null)";
    assert_eq!(place.number(others).await, 0);
}
