//! Redemptions: states, limits, holds and their deadlines, and what callers are told.

use codemint_campaigns::answers::Redeemed;
use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::redemption::state::State;
use codemint_offers::redemption::transition::Action;
use codemint_offers::verdict::reason::ReasonCode;
use codemint_store::redemptions::transitions::Moved;
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::{
    asking, cart, change_campaign, create_campaign, definition, granted, judge_redemptions, reasons,
};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use uuid::Uuid;

async fn redeemer(place: &TestStore) -> Redeemer {
    Redeemer::start(&place.store, RedeemerOptions::default()).await.expect("a redeemer")
}

fn state_of(moved: &Moved) -> State {
    match moved {
        Moved::Done { redemption, .. } => redemption.state,
        other => panic!("{other:?}"),
    }
}

on_both_stores!(a_public_code_is_used_as_often_as_its_limit_allows);
async fn a_public_code_is_used_as_often_as_its_limit_allows(place: TestStore) {
    let limits = json!({ "limits": { "redeemed": 3 } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let redeemer = redeemer(&place).await;
    let first = Uuid::now_v7();
    let redemption = granted(redeemer.redeem(first, asking(" spring ", &json!({})), true).await.expect("an answer"));
    assert_eq!((redemption.state, &*redemption.code, redemption.version), (State::Confirmed, "SPRING", 1));
    for _ in 0..2 {
        granted(redeemer.redeem(Uuid::now_v7(), asking("SPRING", &json!({})), true).await.expect("an answer"));
    }
    let refused = redeemer.redeem(Uuid::now_v7(), asking("SPRING", &json!({})), true).await.expect("an answer");
    assert_eq!(reasons(&refused), [ReasonCode::CampaignLimitReached]);
    let again = redeemer.redeem(first, asking(" spring ", &json!({})), true).await.expect("an answer");
    assert_eq!(again, Redeemed::Granted { redemption: Box::new(redemption), is_new: false });
    let other = redeemer.redeem(first, asking("SPRING", &json!({ "order": "A-1" })), true).await.expect("an answer");
    assert_eq!(other, Redeemed::DifferentRequest);
    judge_redemptions(&place).await;
    let rolled_back = redeemer.act(first, Action::RollBack { keep_use: false }).await.expect("an answer");
    assert_eq!(state_of(&rolled_back), State::RolledBack);
    granted(redeemer.redeem(Uuid::now_v7(), asking("SPRING", &json!({})), true).await.expect("an answer"));
    judge_redemptions(&place).await;
    let counts = place.store.find_campaign("spring").await.expect("a read").expect("a campaign").counts;
    assert_eq!((counts.redeemed, counts.held), (3, 0));
}

on_both_stores!(a_hold_counts_until_it_is_released_or_its_deadline_has_come);
async fn a_hold_counts_until_it_is_released_or_its_deadline_has_come(place: TestStore) {
    let limits = json!({ "limits": { "per_code": 1, "budget": { "currency": "EUR", "amount": 1000 } } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let redeemer = redeemer(&place).await;
    let held = asking("SPRING", &json!({ "hold_seconds": 60, "cart": cart(5000), "identity": "ann" }));
    let first = Uuid::now_v7();
    let redemption = granted(redeemer.redeem(first, held.clone(), true).await.expect("an answer"));
    assert_eq!((redemption.state, redemption.discount.map(|discount| discount.amount)), (State::Held, Some(500)));
    let refused = redeemer.redeem(Uuid::now_v7(), held.clone(), true).await.expect("an answer");
    assert_eq!(reasons(&refused), [ReasonCode::LimitReached]);
    assert_eq!(state_of(&redeemer.act(first, Action::Release).await.expect("an answer")), State::Released);
    assert_eq!(
        redeemer.act(first, Action::Confirm { cart: None }).await.expect("an answer"),
        Moved::WrongState(State::Released)
    );
    let second = Uuid::now_v7();
    granted(redeemer.redeem(second, held.clone(), true).await.expect("an answer"));
    judge_redemptions(&place).await;
    // The deadline has come: the next request that meets the full limit takes the use.
    place.execute("update redemptions set expires_at = held_at where state = 'held'").await;
    let third = Uuid::now_v7();
    granted(redeemer.redeem(third, held, true).await.expect("an answer"));
    let late = redeemer.act(second, Action::Confirm { cart: None }).await.expect("an answer");
    assert!(matches!(&late, Moved::Refused(reasons) if reasons[0].code == ReasonCode::LimitReached), "{late:?}");
    let found = place.store.find_redemption(second).await.expect("a read").expect("a redemption");
    assert_eq!(found.state, State::Expired);
    // With another cart the budget moves by the difference, and a cart that it does not suffice for leaves the hold as it was.
    let cart_of = |amount| asking("SPRING", &json!({ "cart": cart(amount) })).cart;
    let refused = redeemer.act(third, Action::Confirm { cart: cart_of(20_000) }).await.expect("an answer");
    assert!(
        matches!(&refused, Moved::Refused(reasons) if reasons[0].code == ReasonCode::BudgetExhausted),
        "{refused:?}"
    );
    let confirmed = redeemer.act(third, Action::Confirm { cart: cart_of(10_000) }).await.expect("an answer");
    assert_eq!(state_of(&confirmed), State::Confirmed);
    let again = redeemer.act(third, Action::Confirm { cart: cart_of(10_000) }).await.expect("an answer");
    assert!(matches!(again, Moved::Done { is_changed: false, .. }));
    let other = redeemer.act(third, Action::Confirm { cart: cart_of(9_000) }).await.expect("an answer");
    assert_eq!(other, Moved::DifferentRequest);
    judge_redemptions(&place).await;
    assert_eq!(place.number("select taken from allowances where scope = 'budget'").await, 1000);
}

on_both_stores!(unknown_foreign_and_dead_codes_look_alike_without_the_right_to_explanations);
async fn unknown_foreign_and_dead_codes_look_alike_without_the_right_to_explanations(place: TestStore) {
    create_campaign(&place, &definition("off", "public", "OFF", &json!({ "active": false })), 1).await;
    create_campaign(&place, &definition("ended", "public", "ENDED", &json!({ "ends_at": "2020-01-01T00:00:00Z" })), 1)
        .await;
    let redeemer = redeemer(&place).await;
    for (code, reason) in
        [("NOBODY", ReasonCode::CodeNotFound), ("OFF", ReasonCode::CampaignNotActive), ("ENDED", ReasonCode::Expired)]
    {
        let told = |explains| redeemer.redeem(Uuid::now_v7(), asking(code, &json!({})), explains);
        assert_eq!(reasons(&told(true).await.expect("an answer")), [reason]);
        assert_eq!(reasons(&told(false).await.expect("an answer")), [ReasonCode::CodeNotFound]);
        let validation = redeemer.validate(asking(code, &json!({})), false).await.expect("an answer");
        assert!(validation.definition.is_none());
        assert_eq!(validation.verdict.reasons[0].code, ReasonCode::CodeNotFound);
    }
    judge_redemptions(&place).await;
}

on_both_stores!(a_limit_that_is_introduced_later_counts_what_was_used_before);
async fn a_limit_that_is_introduced_later_counts_what_was_used_before(place: TestStore) {
    let unlimited = definition("spring", "public", "SPRING", &json!({}));
    create_campaign(&place, &unlimited, 1).await;
    let redeemer = redeemer(&place).await;
    for identity in ["ann", "bob", "ann"] {
        let request = asking("SPRING", &json!({ "identity": identity, "cart": cart(1000) }));
        granted(redeemer.redeem(Uuid::now_v7(), request, true).await.expect("an answer"));
    }
    let limits = json!({ "limits": { "per_code": 4, "per_identity": 2, "redeemed": 10,
                                     "budget": { "currency": "EUR", "amount": 1000 } } });
    change_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let taken = "select scope, subject, taken from allowances order by scope, taken";
    let taken: Vec<(String, String, i64)> = place.all(taken).await;
    let taken: Vec<(&str, i64)> = taken.iter().map(|(scope, _, taken)| (scope.as_str(), *taken)).collect();
    assert_eq!(taken, [("budget", 300), ("campaign", 3), ("code", 3), ("identity", 1), ("identity", 2)]);
    judge_redemptions(&place).await;
    let request = asking("SPRING", &json!({ "identity": "ann", "cart": cart(1000) }));
    let refused = redeemer.redeem(Uuid::now_v7(), request, true).await.expect("an answer");
    assert_eq!(reasons(&refused), [ReasonCode::IdentityLimitReached]);
}
