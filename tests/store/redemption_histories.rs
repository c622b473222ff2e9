//! The oracle of redemptions notices whatever is wrong with them: each case damages a sound store, or what a shop recorded, in one
//! way.

use codemint_campaigns::answers::Redeemed;
use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::redemption::transition::Action;
use codemint_store::redemptions::transitions::Moved;
use codemint_test_support::on_stores;
use codemint_test_support::redeem_steps::{asking, cart, create_campaign, definition, find_wrong_redemptions};
use codemint_test_support::redemption_histories::{Answer, Call, OffTime, Request, judge_histories};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use uuid::Uuid;

/// Damages of a store with a held, a confirmed and a released redemption, and what the oracle reports about each.
const DAMAGES: [(&str, &str); 11] = [
    ("update allowances set taken = taken - 1 where scope = 'campaign'", "scope campaign: 1 taken, 2 counted"),
    ("update allowances set quota = quota + 1 where scope = 'campaign'", "the quota is 11 instead of 10"),
    ("delete from allowances where scope = 'code'", "2 of 9 are counted, and none are taken"),
    ("delete from tally_deltas where metric = 'held'", "the sum held  is -1 beside a recount"),
    ("delete from redemptions where state = 'confirmed'", "which no order explains"),
    ("update redemptions set state = 'released', ended_at = held_at where state = 'held'", "which no order explains"),
    ("update redemptions set discount = discount + 1 where state = 'confirmed'", "which no order explains"),
    (
        "update redemptions set state = 'expired', ended_at = held_at where state = 'held'",
        "expired before its deadline",
    ),
    ("update redemptions set order_ref = 'A-1'", "1 orders have an exclusive offer and another one"),
    (
        "update campaigns set kind = 'restricted'; update redemptions set identity = 'ann' where state = 'held'",
        "1 redemptions use the code of another identity",
    ),
    ("update redemptions set id = gen_random_uuid() where state = 'held'", "1 redemptions were requested by nobody"),
];

struct Shop {
    redeemer: Redeemer,
    calls: Vec<Call>,
}

impl Shop {
    fn record(&mut self, id: Uuid, request: Request, answer: Answer) {
        let sent_at = 2 * self.calls.len() as i64;
        self.calls.push(Call { process: 0, id, request, sent_at, answer: Some((sent_at + 1, answer)) });
    }

    async fn redeem(&mut self, hold_seconds: u32) -> Uuid {
        let id = Uuid::now_v7();
        let request = asking("SPRING", &json!({ "cart": cart(1000), "hold_seconds": hold_seconds }));
        let answer = self.redeemer.redeem(id, request, true).await.expect("an answer");
        assert!(matches!(answer, Redeemed::Granted { .. }), "{answer:?}");
        let (is_held, state) = if hold_seconds > 0 { (true, "held") } else { (false, "confirmed") };
        self.record(id, Request::Redeem { variant: 0, is_held }, stands(state));
        id
    }
}

fn stands(state: &str) -> Answer {
    Answer::Stands { state: state.to_owned(), keep_use: false, discount: Some(100), is_changed: true }
}

/// Fills a store with one redemption of each state that a shop left.
async fn fill(place: &TestStore) -> Shop {
    let limits = json!({ "limits": { "redeemed": 10, "per_code": 9 } });
    create_campaign(place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let redeemer = Redeemer::start(&place.store, RedeemerOptions::default()).await.expect("a redeemer");
    let mut shop = Shop { redeemer, calls: Vec::new() };
    let released = shop.redeem(60).await;
    let moved = shop.redeemer.act(released, Action::Release).await.expect("an answer");
    assert!(matches!(moved, Moved::Done { .. }), "{moved:?}");
    shop.record(released, Request::Release, stands("released"));
    shop.redeem(0).await;
    shop.redeem(60).await;
    shop
}

async fn violations(place: &TestStore, calls: &[Call], off: &[OffTime]) -> Vec<String> {
    let mut violations = find_wrong_redemptions(place).await;
    violations.extend(judge_histories(place, calls, off, None).await);
    violations
}

on_stores!([postgres] the_oracle_of_redemptions_notices_each_damage_of_the_store);
async fn the_oracle_of_redemptions_notices_each_damage_of_the_store(place: TestStore) {
    for (damage, report) in DAMAGES {
        let place = place.another().await;
        let shop = fill(&place).await;
        assert_eq!(violations(&place, &shop.calls, &[]).await, Vec::<String>::new());
        place.execute(damage).await;
        let found = violations(&place, &shop.calls, &[]).await;
        assert!(found.iter().any(|found| found.contains(report)), "{damage}: {found:#?}");
    }
}

on_stores!([postgres] the_oracle_of_redemptions_notices_answers_that_contradict_each_other);
async fn the_oracle_of_redemptions_notices_answers_that_contradict_each_other(place: TestStore) {
    let shop = fill(&place).await;
    let (held, id) = (shop.calls[3].id, shop.calls[2].id);
    let wrong = |id, request, answer: Option<Answer>| {
        let sent_at = 2 * shop.calls.len() as i64;
        let call = Call { process: 1, id, request, sent_at, answer: answer.map(|answer| (sent_at + 1, answer)) };
        [&shop.calls[..], &[call]].concat()
    };
    let confirm = Request::Confirm { cart: None };
    let repeated = |id, state: &str, discount| {
        let answer =
            Answer::Stands { state: state.to_owned(), keep_use: false, discount: Some(discount), is_changed: false };
        wrong(id, Request::Redeem { variant: 0, is_held: id == held }, Some(answer))
    };
    // What may be so.
    for calls in [
        wrong(id, Request::Release, Some(Answer::WrongState("confirmed".to_owned()))),
        wrong(id, Request::RollBack { keep_use: true }, None),
        wrong(Uuid::now_v7(), Request::Redeem { variant: 0, is_held: true }, Some(Answer::Refused)),
        repeated(id, "confirmed", 100),
    ] {
        assert_eq!(violations(&place, &calls, &[]).await, Vec::<String>::new());
    }
    for calls in [
        wrong(Uuid::now_v7(), Request::Redeem { variant: 0, is_held: true }, Some(stands("held"))),
        wrong(id, Request::RollBack { keep_use: true }, Some(stands("rolled_back"))),
        wrong(id, Request::Redeem { variant: 0, is_held: false }, Some(Answer::Refused)),
        wrong(id, Request::Redeem { variant: 0, is_held: false }, Some(Answer::DifferentRequest)),
        wrong(id, confirm, Some(Answer::Unknown)),
        wrong(held, confirm, Some(stands("confirmed"))),
        wrong(held, Request::RollBack { keep_use: false }, Some(Answer::WrongState("confirmed".to_owned()))),
        repeated(id, "confirmed", 99),
        repeated(held, "confirmed", 100),
    ] {
        let found = violations(&place, &calls, &[]).await;
        assert!(found.iter().any(|found| found.contains("which no order explains")), "{calls:#?}: {found:#?}");
    }
    let found = violations(&place, &wrong(held, confirm, Some(Answer::Refused)), &[]).await;
    assert!(found.iter().any(|found| found.contains("although it was paid in time")), "{found:#?}");
    let off = OffTime { campaign: "spring".to_owned(), from: 0, until: i64::MAX, committed: 1 };
    let found = violations(&place, &shop.calls, &[off]).await;
    for report in ["was granted while its campaign was off", "1 redemptions of campaign spring were committed"] {
        assert!(found.iter().any(|found| found.contains(report)), "{found:#?}");
    }
}
