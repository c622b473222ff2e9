//! Referrals: three generations, who may use whose code, once per friend, rewards, and what races leave.

use chrono::{TimeDelta, Utc};
use codemint_campaigns::answers::Redeemed;
use codemint_campaigns::issuing::Issuer;
use codemint_campaigns::keeping::RedemptionKeeper;
use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::redemption::record::{Redemption, Referred};
use codemint_offers::redemption::state::State;
use codemint_offers::redemption::transition::Action;
use codemint_offers::referral::address::Address;
use codemint_offers::referral::state::ReferralState;
use codemint_offers::verdict::reason::ReasonCode;
use codemint_store::campaigns::pool::IssueOutcome;
use codemint_store::connection::error::StoreError;
use codemint_store::redemptions::definition_cache::DefinitionCache;
use codemint_store::redemptions::forgetting::Forget;
use codemint_store::redemptions::reads::RedemptionFilter;
use codemint_store::redemptions::transitions::Moved;
use codemint_store::referrals::referrers::{NewReferrer, PutReferrer};
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::{
    asking, change_campaign, create_campaign, definition, granted, judge_redemptions, make_overdue, reasons,
};
use codemint_test_support::referral_steps::{
    create_friends, create_thanks, friends, given, judge_referral_events, judge_referrals, refer,
};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use uuid::Uuid;

pub async fn redeemer(place: &TestStore) -> Redeemer {
    let options = RedeemerOptions { emits_events: true, ..RedeemerOptions::default() };
    Redeemer::start(&place.store, options).await.expect("a redeemer")
}

/// Uses a code at once.
pub async fn redeem(redeemer: &Redeemer, code: &str, friend: &str) -> Redeemed {
    let request = asking(code, &json!({ "identity": friend }));
    redeemer.redeem(Uuid::now_v7(), request, true).await.expect("an answer")
}

fn own_code(redemption: &Redemption) -> String {
    let referred = redemption.referral.as_ref().expect("a referral");
    referred.issued_code.clone().expect("a code")
}

async fn roll_back(redeemer: &Redeemer, redemption: &Redemption) -> Redemption {
    match redeemer.act(redemption.id, Action::RollBack { keep_use: false }).await.expect("an answer") {
        Moved::Done { redemption, .. } => *redemption,
        other => panic!("{other:?}"),
    }
}

/// Lets a worker look once.
pub async fn look(place: &TestStore) -> u64 {
    RedemptionKeeper::new(place.store.clone(), true).look().await.expect("a look").rewards
}

on_both_stores!(each_friend_gets_a_code_to_pass_on_and_nobody_uses_a_code_of_their_own_line);
async fn each_friend_gets_a_code_to_pass_on_and_nobody_uses_a_code_of_their_own_line(place: TestStore) {
    create_friends(&place, &json!({}), 20).await;
    let redeemer = redeemer(&place).await;
    let (_, first) = given(refer(&place.store, "Ann.Lee@gmail.com").await);
    let bob = granted(redeem(&redeemer, &first, "bob@example.org").await);
    assert_eq!(bob.referral.as_ref().map(|referred| referred.state), Some(ReferralState::Pending));
    let second = own_code(&bob);
    let cid = granted(redeem(&redeemer, &second, "cid@example.org").await);
    let third = own_code(&cid);
    for (code, friend) in [
        (&first, "ann.lee@gmail.com"),
        (&first, "a.n.n.lee+shop@googlemail.com"),
        (&second, "bob+x@example.org"),
        (&second, "annlee@gmail.com"),
        (&third, "annlee@gmail.com"),
        (&third, "Bob@Example.org"),
    ] {
        let refused = redeem(&redeemer, code, friend).await;
        assert!(reasons(&refused).contains(&ReasonCode::SelfReferral), "{friend}: {refused:?}");
    }
    assert_eq!(place.number("select cast(max(depth) as bigint) from referrers").await, 2);
    // A code that waits in the pool is nobody's, and a friend is known by an address.
    let pooled = place.texts("select code from pool order by code limit 1").await.remove(0);
    assert_eq!(reasons(&redeem(&redeemer, &pooled, "dan@example.org").await), [ReasonCode::CodeNotFound]);
    let refused = redeem(&redeemer, &first, "customer-17").await;
    assert!(
        matches!(&refused, Redeemed::Refused(reasons) if reasons[0].message.contains("e-mail address")),
        "{refused:?}"
    );
    let valid = redeemer.validate(asking(&first, &json!({ "identity": "dan@example.org" })), true).await.expect("one");
    assert!(valid.verdict.is_valid(), "{valid:?}");
    let valid =
        redeemer.validate(asking(&third, &json!({ "identity": "ann.lee@gmail.com" })), true).await.expect("one");
    assert_eq!(valid.verdict.reasons[0].code, ReasonCode::SelfReferral);
    judge_referrals(&place).await;
    judge_referral_events(&place).await;
    judge_redemptions(&place).await;
}

