//! Referrals that two processes write at the same time.

use codemint_campaigns::answers::Redeemed;
use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::verdict::reason::ReasonCode;
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::{granted, judge_redemptions, reasons};
use codemint_test_support::referral_steps::{create_friends, given, judge_referrals, refer};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use tokio::task::JoinSet;

use crate::referrals::{redeem, redeemer};

on_both_stores!(friends_who_come_at_once_get_as_many_codes_as_their_referrer_may_give);
async fn friends_who_come_at_once_get_as_many_codes_as_their_referrer_may_give(place: TestStore) {
    create_friends(&place, &json!({ "max_codes_per_referrer": 3 }), 100).await;
    let (id, code) = given(refer(&place.store, "ann@example.org").await);
    let other = Redeemer::start(&place.open_again().await, RedeemerOptions::default()).await.expect("a redeemer");
    let redeemers = [redeemer(&place).await, other];
    let mut uses = JoinSet::new();
    for no in 0..24 {
        let (redeemer, code) = (redeemers[no % 2].clone(), code.clone());
        uses.spawn(async move {
            let redemption = granted(redeem(&redeemer, &code, &format!("f{no}@example.org")).await);
            redemption.referral.expect("a referral").issued_code.is_some()
        });
    }
    let codes = uses.join_all().await.into_iter().filter(|has_code| *has_code).count();
    assert_eq!(codes, 3);
    let referrer = place.store.find_referrer(id).await.expect("a read").expect("a referrer");
    assert_eq!((referrer.children, referrer.pending), (3, 24));
    judge_referrals(&place).await;
    judge_redemptions(&place).await;
}

on_both_stores!(a_friend_with_two_codes_at_once_is_the_friend_of_one_referrer);
async fn a_friend_with_two_codes_at_once_is_the_friend_of_one_referrer(place: TestStore) {
    create_friends(&place, &json!({}), 100).await;
    let codes = [refer(&place.store, "ann@example.org").await, refer(&place.store, "dan@example.org").await];
    let codes = codes.map(|given_one| given(given_one).1);
    let other = Redeemer::start(&place.open_again().await, RedeemerOptions::default()).await.expect("a redeemer");
    let redeemers = [redeemer(&place).await, other];
    for no in 0..10 {
        let friends = [format!("f{no}@gmail.com"), format!("f.{no}+x@gmail.com")];
        let (first, second) =
            tokio::join!(redeem(&redeemers[0], &codes[0], &friends[0]), redeem(&redeemers[1], &codes[1], &friends[1]));
        let refused: Vec<&Redeemed> =
            [&first, &second].into_iter().filter(|answer| matches!(answer, Redeemed::Refused(_))).collect();
        assert_eq!(refused.len(), 1, "{first:?} {second:?}");
        assert_eq!(reasons(refused[0]), [ReasonCode::IdentityLimitReached]);
    }
    judge_referrals(&place).await;
    judge_redemptions(&place).await;
}

on_both_stores!(two_people_who_use_each_others_codes_at_once_make_no_loop);
async fn two_people_who_use_each_others_codes_at_once_make_no_loop(place: TestStore) {
    create_friends(&place, &json!({}), 100).await;
    let other = Redeemer::start(&place.open_again().await, RedeemerOptions::default()).await.expect("a redeemer");
    let redeemers = [redeemer(&place).await, other];
    for no in 0..8 {
        let people = [format!("a{no}@example.org"), format!("b{no}@example.org")];
        let of_first = given(refer(&place.store, &people[0]).await).1;
        let of_second = given(refer(&place.store, &people[1]).await).1;
        let (first, second) = tokio::join!(
            redeem(&redeemers[0], &of_second, &people[0]),
            // Also in one batch.
            redeem(&redeemers[no % 2], &of_first, &people[1])
        );
        let refused: Vec<&Redeemed> =
            [&first, &second].into_iter().filter(|answer| matches!(answer, Redeemed::Refused(_))).collect();
        assert_eq!(refused.len(), 1, "{first:?} {second:?}");
        assert_eq!(reasons(refused[0]), [ReasonCode::SelfReferral]);
    }
    assert_eq!(place.number("select count(*) from referrers where parent is not null").await, 8);
    judge_referrals(&place).await;
    judge_redemptions(&place).await;
}

on_both_stores!(a_friend_whom_the_shop_names_at_the_same_time_has_one_code);
async fn a_friend_whom_the_shop_names_at_the_same_time_has_one_code(place: TestStore) {
    create_friends(&place, &json!({}), 100).await;
    let (_, code) = given(refer(&place.store, "ann@example.org").await);
    let (redeemer, other) = (redeemer(&place).await, place.open_again().await);
    for no in 0..12 {
        let friend = format!("f{no}@example.org");
        let (named, used) = tokio::join!(refer(&other, &friend), redeem(&redeemer, &code, &friend));
        let used = granted(used).referral.expect("a referral");
        assert_eq!(used.issued_code, Some(given(named).1), "{friend}");
    }
    assert_eq!(place.number("select count(*) from assignments").await, 13);
    judge_referrals(&place).await;
    judge_redemptions(&place).await;
}
