//! Steps that tests of referrals share, and the oracle of their trees and rewards.

use std::collections::{BTreeSet, HashMap, HashSet};

use codemint_offers::referral::address::Address;
use codemint_store::connection::store::Store;
use codemint_store::referrals::referrers::{NewReferrer, PutReferrer};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::redeem_steps::{create_campaign, definition};
use crate::schemas::{assert_fits, validator};
use crate::stores::TestStore;

/// Creates the referral campaign `friends` with these terms and a pool of codes.
pub async fn create_friends(place: &TestStore, terms: &Value, codes: i128) {
    create_campaign(place, &friends(terms), codes).await;
}

/// The definition of the referral campaign `friends`.
pub fn friends(terms: &Value) -> Value {
    let fields = json!({ "purpose": "referral", "limits": { "per_identity": 1 }, "referral": terms });
    definition("friends", "private", "FRIEND-[:safe:]{6}", &fields)
}

/// Creates the restricted campaign `thanks`, which rewards referrers, with a pool of codes.
pub async fn create_thanks(place: &TestStore, codes: i128) {
    create_campaign(place, &definition("thanks", "restricted", "THANKS-[:safe:]{6}", &json!({})), codes).await;
}

/// Asks for a code of the campaign `friends`.
pub async fn refer(store: &Store, address: &str) -> PutReferrer {
    let address = Address::read(address).expect("an address");
    let new = NewReferrer { id: Uuid::now_v7(), campaign: "friends".to_owned(), address };
    store.put_referrer(&new).await.expect("an answer")
}

/// The id and the code of a referrer.
///
/// # Panics
/// If the person has none.
pub fn given(answer: PutReferrer) -> (Uuid, String) {
    match answer {
        PutReferrer::Done { id, code, .. } => (id, code),
        other => panic!("{other:?}"),
    }
}

/// Panics unless the outbox has one event for each state that each referral has reached and no other, each of the published form and
/// without codes and addresses. All changes must have emitted events.
pub async fn judge_referral_events(place: &TestStore) {
    let sql = "select redemption_id, referrer_id, state, reward_code is not null from referrals";
    let mut expected = BTreeSet::new();
    for (redemption, referrer, state, was_rewarded) in place.all::<(Uuid, Uuid, String, bool)>(sql).await {
        let states = [Some("pending"), was_rewarded.then_some("rewarded"), (state == "void").then_some("void")];
        expected.extend(states.into_iter().flatten().map(|state| (redemption, referrer, state.to_owned())));
    }
    let sql = "select message_id, message_type, routing_key, cast(payload as text) from outbox where routing_key like 'referral.%'";
    let (mut found, form) = (Vec::new(), validator("referral-event"));
    let codes = place.texts("select code from assignments").await;
    for (id, event_type, key, payload) in place.all::<(String, String, String, String)>(sql).await {
        let event: Value = serde_json::from_str(&payload).expect("JSON");
        assert_fits(&form, &event);
        assert!(!payload.contains('@') && codes.iter().all(|code| !payload.contains(code)), "{payload}");
        let named = |name: &str| event["data"][name].as_str().expect("a text").to_owned();
        let state = named("state");
        assert_eq!((&event["id"], &event["type"]), (&json!(id), &json!(event_type)), "{event}");
        assert_eq!(event_type, format!("codemint.{key}.v1"), "{event}");
        assert_eq!(key, format!("referral.{state}"), "{event}");
        let ids = ["redemption_id", "referrer_id"].map(|name| named(name).parse::<Uuid>().expect("a UUID"));
        assert_eq!(event["subject"], named("redemption_id"));
        found.push((ids[0], ids[1], state));
    }
    found.sort();
    assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
}

type NodeRow = (Uuid, i64, String, String, Option<Uuid>, i32, i32);
type ReferralRow = (Uuid, i64, Uuid, String, String, Option<String>);

/// Panics with the violations that [`find_wrong_referrals`] finds.
pub async fn judge_referrals(place: &TestStore) {
    let mut violations = find_wrong_referrals(place).await;
    violations.truncate(20);
    assert!(violations.is_empty(), "{violations:#?}");
}