on_both_stores!(a_friend_is_a_friend_once_unless_the_order_is_refunded);
async fn a_friend_is_a_friend_once_unless_the_order_is_refunded(place: TestStore) {
    create_friends(&place, &json!({}), 20).await;
    let redeemer = redeemer(&place).await;
    let (_, of_ann) = given(refer(&place.store, "ann@example.org").await);
    let (_, of_dan) = given(refer(&place.store, "dan@example.org").await);
    let bob = granted(redeem(&redeemer, &of_ann, "bob@gmail.com").await);
    for (code, alias) in [(&of_ann, "b.ob@gmail.com"), (&of_dan, "bob+2@gmail.com")] {
        let refused = redeem(&redeemer, code, alias).await;
        assert_eq!(reasons(&refused), [ReasonCode::IdentityLimitReached], "{alias}");
    }
    let own = own_code(&bob);
    let void = roll_back(&redeemer, &bob).await;
    assert_eq!(void.referral, Some(Referred { state: ReferralState::Void, issued_code: Some(own.clone()) }));
    let read = place.store.find_redemption(bob.id).await.expect("a read").expect("a redemption");
    assert_eq!(read, void);
    judge_referrals(&place).await;
    // Now another friend may bring him; the code that he has stays his, and the place below Ann.
    let again = granted(redeem(&redeemer, &of_dan, "bo.b@gmail.com").await);
    assert_eq!(own_code(&again), own);
    granted(redeem(&redeemer, &own, "eve@example.org").await);
    assert_eq!(place.number("select count(*) from referrals where state = 'void'").await, 1);
    assert_eq!(place.number("select count(*) from referrals where state = 'pending'").await, 2);
    judge_referrals(&place).await;
    judge_referral_events(&place).await;
    judge_redemptions(&place).await;
}

on_both_stores!(a_hold_becomes_a_referral_when_it_is_confirmed);
async fn a_hold_becomes_a_referral_when_it_is_confirmed(place: TestStore) {
    create_friends(&place, &json!({}), 20).await;
    let redeemer = redeemer(&place).await;
    let (_, code) = given(refer(&place.store, "ann@example.org").await);
    let held = asking(&code, &json!({ "identity": "Bob@Example.org", "hold_seconds": 60 }));
    let id = Uuid::now_v7();
    let redemption = granted(redeemer.redeem(id, held.clone(), true).await.expect("an answer"));
    assert_eq!((redemption.state, &redemption.referral), (State::Held, &None));
    assert_eq!(place.number("select count(*) from referrals").await, 0);
    let confirmed = redeemer.act(id, Action::Confirm { cart: None }).await.expect("an answer");
    let Moved::Done { redemption, is_changed: true } = confirmed else { panic!("{confirmed:?}") };
    let own = own_code(&redemption);
    let Moved::Done { redemption, is_changed: false } =
        redeemer.act(id, Action::Confirm { cart: None }).await.expect("an answer")
    else {
        panic!("a repeated confirmation changed something");
    };
    assert_eq!(own_code(&redemption), own);
    let again = granted(redeemer.redeem(id, held, true).await.expect("an answer"));
    assert_eq!(own_code(&again), own, "the same request again has the same code");
    judge_referrals(&place).await;
    judge_referral_events(&place).await;
    judge_redemptions(&place).await;
}

