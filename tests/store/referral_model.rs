//! Random small histories of referrals on both stores, compared answer by answer with a naive model.

use std::collections::HashMap;

use codemint_campaigns::answers::Redeemed;
use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::state::State;
use codemint_offers::redemption::transition::Action;
use codemint_offers::referral::state::ReferralState;
use codemint_store::redemptions::transitions::Moved;
use codemint_test_support::redeem_steps::{asking, judge_redemptions};
use codemint_test_support::referral_steps::{create_friends, given, judge_referrals, refer};
use codemint_test_support::stores::{Kind, TestStore};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof};
use proptest::test_runner::{TestCaseError, TestRunner};
use serde_json::json;
use uuid::Uuid;

const PEOPLE: usize = 7;
const MAX_DEPTH: usize = 3;
const MAX_CODES: usize = 2;

#[derive(Clone, Debug)]
enum Operation {
    Refer { person: usize },
    Redeem { friend: usize, owner: usize, alias: usize, is_held: bool },
    Confirm { no: usize },
    Release { no: usize },
    RollBack { no: usize, keep_use: bool },
}

fn operation() -> impl Strategy<Value = Operation> {
    let (person, no) = (|| 0..PEOPLE, || 0..30_usize);
    prop_oneof![
        2 => person().prop_map(|person| Operation::Refer { person }),
        8 => (person(), person(), 0..3_usize, any::<bool>())
            .prop_map(|(friend, owner, alias, is_held)| Operation::Redeem { friend, owner, alias, is_held }),
        3 => no().prop_map(|no| Operation::Confirm { no }),
        1 => no().prop_map(|no| Operation::Release { no }),
        3 => (no(), any::<bool>()).prop_map(|(no, keep_use)| Operation::RollBack { no, keep_use }),
    ]
}