/// Returns every violation: trees without loops whose depths and numbers of friends are those of a recount, a code of its own for
/// everybody, a referral for every confirmed use of a passed-on code and for no other, one friend once, and rewards that somebody earned.
pub async fn find_wrong_referrals(place: &TestStore) -> Vec<String> {
    let nodes = "select id, campaign_no, address, code, parent, depth, children from referrers";
    let nodes: Vec<NodeRow> = place.all(nodes).await;
    let mut violations = judge_trees(&nodes);
    let owned: Vec<(i64, String, String)> = place.all("select campaign_no, identity, code from assignments").await;
    let owned: HashSet<(i64, String, String)> = owned.into_iter().collect();
    let pooled: HashSet<String> = place.texts("select code from pool").await.into_iter().collect();
    for (id, no, address, code, ..) in &nodes {
        if !owned.contains(&(*no, address.clone(), code.clone())) || pooled.contains(code) {
            violations.push(format!("the code of {id} is not bound to it alone"));
        }
    }
    violations.extend(judge_friends(place, &nodes).await);
    violations
}

fn judge_trees(nodes: &[NodeRow]) -> Vec<String> {
    let by_id: HashMap<Uuid, &NodeRow> = nodes.iter().map(|node| (node.0, node)).collect();
    let mut violations = Vec::new();
    for (id, _, _, _, parent, depth, children) in nodes {
        let expected = parent.map_or(0, |parent| by_id[&parent].5 + 1);
        let counted = nodes.iter().filter(|node| node.4 == Some(*id)).count();
        if *depth != expected || usize::try_from(*children) != Ok(counted) {
            violations
                .push(format!("{id}: depth {depth} instead of {expected}, {children} children instead of {counted}"));
        }
        let (mut at, mut steps) = (*parent, 0);
        while let Some(above) = at.filter(|_| steps <= nodes.len()) {
            (at, steps) = (by_id[&above].4, steps + 1);
        }
        if at.is_some() {
            violations.push(format!("{id} is in a loop"));
        }
    }
    violations
}

async fn judge_friends(place: &TestStore, nodes: &[NodeRow]) -> Vec<String> {
    let mut violations = Vec::new();
    let owners: HashMap<&str, &NodeRow> = nodes.iter().map(|node| (&*node.3, node)).collect();
    let addresses: HashMap<Uuid, &str> = nodes.iter().map(|node| (node.0, &*node.2)).collect();
    let referrals = "select redemption_id, campaign_no, referrer_id, referee, state, reward_code from referrals";
    let referrals: Vec<ReferralRow> = place.all(referrals).await;
    let by_redemption: HashMap<Uuid, &ReferralRow> = referrals.iter().map(|row| (row.0, row)).collect();
    let uses: Vec<(Uuid, String, String, bool)> = place.all("select id, code, state, keep_use from redemptions").await;
    for (id, code, state, keep_use) in uses {
        let referral = by_redemption.get(&id);
        match (owners.get(&*code), &*state) {
            (Some(owner), "confirmed" | "rolled_back") => {
                let is_void = state == "rolled_back" && !keep_use;
                let is_right = referral.is_some_and(|row| row.2 == owner.0 && (row.4 == "void") == is_void);
                if !is_right {
                    violations
                        .push(format!("the {state} redemption {id} has the referral {:?}", referral.map(|row| &row.4)));
                }
            }
            _ if referral.is_some() => violations.push(format!("the {state} redemption {id} has a referral")),
            _ => {}
        }
    }
    let mut seen = HashSet::new();
    for (id, no, referrer, friend, state, _) in &referrals {
        if state != "void" && !seen.insert((no, friend)) {
            violations.push(format!("the friend of {id} is a friend twice"));
        }
        if addresses[referrer] == friend {
            violations.push(format!("{referrer} is a friend of its own"));
        }
    }
    let rewards = "select code, revoked_at is not null from assignments where trigger_id like 'referral:%'";
    for (code, is_revoked) in place.all::<(String, bool)>(rewards).await {
        let stands = referrals.iter().any(|row| row.4 == "rewarded" && row.5.as_ref() == Some(&code));
        if stands == is_revoked {
            violations.push(format!("a reward is revoked: {is_revoked}, and somebody has earned it: {stands}"));
        }
    }
    violations
}