on_both_stores!(a_person_gets_one_code_under_whatever_id_and_alias);
async fn a_person_gets_one_code_under_whatever_id_and_alias(place: TestStore) {
    create_friends(&place, &json!({}), 2).await;
    create_campaign(&place, &definition("plain", "private", "PLAIN-####", &json!({})), 10).await;
    assert_eq!(place.number("select count(*) from pool").await, 2, "only a referral campaign has a pool");
    let named = async |id, campaign: &str, address: &str| {
        let address = Address::read(address).expect("an address");
        place.store.put_referrer(&NewReferrer { id, campaign: campaign.to_owned(), address }).await.expect("an answer")
    };
    let id = Uuid::now_v7();
    let first = named(id, "friends", "ann@gmail.com").await;
    assert!(matches!(first, PutReferrer::Done { is_new: true, .. }), "{first:?}");
    let first = given(first);
    let again = named(id, "friends", "Ann@gmail.com").await;
    assert!(matches!(again, PutReferrer::Done { is_new: false, .. }), "{again:?}");
    assert_eq!(given(again), first);
    assert_eq!(given(named(Uuid::now_v7(), "friends", "a.nn+x@gmail.com").await), first);
    let other = named(id, "friends", "bob@example.org").await;
    assert!(matches!(other, PutReferrer::DifferentRequest), "{other:?}");
    let plain = named(Uuid::now_v7(), "plain", "bob@example.org").await;
    assert!(matches!(plain, PutReferrer::NotReferral), "{plain:?}");
    let unknown = named(Uuid::now_v7(), "none", "bob@example.org").await;
    assert!(matches!(unknown, PutReferrer::Refused(IssueOutcome::UnknownCampaign)), "{unknown:?}");
    given(named(Uuid::now_v7(), "friends", "bob@example.org").await);
    let empty = named(Uuid::now_v7(), "friends", "cid@example.org").await;
    assert!(matches!(empty, PutReferrer::Refused(IssueOutcome::PoolEmpty)), "{empty:?}");
    place.store.switch_campaign("friends", false).await.expect("a switch");
    let off = named(Uuid::now_v7(), "friends", "cid@example.org").await;
    assert!(matches!(off, PutReferrer::Refused(IssueOutcome::NotActive)), "{off:?}");
    assert_eq!(given(named(id, "friends", "ann@gmail.com").await), first, "a code is kept while the campaign is off");
    judge_referrals(&place).await;
}

on_both_stores!(limits_and_an_empty_pool_cost_a_friend_the_code_and_not_the_discount);
async fn limits_and_an_empty_pool_cost_a_friend_the_code_and_not_the_discount(place: TestStore) {
    create_friends(&place, &json!({ "max_depth": 1, "max_codes_per_referrer": 2 }), 4).await;
    let redeemer = redeemer(&place).await;
    let (_, code) = given(refer(&place.store, "ann@example.org").await);
    let first = granted(redeem(&redeemer, &code, "f1@example.org").await);
    let below = granted(redeem(&redeemer, &own_code(&first), "g1@example.org").await);
    let without = |redemption: &Redemption| {
        let referred = redemption.referral.as_ref().expect("a referral");
        assert_eq!((referred.state, &referred.issued_code), (ReferralState::Pending, &None));
    };
    without(&below);
    own_code(&granted(redeem(&redeemer, &code, "f2@example.org").await));
    without(&granted(redeem(&redeemer, &code, "f3@example.org").await));
    // One code is left in the pool.
    let (_, last) = given(refer(&place.store, "dan@example.org").await);
    without(&granted(redeem(&redeemer, &last, "f4@example.org").await));
    judge_referrals(&place).await;
    judge_referral_events(&place).await;
    judge_redemptions(&place).await;
}

