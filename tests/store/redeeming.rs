//! Redemptions: states, limits, holds and their deadlines, and what callers are told.

use std::time::{Duration, Instant};

use codemint_campaigns::answers::Redeemed;
use codemint_campaigns::code_book::CodeBook;
use codemint_campaigns::issuing::Issuer;
use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_codes::check::CheckKey;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_offers::redemption::request::Request;
use codemint_offers::redemption::state::State;
use codemint_offers::redemption::transition::Action;
use codemint_offers::verdict::decide::UNKNOWN_CODE;
use codemint_offers::verdict::reason::{Reason, ReasonCode};
use codemint_store::campaigns::changes::ChangeCampaign;
use codemint_store::campaigns::pool::IssueOutcome;
use codemint_store::redemptions::definition_cache::DefinitionCache;
use codemint_store::redemptions::transitions::{Move, MoveOptions, Moved};
use codemint_test_support::engine_steps::{checking, put_request, request, run_under};
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::{
    asking, cart, change_campaign, create_campaign, definition, granted, judge_redemptions, make_overdue, reasons,
};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use tokio::task::JoinSet;
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

on_both_stores!(the_same_request_again_takes_nothing_of_the_only_limit);
async fn the_same_request_again_takes_nothing_of_the_only_limit(place: TestStore) {
    for (name, code, limits) in [("limited", "SPRING", json!({ "redeemed": 10 })), ("unlimited", "SUMMER", json!({}))] {
        create_campaign(&place, &definition(name, "public", code, &json!({ "limits": limits })), 1).await;
        let redeemer = redeemer(&place).await;
        let first = Uuid::now_v7();
        let redemption = granted(redeemer.redeem(first, asking(code, &json!({})), true).await.expect("an answer"));
        // Together with a new one, in one transaction perhaps.
        let again = redeemer.redeem(first, asking(code, &json!({})), true);
        let (again, another) = tokio::join!(again, redeemer.redeem(Uuid::now_v7(), asking(code, &json!({})), true));
        assert_eq!(again.expect("an answer"), Redeemed::Granted { redemption: Box::new(redemption), is_new: false });
        granted(another.expect("an answer"));
        let other = redeemer.redeem(first, asking(code, &json!({ "order": "A-1" })), true).await.expect("an answer");
        assert_eq!(other, Redeemed::DifferentRequest);
        judge_redemptions(&place).await;
    }
    assert_eq!(place.number("select taken from allowances").await, 2);
    assert_eq!(place.number("select count(*) from redemptions").await, 4);
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
    let ended = json!({ "ends_at": "2020-01-01T00:00:00Z" });
    create_campaign(&place, &definition("ended", "public", "ENDED", &ended), 1).await;
    let of_ann = code_of(&place, "ann").await;
    let redeemer = redeemer(&place).await;
    for (code, reason) in [
        ("NOBODY", ReasonCode::CodeNotFound),
        ("OFF", ReasonCode::CampaignNotActive),
        ("ENDED", ReasonCode::Expired),
        (&*of_ann, ReasonCode::WrongIdentity),
    ] {
        let request = asking(code, &json!({ "identity": "bob" }));
        let told = redeemer.redeem(Uuid::now_v7(), request.clone(), true).await.expect("an answer");
        assert_eq!(reasons(&told), [reason]);
        let asked_at = Instant::now();
        let told = redeemer.redeem(Uuid::now_v7(), request.clone(), false).await.expect("an answer");
        assert_eq!(reasons(&told), [ReasonCode::CodeNotFound]);
        // All wait for the same moment; none may come before it.
        assert!(asked_at.elapsed() >= Duration::from_millis(100), "{code}: {:?}", asked_at.elapsed());
        let asked_at = Instant::now();
        let validation = redeemer.validate(request, false).await.expect("an answer");
        assert!(validation.definition.is_none());
        assert_eq!(validation.verdict.reasons[0].code, ReasonCode::CodeNotFound);
        assert!(asked_at.elapsed() >= Duration::from_millis(100), "{code}: {:?}", asked_at.elapsed());
    }
    judge_redemptions(&place).await;
}

