//! One test for each way in which shops lose count of uses, named after it. Those that a cart alone can show are beside the
//! discounts, in `codemint-offers`.

use std::sync::Arc;

use codemint_campaigns::answers::{RedeemError, Redeemed};
use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::redemption::request::Request;
use codemint_offers::redemption::state::State;
use codemint_offers::redemption::transition::Action;
use codemint_offers::verdict::reason::ReasonCode;
use codemint_store::redemptions::transitions::Moved;
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::{
    asking, cart, create_campaign, definition, granted, judge_redemptions, make_overdue, reasons,
};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use tokio::task::JoinSet;
use uuid::Uuid;

/// Redeemers of two processes on one store.
async fn two_redeemers(place: &TestStore) -> [Redeemer; 2] {
    let start = async |store| Redeemer::start(&store, RedeemerOptions::default()).await.expect("a redeemer");
    [start(place.store.clone()).await, start(place.open_again().await).await]
}

/// Asks until the store could answer: two processes on one SQLite file may be in each other's way for a while.
async fn redeem(redeemer: &Redeemer, id: Uuid, request: Request) -> Redeemed {
    loop {
        match redeemer.redeem(id, request.clone(), true).await {
            Ok(answer) => return answer,
            Err(RedeemError::Store(error)) if error.is_retryable() => {}
            Err(error) => panic!("{error}"),
        }
    }
}

async fn act(redeemer: &Redeemer, id: Uuid, action: Action) -> Moved {
    loop {
        match redeemer.act(id, action.clone()).await {
            Ok(moved) => return moved,
            Err(RedeemError::Store(error)) if error.is_retryable() => {}
            Err(error) => panic!("{error}"),
        }
    }
}

on_both_stores!(regression_codes_of_one_order_apply_in_their_order_though_the_first_one_waited_for_an_overdue_hold);
async fn regression_codes_of_one_order_apply_in_their_order_though_the_first_one_waited_for_an_overdue_hold(
    place: TestStore,
) {
    let half = json!({ "type": "percent", "basis_points": 5000 });
    let six = json!({ "type": "amount", "amount": 600, "currency": "EUR" });
    for (name, effect, redeemed) in [("HALF", half, 1), ("SIX", six, 0)] {
        let discount = json!({ "effect": effect, "target": { "type": "order" } });
        let fields = json!({ "exclusive": false, "limits": { "redeemed": redeemed }, "discount": discount });
        create_campaign(&place, &definition(name, "public", name, &fields), 1).await;
    }
    let [redeemer, _] = two_redeemers(&place).await;
    let held = granted(redeem(&redeemer, Uuid::now_v7(), asking("HALF", &json!({ "hold_seconds": 60 }))).await);
    make_overdue(&place, held.id).await;
    let wanted = |code: &str| asking(code, &json!({ "order": "A-1", "cart": cart(7_500) }));
    let first = redeem(&redeemer, Uuid::now_v7(), wanted("HALF"));
    let second = redeem(&redeemer, Uuid::now_v7(), wanted("SIX"));
    let (first, second) = tokio::join!(first, second);
    let amounts = [first, second].map(|answer| granted(answer).discount.expect("a discount").amount);
    assert_eq!(amounts, [3_750, 600], "the half of 75.00, and 6.00 of the rest");
    judge_redemptions(&place).await;
}