on_both_stores!(a_referrer_is_rewarded_when_the_days_are_over_and_a_refund_takes_it_back);
async fn a_referrer_is_rewarded_when_the_days_are_over_and_a_refund_takes_it_back(place: TestStore) {
    create_friends(&place, &json!({ "reward_campaign": "thanks", "reward_delay_days": 14 }), 100).await;
    let redeemer = redeemer(&place).await;
    let (id, code) = given(refer(&place.store, "Ann@example.org").await);
    let bob = granted(redeem(&redeemer, &code, "bob@example.org").await);
    let cid = granted(redeem(&redeemer, &code, "cid@example.org").await);
    assert_eq!(look(&place).await, 0, "nothing is due yet");
    let due = "update referrals set reward_due_at = at where state = 'pending' and reward_due_at is not null";
    place.execute(due).await;
    assert_eq!(look(&place).await, 2);
    assert_eq!(place.number("select count(*) from referrals where state = 'pending'").await, 2, "no such campaign");
    create_thanks(&place, 1).await;
    Issuer::start(&place.store).issue("thanks", "somebody").await.expect("an answer");
    place.execute(due).await;
    look(&place).await;
    assert_eq!(place.number("select count(*) from assignments where cause = 'trigger'").await, 0, "the pool is empty");
    assert_eq!(look(&place).await, 0, "it is tried again a minute later");
    fill(&place).await;
    place.execute(due).await;
    assert_eq!((look(&place).await, look(&place).await), (2, 0));
    let referrer = place.store.find_referrer(id).await.expect("a read").expect("a referrer");
    assert_eq!((referrer.pending, referrer.rewarded), (0, 2));
    let reward = referrer.latest[0].reward_code.clone().expect("a code");
    assert_eq!(referrer.latest[1].reward_code.as_ref(), Some(&reward), "one reward for one referrer");
    judge_referrals(&place).await;
    // It stands as long as one of the two does.
    let void = roll_back(&redeemer, &bob).await;
    assert_eq!(void.referral.expect("a referral").state, ReferralState::Void);
    let valid = asking(&reward, &json!({ "identity": "ann@example.org" }));
    let check = redeemer.validate(valid.clone(), true).await.expect("an answer");
    assert!(check.verdict.is_valid(), "{check:?}");
    roll_back(&redeemer, &cid).await;
    judge_referrals(&place).await;
    let refused = redeemer.redeem(Uuid::now_v7(), valid.clone(), true).await.expect("an answer");
    assert_eq!(reasons(&refused), [ReasonCode::CodeNotFound]);
    // Another friend earns it again.
    granted(redeem(&redeemer, &code, "eve@example.org").await);
    place.execute(due).await;
    look(&place).await;
    granted(redeemer.redeem(Uuid::now_v7(), valid, true).await.expect("an answer"));
    judge_referrals(&place).await;
    judge_referral_events(&place).await;
    judge_redemptions(&place).await;
}

/// Mints codes for the pool of the campaign `thanks`.
async fn fill(place: &TestStore) {
    use codemint_test_support::engine_steps::{put_request, request, run};
    let mut request = request("THANKS-[:safe:]{6}", 10, 1000);
    request.campaign = Some("thanks".to_owned());
    let job = put_request(&place.store, &request).await;
    run(&place.store, &job).await;
}

on_both_stores!(a_refund_before_the_day_of_the_reward_leaves_none);
async fn a_refund_before_the_day_of_the_reward_leaves_none(place: TestStore) {
    create_friends(&place, &json!({ "reward_campaign": "thanks" }), 100).await;
    create_thanks(&place, 10).await;
    let redeemer = redeemer(&place).await;
    let (_, code) = given(refer(&place.store, "ann@example.org").await);
    let bob = granted(redeem(&redeemer, &code, "bob@example.org").await);
    roll_back(&redeemer, &bob).await;
    assert_eq!(look(&place).await, 0);
    // Several workers reward once.
    granted(redeem(&redeemer, &code, "cid@example.org").await);
    let stores = [place.store.clone(), place.open_again().await];
    let looks = stores.map(|store| tokio::spawn(async move { store.reward_referrals(true).await }));
    for look in looks {
        look.await.expect("no panic").expect("a look");
    }
    look(&place).await;
    assert_eq!(place.number("select count(*) from assignments where cause = 'trigger'").await, 1);
    assert_eq!(place.number("select count(*) from referrals where state = 'rewarded'").await, 1);
    judge_referrals(&place).await;
    judge_referral_events(&place).await;
}