on_both_stores!(regression_each_of_many_callers_gets_the_answer_about_its_own_code);
async fn regression_each_of_many_callers_gets_the_answer_about_its_own_code(place: TestStore) {
    for number in 0..3 {
        let name = format!("spring-{number}");
        create_campaign(&place, &definition(&name, "public", &format!("SPRING{number}"), &json!({})), 1).await;
    }
    create_campaign(&place, &definition("off", "public", "OFF", &json!({ "active": false })), 1).await;
    let redeemer = redeemer(&place).await;
    let callers = (0..200).map(|number| {
        let redeemer = redeemer.clone();
        tokio::spawn(async move {
            // Neighbours, which are answered together, name different codes; some are unknown.
            let code = ["SPRING0", "NOBODY", "SPRING1", "OFF", "NOSUCH", "SPRING2", "SPRING1"][number % 7];
            let request = asking(code, &json!({}));
            let asked = redeemer.validate(request.clone(), true).await.expect("an answer");
            let name = asked.definition.map(|definition| definition.name.to_lowercase());
            let used = redeemer.redeem(Uuid::now_v7(), request, true).await.expect("an answer");
            let used = match used {
                Redeemed::Granted { redemption, .. } => Some(redemption.campaign.to_lowercase()),
                _ => None,
            };
            (code, name, asked.verdict.reasons.first().map(|reason| reason.code), used)
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        let (code, name, reason, used) = caller.await.expect("an answer");
        let own = code.strip_prefix("SPRING").map(|number| format!("spring-{number}"));
        let expected = match code {
            "OFF" => (Some("off".to_owned()), Some(ReasonCode::CampaignNotActive)),
            _ if own.is_some() => (own.clone(), None),
            _ => (None, Some(ReasonCode::CodeNotFound)),
        };
        assert_eq!((name, reason), expected, "{code}");
        assert_eq!(used, own, "{code}");
    }
}

/// Issues a code of a restricted campaign.
async fn code_of(place: &TestStore, identity: &str) -> String {
    create_campaign(place, &definition("own", "restricted", "OWN-######", &json!({})), 1).await;
    match Issuer::start(&place.store).issue("own", identity).await.expect("an answer") {
        IssueOutcome::Issued { code } => code,
        other => panic!("{other:?}"),
    }
}

on_both_stores!(a_code_with_wrong_check_characters_is_refused_without_a_look_up);
async fn a_code_with_wrong_check_characters_is_refused_without_a_look_up(place: TestStore) {
    const MASK: &str = "TILL-###[:check:]";
    let policy = checking("0123456789abcdef");
    let document = definition("till", "private", MASK, &json!({}));
    place
        .store
        .create_campaign(&read_definition(&document, NameFrom::Document).expect("one"))
        .await
        .expect("a campaign");
    let mut order = request(MASK, 1, 10_000).under(policy.clone()).expect("a request");
    order.campaign = Some("till".to_owned());
    let job = put_request(&place.store, &order).await;
    run_under(&place.store, &job, &policy).await;
    let code = place.texts("select code from codes").await.remove(0);
    // Codes that nobody minted; that they are stored shows whether they are looked up.
    let (body, check) = code.split_at(code.len() - 1);
    // Nobody takes these two for other symbols.
    let wrong = format!("{body}{}", if check == "3" { "4" } else { "3" });
    let lower = wrong.to_lowercase();
    for stored in [&wrong, &lower] {
        place.execute(&format!("insert into codes (code, run_no) select '{stored}', run_no from codes limit 1")).await;
    }
    let answer = async |check_key: &Option<CheckKey>, typed: &str| {
        let options = RedeemerOptions { check_key: check_key.clone(), ..RedeemerOptions::default() };
        let redeemer = Redeemer::start(&place.store, options).await.expect("a redeemer");
        redeemer.validate(asking(typed, &json!({})), true).await.expect("an answer").verdict.reasons
    };
    let not_found = [Reason::new(ReasonCode::CodeNotFound, UNKNOWN_CODE)];
    assert_eq!(answer(&policy.check_key, &code).await, []);
    assert_eq!(answer(&policy.check_key, &code.to_lowercase().replace('-', " ")).await, []);
    assert_eq!(answer(&policy.check_key, &wrong).await, not_found);
    assert_eq!(answer(&policy.check_key, &wrong.replace('-', "")).await, not_found);
    // Another text is looked up in more spellings, and this one is not among them.
    let book = CodeBook::new(place.store.clone(), policy.check_key.clone());
    assert_eq!(book.find(&[&wrong, "TILL-222"]).await.expect("an answer"), [None, None]);
    // Of lower-case codes, which only imports have, the masks with check characters say nothing.
    assert_eq!(answer(&policy.check_key, &lower).await, []);
    // Whoever does not know the secret looks everything up.
    assert_eq!(answer(&None, &wrong).await, []);
}

on_both_stores!(the_last_use_of_a_hundred_thousand_is_granted_once);
async fn the_last_use_of_a_hundred_thousand_is_granted_once(place: TestStore) {
    const USES: u64 = 100_000;
    let limits = json!({ "limits": { "redeemed": USES } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let redeemer = redeemer(&place).await;
    let used = used_by_callers(&redeemer, 2000, USES / 2000).await;
    assert_eq!(used.len() as u64, USES);
    let mut last = used[0];
    for round in 0..20 {
        let rolled_back = redeemer.act(last, Action::RollBack { keep_use: false }).await.expect("an answer");
        assert_eq!(state_of(&rolled_back), State::RolledBack);
        let granted = used_by_callers(&redeemer, 64, 1).await;
        assert_eq!(granted.len(), 1, "round {round}");
        last = granted[0];
    }
    assert_eq!(place.number("select taken from allowances where scope = 'campaign'").await, USES as i64);
    assert_eq!(place.number("select count(*) from redemptions where state = 'confirmed'").await, USES as i64);
    judge_redemptions(&place).await;
}

/// Lets callers ask for a use at the same time, each several times in a row, and returns the ids of what was granted.
async fn used_by_callers(redeemer: &Redeemer, callers: u64, times: u64) -> Vec<Uuid> {
    let mut asking = JoinSet::new();
    for _ in 0..callers {
        let redeemer = redeemer.clone();
        asking.spawn(async move {
            let mut used = Vec::new();
            for _ in 0..times {
                let id = Uuid::now_v7();
                match redeemer.redeem(id, Request::of_code("SPRING"), true).await.expect("an answer") {
                    Redeemed::Granted { .. } => used.push(id),
                    refused => assert_eq!(reasons(&refused), [ReasonCode::CampaignLimitReached]),
                }
            }
            used
        });
    }
    asking.join_all().await.concat()
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

on_both_stores!(late_confirmations_of_one_order_see_each_other_in_one_transaction);
async fn late_confirmations_of_one_order_see_each_other_in_one_transaction(place: TestStore) {
    create_campaign(&place, &definition("rush", "public", "RUSH", &json!({})), 1).await;
    for (name, mask) in [("stack", "STACK"), ("pile", "PILE")] {
        create_campaign(&place, &definition(name, "public", mask, &json!({ "exclusive": false })), 1).await;
    }
    let redeemer = redeemer(&place).await;
    for (second, expected) in [("RUSH", None), ("PILE", Some(900))] {
        let mut ids = Vec::new();
        for code in ["STACK", second] {
            let held = json!({ "order": second, "hold_seconds": 60, "cart": cart(10_000) });
            let id = Uuid::now_v7();
            granted(redeemer.redeem(id, asking(code, &held), true).await.expect("an answer"));
            place.execute("update redemptions set expires_at = held_at where state = 'held'").await;
            assert_eq!(state_of(&redeemer.act(id, Action::Expire).await.expect("an answer")), State::Expired);
            ids.push(id);
        }
        let confirm =
            |id| Move::new(id, Action::Confirm { cart: asking(second, &json!({ "cart": cart(10_000) })).cart });
        let moves: Vec<Move> = ids.into_iter().map(confirm).collect();
        let moved = place.store.move_redemptions(&DefinitionCache::default(), &moves, MoveOptions::default()).await;
        match (&moved.expect("answers")[..], expected) {
            ([Moved::Done { .. }, Moved::Refused(reasons)], None) => {
                assert_eq!(reasons[0].code, ReasonCode::Exclusive);
            }
            ([Moved::Done { .. }, Moved::Done { redemption, .. }], expected) => {
                assert_eq!(redemption.discount.as_ref().map(|discount| discount.amount), expected);
            }
            (moved, _) => panic!("{moved:?}"),
        }
    }
    judge_redemptions(&place).await;
}

on_both_stores!(a_late_confirmation_is_refused_if_an_exclusive_offer_has_taken_the_order);
async fn a_late_confirmation_is_refused_if_an_exclusive_offer_has_taken_the_order(place: TestStore) {
    create_campaign(&place, &definition("rush", "public", "RUSH", &json!({})), 1).await;
    create_campaign(&place, &definition("stack", "public", "STACK", &json!({ "exclusive": false })), 1).await;
    let redeemer = redeemer(&place).await;
    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    let held = asking("STACK", &json!({ "order": "A-1", "hold_seconds": 60 }));
    granted(redeemer.redeem(first, held, true).await.expect("an answer"));
    place.execute("update redemptions set expires_at = held_at where state = 'held'").await;
    assert_eq!(state_of(&redeemer.act(first, Action::Expire).await.expect("an answer")), State::Expired);
    let request = asking("RUSH", &json!({ "order": "A-1" }));
    granted(redeemer.redeem(second, request, true).await.expect("an answer"));
    let confirm = Action::Confirm { cart: None };
    let late = redeemer.act(first, confirm.clone()).await.expect("an answer");
    assert!(matches!(&late, Moved::Refused(reasons) if reasons[0].code == ReasonCode::Exclusive), "{late:?}");
    redeemer.act(second, Action::RollBack { keep_use: false }).await.expect("an answer");
    assert_eq!(state_of(&redeemer.act(first, confirm).await.expect("an answer")), State::Confirmed);
    judge_redemptions(&place).await;
}

/// Creates three public campaigns that combine, each with half off the order, and the code of its name.
async fn create_halves(place: &TestStore) {
    for name in ["RED", "GREEN", "BLUE"] {
        let half = json!({
            "exclusive": false,
            "discount": { "effect": { "type": "percent", "basis_points": 5000 }, "target": { "type": "order" } },
        });
        create_campaign(place, &definition(name, "public", name, &half), 1).await;
    }
}

const OVERDUE: &str = "update redemptions set expires_at = held_at where state = 'held'";

on_both_stores!(regression_late_confirmations_take_no_more_than_the_order_is_worth);
async fn regression_late_confirmations_take_no_more_than_the_order_is_worth(place: TestStore) {
    create_halves(&place).await;
    let redeemer = redeemer(&place).await;
    let [red, green, blue] = [(); 3].map(|()| Uuid::now_v7());
    let on_order = json!({ "order": "A-1", "hold_seconds": 60, "cart": cart(10_000) });
    for (id, code, discount) in [(red, "RED", 5000), (green, "GREEN", 2500)] {
        let held = granted(redeemer.redeem(id, asking(code, &on_order), true).await.expect("an answer"));
        assert_eq!(held.discount.expect("a discount").amount, discount);
    }
    place.execute(OVERDUE).await;
    // Neither counts, though nobody has expired them.
    let paid = json!({ "order": "A-1", "cart": cart(10_000) });
    let last = granted(redeemer.redeem(blue, asking("BLUE", &paid), true).await.expect("an answer"));
    assert_eq!(last.discount.expect("a discount").amount, 5000);
    for id in [red, green] {
        let late = redeemer.act(id, Action::Confirm { cart: None }).await.expect("an answer");
        let Moved::Refused(reasons) = &late else { panic!("{late:?}") };
        assert_eq!(reasons[0].code, ReasonCode::NothingToDiscount);
        assert!(reasons[0].message.contains("confirm with the cart"), "{late:?}");
    }
    for (id, discount) in [(red, 2500), (green, 1250)] {
        let with_cart = Action::Confirm { cart: asking("RED", &json!({ "cart": cart(10_000) })).cart };
        let late = redeemer.act(id, with_cart).await.expect("an answer");
        let Moved::Done { redemption, .. } = late else { panic!("{late:?}") };
        assert_eq!(redemption.discount.expect("a discount").amount, discount);
    }
    judge_redemptions(&place).await;
}

/// Holds two codes on one order: one takes half of it, the other one half of the rest.
async fn hold_halves(place: &TestStore) -> (Redeemer, [Uuid; 2]) {
    create_halves(place).await;
    let redeemer = redeemer(place).await;
    let on_order = json!({ "order": "A-1", "hold_seconds": 60, "cart": cart(10_000) });
    let ids = [Uuid::now_v7(), Uuid::now_v7()];
    for (id, code) in ids.iter().zip(["RED", "GREEN"]) {
        granted(redeemer.redeem(*id, asking(code, &on_order), true).await.expect("an answer"));
    }
    (redeemer, ids)
}

on_both_stores!(regression_a_cart_that_was_confirmed_after_a_deadline_is_not_taken_off_twice);
async fn regression_a_cart_that_was_confirmed_after_a_deadline_is_not_taken_off_twice(place: TestStore) {
    let (redeemer, ids) = hold_halves(&place).await;
    make_overdue(&place, ids[0]).await;
    let with_cart = Action::Confirm { cart: asking("GREEN", &json!({ "cart": cart(10_000) })).cart };
    let in_time = redeemer.act(ids[1], with_cart).await.expect("an answer");
    let Moved::Done { redemption, .. } = in_time else { panic!("{in_time:?}") };
    assert_eq!(redemption.discount.expect("a discount").amount, 5000, "the other one does not count any more");
    let late = redeemer.act(ids[0], Action::Confirm { cart: None }).await.expect("an answer");
    assert!(matches!(&late, Moved::Refused(reasons) if reasons[0].code == ReasonCode::NothingToDiscount), "{late:?}");
    judge_redemptions(&place).await;
}

on_both_stores!(late_confirmations_keep_their_discounts_if_nobody_came_between);
async fn late_confirmations_keep_their_discounts_if_nobody_came_between(place: TestStore) {
    let (redeemer, ids) = hold_halves(&place).await;
    for id in ids {
        make_overdue(&place, id).await;
    }
    for id in ids {
        let late = redeemer.act(id, Action::Confirm { cart: None }).await.expect("an answer");
        assert_eq!(state_of(&late), State::Confirmed, "{late:?}");
    }
    assert_eq!(place.number("select cast(sum(discount) as bigint) from redemptions").await, 7500);
    judge_redemptions(&place).await;
}

on_both_stores!(regression_an_overdue_hold_does_not_keep_other_offers_from_its_order);
async fn regression_an_overdue_hold_does_not_keep_other_offers_from_its_order(place: TestStore) {
    create_campaign(&place, &definition("rush", "public", "RUSH", &json!({})), 1).await;
    create_halves(&place).await;
    let redeemer = redeemer(&place).await;
    let held = asking("RUSH", &json!({ "order": "A-1", "hold_seconds": 60, "cart": cart(10_000) }));
    granted(redeemer.redeem(Uuid::now_v7(), held, true).await.expect("an answer"));
    let wanted = asking("RED", &json!({ "order": "A-1", "cart": cart(10_000) }));
    let refused = redeemer.redeem(Uuid::now_v7(), wanted.clone(), true).await.expect("an answer");
    assert_eq!(reasons(&refused), [ReasonCode::Exclusive]);
    place.execute(OVERDUE).await;
    let check = redeemer.validate(wanted.clone(), true).await.expect("an answer");
    assert!(check.verdict.is_valid(), "{check:?}");
    let first = granted(redeemer.redeem(Uuid::now_v7(), wanted, true).await.expect("an answer"));
    assert_eq!(first.discount.expect("a discount").amount, 5000);
    judge_redemptions(&place).await;
}

on_both_stores!(regression_a_budget_below_what_is_spent_in_its_new_currency_is_refused);
async fn regression_a_budget_below_what_is_spent_in_its_new_currency_is_refused(place: TestStore) {
    for (name, code, spent, other) in [("dollars", "SPRING", "USD", "EUR"), ("euros", "SUMMER", "EUR", "USD")] {
        let limited = |limits| definition(name, "public", code, &json!({ "limits": limits }));
        create_campaign(&place, &limited(json!({})), 1).await;
        let cart = json!({ "currency": spent, "lines": [{ "sku": "A", "quantity": 1, "unit_amount": 3000 }] });
        let used = redeemer(&place).await.redeem(Uuid::now_v7(), asking(code, &json!({ "cart": cart })), true).await;
        granted(used.expect("an answer"));
        let change = async |currency: &str, amount: u64, version| {
            let document = limited(json!({ "budget": { "currency": currency, "amount": amount } }));
            let definition = read_definition(&document, NameFrom::Document).expect("a definition");
            place.store.change_campaign(&definition, version).await.expect("an answer")
        };
        assert_eq!(change(other, 100, 1).await, ChangeCampaign::Changed { version: 2 });
        let ChangeCampaign::Refused(problems) = change(spent, 150, 2).await else { panic!("{name} is changed") };
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, ["/limits/budget/amount: 300 are spent already; write 300 or more"]);
        assert_eq!(change(spent, 300, 2).await, ChangeCampaign::Changed { version: 3 });
        judge_redemptions(&place).await;
    }
}
