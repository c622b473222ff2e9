//! Referrals beside workers: rewards are issued although nobody asks, and each state reaches the broker.

use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::redemption::transition::Action;
use serde_json::{Value, json};
use uuid::Uuid;

use codemint_test_support::amqp::quorum;
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::{asking, granted};
use codemint_test_support::referral_steps::{create_friends, create_thanks, given, judge_referrals, refer};
use codemint_test_support::schemas::{assert_fits, validator};
use codemint_test_support::site::{EVENTS, KEPT, Site};
use codemint_test_support::stores::TestStore;

on_both_stores!(each_state_of_a_referral_reaches_the_broker_without_codes_and_addresses);
async fn each_state_of_a_referral_reaches_the_broker_without_codes_and_addresses(place: TestStore) {
    let site = Site::new(place).await;
    create_friends(&site.store, &json!({ "reward_campaign": "thanks" }), 10).await;
    create_thanks(&site.store, 5).await;
    site.drain().await;
    let peer = site.peer().await;
    peer.declare(KEPT, quorum()).await;
    peer.bind(KEPT, EVENTS, "referral.*").await;
    let options = RedeemerOptions { emits_events: true, ..RedeemerOptions::default() };
    let redeemer = Redeemer::start(&site.store.store, options).await.expect("a redeemer");
    let (_, code) = given(refer(&site.store.store, "ann@example.org").await);
    let request = asking(&code, &json!({ "identity": "bob@example.org" }));
    let bob = granted(redeemer.redeem(Uuid::now_v7(), request, true).await.expect("an answer"));
    let worker = site.start_ready().await;
    worker.wait_until_metric("codemint_referrals_total{state=\"rewarded\"}", |rewarded| rewarded == 1.0).await;
    redeemer.act(bob.id, Action::RollBack { keep_use: false }).await.expect("an answer");
    let mut inbox = peer.consume(KEPT).await;
    let is_void = |message: &Value| message["type"] == "codemint.referral.void.v1";
    inbox.collect("the last state", |messages| messages.iter().any(|message| is_void(&message.json()))).await;
    let keys: Vec<&str> = inbox.messages.iter().map(|message| message.routing_key.as_str()).collect();
    assert_eq!(keys, ["referral.pending", "referral.rewarded", "referral.void"]);
    let codes = site.store.texts("select code from assignments").await;
    for message in &inbox.messages {
        let event = message.json();
        assert_fits(&validator("referral-event"), &event);
        assert_eq!(event["subject"], bob.id.to_string());
        let text = event.to_string();
        assert!(!text.contains("example.org") && codes.iter().all(|code| !text.contains(code)), "{text}");
    }
    let log = worker.terminate().await.expect_code(0).stderr;
    assert!(!log.contains("example.org") && codes.iter().all(|code| !log.contains(code)), "{log}");
    judge_referrals(&site.store).await;
}