on_both_stores!(a_forgotten_person_has_no_address_and_gets_no_second_code);
async fn a_forgotten_person_has_no_address_and_gets_no_second_code(place: TestStore) {
    create_friends(&place, &json!({}), 100).await;
    let redeemer = redeemer(&place).await;
    let (_, code) = given(refer(&place.store, "ann@example.org").await);
    granted(redeem(&redeemer, &code, "b.ob@gmail.com").await);
    for person in ["Ann@example.org", "bob+x@gmail.com"] {
        let forgotten = place.store.forget_identity(person).await.expect("an answer");
        assert!(matches!(forgotten, Forget::Done(done) if done.is_complete && done.codes > 0), "{forgotten:?}");
    }
    for sql in [
        "select count(*) from referrers where address_text is not null",
        "select count(*) from assignments where identity_text is not null",
        "select count(*) from redemptions where identity like '%@%'",
    ] {
        assert_eq!(place.number(sql).await, 0, "{sql}");
    }
    assert_eq!(given(refer(&place.store, "ann@example.org").await).1, code);
    assert!(reasons(&redeem(&redeemer, &code, "bob@gmail.com").await).contains(&ReasonCode::IdentityLimitReached));
    assert_eq!(reasons(&redeem(&redeemer, &code, "ann@example.org").await), [ReasonCode::SelfReferral]);
    judge_referrals(&place).await;
}

on_both_stores!(regular_and_referral_codes_combine_on_one_order_and_in_one_batch);
async fn regular_and_referral_codes_combine_on_one_order_and_in_one_batch(place: TestStore) {
    let mut referral = friends(&json!({}));
    referral["exclusive"] = json!(false);
    create_campaign(&place, &referral, 20).await;
    let regular = json!({ "exclusive": false, "limits": { "per_identity": 1 } });
    create_campaign(&place, &definition("spring", "public", "SPRING", &regular), 1).await;
    let redeemer = redeemer(&place).await;
    let (_, code) = given(refer(&place.store, "ann@example.org").await);
    let (first, second) =
        tokio::join!(redeem(&redeemer, "SPRING", "Bob+1@example.org"), redeem(&redeemer, &code, "Bob+1@example.org"));
    // The regular campaign knows the identity as the shop writes it.
    assert_eq!(granted(first).identity.as_deref(), Some("Bob+1@example.org"));
    assert_eq!(granted(second).identity.as_deref(), Some("bob@example.org"));
    granted(redeem(&redeemer, "SPRING", "bob@example.org").await);
    let order = json!({ "identity": "cid@example.org", "order": "A-1" });
    for code in ["SPRING", &code] {
        granted(redeemer.redeem(Uuid::now_v7(), asking(code, &order), true).await.expect("an answer"));
    }
    change_campaign(&place, &friends(&json!({ "max_depth": 3 })), 1).await;
    granted(redeem(&redeemer, &code, "dan@example.org").await);
    judge_referrals(&place).await;
    judge_referral_events(&place).await;
    judge_redemptions(&place).await;
}