/// An address of a person.
fn address(person: usize, alias: usize) -> String {
    [format!("p{person}x@gmail.com"), format!("P.{person}x+{alias}@googlemail.com"), format!("p{person}.x@Gmail.com")]
        [alias]
        .clone()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Refused(Vec<&'static str>),
    WrongState,
    /// The state, that of the referral, and whether the friend has a code.
    Stands(State, Option<ReferralState>, bool),
}

fn said_of(redemption: &Redemption) -> Said {
    let referred = redemption.referral.as_ref();
    let has_code = referred.is_some_and(|referred| referred.issued_code.is_some());
    Said::Stands(redemption.state, referred.map(|referred| referred.state), has_code)
}

struct Use {
    id: Uuid,
    friend: usize,
    owner: usize,
    state: State,
    keep_use: bool,
    referral: Option<ReferralState>,
}

#[derive(Default)]
struct Model {
    /// The referrer of each person that has a code.
    people: HashMap<usize, Option<usize>>,
    uses: Vec<Use>,
}

impl Model {
    fn ancestors(&self, person: usize) -> Vec<usize> {
        std::iter::successors(self.people[&person], |above| self.people[above]).collect()
    }

    fn children(&self, person: usize) -> usize {
        self.people.values().filter(|parent| **parent == Some(person)).count()
    }

    fn redeem(&mut self, id: Uuid, friend: usize, owner: usize, is_held: bool) -> Said {
        let mut reasons = Vec::new();
        let counts = |one: &Use| one.friend == friend && one.state.counts(one.keep_use);
        if self.uses.iter().any(counts) {
            reasons.push("identity-limit-reached");
        }
        if friend == owner || self.ancestors(owner).contains(&friend) {
            reasons.push("self-referral");
        }
        if !reasons.is_empty() {
            return Said::Refused(reasons);
        }
        self.uses.push(Use { id, friend, owner, state: State::Held, keep_use: false, referral: None });
        let no = self.uses.len() - 1;
        if is_held { self.said(no) } else { self.confirm(no) }
    }

    fn confirm(&mut self, no: usize) -> Said {
        let Use { friend, owner, state, .. } = self.uses[no];
        match state {
            State::Confirmed => return self.said(no),
            State::Held => {}
            _ => return Said::WrongState,
        }
        (self.uses[no].state, self.uses[no].referral) = (State::Confirmed, Some(ReferralState::Pending));
        let is_allowed = self.ancestors(owner).len() < MAX_DEPTH && self.children(owner) < MAX_CODES;
        let is_free = self.people.get(&friend).is_none_or(|parent| parent.is_none() && self.children(friend) == 0);
        if is_allowed && is_free {
            self.people.insert(friend, Some(owner));
        }
        self.said(no)
    }

    fn end(&mut self, no: usize, from: State, to: State, keep_use: bool) -> Said {
        let one = &mut self.uses[no];
        if one.state == from {
            (one.state, one.keep_use) = (to, keep_use);
            if to == State::RolledBack && !keep_use {
                one.referral = Some(ReferralState::Void);
            }
        } else if one.state != to || one.keep_use != keep_use {
            return Said::WrongState;
        }
        self.said(no)
    }

    fn said(&self, no: usize) -> Said {
        let Use { friend, state, referral, .. } = self.uses[no];
        Said::Stands(state, referral, referral.is_some() && self.people.contains_key(&friend))
    }
}

/// Both sides of a history.
struct Histories {
    place: TestStore,
    redeemer: Redeemer,
    model: Model,
    codes: HashMap<usize, String>,
}

impl Histories {
    async fn act(&self, no: usize, action: Action) -> Said {
        match self.redeemer.act(self.model.uses[no].id, action).await.expect("an answer") {
            Moved::Done { redemption, .. } => said_of(&redemption),
            Moved::WrongState(_) | Moved::DifferentRequest => Said::WrongState,
            other => panic!("{other:?}"),
        }
    }

    /// Applies an operation to both, and returns what each said.
    async fn apply(&mut self, operation: &Operation) -> Option<(Said, Said)> {
        let uses = self.model.uses.len();
        let known = |no: &usize| (uses > 0).then(|| no % uses);
        Some(match operation {
            Operation::Refer { person } => {
                self.model.people.entry(*person).or_insert(None);
                let (_, code) = given(refer(&self.place.store, &address(*person, 1)).await);
                let before = self.codes.insert(*person, code.clone());
                assert!(before.is_none_or(|before| before == code), "a person has two codes");
                return None;
            }
            Operation::Redeem { friend, owner, alias, is_held } => {
                let code = self.codes.get(owner)?;
                let id = Uuid::now_v7();
                let hold = if *is_held { 600 } else { 0 };
                let request = asking(code, &json!({ "identity": address(*friend, *alias), "hold_seconds": hold }));
                let expected = self.model.redeem(id, *friend, *owner, *is_held);
                let said = match self.redeemer.redeem(id, request, true).await.expect("an answer") {
                    Redeemed::Granted { redemption, .. } => {
                        self.learn(*friend, &redemption);
                        said_of(&redemption)
                    }
                    Redeemed::Refused(reasons) => {
                        Said::Refused(reasons.iter().map(|reason| reason.code.as_str()).collect())
                    }
                    other => panic!("{other:?}"),
                };
                (expected, said)
            }
            Operation::Confirm { no } => {
                let no = known(no)?;
                let said = self.act(no, Action::Confirm { cart: None }).await;
                let id = self.model.uses[no].id;
                let read = self.place.store.find_redemption(id).await.expect("a read").expect("a redemption");
                self.learn(self.model.uses[no].friend, &read);
                (self.model.confirm(no), said)
            }
            Operation::Release { no } => {
                let no = known(no)?;
                let said = self.act(no, Action::Release).await;
                (self.model.end(no, State::Held, State::Released, false), said)
            }
            Operation::RollBack { no, keep_use } => {
                let no = known(no)?;
                let said = self.act(no, Action::RollBack { keep_use: *keep_use }).await;
                (self.model.end(no, State::Confirmed, State::RolledBack, *keep_use), said)
            }
        })
    }

    fn learn(&mut self, friend: usize, redemption: &Redemption) {
        let code = redemption.referral.as_ref().and_then(|referred| referred.issued_code.clone());
        if let Some(code) = code {
            let before = self.codes.insert(friend, code.clone());
            assert!(before.is_none_or(|before| before == code), "a friend has two codes");
        }
    }

    /// Compares the trees.
    async fn compare_trees(&self) {
        let sql = "select r.code, coalesce(p.code, '') from referrers r left join referrers p on p.id = r.parent";
        let stored: HashMap<String, String> = self.place.all::<(String, String)>(sql).await.into_iter().collect();
        let code = |person: &usize| self.codes[person].clone();
        let expected = self.model.people.iter();
        let expected = expected.map(|(person, parent)| (code(person), parent.as_ref().map(code).unwrap_or_default()));
        assert_eq!(stored, expected.collect());
    }
}

async fn compare(place: TestStore, operations: &[Operation]) -> Result<(), TestCaseError> {
    create_friends(&place, &json!({ "max_depth": MAX_DEPTH, "max_codes_per_referrer": MAX_CODES }), 50).await;
    let redeemer = Redeemer::start(&place.store, RedeemerOptions::default()).await.expect("a redeemer");
    let mut histories = Histories { place, redeemer, model: Model::default(), codes: HashMap::new() };
    for (place_no, operation) in operations.iter().enumerate() {
        if let Some((expected, said)) = histories.apply(operation).await
            && expected != said
        {
            let problem = format!("operation {place_no}, {operation:?}: {said:?} instead of {expected:?}");
            return Err(TestCaseError::fail(problem));
        }
    }
    histories.compare_trees().await;
    judge_referrals(&histories.place).await;
    judge_redemptions(&histories.place).await;
    Ok(())
}

fn random_histories(kind: Kind, cases: u32) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let config =
        ProptestConfig { failure_persistence: None, max_shrink_iters: 60, ..ProptestConfig::with_cases(cases) };
    let checked = TestRunner::new(config).run(&vec(operation(), 80..120), |operations| {
        runtime.block_on(async {
            let place = if kind == Kind::Sqlite { TestStore::sqlite().await } else { TestStore::postgres().await };
            compare(place, &operations).await
        })
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}

#[test]
fn random_referrals_are_answered_as_by_a_naive_model_on_sqlite() {
    random_histories(Kind::Sqlite, 12);
}

#[test]
fn random_referrals_are_answered_as_by_a_naive_model_on_postgres() {
    random_histories(Kind::Postgres, 5);
}