on_both_stores!(over_redemption_under_load);
async fn over_redemption_under_load(place: TestStore) {
    let limits = json!({ "limits": { "redeemed": 100 } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let redeemers = Arc::new(two_redeemers(&place).await);
    let mut callers = JoinSet::new();
    for caller in 0..64 {
        let redeemers = Arc::clone(&redeemers);
        callers.spawn(async move {
            let mut granted = 0;
            for _ in 0..5 {
                let answer = redeem(&redeemers[caller % 2], Uuid::now_v7(), Request::of_code("SPRING")).await;
                granted += u64::from(matches!(answer, Redeemed::Granted { .. }));
            }
            granted
        });
    }
    assert_eq!(callers.join_all().await.iter().sum::<u64>(), 100);
    assert_eq!(place.number("select count(*) from redemptions").await, 100);
    judge_redemptions(&place).await;
}

on_both_stores!(uses_lost_or_doubled_by_cancelled_orders);
async fn uses_lost_or_doubled_by_cancelled_orders(place: TestStore) {
    let limits = json!({ "limits": { "redeemed": 10 } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let redeemers = Arc::new(two_redeemers(&place).await);
    let ids: Vec<Uuid> = (0..10).map(|_| Uuid::now_v7()).collect();
    for (number, id) in ids.iter().enumerate() {
        let hold = if number < 5 { 60 } else { 0 };
        granted(redeem(&redeemers[0], *id, asking("SPRING", &json!({ "hold_seconds": hold }))).await);
    }
    // Both processes learn of each cancellation, several times: the shop repeats what it is not sure of.
    let mut messages = JoinSet::new();
    for (number, id) in ids.iter().copied().enumerate() {
        for copy in 0..4 {
            let redeemers = Arc::clone(&redeemers);
            let action = if number < 5 { Action::Release } else { Action::RollBack { keep_use: false } };
            messages.spawn(async move { act(&redeemers[copy % 2], id, action).await });
        }
    }
    let changed = messages.join_all().await;
    let changed = changed.iter().filter(|moved| matches!(moved, Moved::Done { is_changed: true, .. })).count();
    assert_eq!(changed, 10);
    assert_eq!(place.number("select taken from allowances where scope = 'campaign'").await, 0);
    judge_redemptions(&place).await;
}

on_both_stores!(uses_kept_by_payments_that_never_came);
async fn uses_kept_by_payments_that_never_came(place: TestStore) {
    let limits = json!({ "limits": { "per_code": 1 } });
    create_campaign(&place, &definition("spring", "private", "SPRING-[AB]", &limits), 2).await;
    let [redeemer, _] = two_redeemers(&place).await;
    granted(redeem(&redeemer, Uuid::now_v7(), asking("SPRING-A", &json!({ "hold_seconds": 60 }))).await);
    let wanted = asking("SPRING-A", &json!({}));
    assert_eq!(reasons(&redeem(&redeemer, Uuid::now_v7(), wanted.clone()).await), [ReasonCode::LimitReached]);
    place.execute("update redemptions set expires_at = held_at").await;
    granted(redeem(&redeemer, Uuid::now_v7(), wanted).await);
    judge_redemptions(&place).await;
}

on_both_stores!(payments_that_come_late_are_not_counted_beyond_the_limit);
async fn payments_that_come_late_are_not_counted_beyond_the_limit(place: TestStore) {
    let limits = json!({ "limits": { "redeemed": 1 } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let [redeemer, other] = two_redeemers(&place).await;
    let late = Uuid::now_v7();
    granted(redeem(&redeemer, late, asking("SPRING", &json!({ "hold_seconds": 60 }))).await);
    place.execute("update redemptions set expires_at = held_at").await;
    let second = Uuid::now_v7();
    granted(redeem(&other, second, asking("SPRING", &json!({}))).await);
    assert!(matches!(act(&redeemer, late, Action::Confirm { cart: None }).await, Moved::Refused(_)));
    // Once there is room again, the late payment takes it.
    act(&other, second, Action::RollBack { keep_use: false }).await;
    let confirmed = act(&redeemer, late, Action::Confirm { cart: None }).await;
    assert!(matches!(confirmed, Moved::Done { redemption, .. } if redemption.state == State::Confirmed));
    judge_redemptions(&place).await;
}

on_both_stores!(deadlocks_in_the_order_of_the_cart);
async fn deadlocks_in_the_order_of_the_cart(place: TestStore) {
    let limits =
        json!({ "exclusive": false, "limits": { "per_code": 1000, "per_identity": 1000, "redeemed": 100_000 } });
    for name in ["A", "B", "C"] {
        create_campaign(&place, &definition(name, "private", &format!("{name}-#"), &limits), 10).await;
    }
    let redeemers = Arc::new(two_redeemers(&place).await);
    let mut callers = JoinSet::new();
    for caller in 0..24_usize {
        let redeemers = Arc::clone(&redeemers);
        callers.spawn(async move {
            // Each caller puts its codes on the same orders in another order.
            for number in 0..6 {
                let name = ["A", "B", "C"][(caller + number) % 3];
                let fields = json!({ "order": format!("order-{}", (caller * 7 + number) % 5),
                                     "identity": format!("buyer-{}", caller % 4), "cart": cart(100_000) });
                let request = asking(&format!("{name}-{}", (caller + number) % 10), &fields);
                granted(redeem(&redeemers[(caller + number) % 2], Uuid::now_v7(), request).await);
            }
        });
    }
    callers.join_all().await;
    assert_eq!(place.number("select count(*) from redemptions").await, 144);
    judge_redemptions(&place).await;
}

on_both_stores!(case_and_blanks_of_typed_codes);
async fn case_and_blanks_of_typed_codes(place: TestStore) {
    let limits = json!({ "limits": { "per_code": 20 } });
    create_campaign(&place, &definition("spring", "private", "SPRING-[05]", &limits), 2).await;
    let [redeemer, _] = two_redeemers(&place).await;
    for typed in
        ["spring-0", " SPRING-0 ", "SPRING\u{2013}0", "\u{200b}SPRING-0", "ＳＰＲＩＮＧ-0", "spring 0", "SPRING-O"]
    {
        granted(redeem(&redeemer, Uuid::now_v7(), asking(typed, &json!({}))).await);
    }
    assert_eq!(place.number("select taken from allowances where scope = 'code'").await, 7);
    judge_redemptions(&place).await;
}

on_both_stores!(one_buyer_counted_as_several);
async fn one_buyer_counted_as_several(place: TestStore) {
    let limits = json!({ "limits": { "per_identity": 1 } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let [redeemer, _] = two_redeemers(&place).await;
    let asked = |identity: &str| asking("SPRING", &json!({ "identity": identity }));
    granted(redeem(&redeemer, Uuid::now_v7(), asked("ann")).await);
    let again = redeem(&redeemer, Uuid::now_v7(), asked(" ann ")).await;
    assert_eq!(reasons(&again), [ReasonCode::IdentityLimitReached]);
    // Without an identity, the use could not be counted.
    let nobody = redeem(&redeemer, Uuid::now_v7(), asking("SPRING", &json!({}))).await;
    assert_eq!(reasons(&nobody), [ReasonCode::IdentityRequired]);
    judge_redemptions(&place).await;
}

on_both_stores!(discounts_below_zero_by_several_codes);
async fn discounts_below_zero_by_several_codes(place: TestStore) {
    let amount = json!({ "exclusive": false,
        "discount": { "effect": { "type": "amount", "amount": 700, "currency": "EUR" }, "target": { "type": "order" } } });
    for name in ["ONE", "TWO"] {
        create_campaign(&place, &definition(name, "public", name, &amount), 1).await;
    }
    let [redeemer, other] = two_redeemers(&place).await;
    let fields = json!({ "order": "A-1", "cart": cart(1000) });
    let first = granted(redeem(&redeemer, Uuid::now_v7(), asking("ONE", &fields)).await);
    let second = granted(redeem(&other, Uuid::now_v7(), asking("TWO", &fields)).await);
    let amounts = [first, second].map(|redemption| redemption.discount.map(|discount| discount.amount));
    assert_eq!(amounts, [Some(700), Some(300)]);
    let third = redeem(&other, Uuid::now_v7(), asking("TWO", &fields)).await;
    assert_eq!(reasons(&third), [ReasonCode::NothingToDiscount]);
    judge_redemptions(&place).await;
}

on_both_stores!(clocks_of_processes_that_differ);
async fn clocks_of_processes_that_differ(place: TestStore) {
    create_campaign(&place, &definition("spring", "public", "SPRING", &json!({})), 1).await;
    let [redeemer, _] = two_redeemers(&place).await;
    let redemption = granted(redeem(&redeemer, Uuid::now_v7(), asking("SPRING", &json!({ "hold_seconds": 60 }))).await);
    // The deadline is the store's time and the seconds, to the millisecond, whatever this process takes for the time.
    let held = redemption.expires_at.expect("a deadline") - redemption.held_at;
    assert_eq!(held.num_milliseconds(), 60_000);
    assert!(!redemption.is_overdue(redemption.expires_at.expect("a deadline") - chrono::TimeDelta::milliseconds(1)));
    assert!(redemption.is_overdue(redemption.expires_at.expect("a deadline")));
}