on_both_stores!(regression_a_reward_stands_for_the_friends_of_every_referral_campaign);
async fn regression_a_reward_stands_for_the_friends_of_every_referral_campaign(place: TestStore) {
    let terms = json!({ "reward_campaign": "thanks", "reward_delay_days": 0 });
    create_friends(&place, &terms, 20).await;
    let mut others = friends(&terms);
    (others["name"], others["mask"]) = (json!("others"), json!("OTHER-[:safe:]{6}"));
    create_campaign(&place, &others, 20).await;
    create_thanks(&place, 10).await;
    let redeemer = redeemer(&place).await;
    let mut codes = vec![given(refer(&place.store, "ann@example.org").await).1];
    let address = Address::read("ann@example.org").expect("an address");
    let new = NewReferrer { id: Uuid::now_v7(), campaign: "others".to_owned(), address };
    codes.push(given(place.store.put_referrer(&new).await.expect("an answer")).1);
    let bob = granted(redeem(&redeemer, &codes[0], "bob@example.org").await);
    let cid = granted(redeem(&redeemer, &codes[1], "cid@example.org").await);
    look(&place).await;
    let reward = place.texts("select distinct reward_code from referrals where state = 'rewarded'").await;
    assert_eq!(reward.len(), 1, "a person has one code of a campaign");
    let valid = asking(&reward[0], &json!({ "identity": "ann@example.org" }));
    roll_back(&redeemer, &bob).await;
    let check = redeemer.validate(valid.clone(), true).await.expect("an answer");
    assert!(check.verdict.is_valid(), "the other friend stands for it: {check:?}");
    let held = asking(&reward[0], &json!({ "identity": "ann@example.org", "hold_seconds": 60 }));
    let held = granted(redeemer.redeem(Uuid::now_v7(), held, true).await.expect("an answer"));
    roll_back(&redeemer, &cid).await;
    make_overdue(&place, held.id).await;
    let late = redeemer.act(held.id, Action::Confirm { cart: None }).await.expect("an answer");
    assert!(matches!(&late, Moved::Refused(reasons) if reasons[0].code == ReasonCode::CodeNotFound), "{late:?}");
    let check = redeemer.validate(valid.clone(), true).await.expect("an answer");
    assert_eq!(check.verdict.reasons[0].code, ReasonCode::CodeNotFound);
    // Whoever issues a code to the person makes it valid, whatever becomes of friends.
    let issuer = Issuer::start(&place.store);
    let again = issuer.issue("thanks", "ann@example.org").await.expect("an answer");
    assert_eq!(again, IssueOutcome::AlreadyGenerated { code: reward[0].clone() });
    let dan = granted(redeem(&redeemer, &codes[0], "dan@example.org").await);
    look(&place).await;
    roll_back(&redeemer, &dan).await;
    granted(redeemer.redeem(Uuid::now_v7(), valid, true).await.expect("an answer"));
    judge_redemptions(&place).await;
}

/// Lets a referrer bring Bob, for whom a reward is due at once; returns the code of the referrer and the redemption of Bob.
async fn bring_bob(place: &TestStore, referrer: &str) -> (Redeemer, String, Redemption) {
    create_friends(place, &json!({ "reward_campaign": "thanks", "reward_delay_days": 0 }), 20).await;
    create_thanks(place, 10).await;
    let redeemer = redeemer(place).await;
    let (_, code) = given(refer(&place.store, referrer).await);
    let bob = granted(redeem(&redeemer, &code, "bob@example.org").await);
    (redeemer, code, bob)
}

on_both_stores!(a_reward_that_is_issued_to_the_person_as_well_stays_valid);
async fn a_reward_that_is_issued_to_the_person_as_well_stays_valid(place: TestStore) {
    let (redeemer, _, bob) = bring_bob(&place, "ann@example.org").await;
    assert_eq!(look(&place).await, 1);
    let issued = Issuer::start(&place.store).issue("thanks", "ann@example.org").await.expect("an answer");
    let IssueOutcome::AlreadyGenerated { code: reward } = issued else { panic!("{issued:?}") };
    roll_back(&redeemer, &bob).await;
    granted(redeem(&redeemer, &reward, "ann@example.org").await);
    judge_referrals(&place).await;
    judge_redemptions(&place).await;
}

on_both_stores!(a_hold_that_cannot_be_expired_keeps_no_reward_waiting);
async fn a_hold_that_cannot_be_expired_keeps_no_reward_waiting(place: TestStore) {
    let (redeemer, code, _) = bring_bob(&place, "ann@example.org").await;
    let held = asking(&code, &json!({ "identity": "cid@example.org", "hold_seconds": 60 }));
    let held = granted(redeemer.redeem(Uuid::now_v7(), held, true).await.expect("an answer"));
    make_overdue(&place, held.id).await;
    place.execute("update redemptions set context = '[]' where state = 'held'").await;
    let looked = RedemptionKeeper::new(place.store.clone(), true).look().await;
    assert!(matches!(looked, Err(StoreError::Corrupt { table: "redemptions", .. })), "{looked:?}");
    assert_eq!(place.number("select count(*) from referrals where state = 'rewarded'").await, 1);
}

on_both_stores!(regression_another_spelling_of_an_address_is_another_identity_in_regular_campaigns);
async fn regression_another_spelling_of_an_address_is_another_identity_in_regular_campaigns(place: TestStore) {
    create_friends(&place, &json!({}), 20).await;
    create_campaign(&place, &definition("own", "restricted", "OWN-####", &json!({})), 10).await;
    given(refer(&place.store, "ann@example.org").await);
    let issued = Issuer::start(&place.store).issue("own", "bob@example.org").await.expect("an answer");
    let IssueOutcome::Issued { code } = issued else { panic!("{issued:?}") };
    let redeemer = redeemer(&place).await;
    granted(redeem(&redeemer, &code, "bob@example.org").await);
    let codes_of = async |identity: &str| place.store.list_own_codes(identity).await.expect("codes").len();
    let uses_of = async |identity: &str| {
        let filter = RedemptionFilter { identity: Some(identity.to_owned()), limit: 10, ..RedemptionFilter::default() };
        place.store.list_redemptions(&filter).await.expect("redemptions").len()
    };
    let other = "bob+intern@example.org";
    assert_eq!((codes_of("bob@example.org").await, uses_of("bob@example.org").await), (1, 1));
    assert_eq!((codes_of(other).await, uses_of(other).await), (0, 0));
    let digest = place.store.identity_key().await.expect("a key").digest("bob@example.org").to_string();
    assert_eq!(codes_of(&digest).await, 0, "a digest is no identity");
    let forgotten = place.store.forget_identity(other).await.expect("an answer");
    assert!(matches!(forgotten, Forget::Done(done) if done.codes == 0 && done.redemptions == 0), "{forgotten:?}");
    assert_eq!((codes_of("bob@example.org").await, uses_of("bob@example.org").await), (1, 1));
    let forgotten = place.store.forget_identity("bob@example.org").await.expect("an answer");
    assert!(matches!(forgotten, Forget::Done(done) if done.codes == 1 && done.redemptions == 1), "{forgotten:?}");
    assert_eq!((codes_of("bob@example.org").await, uses_of("bob@example.org").await), (1, 1), "by its digest");
    assert_eq!(place.number("select count(*) from assignments where identity_text like 'bob%'").await, 0);
}

on_both_stores!(regression_a_referrer_is_forgotten_also_in_rewards_under_the_address_as_it_was_named);
async fn regression_a_referrer_is_forgotten_also_in_rewards_under_the_address_as_it_was_named(place: TestStore) {
    bring_bob(&place, "Ann.Lee+shop@gmail.com").await;
    look(&place).await;
    let named = "select count(*) from assignments where identity_text like '%ann%'";
    assert_eq!(place.number(named).await, 2, "the code and the reward");
    place.store.forget_identity("annlee@gmail.com").await.expect("an answer");
    assert_eq!(place.number(named).await, 0);
    judge_referrals(&place).await;
}

on_both_stores!(regression_the_id_of_a_removed_redemption_is_new_in_a_referral_campaign);
async fn regression_the_id_of_a_removed_redemption_is_new_in_a_referral_campaign(place: TestStore) {
    create_friends(&place, &json!({}), 20).await;
    let redeemer = redeemer(&place).await;
    let (_, code) = given(refer(&place.store, "ann@example.org").await);
    let bob = granted(redeem(&redeemer, &code, "bob@example.org").await);
    roll_back(&redeemer, &bob).await;
    let later = Utc::now() + TimeDelta::days(1);
    let removed = place.store.prune_redemptions(&DefinitionCache::default(), later).await.expect("a number");
    assert_eq!(removed, 1);
    let request = asking(&code, &json!({ "identity": "cid@example.org" }));
    let again = granted(redeemer.redeem(bob.id, request, true).await.expect("an answer"));
    assert_eq!(again.referral.expect("a referral").state, ReferralState::Pending);
    judge_referrals(&place).await;
    judge_redemptions(&place).await;
}
